//! Quantiles of samples, by rules that differ in what lies between two values [hyndman96].

/// Which value, of n sorted ones `x_1 ≤ … ≤ x_n`, is the quantile at p.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// On the line between the neighbours of rank `1 + (n − 1)·p` (definition 7).
    Linear,
    /// The value whose rank is nearest to `1 + (n − 1)·p`.
    Nearest,
    /// The least value that a share p of all do not exceed, rank `⌈n·p⌉` (definition 1): of an even
    /// number of values the lower of the two in the middle.
    Lower,
    /// Rank `⌊n·p⌋ + 1`: of an even number of values the higher of the two in the middle.
    Upper,
    /// The mean of [`Rule::Lower`] and [`Rule::Upper`] (definition 2): the usual median.
    Middle,
    /// Rank `⌊(n + 1)·p⌋` below ½ and `⌈(n + 1)·p⌉` above: one more value of the same law lies beyond
    /// it with probability p, or 1 − p, at most [vovk05, §4.2]. None where the sample is too small.
    Conformal,
}

/// The quantile at `p`, from 0 to 1, of values in any order; none of no values.
#[must_use]
pub fn quantile(values: &[f64], p: f64, rule: Rule) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile_of_sorted(&sorted, p, rule)
}

/// As [`quantile`], of values that are sorted.
#[must_use]
pub fn quantile_of_sorted(sorted: &[f64], p: f64, rule: Rule) -> Option<f64> {
    let (n, last) = (sorted.len() as f64, sorted.len().checked_sub(1)?);
    let at = |index: f64| sorted[(index.max(0.0) as usize).min(last)];
    Some(match rule {
        Rule::Linear => {
            let place = p * last as f64;
            let (below, above) = (at(place.floor()), at(place.ceil()));
            below + (above - below) * (place - place.floor())
        }
        Rule::Nearest => at((p * last as f64).round()),
        Rule::Lower => at((n * p).ceil() - 1.0),
        Rule::Upper => at((n * p).floor()),
        Rule::Middle => f64::midpoint(at((n * p).ceil() - 1.0), at((n * p).floor())),
        Rule::Conformal => {
            let rank = p * (n + 1.0);
            // A product such as 0.9 · 20 must not round up to the next rank.
            let rank = if p < 0.5 { (rank + 1e-9).floor() } else { (rank - 1e-9).ceil() };
            *sorted.get((rank as usize).checked_sub(1)?)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_on_paper() {
        let of = |values: &[f64], p, rule| quantile(values, p, rule).unwrap();
        let four = [4.0, 1.0, 2.0, 3.0];
        let rules = [Rule::Linear, Rule::Nearest, Rule::Lower, Rule::Upper, Rule::Middle];
        assert_eq!(rules.map(|rule| of(&four, 0.5, rule)), [2.5, 3.0, 2.0, 3.0, 2.5]);
        assert_eq!(rules.map(|rule| of(&four, 0.9, rule)), [3.7, 4.0, 4.0, 4.0, 4.0]);
        for rule in rules {
            assert_eq!((of(&four, 0.0, rule), of(&four, 1.0, rule)), (1.0, 4.0), "{rule:?}");
            assert_eq!(of(&[3.0, 1.0, 2.0], 0.5, rule), 2.0, "{rule:?}");
            assert_eq!(quantile(&[], 0.5, rule), None);
        }
    }

    #[test]
    fn conformal_ranks_leave_room_for_one_more_value() {
        let values: Vec<f64> = (1..=19).map(f64::from).collect();
        let at = |n: usize, p| quantile(&values[..n], p, Rule::Conformal);
        assert_eq!((at(19, 0.05), at(19, 0.5), at(19, 0.95)), (Some(1.0), Some(10.0), Some(19.0)));
        assert_eq!((at(19, 0.9), at(10, 0.9), at(9, 0.9)), (Some(18.0), Some(10.0), Some(9.0)));
        assert_eq!((at(8, 0.9), at(18, 0.05), at(0, 0.5)), (None, None, None));
    }
}
