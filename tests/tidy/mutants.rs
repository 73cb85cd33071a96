//! Do the changes of `tests/mutants/list.toml` still apply to the functions that they are of?

use std::collections::BTreeSet;
use std::fs;

use crate::sources::root;

/// Functions that the list is to hold at least.
const LEAST: usize = 20;

#[test]
fn each_change_of_the_list_still_applies() {
    let list = fs::read_to_string(root().join("tests/mutants/list.toml")).expect("the list");
    let list: toml::Table = list.parse().expect("TOML");
    let functions = list["function"].as_array().expect("functions");
    let text = |of: &toml::Value| of.as_str().expect("a text").to_owned();
    let names: BTreeSet<String> =
        functions.iter().map(|function| text(&function["name"])).collect();
    assert!(names.len() >= LEAST && names.len() == functions.len(), "{} functions", names.len());
    for function in functions {
        let file = text(&function["file"]);
        let source =
            fs::read_to_string(root().join(&file)).unwrap_or_else(|e| panic!("{file}: {e}"));
        for change in function["changes"].as_array().expect("changes") {
            let [original, changed] = [&change[0], &change[1]].map(text);
            let times = source.matches(&original).count();
            assert_eq!(times, 1, "{file}: `{original}` is there {times} times");
            assert_ne!(original, changed, "{file}");
        }
        assert!(!text(&function["test"]).is_empty(), "{file}");
    }
}
