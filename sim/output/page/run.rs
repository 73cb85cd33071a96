//! The page of `moesim run`.

use super::facts::{known, left_out, overrides, rounded, stands_on};
use super::{Block, Drawing, Page, Table};
use crate::base::order::descending;
use crate::base::statistics::{COVERAGE, Range};
use crate::execution::Scope;
use crate::execution::blame::Reason;
use crate::output::pictures::{breakdown_chart, gain_chart, links_chart};
use crate::output::plot::PlotError;
use crate::output::report::study::{StudyResult, StudyRow};
use crate::output::report::{digits, spoken};

impl Page {
    /// Of a run.
    ///
    /// # Errors
    /// If a picture cannot be drawn.
    pub fn of_run(run: &StudyResult) -> Result<Self, PlotError> {
        let mut page = Self {
            title: format!("{}: a run", run.scenario),
            question: question(run),
            answer: answer(run),
            made_by: Some(run.made_by.clone()),
            closer: closer(run),
            ..Self::default()
        };
        let varied = |row: &&StudyRow| row.increase_percent.mean.is_some() && row.tau().is_some();
        if run.results.iter().filter(varied).count() > 1 {
            page.draw(Drawing::of("Gain over τ", &gain_chart(run))?);
        }
        page.draw(Drawing::of("Where the time goes", &breakdown_chart(run))?);
        if let Ok(chart) = links_chart(run, None, &run.scenario) {
            page.draw(Drawing::of("How full links are", &chart)?);
        }
        page.part("Results", vec![Block::Table(results(run))]);
        page.part("Where the time goes", vec![Block::Table(breakdown(run))]);
        page.part("Busiest links", links(run));
        page.part("Memory of the fullest GPU", vec![Block::Table(memory(run))]);
        page.part("How sure it is", sure(run));
        page.part(
            "What it stands on",
            stands_on(run.results.iter().flat_map(|row| &row.stands_on)),
        );
        page.part("What went in", taken(run));
        let large =
            run.does_not_fit.iter().map(|line| format!("does not fit, run as asked: {line}"));
        let own = run.idle.iter().chain(&run.cautions).cloned().chain(large);
        page.part("What is left out", left_out(own.collect()));
        Ok(page)
    }

    /// Adds the cluster with its links shaded by how full they are.
    ///
    /// # Errors
    /// If it cannot be drawn.
    pub fn draw_cluster(&mut self, chart: &crate::output::plot::Diagram) -> Result<(), PlotError> {
        self.draw(Drawing::of("The cluster at work", chart)?);
        Ok(())
    }
}

impl Page {
    /// Adds a stretch of the timeline.
    ///
    /// # Errors
    /// If it cannot be drawn.
    pub fn draw_timeline(&mut self, chart: &crate::output::plot::Spans) -> Result<(), PlotError> {
        self.draw(Drawing::of("A stretch of the timeline", chart)?);
        Ok(())
    }
}

fn question(run: &StudyResult) -> String {
    let on = format!("{} × {} ({})", run.gpus, run.gpu, run.topology);
    let pairs = run.results.iter().any(|row| row.increase_percent.mean.is_some());
    match pairs {
        true => format!("What does MoE++ gain over vanilla MoE on {on}?"),
        false => format!("What does it take on {on}?"),
    }
}

fn name_of(row: &StudyRow) -> String {
    spoken(&row.workload.workload, row.tau())
}

/// The gain of the best and the least row in a sentence each; of a row alone its time.
fn answer(run: &StudyResult) -> Vec<String> {
    let gain = |row: &&StudyRow| row.increase_percent.mean.is_some();
    let by = |a: &&StudyRow, b: &&StudyRow| {
        a.increase_percent.value().total_cmp(&b.increase_percent.value())
    };
    let gains = || run.results.iter().filter(gain);
    let mut said = Vec::new();
    if let (Some(most), Some(least)) = (gains().max_by(by), gains().min_by(by)) {
        let one = |row: &StudyRow| {
            format!("{} gives {} % more throughput", name_of(row), row.increase_percent.shown(1))
        };
        said.push(match std::ptr::eq(most, least) {
            true => format!("{}.", one(most)),
            false => format!("{} at most, {} at least.", one(most), one(least)),
        });
        let range = most.predicted_increase_percent;
        if range.low.is_some() {
            let cover = 100.0 * Range::COVERAGE;
            said.push(format!(
                "With what calibration leaves open, {cover:.0} % of draws lie from {} %.",
                range.shown()
            ));
        }
    } else if let Some(row) = run.results.first() {
        let (ms, tokens) = (&row.time.ms, row.tokens_per_s.value());
        let shown = ms.shown(2);
        said.push(format!("{} takes {shown} ms: {} tokens/s.", name_of(row), rounded(tokens)));
    }
    said.push(format!("Counted: {}.", run.counted.description()));
    said
}

fn results(run: &StudyResult) -> Table {
    let time = format!("{}, ms", run.counted.label());
    let head = ["workload", "FFN + zero-computation experts", "FFN share of slots", &time];
    let head = head.into_iter().chain(["gain, %", "published, %", "tokens/s"]);
    let mut table = Table::of("Each workload, mean over seeds", head);
    for row in &run.results {
        let ms = row.time.ms.value();
        table.row([
            name_of(row),
            format!("{} + {}", row.ffn_experts, row.zero_computation_experts),
            format!("{:.3}", row.ffn_share.value()),
            row.time.ms.shown(if ms < 10.0 { 3 } else { 1 }),
            row.increase_percent.shown(1),
            known(row.published.published_throughput_increase_percent),
            rounded(row.tokens_per_s.value()),
        ]);
    }
    table
}

/// Reasons as rows, workloads as columns: vanilla and the τ that the scenario breaks down.
fn breakdown(run: &StudyResult) -> Table {
    let wanted = |row: &&StudyRow| {
        row.tau().is_none() || run.breakdown_tau.is_none() || row.tau() == run.breakdown_tau
    };
    let shown: Vec<&StudyRow> = run.results.iter().filter(wanted).collect();
    let head = std::iter::once("reason".to_owned()).chain(shown.iter().map(|row| name_of(row)));
    let caption = "Time blamed on each reason in milliseconds, mean over GPUs and seeds";
    let mut table = Table::of(caption, head);
    for reason in Reason::ALL {
        let of = |row: &&StudyRow| row.blame_ms(reason).unwrap_or_default();
        if shown.iter().all(|row| of(row) < 5e-4 * row.time.ms.value()) {
            continue;
        }
        let cells = shown.iter().map(|row| digits(of(row)));
        table.row(std::iter::once(reason.label().to_owned()).chain(cells));
    }
    let hidden = shown.iter().map(|row| row.hidden_zero_computation_ms);
    if hidden.clone().any(|ms| ms > 0.0) {
        let cells = hidden.map(digits);
        table.row(std::iter::once("hidden under dispatch".to_owned()).chain(cells));
    }
    let until = shown.iter().map(|row| digits(row.makespan_ms.value()));
    table.row(std::iter::once("until the slowest is done".to_owned()).chain(until));
    table
}

/// Links by class and direction: of each workload, the fullest first.
fn links(run: &StudyResult) -> Vec<Block> {
    let head =
        ["busiest link", "class", "workload", "its bandwidth, GB/s", "used", "mean of its kind"];
    let mut table = Table::of("Share of the bandwidth that is used, mean over the makespan", head);
    let groups = run.results.iter().flat_map(|row| row.link_use.iter().map(move |own| (row, own)));
    let mut groups: Vec<_> = groups.collect();
    descending(&mut groups, |one| one.1.max_share);
    for (row, own) in groups.into_iter().take(MOST_LINKS) {
        table.row([
            own.busiest.clone(),
            format!("{} {} → {}", own.class, own.from, own.to),
            name_of(row),
            digits(own.gb_per_s_each),
            format!("{:.1} %", 100.0 * own.max_share),
            format!("{:.1} %", 100.0 * own.mean_share),
        ]);
    }
    if table.rows.is_empty() { Vec::new() } else { vec![Block::Table(table)] }
}

/// Kinds of links that are listed.
const MOST_LINKS: usize = 12;

fn memory(run: &StudyResult) -> Table {
    let mut table = Table::of("In GB of 10⁹ bytes", ["workload", "used", "of", "fits"]);
    for row in &run.results {
        let gb = |bytes: u64| format!("{:.1}", bytes as f64 / 1e9);
        let fits = match row.memory.fits {
            Some(true) => "yes",
            Some(false) => "no",
            None => "not known: the topology states no memory",
        };
        let capacity = row.memory.capacity_bytes.map_or_else(|| "–".to_owned(), gb);
        table.row([name_of(row), gb(row.memory.total_bytes), capacity, fits.to_owned()]);
    }
    table
}

fn sure(run: &StudyResult) -> Vec<Block> {
    let mut blocks = Vec::new();
    let seeds = run.seeds;
    blocks.push(Block::Words(match seeds {
        1 => "One seed: no interval. More seeds give one.".to_owned(),
        _ => format!(
            "±: {:.0} % interval of the mean over {seeds} seeds, vanilla paired with MoE++ seed by seed.",
            100.0 * COVERAGE
        ),
    }));
    if run.calibration_uncertainty {
        let cover = 100.0 * Range::COVERAGE;
        let head = ["workload", "ms", "gain, %"];
        let mut table = Table::of(
            &format!("{cover:.0} % prediction intervals, calibration error included"),
            head,
        );
        for row in &run.results {
            let gain = row.predicted_increase_percent.shown();
            table.row([name_of(row), row.time.predicted.shown(), gain]);
        }
        blocks.push(Block::Table(table));
    } else {
        let words = "Times of kernels and links are taken as predicted: with calibration_uncertainty = true each \
                     seed draws the error that calibration left, and a prediction interval is given.";
        blocks.push(Block::Words(words.to_owned()));
    }
    blocks.extend(allowed(run));
    blocks.extend(network(run));
    blocks
}

/// Of experts alone: what other fits of the overheads would have said.
fn allowed(run: &StudyResult) -> Option<Block> {
    let allowed = run.results.iter().filter_map(|row| Some((row, row.allowed_by_fit?)));
    let mut table = Table::of(
        "What other fits of the overheads give that are about as good",
        ["workload", "ms", "gain, %"],
    );
    for (row, own) in allowed {
        let ends = |ends: [f64; 2]| format!("{} to {}", digits(ends[0]), digits(ends[1]));
        let gain = own.throughput_increase_percent.map_or_else(|| "–".to_owned(), ends);
        table.row([name_of(row), ends(own.expert_forward_ms), gain]);
    }
    (!table.rows.is_empty()).then_some(Block::Table(table))
}

/// Which engine carried exchanges, and how far off it is known to be.
fn network(run: &StudyResult) -> Option<Block> {
    let used: Vec<_> = run.results.iter().filter_map(|row| row.network.as_ref()).collect();
    let first = used.first()?;
    let exchanges: u64 = used.iter().map(|own| own.exchanges).sum();
    let worst =
        used.iter().filter_map(|own| own.worst_measured_error).map(f64::abs).fold(0.0, f64::max);
    let measured: u64 = used.iter().map(|own| own.measured_exchanges).sum();
    Some(Block::Words(format!(
        "Network: {} all-to-all, {} engine, {exchanges} exchanges; {measured} of them solved again as flows that \
         share links, {:.1} % apart at worst.",
        first.all_to_all,
        first.engine.name(),
        100.0 * worst
    )))
}

fn taken(run: &StudyResult) -> Vec<Block> {
    let mut table = Table::of("What was taken", ["what", "value"]);
    table.row(["scenario".to_owned(), run.asked.scenario.clone()]);
    table.row(["cluster".to_owned(), format!("{}: {} × {}", run.topology, run.gpus, run.gpu)]);
    table.row([
        "profile".to_owned(),
        format!("{}, measured on {}", run.profile, run.profile_device),
    ]);
    let overheads =
        if run.overheads_in_words.is_empty() { &run.overheads } else { &run.overheads_in_words };
    table.row(["overheads".to_owned(), overheads.clone()]);
    if run.counted != Scope::Experts {
        table.row(["all-to-all".to_owned(), run.all_to_all.clone()]);
    }
    let last = run.first_seed + run.seeds.saturating_sub(1);
    table.row(["seeds".to_owned(), format!("{} to {last}", run.first_seed)]);
    std::iter::once(Block::Table(table)).chain(overrides(&run.asked.set)).collect()
}

/// Commands that look at the same run: its timeline, its cluster, why it comes out so.
pub(crate) fn closer(run: &StudyResult) -> Vec<String> {
    let Some(row) = run.results.last() else { return Vec::new() };
    let set = run.asked.set.iter().flat_map(|line| ["--set".to_owned(), line.clone()]);
    let set: Vec<String> = set.collect();
    let of = |words: &[&str]| {
        let words = words.iter().map(|word| (*word).to_owned());
        super::facts::command(&words.chain(set.iter().cloned()).collect::<Vec<_>>())
    };
    let (scenario, workload) = (run.asked.scenario.as_str(), row.workload.workload.as_str());
    let tau = row.tau().map(|tau| tau.to_string());
    let mut timeline = vec!["timeline", scenario, "--workload", workload, "--out", "run.pftrace"];
    timeline.extend(tau.iter().flat_map(|tau| ["--tau", tau]));
    vec![of(&timeline), of(&["explain", scenario, "--workload", workload])]
}
