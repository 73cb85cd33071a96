//! What grouped experts do beside their products: biases by kernels of their own, and what products take over.
//!
//! A pass says that bytes and launches are those of the equations in `sim/execution/cost/experts.rs` and `biases.rs`, and
//! that products that do more never take longer. It does not say what a stack fuses.

use moesim::base::units::{Bytes, SimDuration};
use moesim::config;
use moesim::execution::blame::Reason;
use moesim::execution::cost::{KernelTimes, LayerCost, Overheads, RowTimes, SlotTimes};
use moesim::kernels::profile::CollectiveOp;
use moesim::kernels::{Basis, ExpertsAsk, ExpertsTime, Kernels, Part, Support};
use moesim::workload::{Dtype, Epilogue, ExpertsKernel, Phase, Recompute, Workload};

/// Products take no time, a byte a picosecond and a launch a microsecond; the activation is a kernel of its own.
struct Paper {
    /// Bytes of the experts' own kernels, a row.
    of_row: u64,
}

impl KernelTimes for Paper {
    fn gemm(&self, _: u32, _: u32, _: Dtype) -> RowTimes<'_> {
        Box::new(|_| SimDuration::ZERO)
    }

    fn experts(&self, _: &ExpertsAsk<'_>) -> SlotTimes<'_> {
        Box::new(|rows| {
            let slots: u64 = rows.iter().map(|&m| u64::from(m)).sum();
            let moved = self.memory_bound(Bytes(slots * self.of_row), 1);
            ExpertsTime { products: SimDuration::ZERO, moved }
        })
    }

    fn memory_bound(&self, bytes: Bytes, launches: u32) -> SimDuration {
        SimDuration::from_ps(bytes.0) + SimDuration::from_us(1.0).times(launches.into())
    }

    fn collective(&self, _: CollectiveOp, _: u32, _: Bytes) -> Option<[SimDuration; 2]> {
        None
    }

    fn gemm_basis(&self, _: (u32, u32), _: Dtype, _: u64) -> Basis {
        unreachable!("nobody asks what a paper's products stand on")
    }

    fn experts_basis(&self, _: &ExpertsAsk<'_>) -> Basis {
        let support = Support::Derived { from: "paper".to_owned() };
        Basis { part: Part::Experts, name: "paper".to_owned(), support }
    }

    fn memory_basis(&self) -> Basis {
        unreachable!("nobody asks what a paper's memory stands on")
    }
}

const ROWS: [u32; 4] = [100, 0, 50, 7];
const SLOTS: u64 = 157;

/// A model of hidden size D = 2880 and inner size I = 2880, trained by grouped products.
fn trained(biases: bool, epilogue: Epilogue) -> Workload {
    let mut workload =
        config::workload(&config::built_in_workload("gpt-oss-20b").unwrap()).unwrap();
    workload.model.biases = biases;
    workload.model.clamped_activation = false;
    workload.stack.phase = Some(Phase::Training);
    workload.stack.experts = ExpertsKernel::GroupedGemm;
    workload.stack.epilogue = epilogue;
    workload
}

/// What experts take that is not products, forward and backward.
fn taken(workload: &Workload, kernels: &dyn KernelTimes) -> [SimDuration; 2] {
    let mut cost = LayerCost::new(workload, kernels, Overheads::NONE).with_backward();
    let [mut forward, mut inputs, mut weights] = [const { Vec::new() }; 3];
    cost.ffn(&ROWS, &mut forward);
    cost.ffn_backward(&ROWS, &mut inputs, &mut weights);
    assert!(inputs.iter().all(|op| op.reason == Reason::FfnBackward));
    [forward, inputs].map(|ops| ops.iter().map(|op| op.time).sum())
}

/// (1) to (3) of `biases`: 28 and 40 bytes of each of D numbers a row; of four experts 2 and 7 kernels each, and 2 more.
#[test]
fn biases_apart_move_each_result_so_often() {
    let kernels = Paper { of_row: 5 * 2 * 2880 };
    let [plain, within] = [Epilogue::Plain, Epilogue::Biases]
        .map(|epilogue| taken(&trained(true, epilogue), &kernels));
    let more = [0, 1].map(|pass| plain[pass].saturating_sub(within[pass]));
    let of =
        |bytes: u64, launches: u32| kernels.memory_bound(Bytes(bytes * SLOTS * 2880), launches);
    assert_eq!(more, [of(28, 2 * 4 + 2), of(40, 7 * 4 + 2)]);
    // Without biases products have nothing to leave.
    let [bare, added] = [Epilogue::Plain, Epilogue::Biases]
        .map(|epilogue| taken(&trained(false, epilogue), &kernels));
    assert_eq!(bare, added);
    assert_eq!(added, within);
}

/// (1) and (2) of `clamp`: 16 and 30 bytes of each of I numbers a row in three and seven kernels; what is computed again once
/// more backward.
#[test]
fn clamping_apart_moves_both_halves_so_often() {
    let kernels = Paper { of_row: 5 * 2 * 2880 };
    let of =
        |bytes: u64, launches: u32| kernels.memory_bound(Bytes(bytes * SLOTS * 2880), launches);
    let more = |epilogue: Epilogue, recompute: Recompute| {
        let times = [true, false].map(|clamped| {
            let mut workload = trained(false, epilogue);
            workload.model.clamped_activation = clamped;
            workload.training.recompute = recompute;
            taken(&workload, &kernels)
        });
        [0, 1].map(|pass| times[0][pass].saturating_sub(times[1][pass]))
    };
    let (plain, none) = (Epilogue::Plain, [SimDuration::ZERO; 2]);
    assert_eq!(more(plain, Recompute::Nothing), [of(16, 3), of(30, 7)]);
    assert_eq!(more(plain, Recompute::Selective), [of(16, 3), of(30 + 16, 7 + 3)]);
    assert_eq!(
        [Epilogue::Biases, Epilogue::Activation].map(|of| more(of, Recompute::Nothing)),
        [none; 2]
    );
}

/// Products that apply the activation spare its kernel, m·I·6 bytes in 16 bits, and backward m·I·4 more.
#[test]
fn an_activation_within_products_spares_its_kernels() {
    let kernels = Paper { of_row: 6 * 2880 };
    let [apart, within] = [Epilogue::Biases, Epilogue::Activation]
        .map(|epilogue| taken(&trained(true, epilogue), &kernels));
    assert_eq!(within, [SimDuration::ZERO; 2]);
    let of = |bytes: u64, launches| kernels.memory_bound(Bytes(bytes * SLOTS * 2880), launches);
    assert_eq!(apart, [of(6, 1), of(6 + 4, 2)]);
}

/// In fp8 rows of D that came in 16 bits are sorted so, 2 bytes more each, and quantised by themselves, 4 bytes; of the
/// activation a transposed copy forward, and 2·I numbers of its gradient backward, are not where products apply it.
#[test]
fn products_that_activate_quantise_too() {
    let kernels = Paper { of_row: 5 * 2880 };
    let [apart, within] = [Epilogue::Biases, Epilogue::Activation].map(|epilogue| {
        let mut workload = trained(true, epilogue);
        workload.batch.dtype = Dtype::Fp8;
        workload.batch.dispatch_dtype = Dtype::Bf16;
        taken(&workload, &kernels)
    });
    let of = |bytes: u64, launches| kernels.memory_bound(Bytes(bytes * SLOTS * 2880), launches);
    assert_eq!(within, [of(2 + 4, 1); 2]);
    assert_eq!(apart, [of(5 + 2 + 4 + 1, 3), of((5 + 2 + 4 + 1) + 4 + 2 * 4, 5)]);
}

/// (6): two copies of each row, unless all experts have a multiple already; between them 112, 64 and 16 rows in place of
/// 100, 50 and 7, 35 more, whose activation moves 6 bytes of each of I numbers forward and 4 more backward.
#[test]
fn padded_rows_are_copied_there_and_back() {
    let kernels = Paper { of_row: 6 * 2880 };
    let of = |pad_rows: Option<u32>| {
        let mut workload = trained(false, Epilogue::Plain);
        workload.stack.pad_rows = pad_rows;
        taken(&workload, &kernels)
    };
    let more = [0, 1].map(|pass| of(Some(16))[pass].saturating_sub(of(None)[pass]));
    let filled = |of_row: u64| Bytes(8 * SLOTS * 2880 + of_row * 35 * 2880);
    assert_eq!(more, [6, 6 + 4].map(|of_row| kernels.memory_bound(filled(of_row), 2)));
    // 100, 50 and 7 rows are multiples of one.
    assert_eq!(of(Some(1)), of(None));
}

/// On a measured GPU products of padded rows take as long as those of as many rows that tokens chose, both passes.
#[test]
fn products_compute_padded_rows_as_others() {
    let profile = config::built_in_profile("h100-sxm").unwrap();
    let cluster = config::built_in_topology("h100-4x8-rail").unwrap();
    let topology = config::read_topology(&cluster).unwrap();
    let kernels = Kernels::new(&profile, topology.gpu().device());
    let products = |pad_rows: Option<u32>, rows: &[u32]| {
        let mut workload = trained(false, Epilogue::Biases);
        workload.stack.pad_rows = pad_rows;
        let mut cost = LayerCost::new(&workload, &kernels, Overheads::NONE).with_backward();
        let [mut forward, mut inputs, mut weights] = [const { Vec::new() }; 3];
        cost.ffn(rows, &mut forward);
        cost.ffn_backward(rows, &mut inputs, &mut weights);
        let forward = forward.into_iter().filter(|op| op.reason == Reason::FfnGemm);
        forward.chain(weights).map(|op| op.time).collect::<Vec<_>>()
    };
    let padded = products(Some(512), &ROWS);
    assert_eq!(padded, products(None, &[512, 0, 512, 512]));
    assert!(padded.iter().zip(products(None, &ROWS)).all(|(padded, own)| *padded > own));
}

/// On a measured GPU, in all formats and whatever is computed again: products that do more never take longer.
#[test]
fn products_that_do_more_never_take_longer() {
    let profile = config::built_in_profile("h100-sxm").unwrap();
    let cluster = config::built_in_topology("h100-4x8-rail").unwrap();
    let topology = config::read_topology(&cluster).unwrap();
    let kernels = Kernels::new(&profile, topology.gpu().device());
    for (dtype, dispatch) in
        [(Dtype::Bf16, Dtype::Bf16), (Dtype::Fp8, Dtype::Bf16), (Dtype::Fp8, Dtype::Fp8)]
    {
        for recompute in [Recompute::Nothing, Recompute::Selective] {
            let times = Epilogue::ALL.map(|epilogue| {
                let mut workload = trained(true, epilogue);
                workload.batch.dtype = dtype;
                workload.batch.dispatch_dtype = dispatch;
                workload.training.recompute = recompute;
                taken(&workload, &kernels)
            });
            for pass in [0, 1] {
                let [plain, biases, activation] = times.map(|time| time[pass]);
                assert!(activation < biases && biases < plain, "{dtype:?} {dispatch:?} {times:?}");
            }
        }
    }
}
