//! Pages of what decides: comparisons of clusters, plans, layouts.

use super::facts::{cautions, elasticities, left_out, overrides, rounded, stands_on, taken};
use super::{Block, Drawing, Page, Table};
use crate::base::choice::Choice;
use crate::config::Diagnostic;
use crate::execution::blame::Reason;
use crate::output::pictures::{cost_chart, front_chart, layouts_chart, throughput_chart};
use crate::output::plot::PlotError;
use crate::output::report::comparison::{ComparedCluster, Comparison};
use crate::output::report::layouts::LayoutsResult;
use crate::output::report::plan::PlanResult;
use crate::output::report::{Setting, digits, spoken};

/// A picture of something that cannot always be drawn: cost without a price, quality where it is not known.
fn where_known<C>(chart: Result<C, Diagnostic>) -> Option<C> {
    chart.ok()
}

/// What was taken, and what was set.
fn went_in(settings: &[Setting], set: &[String]) -> Vec<Block> {
    std::iter::once(Block::Table(taken(settings))).chain(overrides(set)).collect()
}

impl Page {
    /// Of a comparison.
    ///
    /// # Errors
    /// If a picture cannot be drawn.
    pub fn of_comparison(of: &Comparison) -> Result<Self, PlotError> {
        let own = spoken(&of.workload, of.tau);
        let equal = of.equal.word();
        let against =
            of.vanilla.as_ref().map_or_else(String::new, |base| format!(" against {base}"));
        let mut page = Self {
            title: "Clusters compared".to_owned(),
            question: format!("Which cluster gives {own}{against} the most, at equal {equal}?"),
            answer: best_cluster(of),
            made_by: Some(of.made_by.clone()),
            ..Self::default()
        };
        page.draw(Drawing::of("Throughput", &throughput_chart(of))?);
        if let Some(chart) = where_known(cost_chart(of, "")) {
            page.draw(Drawing::of("Throughput against what it costs", &chart)?);
        }
        page.part("Results", vec![Block::Table(clusters(of))]);
        let all: Vec<_> =
            of.clusters.iter().map(|own| (own.cluster.as_str(), &own.elasticities)).collect();
        page.part("What binds", elasticities(&all));
        page.part("How sure it is", intervals(&of.settings));
        page.part(
            "What it stands on",
            stands_on(of.clusters.iter().flat_map(|own| &own.stands_on)),
        );
        page.part("What went in", went_in(&of.settings, &of.set));
        let mut own = cautions(&of.settings);
        own.push(format!("prices are of {}, most of them stated guesses", of.prices_of));
        page.part("What is left out", left_out(own));
        Ok(page)
    }

    /// Of a plan.
    ///
    /// # Errors
    /// If a picture cannot be drawn.
    pub fn of_plan(plan: &PlanResult) -> Result<Self, PlotError> {
        let target = rounded(plan.told().target_tokens_per_s);
        let mut page = Self {
            title: "A plan".to_owned(),
            question: format!("Which τ meets {target} tokens/s at the least loss of quality?"),
            answer: plan.answer(),
            made_by: Some(plan.made_by.clone()),
            ..Self::default()
        };
        if let Some(chart) = where_known(front_chart(plan, "")) {
            page.draw(Drawing::of("Quality against throughput", &chart)?);
        }
        page.part("Candidates", vec![Block::Table(candidates(plan))]);
        page.part("Where the time goes", vec![Block::Table(blame(plan))]);
        page.part(
            "What binds",
            elasticities(&[(plan.told().cluster.as_str(), &plan.elasticities)]),
        );
        page.part("How sure it is", quality(plan));
        page.part("What it stands on", stands_on(&plan.stands_on));
        page.part("What went in", went_in(&plan.settings, &plan.set));
        let dear = plan.left_out.iter();
        let dear =
            dear.map(|own| format!("{}: costs {:.0} USD, more than allowed", own.cluster, own.usd));
        page.part(
            "What is left out",
            left_out(cautions(&plan.settings).into_iter().chain(dear).collect()),
        );
        Ok(page)
    }

    /// Of a search among layouts.
    ///
    /// # Errors
    /// If a picture cannot be drawn.
    pub fn of_layouts(found: &LayoutsResult) -> Result<Self, PlotError> {
        let mut page = Self {
            title: "Layouts".to_owned(),
            question: format!(
                "Which layout of {} is best for {}?",
                found.workload,
                found.objective.word()
            ),
            answer: vec![found.answer(), format!("{}.", found.counted())],
            made_by: Some(found.made_by.clone()),
            ..Self::default()
        };
        page.draw(Drawing::of("Throughput against step time", &layouts_chart(found))?);
        page.part("Layouts that none beats", vec![Block::Table(layouts(found))]);
        let mut sure = intervals(&found.settings);
        let margin = 100.0 * found.bound_margin;
        let words =
            format!("Bounds by which layouts were dropped allow for an error of {margin:.0} %.");
        sure.push(Block::Words(words));
        page.part("How sure it is", sure);
        page.part("What went in", went_in(&found.settings, &found.set));
        let why = [
            ("not allowed, as one", &found.refused_why),
            ("too large, the least", &found.too_large_why),
        ];
        let why =
            why.into_iter().filter_map(|(label, why)| Some(format!("{label}: {}", why.as_ref()?)));
        page.part(
            "What is left out",
            left_out(cautions(&found.settings).into_iter().chain(why).collect()),
        );
        Ok(page)
    }
}

/// The best cluster with its throughput, and the second.
fn best_cluster(of: &Comparison) -> Vec<String> {
    let Some(best) = of.clusters.first() else {
        return vec!["No cluster was compared.".to_owned()];
    };
    let (unit, name) = (of.equal.unit(), &best.cluster);
    let per = rounded(of.per(best).unwrap_or_default());
    let gain = match best.increase_percent.mean {
        Some(_) => format!(", with a gain of MoE++ of {} %", best.increase_percent.shown(1)),
        None => String::new(),
    };
    let first = format!("{name} gives the most: {per} {unit}{gain}.");
    let second = of.clusters.get(1).map(|own| {
        let (other, ratio) = (&own.cluster, own.ratio_to_best.value());
        match own.differs_from_best {
            true => format!("{other} gives {ratio:.2} of that."),
            false => not_told_apart(of, own),
        }
    });
    std::iter::once(first).chain(second).collect()
}

/// What is said of a cluster whose interval leaves open whether it gives less than the best.
fn not_told_apart(of: &Comparison, own: &ComparedCluster) -> String {
    let (other, ratio) = (&own.cluster, own.ratio_to_best.value());
    let (low, high) = own.ratio_to_best.interval().unwrap_or((ratio, ratio));
    let low = low.max(0.0);
    match of.few_seeds() {
        Some(seeds) => format!(
            "{other} gives {ratio:.2} of that in the mean, but {seeds} seeds leave {low:.2} to {high:.2} open: more \
             seeds tell whether they differ."
        ),
        None => {
            format!("{other} is within noise of it: {ratio:.2}, between {low:.2} and {high:.2}.")
        }
    }
}

fn clusters(of: &Comparison) -> Table {
    let head =
        ["cluster", "GPU", "GPUs", of.equal.unit(), "of the best", "gain, %", "binds", "USD", "W"];
    let mut table = Table::of("Clusters, the best first", head);
    for own in &of.clusters {
        let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), rounded);
        table.row([
            own.cluster.clone(),
            own.gpu.clone(),
            own.gpus.to_string(),
            shown(of.per(own)),
            format!("{:.2}", own.ratio_to_best.value()),
            own.increase_percent.shown(1),
            own.binds.clone().unwrap_or_else(|| "no link".to_owned()),
            shown(own.usd),
            shown(own.watts),
        ]);
    }
    table
}

/// Reasons by the names that pictures have for them.
fn blame(plan: &PlanResult) -> Table {
    let mut table = Table::of("Shares of the time of what is recommended", ["reason", "share"]);
    for reason in Reason::ALL {
        let share = plan.blame.get(reason.key()).copied().unwrap_or_default();
        if share > 5e-4 {
            table.row([reason.label().to_owned(), format!("{:.1} %", 100.0 * share)]);
        }
    }
    table
}

fn candidates(plan: &PlanResult) -> Table {
    let head =
        ["τ", "cluster", "tokens/s", "above the target, %", "probability", "quality", "fits"];
    let mut table = Table::of("All that were looked at", head);
    for own in &plan.candidates {
        table.row([
            own.tau.map_or_else(|| "vanilla".to_owned(), |tau| tau.to_string()),
            own.cluster.clone(),
            rounded(own.tokens_per_s),
            format!("{:+.1}", own.margin_percent),
            crate::output::report::plan::sure(own.probability, 2),
            own.quality.map_or_else(|| "–".to_owned(), |quality| format!("{quality:.2}")),
            if own.fits { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table
}

/// How quality is known, and what the probability means.
fn quality(plan: &PlanResult) -> Vec<Block> {
    let mut blocks = intervals(&plan.settings);
    let Some(trend) = &plan.quality else { return blocks };
    let scatter = match trend.quality_scatter {
        Some(scatter) => format!("points scatter by {scatter:.2}, {}", trend.quality_scatter_from),
        None => "how far points scatter is not known".to_owned(),
    };
    let words = format!("Quality: {}, by {}; {scatter}.", trend.quality_law, trend.quality_source);
    blocks.push(Block::Words(words));
    if !trend.quality_doubts.is_empty() {
        blocks.push(Block::List(trend.quality_doubts.clone()));
    }
    blocks
}

fn layouts(found: &LayoutsResult) -> Table {
    let head =
        ["layout", "cluster", "exchange", "τ", "tokens/s", "step, ms", "at least, ms", "binds"];
    let mut table = Table::of("The best first", head);
    for own in &found.front {
        let sizes = (own.expert_parallel, own.tensor_parallel, own.pipeline_parallel);
        table.row([
            format!(
                "EP {}, TP {}, PP {}, {} tokens",
                sizes.0, sizes.1, sizes.2, own.tokens_per_gpu
            ),
            own.cluster.clone(),
            own.exchange.clone(),
            own.tau.map_or_else(|| "–".to_owned(), |tau| tau.to_string()),
            rounded(own.tokens_per_s),
            digits(own.step_ms),
            digits(own.step_ms_least),
            format!("{}, {:.0} %", own.binds, 100.0 * own.binds_share),
        ]);
    }
    table
}

/// Under how many seeds, and whether calibration error was drawn with them.
pub(super) fn intervals(settings: &[Setting]) -> Vec<Block> {
    let Some(first) = settings.first() else { return Vec::new() };
    let drawn = match first.calibration_uncertainty {
        true => "each draws the error that calibration left, alike for all that is compared",
        false => "no calibration error is drawn: times of kernels and links are taken as predicted",
    };
    let seeds = first.seeds[1].saturating_sub(first.seeds[0]);
    let s = if seeds == 1 { "" } else { "s" };
    vec![Block::Words(format!("{seeds} seed{s}; {drawn}. Intervals: 95 % over seeds."))]
}
