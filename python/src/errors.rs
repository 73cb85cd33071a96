//! Mistakes of users as Python's exception.

use moesim::config::Diagnostic;
use pyo3::prelude::*;

/// `moesim.MoesimError`, with the parts of the mistake.
pub fn error(mistake: &Diagnostic) -> PyErr {
    Python::attach(|py| match exception(py, mistake) {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    })
}

fn exception<'py>(py: Python<'py>, mistake: &Diagnostic) -> PyResult<Bound<'py, PyAny>> {
    let class = py.import("moesim._errors")?.getattr("MoesimError")?;
    let Diagnostic { place, line, key, found, help, .. } = mistake;
    let shown = mistake.render(moesim::config::Style::default());
    let shown = shown.strip_prefix("error: ").unwrap_or(&shown);
    class.call1((shown, place, *line, key, found, help))
}
