//! Copy and constant experts: over all tokens at once, or as a loop over experts visits them.
//!
//! Experts are ordered as in the public code: FFN, constant, copy, zero.

use super::Of::{F32, Numbers, Quads, U32};
use super::Param::Whole;
use super::{Kernel, PLAIN, input, output};

/// y\[t\] += w·x\[t\] for every slot of t at a copy expert \[moepp, eq. 4\]; `first` and `end` bound
/// their indices.
pub const COPY_TOKENS: Kernel = Kernel {
    name: "copy_tokens",
    buffers: &[
        input("x", Quads),
        input("ids", U32),
        input("positions", U32),
        input("weights", F32),
        output("y", Quads),
    ],
    params: &[Whole("tokens"), Whole("width"), Whole("top_k"), Whole("first"), Whole("end")],
    wgsl: "
    if (i >= p.tokens * p.width) { return; }
    let t = i / p.width;
    var w = 0.0;
    for (var k = 0u; k < p.top_k; k++) {
        let slot = t * p.top_k + k;
        let copied = ids[slot] >= p.first && ids[slot] < p.end && positions[slot] < 0xFFFFFFFEu;
        if (copied) { w += weights[slot]; }
    }
    if (w != 0.0) { y[i] = T4(vec4<f32>(y[i]) + w * vec4<f32>(x[i])); }
",
    cuda: "
    if (i >= p.tokens * p.width) return;
    u32 t = i / p.width;
    float w = 0.f;
    for (u32 k = 0; k < p.top_k; k++) {
        u32 slot = t * p.top_k + k;
        if (ids[slot] >= p.first && ids[slot] < p.end && positions[slot] < 0xFFFFFFFEu)
            w += weights[slot];
    }
    if (w == 0.f) return;
    float4 a = get4(x[i]), b = get4(y[i]);
    y[i] = put4(make_float4(b.x + w * a.x, b.y + w * a.y, b.z + w * a.z, b.w + w * a.w));
",
    ..PLAIN
};

/// y\[t\] += w·(α₁x\[t\] + α₂v), α = softmax(x\[t\]·W), for every slot of t at a constant expert
/// \[moepp, eq. 5\]. `map` holds W as D × 2 for each, `constants` v. One group of threads a token.
pub const CONSTANT_TOKENS: Kernel = Kernel {
    name: "constant_tokens",
    buffers: &[
        input("x", Numbers),
        input("ids", U32),
        input("positions", U32),
        input("weights", F32),
        input("map", Numbers),
        input("constants", Numbers),
        output("y", Numbers),
    ],
    params: &[Whole("tokens"), Whole("width"), Whole("top_k"), Whole("first"), Whole("end")],
    threads: 64,
    wgsl_globals: "var<workgroup> part: array<vec2<f32>, 64>;\n",
    wgsl: "
    for (var t = group; t < p.tokens; t += groups) {
        for (var k = 0u; k < p.top_k; k++) {
            let slot = t * p.top_k + k;
            let id = ids[slot];
            let mine = id >= p.first && id < p.end && positions[slot] < 0xFFFFFFFEu;
            var sum = vec2<f32>(0.0);
            if (mine) {
                let start = (id - p.first) * p.width;
                for (var d = lid; d < p.width; d += 64u) {
                    let w = vec2<f32>(f32(map[2u * (start + d)]), f32(map[2u * (start + d) + 1u]));
                    sum += f32(x[t * p.width + d]) * w;
                }
            }
            part[lid] = sum;
            workgroupBarrier();
            var all = vec2<f32>(0.0);
            if (mine) {
                for (var j = 0u; j < 64u; j++) { all += part[j]; }
                let a = 1.0 / (1.0 + exp(all.y - all.x));
                let w = weights[slot];
                let start = (id - p.first) * p.width;
                for (var d = lid; d < p.width; d += 64u) {
                    let at = t * p.width + d;
                    let z = a * f32(x[at]) + (1.0 - a) * f32(constants[start + d]);
                    y[at] = T(f32(y[at]) + w * z);
                }
            }
            workgroupBarrier();
        }
    }
",
    software: Some((TOKENS_IN_SOFTWARE, CONSTANT_TOKENS_IN_SOFTWARE)),
    cuda: "
    __shared__ float part[4];
    for (u32 t = group; t < p.tokens; t += groups) {
        for (u32 k = 0; k < p.top_k; k++) {
            u32 slot = t * p.top_k + k, id = ids[slot];
            if (id < p.first || id >= p.end || positions[slot] >= 0xFFFFFFFEu) continue;
            size_t start = (size_t)(id - p.first) * p.width;
            float a0 = 0.f, a1 = 0.f;
            for (u32 d = lid; d < p.width; d += 64u) {
                float v = get(x[(size_t)t * p.width + d]);
                a0 += v * get(map[2u * (start + d)]);
                a1 += v * get(map[2u * (start + d) + 1u]);
            }
            for (int o = 16; o > 0; o >>= 1) {
                a0 += __shfl_xor_sync(0xffffffffu, a0, o);
                a1 += __shfl_xor_sync(0xffffffffu, a1, o);
            }
            __syncthreads();
            if ((lid & 31u) == 0) { part[(lid >> 5) * 2u] = a0; part[(lid >> 5) * 2u + 1u] = a1; }
            __syncthreads();
            a0 = part[0] + part[2]; a1 = part[1] + part[3];
            float a = 1.f / (1.f + expf(a1 - a0)), w = weights[slot];
            for (u32 d = lid; d < p.width; d += 64u) {
                size_t at = (size_t)t * p.width + d;
                float z = a * get(x[at]) + (1.f - a) * get(constants[start + d]);
                y[at] = put(get(y[at]) + w * z);
            }
        }
    }
",
    ..PLAIN
};

/// y\[r\] = α₁x\[r\] + α₂v, α = softmax(x\[r\]·W), for the rows of one constant expert, the one at
/// `expert`: an op of the loop over experts. One group of threads a row.
pub const CONSTANT: Kernel = Kernel {
    name: "constant",
    buffers: &[
        input("x", Numbers),
        input("map", Numbers),
        input("constants", Numbers),
        output("y", Numbers),
    ],
    params: &[Whole("count"), Whole("width"), Whole("expert")],
    threads: 64,
    wgsl_globals: "var<workgroup> part: array<vec2<f32>, 64>;\n",
    wgsl: "
    let start = p.expert * p.width;
    for (var r = group; r < p.count; r += groups) {
        var sum = vec2<f32>(0.0);
        for (var d = lid; d < p.width; d += 64u) {
            let w = vec2<f32>(f32(map[2u * (start + d)]), f32(map[2u * (start + d) + 1u]));
            sum += f32(x[r * p.width + d]) * w;
        }
        part[lid] = sum;
        workgroupBarrier();
        var all = vec2<f32>(0.0);
        for (var j = 0u; j < 64u; j++) { all += part[j]; }
        let a = 1.0 / (1.0 + exp(all.y - all.x));
        for (var d = lid; d < p.width; d += 64u) {
            let at = r * p.width + d;
            y[at] = T(a * f32(x[at]) + (1.0 - a) * f32(constants[start + d]));
        }
        workgroupBarrier();
    }
",
    software: Some((TOKENS_IN_SOFTWARE, CONSTANT_IN_SOFTWARE)),
    cuda: "
    __shared__ float part[4];
    size_t start = (size_t)p.expert * p.width;
    for (u32 r = group; r < p.count; r += groups) {
        float a0 = 0.f, a1 = 0.f;
        for (u32 d = lid; d < p.width; d += 64u) {
            float v = get(x[(size_t)r * p.width + d]);
            a0 += v * get(map[2u * (start + d)]);
            a1 += v * get(map[2u * (start + d) + 1u]);
        }
        for (int o = 16; o > 0; o >>= 1) {
            a0 += __shfl_xor_sync(0xffffffffu, a0, o);
            a1 += __shfl_xor_sync(0xffffffffu, a1, o);
        }
        __syncthreads();
        if ((lid & 31u) == 0) { part[(lid >> 5) * 2u] = a0; part[(lid >> 5) * 2u + 1u] = a1; }
        __syncthreads();
        a0 = part[0] + part[2]; a1 = part[1] + part[3];
        float a = 1.f / (1.f + expf(a1 - a0));
        for (u32 d = lid; d < p.width; d += 64u) {
            size_t at = (size_t)r * p.width + d;
            y[at] = put(a * get(x[at]) + (1.f - a) * get(constants[start + d]));
        }
    }
",
    ..PLAIN
};

/// Threads of a group on a CPU, where each takes a token of its own: a barrier costs more there than
/// all that a group would share.
const TOKENS_IN_SOFTWARE: u32 = 8;

const CONSTANT_TOKENS_IN_SOFTWARE: &str = "
    for (var t = group * 8u + lid; t < p.tokens; t += groups * 8u) {
        for (var k = 0u; k < p.top_k; k++) {
            let slot = t * p.top_k + k;
            let id = ids[slot];
            if (id < p.first || id >= p.end || positions[slot] >= 0xFFFFFFFEu) { continue; }
            let start = (id - p.first) * p.width;
            var all = vec2<f32>(0.0);
            for (var d = 0u; d < p.width; d++) {
                let w = vec2<f32>(f32(map[2u * (start + d)]), f32(map[2u * (start + d) + 1u]));
                all += f32(x[t * p.width + d]) * w;
            }
            let a = 1.0 / (1.0 + exp(all.y - all.x));
            let w = weights[slot];
            for (var d = 0u; d < p.width; d++) {
                let at = t * p.width + d;
                let z = a * f32(x[at]) + (1.0 - a) * f32(constants[start + d]);
                y[at] = T(f32(y[at]) + w * z);
            }
        }
    }
";

const CONSTANT_IN_SOFTWARE: &str = "
    let start = p.expert * p.width;
    for (var r = group * 8u + lid; r < p.count; r += groups * 8u) {
        var all = vec2<f32>(0.0);
        for (var d = 0u; d < p.width; d++) {
            let w = vec2<f32>(f32(map[2u * (start + d)]), f32(map[2u * (start + d) + 1u]));
            all += f32(x[r * p.width + d]) * w;
        }
        let a = 1.0 / (1.0 + exp(all.y - all.x));
        for (var d = 0u; d < p.width; d++) {
            let at = r * p.width + d;
            y[at] = T(a * f32(x[at]) + (1.0 - a) * f32(constants[start + d]));
        }
    }
";
