//! Are the JSON Schemas in `docs/schemas` those of this version, and do they know every key that is read?
//!
//! A pass says that each published schema is what `moesim schema` prints, that every key of every built-in file is in the
//! schema of its kind, that a key that no file has is not, and that results of a later schema are refused. `tests/run` also
//! checks shipped files against the schemas with taplo, and results of every command with `tests/results.py`. After a deliberate change, run with `UPDATE_EXPECT=1` and read the difference.

use std::fs;
use std::path::Path;

use moesim::base::choice::Choice;
use moesim::config::{Kind, built_in, built_in_names, schema};
use moesim::output::schema::ResultKind;
use serde_json::Value;
use toml::Value as Toml;

use crate::program::{folder, moesim};

#[test]
fn published_schemas_are_those_of_this_version() {
    let files = Kind::ALL.iter().map(|kind| (kind.word(), schema(*kind)));
    let results = ResultKind::ALL.iter().map(|kind| (kind.word(), kind.schema()));
    for (word, schema) in files.chain(results) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schemas/{word}.json"));
        let told = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, &told).expect("a writable source tree");
        }
        let published = fs::read_to_string(&path).unwrap_or_default();
        assert!(told == published, "docs/schemas/{word}.json: UPDATE_EXPECT=1");
    }
}

#[test]
fn results_say_what_they_are_and_others_are_refused() {
    let here = folder("labelled-results");
    let asked = ["topology", "two-tier-8", "--json"];
    let told: Value = serde_json::from_slice(&moesim(&here, &asked).stdout).expect("JSON");
    assert_eq!(told["schema"], "cluster-result/1");
    let flows = ["flows", "--topology", "two-tier-8", "--pattern", "uniform", "--json"];
    let flows = String::from_utf8(moesim(&here, &flows).stdout).expect("UTF-8");
    assert!(flows.contains("\"schema\": \"flows-result/1\""), "{flows}");
    // As moesim wrote it before results said what they are.
    let unlabelled = flows.replacen("\"schema\": \"flows-result/1\",", "", 1);
    let later = flows.replacen("flows-result/1", "flows-result/2", 1);
    for (name, text, drawn) in
        [("now", &flows, true), ("before", &unlabelled, true), ("later", &later, false)]
    {
        let file = format!("{name}.json");
        fs::write(here.join(&file), text).expect("a file of ours");
        let output = moesim(&here, &["plot", &file]);
        assert_eq!(output.status.success(), drawn, "{name}");
        if !drawn {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains("is of schema \"flows-result/2\"; this moesim reads"), "{said}");
        }
    }
}

#[test]
fn every_key_of_built_in_files_is_in_the_schema_of_their_kind() {
    for kind in Kind::ALL {
        let schema = schema(*kind);
        for name in built_in_names(*kind) {
            let text = built_in(*kind, name).unwrap().text().to_owned();
            let file = Toml::Table(text.parse().unwrap());
            if let Err(key) = known(&schema, &schema, &file) {
                panic!("{kind} {name}: the schema does not know {key}");
            }
        }
        let typo: Toml = Toml::Table("schema = 1\nschemaa = 1".parse().unwrap());
        assert_eq!(known(&schema, &schema, &typo), Err(".schemaa".to_owned()), "{kind}");
    }
}

/// Editors and the pages on file formats show what a key means.
#[test]
fn every_key_of_a_file_says_what_it_means() {
    fn keys(table: &Value) -> impl Iterator<Item = (&String, &Value)> {
        table["properties"].as_object().into_iter().flatten()
    }
    let silent = |value: &Value| value.get("description").is_none();
    for kind in Kind::ALL {
        let schema = schema(*kind);
        let tables = schema["definitions"].as_object().into_iter().flatten();
        let tables = tables.map(|(name, table)| (name.as_str(), table));
        for (name, table) in tables.chain([("the file", &schema)]) {
            let wanting: Vec<&String> =
                keys(table).filter(|(_, value)| silent(value)).map(|(key, _)| key).collect();
            assert!(wanting.is_empty(), "{kind}, {name}: no description of {wanting:?}");
            // One of several tables: each is described as a whole.
            for one in table["oneOf"].as_array().into_iter().flatten() {
                assert!(!silent(one), "{kind}, {name}: no description of {one}");
            }
        }
    }
}

/// Whether a schema has every key of a value; the first that it has not.
fn known(root: &Value, schema: &Value, value: &Toml) -> Result<(), String> {
    let alternatives = resolved(root, schema);
    match value {
        Toml::Table(table) => {
            for (key, inner) in table {
                let of_key = alternatives.iter().find_map(|schema| {
                    let own = schema.get("properties").and_then(|all| all.get(key));
                    own.or_else(|| schema.get("additionalProperties").filter(|any| **any != false))
                });
                let within = of_key.ok_or_else(|| format!(".{key}"))?;
                known(root, within, inner).map_err(|deeper| format!(".{key}{deeper}"))?;
            }
            Ok(())
        }
        Toml::Array(items) => items.iter().try_for_each(|item| {
            let of_items = alternatives.iter().find_map(|schema| schema.get("items"));
            of_items.map_or(Ok(()), |schema| known(root, schema, item))
        }),
        _ => Ok(()),
    }
}

/// The schemas that a value may meet, references followed.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    if let Some(pointer) = schema.get("$ref").and_then(Value::as_str) {
        return resolved(root, root.pointer(pointer.trim_start_matches('#')).unwrap());
    }
    let lists = ["anyOf", "oneOf", "allOf"].into_iter();
    let inner: Vec<&Value> = lists
        .filter_map(|list| schema.get(list)?.as_array())
        .flatten()
        .flat_map(|schema| resolved(root, schema))
        .collect();
    std::iter::once(schema).chain(inner).collect()
}
