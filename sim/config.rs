//! TOML files → validated inputs: the only module that knows serde, paths and line numbers.
//!
//! Domain types do not derive `Deserialize`; the modules below mirror each file's layout, check it,
//! and build the domain type, which cannot be built invalid.

mod built_in;
mod data_sheet;
mod kind;
mod profile;
mod scenario;
mod schema;
mod source;
mod sweep_plan;
mod topology;
mod workload;
mod written;

pub use built_in::{
    built_in, built_in_names, built_in_of_any_kind, built_in_or_file, built_in_workload,
    built_in_workloads, template, unknown,
};
pub use data_sheet::{Timings, data_sheet, read_timings};
pub use kind::Kind;
pub use profile::overheads::{FittedOverheads, overheads};
pub use profile::{
    BuiltInProfile, built_in_profile, built_in_profiles, profile, profile_with_built_in_table,
    read_profile,
};
pub use profile::{is_same_gpu, no_profile, profile_of_gpu};
pub use scenario::{
    COMMAND_LINE, Case, CaseSpec, Ingredients, Overrides, Scenario, ScenarioSource, ScenarioSpec,
    Seeds,
};
pub use schema::schema;
pub use source::{
    Diagnostic, Excerpt, MAX_FILE_BYTES, NetworkFile, Source, Style, foreign, read_result,
};
pub use sweep_plan::{Axis, Drawing, MAX_TASKS, SweepPlan};
pub use topology::prices::{built_in_prices, read_prices};
pub use topology::{
    ImportedNetwork, NetworkAs, built_in_topologies, built_in_topology, doubts, import_network,
    read_topology,
};
pub use workload::{
    Account, ImportAs, Imported, ImportedCounts, import_config, import_counts, is_counts, law_json,
    read_domain_counts, read_law, read_recording, workload,
};
pub use written::{Count, Number, Numbers, Ratio, TAU, Written};

#[cfg(test)]
mod tests;
