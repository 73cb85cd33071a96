//! An explanation in sentences.

use std::io::{self, Write};

use super::{Bounded, ExplainedRun, Explanation};
use crate::base::order::{ascending, descending};
use crate::execution::Scope;
use crate::execution::blame::Reason;
use crate::output::report::shared::knobs::by_size;
use crate::output::report::shared::setting::{write_idle, write_settings};
use crate::output::report::shared::stands_on::{write_gate_draws, write_stands_on};
use crate::output::report::shared::value::digits;
use crate::output::report::shared::value::spoken;
use crate::output::report::shared::wrapped::wrapped;

pub(super) fn write(told: &Explanation, out: &mut dyn Write) -> io::Result<()> {
    write_idle(out, &told.setting.idle)?;
    match &told.moepp {
        Some(moepp) => pair(told, moepp, out)?,
        None => {
            wrapped(out, "", &format!("{} on {}", told.vanilla.workload, told.cluster))?;
            time("The", &told.vanilla, out)?;
            bounds(&told.bounds, out)?;
            stands_on(&told.vanilla, out)?;
        }
    }
    told.setting.write_counted(out)?;
    write_settings(out, std::slice::from_ref(&told.setting))
}

fn pair(told: &Explanation, own: &ExplainedRun, out: &mut dyn Write) -> io::Result<()> {
    let (vanilla, counted) = (&told.vanilla, told.setting.counted);
    wrapped(
        out,
        "",
        &format!(
            "{} on {}, {} × {}: {} % more throughput than {}.",
            spoken(&own.workload, own.tau),
            told.cluster,
            told.gpus,
            told.gpu,
            told.increase_percent.shown(1),
            vanilla.workload
        ),
    )?;
    wrapped(
        out,
        "",
        &format!(
            "{}: {} ms against vanilla's {} ms (seed {}).",
            subject(counted),
            digits(own.counted_ms),
            digits(vanilla.counted_ms),
            own.seed
        ),
    )?;
    slots(own, out)?;
    time("Without MoE++ the", vanilla, out)?;
    change(vanilla, own, out)?;
    decides(told, own, out)?;
    stands_on(own, out)?;
    knobs(told, counted, out)
}

/// How many slots reach FFN experts, and what that could be worth at most.
fn slots(own: &ExplainedRun, out: &mut dyn Write) -> io::Result<()> {
    let share = 100.0 * own.ffn_share;
    let most = 100.0 * (100.0 / share - 1.0);
    let text = format!(
        "{share:.1} % of slots reach FFN experts: if all time went with them, the gain would be {most:.0} %."
    );
    wrapped(out, "", &text)
}

fn stands_on(run: &ExplainedRun, out: &mut dyn Write) -> io::Result<()> {
    write_stands_on(out, &run.stands_on)?;
    write_gate_draws(out, run.gate_draws_per_layer)
}

const fn subject(counted: Scope) -> &'static str {
    match counted {
        Scope::Experts => "Expert forward",
        Scope::MoeLayer => "The MoE layers",
        Scope::ModelForward => "The model's forward pass",
        Scope::LayerTraining => "The MoE layers, forward and backward",
        Scope::TrainingStep => "A training step",
    }
}

/// The four largest shares of the time.
fn time(whose: &str, run: &ExplainedRun, out: &mut dyn Write) -> io::Result<()> {
    let whole: f64 = Reason::ALL.map(|reason| run.blame_ms(reason)).iter().sum();
    let mut shares = Reason::ALL.map(|reason| (reason, run.blame_ms(reason) / whole)).to_vec();
    descending(&mut shares, |one| one.1);
    let said =
        |(reason, share): &(Reason, f64)| format!("{} {:.0} %", reason.label(), 100.0 * share);
    let parts: Vec<String> =
        shares.iter().filter(|(_, share)| *share > 0.0).take(4).map(said).collect();
    wrapped(out, "", &format!("{whose} time goes to {}.", parts.join(", ")))
}

/// What MoE++ took away, what it left, what it added.
fn change(vanilla: &ExplainedRun, own: &ExplainedRun, out: &mut dyn Write) -> io::Result<()> {
    let before = |reason: Reason| vanilla.blame_ms(reason);
    let after = |reason: Reason| own.blame_ms(reason);
    let mut changes: Vec<(Reason, f64)> =
        Reason::ALL.map(|reason| (reason, after(reason) - before(reason))).to_vec();
    ascending(&mut changes, |one| one.1);
    let whole: f64 = Reason::ALL.map(before).iter().sum();
    let shortened = |(reason, change): &(Reason, f64)| {
        let percent = 100.0 * change / before(*reason);
        format!("{} {} ms ({percent:+.0} %)", reason.label(), digits(change.abs()))
    };
    let removed = changes.iter().filter(|(_, change)| *change < -0.005 * whole);
    let removed: Vec<String> = removed.take(3).map(shortened).collect();
    if !removed.is_empty() {
        wrapped(out, "", &format!("MoE++ shortens {}.", removed.join(", ")))?;
    }
    let stays =
        |reason: &Reason| before(*reason) > 0.03 * whole && after(*reason) > 0.93 * before(*reason);
    let left = |reason: Reason| format!("{} ({} ms)", reason.label(), digits(after(reason)));
    let kept: Vec<String> = Reason::ALL.into_iter().filter(stays).map(left).collect();
    if !kept.is_empty() {
        wrapped(out, "", &format!("It leaves {}.", kept.join(", ")))?;
    }
    let grown = |(reason, change): &&(Reason, f64)| {
        *change > 0.005 * whole && before(*reason) < after(*reason)
    };
    let added = changes.iter().rev().filter(grown).take(3);
    let added: Vec<String> = added
        .map(|(reason, change)| format!("{} +{} ms", reason.label(), digits(*change)))
        .collect();
    if added.is_empty() {
        return Ok(());
    }
    wrapped(
        out,
        "",
        &format!(
            "It adds {}; {} ms of shared and zero-computation experts hide under exchanges.",
            added.join(", "),
            digits(own.hidden_zero_computation_ms)
        ),
    )
}

/// Which GPU decides, and which chain.
fn decides(told: &Explanation, own: &ExplainedRun, out: &mut dyn Write) -> io::Result<()> {
    ranks(own, out)?;
    bounds(&told.bounds, out)
}

fn ranks(own: &ExplainedRun, out: &mut dyn Write) -> io::Result<()> {
    let share = |ms: f64| 100.0 * ms / own.makespan_ms;
    wrapped(
        out,
        "",
        &format!(
            "GPU {} decides most often: it waits {:.0} % of the time, an average one {:.0} %.",
            own.slowest_gpu,
            share(own.slowest_gpu_waits_ms),
            share(own.mean_gpu_waits_ms)
        ),
    )
}

/// The critical path, and what would be gained without each part.
fn bounds(bounds: &Bounded, out: &mut dyn Write) -> io::Result<()> {
    let key = |reason: Reason| format!("{}_ms", reason.key());
    let time = |reason: &Reason| bounds.critical_path.get(&key(*reason)).copied().unwrap_or(0.0);
    let whole: f64 = bounds.critical_path.values().sum();
    let mut parts: Vec<Reason> = Reason::ALL.into_iter().filter(|r| time(r) > 0.0).collect();
    descending(&mut parts, |one| time(one));
    let share = |ms: f64| 100.0 * ms / whole;
    let said = |reason: &Reason| format!("{} {:.0} %", reason.label(), share(time(reason)));
    let rest: f64 = parts.iter().skip(4).map(|reason| share(time(reason))).sum();
    let rest = (rest > 0.0).then(|| format!("the rest {rest:.0} %"));
    let said: Vec<String> = parts.iter().take(4).map(said).chain(rest).collect();
    let through = match bounds.gpus {
        1 => format!("all on GPU {}", bounds.most_critical_gpu),
        gpus => format!(
            "through {gpus} GPUs, GPU {} most ({:.0} %)",
            bounds.most_critical_gpu,
            share(bounds.most_critical_gpu_ms)
        ),
    };
    wrapped(out, "", &format!("The critical path, {through}: {}.", said.join("; ")))?;
    let mut gains: Vec<(&String, f64)> =
        bounds.throughput_increase_percent_without.iter().map(|(key, gain)| (key, *gain)).collect();
    descending(&mut gains, |one| one.1);
    let label = |key: &str| {
        let reason = Reason::ALL.into_iter().find(|reason| reason.key() == key);
        reason.map_or("links and startups", Reason::label)
    };
    let said = |(key, gain): &(&String, f64)| format!("{} {gain:.0} %", label(key));
    let gains: Vec<String> = gains.iter().map(said).collect();
    if gains.is_empty() {
        return Ok(());
    }
    let text = format!(
        "Were one of these free, throughput would rise by: {}. Each was simulated again: what runs beside \
         others gains less than its share, what slows them down or holds them up gains more.",
        gains.join("; ")
    );
    wrapped(out, "", &text)
}

fn knobs(told: &Explanation, counted: Scope, out: &mut dyn Write) -> io::Result<()> {
    if counted == Scope::Experts {
        return wrapped(
            out,
            "",
            "Links do not matter here: only the experts' own time is counted.",
        );
    }
    let all = by_size(&told.elasticities);
    let links: f64 = all.iter().map(|(_, e)| e.max(0.0)).sum();
    let words = |knob: &str| match knob {
        "startup" => "startup of exchanges".to_owned(),
        class => format!("{class} bandwidth"),
    };
    let named = all.iter().filter(|(_, e)| *e > 0.01);
    let named: Vec<String> = named.map(|(knob, e)| format!("{} {e:.2} %", words(knob))).collect();
    if named.is_empty() {
        return wrapped(out, "", "No link matters: faster ones would change nothing.");
    }
    wrapped(
        out,
        "",
        &format!(
            "One percent better brings throughput: {}; the rest, {:.2} %, is the GPUs' own work.",
            named.join(", "),
            (1.0 - links).max(0.0)
        ),
    )
}
