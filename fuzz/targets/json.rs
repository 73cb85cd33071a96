//! JSON: laws of gates, and results of commands.

use moesim::config::{law_json, read_law, read_result};
use moesim::output::pictures;
use moesim::output::report::MadeBy;
use moesim::output::report::comparison::Comparison;
use moesim::output::report::layouts::LayoutsResult;
use moesim::output::report::network::flows::FlowsResult;
use moesim::output::report::plan::PlanResult;
use moesim::output::report::study::StudyResult;
use moesim::studies::validate::summary::FileErrors;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::tables::pictured;
use super::{Target, accepted, as_file, finite, text};

const LAW: &str = r#"{"schema": 1, "rank": 1, "slots": 2, "persistence": {"share": 0.1, "decay": 0.5, "depth": 0.2},
"recorded": [[0.5], [-0.5]], "tokens": [3, 4], "layers": [{"log_weights": [0.1, -0.1, 0.2, 0],
"loadings": [1, 0.5, -1, 0], "own": [0, 0, 0.1, 0], "persistence": [0.1, 0.2]}]}"#;

pub(super) const TARGETS: &[Target] = &[
    Target { name: "law", seeds: &[], small: &[LAW], holds: law },
    Target { name: "result", seeds: &[], small: &[], holds: result },
    Target {
        name: "made-by",
        seeds: &[],
        small: &[
            r#"{"moesim": "0.1.0", "commit": null, "arguments": ["run", "paper"], "inputs": [{"name": "a", "digest": "00", "built_in": false}]}"#,
        ],
        holds: made_by,
    },
];

fn law(bytes: &[u8]) {
    let Some(law) = accepted(as_file("law.json", bytes, read_law)) else { return };
    let written = law_json(&law, serde_json::Value::Null);
    let again = as_file("law.json", written.as_bytes(), read_law).expect("what was written");
    assert_eq!(again, law, "written and read again");
    finite("weights", law.layers.iter().flat_map(|layer| layer.log_weights.iter().copied()));
}

fn made_by(bytes: &[u8]) {
    same_again::<MadeBy>(text(bytes));
}

/// A result that is accepted, written and read again as the same; it and its pictures.
fn result(bytes: &[u8]) {
    let text = text(bytes);
    let place = "result.json";
    if let Some(run) = same_again::<StudyResult>(text).filter(|run| !run.results.is_empty()) {
        pictured(&pictures::gain_chart(&run));
        pictured(&pictures::breakdown_chart(&run));
        accepted(pictures::links_chart(&run, None, place)).iter().for_each(pictured);
    }
    if let Some(of) = same_again::<Comparison>(text).filter(|of| !of.clusters.is_empty()) {
        pictured(&pictures::throughput_chart(&of));
        accepted(pictures::cost_chart(&of, place)).iter().for_each(pictured);
    }
    if let Some(plan) = same_again::<PlanResult>(text).filter(|plan| !plan.candidates.is_empty()) {
        accepted(pictures::front_chart(&plan, place)).iter().for_each(pictured);
    }
    if let Some(found) = same_again::<LayoutsResult>(text).filter(|found| !found.front.is_empty()) {
        pictured(&pictures::layouts_chart(&found));
    }
    if let Some(flows) = same_again::<FlowsResult>(text) {
        accepted(pictures::flow_links_chart(&flows, place)).iter().for_each(pictured);
    }
    if let Some(files) = same_again::<Vec<FileErrors>>(text).filter(|files| !files.is_empty()) {
        accepted(pictures::errors_chart(&files, place)).iter().for_each(pictured);
    }
}

fn same_again<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(
    text: &str,
) -> Option<T> {
    let read: T = accepted(read_result("result.json", text))?;
    let written = serde_json::to_string_pretty(&read).expect("a result has a JSON form");
    let again: T =
        read_result("result.json", &written).unwrap_or_else(|e| panic!("{e}: {written}"));
    assert_eq!(again, read, "written and read again");
    Some(read)
}
