//! Advice in sentences.

use std::io::{self, Write};

use super::{AdviceResult, AdvisedBreakEven, GainAt};
use crate::output::report::shared::knobs::by_size;
use crate::output::report::shared::setting::{write_idle, write_settings};
use crate::output::report::shared::stands_on::write_stands_on;
use crate::output::report::shared::value::{digits, spoken};
use crate::output::report::shared::word::Word;
use crate::output::report::shared::wrapped::wrapped;
use crate::studies::advise::Part;

pub(super) fn write(advice: &AdviceResult, out: &mut dyn Write) -> io::Result<()> {
    let (setting, vanilla, moepp) = (&advice.setting, &advice.vanilla, &advice.moepp);
    answer(advice).iter().try_for_each(|sentence| wrapped(out, "", sentence))?;
    write_idle(out, &setting.idle)?;
    let times = [vanilla.counted_ms, moepp.counted_ms].map(digits);
    writeln!(out, "{} ms, vanilla {} ms.", times[1], times[0])?;
    let (worth, idle) = (advice.worth_percent, advice.idle_percent);
    let rule = format!(
        "adopt where the gain's interval begins at {worth} % or more, avoid where it ends below {idle} %, \
         else defer"
    );
    wrapped(out, "verdicts: ", &rule)?;
    if !advice.derived.is_empty() {
        let text = format!("from {}: {}", vanilla.workload, advice.derived.join("; "));
        wrapped(out, "derived: ", &text)?;
    }
    write_stands_on(out, &advice.stands_on)?;
    shares(advice, out)?;
    turns(advice, out)?;
    writeln!(out)?;
    setting.write_counted(out)?;
    write_settings(out, std::slice::from_ref(setting))
}

/// The verdict, and the gain that it rests on.
pub(super) fn answer(advice: &AdviceResult) -> [String; 2] {
    let (setting, vanilla) = (&advice.setting, &advice.vanilla);
    let gain = advice.increase_percent.shown(1);
    let own = spoken(&advice.moepp.workload, advice.tau);
    let on = format!("{}, {} × {}", setting.topology, advice.gpus, setting.gpu);
    [
        format!("{}: {}.", capital(advice.verdict.word_of()), advice.because),
        format!("{own} on {on}: {gain} % more throughput than {}.", vanilla.workload),
    ]
}

/// A word with its first letter in capitals.
fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What takes the time, and what MoE++ can take away of it.
fn shares(advice: &AdviceResult, out: &mut dyn Write) -> io::Result<()> {
    let (vanilla, moepp) = (&advice.vanilla, &advice.moepp);
    writeln!(out, "\n{:<34} {:>8} {:>8}", "share of the time, %", "vanilla", "MoE++")?;
    for part in Part::ALL {
        let both = [vanilla.share(part), moepp.share(part)].map(|share| 100.0 * share);
        if both.iter().any(|share| *share >= 0.05) {
            writeln!(out, "{:<34} {:>8.1} {:>8.1}", part.label(), both[0], both[1])?;
        }
    }
    if let (Some(before), Some(after)) =
        (vanilla.exchange_to_ffn_ratio, moepp.exchange_to_ffn_ratio)
    {
        writeln!(out, "{:<34} {before:>8.2} {after:>8.2}", "exchange to FFN ratio")?;
    }
    let (before, after) = (vanilla.load_entropy, moepp.load_entropy);
    writeln!(out, "{:<34} {before:>8.3} {after:>8.3}", "entropy of FFN experts' loads")?;
    let (before, after) = (vanilla.load_max_over_mean, moepp.load_max_over_mean);
    writeln!(out, "{:<34} {before:>8.2} {after:>8.2}", "largest load over the mean")?;
    writeln!(out)?;
    let text = format!(
        "{:.1} % of MoE++'s slots reach FFN experts: if FFN experts, exchanges and waiting shrank with them, \
         {:.1} % would be gained.",
        100.0 * advice.ffn_share,
        advice.proportional_percent
    );
    wrapped(out, "", &text)?;
    let place = if advice.zero_computation_local {
        "a copy on every GPU, no dispatch"
    } else {
        "placed like FFN experts, dispatched like them"
    };
    writeln!(out, "Zero-computation experts: {place}.")?;
    let named = by_size(&advice.elasticities).into_iter().filter(|(_, e)| *e > 0.01);
    let named: Vec<String> = named.map(|(knob, e)| format!("{knob} {e:.2} %")).collect();
    if named.is_empty() {
        return writeln!(out, "No link matters to vanilla.");
    }
    let text = format!("One percent better brings vanilla: {}.", named.join(", "));
    wrapped(out, "", &text)
}

fn turns(advice: &AdviceResult, out: &mut dyn Write) -> io::Result<()> {
    let worth = advice.worth_percent;
    writeln!(out, "\nwhere the mean gain reaches {worth} % (same seeds at every value)")?;
    advice.break_evens.iter().try_for_each(|found| {
        let label = format!("{}: ", name(found));
        wrapped(out, &label, &outcome(found, worth))
    })
}

/// What is varied, with its unit.
fn name(found: &AdvisedBreakEven) -> String {
    match (found.varied.as_str(), &found.class) {
        ("tau", _) => "τ".to_owned(),
        ("tokens_per_gpu", _) => "tokens per GPU".to_owned(),
        ("expert_parallel", _) => "expert-parallel GPUs".to_owned(),
        (_, class) => format!("{} GB/s", class.as_deref().unwrap_or_default()),
    }
}

/// A value in no more digits than the search tells apart.
fn value(found: &AdvisedBreakEven, at: f64) -> String {
    match found.varied.as_str() {
        "tokens_per_gpu" | "expert_parallel" => format!("{at:.0}"),
        "tau" => format!("{at:.2}"),
        _ => format!("{at:.1}"),
    }
}

fn outcome(found: &AdvisedBreakEven, worth: f64) -> String {
    if let Some(idle) = &found.idle {
        return format!("not varied, {idle}");
    }
    let now = found.now.map_or_else(|| "-".to_owned(), |now| value(found, now));
    let mut said = vec![format!("now {now}")];
    let point = |point: &GainAt| {
        format!("{} ({:.2} %)", value(found, point.at), point.throughput_increase_percent)
    };
    for turn in &found.turns {
        said.push(format!("pays at {}, not at {}", point(&turn.pays), point(&turn.fails)));
    }
    if let (Some(first), Some(last), true) =
        (found.curve.first(), found.curve.last(), found.turns.is_empty())
    {
        let pays = first.throughput_increase_percent >= worth;
        let always = if pays { "pays" } else { "does not pay" };
        let ends = format!("between {} and {}", point(first), point(last));
        said.push(format!("does not turn {ends}: {always}"));
    }
    if let Some(first) = found.left_out.first() {
        let all: Vec<String> = found.left_out.iter().map(|one| value(found, one.at)).collect();
        said.push(format!("not run at {}: {}", all.join(", "), first.why));
    }
    said.join("; ")
}
