//! The whole MoE++ layer on a device, forward: gate, experts of every kind, and back.
//!
//! ```text
//!   x ─ scores (D→N, or D→8N→tanh→N) ─ + residual ─ choose ─ order, place        the gate
//!   grouped:     permute ─ W₁₃, all experts ─ SwiGLU ─ W₂, all experts ─ mix ─ + copy ─ + constant
//!   sequential:  for each expert  gather ─ W₁ ─ W₃ ─ silu ─ · ─ W₂ ─ scale ─ add to its tokens
//! ```
//!
//! Sequential is the loop of the public code, op by op, with the counts known: the code itself waits
//! for each expert's list of tokens, which a run here does not (launching and waiting is a probe of
//! its own). Grouped likewise launches with counts read back once, when inputs are made.
//! Experts are ordered FFN, constant, copy, zero. The public code feeds experts K·x; that factor
//! changes no shape and is left out. The bias on the scores of zero-computation experts stands for
//! what training with τ does: it brings the share of FFN slots to φ(τ) [moepp, Table 1].

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::backend::{Buffer, DeviceError, Gemm, Step};
use super::bench::{Bench, launch};
use super::kernels::{self, NONE};
use super::numbers::{Format, Numbers};
use super::probe::{Expected, Output, Set, dear_spots};
use super::shapes::Shape;
use super::twin::{self, Experts};

pub mod cut;
mod experts;
mod gate;

pub use gate::{GateTwin, bias_for};

/// How FFN experts are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    /// All at once, as grouped products.
    Grouped,
    /// One after another, op by op.
    Sequential,
}

/// One layer to build.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Its sizes.
    pub shape: Shape,
    /// How many tokens.
    pub tokens: u32,
    /// With zero-computation experts at this τ, or none: vanilla.
    pub tau: Option<f64>,
    /// Slots that an FFN and a zero-computation expert take at most; the rest are dropped.
    pub capacity: Option<(u32, u32)>,
    /// How experts run.
    pub execution: Execution,
}

impl Plan {
    /// Experts of all kinds.
    #[must_use]
    pub const fn all(&self) -> u32 {
        if self.tau.is_some() { self.shape.all() } else { self.shape.ffn }
    }

    /// Zero experts: their weight is set to zero.
    #[must_use]
    pub const fn zeros(&self) -> u32 {
        if self.tau.is_some() { self.shape.zero } else { 0 }
    }

    fn slots(&self) -> u64 {
        u64::from(self.tokens) * u64::from(self.shape.top_k)
    }

    fn capacity_of(&self, expert: u32) -> u32 {
        let (ffn, zero) = self.capacity.unwrap_or((u32::MAX, u32::MAX));
        if expert < self.shape.ffn { ffn } else { zero }
    }
}

/// Buffers of the gate, shared by what follows it.
struct Gated {
    x: Buffer,
    tokens: Numbers,
    ids: Buffer,
    positions: Buffer,
    rows: Buffer,
    weights: Buffer,
    row_weights: Buffer,
    twin: GateTwin,
    /// What the device chose, ordered and placed.
    chosen: Vec<u32>,
    placed: Vec<u32>,
    counts: Vec<u32>,
}

/// A layer with fresh inputs, ready to be checked and timed.
///
/// # Errors
/// If the device fails.
pub fn set(plan: &Plan, seed: u32, bench: &mut Bench<'_>) -> Result<Set, DeviceError> {
    let (gated, mut steps, mut outputs) = gate::build(plan, seed, bench)?;
    let (experts, y, weights) = match plan.execution {
        Execution::Grouped => experts::grouped(plan, seed, &gated, bench)?,
        Execution::Sequential => experts::sequential(plan, seed, &gated, bench)?,
    };
    steps.extend(experts);
    let slots = gated.counts.clone();
    let [tokens, hidden, inter, top_k] =
        [plan.tokens, plan.shape.hidden, plan.shape.inter, plan.shape.top_k].map(u64::from);
    let products = 3 * top_k * hidden * inter;
    outputs.push(Output {
        name: "the layer's output",
        buffer: y,
        format: bench.format,
        count: u64::from(plan.tokens) * u64::from(plan.shape.hidden),
        expected: Expected::Numbers {
            twin: Box::new(result(*plan, gated, weights)),
            at: dear_spots(tokens, hidden, seed, products),
        },
    });
    Ok(Set { steps, outputs, slots })
}

/// The gate alone: scores, choice, and the order of rows.
///
/// # Errors
/// If the device fails.
pub fn gate_set(plan: &Plan, seed: u32, bench: &mut Bench<'_>) -> Result<Set, DeviceError> {
    let (gated, steps, outputs) = gate::build(plan, seed, bench)?;
    Ok(Set { steps, outputs, slots: gated.counts })
}

/// The weights of the experts, for the twin.
#[derive(Clone, Copy, Debug)]
struct Weights {
    ffn: Experts,
    map: Numbers,
    constants: Numbers,
}

impl Weights {
    fn new(ffn: Experts, seed: u32, hidden: u32) -> Self {
        let map = Numbers::weights(seed ^ 0x30, hidden);
        Self { ffn, map, constants: Numbers::tokens(seed ^ 0x31) }
    }
}

/// What a token chose: experts and their weights.
type Choice = (Vec<f64>, Vec<f64>);

/// Element of the layer's output by index: what the twin says of it.
fn result(plan: Plan, gated: Gated, weights: Weights) -> impl Fn(u64) -> f64 {
    let (d, h) = (u64::from(plan.shape.hidden), u64::from(plan.shape.inter));
    let inner: RefCell<BTreeMap<(u64, u32), Vec<f64>>> = RefCell::default();
    let choices: RefCell<BTreeMap<u64, Choice>> = RefCell::default();
    move |index| {
        let (t, c) = (index / d, index % d);
        let top_k = plan.shape.top_k as usize;
        let slots = t as usize * top_k..(t as usize + 1) * top_k;
        let ids = &gated.chosen[slots.clone()];
        let mut choices = choices.borrow_mut();
        let (x, shares) = choices.entry(t).or_insert_with(|| {
            let x = (0..d).map(|j| gated.tokens.at(t * d + j)).collect();
            (x, gated.twin.weights(t, ids, plan.zeros()))
        });
        let mut sum = 0.0;
        for ((&id, &at), share) in ids.iter().zip(&gated.placed[slots]).zip(shares.iter()) {
            if at == NONE {
                continue;
            }
            sum += share
                * match kind_of(&plan, id) {
                    Kind::Ffn => {
                        let mut inner = inner.borrow_mut();
                        let between = inner
                            .entry((t, id))
                            .or_insert_with(|| weights.ffn.inner(id.into(), x, h));
                        weights.ffn.outer(id.into(), between, d, c)
                    }
                    Kind::Constant => {
                        let from = u64::from(id - plan.shape.ffn) * d;
                        let share = twin::constant_share(x, |i| weights.map.at(2 * from + i));
                        share * x[c as usize] + (1.0 - share) * weights.constants.at(from + c)
                    }
                    Kind::Copy => x[c as usize],
                    Kind::Zero => 0.0,
                };
        }
        sum
    }
}

enum Kind {
    Ffn,
    Constant,
    Copy,
    Zero,
}

const fn kind_of(plan: &Plan, expert: u32) -> Kind {
    let shape = plan.shape;
    if expert < shape.ffn {
        Kind::Ffn
    } else if expert < shape.ffn + shape.constant {
        Kind::Constant
    } else if expert < shape.ffn + shape.constant + shape.copy {
        Kind::Copy
    } else {
        Kind::Zero
    }
}

/// Rows of `width` numbers of this format, counted in blocks of sixteen bytes.
pub(crate) const fn blocks(width: u32, format: Format) -> u32 {
    (width as u64 * format.bytes() / 16) as u32
}

/// A product in the bench's format.
pub(crate) fn product(
    bench: &Bench<'_>,
    [a, b, c]: [Buffer; 3],
    (n, k): (u32, u32),
    rows: Vec<u32>,
) -> Gemm {
    Gemm { a, b, c, n, k, rows, first_group: 0, format: bench.format, out: bench.format, sms: None }
}

fn grid(
    kernel: &'static kernels::Kernel,
    format: Format,
    buffers: Vec<Buffer>,
    params: Vec<u32>,
    groups: u64,
) -> Step {
    let mut made = launch(kernel, format, buffers, params, 1);
    made.groups = groups;
    Step::Launch(made)
}
