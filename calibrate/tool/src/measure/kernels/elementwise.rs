//! Kernels that touch each number once: bound by memory.

use super::Of::{Blocks, F32, Numbers, Quads, U32};
use super::Param::{Real, Whole};
use super::{Kernel, PLAIN, input, output};

/// y = the numbers of [`crate::measure::numbers`], equation (1).
pub const FILL: Kernel = Kernel {
    name: "fill",
    buffers: &[output("y", Numbers)],
    params: &[Whole("n"), Whole("seed"), Real("scale")],
    wgsl: "
    if (i >= p.n) { return; }
    var x = i + p.seed * 0x9E3779B9u;
    x ^= x >> 16u; x *= 0x7FEB352Du; x ^= x >> 15u; x *= 0x846CA68Bu; x ^= x >> 16u;
    var g = x;
    g ^= g >> 16u; g *= 0x7FEB352Du; g ^= g >> 15u; g *= 0x846CA68Bu; g ^= g >> 16u;
    let s = (x & 65535u) + (x >> 16u) + (g & 65535u) + (g >> 16u);
    let cut = bitcast<f32>(bitcast<u32>(f32(s) - 131070.0) & 0xFFFF0000u);
    y[i] = T(cut * p.scale);
",
    cuda: "
    if (i >= p.n) return;
    u32 x = i + p.seed * 0x9E3779B9u;
    x ^= x >> 16; x *= 0x7FEB352Du; x ^= x >> 15; x *= 0x846CA68Bu; x ^= x >> 16;
    u32 g = x;
    g ^= g >> 16; g *= 0x7FEB352Du; g ^= g >> 15; g *= 0x846CA68Bu; g ^= g >> 16;
    u32 s = (x & 65535u) + (x >> 16) + (g & 65535u) + (g >> 16);
    float cut = __uint_as_float(__float_as_uint((float)s - 131070.0f) & 0xFFFF0000u);
    y[i] = put(cut * p.scale);
",
    ..PLAIN
};

/// y = a word that is NaN in every format.
pub const POISON_FILL: Kernel = Kernel {
    name: "poison",
    buffers: &[output("y", U32)],
    params: &[Whole("n"), Whole("word")],
    wgsl: "
    if (i < p.n) { y[i] = p.word; }
",
    cuda: "
    if (i < p.n) y[i] = p.word;
",
    ..PLAIN
};

/// Next to nothing: one thread writes one word.
pub const NOTHING: Kernel = Kernel {
    name: "nothing",
    buffers: &[output("y", U32)],
    params: &[Whole("word")],
    threads: 32,
    wgsl: "
    if (i == 0u) { y[0] = p.word; }
",
    cuda: "
    if (i == 0u) y[0] = p.word;
",
    ..PLAIN
};

/// y = x, sixteen bytes a thread.
pub const COPY: Kernel = Kernel {
    name: "copy",
    buffers: &[input("x", Blocks), output("y", Blocks)],
    params: &[Whole("n")],
    wgsl: "
    if (i < p.n) { y[i] = x[i]; }
",
    cuda: "
    if (i < p.n) y[i] = x[i];
",
    ..PLAIN
};

/// y += a·x, four numbers a thread: two reads and a write.
pub const AXPY: Kernel = Kernel {
    name: "axpy",
    buffers: &[input("x", Quads), output("y", Quads)],
    params: &[Whole("n"), Real("a")],
    wgsl: "
    if (i < p.n) { y[i] = T4(vec4<f32>(y[i]) + p.a * vec4<f32>(x[i])); }
",
    cuda: "
    if (i >= p.n) return;
    float4 a = get4(x[i]), b = get4(y[i]);
    b.x += p.a * a.x; b.y += p.a * a.y; b.z += p.a * a.z; b.w += p.a * a.w;
    y[i] = put4(b);
",
    ..PLAIN
};

/// y\[r\] = x\[rows\[first + r\]\], whole rows of `width` blocks: permute, and the loop's gather.
pub const GATHER: Kernel = Kernel {
    name: "gather",
    buffers: &[input("x", Blocks), input("rows", U32), output("y", Blocks)],
    params: &[Whole("count"), Whole("width"), Whole("first")],
    wgsl: "
    if (i >= p.count * p.width) { return; }
    let r = i / p.width;
    y[i] = x[rows[p.first + r] * p.width + (i - r * p.width)];
",
    cuda: "
    if (i >= p.count * p.width) return;
    u32 r = i / p.width;
    y[i] = x[(size_t)rows[p.first + r] * p.width + (i - r * p.width)];
",
    ..PLAIN
};

/// y\[r, h\] = silu(x\[r, h\])·x\[r, H + h\], four numbers a thread; `width` is H/4.
pub const SWIGLU: Kernel = Kernel {
    name: "swiglu",
    buffers: &[input("x", Quads), output("y", Quads)],
    params: &[Whole("count"), Whole("width")],
    wgsl: "
    if (i >= p.count * p.width) { return; }
    let r = i / p.width;
    let at = r * 2u * p.width + (i - r * p.width);
    let a = vec4<f32>(x[at]);
    y[i] = T4(a / (1.0 + exp(-a)) * vec4<f32>(x[at + p.width]));
",
    cuda: "
    if (i >= p.count * p.width) return;
    u32 r = i / p.width;
    size_t at = (size_t)r * 2u * p.width + (i - r * p.width);
    float4 a = get4(x[at]), b = get4(x[at + p.width]);
    y[i] = put4(make_float4(silu(a.x) * b.x, silu(a.y) * b.y, silu(a.z) * b.z, silu(a.w) * b.w));
",
    ..PLAIN
};

/// y = silu(y), in place: one op of the loop over experts.
pub const SILU: Kernel = Kernel {
    name: "silu",
    buffers: &[output("y", Quads)],
    params: &[Whole("n")],
    wgsl: "
    if (i >= p.n) { return; }
    let a = vec4<f32>(y[i]);
    y[i] = T4(a / (1.0 + exp(-a)));
",
    cuda: "
    if (i >= p.n) return;
    float4 a = get4(y[i]);
    y[i] = put4(make_float4(silu(a.x), silu(a.y), silu(a.z), silu(a.w)));
",
    ..PLAIN
};

/// y ·= x: one op of the loop over experts.
pub const MULTIPLY: Kernel = Kernel {
    name: "multiply",
    buffers: &[input("x", Quads), output("y", Quads)],
    params: &[Whole("n")],
    wgsl: "
    if (i < p.n) { y[i] = T4(vec4<f32>(y[i]) * vec4<f32>(x[i])); }
",
    cuda: "
    if (i >= p.n) return;
    float4 a = get4(x[i]), b = get4(y[i]);
    y[i] = put4(make_float4(a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w));
",
    ..PLAIN
};

/// y\[r\] ·= weights\[first + r\], whole rows of `width` quads.
pub const SCALE: Kernel = Kernel {
    name: "scale",
    buffers: &[input("weights", F32), output("y", Quads)],
    params: &[Whole("count"), Whole("width"), Whole("first")],
    wgsl: "
    if (i >= p.count * p.width) { return; }
    y[i] = T4(vec4<f32>(y[i]) * weights[p.first + i / p.width]);
",
    cuda: "
    if (i >= p.count * p.width) return;
    float w = weights[p.first + i / p.width];
    float4 a = get4(y[i]);
    y[i] = put4(make_float4(a.x * w, a.y * w, a.z * w, a.w * w));
",
    ..PLAIN
};

/// y\[rows\[first + r\]\] += x\[r\]: an expert's results into its tokens, each once.
pub const SCATTER_ADD: Kernel = Kernel {
    name: "scatter_add",
    buffers: &[input("x", Quads), input("rows", U32), output("y", Quads)],
    params: &[Whole("count"), Whole("width"), Whole("first")],
    wgsl: "
    if (i >= p.count * p.width) { return; }
    let r = i / p.width;
    let to = rows[p.first + r] * p.width + (i - r * p.width);
    y[to] = T4(vec4<f32>(y[to]) + vec4<f32>(x[i]));
",
    cuda: "
    if (i >= p.count * p.width) return;
    u32 r = i / p.width;
    size_t to = (size_t)rows[p.first + r] * p.width + (i - r * p.width);
    float4 a = get4(x[i]), b = get4(y[to]);
    y[to] = put4(make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w));
",
    ..PLAIN
};

/// y\[t\] = Σ_k weights\[t, k\]·x\[positions\[t, k\]\] over slots at FFN experts: un-permute and
/// weighted sum. A token without any gets zeros.
pub const MIX: Kernel = Kernel {
    name: "mix",
    buffers: &[
        input("x", Quads),
        input("ids", U32),
        input("positions", U32),
        input("weights", F32),
        output("y", Quads),
    ],
    params: &[Whole("tokens"), Whole("width"), Whole("top_k"), Whole("ffn")],
    wgsl: "
    if (i >= p.tokens * p.width) { return; }
    let t = i / p.width;
    let c = i - t * p.width;
    var sum = vec4<f32>(0.0);
    for (var k = 0u; k < p.top_k; k++) {
        let slot = t * p.top_k + k;
        let at = positions[slot];
        if (ids[slot] < p.ffn && at < 0xFFFFFFFEu) {
            sum += weights[slot] * vec4<f32>(x[at * p.width + c]);
        }
    }
    y[i] = T4(sum);
",
    cuda: "
    if (i >= p.tokens * p.width) return;
    u32 t = i / p.width, c = i - t * p.width;
    float4 sum = make_float4(0.f, 0.f, 0.f, 0.f);
    for (u32 k = 0; k < p.top_k; k++) {
        u32 slot = t * p.top_k + k, at = positions[slot];
        if (ids[slot] < p.ffn && at < 0xFFFFFFFEu) {
            float w = weights[slot];
            float4 a = get4(x[(size_t)at * p.width + c]);
            sum.x += w * a.x; sum.y += w * a.y; sum.z += w * a.z; sum.w += w * a.w;
        }
    }
    y[i] = put4(sum);
",
    ..PLAIN
};

/// y = 0: the zero expert as a loop over experts runs it, and a cleared output.
pub const ZERO: Kernel = Kernel {
    name: "zero",
    buffers: &[output("y", Quads)],
    params: &[Whole("n")],
    wgsl: "
    if (i < p.n) { y[i] = T4(vec4<f32>(0.0)); }
",
    cuda: "
    if (i < p.n) y[i] = put4(make_float4(0.f, 0.f, 0.f, 0.f));
",
    ..PLAIN
};

/// y = tanh(x), from 32 bits: between the two layers of the gate.
pub const TANH: Kernel = Kernel {
    name: "tanh",
    buffers: &[input("x", F32), output("y", Numbers)],
    params: &[Whole("n")],
    wgsl: "
    if (i < p.n) { y[i] = T(tanh(x[i])); }
",
    cuda: "
    if (i < p.n) y[i] = put(tanhf(x[i]));
",
    ..PLAIN
};
