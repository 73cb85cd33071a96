//! What calibration leaves open, drawn once a run.
//!
//! A profile is wrong in ways it knows the size of: for each family of kernels and of links, the law
//! of its errors on what it had not seen ([`LogErrors`]). One run draws one sample of
//! these laws: a factor for each family, on all its times in that run,
//!
//! ```text
//!   T'(x) = T(x) · e^ε,   ε drawn from the family's law of ln(measured / predicted)             (1)
//! ```
//!
//! from the stream `calibration/DEVICE/FAMILY` of the run's seed. Vanilla and MoE++ under the same
//! seed, or one GPU in two networks, therefore meet the same kernels and links, and what they share
//! cancels from the gain; two different GPUs err each for itself, but for a chip with other links, whose figures are
//! those of the chip that was measured and which errs as it does (`Profile::errs_as`). Left out:
//! errors that differ from shape to shape within a family, which cancel less (a family's factor is
//! drawn as wide as the error of one row, though, and rows' errors average out in a layer); and
//! errors of the loop's overheads, which are fitted to the paper's whole table.

use super::{KernelTimes, RowTimes, SlotTimes, experts_ask};
use crate::base::streams::Streams;
use crate::base::units::{Bytes, SimDuration};
use crate::kernels::profile::{CollectiveOp, LogErrors, Moved, Precision};
use crate::kernels::{Basis, ExpertsAsk, ExpertsChoice, Kernels};
use crate::network::Rates;
use crate::workload::{Dtype, Workload};

/// The laws of a profile's errors, for the families that a workload runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Uncertainty {
    families: [(String, Option<LogErrors>); 5],
    /// The seed to draw under, in place of a run's.
    seed: Option<u64>,
}

/// One factor per family: how much longer its parts take in this sample than predicted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factors {
    /// Dense matrix products.
    pub gemm: f64,
    /// Fused experts.
    pub experts: f64,
    /// Kernels that only move memory.
    pub memory: f64,
    /// Exchanges within a node.
    pub within_node: f64,
    /// What leaves a node.
    pub across_nodes: f64,
}

impl Uncertainty {
    /// What the profile of `kernels` says of the errors of the families that `workload` runs. A family
    /// that it says nothing of is taken to be right.
    #[must_use]
    pub fn of(kernels: &Kernels<'_>, workload: &Workload) -> Self {
        let profile = kernels.profile();
        let (format, borrowed) = kernels.dense_format(Precision::of_dtype(workload.batch.dtype));
        let format = borrowed.unwrap_or(format);
        let gemm = profile.gemm.get(&format);
        // A derived family errs by the law of what it is derived from, but for itself.
        let choice = kernels.choose_experts(&experts_ask(workload)).ok();
        let experts = choice.as_ref().map(name_of).unwrap_or_default();
        let of_experts = choice.map(|choice| choice.evidence());
        let all_to_all = profile.collectives.get(&CollectiveOp::AllToAll);
        let inter_node = profile.inter_node.as_ref();
        let named = |family: String| format!("{}/{family}", profile.errs_as());
        Self {
            families: [
                (
                    named(format!("gemm/{}", format.name())),
                    gemm.and_then(|f| f.evidence.log_errors.clone()),
                ),
                (named(experts), of_experts.and_then(|evidence| evidence.log_errors.clone())),
                (named("memory".to_owned()), profile.memory.evidence.log_errors.clone()),
                (
                    named("collective/alltoall".to_owned()),
                    all_to_all.and_then(|f| f.evidence.log_errors.clone()),
                ),
                (
                    named("inter_node".to_owned()),
                    inter_node.and_then(|f| f.evidence.log_errors.clone()),
                ),
            ],
            seed: None,
        }
    }

    /// The same drawn under this seed, where there is one, whatever a run's is: runs that draw alike otherwise then
    /// differ in it.
    #[must_use]
    pub fn under(self, seed: Option<u64>) -> Self {
        Self { seed, ..self }
    }

    /// The streams that a run under this seed draws from.
    #[must_use]
    pub fn streams(&self, seed: u64) -> Streams {
        Streams::new(self.seed.unwrap_or(seed))
    }

    /// One calibration sample: a factor for each family.
    #[must_use]
    pub fn draw(&self, streams: Streams) -> Factors {
        let [gemm, experts, memory, within_node, across_nodes] =
            self.families.each_ref().map(|(family, law)| {
                let mut rng = streams.named(&format!("calibration/{family}"));
                law.as_ref().map_or(1.0, |law| law.draw(&mut rng))
            });
        Factors { gemm, experts, memory, within_node, across_nodes }
    }
}

fn name_of(choice: &ExpertsChoice<'_>) -> String {
    format!("experts/{}/{}", choice.kernel(), choice.precision().name())
}

impl Factors {
    /// Nothing is off.
    pub const ONE: Self =
        Self { gemm: 1.0, experts: 1.0, memory: 1.0, within_node: 1.0, across_nodes: 1.0 };

    /// Rates at which exchanges take that much longer.
    #[must_use]
    pub fn on(&self, rates: Rates) -> Rates {
        rates.map(|rates| rates.slower(self.within_node, self.across_nodes))
    }
}

/// Kernels that take longer, or less long, than predicted by a factor for each family.
#[derive(Clone, Copy)]
pub struct PerturbedKernels<'a> {
    kernels: &'a dyn KernelTimes,
    factors: Factors,
}

impl<'a> PerturbedKernels<'a> {
    /// `kernels` under these factors.
    #[must_use]
    pub const fn new(kernels: &'a dyn KernelTimes, factors: Factors) -> Self {
        Self { kernels, factors }
    }
}

impl KernelTimes for PerturbedKernels<'_> {
    fn gemm(&self, n: u32, k: u32, dtype: Dtype) -> RowTimes<'_> {
        let (times, factor) = (self.kernels.gemm(n, k, dtype), self.factors.gemm);
        Box::new(move |rows| times(rows).scaled(factor))
    }

    fn experts(&self, ask: &ExpertsAsk<'_>) -> SlotTimes<'_> {
        let (times, factor) = (self.kernels.experts(ask), self.factors.experts);
        Box::new(move |slots| times(slots).scaled(factor))
    }

    fn memory_bound(&self, bytes: Bytes, launches: u32) -> SimDuration {
        self.kernels.memory_bound(bytes, launches).scaled(self.factors.memory)
    }

    fn moved(&self, parts: &[Moved]) -> SimDuration {
        self.kernels.moved(parts).scaled(self.factors.memory)
    }

    fn collective(&self, op: CollectiveOp, gpus: u32, bytes: Bytes) -> Option<[SimDuration; 2]> {
        let parts = self.kernels.collective(op, gpus, bytes);
        parts.map(|parts| parts.map(|part| part.scaled(self.factors.within_node)))
    }

    fn gemm_basis(&self, shape: (u32, u32), dtype: Dtype, rows: u64) -> Basis {
        self.kernels.gemm_basis(shape, dtype, rows)
    }

    fn experts_basis(&self, ask: &ExpertsAsk<'_>) -> Basis {
        self.kernels.experts_basis(ask)
    }

    fn memory_basis(&self) -> Basis {
        self.kernels.memory_basis()
    }
}
