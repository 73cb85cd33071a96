//! Results read back from their JSON: as text, and as the picture that fits best.

use moesim::config::{Diagnostic, read_result};
use moesim::output::pictures::{self, Picture};
use moesim::output::plot::{Format, render};
use moesim::output::report::advice::AdviceResult;
use moesim::output::report::comparison::Comparison;
use moesim::output::report::evidence::validation::ValidationResult;
use moesim::output::report::explanation::Explanation;
use moesim::output::report::goodput::GoodputResult;
use moesim::output::report::layouts::LayoutsResult;
use moesim::output::report::memory::MemoryResult;
use moesim::output::report::network::flows::FlowsResult;
use moesim::output::report::network::topology::ClusterDescription;
use moesim::output::report::plan::PlanResult;
use moesim::output::report::study::StudyResult;
use moesim::output::schema::ResultKind;
use moesim::studies::compare::Equal;
use pyo3::prelude::*;

use crate::errors::error;

const PLACE: &str = "result";

fn kind(json: &str) -> Result<ResultKind, Diagnostic> {
    let unfit = |found: String| Diagnostic::of(PLACE, found, "give JSON that moesim made");
    let value = serde_json::from_str(json).map_err(|error| unfit(error.to_string()))?;
    let told = ResultKind::told(&value).map_err(unfit)?;
    told.ok_or_else(|| unfit("does not say what it is".to_owned()))
}

/// What the command line prints of a result.
#[pyfunction]
pub fn text(py: Python<'_>, json: String) -> PyResult<String> {
    py.detach(move || written(&json)).map_err(|mistake| error(&mistake))
}

fn written(json: &str) -> Result<String, Diagnostic> {
    let mut out = Vec::new();
    let told = match kind(json)? {
        ResultKind::Run => read_result::<StudyResult>(PLACE, json)?.write_text(&mut out),
        ResultKind::Memory => read_result::<MemoryResult>(PLACE, json)?.write_text(&mut out),
        ResultKind::Comparison => read_result::<Comparison>(PLACE, json)?.write_text(&mut out),
        ResultKind::Plan => read_result::<PlanResult>(PLACE, json)?.write_text(&mut out),
        ResultKind::Layouts => read_result::<LayoutsResult>(PLACE, json)?.write_text(&mut out),
        ResultKind::Advice => read_result::<AdviceResult>(PLACE, json)?.write_text(&mut out),
        ResultKind::Explanation => read_result::<Explanation>(PLACE, json)?.write_text(&mut out),
        ResultKind::Goodput => read_result::<GoodputResult>(PLACE, json)?.write_text(&mut out),
        ResultKind::Flows => read_result::<FlowsResult>(PLACE, json)?.write_text(&mut out),
        ResultKind::Cluster => read_result::<ClusterDescription>(PLACE, json)?.write_text(&mut out),
        ResultKind::Validation => {
            read_result::<ValidationResult>(PLACE, json)?.write_text(&mut out)
        }
        // Told by what made it alone.
        ResultKind::Loads | ResultKind::Law | ResultKind::Spreads | ResultKind::Systems => Ok(()),
    };
    told.map_err(|error| Diagnostic::of(PLACE, error.to_string(), ""))?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// The picture of a result as SVG; none where no picture shows it.
#[pyfunction]
pub fn picture(py: Python<'_>, json: String) -> PyResult<Option<String>> {
    py.detach(move || drawn(&json)).map_err(|mistake| error(&mistake))
}

fn drawn(json: &str) -> Result<Option<String>, Diagnostic> {
    let Some(picture) = fitting(json)? else { return Ok(None) };
    let drawn = render(&picture, Format::Svg);
    let bytes = drawn.map_err(|error| Diagnostic::of(PLACE, error.to_string(), ""))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn fitting(json: &str) -> Result<Option<Picture>, Diagnostic> {
    Ok(match kind(json)? {
        ResultKind::Run => {
            let run: StudyResult = read_result(PLACE, json)?;
            (!run.results.is_empty()).then(|| Picture::Lines(pictures::gain_chart(&run)))
        }
        ResultKind::Comparison => {
            let comparison: Comparison = read_result(PLACE, json)?;
            match comparison.equal {
                Equal::Gpus => Some(Picture::Bars(pictures::throughput_chart(&comparison))),
                _ => pictures::cost_chart(&comparison, PLACE).ok().map(Picture::Spots),
            }
        }
        ResultKind::Plan => {
            let plan: PlanResult = read_result(PLACE, json)?;
            pictures::front_chart(&plan, PLACE).ok().map(Picture::Lines)
        }
        ResultKind::Layouts => {
            let found: LayoutsResult = read_result(PLACE, json)?;
            Some(Picture::Lines(pictures::layouts_chart(&found)))
        }
        ResultKind::Flows => {
            let flows: FlowsResult = read_result(PLACE, json)?;
            pictures::flow_links_chart(&flows, PLACE).ok().map(Picture::Heat)
        }
        ResultKind::Validation => {
            let found: ValidationResult = read_result(PLACE, json)?;
            pictures::errors_chart(&found.files, PLACE).ok().map(Picture::Bars)
        }
        _ => None,
    })
}
