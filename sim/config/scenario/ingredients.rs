//! What a scenario is made of: where its parts came from, and the workloads that it compares.

use crate::base::inputs::Input;
use crate::workload::Workload;

/// Where a scenario's parts came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingredients {
    /// All of them, and the files that they name, by digest.
    pub inputs: Vec<Input>,
    /// The topology's file or built-in name.
    pub topology: String,
    /// The profile's.
    pub profile: String,
    /// The overheads'.
    pub overheads: String,
    /// Whether the scenario names the overheads; if not, they follow from how experts run.
    pub overheads_named: bool,
}

/// One vanilla workload and its MoE++ versions, or one workload alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The vanilla workload; where `moepp` is empty the one that stands alone, which may be MoE++.
    pub vanilla: Workload,
    /// The MoE++ workload at each τ asked for.
    pub moepp: Vec<Workload>,
}
