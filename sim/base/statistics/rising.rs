//! The rising sequence closest to values of unequal weight.

/// The non-decreasing sequence `f` with the least `Σ wᵢ·(yᵢ − fᵢ)²`, of values `y` with weights `w` above zero: pool
/// adjacent violators [barlow72, §1.2].
///
/// Values that fall are replaced by the weighted mean of the shortest stretch around them that no longer does.
#[must_use]
pub fn rising(points: &[(f64, f64)]) -> Vec<f64> {
    // Mean, weight and length of each stretch.
    let mut blocks: Vec<(f64, f64, usize)> = Vec::with_capacity(points.len());
    for &(value, weight) in points {
        blocks.push((value, weight, 1));
        while let [.., (left, a, m), (right, b, n)] = blocks[..]
            && left > right
        {
            blocks.truncate(blocks.len() - 2);
            blocks.push(((left * a + right * b) / (a + b), a + b, m + n));
        }
    }
    blocks.into_iter().flat_map(|(mean, _, len)| std::iter::repeat_n(mean, len)).collect()
}
