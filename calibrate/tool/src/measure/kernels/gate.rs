//! From scores to experts, and from experts to an order of rows.

use super::Of::{F32, U32};
use super::Param::Whole;
use super::{Kernel, PLAIN, input, output};

/// scores\[t, n\] += Σ_m before\[t, m\]·map\[m, n\]: the gating residual \[moepp, eq. 6\].
pub const RESIDUAL: Kernel = Kernel {
    name: "gating_residual",
    buffers: &[input("before", F32), input("map", F32), output("scores", F32)],
    params: &[Whole("tokens"), Whole("experts")],
    wgsl: "
    if (i >= p.tokens * p.experts) { return; }
    let t = i / p.experts;
    let n = i - t * p.experts;
    var sum = 0.0;
    for (var m = 0u; m < p.experts; m++) {
        sum += before[t * p.experts + m] * map[m * p.experts + n];
    }
    scores[i] += sum;
",
    cuda: "
    if (i >= p.tokens * p.experts) return;
    u32 t = i / p.experts, n = i - t * p.experts;
    float sum = 0.f;
    for (u32 m = 0; m < p.experts; m++) sum += before[t * p.experts + m] * map[m * p.experts + n];
    scores[i] += sum;
",
    ..PLAIN
};

/// The K best experts of each token by biased score, ties to the lower index, and their weights:
/// softmax over all, zero for the last `zeros` experts, renormalised over the chosen, as the public
/// code does. Softmax over all and renormalising is softmax over the chosen: its sum cancels.
///
/// One thread a token in WGSL, one warp a token in CUDA.
pub const CHOOSE: Kernel = Kernel {
    name: "choose",
    buffers: &[
        input("scores", F32),
        input("bias", F32),
        output("ids", U32),
        output("weights", F32),
    ],
    params: &[Whole("tokens"), Whole("experts"), Whole("top_k"), Whole("zeros")],
    threads: 64,
    wgsl: "
    if (i >= p.tokens) { return; }
    let start = i * p.experts;
    let to = i * p.top_k;
    var last = 3.0e38;
    var last_n = 0u;
    var best_of_all = 0.0;
    var sum = 0.0;
    for (var k = 0u; k < p.top_k; k++) {
        var best = -3.0e38;
        var best_n = 0u;
        for (var n = 0u; n < p.experts; n++) {
            let s = scores[start + n] + bias[n];
            let free = s < last || (s == last && n > last_n);
            if (free && s > best) { best = s; best_n = n; }
        }
        if (k == 0u) { best_of_all = best; }
        var w = exp(best - best_of_all);
        if (best_n >= p.experts - p.zeros) { w = 0.0; }
        ids[to + k] = best_n;
        weights[to + k] = w;
        sum += w;
        last = best;
        last_n = best_n;
    }
    for (var k = 0u; k < p.top_k; k++) {
        if (sum > 0.0) { weights[to + k] = weights[to + k] / sum; }
    }
",
    cuda: "
    if (i >= p.tokens) return;
    const u32 lane = lid & 31u;
    const float* row = scores + (size_t)i * p.experts;
    float last = 3.0e38f, best_of_all = 0.f, sum = 0.f;
    u32 last_n = 0;
    for (u32 k = 0; k < p.top_k; k++) {
        float best = -3.0e38f;
        u32 best_n = 0;
        for (u32 n = lane; n < p.experts; n += 32u) {
            float s = row[n] + bias[n];
            bool free = s < last || (s == last && n > last_n);
            if (free && s > best) { best = s; best_n = n; }
        }
        for (int o = 16; o > 0; o >>= 1) {
            float s = __shfl_xor_sync(0xffffffffu, best, o);
            u32 n = __shfl_xor_sync(0xffffffffu, best_n, o);
            if (s > best || (s == best && n < best_n)) { best = s; best_n = n; }
        }
        if (k == 0) best_of_all = best;
        float w = expf(best - best_of_all);
        if (best_n >= p.experts - p.zeros) w = 0.f;
        if (lane == 0) { ids[i * p.top_k + k] = best_n; weights[i * p.top_k + k] = w; }
        sum += w;
        last = best;
        last_n = best_n;
    }
    if (lane == 0 && sum > 0.f)
        for (u32 k = 0; k < p.top_k; k++) weights[i * p.top_k + k] /= sum;
",
    cuda_lanes: 32,
    ..PLAIN
};

/// For each expert, the rank of each of its slots in token order, `NONE` beyond its capacity, and
/// how many it takes. One thread an expert in WGSL, one warp an expert in CUDA.
pub const ORDER: Kernel = Kernel {
    name: "order",
    buffers: &[input("ids", U32), output("ranks", U32), output("counts", U32)],
    params: &[
        Whole("slots"),
        Whole("experts"),
        Whole("ffn"),
        Whole("capacity_ffn"),
        Whole("capacity_zero"),
    ],
    threads: 64,
    wgsl: "
    if (i >= p.experts) { return; }
    let capacity = select(p.capacity_zero, p.capacity_ffn, i < p.ffn);
    var count = 0u;
    for (var slot = 0u; slot < p.slots; slot++) {
        if (ids[slot] == i) {
            if (count < capacity) { ranks[slot] = count; count++; }
            else { ranks[slot] = 0xFFFFFFFEu; }
        }
    }
    counts[i] = count;
",
    cuda: "
    if (i >= p.experts) return;
    const u32 lane = lid & 31u;
    const u32 capacity = i < p.ffn ? p.capacity_ffn : p.capacity_zero;
    u32 count = 0;
    for (u32 start = 0; start < p.slots; start += 32u) {
        u32 slot = start + lane;
        bool mine = slot < p.slots && ids[slot] == i;
        u32 all = __ballot_sync(0xffffffffu, mine);
        u32 rank = count + __popc(all & ((1u << lane) - 1u));
        if (mine) ranks[slot] = rank < capacity ? rank : 0xFFFFFFFEu;
        count += __popc(all);
    }
    if (lane == 0) counts[i] = count < capacity ? count : capacity;
",
    cuda_lanes: 32,
    ..PLAIN
};

/// The row of each slot when slots are sorted by expert, and for each row its token and weight.
pub const PLACE: Kernel = Kernel {
    name: "place",
    buffers: &[
        input("ids", U32),
        input("ranks", U32),
        input("counts", U32),
        input("weights", F32),
        output("positions", U32),
        output("rows", U32),
        output("row_weights", F32),
    ],
    params: &[Whole("slots"), Whole("top_k")],
    wgsl: "
    if (i >= p.slots) { return; }
    let rank = ranks[i];
    if (rank == 0xFFFFFFFEu) { positions[i] = rank; return; }
    var at = rank;
    for (var e = 0u; e < ids[i]; e++) { at += counts[e]; }
    positions[i] = at;
    rows[at] = i / p.top_k;
    row_weights[at] = weights[i];
",
    cuda: "
    if (i >= p.slots) return;
    u32 at = ranks[i];
    if (at == 0xFFFFFFFEu) { positions[i] = at; return; }
    for (u32 e = 0; e < ids[i]; e++) at += counts[e];
    positions[i] = at;
    rows[at] = i / p.top_k;
    row_weights[at] = weights[i];
",
    ..PLAIN
};
