//! A cluster of a comparison, and what gates decide on it, which others may share.

use std::sync::{Arc, OnceLock};

use crate::config::Scenario;
use crate::execution::lowering::Drawn;
use crate::network::collective::Algorithm;
use crate::topology::Cost;
use crate::workload::Workload;

/// A cluster with the workload to run on it.
pub struct ClusterCase {
    /// The cluster's name.
    pub name: String,
    /// Everything that decides its runs; one case.
    pub scenario: Scenario,
    /// Price and power of the cluster by a price book.
    pub cost: Cost,
    /// What the gates of the compared workload decide under the first seed.
    drawn: Drawn,
    /// The same of each workload under each seed, workload by workload within a seed, where clusters decide alike.
    shared: OnceLock<Arc<[Drawn]>>,
}

impl ClusterCase {
    /// A cluster case with its price by a book.
    #[must_use]
    pub fn new(name: String, scenario: Scenario, book: &crate::topology::PriceBook) -> Self {
        let cost = Cost::of(&scenario.topology, book);
        Self { name, scenario, cost, drawn: Drawn::default(), shared: OnceLock::new() }
    }

    /// The workload that is compared, and what its gates decide under the first seed.
    pub(super) fn drawn(&self) -> (&Workload, &Drawn) {
        let shared = self.shared.get().and_then(|all| all.get(self.workloads().len() - 1));
        (self.own(), shared.unwrap_or(&self.drawn))
    }

    /// What gates decide in a run of a workload under a seed, counted workload by workload within a seed, where that is
    /// kept for other clusters.
    pub(super) fn kept(&self, run: usize) -> Option<&Drawn> {
        self.shared.get()?.get(run)
    }

    /// The workloads that run: vanilla, and MoE++ where there is one.
    pub(super) fn workloads(&self) -> Vec<&Workload> {
        let moepp = self.scenario.cases[0].moepp.first();
        std::iter::once(self.vanilla()).chain(moepp).collect()
    }

    /// Whether gates decide the same as on another cluster, and the same bytes are sent: functions of the workloads, the
    /// seeds, the way of the all-to-all and the size of a node.
    fn decides_as(&self, other: &Self) -> bool {
        let way = |case: &Self| -> Option<Vec<Algorithm>> {
            let carrier = |workload: &&Workload| case.scenario.carrier(workload).ok();
            case.workloads().iter().map(|of| Some(carrier(of)?.algorithm)).collect()
        };
        let (own, others) = (&self.scenario, &other.scenario);
        own.topology.gpus_per_node() == others.topology.gpus_per_node()
            && own.seeds == others.seeds
            && own.counted == others.counted
            && self.workloads() == other.workloads()
            && way(self).is_some_and(|of| Some(of) == way(other))
    }

    /// What gates are to keep for this cluster and others on which they decide alike.
    fn keep(&self) -> Arc<[Drawn]> {
        let (kinds, seeds) = (self.workloads().len(), self.scenario.seeds.clone().count());
        let number = kinds * seeds;
        // What the first seed's decide is asked for once more for each knob.
        let of = |at: usize| if at + 1 == kinds { Drawn::default() } else { Drawn::one_of(number) };
        (0..number).map(of).collect()
    }

    /// The same cluster case, of which nothing has run.
    pub(in crate::studies) fn again(&self) -> Self {
        let (name, scenario) = (self.name.clone(), self.scenario.clone());
        Self { name, scenario, cost: self.cost, drawn: Drawn::default(), shared: OnceLock::new() }
    }

    pub(super) fn vanilla(&self) -> &Workload {
        &self.scenario.cases[0].vanilla
    }

    /// Whether a vanilla workload and its MoE++ twin are compared, not one workload alone.
    #[must_use]
    pub fn is_pair(&self) -> bool {
        !self.scenario.cases[0].moepp.is_empty()
    }

    /// The workload that is compared: MoE++ if there is one.
    #[must_use]
    pub fn own(&self) -> &Workload {
        self.scenario.cases[0].moepp.first().unwrap_or_else(|| self.vanilla())
    }
}

/// Keeps what gates decide on one cluster for those after it on which they decide alike.
pub(super) fn share(cases: &[ClusterCase]) {
    for (at, case) in cases.iter().enumerate() {
        if let Some(twin) = cases[..at].iter().find(|other| case.decides_as(other)) {
            let shared = Arc::clone(twin.shared.get_or_init(|| twin.keep()));
            case.shared.get_or_init(|| shared);
        }
    }
}
