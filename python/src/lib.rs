//! The extension module of the Python package: the library's commands, sweeps and tables, with the interpreter's lock
//! released while they work.
//!
//! Results cross as the JSON that the command line prints, and as Arrow tables; `moesim/` makes Python objects of them.

mod ask;
mod errors;
mod files;
mod options;
mod results;
mod sweep;
mod table;
mod work;

use pyo3::prelude::*;

#[pymodule]
mod _moesim {
    use super::*;

    #[pymodule_export]
    use super::ask::ask;
    #[pymodule_export]
    use super::files::{built_in, check, imported, kind_of, names, to_toml};
    #[pymodule_export]
    use super::results::{picture, text};
    #[pymodule_export]
    use super::sweep::{Kept, Sweep, merge};
    #[pymodule_export]
    use super::table::{Table, table_of_rows};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
