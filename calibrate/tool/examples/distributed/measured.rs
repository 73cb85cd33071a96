//! What is measured on the processes: compute alone, exchanges alone, whole layers.

use std::path::Path;
use std::time::{Duration, Instant};

use calibrate::measure::backend::{Backend as _, Clock, Prepared};
use calibrate::measure::bench::Bench;
use calibrate::measure::device::native::Native;
use calibrate::measure::layer::cut::{self, Cut};
use calibrate::measure::layer::{Execution, Plan};
use calibrate::measure::numbers::Format;
use calibrate::measure::probe::{Point, Probe, Set, verify};
use calibrate::measure::probes::{self, Suite, whole_layer::TAUS};
use calibrate::measure::samples::{Sample, table};
use calibrate::measure::session::{Session, Silent};
use calibrate::measure::shapes::Shape;
use calibrate::measure::telemetry::Telemetry;
use calibrate::measure::timing::summary;

use super::mpi::Processes;

/// The layer: wide tokens and narrow experts, so that exchanges take their share.
pub const SHAPE: Shape = Shape {
    name: "distributed",
    hidden: 512,
    inter: 128,
    ffn: 8,
    constant: 2,
    copy: 1,
    zero: 1,
    top_k: 2,
    tokens: 256,
    pathway_aware: false,
};
/// Makes the experts of all processes.
const OF_EXPERTS: u32 = 77;
/// How often an exchange of each size is timed.
const EXCHANGES: usize = 200;
/// Bytes that are written between two uses of one: more than a core's own cache holds.
const COLD: usize = 4 << 20;
/// Runs of a version in a row: the first finds others' numbers in the caches, and does not count.
const IN_A_ROW: usize = 3;

/// What the simulator counts for a number of 32 bits: it moves 16.
const fn counted(bytes: u64) -> u64 {
    bytes / 2
}

/// Measures the parts of the layer on this process, while the others do the same.
///
/// # Errors
/// If a file cannot be written, or a kernel is wrong.
pub fn compute(all: &Processes, folder: &Path, budget: Duration) -> Result<(), String> {
    let mut device = Native::open(0, 1).map_err(|e| e.to_string())?;
    let telemetry = Telemetry::of(&device.facts().name, true, 0);
    let format = Format::F32;
    let suite =
        |shape| Suite { shapes: vec![shape], software: true, format, sms: Some(1), gpus: 1 };
    let whole = suite(SHAPE);
    // A process has its share of the experts, and as many rows for them as its own tokens have slots.
    let own = Shape { ffn: SHAPE.ffn / all.count as u32, ..SHAPE };
    let probes: Vec<Box<dyn Probe>> = vec![
        Box::new(probes::launch::probe()),
        Box::new(probes::memory::probe(&whole)),
        Box::new(probes::gemm::probe(&whole)),
        Box::new(probes::gate::probe(&whole, &SHAPE)),
        Box::new(probes::permute::probe(&whole, &SHAPE)),
        Box::new(probes::zero_computation::probe(&whole, &SHAPE)),
        Box::new(probes::experts::probe(&suite(own), &own)),
    ];
    let session = Session { out: folder.to_path_buf(), format, budget, seed: 1, telemetry };
    let mut bench = Bench::new(&mut device, format);
    all.wait()?;
    let report = session.run(&mut bench, &probes, &mut Silent).map_err(|e| e.to_string())?;
    all.wait()?;
    if !report.without_coarse.is_empty() {
        let short = report.without_coarse.join(", ");
        return Err(format!("too little time for the coarse grid of {short}: give more --seconds"));
    }
    if report.refused > 0 {
        return Err(format!("kernels were refused: {}", report.warnings.join("; ")));
    }
    Ok(())
}

/// Times all-to-alls of even blocks, and writes them beside the samples of compute.
///
/// # Errors
/// If MPI fails, or the file cannot be written.
pub fn exchanges(all: &Processes, folder: &Path) -> Result<(), String> {
    let mut samples = Vec::new();
    // Until every process has found a core of its own.
    repeated(all, 1 << 12, 5 * EXCHANGES)?;
    for log in 9..=22 {
        let bytes = 1_usize << log;
        let seconds = repeated(all, bytes, EXCHANGES)?;
        samples.push(Sample {
            probe: "exchange".to_owned(),
            point: Point {
                part: "alltoall".to_owned(),
                gpus: Some(all.count as u64),
                bytes: Some(counted(bytes as u64)),
                ..Point::default()
            },
            format: Format::F32,
            timing: summary(seconds, Clock::Host, 1),
            error: 0.0,
            rotated_bytes: 2 * bytes as u64,
            mhz: None,
            celsius: None,
            watts: None,
        });
    }
    let file = folder.join("exchange.parquet");
    if all.rank == 0 { table(&samples).write(&file).map_err(|e| e.to_string()) } else { Ok(()) }
}

/// Seconds of all-to-alls of so many bytes a process, until the slowest is done. As in a layer, what is sent was just
/// written, and where it arrives was not touched for a while.
fn repeated(all: &Processes, bytes: usize, times: usize) -> Result<Vec<f64>, String> {
    let block = bytes / all.count;
    let mut sent = vec![0; bytes];
    let mut received = vec![vec![255; bytes]; (COLD / bytes).clamp(1, 64)];
    let each = vec![block; all.count];
    let mut seconds = Vec::new();
    for turn in 0..times {
        let to = turn % received.len();
        sent.fill(all.rank as u8);
        all.wait()?;
        let start = Instant::now();
        all.exchange((&sent, &each), (&mut received[to], &each))?;
        seconds.push(all.most(start.elapsed().as_secs_f64())?);
        let from = |rank: usize| received[to][rank * block..(rank + 1) * block].iter();
        if (0..all.count).any(|rank| from(rank).any(|&byte| usize::from(byte) != rank)) {
            return Err(format!("an all-to-all of {bytes} bytes brought something else"));
        }
    }
    Ok(seconds)
}

/// A layer on this process, ready to run.
struct Layer {
    cut: Cut,
    between: cut::Between,
    steps: [Prepared; 3],
    to_each: Vec<usize>,
    from_each: Vec<usize>,
}

/// Seconds of the parts of a layer on this process: before, dispatch, between, combine, after.
pub type Parts = [f64; 5];

/// One run of a layer: until the slowest process is done, and the parts of this one.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Seconds.
    pub all: f64,
    /// Seconds.
    pub parts: Parts,
}

/// The layers that are compared: vanilla, and MoE++ at each τ.
pub fn versions() -> Vec<Option<f64>> {
    std::iter::once(None).chain(TAUS.map(Some)).collect()
}

/// Runs of each version in turn, so many rounds of all.
///
/// # Errors
/// If MPI fails, or the layer computes something else than its twin.
pub fn layers(all: &Processes, rounds: usize) -> Result<Vec<Vec<Run>>, String> {
    let mut device = Native::open(0, 1).map_err(|e| e.to_string())?;
    let mut layers = Vec::new();
    for tau in versions() {
        layers.push(built(all, tau, &mut device)?);
    }
    let mut runs = vec![Vec::with_capacity(rounds); layers.len()];
    for _ in 0..rounds {
        for (layer, runs) in layers.iter().zip(&mut runs) {
            once(all, layer, &mut device)?;
            for _ in 1..IN_A_ROW {
                runs.push(once(all, layer, &mut device)?);
            }
        }
    }
    for layer in layers {
        let set = Set { steps: Vec::new(), outputs: vec![layer.cut.output], slots: Vec::new() };
        let mut bench = Bench::new(&mut device, Format::F32);
        let outcome = verify(&set, &mut bench).map_err(|e| e.to_string())?;
        outcome.map_err(|refusal| format!("process {}: {refusal}", all.rank))?;
    }
    Ok(runs)
}

fn built(all: &Processes, tau: Option<f64>, device: &mut Native) -> Result<Layer, String> {
    let failed = |e: calibrate::measure::backend::DeviceError| e.to_string();
    let mut bench = Bench::new(device, Format::F32);
    let (tokens, execution) = (SHAPE.tokens, Execution::Grouped);
    let plan = Plan { shape: SHAPE, tokens, tau, capacity: None, execution };
    let seed = 1000 + all.rank as u32;
    let cut = cut::cut(&plan, (seed, OF_EXPERTS), &mut bench).map_err(failed)?;
    // Counts are known when a layer is timed, as they are for layers on one device.
    let own = (SHAPE.ffn as usize) / all.count;
    let mine = &cut.slots[..own * all.count];
    let words: Vec<u8> = mine.iter().flat_map(|count| count.to_le_bytes()).collect();
    let (each, mut found) = (vec![own * 4; all.count], vec![0; own * 4 * all.count]);
    all.exchange((&words, &each), (&mut found, &each))?;
    let found: Vec<u32> =
        found.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let by_sender: Vec<Vec<u32>> = found.chunks(own).map(<[u32]>::to_vec).collect();
    let first = (all.rank * own) as u32;
    let between =
        cut::between(&plan, OF_EXPERTS, (first, &by_sender), &mut bench).map_err(failed)?;
    let bytes = |rows: &[u32]| {
        rows.iter().map(|&count| count as usize).sum::<usize>() * SHAPE.hidden as usize * 4
    };
    let to_each = mine.chunks(own).map(bytes).collect();
    let from_each = by_sender.iter().map(|rows| bytes(rows)).collect();
    let mut prepared = |steps: &_| device.prepare(steps).map_err(failed);
    let steps = [prepared(&cut.before)?, prepared(&between.steps)?, prepared(&cut.after)?];
    Ok(Layer { cut, between, steps, to_each, from_each })
}

fn once(all: &Processes, layer: &Layer, device: &mut Native) -> Result<Run, String> {
    let Layer { cut, between, steps, to_each, from_each } = layer;
    let mut marks = Vec::with_capacity(6);
    let failed = |e: calibrate::measure::backend::DeviceError| e.to_string();
    all.wait()?;
    marks.push(Instant::now());
    device.time(&steps[..1]).map_err(failed)?;
    marks.push(Instant::now());
    device.with_both((cut.sent, between.arrived), |sent, received| {
        all.exchange((sent, to_each), (received, from_each))
    })?;
    marks.push(Instant::now());
    device.time(&steps[1..2]).map_err(failed)?;
    marks.push(Instant::now());
    device.with_both((between.leaving, cut.returned), |sent, received| {
        all.exchange((sent, from_each), (received, to_each))
    })?;
    marks.push(Instant::now());
    device.time(&steps[2..]).map_err(failed)?;
    marks.push(Instant::now());
    let took = |a: usize, b: usize| (marks[b] - marks[a]).as_secs_f64();
    let parts = [took(0, 1), took(1, 2), took(2, 3), took(3, 4), took(4, 5)];
    Ok(Run { all: all.most(took(0, 5))?, parts })
}
