//! Which axes of a sweep changed nothing.

use std::collections::BTreeMap;

use super::results::Results;
use super::row::Cell;

/// Whether neither the time nor the tokens a second of any workload depend on the axis of these keys: of rows that are
/// alike in all else, seed included, all came out the same, and some are so.
#[must_use]
pub fn changed_nothing(results: &Results, varied: &[&str], axis: &[String]) -> bool {
    let own = |key: &str| axis.iter().any(|one| one == key);
    let tau = if varied.contains(&"tau") { "run_tau" } else { "tau" };
    let fixed = ["workload", "seed", "moepp"];
    let fixed = fixed.into_iter().chain((!own("tau")).then_some(tau));
    let others = varied.iter().copied().filter(|key| !own(key)).chain(fixed);
    let alike: Vec<usize> = others.filter_map(|name| results.column(name)).collect();
    let Some(time) = results.column("time_ms") else { return false };
    let tokens = results.column("tokens_per_s").unwrap_or(time);
    let mut groups: BTreeMap<Vec<String>, Vec<[&Cell; 2]>> = BTreeMap::new();
    for row in &results.rows {
        let key = alike.iter().map(|&at| row[at].text()).collect();
        groups.entry(key).or_default().push([time, tokens].map(|at| &row[at]));
    }
    groups.values().any(|found| found.len() > 1)
        && groups.values().all(|found| found.iter().all(|one| *one == found[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of (tokens, nic, seed, ms).
    fn results(rows: &[(f64, f64, f64, f64)]) -> Results {
        let names = ["tokens", "nic", "workload", "seed", "moepp", "tau", "time_ms"];
        let columns = names.iter().map(|name| ((*name).to_owned(), String::new())).collect();
        let row = |&(tokens, nic, seed, ms): &(f64, f64, f64, f64)| {
            [tokens, nic, 0.0, seed, 0.0, 0.0, ms].map(Cell::from).to_vec()
        };
        Results { columns, rows: rows.iter().map(row).collect() }
    }

    #[test]
    fn an_axis_that_moves_no_time_is_found_and_one_that_moves_one_is_not() {
        let varied = ["tokens", "nic"];
        let [tokens, nic] = varied.map(|key| vec![key.to_owned()]);
        let still = results(&[
            (1.0, 1.0, 0.0, 5.0),
            (1.0, 2.0, 0.0, 5.0),
            (2.0, 1.0, 0.0, 6.0),
            (2.0, 2.0, 0.0, 6.0),
        ]);
        assert!(
            changed_nothing(&still, &varied, &nic) && !changed_nothing(&still, &varied, &tokens)
        );
        let moved = results(&[
            (1.0, 1.0, 0.0, 5.0),
            (1.0, 2.0, 0.0, 5.0),
            (1.0, 2.0, 1.0, 4.0),
            (1.0, 1.0, 1.0, 5.0),
        ]);
        assert!(!changed_nothing(&moved, &varied, &nic));
        // Drafts that are accepted move no time.
        let mut yielded = results(&[(1.0, 1.0, 0.0, 5.0), (1.0, 2.0, 0.0, 5.0)]);
        yielded.columns.push(("tokens_per_s".to_owned(), String::new()));
        yielded.rows.iter_mut().zip([8.0, 9.0]).for_each(|(row, rate)| row.push(rate.into()));
        assert!(!changed_nothing(&yielded, &varied, &nic));
        // One row of each value says nothing.
        let alone = results(&[(1.0, 1.0, 0.0, 5.0), (2.0, 2.0, 1.0, 5.0)]);
        assert!(!changed_nothing(&alone, &varied, &nic));
    }
}
