//! Writes a profile: TOML for constants and evidence, Parquet for residuals.

use std::fmt::Write as _;

use moesim::base::table::{Column, Table, TableError, Texts};
use moesim::base::units::SimDuration;
use moesim::kernels::LAWS;
use moesim::kernels::curves::{Curves, Kriging, Scale};
use moesim::kernels::experts::ExpertsPrior;
use moesim::kernels::profile::{Evidence, LogErrors, Profile, Residual};

use crate::device::DataSheet;
use crate::residuals::{rounded, rounded_time};

/// Residuals are written in units of this (see `moesim::config`'s reader).
const UNIT: f64 = 1e-4;

/// The TOML of a profile; `origin` says in a few lines what it was made from and how.
#[must_use]
pub fn toml(profile: &Profile, sheet: &DataSheet, origin: &[String]) -> String {
    let mut out = String::new();
    head(&mut out, profile, sheet, origin);
    for (precision, family) in &profile.gemm {
        let p = family.prior;
        section(&mut out, &format!("[gemm.{}]", precision.name()));
        time(&mut out, "launch", rounded_time(p.launch_s));
        number(&mut out, "compute_efficiency", p.compute_efficiency);
        number(&mut out, "memory_efficiency", p.memory_efficiency);
        time(&mut out, "wave", p.wave_s);
        number(&mut out, "half_intensity", p.half_intensity);
        number(&mut out, "split_speedup", p.split_speedup);
        number(&mut out, "sharpness", p.sharpness);
        kriging(&mut out, family.residual.first());
        evidence(&mut out, &family.evidence);
    }
    for ((kernel, precision), family) in &profile.experts {
        let p = family.prior;
        section(&mut out, "[[experts]]");
        text(&mut out, "kernel", kernel);
        text(&mut out, "precision", precision.name());
        experts_prior(&mut out, &p);
        kriging(&mut out, family.residual.first());
        evidence(&mut out, &family.evidence);
    }
    section(&mut out, "[memory]");
    number(&mut out, "efficiency", profile.memory.efficiency);
    time(&mut out, "launch", profile.memory.launch.secs());
    evidence(&mut out, &profile.memory.evidence);
    collectives(&mut out, profile);
    exchanges(&mut out, profile);
    inter_node(&mut out, profile);
    out
}

fn head(out: &mut String, profile: &Profile, sheet: &DataSheet, origin: &[String]) {
    let name = &profile.name;
    origin.iter().for_each(|text| line(out, &format!("# {}", text.replace('\n', " "))));
    line(out, "# Efficiencies are shares of the data sheet's peaks; errors are fractions.");
    let levels = LogErrors::LEVELS.map(|level| (level * 100.0).to_string()).join(", ");
    line(
        out,
        &format!("# log_errors: {levels} % of ln(measured / predicted) on what was left out."),
    );
    line(out, "schema = 2");
    text(out, "name", name);
    text(out, "device", &profile.device);
    text(out, "table", &format!("{name}.parquet"));
    if let Some(pair) = profile.pair_bandwidth {
        line(out, "# The most one pair of GPUs exchanges, from the all-to-all of two.");
        text(out, "pair_bandwidth", &format!("{} GB/s", rounded(pair.gb_per_sec())));
    }
    section(out, "[data_sheet]");
    text(out, "bf16", &format!("{} TFLOP/s", sheet.bf16_tflops));
    text(out, "memory_bandwidth", &format!("{} GB/s", sheet.memory_gb_per_s));
    line(out, &format!("sms = {}", sheet.sms));
    text(out, "scale_up", &format!("{} GB/s", sheet.scale_up_gb_per_s));
    line(out, &format!("peer_to_peer = {}", sheet.peer_to_peer));
    text(out, "source", sheet.source);
}

fn collectives(out: &mut String, profile: &Profile) {
    for (op, fit) in &profile.collectives {
        section(out, &format!("[collective.{}]", op.name()));
        line(out, "ramp = [");
        for (gpus, ramp) in &fit.ramps {
            let row = format!(
                "  {{ gpus = {gpus}, alpha = \"{}\", bandwidth = \"{} GB/s\", ramp = \"{}\", \
                 ramp_bytes = \"{} B\" }},",
                in_us(ramp.alpha.secs()),
                rounded(ramp.bandwidth.gb_per_sec()),
                in_us(ramp.ramp.secs()),
                ramp.ramp_bytes.0
            );
            line(out, &row);
        }
        line(out, "]");
        evidence(out, &fit.evidence);
        unseen(out, "unseen_gpus", fit.unseen_gpus.as_ref());
    }
}

fn exchanges(out: &mut String, profile: &Profile) {
    for (name, fit) in &profile.exchanges {
        section(out, "[[exchange]]");
        text(out, "name", name);
        text(out, "library", fit.library.name());
        number(out, "bytes", fit.bytes);
        line(out, "prior = [");
        for (groups, p) in &fit.priors {
            let rate = |bytes_per_sec: f64| format!("{} GB/s", rounded(bytes_per_sec / 1e9));
            let unreached = if p.unreached == 0.0 {
                String::new()
            } else {
                format!(" unreached = {},", decimal(p.unreached))
            };
            let row = format!(
                "  {{ groups = {groups}, alpha = \"{}\", expert = \"{}\", sm_bandwidth = \"{}\", \
                 bandwidth = \"{}\", fabric = {}, own = {},{unreached} local_bandwidth = \"{}\", sharpness = {}, \
                 slot = \"{}\" }},",
                in_us(p.alpha_s),
                in_us(p.expert_s),
                rate(p.sm_bandwidth),
                rate(p.bandwidth),
                decimal(p.fabric),
                decimal(p.own),
                rate(p.local_bandwidth),
                decimal(p.sharpness),
                in_us(p.slot_s)
            );
            line(out, &row);
        }
        line(out, "]");
        kriging(out, Some(&fit.residual));
        evidence(out, &fit.evidence);
        unseen(out, "one_node", fit.one_node.as_ref());
        unseen(out, "unseen_groups", fit.unseen_groups.as_ref());
    }
}

fn inter_node(out: &mut String, profile: &Profile) {
    let Some(fit) = &profile.inter_node else { return };
    section(out, "[inter_node]");
    number(out, "efficiency", fit.efficiency);
    let alpha = |(nodes, alpha): (&u32, &SimDuration)| {
        format!("{{ nodes = {nodes}, alpha = \"{}\" }}", in_us(alpha.secs()))
    };
    let rows: Vec<String> = fit.alpha.iter().map(alpha).collect();
    line(out, &format!("alpha = [{}]", rows.join(", ")));
    evidence(out, &fit.evidence);
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn section(out: &mut String, header: &str) {
    line(out, "");
    line(out, header);
}

fn text(out: &mut String, key: &str, value: &str) {
    let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
    line(out, &format!("{key} = \"{quoted}\""));
}

fn number(out: &mut String, key: &str, value: f64) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{key} = {}", decimal(value));
}

/// A TOML float: always with a point or an exponent.
fn decimal(value: f64) -> String {
    let text = format!("{}", rounded(value));
    if text.contains(['.', 'e']) { text } else { format!("{text}.0") }
}

fn time(out: &mut String, key: &str, seconds: f64) {
    text(out, key, &in_us(seconds));
}

fn in_us(seconds: f64) -> String {
    format!("{} us", (seconds * 1e12).round() / 1e6)
}

fn experts_prior(out: &mut String, p: &ExpertsPrior) {
    text(out, "tiles", &p.tiles.name());
    if p.measured_tiles != p.tiles {
        text(out, "measured_tiles", &p.measured_tiles.name());
    }
    time(out, "launch", rounded_time(p.launch_s));
    number(out, "small_efficiency", p.small_efficiency);
    number(out, "large_efficiency", p.large_efficiency);
    number(out, "cache_bandwidth", p.cache_bandwidth);
    time(out, "step", p.step_s);
    time(out, "block", p.block_s);
    time(out, "latency", p.latency_s);
    number(out, "ragged_per_ns", p.ragged_rate / 1e9);
    number(out, "memory_efficiency", p.memory_efficiency);
    number(out, "narrow_efficiency", p.narrow_efficiency);
    number(out, "refetched", p.refetched);
    number(out, "sharpness", p.sharpness);
    number(out, "traffic_efficiency", p.traffic_efficiency);
    text(out, "cache", &format!("{} B", p.cache_bytes));
    number(out, "cache_speedup", p.cache_speedup);
    line(out, &format!("always_gated = {}", p.always_gated));
    if let Some(interval) = p.interval {
        let (known, absent) = (decimal(interval.known), decimal(interval.absent));
        line(out, &format!("interval = {{ known = {known}, absent = {absent} }}"));
    }
}

fn kriging(out: &mut String, curves: Option<&Curves>) {
    let Some(curves) = curves else { return };
    let scale = |scale: &Scale| {
        let lengths: Vec<String> = scale.lengths.iter().map(|l| decimal(*l)).collect();
        let share = decimal(scale.share);
        format!("{{ share = {share}, lengths = [{}] }}", lengths.join(", "))
    };
    let Kriging { scales, noise, clip } = curves.kriging();
    let scales: Vec<String> = scales.iter().map(scale).collect();
    let clip =
        if clip.is_finite() { format!("clip = {}, ", decimal(*clip)) } else { String::new() };
    let noise = decimal(*noise);
    line(out, &format!("kriging = {{ noise = {noise}, {clip}scales = [{}] }}", scales.join(", ")));
}

fn evidence(out: &mut String, evidence: &Evidence) {
    evidence_of(out, "evidence", evidence);
}

/// What is known of numbers of GPUs or groups that were not measured.
fn unseen(out: &mut String, key: &str, unseen: Option<&Evidence>) {
    if let Some(unseen) = unseen {
        evidence_of(out, &format!("{key}.evidence"), unseen);
    }
}

fn evidence_of(out: &mut String, key: &str, evidence: &Evidence) {
    text(out, &format!("{key}.fitted_on"), &evidence.fitted_on);
    line(out, &format!("{key}.rows = {}", evidence.rows));
    if let Some(prior) = evidence.prior {
        line(out, &format!("{key}.prior = {}", residual(prior)));
    }
    if let Some(held_out) = evidence.held_out {
        line(out, &format!("{key}.held_out = {}", residual(held_out)));
    }
    if !evidence.left_out.is_empty() {
        text(out, &format!("{key}.left_out"), &evidence.left_out);
    }
    if let Some(width) = evidence.log_error_p90 {
        number(out, &format!("{key}.log_error_p90"), width);
    }
    if let Some(law) = &evidence.log_errors {
        let quantiles: Vec<String> = law.quantiles().iter().map(|q| decimal(*q)).collect();
        line(out, &format!("{key}.log_errors = [{}]", quantiles.join(", ")));
    }
}

fn residual(r: Residual) -> String {
    let (median, p90, bias) = (decimal(r.median), decimal(r.p90), decimal(r.bias));
    format!("{{ median = {median}, p90 = {p90}, bias = {bias} }}")
}

/// The residuals of all families as one Parquet table.
///
/// # Errors
/// If it cannot be encoded.
pub fn table(profile: &Profile) -> Result<Vec<u8>, TableError> {
    let mut rows = Columns::default();
    for (precision, family) in &profile.gemm {
        for curves in &family.residual {
            rows.add(&format!("gemm/{}", precision.name()), curves);
        }
    }
    for ((kernel, precision), family) in &profile.experts {
        for ((law, _), curves) in LAWS.iter().zip(&family.residual) {
            rows.add(&format!("experts/{kernel}/{}/{law}", precision.name()), curves);
        }
    }
    for (kernel, fit) in &profile.memory.kernels {
        for (width, curve) in &fit.residual {
            let known = curve.iter().map(|(bytes, residual)| (f64::from(*bytes), *residual));
            rows.add_curve(&format!("memory/{}", kernel.name()), &[*width], known);
        }
    }
    for (op, fit) in &profile.collectives {
        rows.add(&format!("collective/{}", op.name()), &fit.residual);
    }
    for (name, fit) in &profile.exchanges {
        rows.add(&format!("exchange/{name}"), &fit.residual);
    }
    rows.table().to_parquet()
}

#[derive(Default)]
struct Columns {
    families: Texts,
    at: [Vec<Option<i64>>; 5],
    knots: Vec<Option<i64>>,
    residuals: Vec<Option<i64>>,
}

impl Columns {
    fn add(&mut self, family: &str, curves: &Curves) {
        for site in curves.sites() {
            let known = curves.knots().iter().copied().zip(site.residual.iter().copied());
            self.add_curve(family, &site.at, known);
        }
    }

    /// The residuals of one shape by its running size.
    fn add_curve(&mut self, family: &str, at: &[u32], known: impl Iterator<Item = (f64, f64)>) {
        let words = &mut self.families.words;
        if words.last().is_none_or(|last| last != family) {
            words.push(family.to_owned());
        }
        let id = words.len() as u32 - 1;
        for (knot, residual) in known {
            self.families.ids.push(Some(id));
            for (axis, column) in self.at.iter_mut().enumerate() {
                column.push(at.get(axis).map(|&x| i64::from(x)));
            }
            self.knots.push(Some(knot as i64));
            self.residuals.push(Some((residual / UNIT).round() as i64));
        }
    }

    fn table(self) -> Table {
        let mut table = Table::new("residuals").with("family", Column::Texts(self.families));
        for (axis, column) in self.at.into_iter().enumerate() {
            table = table.with(&format!("x{axis}"), Column::Integers(column));
        }
        table
            .with("knot", Column::Integers(self.knots))
            .with("residual", Column::Integers(self.residuals))
    }
}
