//! JSON Schemas of the files that users write, for editors: derived from the types that read them.
//!
//! A schema says less than reading a file does: it knows keys, types, units, words and bounds, not what
//! must fit together. Keys without a description of their own have that of the commented file that `moesim
//! new` writes.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};

use super::scenario::{ScenarioSpec, Seeds};
use super::{Count, Kind, Number, Numbers, Ratio, Written};
use super::{profile, sweep_plan, topology, workload};
use crate::base::choice::Choice;
use crate::base::units::Quantity;

/// The schema of a kind of file, in the draft that TOML editors read.
#[must_use]
pub fn schema(kind: Kind) -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    let schema = match kind {
        Kind::Scenario => generator.into_root_schema_for::<ScenarioSpec>(),
        Kind::Topology => generator.into_root_schema_for::<topology::File>(),
        Kind::Workload => generator.into_root_schema_for::<workload::File>(),
        Kind::Profile => generator.into_root_schema_for::<profile::file::File>(),
        Kind::Overheads => generator.into_root_schema_for::<profile::overheads::File>(),
        Kind::Plan => generator.into_root_schema_for::<sweep_plan::File>(),
        Kind::Prices => generator.into_root_schema_for::<topology::prices::File>(),
    };
    let mut schema = schema.to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), format!("moesim {kind}").into());
        root.insert("description".to_owned(), kind.help().into());
    }
    if let Some(text) = super::template(kind) {
        for (key, comment) in comments(text) {
            describe(&mut schema, &key, &comment);
        }
    }
    schema
}

/// The comments behind the keys of a commented file, by dotted key; keys that are commented out too.
fn comments(text: &str) -> Vec<(Vec<String>, String)> {
    let mut table: Vec<String> = Vec::new();
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line).trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            table = name.trim_start_matches('[').split('.').map(str::to_owned).collect();
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let Some((_, comment)) = value.rsplit_once("  # ") else { continue };
        let mut path = table.clone();
        path.push(key.trim().to_owned());
        found.push((path, comment.trim().to_owned()));
    }
    found
}

/// Puts a description at the property of a path, unless it has one.
fn describe(root: &mut Value, path: &[String], text: &str) {
    let Some((last, tables)) = path.split_last() else { return };
    let mut at = String::new();
    for table in tables {
        let Some(next) = property(root, &at, table) else { return };
        at = next;
    }
    let Some(found) = property_at(root, &at, last) else { return };
    let Some(object) = root.pointer_mut(&found).and_then(Value::as_object_mut) else { return };
    object.entry("description").or_insert_with(|| text.into());
}

/// The pointer of the table that a property of the table at a pointer holds.
fn property(root: &Value, at: &str, name: &str) -> Option<String> {
    let found = property_at(root, at, name)?;
    let object = root.pointer(&found)?.as_object()?;
    let inner = object.get("items").and_then(Value::as_object).unwrap_or(object);
    Some(reference(inner).unwrap_or(found))
}

fn property_at(root: &Value, at: &str, name: &str) -> Option<String> {
    let pointer = format!("{at}/properties/{name}");
    root.pointer(&pointer).map(|_| pointer)
}

/// Where a definition that stands for a table lies, optional ones included.
fn reference(object: &Map<String, Value>) -> Option<String> {
    let pointer = |object: &Map<String, Value>| {
        Some(object.get("$ref")?.as_str()?.strip_prefix('#')?.to_owned())
    };
    let any = object.get("anyOf").or_else(|| object.get("allOf")).and_then(Value::as_array);
    pointer(object).or_else(|| any?.iter().filter_map(Value::as_object).find_map(pointer))
}

impl<Q: Quantity> JsonSchema for Written<Q> {
    fn schema_name() -> Cow<'static, str> {
        Q::KIND.replace(' ', "-").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let units = Q::UNITS.iter().map(|(unit, _)| *unit);
        let spelled = Q::SPELLINGS.iter().map(|(spelling, _)| *spelling);
        let units: Vec<&str> = units.chain(spelled).collect();
        json_schema!({
            "type": "string",
            "pattern": format!("^\\s*[+0-9._]+([eE][-+]?[0-9]+)?\\s*({})\\s*$", units.join("|")),
            "examples": [Q::EXAMPLE],
        })
    }
}

impl<const LEAST: u32, const MOST: u32> JsonSchema for Count<LEAST, MOST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("count-{LEAST}-{MOST}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": LEAST, "maximum": MOST })
    }
}

impl<const LEAST: i64, const MOST: i64> JsonSchema for Number<LEAST, MOST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("number-{LEAST}-{MOST}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let [least, most] = [LEAST, MOST].map(|thousandths| thousandths as f64 / 1e3);
        json_schema!({ "type": "number", "minimum": least, "maximum": most })
    }
}

impl<const LEAST: i64, const MOST: i64> JsonSchema for Numbers<LEAST, MOST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("numbers-{LEAST}-{MOST}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let [least, most] = [LEAST, MOST].map(|thousandths| thousandths as f64 / 1e3);
        let number = json_schema!({ "type": "number", "minimum": least, "maximum": most });
        json_schema!({ "anyOf": [number, { "type": "array", "minItems": 1, "items": number }] })
    }
}

impl<const LEAST: i64, const MOST: i64> JsonSchema for Ratio<LEAST, MOST> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("ratio-{LEAST}-{MOST}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let [least, most] = [LEAST, MOST].map(|thousandths| thousandths as f64 / 1e3);
        json_schema!({ "anyOf": [
            { "type": "string", "pattern": "^\\s*[0-9.]+\\s*(:\\s*[0-9.]+\\s*)?$", "examples": ["3:1"] },
            { "type": "number", "minimum": least, "maximum": most },
        ] })
    }
}

impl JsonSchema for Seeds {
    fn schema_name() -> Cow<'static, str> {
        "seeds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^\\s*[0-9]+\\s*\\.\\.\\s*[0-9]+\\s*$",
            "examples": ["0..3"],
        })
    }
}
