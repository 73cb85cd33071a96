//! The gate of a layer: scores, choice, order of rows, and its twin.

use super::super::backend::{DeviceError, Gemm, Step};
use super::super::bench::{Bench, launch};
use super::super::kernels;
use super::super::numbers::{Format, Numbers};
use super::super::probe::{Expected, Output, spots};
use super::super::twin;
use super::{Gated, Plan, product};
use moesim::base::statistics::roots::Bracket;

/// Tokens on whose scores the bias is found.
const BIAS_TOKENS: u64 = 512;

/// The gate in 64 bits, its weights held: they are read for every token.
#[derive(Clone, Debug)]
pub struct GateTwin {
    tokens: Numbers,
    hidden: u64,
    experts: u64,
    /// D × 8N and 8N × N, or D × N alone.
    layers: Vec<Vec<f64>>,
    /// N × N and the scores of the layer before.
    residual: Option<(Vec<f64>, Numbers)>,
    /// Added to the scores.
    pub bias: Vec<f32>,
}

impl GateTwin {
    fn new(plan: &Plan, seed: u32) -> Self {
        let (d, n) = (plan.shape.hidden, plan.all());
        let held = |numbers: Numbers, count: u32| -> Vec<f64> {
            (0..u64::from(count)).map(|i| numbers.at(i)).collect()
        };
        let layers = if plan.shape.pathway_aware {
            let first = held(Numbers::weights(seed ^ 0x11, d), d * 8 * n);
            vec![first, held(Numbers::weights(seed ^ 0x12, 8 * n), 8 * n * n)]
        } else {
            vec![held(Numbers::weights(seed ^ 0x11, d), d * n)]
        };
        let residual = plan.shape.pathway_aware.then(|| {
            let map = held(Numbers::weights(seed ^ 0x13, n), n * n);
            (map, Numbers::tokens(seed ^ 0x14))
        });
        Self {
            tokens: Numbers::tokens(seed),
            hidden: d.into(),
            experts: n.into(),
            layers,
            residual,
            bias: vec![0.0; n as usize],
        }
    }

    /// Scores of token `t`, without the bias.
    #[must_use]
    pub fn scores(&self, t: u64) -> Vec<f64> {
        let mut x: Vec<f64> =
            (0..self.hidden).map(|j| self.tokens.at(t * self.hidden + j)).collect();
        for (depth, weights) in self.layers.iter().enumerate() {
            let width = weights.len() / x.len();
            let mut next = vec![0.0; width];
            for (v, row) in x.iter().zip(weights.chunks_exact(width)) {
                for (sum, w) in next.iter_mut().zip(row) {
                    *sum += v * w;
                }
            }
            if depth + 1 < self.layers.len() {
                next.iter_mut().for_each(|v| *v = v.tanh());
            }
            x = next;
        }
        if let Some((map, before)) = &self.residual {
            let n = self.experts as usize;
            for (m, row) in map.chunks_exact(n).enumerate() {
                let score = before.at(t * self.experts + m as u64);
                for (sum, w) in x.iter_mut().zip(row) {
                    *sum += score * w;
                }
            }
        }
        x
    }

    /// The weights of experts already chosen for token `t`.
    #[must_use]
    pub fn weights(&self, t: u64, chosen: &[u32], zeros: u32) -> Vec<f64> {
        let scores = self.scores(t);
        let of = |&e: &u32| scores[e as usize] + f64::from(self.bias[e as usize]);
        let most = chosen.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
        let share = |e: &u32| {
            let kept = u64::from(e + zeros) < self.experts;
            if kept { (of(e) - most).exp() } else { 0.0 }
        };
        let shares: Vec<f64> = chosen.iter().map(share).collect();
        let sum: f64 = shares.iter().sum();
        shares.iter().map(|s| if sum > 0.0 { s / sum } else { 0.0 }).collect()
    }
}

/// The bias on zero-computation experts that gives FFN experts `share` of the slots.
#[must_use]
pub fn bias_for(scores: &[Vec<f64>], ffn: usize, top_k: usize, share: f64) -> f32 {
    let found = |bias: f64| {
        let slots = scores.iter().map(|scores| {
            let mut biased: Vec<(f64, bool)> = scores
                .iter()
                .enumerate()
                .map(|(e, s)| if e < ffn { (*s, true) } else { (s + bias, false) })
                .collect();
            biased.sort_by(|a, b| b.0.total_cmp(&a.0));
            biased[..top_k].iter().filter(|(_, is_ffn)| *is_ffn).count()
        });
        slots.sum::<usize>() as f64 / (scores.len() * top_k) as f64
    };
    let bracket = Bracket { low: -20.0, high: 20.0 };
    bracket.halved(40, |bias| found(bias) > share).middle() as f32
}

/// Steps of the gate, what they must have computed, and what the device chose.
pub(super) fn build(
    plan: &Plan,
    seed: u32,
    bench: &mut Bench<'_>,
) -> Result<(Gated, Vec<Step>, Vec<Output>), DeviceError> {
    let shape = plan.shape;
    let (t, d, n) = (plan.tokens, shape.hidden, plan.all());
    let (tokens, slots) = (u64::from(t), plan.slots());
    let mut twin = GateTwin::new(plan, seed);
    if let Some(tau) = plan.tau {
        let some: Vec<Vec<f64>> = (0..tokens.min(BIAS_TOKENS)).map(|t| twin.scores(t)).collect();
        let (ffn, top_k) = (shape.ffn as usize, shape.top_k as usize);
        twin.bias[ffn..].fill(bias_for(&some, ffn, top_k, shape.ffn_share(tau)));
    }
    let x = bench.input(tokens * u64::from(d), Numbers::tokens(seed))?;
    let scores = bench.output_as(tokens * u64::from(n), Format::F32)?;
    let mut steps = scores_steps(plan, seed, (x, scores), bench)?;
    let bias = bench.reals(&twin.bias)?;
    let ids = bench.output_as(slots, Format::U32)?;
    let weights = bench.output_as(slots, Format::F32)?;
    let ranks = bench.output_as(slots, Format::U32)?;
    let counts = bench.output_as(n.into(), Format::U32)?;
    let positions = bench.output_as(slots, Format::U32)?;
    let rows = bench.output_as(slots, Format::U32)?;
    let row_weights = bench.output_as(slots, Format::F32)?;
    let (cap_ffn, cap_zero) = plan.capacity.unwrap_or((u32::MAX, u32::MAX));
    let (k, s) = (shape.top_k, slots as u32);
    steps.extend([
        bench.step(
            &kernels::CHOOSE,
            vec![scores, bias, ids, weights],
            vec![t, n, k, plan.zeros()],
            tokens,
        ),
        bench.step(
            &kernels::ORDER,
            vec![ids, ranks, counts],
            vec![s, n, shape.ffn, cap_ffn, cap_zero],
            n.into(),
        ),
        bench.step(
            &kernels::PLACE,
            vec![ids, ranks, counts, weights, positions, rows, row_weights],
            vec![s, k],
            slots,
        ),
    ]);
    bench.run(&steps)?;
    let found = bench.read_words(scores, tokens * u64::from(n))?;
    let chosen = choices(&found, &twin.bias, k as usize);
    let (ranks, counts) = twin::order(&chosen, |e| plan.capacity_of(e), n);
    let (placed, by_row) = twin::place(&chosen, &ranks, &counts);
    let words = |name, buffer, words: Vec<u32>| Output {
        name,
        buffer,
        format: Format::U32,
        count: words.len() as u64,
        expected: Expected::Words(words),
    };
    let (weigh, score) = (twin.clone(), twin.clone());
    let (ids_of, zeros) = (chosen.clone(), plan.zeros());
    let outputs = vec![
        Output {
            name: "scores",
            buffer: scores,
            format: Format::F32,
            count: tokens * u64::from(n),
            expected: Expected::Numbers {
                twin: Box::new(move |i| {
                    score.scores(i / u64::from(n))[(i % u64::from(n)) as usize]
                }),
                at: spots(tokens, n.into(), seed),
            },
        },
        words("chosen experts", ids, chosen.clone()),
        Output {
            name: "mixing weights",
            buffer: weights,
            format: Format::F32,
            count: slots,
            expected: Expected::Numbers {
                twin: Box::new(move |i| {
                    let (t, j) = (i / u64::from(k), (i % u64::from(k)) as usize);
                    let from = (t * u64::from(k)) as usize;
                    weigh.weights(t, &ids_of[from..from + k as usize], zeros)[j]
                }),
                at: spots(tokens, k.into(), seed),
            },
        },
        words("positions", positions, placed.clone()),
        words("tokens by row", rows, by_row.iter().map(|slot| slot / k).collect()),
    ];
    let tokens = Numbers::tokens(seed);
    let gated = Gated {
        x,
        tokens,
        ids,
        positions,
        rows,
        weights,
        row_weights,
        twin,
        chosen,
        placed,
        counts,
    };
    Ok((gated, steps, outputs))
}

/// x → scores.
fn scores_steps(
    plan: &Plan,
    seed: u32,
    (x, scores): (super::Buffer, super::Buffer),
    bench: &mut Bench<'_>,
) -> Result<Vec<Step>, DeviceError> {
    let (t, d, n) = (plan.tokens, plan.shape.hidden, plan.all());
    let to_scores = |gemm: Gemm| Step::Gemm(Gemm { out: Format::F32, ..gemm });
    let count = |rows: u32, columns: u32| u64::from(rows) * u64::from(columns);
    if !plan.shape.pathway_aware {
        let w = bench.input(count(d, n), Numbers::weights(seed ^ 0x11, d))?;
        return Ok(vec![to_scores(product(bench, [x, w, scores], (n, d), vec![t]))]);
    }
    let wide = 8 * n;
    let w1 = bench.input(count(d, wide), Numbers::weights(seed ^ 0x11, d))?;
    let w2 = bench.input(count(wide, n), Numbers::weights(seed ^ 0x12, wide))?;
    let map = bench.input_as(count(n, n), Numbers::weights(seed ^ 0x13, n), Format::F32)?;
    let before = bench.input_as(count(t, n), Numbers::tokens(seed ^ 0x14), Format::F32)?;
    let raw = bench.output_as(count(t, wide), Format::F32)?;
    let between = bench.output(count(t, wide))?;
    let items = count(t, wide);
    let residual =
        launch(&kernels::RESIDUAL, Format::F32, vec![before, map, scores], vec![t, n], count(t, n));
    Ok(vec![
        to_scores(product(bench, [x, w1, raw], (wide, d), vec![t])),
        bench.step(&kernels::TANH, vec![raw, between], vec![items as u32], items),
        to_scores(product(bench, [between, w2, scores], (n, wide), vec![t])),
        Step::Launch(residual),
    ])
}

/// The K best experts of every token by the device's own scores, biased in 32 bits as there.
fn choices(scores: &[u32], bias: &[f32], top_k: usize) -> Vec<u32> {
    let of_token = |scores: &[u32]| {
        let score = |(word, bias): (&u32, &f32)| f64::from(f32::from_bits(*word) + bias);
        let biased: Vec<f64> = scores.iter().zip(bias).map(score).collect();
        twin::choose(&biased, top_k, 0).experts
    };
    scores.chunks_exact(bias.len()).flat_map(of_token).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bias_gives_ffn_experts_their_share() {
        let numbers = Numbers::tokens(3);
        let scores: Vec<Vec<f64>> =
            (0..2000).map(|t| (0..12).map(|e| numbers.at(t * 12 + e)).collect()).collect();
        for share in [0.167, 0.5, 0.9] {
            let bias = f64::from(bias_for(&scores, 8, 2, share));
            let ffn: usize = scores
                .iter()
                .map(|s| {
                    let mut biased = s.clone();
                    biased[8..].iter_mut().for_each(|s| *s += bias);
                    twin::choose(&biased, 2, 0).experts.iter().filter(|e| **e < 8).count()
                })
                .sum();
            assert!((ffn as f64 / 4000.0 - share).abs() < 0.01, "{share}: {ffn}");
        }
    }
}
