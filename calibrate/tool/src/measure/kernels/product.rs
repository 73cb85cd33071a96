//! Dense and grouped products: our own kernel, for devices without a vendor's library.
//!
//! A table lists tiles: (matrix of B, first row, end of the group's rows). A group of threads takes
//! tiles of rows × columns in turn, so a smaller grid runs the same work on fewer SMs. On GPUs a
//! tile is 64 × 64 through shared memory; on CPUs, where a barrier costs more than a load, 32 × 32
//! from registers alone, neighbouring threads on neighbouring columns.

use super::Of::{F32, Numbers, U32};
use super::Param::Whole;
use super::{Arg, Kernel, PLAIN, Param, input, output};

/// Shared memory of the tiled body.
macro_rules! shared {
    () => {
        "var<workgroup> tile_a: array<f32, 1024>;\nvar<workgroup> tile_b: array<f32, 1024>;\n"
    };
}

/// The CUDA body, after `PUT` says how a result is stored.
macro_rules! cuda_tiled {
    () => {
        "
    __shared__ float tile_a[1024], tile_b[1024];
    const u32 x = lid % 16u, y = lid / 16u;
    for (u32 tile = group; tile < p.row_tiles * p.column_tiles; tile += groups) {
        u32 row_tile = tile / p.column_tiles, column = (tile % p.column_tiles) * 64u;
        size_t matrix = (size_t)tiles[3u * row_tile] * p.group_words;
        u32 row = tiles[3u * row_tile + 1u], end = tiles[3u * row_tile + 2u];
        float sum[4][4] = {};
        for (u32 k0 = 0; k0 < p.k; k0 += 16u) {
            for (u32 j = lid; j < 1024u; j += 256u) {
                u32 r = row + j / 16u, ka = k0 + j % 16u;
                tile_a[j] = r < end && ka < p.k ? get(a[(size_t)r * p.k + ka]) : 0.f;
                u32 kb = k0 + j / 64u, c0 = column + j % 64u;
                tile_b[j] = c0 < p.n && kb < p.k ? get(b[matrix + (size_t)kb * p.n + c0]) : 0.f;
            }
            __syncthreads();
            #pragma unroll
            for (u32 kk = 0; kk < 16u; kk++)
                #pragma unroll
                for (u32 r = 0; r < 4u; r++)
                    #pragma unroll
                    for (u32 j = 0; j < 4u; j++)
                        sum[r][j] += tile_a[(y * 4u + r) * 16u + kk] * tile_b[kk * 64u + x + 16u * j];
            __syncthreads();
        }
        #pragma unroll
        for (u32 r = 0; r < 4u; r++)
            #pragma unroll
            for (u32 j = 0; j < 4u; j++) {
                u32 to = row + y * 4u + r, c0 = column + x + 16u * j;
                if (to < end && c0 < p.n) c[(size_t)to * p.n + c0] = PUT(sum[r][j]);
            }
    }
"
    };
}

/// Rows and columns of a tile on GPUs, and on CPUs.
pub const TILE: u32 = 64;
/// See [`TILE`].
pub const SOFTWARE_TILE: u32 = 32;

const PARAMS: &[Param] =
    &[Whole("row_tiles"), Whole("column_tiles"), Whole("n"), Whole("k"), Whole("group_words")];
const A: Arg = input("a", Numbers);
const B: Arg = input("b", Numbers);
const TILES: Arg = input("tiles", U32);

/// The product with results in the format of its operands.
pub const GEMM: Kernel = Kernel {
    name: "gemm",
    buffers: &[A, B, TILES, output("c", Numbers)],
    params: PARAMS,
    threads: 256,
    wgsl_globals: concat!("alias O = T;\n", shared!()),
    wgsl: TILED,
    software: Some((64, BLOCKED)),
    cuda: concat!("\n#define PUT(v) put(v)\n", cuda_tiled!()),
    ..PLAIN
};

/// The product with results in 32 bits: scores of the gate.
pub const GEMM_F32: Kernel = Kernel {
    name: "gemm_f32",
    buffers: &[A, B, TILES, output("c", F32)],
    wgsl_globals: concat!("alias O = f32;\n", shared!()),
    cuda: concat!("\n#define PUT(v) (v)\n", cuda_tiled!()),
    ..GEMM
};

const TILED: &str = "
    let x = lid % 16u;
    let y = lid / 16u;
    for (var tile = group; tile < p.row_tiles * p.column_tiles; tile += groups) {
        let row_tile = tile / p.column_tiles;
        let column = (tile % p.column_tiles) * 64u;
        let matrix = tiles[3u * row_tile] * p.group_words;
        let row = tiles[3u * row_tile + 1u];
        let end = tiles[3u * row_tile + 2u];
        var sum = array<vec4<f32>, 4>(vec4<f32>(0.0), vec4<f32>(0.0), vec4<f32>(0.0), vec4<f32>(0.0));
        for (var k0 = 0u; k0 < p.k; k0 += 16u) {
            for (var j = lid; j < 1024u; j += 256u) {
                let r = row + j / 16u;
                let ka = k0 + j % 16u;
                tile_a[j] = 0.0;
                if (r < end && ka < p.k) { tile_a[j] = f32(a[r * p.k + ka]); }
                let kb = k0 + j / 64u;
                let c = column + j % 64u;
                tile_b[j] = 0.0;
                if (c < p.n && kb < p.k) { tile_b[j] = f32(b[matrix + kb * p.n + c]); }
            }
            workgroupBarrier();
            for (var kk = 0u; kk < 16u; kk++) {
                let bs = vec4<f32>(tile_b[kk * 64u + x], tile_b[kk * 64u + x + 16u],
                                   tile_b[kk * 64u + x + 32u], tile_b[kk * 64u + x + 48u]);
                sum[0] += tile_a[(y * 4u) * 16u + kk] * bs;
                sum[1] += tile_a[(y * 4u + 1u) * 16u + kk] * bs;
                sum[2] += tile_a[(y * 4u + 2u) * 16u + kk] * bs;
                sum[3] += tile_a[(y * 4u + 3u) * 16u + kk] * bs;
            }
            workgroupBarrier();
        }
        for (var r = 0u; r < 4u; r++) {
            let to = row + y * 4u + r;
            for (var j = 0u; j < 4u; j++) {
                let c0 = column + x + 16u * j;
                if (to < end && c0 < p.n) { c[to * p.n + c0] = O(sum[r][j]); }
            }
        }
    }
";

const BLOCKED: &str = "
    let x = lid % 8u;
    let y = lid / 8u;
    for (var tile = group; tile < p.row_tiles * p.column_tiles; tile += groups) {
        let row_tile = tile / p.column_tiles;
        let column = (tile % p.column_tiles) * 32u + x;
        let matrix = tiles[3u * row_tile] * p.group_words;
        let row = tiles[3u * row_tile + 1u] + y * 4u;
        let end = tiles[3u * row_tile + 2u];
        if (row < end && column < p.n) {
            let most = end - 1u;
            let r0 = row * p.k;
            let r1 = min(row + 1u, most) * p.k;
            let r2 = min(row + 2u, most) * p.k;
            let r3 = min(row + 3u, most) * p.k;
            let c1 = min(column + 8u, p.n - 1u);
            let c2 = min(column + 16u, p.n - 1u);
            let c3 = min(column + 24u, p.n - 1u);
            var s0 = vec4<f32>(0.0);
            var s1 = vec4<f32>(0.0);
            var s2 = vec4<f32>(0.0);
            var s3 = vec4<f32>(0.0);
            var start = matrix;
            for (var k = 0u; k < p.k; k++) {
                let bs = vec4<f32>(f32(b[start + column]), f32(b[start + c1]),
                                   f32(b[start + c2]), f32(b[start + c3]));
                s0 += f32(a[r0 + k]) * bs;
                s1 += f32(a[r1 + k]) * bs;
                s2 += f32(a[r2 + k]) * bs;
                s3 += f32(a[r3 + k]) * bs;
                start += p.n;
            }
            var sums = array<vec4<f32>, 4>(s0, s1, s2, s3);
            for (var r = 0u; r < 4u; r++) {
                for (var j = 0u; j < 4u; j++) {
                    let to = column + 8u * j;
                    if (row + r < end && to < p.n) { c[(row + r) * p.n + to] = O(sums[r][j]); }
                }
            }
        }
    }
";
