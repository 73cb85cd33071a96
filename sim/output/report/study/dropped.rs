//! Slots that experts have no room for: what is dropped takes no time.

use std::io::{self, Write};

use super::{StudyResult, StudyRow};
use crate::output::report::shared::wrapped::wrapped;

/// Shares of dropped slots from which they are spoken of.
const SOME: f64 = 0.005;

/// From which share to which vanilla and MoE++ drop, where any drops a part worth a word.
pub(super) fn write(result: &StudyResult, out: &mut dyn Write) -> io::Result<()> {
    let some = result.results.iter().any(|row| row.drop_share.value() >= SOME);
    if !some {
        return Ok(());
    }
    let (moepp, vanilla): (Vec<_>, Vec<_>) =
        result.results.iter().partition(|row| row.zero_computation_experts > 0);
    let of = |rows: &[&StudyRow], whose| Some(format!("{} of {whose}", range(rows)?));
    let of_moepp = if vanilla.is_empty() { "MoE++'s slots" } else { "MoE++'s" };
    let both = [of(&vanilla, "vanilla's slots"), of(&moepp, of_moepp)];
    let all: Vec<String> = both.into_iter().flatten().collect();
    let text = format!("{}; times are without their work", all.join(" and "));
    wrapped(out, "dropped: ", &text)
}

/// The least and the most of these rows' shares in percent, with one decimal.
fn range(rows: &[&StudyRow]) -> Option<String> {
    let shares = || rows.iter().map(|row| 100.0 * row.drop_share.value());
    let (least, most) = (shares().reduce(f64::min)?, shares().reduce(f64::max)?);
    let [least, most] = [least, most].map(|share| format!("{share:.1}"));
    Some(if least == most { format!("{most} %") } else { format!("{least} to {most} %") })
}
