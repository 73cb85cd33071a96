//! Pages of advice, goodput and flows, and of results that are told in words alone.

use std::io;

use super::decisions::intervals;
use super::facts::{cautions, elasticities, left_out, rounded, stands_on, taken};
use super::{Block, Drawing, Page, Table};
use crate::base::order::ascending;
use crate::output::pictures::flow_links_chart;
use crate::output::plot::{Axis, LineChart, PlotError, Point, Series, figures};
use crate::output::report::advice::{AdviceResult, AdvisedBreakEven};
use crate::output::report::goodput::GoodputResult;
use crate::output::report::network::flows::FlowsResult;
use crate::output::report::{MadeBy, digits, spoken};
use crate::studies::advise::Part;

impl Page {
    /// Of advice.
    ///
    /// # Errors
    /// If a picture cannot be drawn.
    pub fn of_advice(advice: &AdviceResult) -> Result<Self, PlotError> {
        let own = spoken(&advice.moepp.workload, advice.tau);
        let setting = std::slice::from_ref(&advice.setting);
        let on = format!("{} × {} ({})", advice.gpus, advice.setting.gpu, advice.setting.topology);
        let mut page = Self {
            title: "Does MoE++ pay?".to_owned(),
            question: format!("Does {own} pay over {} on {on}?", advice.vanilla.workload),
            answer: advice.answer(),
            made_by: Some(advice.made_by.clone()),
            ..Self::default()
        };
        for found in advice.break_evens.iter().filter(|found| found.curve.len() > 1) {
            let chart = turn_chart(found, advice.worth_percent);
            page.draw(Drawing::of(&chart.title.clone(), &chart)?);
        }
        page.part("Where the time goes", vec![Block::Table(shares(advice))]);
        page.part("Where the verdict turns", vec![Block::Table(turns(advice))]);
        page.part(
            "What binds",
            elasticities(&[(advice.vanilla.workload.as_str(), &advice.elasticities)]),
        );
        page.part("How sure it is", intervals(setting));
        page.part("What it stands on", stands_on(&advice.stands_on));
        page.part("What went in", vec![Block::Table(taken(setting))]);
        let derived =
            advice.derived.iter().map(|line| format!("the MoE++ twin is derived: {line}"));
        page.part("What is left out", left_out(derived.chain(cautions(setting)).collect()));
        Ok(page)
    }

    /// Of goodput.
    #[must_use]
    pub fn of_goodput(of: &GoodputResult) -> Self {
        let setting = std::slice::from_ref(&of.setting);
        let mut page = Self {
            title: "Goodput".to_owned(),
            question: format!(
                "What do failures leave of training on {} ({} GPUs)?",
                of.cluster, of.gpus
            ),
            answer: of.answer(),
            made_by: Some(of.made_by.clone()),
            ..Self::default()
        };
        let head = [
            "workload",
            "step, ms",
            "kept tokens/s",
            "checkpoint every, min",
            "kept",
            "days drawn",
            "worst tenth",
        ];
        let mut table = Table::of("What is kept", head);
        for run in &of.runs {
            let percent = |share: f64| format!("{:.1} %", 100.0 * share);
            let [mean, half] = run.drawn_share;
            let half = half.map_or_else(String::new, |half| format!(" ± {:.1}", 100.0 * half));
            table.row([
                spoken(&run.workload, run.tau),
                digits(run.step_ms),
                rounded(run.goodput_tokens_per_s),
                format!("{:.1}", run.interval_s / 60.0),
                percent(run.share),
                format!("{:.1}{half} %", 100.0 * mean.unwrap_or_default()),
                percent(run.worst_tenth_share),
            ]);
        }
        page.part("Results", vec![Block::Table(table)]);
        let failures = format!(
            "One of {} GPUs fails every {} h, one in {} h of a GPU; a checkpoint takes {} s, a restart {} s. {} days were drawn.",
            of.gpus,
            digits(of.mean_between_failures_s / 3600.0),
            digits(of.gpu_mtbf_hours),
            digits(of.checkpoint_s),
            digits(of.restart_s),
            of.days
        );
        let sure = std::iter::once(Block::Words(failures)).chain(intervals(setting));
        page.part("How sure it is", sure.collect());
        page.part("What went in", vec![Block::Table(taken(setting))]);
        page.part("What is left out", left_out(cautions(setting)));
        page
    }

    /// Of flows.
    ///
    /// # Errors
    /// If a picture cannot be drawn.
    pub fn of_flows(flows: &FlowsResult) -> Result<Self, PlotError> {
        let ms = digits(1e3 * flows.makespan_s);
        let mut page = Self {
            title: "Flows over a cluster".to_owned(),
            question: format!("How long do {} flows take over {}?", flows.flows, flows.topology),
            answer: vec![format!("{ms} ms until the last has arrived.")],
            made_by: Some(flows.made_by.clone()),
            ..Self::default()
        };
        if let Ok(chart) = flow_links_chart(flows, "") {
            page.draw(Drawing::of("How full links are", &chart)?);
        }
        let sure = format!("Engine: {}, {}.", flows.engine.name(), flows.known_error());
        page.part("How sure it is", vec![Block::Words(sure)]);
        let health = flows.poor_health.iter().cloned().chain(flows.degraded_for_a_time());
        page.part("What is left out", left_out(health.collect()));
        Ok(page)
    }

    /// Of a result that is told in words alone.
    #[must_use]
    pub fn of_words(title: &str, question: &str, made_by: &MadeBy) -> Self {
        Self {
            title: title.to_owned(),
            question: question.to_owned(),
            made_by: Some(made_by.clone()),
            ..Self::default()
        }
    }

    /// With what the command prints for people; where nothing else answers, its first sentence does, or its first
    /// line where that is none.
    ///
    /// # Errors
    /// Never, unless memory is short.
    pub fn with_text(
        mut self,
        write: impl Fn(&mut dyn io::Write) -> io::Result<()>,
    ) -> io::Result<Self> {
        let mut text = Vec::new();
        write(&mut text)?;
        self.text = String::from_utf8_lossy(&text).into_owned();
        if self.answer.is_empty() {
            self.answer.extend(first_sentence(&self.text));
        }
        Ok(self)
    }
}

/// Lines up to one that ends a sentence; the first alone where a line without an end comes before.
fn first_sentence(text: &str) -> Option<String> {
    let lines = text.lines().map(str::trim).skip_while(|line| line.is_empty());
    let paragraph: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    let end = paragraph.iter().position(|line| line.ends_with('.')).unwrap_or(0);
    (!paragraph.is_empty()).then(|| paragraph[..=end].join(" "))
}

/// What is varied, in words with its unit.
fn varied(found: &AdvisedBreakEven) -> String {
    match (found.varied.as_str(), &found.class) {
        ("tau", _) => "τ".to_owned(),
        (_, Some(class)) => format!("{class} bandwidth, GB/s"),
        ("tokens_per_gpu", _) => "tokens per GPU".to_owned(),
        ("expert_parallel", _) => "expert-parallel GPUs".to_owned(),
        (other, _) => other.replace('_', " "),
    }
}

/// The gain along one thing, and what it must reach.
fn turn_chart(found: &AdvisedBreakEven, worth: f64) -> LineChart {
    let point = |x: f64, y: f64| Point { x, y, interval: None };
    let mut curve: Vec<Point> =
        found.curve.iter().map(|own| point(own.at, own.throughput_increase_percent)).collect();
    ascending(&mut curve, |one| one.x);
    let ends = [curve.first(), curve.last()].into_iter().flatten();
    let mut worth_line =
        Series::new("worth it from here", ends.map(|end| point(end.x, worth)).collect());
    worth_line.marked = false;
    let what = varied(found);
    let now = found.now.map_or_else(String::new, |now| format!("now {}; ", figures(now)));
    let turns = match found.turns.len() {
        0 => "the verdict does not turn".to_owned(),
        _ => "the verdict turns where the lines cross".to_owned(),
    };
    LineChart {
        title: format!("Gain over {what}"),
        below: format!("{now}{turns}"),
        x: if found.varied == "tau" { Axis::linear(what) } else { Axis::log(what) },
        y: Axis::from_zero("throughput increase, %"),
        series: vec![Series::new("gain", curve), worth_line],
    }
}

fn now(found: &AdvisedBreakEven) -> String {
    found.now.map_or_else(|| "–".to_owned(), figures)
}

fn shares(advice: &AdviceResult) -> Table {
    let (vanilla, moepp) = (&advice.vanilla, &advice.moepp);
    let head = ["part".to_owned(), vanilla.workload.clone(), spoken(&moepp.workload, advice.tau)];
    let mut table = Table::of("Share of the time", head);
    for part in Part::ALL {
        let both = [vanilla.share(part), moepp.share(part)];
        if both.iter().any(|share| *share >= 5e-4) {
            let [a, b] = both.map(|share| format!("{:.1} %", 100.0 * share));
            table.row([part.label().to_owned(), a, b]);
        }
    }
    let ms = [vanilla.counted_ms, moepp.counted_ms].map(|ms| format!("{} ms", digits(ms)));
    let [a, b] = ms;
    table.row(["all".to_owned(), a, b]);
    table
}

fn turns(advice: &AdviceResult) -> Table {
    let mut table = Table::of("What was varied alone", ["what", "now", "pays at", "does not at"]);
    for found in &advice.break_evens {
        if let Some(why) = &found.idle {
            table.row([varied(found), now(found), why.clone(), String::new()]);
            continue;
        }
        if found.turns.is_empty() {
            table.row([varied(found), now(found), "nowhere turns".to_owned(), String::new()]);
        }
        for turn in &found.turns {
            let [pays, fails] = [turn.pays.at, turn.fails.at].map(figures);
            table.row([varied(found), now(found), pays, fails]);
        }
    }
    table
}
