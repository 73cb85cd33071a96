//! The values of an axis, listed or as a range.

use toml::Value;

/// The most values of one axis.
const MAX_STEPS: usize = 100_000;

/// What was found, and how to fix it.
pub(super) type Wrong = (String, String);

/// The values of an axis: a list, or a range `{ from, to, steps | step | factor }`.
pub(super) fn steps(value: &Value) -> Result<Vec<Value>, Wrong> {
    const HELP: &str =
        "list values, or write { from = 1, to = 9, steps = 5 }, or `step` or `factor`";
    let found = match value {
        Value::Array(values) => values.clone(),
        Value::Table(table) => range(table)?,
        other => return Err((format!("`{other}` is neither a list nor a range"), HELP.to_owned())),
    };
    match found.len() {
        0 => Err(("there is no value to take".to_owned(), HELP.to_owned())),
        n if n > MAX_STEPS => Err((
            format!("there are {n} values"),
            format!("an axis has at most {MAX_STEPS} values"),
        )),
        _ => Ok(found),
    }
}

/// A number, and the unit behind it if it was written as a quantity.
fn number(value: &Value) -> Option<(f64, Option<&str>)> {
    match value {
        Value::Integer(n) => Some((*n as f64, None)),
        Value::Float(x) => Some((*x, None)),
        Value::String(text) => {
            let (number, unit) = text.split_once(' ')?;
            Some((number.parse().ok()?, Some(unit)))
        }
        _ => None,
    }
}

fn range(table: &toml::Table) -> Result<Vec<Value>, Wrong> {
    let help = "write { from = 1, to = 9, steps = 5 }, or `step = 2`, or `factor = 2`".to_owned();
    let wrong = |found: &str| (found.to_owned(), help.clone());
    let known = ["from", "to", "steps", "step", "factor"];
    if let Some(key) = table.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(wrong(&format!("a range has no `{key}`")));
    }
    let end = |name: &str| {
        table.get(name).and_then(number).ok_or_else(|| wrong(&format!("`{name}` is not a number")))
    };
    let ((from, unit), (to, other)) = (end("from")?, end("to")?);
    if unit != other {
        return Err(wrong("`from` and `to` have different units"));
    }
    let whole = [table.get("from"), table.get("to")]
        .iter()
        .all(|value| matches!(value, Some(Value::Integer(_))));
    let mut values: Vec<f64> = Vec::new();
    match (table.get("steps"), table.get("step"), table.get("factor")) {
        (Some(Value::Integer(steps)), None, None) if (2..=MAX_STEPS as i64).contains(steps) => {
            let last = (*steps - 1) as f64;
            values.extend((0..*steps).map(|k| from + (to - from) * k as f64 / last));
        }
        (Some(steps), None, None) => {
            let found = format!("`steps` is {steps}, not a whole number from 2 to {MAX_STEPS}");
            return Err(wrong(&found));
        }
        (None, Some(step), None) => {
            let (step, _) = number(step).ok_or_else(|| wrong("`step` is not a number"))?;
            let count = (to - from) / step;
            if !(0.0..=MAX_STEPS as f64).contains(&count) {
                return Err(wrong("the step does not lead from `from` to `to`"));
            }
            values.extend((0..=(count + 1e-9) as u64).map(|k| from + step * k as f64));
        }
        (None, None, Some(factor)) => {
            let (factor, _) = number(factor).ok_or_else(|| wrong("`factor` is not a number"))?;
            let count = (to / from).ln() / factor.ln();
            if !(0.0..=MAX_STEPS as f64).contains(&count) {
                return Err(wrong("the factor does not lead from `from` to `to`"));
            }
            values.extend((0..=(count + 1e-9) as i32).map(|k| from * factor.powi(k)));
        }
        _ => return Err(wrong("a range needs one of `steps`, `step` and `factor`")),
    }
    let whole = whole && values.iter().all(|value| (value - value.round()).abs() < 1e-9);
    Ok(values
        .into_iter()
        .map(|value| match unit {
            Some(unit) => Value::String(format!("{value} {unit}")),
            None if whole => Value::Integer(value.round() as i64),
            None => Value::Float(value),
        })
        .collect())
}
