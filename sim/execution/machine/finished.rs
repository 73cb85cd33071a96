//! The accounts of a finished run.

use crate::base::units::{SimDuration, SimTime};
use crate::execution::blame::Blame;
use crate::execution::machine::Machine;
use crate::execution::program::Program;
use crate::network::NetworkReport;

/// The accounts of a finished run.
#[derive(Clone, Debug)]
pub struct Finished {
    /// When the last GPU finished.
    pub makespan: SimDuration,
    /// Each GPU's time by reason; each sums to the makespan.
    pub blame: Vec<Blame>,
    /// Each GPU's work of shared and zero-computation experts that exchanges hid.
    pub hidden: Vec<SimDuration>,
    /// Which engine carried the exchanges, and what is known of its error.
    pub network_report: NetworkReport,
    /// Bytes over each link of the cluster.
    pub link_bytes: Vec<u64>,
    /// Where a sample of a run is simulated, the ends of its units, in order of time.
    pub unit_ends: Vec<UnitEnd>,
}

/// A group has the last results of a unit of its work back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitEnd {
    /// Which group.
    pub group: usize,
    /// When.
    pub at: SimTime,
    /// What its GPUs have worked until then, waiting left out, all together.
    pub worked: SimDuration,
}

impl<P: Program> Machine<'_, P> {
    /// What is known so far of how well the network carries.
    pub fn network_report(&self) -> NetworkReport {
        self.network.network_report()
    }
}
