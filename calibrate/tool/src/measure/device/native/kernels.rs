//! The kernels of the layer on a CPU, each beside its bodies in WGSL and CUDA C by name.
//!
//! What a kernel writes is cut into parts, and threads take them in turn; what it reads is shared.

use std::sync::Mutex;

use moesim::base::threads::Team;

use super::super::super::backend::{DeviceError, Launch};
use super::super::super::kernels::NONE;
use super::super::super::numbers::Numbers;

/// Words that are not worth a second thread: a megabyte, which takes a hundred microseconds or more.
const LEAST_PART: usize = 1 << 18;

/// Cuts words into parts of a multiple of `unit`, and does all of them by the team; told where each part
/// begins.
fn in_parts(words: &mut [u32], unit: usize, team: &Team, work: impl Fn(usize, &mut [u32]) + Sync) {
    let least = LEAST_PART.max(words.len().div_ceil(team.size()));
    let each = least.div_ceil(unit.max(1)) * unit.max(1);
    if words.len() <= each || team.size() < 2 {
        return work(0, words);
    }
    let parts = words.chunks_mut(each).enumerate().map(|(i, part)| (i * each, part));
    share_out(parts.collect(), (team, usize::MAX), work);
}

/// Hands each of these parts, with what is known of it, to at most so many of the team.
pub(super) fn share_out<T: Copy + Send + Sync>(
    parts: Vec<(T, &mut [u32])>,
    (team, most): (&Team, usize),
    work: impl Fn(T, &mut [u32]) + Sync,
) {
    let parts: Vec<(T, Mutex<&mut [u32]>)> =
        parts.into_iter().map(|(known, part)| (known, Mutex::new(part))).collect();
    team.each(parts.len(), most, |i| {
        let (known, part) = &parts[i];
        // No thread that held a part can have failed: this one is its only holder.
        if let Ok(mut part) = part.lock() {
            work(*known, &mut part);
        }
    });
}

fn reals(words: &[u32]) -> &[f32] {
    bytemuck::cast_slice(words)
}

fn reals_mut(words: &mut [u32]) -> &mut [f32] {
    bytemuck::cast_slice_mut(words)
}

fn silu(v: f32) -> f32 {
    v / (1.0 + (-v).exp())
}

/// What a kernel is launched with, its written buffers taken out of memory.
struct Call<'m> {
    launch: &'m Launch,
    memory: &'m [Vec<u32>],
    team: &'m Team,
}

impl Call<'_> {
    fn words(&self, at: usize) -> &[u32] {
        &self.memory[self.launch.buffers[at].0 as usize]
    }

    fn reals(&self, at: usize) -> &[f32] {
        reals(self.words(at))
    }

    fn size(&self, at: usize) -> usize {
        self.launch.params[at] as usize
    }

    fn real(&self, at: usize) -> f32 {
        f32::from_bits(self.launch.params[at])
    }

    /// Every number of y by its index and what it was.
    fn each(&self, y: &mut [u32], count: usize, number: impl Fn(usize, f32) -> f32 + Sync) {
        in_parts(&mut y[..count], 1, self.team, |from, part| {
            for (i, v) in (from..).zip(reals_mut(part)) {
                *v = number(i, *v);
            }
        });
    }

    /// Every row of y by its number.
    fn rows(
        &self,
        y: &mut [u32],
        (count, width): (usize, usize),
        row: impl Fn(usize, &mut [f32]) + Sync,
    ) {
        in_parts(&mut y[..count * width], width, self.team, |from, part| {
            for (r, numbers) in (from / width..).zip(reals_mut(part).chunks_exact_mut(width)) {
                row(r, numbers);
            }
        });
    }
}

/// Runs a kernel.
pub(super) fn run(
    launch: &Launch,
    memory: &mut [Vec<u32>],
    team: &Team,
) -> Result<(), DeviceError> {
    let written: Vec<usize> =
        (0..launch.buffers.len()).filter(|&i| launch.kernel.buffers[i].written).collect();
    let take = |&i: &usize| std::mem::take(&mut memory[launch.buffers[i].0 as usize]);
    let mut out: Vec<Vec<u32>> = written.iter().map(take).collect();
    let call = Call { launch, memory, team };
    let known =
        elementwise(&call, &mut out[0]) || by_rows(&call, &mut out[0]) || gate(&call, &mut out);
    for (i, words) in written.into_iter().zip(out) {
        memory[launch.buffers[i].0 as usize] = words;
    }
    let name = launch.kernel.name;
    if known { Ok(()) } else { Err(DeviceError::Unsupported(format!("{name} on a CPU"))) }
}

/// Kernels that go from number to number; false for others.
fn elementwise(call: &Call<'_>, y: &mut [u32]) -> bool {
    let n = call.size(0);
    match call.launch.kernel.name {
        "fill" => {
            let exponent = call.real(2).log2().round() as i32;
            let numbers = Numbers { seed: call.launch.params[1], exponent };
            call.each(y, n, |i, _| numbers.at(i as u64) as f32);
        }
        "poison" => {
            let word = call.launch.params[1];
            in_parts(&mut y[..n], 1, call.team, |_, part| part.fill(word));
        }
        "nothing" => y[0] = call.launch.params[0],
        "copy" => {
            let x = call.words(0);
            in_parts(&mut y[..4 * n], 1, call.team, |from, part| {
                part.copy_from_slice(&x[from..from + part.len()]);
            });
        }
        "axpy" => {
            let (x, a) = (call.reals(0), call.real(1));
            call.each(y, 4 * n, |i, v| v + a * x[i]);
        }
        "silu" => call.each(y, 4 * n, |_, v| silu(v)),
        "multiply" => {
            let x = call.reals(0);
            call.each(y, 4 * n, |i, v| v * x[i]);
        }
        "zero" => in_parts(&mut y[..4 * n], 1, call.team, |_, part| part.fill(0)),
        "tanh" => {
            let x = call.reals(0);
            call.each(y, n, |i, _| x[i].tanh());
        }
        _ => return false,
    }
    true
}

/// Kernels that go from row to row; false for others.
fn by_rows(call: &Call<'_>, y: &mut [u32]) -> bool {
    let (count, width) = (call.size(0), call.launch.params.get(1).map_or(0, |&w| w as usize));
    let wide = 4 * width;
    match call.launch.kernel.name {
        "gather" => {
            let (x, rows, first) = (call.reals(0), call.words(1), call.size(2));
            call.rows(y, (count, wide), |r, to| {
                let from = rows[first + r] as usize * wide;
                to.copy_from_slice(&x[from..from + wide]);
            });
        }
        "swiglu" => {
            let x = call.reals(0);
            call.rows(y, (count, wide), |r, to| {
                let (gate, up) = x[2 * r * wide..2 * (r + 1) * wide].split_at(wide);
                for ((v, a), b) in to.iter_mut().zip(gate).zip(up) {
                    *v = silu(*a) * b;
                }
            });
        }
        "scale" => {
            let (weights, first) = (call.reals(0), call.size(2));
            call.rows(y, (count, wide), |r, to| {
                to.iter_mut().for_each(|v| *v *= weights[first + r])
            });
        }
        "scatter_add" => scatter_add(call, y, (count, wide)),
        "mix" => mix(call, y, (count, wide)),
        "copy_tokens" => copy_tokens(call, y, (count, wide)),
        "constant_tokens" => constant_tokens(call, y, (count, width)),
        "constant" => {
            let (x, map, constants) = (call.reals(0), call.reals(1), call.reals(2));
            let from = call.size(2) * width;
            let (map, constants) = (&map[2 * from..], &constants[from..]);
            call.rows(y, (count, width), |r, to| {
                let x = &x[r * width..(r + 1) * width];
                let a = share(x, map);
                for ((v, x), c) in to.iter_mut().zip(x).zip(constants) {
                    *v = a * x + (1.0 - a) * c;
                }
            });
        }
        _ => return false,
    }
    true
}

/// α₁ of a constant expert.
fn share(x: &[f32], map: &[f32]) -> f32 {
    let (mut a, mut b) = (0.0, 0.0);
    for (v, w) in x.iter().zip(map.chunks_exact(2)) {
        a += v * w[0];
        b += v * w[1];
    }
    1.0 / (1.0 + (b - a).exp())
}

/// Each thread takes the rows of y that are its own, whatever their order in x.
fn scatter_add(call: &Call<'_>, y: &mut [u32], (count, wide): (usize, usize)) {
    let (x, rows, first) = (call.reals(0), call.words(1), call.size(2));
    let rows = &rows[first..first + count];
    in_parts(y, wide, call.team, |from, part| {
        let own = from / wide..(from + part.len()) / wide;
        let part = reals_mut(part);
        for (r, &to) in rows.iter().enumerate().filter(|(_, to)| own.contains(&(**to as usize))) {
            let at = (to as usize - own.start) * wide;
            for (v, x) in part[at..at + wide].iter_mut().zip(&x[r * wide..]) {
                *v += x;
            }
        }
    });
}

fn mix(call: &Call<'_>, y: &mut [u32], (tokens, wide): (usize, usize)) {
    let (x, ids, positions, weights) = (call.reals(0), call.words(1), call.words(2), call.reals(3));
    let (top_k, ffn) = (call.size(2), call.launch.params[3]);
    call.rows(y, (tokens, wide), |t, to| {
        to.fill(0.0);
        for slot in t * top_k..(t + 1) * top_k {
            if ids[slot] < ffn && positions[slot] < NONE {
                let from = positions[slot] as usize * wide;
                for (v, x) in to.iter_mut().zip(&x[from..]) {
                    *v += weights[slot] * x;
                }
            }
        }
    });
}

/// Slots of a token at experts between the two of the parameters, dropped ones left out.
fn slots_at<'c>(call: &'c Call<'_>, t: usize) -> impl Iterator<Item = usize> + 'c {
    let (top_k, experts) = (call.size(2), call.launch.params[3]..call.launch.params[4]);
    let (ids, positions) = (call.words(1), call.words(2));
    (t * top_k..(t + 1) * top_k)
        .filter(move |&slot| experts.contains(&ids[slot]) && positions[slot] < NONE)
}

fn copy_tokens(call: &Call<'_>, y: &mut [u32], (tokens, wide): (usize, usize)) {
    let (x, weights) = (call.reals(0), call.reals(3));
    call.rows(y, (tokens, wide), |t, to| {
        let w: f32 = slots_at(call, t).map(|slot| weights[slot]).sum();
        if w != 0.0 {
            for (v, x) in to.iter_mut().zip(&x[t * wide..]) {
                *v += w * x;
            }
        }
    });
}

fn constant_tokens(call: &Call<'_>, y: &mut [u32], (tokens, width): (usize, usize)) {
    let (x, ids, weights) = (call.reals(0), call.words(1), call.reals(3));
    let (map, constants, first) = (call.reals(4), call.reals(5), call.size(3));
    call.rows(y, (tokens, width), |t, to| {
        let x = &x[t * width..(t + 1) * width];
        for slot in slots_at(call, t) {
            let from = (ids[slot] as usize - first) * width;
            let (a, w) = (share(x, &map[2 * from..]), weights[slot]);
            for ((v, x), c) in to.iter_mut().zip(x).zip(&constants[from..]) {
                *v += w * (a * x + (1.0 - a) * c);
            }
        }
    });
}

/// Kernels of the gate, of several outputs; false for others.
fn gate(call: &Call<'_>, out: &mut [Vec<u32>]) -> bool {
    match (call.launch.kernel.name, out) {
        ("gating_residual", [scores]) => {
            let (before, map) = (call.reals(0), call.reals(1));
            let (tokens, n) = (call.size(0), call.size(1));
            call.rows(scores, (tokens, n), |t, to| {
                for (b, row) in before[t * n..(t + 1) * n].iter().zip(map.chunks_exact(n)) {
                    to.iter_mut().zip(row).for_each(|(v, w)| *v += b * w);
                }
            });
        }
        ("choose", [ids, weights]) => choose(call, ids, weights),
        ("order", [ranks, counts]) => order(call, ranks, counts),
        ("place", [positions, rows, row_weights]) => place(call, positions, rows, row_weights),
        _ => return false,
    }
    true
}

fn choose(call: &Call<'_>, ids: &mut [u32], weights: &mut [u32]) {
    let (scores, bias) = (call.reals(0), call.reals(1));
    let [tokens, n, top_k, zeros] = [0, 1, 2, 3].map(|at| call.size(at));
    let score = |t: usize, e: usize| scores[t * n + e] + bias[e];
    in_parts(&mut ids[..tokens * top_k], top_k, call.team, |from, part| {
        for (t, chosen) in (from / top_k..).zip(part.chunks_exact_mut(top_k)) {
            for k in 0..top_k {
                let free = (0..n).filter(|&e| !chosen[..k].contains(&(e as u32)));
                // Ties go to the lower index.
                let best = free.reduce(|a, b| if score(t, b) > score(t, a) { b } else { a });
                chosen[k] = best.unwrap_or_default() as u32;
            }
        }
    });
    let ids = &*ids;
    call.rows(weights, (tokens, top_k), |t, to| {
        let chosen = &ids[t * top_k..(t + 1) * top_k];
        let most = score(t, chosen[0] as usize);
        for (w, &e) in to.iter_mut().zip(chosen) {
            let kept = e as usize + zeros < n;
            *w = if kept { (score(t, e as usize) - most).exp() } else { 0.0 };
        }
        let sum: f32 = to.iter().sum();
        if sum > 0.0 {
            to.iter_mut().for_each(|w| *w /= sum);
        }
    });
}

fn order(call: &Call<'_>, ranks: &mut [u32], counts: &mut [u32]) {
    let (ids, slots, experts) = (call.words(0), call.size(0), call.size(1));
    let [ffn, cap_ffn, cap_zero] = [2, 3, 4].map(|at| call.launch.params[at]);
    counts[..experts].fill(0);
    for (rank, &id) in ranks[..slots].iter_mut().zip(ids) {
        let capacity = if id < ffn { cap_ffn } else { cap_zero };
        let count = &mut counts[id as usize];
        let fits = *count < capacity;
        *rank = if fits { *count } else { NONE };
        *count += u32::from(fits);
    }
}

fn place(call: &Call<'_>, positions: &mut [u32], rows: &mut [u32], row_weights: &mut [u32]) {
    let (ids, ranks, counts, weights) =
        (call.words(0), call.words(1), call.words(2), call.words(3));
    let (slots, top_k) = (call.size(0), call.launch.params[1]);
    // Beyond the last expert there may be anything.
    let mut before = 0_u32;
    let start = |&count: &u32| {
        let start = before;
        before = before.wrapping_add(count);
        start
    };
    let starts: Vec<u32> = counts.iter().map(start).collect();
    for slot in 0..slots {
        if ranks[slot] == NONE {
            positions[slot] = NONE;
            continue;
        }
        let at = starts[ids[slot] as usize] + ranks[slot];
        positions[slot] = at;
        rows[at as usize] = slot as u32 / top_k;
        row_weights[at as usize] = weights[slot];
    }
}
