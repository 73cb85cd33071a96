//! `moesim gate fit`: the law of a recording, or the spreads of a table of counts.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::super::{Failure, output};
use super::recording::ExpertsArg;
use crate::output::progress::Progress;
use moesim::base::statistics::mean;
use moesim::base::streams::Streams;
use moesim::commands::words::tau;
use moesim::config::{Diagnostic, law_json, read_domain_counts};
use moesim::gate::domains::LayerSpread;
use moesim::gate::fit::{self, DEFAULT_RANK};
use moesim::gate::judge::{self, Judgement, Pair};
use moesim::gate::summary::Summary;
use moesim::output::report::evidence::law::{
    FittedPersistence, JudgedLaw, LawResult, LayerSpreads, RecordingShape, SpreadsResult,
};
use moesim::output::report::{MadeBy, wrapped};
use moesim::workload::{Law, Recording};

/// A recording to fit, and what to judge the fit by.
#[derive(Args)]
pub(super) struct FitArgs {
    /// A recording: Parquet, one row per token, columns `seq` and `lLL_kK` (layer, choice); or counts:
    /// CSV with the columns domain, layer, expert and count.
    trace: PathBuf,
    /// Judge by this recording; else by every second sequence, after fitting the others.
    #[arg(long, value_name = "TRACE")]
    judge: Option<PathBuf>,
    /// Dimensions of the latents that layers share: as many as there are sequences, unless given.
    #[arg(long, value_parser = clap::value_parser!(u16).range(0..=4095))]
    rank: Option<u16>,
    /// Seed of what the law draws.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Fit this many resamples of the sequences too, for standard errors of what the law predicts.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1000))]
    bootstrap: u16,
    #[command(flatten)]
    experts: ExpertsArg,
    /// Kinds of the recording's experts in the order of its ids, such as
    /// ffn=8,constant=2,copy=1,zero=1. The law orders them FFN, zero, copy, constant.
    #[arg(long, value_name = "KIND=NUMBER,…")]
    order: Option<String>,
    /// τ of the recorded MoE++ model, to say how far its FFN share is from eq. 7's equilibrium.
    #[arg(long, requires = "order", value_parser = tau)]
    tau: Option<f64>,
    /// Which model of a table of counts.
    #[arg(long)]
    model: Option<String>,
    /// Which kind of counts of a table.
    #[arg(long, default_value = "expert_counts")]
    kind: String,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
    /// Write the law, fitted to all sequences, to this file, which a workload can name as gate.law.
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

pub(super) fn run(args: &FitArgs, out: &mut dyn Write) -> Result<(), Failure> {
    if args.trace.extension().is_some_and(|ending| ending == "csv") {
        return counts(args, out);
    }
    let streams = Streams::new(args.seed);
    let read = |path: &Path| -> Result<Recording, Failure> {
        let recording = args.experts.read(path)?;
        match &args.order {
            None => Ok(recording),
            Some(order) => Ok(renamed(recording, order)?),
        }
    };
    let whole = read(&args.trace)?;
    let (fitted, held_out) = match &args.judge {
        Some(path) => (whole.clone(), read(path)?),
        None => whole.halves(),
    };
    check(&args.trace, &fitted, &held_out)?;
    let experts = fitted.experts().max(held_out.experts()).max(whole.experts());
    let (fitted, held_out) = (fitted.with_experts(experts), held_out.with_experts(experts));
    let counts = fitted.counts();
    let rank = args.rank.map_or(DEFAULT_RANK, usize::from);
    let steps = 2 + u64::from(args.bootstrap > 0) + u64::from(args.out.is_some());
    let progress = Progress::new(steps, "steps", false);
    let law = fit::fit(&counts, rank, streams).with_persistence_of(&fitted, streams);
    progress.step();
    let judgement = judge::judge(&law, &counts, &held_out, streams);
    progress.step();
    let errors = (args.bootstrap > 0)
        .then(|| judge::bootstrap(&counts, rank, args.bootstrap.into(), streams));
    progress.step();
    if let Some(path) = &args.out {
        write_law(args, path, &whole.with_experts(experts), &judgement)?;
    }
    drop(progress);
    let popularity: Vec<Vec<f64>> =
        (0..fitted.layers()).map(|layer| counts.inclusion(layer)).collect();
    let summary = Summary::of(&counts, streams);
    let share = args.order.as_ref().map(|order| {
        let ffn = kinds(order).unwrap_or_default().iter().find(|(kind, _)| *kind == 0).map(|k| k.1);
        let ffn = ffn.unwrap_or(0);
        let of_layer = |pi: &Vec<f64>| pi[..ffn.min(pi.len())].iter().sum::<f64>();
        let slots: Vec<f64> = popularity.iter().map(of_layer).collect();
        let shift = |slots: f64| shift(slots / fitted.top_k() as f64, ffn, experts, args.tau);
        Share { slots: mean(&slots), shifts: slots.iter().map(|&slots| shift(slots)).collect() }
    });
    let report = Report { law: &law, judgement: &judgement, summary, errors, share };
    if args.json {
        let files = std::iter::once(&args.trace).chain(&args.judge);
        let inputs = files.filter_map(|path| output::input(path));
        let made_by = output::call().made_by(inputs);
        return output::result(out, &report.result(made_by, [&fitted, &held_out]));
    }
    report.text([&fitted, &held_out], out)?;
    match &args.out {
        Some(path) => Ok(writeln!(out, "law: {}", path.display())?),
        None => Ok(()),
    }
}

/// Writes the law of a whole recording, and how one of a part of it was judged.
fn write_law(
    args: &FitArgs,
    path: &Path,
    whole: &Recording,
    judgement: &Judgement,
) -> Result<(), Failure> {
    let (rank, streams) = (args.rank.map_or(DEFAULT_RANK, usize::from), Streams::new(args.seed));
    let law = fit::fit(&whole.counts(), rank, streams).with_persistence_of(whole, streams);
    let provenance = json!({
        "written_by": concat!("moesim ", env!("CARGO_PKG_VERSION"), " gate fit"),
        "trace": args.trace.display().to_string(), "trace_shape": RecordingShape::of(whole),
        "order": args.order, "rank": law.rank, "seed": args.seed,
        "judged_on": args.judge.as_ref().map_or_else(
            || "every second sequence, by a fit of the others".to_owned(),
            |path| path.display().to_string(),
        ),
        "judgement": JudgedLaw::of(judgement),
    });
    Ok(output::write(path, law_json(&law, provenance))?)
}

/// λ: how far a share of FFN slots is from that of eq. 7, in logits.
fn shift(share: f64, ffn: usize, experts: usize, tau: Option<f64>) -> Option<f64> {
    let (ffn, others) = (ffn as f64, (experts - ffn.min(experts)) as f64);
    let logit = |p: f64| (p / (1.0 - p)).ln();
    tau.filter(|_| share > 0.0 && share < 1.0 && others > 0.0)
        .map(|tau| logit(share) - (tau * ffn / others).ln())
}

/// Kinds, 0 to 3 for FFN, zero, copy and constant, and how many of each.
fn kinds(order: &str) -> Option<Vec<(usize, usize)>> {
    let known = ["ffn", "zero", "copy", "constant"];
    order
        .split(',')
        .map(|part| {
            let (kind, number) = part.split_once('=')?;
            let kind = known.iter().position(|known| *known == kind.trim())?;
            let number = number.trim().parse::<usize>().ok().filter(|n| (1..=4096).contains(n))?;
            Some((kind, number))
        })
        .collect()
}

/// A recording with its experts in the order FFN, zero, copy, constant.
fn renamed(recording: Recording, order: &str) -> Result<Recording, Diagnostic> {
    let help = "write each kind once, such as ffn=8,constant=2,copy=1,zero=1";
    let wrong = |found: String| Diagnostic::of("--order", found, help);
    let kinds = kinds(order).ok_or_else(|| wrong(format!("`{order}` is not a list of kinds")))?;
    let total: usize = kinds.iter().map(|(_, number)| number).sum();
    if total < recording.experts()
        || (0..4).any(|k| kinds.iter().filter(|of| of.0 == k).count() > 1)
    {
        let experts = recording.experts();
        return Err(wrong(format!("`{order}` does not name {experts} experts, each kind once")));
    }
    let mut names = vec![];
    for &(kind, number) in &kinds {
        let before: usize = kinds.iter().filter(|of| of.0 < kind).map(|of| of.1).sum();
        names.extend((before..before + number).map(|name| name as u16));
    }
    Ok(recording.with_experts(total).renamed(&names))
}

fn check(path: &Path, fitted: &Recording, held_out: &Recording) -> Result<(), Failure> {
    let place = path.display().to_string();
    let few = fitted.sequences().len().min(held_out.sequences().len());
    if few < 2 {
        let help = "give a recording of at least four sequences, or another by --judge";
        return Err(Diagnostic::of(place, "has too few sequences to fit and judge", help).into());
    }
    let same = |f: fn(&Recording) -> usize| f(fitted) == f(held_out);
    if !same(Recording::layers) || !same(Recording::top_k) {
        let help = "judge by a recording of the same model: as many layers and choices";
        return Err(
            Diagnostic::of(place, "is of another model than the one to judge by", help).into()
        );
    }
    Ok(())
}

/// What a fit is told by.
struct Report<'a> {
    law: &'a Law,
    judgement: &'a Judgement,
    summary: Summary,
    /// Standard errors of the law's max/mean at each size of batch, mean over layers.
    errors: Option<Vec<f64>>,
    share: Option<Share>,
}

/// How many slots go to FFN experts.
struct Share {
    /// FFN experts per token, mean over layers.
    slots: f64,
    /// λ of each layer, where τ is known.
    shifts: Option<Vec<f64>>,
}

impl Report<'_> {
    fn text(
        &self,
        [fitted, held_out]: [&Recording; 2],
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        for (what, recording) in [("fitted on", fitted), ("judged on", held_out)] {
            writeln!(
                out,
                "{what}: {} tokens of {} sequences, {} layers, {} of {} experts per token",
                recording.tokens(),
                recording.sequences().len(),
                recording.layers(),
                recording.top_k(),
                recording.experts()
            )?;
        }
        writeln!(
            out,
            "\nmax/mean load, batches of whole sequences, mean over layers; ± one standard error"
        )?;
        writeln!(
            out,
            "  tokens          seen            law   error of a layer: law, independent tokens, fitted part"
        )?;
        for (at, batch) in self.judgement.batches.iter().enumerate() {
            let Pair { seen, modelled } = batch.peak();
            let error = self.errors.as_ref().map_or_else(
                || " ".repeat(8),
                |errors| format!(" ± {:.3}", errors.get(at).copied().unwrap_or(0.0)),
            );
            writeln!(
                out,
                "{:>8} {seen:>6.3} ± {:.3} {modelled:>6.3}{error} {:>18.1} % {:>16.1} % {:>9.1} %",
                batch.seen.batch_tokens,
                batch.seen_error,
                100.0 * batch.peak_error(),
                100.0 * batch.independent_peak_error(),
                100.0 * batch.fitted_peak_error()
            )?;
        }
        writeln!(out, "\nstatistic                                seen    law   error")?;
        let mut line = |name: String, pair: Pair| {
            let Pair { seen, modelled } = pair;
            let error = pair.error().map(|error| format!("{:+.1} %", 100.0 * error));
            let error = error.unwrap_or_else(|| "-".to_owned());
            writeln!(out, "{name:<38} {seen:>6.3} {modelled:>6.3} {error:>8}")
        };
        for (gap, pair) in &self.judgement.overlap {
            line(format!("overlap of tokens {gap} apart"), *pair)?;
        }
        for (lag, pair) in &self.judgement.depth {
            line(format!("information of layers {lag} apart"), *pair)?;
        }
        if let Some(pair) = self.judgement.correlation() {
            line("correlation of layers' imbalance".to_owned(), pair)?;
        }
        let persistence = self.law.persistence;
        writeln!(
            out,
            "\nlaw: rank {}, persistence {:.2} decaying by {:.2} a token, {:.2} common to layers",
            self.law.rank, persistence.share, persistence.decay, persistence.depth
        )?;
        writeln!(
            out,
            "in short: popularity_concentration = {:.2}, sequence_sd = {:.2}, sequence_common = {:.2}",
            self.summary.popularity_concentration,
            self.summary.sequence_sd,
            self.summary.sequence_common
        )?;
        if let Some(Share { slots, shifts }) = &self.share {
            write!(out, "FFN experts per token: {slots:.3}")?;
            if let Some(shifts) = shifts {
                let shifts: Vec<String> =
                    shifts.iter().map(|shift| format!("{shift:.3}")).collect();
                let shifts = shifts.join(", ");
                write!(out, ", ffn_logit_shift = [{shifts}] by layer from eq. 7's equilibrium")?;
            }
            writeln!(out)?;
        }
        Ok(())
    }

    fn result(&self, made_by: MadeBy, [fitted, held_out]: [&Recording; 2]) -> LawResult {
        let persistence = self.law.persistence;
        LawResult {
            made_by,
            trace: RecordingShape::of(fitted),
            held_out: RecordingShape::of(held_out),
            judged: JudgedLaw::of(self.judgement),
            persistence: FittedPersistence {
                share: persistence.share,
                decay: persistence.decay,
                depth: persistence.depth,
            },
            popularity_concentration: self.summary.popularity_concentration,
            sequence_sd: self.summary.sequence_sd,
            sequence_common: self.summary.sequence_common,
            law_max_over_mean_standard_error: self.errors.clone(),
            ffn_experts_per_token: self.share.as_ref().map(|share| share.slots),
            ffn_logit_shift: self.share.as_ref().and_then(|share| share.shifts.clone()),
        }
    }
}

/// Spreads of a table of counts.
fn counts(args: &FitArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let counts = read_domain_counts(&args.trace, args.model.as_deref(), &args.kind)?;
    let spreads: Vec<LayerSpread> =
        (0..counts.layers.len()).map(|layer| counts.spread(layer)).collect();
    let mean_of = |f: fn(&LayerSpread) -> f64| mean(&spreads.iter().map(f).collect::<Vec<f64>>());
    let popularity = mean_of(|s| s.popularity_sd.0);
    let number = counts.domains.len();
    let domain = (number > 1).then(|| mean_of(|s| s.domain_sd.map_or(0.0, |sd| sd.0)));
    if args.json {
        let layers = counts.layers.iter().zip(&spreads).map(|(&layer, s)| LayerSpreads {
            layer,
            popularity_sd: s.popularity_sd.0,
            popularity_sd_standard_error: s.popularity_sd.1,
            domain_sd: s.domain_sd.map(|sd| sd.0),
            domain_sd_standard_error: s.domain_sd.and_then(|sd| sd.1),
            mixed_max_over_mean: s.mixed.peak,
            mixed_cv: s.mixed.cv,
        });
        let report = SpreadsResult {
            made_by: output::call().made_by(output::input(&args.trace)),
            layers: layers.collect(),
            domains: counts.domains,
            popularity_sd: popularity,
            domain_sd: domain,
            not_known: not_known(number).into_iter().map(str::to_owned).collect(),
        };
        return output::result(out, &report);
    }
    writeln!(out, "domains: {}\n", counts.domains.join(", "))?;
    writeln!(out, "layer  popularity_sd        domain_sd        max/mean of the mix    cv")?;
    for (layer, s) in counts.layers.iter().zip(&spreads) {
        let told = |(value, error): (f64, Option<f64>)| match error {
            Some(error) => format!("{value:.3} ± {error:.3}"),
            None => format!("{value:.3}"),
        };
        let (popularity, domain) =
            (told(s.popularity_sd), s.domain_sd.map_or("-".to_owned(), told));
        let (peak, cv) = (s.mixed.peak, s.mixed.cv);
        writeln!(out, "{layer:>5}  {popularity:<20} {domain:<15} {peak:>17.2} {cv:>8.2}")?;
    }
    write!(out, "\nmeans, for a workload's [gate]: popularity_sd = {popularity:.2}")?;
    if let Some(domain) = domain {
        write!(out, ", domains = {number}, domain_sd = {domain:.2}")?;
    }
    writeln!(out)?;
    if number > 2 {
        writeln!(out, "±: standard error, by leaving out one domain at a time")?;
    }
    let mut untold = not_known(number).into_iter();
    Ok(untold.try_for_each(|line| wrapped(out, "not known: ", line))?)
}

/// What a table of counts of this many domains cannot tell, and what a workload takes in its place.
fn not_known(domains: usize) -> Vec<&'static str> {
    let mut lines = Vec::new();
    match domains {
        1 => lines.push(
            "how domains differ, from counts of one: domains = 1 and domain_sd = 0 stay, and \
             popularity_sd is of this traffic",
        ),
        2 => lines.push("standard errors, which take three domains"),
        _ => {}
    }
    lines.push(
        "how sequences and successive tokens differ, from counts: sequence_sd = 0 and persistence = 0 \
         stay, so small batches come out too even; a recording of choices tells them",
    );
    lines
}
