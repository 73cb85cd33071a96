//! Plots of `moesim gate show`: a heat map of loads, and unevenness against the size of a batch.

use std::path::Path;

use super::super::Failure;
use super::super::output::Files;
use super::loads::Loads;
use moesim::base::statistics::mean;
use moesim::base::streams::Streams;
use moesim::config::Diagnostic;
use moesim::gate::Gate;
use moesim::gate::fit::{self, DEFAULT_RANK};
use moesim::gate::statistics::{self, Uneven};
use moesim::output::plot::{Axis, Chart, HeatMap, LineChart, Point, Series};
use moesim::workload::{Origin, Recording, SequenceCounts, Spread, Workload};

/// Batches of each size.
const DRAWS: usize = 100;
/// Sequences that a law and its independent twin draw.
const DRAWN: usize = 768;

/// Plots of a workload's gate.
pub(super) fn workload(
    folder: &Path,
    loads: &Loads,
    workload: &Workload,
    seed: u64,
) -> Result<(), Failure> {
    let mut files = Files::of(folder)?;
    heat(&mut files, loads)?;
    let mut alike = workload.clone();
    alike.gating.spread = Spread::NONE;
    alike.gating.origin = Origin::Drawn;
    let name = if workload.gating.origin == Origin::Drawn {
        "the gate"
    } else {
        "the gate's trace or law"
    };
    let mut series = vec![Series::new(name, by_gpus(workload, seed))];
    let differs = workload.gating.spread != Spread::NONE;
    if differs && workload.gating.origin == Origin::Drawn {
        series.push(Series::new("all sequences alike", by_gpus(&alike, seed)));
    }
    let below = format!("{}: mean over layers and 4 micro-batches", workload.name);
    batches(files, "Small batches are less even", &below, series)
}

/// Plots of a recording, a law fitted to it, and independent tokens.
pub(super) fn recording(
    folder: &Path,
    loads: &Loads,
    recording: &Recording,
    seed: u64,
) -> Result<(), Failure> {
    let mut files = Files::of(folder)?;
    heat(&mut files, loads)?;
    let streams = Streams::new(seed);
    let counts = recording.counts();
    let mut series = vec![Series::new("the recording", by_tokens(&counts, &counts, streams))];
    if counts.sequences() >= 2 {
        let law = fit::fit(&counts, DEFAULT_RANK, streams);
        let lengths: Vec<u32> =
            (0..DRAWN).map(|at| counts.tokens()[at % counts.sequences()]).collect();
        let popularity: Vec<Vec<f64>> =
            (0..recording.layers()).map(|layer| counts.inclusion(layer)).collect();
        let modelled = law.counts(&lengths, streams);
        let independent = law.without_sequences(&popularity).counts(&lengths, streams);
        series.push(Series::new("a law fitted to it", by_tokens(&modelled, &counts, streams)));
        series.push(Series::new("independent tokens", by_tokens(&independent, &counts, streams)));
    }
    let below =
        format!("{DRAWS} batches of whole sequences, mean over {} layers", recording.layers());
    let title = "Whole sequences make small batches uneven; independent tokens do not";
    batches(files, title, &below, series)
}

fn heat(files: &mut Files<'_>, loads: &Loads) -> Result<(), Failure> {
    let cells = loads.load.iter().map(|load| {
        let mean = load[..loads.ffn].iter().sum::<u64>() as f64 / loads.ffn as f64;
        load.iter().map(|&n| n as f64 / mean).collect()
    });
    let hottest = loads.load.iter().enumerate().flat_map(|(layer, load)| {
        let uneven = Uneven::of(&load[..loads.ffn]);
        load[..loads.ffn].iter().max().map(|_| (layer, uneven.peak))
    });
    let hottest = hottest.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, 1.0));
    let chart = HeatMap {
        title: format!(
            "The fullest expert has {:.1} times the mean load, in layer {}",
            hottest.1, hottest.0
        ),
        below: loads.title.clone(),
        x: if loads.load.first().is_some_and(|load| load.len() > loads.ffn) {
            format!("expert; from {} on zero, copy, constant", loads.ffn)
        } else {
            "expert".to_owned()
        },
        y: "layer".to_owned(),
        value: "load over the mean of FFN experts".to_owned(),
        columns: vec![],
        rows: vec![],
        cells: cells.collect(),
        up_to: None,
    };
    Ok(save(files, "loads", &chart)?)
}

fn batches(
    mut files: Files<'_>,
    title: &str,
    below: &str,
    series: Vec<Series>,
) -> Result<(), Failure> {
    let chart = LineChart {
        title: title.to_owned(),
        below: below.to_owned(),
        x: Axis::log("tokens in a batch"),
        y: Axis::linear("largest load over the mean"),
        series,
    };
    save(&mut files, "batches", &chart)?;
    Ok(files.keep()?)
}

fn save(files: &mut Files<'_>, name: &str, chart: &impl Chart) -> Result<(), Diagnostic> {
    ["svg", "png"]
        .into_iter()
        .try_for_each(|ending| files.add_chart(&format!("{name}.{ending}"), chart))
}

/// max/mean of batches of whole sequences of `drawn`, up to the size of `limit`.
fn by_tokens(drawn: &SequenceCounts, limit: &SequenceCounts, streams: Streams) -> Vec<Point> {
    let mut rng = streams.named("gate/plot");
    let sizes = (8..24).map(|power| 1u32 << power);
    sizes
        .take_while(|&size| u64::from(size) <= limit.all_tokens())
        .map(|size| {
            let loads = statistics::loads(drawn, size, DRAWS, &mut rng);
            let y = mean(&loads.peak);
            Point { x: size.into(), y, interval: None }
        })
        .collect()
}

/// max/mean of micro-batches on 1, 2, 4, … 64 GPUs.
fn by_gpus(workload: &Workload, seed: u64) -> Vec<Point> {
    let gate = Gate::new(workload, Streams::new(seed));
    let (rounds, ffn) = (workload.gates(), workload.model.experts.ffn as usize);
    let point = |gpus: usize| {
        let mut sum = 0.0;
        for micro_batch in 0..4 {
            for round in 0..rounds {
                let counts = gate.counts(round, micro_batch, 0..gpus);
                let load: Vec<u64> = (0..ffn).map(|expert| counts.load(expert)).collect();
                sum += Uneven::of(&load).peak / f64::from(4 * rounds);
            }
        }
        let x = f64::from(workload.batch.tokens_per_gpu) * gpus as f64;
        Point { x, y: sum, interval: None }
    };
    (0..7).map(|power| point(1 << power)).collect()
}
