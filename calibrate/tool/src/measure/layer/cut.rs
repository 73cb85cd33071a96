//! The layer cut where processes exchange tokens: what each does before, between and after two all-to-alls.
//!
//! ```text
//!   gate ─ permute ══ all-to-all ══ by expert ─ W₁₃ ─ SwiGLU ─ W₂ ─ by sender ══ all-to-all ══ mix ─ + copy ─ + constant
//!        before                              between                                        after
//! ```
//!
//! FFN experts are shared out evenly among the processes, in order; zero-computation experts are everywhere.

use super::super::backend::{Buffer, DeviceError, Step};
use super::super::bench::Bench;
use super::super::kernels;
use super::super::probe::{Expected, Output, dear_spots};
use super::{Plan, blocks, experts, gate, result};

/// What one process does around the exchanges.
pub struct Cut {
    /// Gate and permute.
    pub before: Vec<Step>,
    /// Rows for FFN experts, in the experts' order: what is sent.
    pub sent: Buffer,
    /// Where their results belong, in the same order.
    pub returned: Buffer,
    /// Mix, and zero-computation experts.
    pub after: Vec<Step>,
    /// Slots of every expert.
    pub slots: Vec<u32>,
    /// The tokens that come out, and what they must be.
    pub output: Output,
}

/// One process's part, with tokens of its own and the experts that the other seed makes for all.
///
/// # Errors
/// If the device fails.
pub fn cut(
    plan: &Plan,
    (own, of_experts): (u32, u32),
    bench: &mut Bench<'_>,
) -> Result<Cut, DeviceError> {
    let shape = plan.shape;
    let (gated, mut before, _) = gate::build(plan, own, bench)?;
    let (permute, sent) = experts::permuted(plan, &gated, bench)?;
    before.extend(permute);
    let slots = gated.counts.clone();
    let rows: u32 = slots[..shape.ffn as usize].iter().sum();
    let returned = bench.output(u64::from(rows.max(1)) * u64::from(shape.hidden))?;
    let weights = experts::weights_of(shape, of_experts, own);
    let (after, y) = experts::combined(plan, &gated, (returned, weights), bench)?;
    let [tokens, hidden, inter, top_k] =
        [plan.tokens, shape.hidden, shape.inter, shape.top_k].map(u64::from);
    let output = Output {
        name: "the layer's output",
        buffer: y,
        format: bench.format,
        count: tokens * hidden,
        expected: Expected::Numbers {
            twin: Box::new(result(*plan, gated, weights)),
            at: dear_spots(tokens, hidden, own, 3 * top_k * hidden * inter),
        },
    };
    Ok(Cut { before, sent, returned, after, slots, output })
}

/// The FFN experts of one process.
pub struct Between {
    /// Where rows of all processes arrive, sender by sender, each in the experts' order.
    pub arrived: Buffer,
    /// Experts over them.
    pub steps: Vec<Step>,
    /// Their results in the order of arrival.
    pub leaving: Buffer,
}

/// The experts from `first` on, over what each sender has for each of them.
///
/// # Errors
/// If the device fails.
pub fn between(
    plan: &Plan,
    of_experts: u32,
    (first, by_sender): (u32, &[Vec<u32>]),
    bench: &mut Bench<'_>,
) -> Result<Between, DeviceError> {
    let shape = plan.shape;
    let (into, back) = orders(by_sender);
    let sum = into.len() as u32;
    let wide = blocks(shape.hidden, bench.format);
    let numbers = u64::from(sum.max(1)) * u64::from(shape.hidden);
    let [arrived, ordered, leaving] =
        [bench.output(numbers)?, bench.output(numbers)?, bench.output(numbers)?];
    let (into, back) = (bench.words(&into)?, bench.words(&back)?);
    let experts = by_sender.first().map_or(0, Vec::len);
    let rows: Vec<u32> = (0..experts).map(|e| by_sender.iter().map(|of| of[e]).sum()).collect();
    let (steps, z) = experts::at_once(shape, (&rows, first), of_experts, ordered, bench)?;
    if steps.is_empty() {
        return Ok(Between { arrived, steps, leaving });
    }
    let gather = |from, by, to| {
        let items = u64::from(sum) * u64::from(wide);
        bench.step(&kernels::GATHER, vec![from, by, to], vec![sum, wide, 0], items)
    };
    let steps = [vec![gather(arrived, into, ordered)], steps, vec![gather(z, back, leaving)]];
    Ok(Between { arrived, steps: steps.concat(), leaving })
}

/// For each row in the experts' order the one that arrived, and the other way round.
fn orders(by_sender: &[Vec<u32>]) -> (Vec<u32>, Vec<u32>) {
    let mut starts: Vec<Vec<u32>> = Vec::new();
    let mut at = 0;
    for of in by_sender {
        let start = |&count: &u32| {
            at += count;
            at - count
        };
        starts.push(of.iter().map(start).collect());
    }
    let experts = by_sender.first().map_or(0, Vec::len);
    let mut into = Vec::with_capacity(at as usize);
    for e in 0..experts {
        for (of, starts) in by_sender.iter().zip(&starts) {
            into.extend(starts[e]..starts[e] + of[e]);
        }
    }
    let mut back = vec![0; into.len()];
    for (row, &arrived) in (0..).zip(&into) {
        back[arrived as usize] = row;
    }
    (into, back)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_to_their_experts_and_back() {
        // Two senders, two experts: rows 0, 1 | 2 of the first, 3 | 4, 5 of the second.
        let (into, back) = orders(&[vec![2, 1], vec![1, 2]]);
        assert_eq!(into, [0, 1, 3, 2, 4, 5]);
        assert_eq!(back, [0, 1, 3, 2, 4, 5]);
        let (into, back) = orders(&[vec![1, 1], vec![3, 0], vec![0, 2]]);
        assert_eq!(into, [0, 2, 3, 4, 1, 5, 6]);
        assert!(into.iter().enumerate().all(|(row, &at)| back[at as usize] == row as u32));
        assert_eq!(orders(&[]), (Vec::new(), Vec::new()));
    }
}
