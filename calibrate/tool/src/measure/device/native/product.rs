//! Products of rows with the matrices of their groups, rows shared out among threads.
#![allow(unsafe_code)]

use moesim::base::threads::Team;

use super::super::super::backend::Gemm;
use super::kernels::share_out;

/// Rows of one piece of work at least: fewer do not fill the kernel's registers.
const LEAST_ROWS: usize = 8;
/// Products of two numbers in one piece at least: a hundred microseconds.
const LEAST_PRODUCTS: usize = 1 << 22;

/// A piece of work: its group, and the row of A that it begins with.
type Piece = (usize, usize);

/// Runs a product on at most so many of a team: pieces of all groups, taken in turn.
pub(super) fn run(gemm: &Gemm, memory: &mut [Vec<u32>], (team, most): (&Team, usize)) {
    let (n, k) = (gemm.n as usize, gemm.k as usize);
    let mut c = std::mem::take(&mut memory[gemm.c.0 as usize]);
    let a: &[f32] = bytemuck::cast_slice(&memory[gemm.a.0 as usize]);
    let b: &[f32] = bytemuck::cast_slice(&memory[gemm.b.0 as usize]);
    let mut pieces: Vec<(Piece, &mut [u32])> = Vec::new();
    let (mut first, mut rest) = (0, &mut c[..]);
    let least = LEAST_ROWS.max(LEAST_PRODUCTS.div_ceil((n * k).max(1)));
    let threads = team.size().min(most).max(1);
    for (group, &rows) in (gemm.first_group as usize..).zip(&gemm.rows) {
        let rows = rows as usize;
        let own = rest.split_off_mut(..rows * n).unwrap_or_default();
        let each = least.max(rows.div_ceil(threads)) * n;
        let parts = own.chunks_mut(each.max(1)).enumerate();
        pieces.extend(parts.map(|(i, part)| ((group, first + i * each / n), part)));
        first += rows;
    }
    share_out(pieces, (team, most), |(group, from), part| {
        let (a, b) = (&a[from * k..(from + part.len() / n) * k], &b[group * k * n..][..k * n]);
        multiply(a, b, bytemuck::cast_slice_mut(part), (n, k));
    });
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
