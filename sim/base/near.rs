//! "Did you mean": of known names, those that are near to one that is not known.

use std::borrow::Cow;

use strsim::osa_distance;

/// The most names that a message suggests.
pub const MOST: usize = 3;
/// A list of more names than this is cut to those that are near, if any are.
const SHORT: usize = 8;

/// The known names nearest to one that is not known, nearest first, at most [`MOST`].
///
/// Near means: a third of the characters may be mistyped (inserted, left out, replaced, or swapped with their
/// neighbour), whatever their case and whether words are joined by `-` or `_`; or one name is a part of the
/// other, nearest of all a name whose last words alone are left out. Names half as far again as the nearest are left out.
#[must_use]
pub fn nearest<'k>(given: &str, known: impl IntoIterator<Item = &'k str>) -> Vec<&'k str> {
    let plain = |name: &str| name.to_lowercase().replace(['_', ' '], "-");
    let wrong = plain(given);
    let mut near: Vec<(usize, &str)> = Vec::new();
    for name in known {
        let right = plain(name);
        let longer = wrong.chars().count().max(right.chars().count());
        let distance = osa_distance(&wrong, &right);
        let begun =
            wrong.len() >= 3 && right.strip_prefix(&wrong).is_some_and(|r| r.starts_with('-'));
        let part = |one: &str, other: &str| one.len() >= 3 && other.contains(one);
        if begun {
            near.push((1, name));
        } else if distance <= (longer / 3).max(1) && distance < longer {
            near.push((distance, name));
        } else if part(&wrong, &right) || part(&right, &wrong) {
            // Behind all that may be mistyped.
            near.push((1000 + distance, name));
        }
    }
    near.sort();
    near.dedup();
    let most = near.first().map_or(0, |(best, _)| best + best / 2);
    let near = near.into_iter().filter(|(distance, _)| *distance <= most);
    near.take(MOST).map(|(_, name)| name).collect()
}

/// Advice on a name that is not known: what is near, and all that are known where they are few or nothing is
/// near. `list` introduces the known names: `"known keys here"`.
#[must_use]
pub fn advice(given: &str, list: &str, known: &[&str]) -> String {
    let near = nearest(given, known.iter().copied());
    if known.is_empty() {
        return "remove it".to_owned();
    }
    let all = || format!("{list}: {}", quoted(known, ", "));
    if near.is_empty() {
        return all();
    }
    let meant = did_you_mean(&near);
    if known.len() > SHORT { meant } else { format!("{meant} {}", all()) }
}

/// "did you mean `a` or `b`?"
#[must_use]
pub fn did_you_mean(near: &[&str]) -> String {
    let (last, others) = near.split_last().unwrap_or((&"", &[]));
    let others = quoted(others, ", ");
    let or = if others.is_empty() { "" } else { " or " };
    format!("did you mean {others}{or}`{last}`?")
}

/// Names in back quotes, joined.
#[must_use]
pub fn quoted(names: &[&str], between: &str) -> String {
    let quoted: Vec<Cow<'_, str>> = names.iter().map(|name| format!("`{name}`").into()).collect();
    quoted.join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTERS: [&str; 6] =
        ["a100-4x8", "b200-4x8", "b300-4x8", "gb200-nvl72", "h100-4x8-rail", "h20-4x8"];

    #[test]
    fn what_is_near_comes_nearest_first_and_nothing_else() {
        let near = |given| nearest(given, CLUSTERS);
        assert_eq!(near("A100_4x8"), ["a100-4x8"], "case and joints do not count");
        assert_eq!(near("b100-4x8"), ["a100-4x8", "b200-4x8", "b300-4x8"], "three at most");
        assert_eq!(near("gb200-nlv72"), ["gb200-nvl72"], "swapped letters");
        assert_eq!(near("h100"), ["h100-4x8-rail"], "a part of a name");
        assert_eq!(near("h100-4x8")[1], "h100-4x8-rail", "whose last word is left out");
        assert_eq!(
            nearest("moe-1bb", ["moe-2b", "moe-1b", "moe-7b"]),
            ["moe-1b"],
            "far ones are left out"
        );
        assert_eq!(near("cluster.toml"), [""; 0]);
        assert_eq!(nearest("x", ["tau", "y"]), [""; 0], "nothing in common");
        assert_eq!(nearest("layres", ["layers", "heads"]), ["layers"]);
    }

    #[test]
    fn long_lists_are_cut_to_what_is_near_and_short_ones_shown() {
        assert_eq!(
            advice("hal", "choose from", &["full", "half"]),
            "did you mean `half`? choose from: `full`, `half`"
        );
        assert_eq!(advice("zzz", "choose from", &["full", "half"]), "choose from: `full`, `half`");
        let many: Vec<String> = (10..30).map(|n| format!("column_{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(advice("colum_12", "columns", &many), "did you mean `column_12`?");
        assert!(advice("speed", "columns", &many).starts_with("columns: `column_10`, "));
        assert_eq!(advice("x", "known keys here", &[]), "remove it");
    }
}
