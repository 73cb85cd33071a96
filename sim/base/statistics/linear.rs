//! Small dense systems of linear equations.

/// Below this a pivot is none.
const NO_PIVOT: f64 = 1e-30;

/// The `x` of `A·x = b`, `A` by rows, by elimination with partial pivoting [golub13, §3.4].
///
/// An unknown without a pivot, which the equations leave open, is 0; so is one that is not finite.
#[must_use]
pub fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for j in 0..n {
        let pivot = (j..n).max_by(|&x, &y| a[x][j].abs().total_cmp(&a[y][j].abs())).unwrap_or(j);
        a.swap(j, pivot);
        b.swap(j, pivot);
        if a[j][j].abs() < NO_PIVOT {
            continue;
        }
        for i in j + 1..n {
            let factor = a[i][j] / a[j][j];
            let (upper, lower) = a.split_at_mut(i);
            for (to, from) in lower[0][j..].iter_mut().zip(&upper[j][j..]) {
                *to -= factor * from;
            }
            b[i] -= factor * b[j];
        }
    }
    for i in (0..n).rev() {
        let rest: f64 = (i + 1..n).map(|k| a[i][k] * b[k]).sum();
        b[i] = if a[i][i].abs() < NO_PIVOT { 0.0 } else { (b[i] - rest) / a[i][i] };
    }
    b.iter().map(|x| if x.is_finite() { *x } else { 0.0 }).collect()
}

/// The inverse of a symmetric positive definite n × n matrix, row by row, by Cholesky's decomposition
/// [golub13, §4.2]; the matrix is spent.
///
/// # Panics
/// If the matrix is not positive definite.
#[must_use]
pub fn inverse_of_definite(a: &mut [f64], n: usize) -> Vec<f64> {
    for j in 0..n {
        let pivot = a[j * n + j] - (0..j).map(|k| a[j * n + k] * a[j * n + k]).sum::<f64>();
        assert!(pivot > 0.0, "pivot {j} of {n} is {pivot}: the matrix is not definite");
        let pivot = pivot.sqrt();
        a[j * n + j] = pivot;
        for i in j + 1..n {
            let dot: f64 = (0..j).map(|k| a[i * n + k] * a[j * n + k]).sum();
            a[i * n + j] = (a[i * n + j] - dot) / pivot;
        }
    }
    let mut inverse = vec![0.0; n * n];
    for (column, x) in inverse.chunks_exact_mut(n.max(1)).enumerate() {
        x[column] = 1.0;
        for i in column..n {
            let dot: f64 = (column..i).map(|k| a[i * n + k] * x[k]).sum();
            x[i] = (x[i] - dot) / a[i * n + i];
        }
        for i in (0..n).rev() {
            let dot: f64 = (i + 1..n).map(|k| a[k * n + i] * x[k]).sum();
            x[i] = (x[i] - dot) / a[i * n + i];
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systems_are_solved_and_what_is_open_is_zero() {
        // The first pivot is zero: rows are exchanged.
        let a = vec![vec![0.0, 2.0, 1.0], vec![1.0, 1.0, 0.0], vec![2.0, 0.0, 3.0]];
        let x = solve(a, vec![7.0, 3.0, 11.0]);
        for (x, right) in x.iter().zip([1.0, 2.0, 3.0]) {
            assert!((x - right).abs() < 1e-12, "{x} instead of {right}");
        }
        let open = solve(vec![vec![2.0, 0.0], vec![0.0, 0.0]], vec![4.0, 1.0]);
        assert_eq!(open, [2.0, 0.0]);
        assert_eq!(solve(vec![vec![f64::NAN]], vec![1.0]), [0.0]);
        assert!(solve(vec![], vec![]).is_empty());
    }

    #[test]
    fn the_inverse_times_the_matrix_is_one() {
        let a = [4.0, 2.0, 0.4, 2.0, 3.0, 0.5, 0.4, 0.5, 2.0];
        let inverse = inverse_of_definite(&mut a.clone(), 3);
        for (i, j) in (0..3).flat_map(|i| (0..3).map(move |j| (i, j))) {
            let product: f64 = (0..3).map(|k| inverse[i * 3 + k] * a[k * 3 + j]).sum();
            assert!((product - f64::from(u8::from(i == j))).abs() < 1e-12, "{inverse:?}");
        }
    }
}
