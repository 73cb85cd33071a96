//! The page of `moesim memory`: whether each workload fits, and what takes the memory of the fullest GPU.

use super::facts::left_out;
use super::{Block, Page, Table};
use crate::base::units::Bytes;
use crate::execution::memory::{What, in_gb};
use crate::output::report::memory::{MemoryResult, WorkloadMemory};
use crate::output::report::spoken;

impl Page {
    /// Of what lies in memory.
    #[must_use]
    pub fn of_memory(of: &MemoryResult) -> Self {
        let mut page = Self {
            title: "Memory".to_owned(),
            question: format!(
                "Does {} fit into the memory of {} × {} ({})?",
                of.scenario, of.gpus, of.gpu, of.topology
            ),
            answer: answer(of),
            made_by: Some(of.made_by.clone()),
            ..Self::default()
        };
        page.part("What takes the memory", vec![Block::Table(ledger(of))]);
        let own = of.does_not_fit.iter().chain(&of.not_stated).chain(&of.idle).cloned();
        let driver =
            "context of the driver and libraries, about 1 GB, and fragmentation".to_owned();
        page.part("What is left out", left_out(own.chain([driver]).collect()));
        page
    }
}

fn name_of(one: &WorkloadMemory) -> String {
    spoken(&one.workload, one.tau)
}

/// Yes or no, by the workload that leaves least.
fn answer(of: &MemoryResult) -> Vec<String> {
    let free = |one: &&WorkloadMemory| one.memory.free_bytes.unwrap_or(i64::MAX);
    let Some(tightest) = of.workloads.iter().min_by_key(free) else {
        return vec!["No workload was asked of.".to_owned()];
    };
    let Some(capacity) = tightest.memory.capacity_bytes else {
        return vec![
            "Not known: the cluster's file does not state the memory of its GPU.".to_owned(),
        ];
    };
    let [needs, has] = [tightest.memory.total_bytes, capacity].map(|bytes| in_gb(Bytes(bytes)));
    let lacking = of.workloads.iter().filter(|one| one.memory.fits == Some(false)).count();
    let (name, all) = (name_of(tightest), of.workloads.len());
    let most = if all == 1 { "it" } else { "the largest" };
    let first = match lacking {
        0 if all == 1 => "Yes, it fits.".to_owned(),
        0 => format!("Yes, all {all} workloads fit."),
        one if one == all => "No, it does not fit.".to_owned(),
        some => format!("No, {some} of {all} workloads do not fit."),
    };
    let second = format!("Of the fullest GPU's {has} {most}, {name}, takes {needs}.");
    vec![first, second]
}

/// A row for each workload: the verdict, what is used and free, and what takes it.
fn ledger(of: &MemoryResult) -> Table {
    let used = |what: &What| of.workloads.iter().any(|one| one.memory.kinds.of(*what).0 > 0);
    let kinds: Vec<What> = What::ALL.into_iter().filter(used).collect();
    let head = ["workload", "phase", "fits", "used", "of", "free"].into_iter();
    let head = head.chain(kinds.iter().map(|what| what.label()));
    let mut table = Table::of("Of the fullest GPU, in GB of 10⁹ bytes where no unit is said", head);
    for one in &of.workloads {
        let own = &one.memory;
        let gb = |bytes: f64| format!("{:.1}", bytes / 1e9);
        let known = |bytes: Option<f64>| bytes.map_or_else(|| "–".to_owned(), gb);
        let verdict = own.fits.map_or("not known", |fits| if fits { "yes" } else { "no" });
        let figures = [
            gb(own.total_bytes as f64),
            known(own.capacity_bytes.map(|bytes| bytes as f64)),
            known(own.free_bytes.map(|bytes| bytes as f64)),
        ];
        let parts = kinds.iter().map(|what| match own.kinds.of(*what) {
            Bytes(0) => "–".to_owned(),
            some => in_gb(some),
        });
        let said = [name_of(one), own.phase.word().to_owned(), verdict.to_owned()].into_iter();
        table.row(said.chain(figures).chain(parts));
    }
    table
}
