//! A probe: one question, the points at which it is asked, and how an answer is checked.

use std::fmt;

use moesim::base::hashes::splitmix64;

use super::backend::{Buffer, DeviceError, Step};
use super::bench::Bench;
use super::numbers::Format;

/// Where a probe is asked: what it varies and what identifies its shape. Absent is none or empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// What exactly is timed: `"axpy"`, `"grouped"`, `"moepp"`.
    pub part: String,
    /// The model whose shape it is.
    pub shape: String,
    /// Rows of a product.
    pub m: Option<u64>,
    /// Columns of a product.
    pub n: Option<u64>,
    /// Inner dimension of a product.
    pub k: Option<u64>,
    /// Size of a token.
    pub hidden: Option<u64>,
    /// Inner size of an expert.
    pub inter: Option<u64>,
    /// FFN experts.
    pub experts: Option<u64>,
    /// Experts of all kinds, in a gate.
    pub all_experts: Option<u64>,
    /// Experts chosen for each token.
    pub top_k: Option<u64>,
    /// Tokens.
    pub tokens: Option<u64>,
    /// Bytes moved through memory, reads and writes, or over a link.
    pub bytes: Option<u64>,
    /// SMs used, where they are limited.
    pub sms: Option<u64>,
    /// GPUs that take part, where several do.
    pub gpus: Option<u64>,
    /// τ of a whole MoE++ layer.
    pub tau: Option<f64>,
    /// How slots are spread over experts.
    pub distribution: String,
    /// Slots of every expert in a whole layer, experts in the public code's order.
    pub slots: Vec<u32>,
}

/// What one output must hold.
pub enum Expected {
    /// The twin's numbers at these indices.
    Numbers {
        /// The twin: element by index.
        twin: Box<dyn Fn(u64) -> f64>,
        /// Which elements are compared.
        at: Vec<u64>,
    },
    /// These words exactly.
    Words(Vec<u32>),
}

/// An output and what it must hold.
pub struct Output {
    /// Its name, for messages.
    pub name: &'static str,
    /// Where it is.
    pub buffer: Buffer,
    /// How it is stored.
    pub format: Format,
    /// Numbers in it that must have been written.
    pub count: u64,
    /// What they must be.
    pub expected: Expected,
}

/// One set of buffers, with what is done on them.
pub struct Set {
    /// What is timed.
    pub steps: Vec<Step>,
    /// What must have come out after the steps ran once.
    pub outputs: Vec<Output>,
    /// What the steps made known of the point: the slots of every expert.
    pub slots: Vec<u32>,
}

/// Why a kernel gets no timing.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// Part of an output was not written.
    Poison {
        /// The output.
        output: &'static str,
        /// The first number that was not written.
        at: u64,
    },
    /// Numbers differ from the twin's by more than the bound.
    Wrong {
        /// The output.
        output: &'static str,
        /// Relative L2 error.
        error: f64,
        /// The most that is let through.
        bound: f64,
    },
    /// A word differs from the twin's.
    Word {
        /// The output.
        output: &'static str,
        /// Which word.
        at: usize,
        /// What the twin has.
        expected: u32,
        /// What the device has.
        found: u32,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poison { output, at } => write!(f, "{output}: element {at} was never written"),
            Self::Wrong { output, error, bound } => write!(
                f,
                "{output}: relative error {error:.2e} against the twin, and at most {bound:.0e} is let \
                 through"
            ),
            Self::Word { output, at, expected, found } => {
                write!(f, "{output}: word {at} is {found}, and the twin has {expected}")
            }
        }
    }
}

/// One microbenchmark.
pub trait Probe {
    /// Its name, unique among probes of a session: the name of its file of samples.
    fn name(&self) -> String;

    /// What it answers.
    fn question(&self) -> &'static str;

    /// Where it is asked.
    fn points(&self) -> Vec<Point>;

    /// The round in which each point is asked. A session asks round 0 of all probes, then round 1,
    /// and so on until its time is up.
    fn rounds(&self) -> Vec<u32>;

    /// Its share of the session's time.
    fn weight(&self) -> f64;

    /// Fresh inputs, poisoned outputs, the steps, and the twins of the outputs.
    ///
    /// # Errors
    /// If the device fails.
    fn set(&self, point: &Point, seed: u32, bench: &mut Bench<'_>) -> Result<Set, DeviceError>;

    /// Whether sets are rotated over more memory than the caches hold.
    fn rotates(&self) -> bool {
        true
    }

    /// Whether it is timed by the host even where the device has a clock.
    fn by_host(&self) -> bool {
        false
    }
}

/// Whole outputs are searched for poison up to this many bytes; beyond, their two ends.
const MOST_SEARCHED: u64 = 64 << 20;

/// The largest error of all outputs, or why the kernel is refused.
///
/// # Errors
/// If the device fails; within, if an output is wrong.
pub fn verify(set: &Set, bench: &mut Bench<'_>) -> Result<Result<f64, Refusal>, DeviceError> {
    let mut worst = 0.0_f64;
    for output in &set.outputs {
        if let Some(at) = poison(output, bench)? {
            return Ok(Err(Refusal::Poison { output: output.name, at }));
        }
        match compare(output, bench)? {
            Ok(error) => worst = worst.max(error),
            Err(refusal) => return Ok(Err(refusal)),
        }
    }
    Ok(Ok(worst))
}

fn poison(output: &Output, bench: &mut Bench<'_>) -> Result<Option<u64>, DeviceError> {
    let size = output.format.bytes();
    let all = output.count * size;
    let spans = if all <= MOST_SEARCHED {
        vec![(0, all)]
    } else {
        let half = MOST_SEARCHED / 2;
        vec![(0, half), ((all - half) / 4 * 4, half.min(all))]
    };
    for (from, bytes) in spans {
        let bytes = bytes.min(all - from);
        let found = bench.device.read(output.buffer, from, bytes)?;
        let unwritten = |number: &[u8]| number.iter().all(|&byte| byte == 0xFF);
        if let Some(at) = found.chunks_exact(size as usize).position(unwritten) {
            return Ok(Some(from / size + at as u64));
        }
    }
    Ok(None)
}

fn compare(output: &Output, bench: &mut Bench<'_>) -> Result<Result<f64, Refusal>, DeviceError> {
    match &output.expected {
        Expected::Words(words) => {
            let found = bench.read_words(output.buffer, words.len() as u64)?;
            let differs = words.iter().zip(&found).position(|(a, b)| a != b);
            Ok(differs.map_or(Ok(0.0), |at| {
                let (expected, found) = (words[at], found[at]);
                Err(Refusal::Word { output: output.name, at, expected, found })
            }))
        }
        Expected::Numbers { twin, at } => {
            let (mut off, mut size) = (0.0, 0.0);
            let found = numbers(output, at, bench)?;
            for (&index, found) in at.iter().zip(found) {
                let expected = twin(index);
                off += (found - expected).powi(2);
                size += expected * expected;
            }
            let error = if off == 0.0 { 0.0 } else { (off / size).sqrt() };
            // NaN is larger than any bound.
            let bound = bench.format.error_bound();
            if error <= bound {
                Ok(Ok(error))
            } else {
                Ok(Err(Refusal::Wrong { output: output.name, error, bound }))
            }
        }
    }
}

/// The device's numbers at these indices: all in one read where the output is small.
fn numbers(output: &Output, at: &[u64], bench: &mut Bench<'_>) -> Result<Vec<f64>, DeviceError> {
    let size = output.format.bytes();
    if output.count * size <= MOST_SEARCHED {
        let all = bench.device.read(output.buffer, 0, output.count * size)?;
        let one = |&index: &u64| output.format.decode(&all[(index * size) as usize..]);
        return Ok(at.iter().map(one).collect());
    }
    let one = |&index: &u64| {
        let word = index * size / 4 * 4;
        let bytes = bench.device.read(output.buffer, word, 4)?;
        Ok(output.format.decode(&bytes[(index * size - word) as usize..]))
    };
    at.iter().map(one).collect()
}

/// Outputs of at most this many elements are compared whole.
const WHOLE: u64 = 4096;
/// Rows that cost the twin more products than this are expensive: some ten milliseconds on a CPU.
const DEAR: u64 = 1 << 22;

/// Elements of a rows × columns output to compare: all of a small one, else the corners and a few
/// rows and columns between, scattered by `seed`.
#[must_use]
pub fn spots(rows: u64, columns: u64, seed: u32) -> Vec<u64> {
    if rows * columns <= WHOLE {
        return (0..rows * columns).collect();
    }
    scattered(3, rows, columns, seed)
}

/// The same where each row costs the twin this many products: of rows that cost seconds, the ends and
/// none between. Points of such a shape are many, and each has its own inputs.
#[must_use]
pub fn dear_spots(rows: u64, columns: u64, seed: u32, products: u64) -> Vec<u64> {
    if products <= DEAR { spots(rows, columns, seed) } else { scattered(0, rows, columns, seed) }
}

fn scattered(between: u64, rows: u64, columns: u64, seed: u32) -> Vec<u64> {
    let scatter = |j: u64, most: u64| splitmix64(u64::from(seed) << 32 | j) % most;
    let some = |count: u64, most: u64| {
        let mut found: Vec<u64> = (0..count).map(|j| scatter(j, most)).collect();
        found.extend([0, most - 1]);
        found.sort_unstable();
        found.dedup();
        found
    };
    let columns_of = some(14, columns);
    some(between, rows)
        .iter()
        .flat_map(|r| columns_of.iter().map(move |c| r * columns + c))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spots_hold_the_corners_and_stay_inside() {
        assert_eq!(spots(2, 3, 1), [0, 1, 2, 3, 4, 5]);
        let found = spots(1000, 777, 5);
        assert!(found.contains(&0) && found.contains(&(1000 * 777 - 1)));
        assert!(found.iter().all(|&at| at < 777_000) && found.len() <= 80);
        assert_eq!(dear_spots(1000, 777, 5, 1000), found);
        let rows = |found: Vec<u64>| {
            found.iter().map(|at| at / 777).collect::<std::collections::BTreeSet<u64>>()
        };
        assert_eq!(rows(dear_spots(1000, 777, 5, 1 << 23)), [0, 999].into());
        assert_eq!(rows(dear_spots(1, 777, 5, 1 << 23)), [0].into());
    }
}
