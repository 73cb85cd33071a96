//! A plan in sentences, then all candidates as a table.

use std::io::{self, Write};

use super::{PlanCandidate, PlanResult, sure};
use crate::base::order::descending;
use crate::execution::blame::Reason;
use crate::output::report::shared::knobs::by_size;
use crate::output::report::shared::sampled::write_sampled_sum;
use crate::output::report::shared::setting::{
    Setting, write_idle_of, write_models, write_settings,
};
use crate::output::report::shared::stands_on::{write_gate_draws, write_stands_on};
use crate::output::report::shared::table::{Column, Table};
use crate::output::report::shared::value::{digits, rounded};
use crate::output::report::shared::wrapped::wrapped;

pub(super) fn write(plan: &PlanResult, out: &mut dyn Write) -> io::Result<()> {
    answer(plan).iter().try_for_each(|sentence| wrapped(out, "", sentence))?;
    write_idle_of(out, &plan.settings)?;
    wrapped(out, "", &format!("Time goes to {}.", blame(plan).join(", ")))?;
    write_stands_on(out, &plan.stands_on)?;
    write_gate_draws(out, plan.gate_draws_per_layer)?;
    helps(plan, out)?;
    table(plan, out)?;
    let named = |of: &PlanCandidate| format!("{}, {}", of.cluster, of.spoken());
    write_sampled_sum(out, plan.candidates.iter().map(|of| (named(of), of.sampled.as_ref())))?;
    quality(plan, out)?;
    if let Some(first) = plan.settings.first() {
        write_models(out, &first.workloads)?;
        first.write_counted(out)?;
        spread(first, out)?;
    }
    for left_out in &plan.left_out {
        let (name, usd, dated) = (&left_out.cluster, left_out.usd, &left_out.prices_of);
        let why = format!("left out, as it costs {usd:.0} USD by prices of {dated}");
        wrapped(out, &format!("{name}: "), &why)?;
    }
    write_settings(out, &plan.settings)
}

/// What to take, with what probability, and what it gives; of nothing that comes near, that.
pub(super) fn answer(plan: &PlanResult) -> Vec<String> {
    let told = plan.told();
    let (spoken, cluster) = (told.spoken(), &told.cluster);
    let [probability, asked] = [told.probability, plan.asked_probability].map(|p| sure(p, 2));
    // So far off that no draw of any candidate comes near: which is closest says nothing of τ.
    if !plan.met && plan.candidates.iter().all(|one| one.probability < 5e-4) {
        return vec![nothing_near(plan)];
    }
    let answer = if plan.met {
        format!(
            "Take {spoken} on {cluster}: it meets the target with probability {probability} (asked: {asked})."
        )
    } else {
        format!(
            "Nothing meets the target with {:.0} %. Closest: {spoken} on {cluster}, with probability {probability}.",
            100.0 * plan.asked_probability
        )
    };
    let quality = match told.quality {
        Some(_) => format!("; quality {}", quality_of(told, decimals(plan), true)),
        None => String::new(),
    };
    let gives = format!(
        "It gives {} tokens/s, {:+.1} % of the target's {}{}{}.",
        rounded(told.tokens_per_s),
        told.margin_percent,
        rounded(told.target_tokens_per_s),
        quality,
        if told.quality_extrapolated { " (outside the τ that were measured)" } else { "" }
    );
    vec![answer, gives]
}

/// The answer where no candidate comes near the target.
fn nothing_near(plan: &PlanResult) -> String {
    let told = plan.told();
    let fastest = plan.candidates.iter().max_by(|a, b| a.tokens_per_s.total_cmp(&b.tokens_per_s));
    let fastest = fastest.unwrap_or(told);
    format!(
        "Nothing comes near the target of {} tokens/s. The fastest, {} on {}, gives {}, {:.1e} of it.",
        shown_target(told.target_tokens_per_s),
        fastest.spoken(),
        fastest.cluster,
        digits(fastest.tokens_per_s),
        fastest.tokens_per_s / told.target_tokens_per_s
    )
}

/// A target as people write it: powers of ten where digits say nothing.
fn shown_target(tokens_per_s: f64) -> String {
    if tokens_per_s < 1e12 { digits(tokens_per_s) } else { format!("{tokens_per_s:.1e}") }
}

/// The three largest shares of the time.
fn blame(plan: &PlanResult) -> Vec<String> {
    let of = |reason: Reason| plan.blame.get(reason.key()).map(|share| (reason, *share));
    let mut shares: Vec<(Reason, f64)> = Reason::ALL.into_iter().filter_map(of).collect();
    descending(&mut shares, |one| one.1);
    let said =
        |(reason, share): &(Reason, f64)| format!("{} {:.0} %", reason.label(), 100.0 * share);
    shares.iter().take(3).map(said).collect()
}

fn helps(plan: &PlanResult, out: &mut dyn Write) -> io::Result<()> {
    let knobs = by_size(&plan.elasticities).into_iter();
    let helps: Vec<String> = knobs
        .filter(|(_, e)| *e > 0.02)
        .take(3)
        .map(|(knob, e)| match knob {
            "startup" => format!("start-ups 1 % shorter, {e:.2} %"),
            links => format!("{links} links 1 % faster, {e:.2} %"),
        })
        .collect();
    if !helps.is_empty() {
        wrapped(out, "", &format!("What would add to throughput: {}.", helps.join("; ")))?;
    }
    if plan.met { Ok(()) } else { what_would_meet_it(plan, out) }
}

/// What would meet a target that nothing meets with the probability asked for.
fn what_would_meet_it(plan: &PlanResult, out: &mut dyn Write) -> io::Result<()> {
    let told = plan.told();
    let one_seed = plan.settings.iter().any(|one| one.seeds[1] - one.seeds[0] == 1);
    if one_seed && told.margin_percent >= 0.0 {
        wrapped(
            out,
            "",
            "One seed tells no probability above 0.75: give more, such as --seeds 0..5.",
        )?;
    }
    if told.margin_percent >= 0.0 {
        return Ok(());
    }
    if plan.target_is_time {
        let said = format!(
            "To meet it on average: fewer tokens per GPU (more GPUs do not shorten a step), or {:.3} times the time that was asked.",
            told.target_tokens_per_s / told.tokens_per_s
        );
        return wrapped(out, "", &said);
    }
    let said = format!(
        "To meet it on average: {:.2} times the GPUs, in whole expert-parallel groups, or a target of {} tokens/s.",
        told.target_tokens_per_s / told.tokens_per_s,
        digits(told.tokens_per_s)
    );
    wrapped(out, "", &said)
}

fn table(plan: &PlanResult, out: &mut dyn Write) -> io::Result<()> {
    let figures = [9, 13, 13, 13].map(Column::right);
    let mark = Column::left(0).after(1);
    let mut table = Table::of(std::iter::once(Column::left(22)).chain(figures).chain([mark]));
    table.row(["cluster", "τ", "tokens/s", "probability", "quality"]);
    let decimals = decimals(plan);
    for candidate in &plan.candidates {
        let taken = plan.recommended.as_ref() == Some(candidate);
        let mark = match (taken, plan.front.contains(candidate)) {
            (true, _) => "◀ take",
            (false, true) => "front",
            (false, false) if !candidate.fits => "does not fit into memory",
            (false, false) => "",
        };
        table.row([
            candidate.cluster.clone(),
            tau_word(candidate),
            digits(candidate.tokens_per_s),
            sure(candidate.probability, 3),
            quality_of(candidate, decimals, false),
            mark.to_owned(),
        ]);
    }
    writeln!(out)?;
    table.write(out)?;
    for candidate in &plan.candidates {
        if let Some(arithmetic) = &candidate.too_large {
            let label = format!("{}, τ {}: ", candidate.cluster, tau_word(candidate));
            wrapped(out, &label, arithmetic)?;
        }
    }
    Ok(())
}

fn tau_word(candidate: &PlanCandidate) -> String {
    candidate.tau.map_or("vanilla".to_owned(), |tau| format!("{tau}"))
}

/// Expected quality, with how sure it is; `–` where nothing was measured.
fn quality_of(candidate: &PlanCandidate, decimals: usize, with_noise: bool) -> String {
    let Some(quality) = candidate.quality else { return "–".to_owned() };
    match candidate.quality_noise.filter(|_| with_noise) {
        Some(noise) => format!("{quality:.decimals$} ± {noise:.decimals$}"),
        None => format!("{quality:.decimals$}"),
    }
}

/// Decimals that tell candidates apart: the first of the noise, or of a fiftieth of their range.
fn decimals(plan: &PlanResult) -> usize {
    let known = || plan.candidates.iter().filter_map(|one| one.quality);
    let range = known().fold(f64::NEG_INFINITY, f64::max) - known().fold(f64::INFINITY, f64::min);
    let scatter = || plan.quality.as_ref()?.quality_scatter;
    let noise = plan.told().quality_noise.or_else(scatter);
    let size = noise.filter(|noise| *noise > 0.0).unwrap_or(range / 50.0);
    if size > 0.0 && size.is_finite() {
        (-size.log10().floor()).clamp(0.0, 6.0) as usize
    } else {
        1
    }
}

/// What quality follows, how sure that is, and what speaks against it.
fn quality(plan: &PlanResult, out: &mut dyn Write) -> io::Result<()> {
    let Some(trend) = &plan.quality else {
        writeln!(out)?;
        return wrapped(out, "quality: ", "not asked for, as one vanilla workload stands alone");
    };
    let what = if trend.quality_slope.is_some() { "averages" } else { "points" };
    let slope = trend.quality_slope.map(|slope| format!(" with slope {slope:.2}"));
    let from = &trend.quality_scatter_from;
    let scatter = match trend.quality_scatter {
        Some(noise) => {
            let decimals = decimals(plan) + 1;
            format!(
                "single points scatter ± {noise:.decimals$} {from}, so smaller differences are not shown by the data."
            )
        }
        None => "how far points scatter is unknown: give a column noise, or points at the same τ."
            .to_owned(),
    };
    let law = &trend.quality_law;
    let text = format!(
        "{what} of {}, {law}{}; {scatter}",
        trend.quality_source,
        slope.unwrap_or_default()
    );
    writeln!(out)?;
    wrapped(out, "quality: ", &text)?;
    for doubt in &trend.quality_doubts {
        wrapped(out, "warning: ", doubt)?;
    }
    let unknown = |one: &PlanCandidate| one.tau.is_none() && one.quality.is_none();
    if plan.candidates.iter().any(unknown) {
        wrapped(out, "", "vanilla: its quality is not given (a line of the file with no τ)")?;
    }
    Ok(())
}

/// Says so where seeds cannot show a spread.
fn spread(setting: &Setting, out: &mut dyn Write) -> io::Result<()> {
    if setting.seeds[1] - setting.seeds[0] > 1 {
        return Ok(());
    }
    let text = "one seed shows no spread: 0.75 where it meets the target, 0.25 where it does not, by Jeffreys' prior; \
                more seeds (--seeds 0..8) tell";
    wrapped(out, "probability: ", text)
}
