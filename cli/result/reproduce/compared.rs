//! Two results, value by value.

use serde_json::Value;

/// Keys of what a result was made by and of what the machine was at: they are not predicted.
const NOT_COMPARED: [&str; 3] = ["made_by", "cpu_s", "peak_rss_bytes"];

/// How many values are the same, and where others differ, in words.
pub(super) fn differences(then: &Value, now: &Value) -> (usize, Vec<String>) {
    let (mut same, mut different) = (0, Vec::new());
    walk("", then, now, &mut same, &mut different);
    (same, different)
}

fn walk(at: &str, then: &Value, now: &Value, same: &mut usize, different: &mut Vec<String>) {
    match (then, now) {
        (Value::Object(then), Value::Object(now)) => {
            let keys = then.keys().chain(now.keys().filter(|key| !then.contains_key(*key)));
            for key in keys.filter(|key| !at.is_empty() || !NOT_COMPARED.contains(&key.as_str())) {
                let dot = if at.is_empty() { "" } else { "." };
                let at = format!("{at}{dot}{key}");
                let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned();
                let [old, new] = [of(then), of(now)].map(Option::unwrap_or_default);
                walk(&at, &old, &new, same, different);
            }
        }
        (Value::Array(then), Value::Array(now)) if then.len() == now.len() => {
            for (nth, (then, now)) in then.iter().zip(now).enumerate() {
                walk(&format!("{at}[{nth}]"), then, now, same, different);
            }
        }
        _ if then == now => *same += 1,
        _ => different.push(format!("{at} was {then}, is {now}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_difference_is_named_by_its_place() {
        let then = json!({"a": [1, {"b": 2.5}], "gone": 1, "made_by": 1, "cpu_s": 3});
        let now = json!({"a": [1, {"b": 2.25}], "new": 2, "made_by": 2, "cpu_s": 4});
        let (same, different) = differences(&then, &now);
        assert_eq!(same, 1);
        let wanted = ["a[1].b was 2.5, is 2.25", "gone was 1, is null", "new was null, is 2"];
        assert_eq!(different, wanted);
        assert_eq!(differences(&json!([1, 2]), &json!([1])).1, [" was [1,2], is [1]"]);
        // Only at the top are these keys ours.
        assert_eq!(
            differences(&json!({"a": {"cpu_s": 1}}), &json!({"a": {"cpu_s": 2}})).1.len(),
            1
        );
    }
}
