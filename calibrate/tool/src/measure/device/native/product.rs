//! Products of rows with the matrices of their groups, rows shared out among threads.
#![allow(unsafe_code)]

use super::super::super::backend::Gemm;
use super::kernels::in_parts;

/// Rows of one piece of work at least: fewer do not fill the kernel's registers.
const LEAST_ROWS: usize = 8;

/// Runs a product on so many threads.
pub(super) fn run(gemm: &Gemm, memory: &mut [Vec<u32>], threads: usize) {
    let (n, k) = (gemm.n as usize, gemm.k as usize);
    let mut c = std::mem::take(&mut memory[gemm.c.0 as usize]);
    let a: &[f32] = bytemuck::cast_slice(&memory[gemm.a.0 as usize]);
    let b: &[f32] = bytemuck::cast_slice(&memory[gemm.b.0 as usize]);
    let mut first = 0;
    for (group, &rows) in (gemm.first_group as usize..).zip(&gemm.rows) {
        let rows = rows as usize;
        let (a, b) = (&a[first * k..(first + rows) * k], &b[group * k * n..(group + 1) * k * n]);
        let c = &mut c[first * n..(first + rows) * n];
        let least = LEAST_ROWS.max(rows.div_ceil(threads));
        in_parts(c, least * n, threads, |at, part| {
            let (from, rows) = (at / n, part.len() / n);
            multiply(&a[from * k..(from + rows) * k], b, bytemuck::cast_slice_mut(part), (n, k));
        });
        first += rows;
    }
    memory[gemm.c.0 as usize] = c;
}

/// C = A·B, all row by row.
fn multiply(a: &[f32], b: &[f32], c: &mut [f32], (n, k): (usize, usize)) {
    let rows = c.len() / n;
    let sizes = [(a.len(), rows * k), (b.len(), k * n), (c.len(), rows * n)];
    assert!(sizes.iter().all(|(has, needs)| has == needs), "{sizes:?}");
    let (across, stride) = (n as isize, k as isize);
    // SAFETY: the three slices hold what these sizes and strides reach, as was just checked.
    unsafe {
        matrixmultiply::sgemm(
            rows,
            k,
            n,
            1.0,
            a.as_ptr(),
            stride,
            1,
            b.as_ptr(),
            across,
            1,
            0.0,
            c.as_mut_ptr(),
            across,
            1,
        );
    }
}
