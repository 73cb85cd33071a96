//! Do runs take what validation predicts for an exchange, and do exchanges answer to what they should?
//!
//! A row of a measured table is made an exchange of balanced tokens and carried by the network of a
//! run. A pass does not say that unbalanced tokens are predicted as well.

use std::path::{Path, PathBuf};

use moesim::base::table::Table;
use moesim::base::units::{Bytes, SimDuration, SimTime};
use moesim::config::{self, Kind, Overrides, Scenario, ScenarioSource};
use moesim::execution::cost::{CollectiveTimes, Group};
use moesim::kernels::exchange::Library;
use moesim::kernels::measurements::{CollectiveRow, ExchangeRow};
use moesim::kernels::profile::{CollectiveOp, Profile};
use moesim::kernels::{Kernels, Support};
use moesim::network::{
    Carrier, Carries, ClosedForm, Exchange, ExchangeId, FlowNetwork, Network, NetworkRates, Rates,
};
use moesim::topology::{LinkClass, Topology};
use moesim::workload::{Dtype, ExchangeLibrary, Phase, Workload};

use crate::common::workload;

pub(super) fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub(super) fn profile(name: &str) -> Profile {
    config::built_in_profile(name).unwrap_or_else(|mistake| panic!("{mistake}"))
}

pub(super) fn topology(name: &str, overrides: &[&str]) -> Topology {
    let source = config::built_in(Kind::Topology, name).expect(name);
    let source = source.with_overrides(overrides.iter().copied());
    config::read_topology(&source).unwrap_or_else(|mistake| panic!("{mistake}"))
}

/// Boxes of eight with the links of an H100, or with faster ones.
pub(super) fn boxes(nodes: u32, nvlink: &str) -> Topology {
    let nodes = format!("nodes.count={nodes}");
    let nvlink = format!("nodes.scale-up.nvswitch.bandwidth='{nvlink}'");
    topology("h100-4x8-rail", &[&nodes, &nvlink])
}

/// A workload that exchanges what a row does.
fn of_row(row: &ExchangeRow, library: ExchangeLibrary, group: u32) -> Workload {
    let mut workload = workload(&[]);
    workload.model.hidden = row.shape.hidden;
    workload.model.experts.ffn = row.shape.experts;
    workload.model.experts.top_k = row.shape.top_k;
    workload.batch.tokens_per_gpu = row.tokens;
    workload.layout.expert_parallel = group;
    let format = if row.bytes < 1.5 { Dtype::Fp8 } else { Dtype::Bf16 };
    workload.batch.dispatch_dtype = format;
    workload.batch.combine_dtype = Dtype::Bf16;
    workload.stack.exchange = library;
    workload.stack.sms = library.takes_sms().then_some(row.shape.sms);
    workload
}

fn last(network: &mut dyn Network, exchange: Exchange) -> SimDuration {
    let (id, members) = (ExchangeId(0), exchange.members().len());
    network.open(id, exchange);
    (0..members).for_each(|rank| network.join(SimTime::ZERO, id, rank));
    let mut delivered = Vec::new();
    while let Some(due) = network.next_delivery() {
        network.deliver(due, &mut delivered);
    }
    delivered.iter().map(|delivery| delivery.at).max().expect("members").since_start()
}

fn carry(topology: &Topology, rates: Rates, exchange: Exchange) -> SimDuration {
    last(&mut ClosedForm::new(topology, rates).unmeasured(), exchange)
}

/// The balanced exchange of a row as a run carries it, and what `validate` predicts.
pub(super) fn both(
    profile: &Profile,
    topology: &Topology,
    row: &ExchangeRow,
    library: ExchangeLibrary,
) -> [SimDuration; 2] {
    let nvlink = row.library == Library::NvlinkDomain;
    let group = if nvlink { row.shape.groups } else { row.shape.ranks * row.shape.groups };
    let workload = of_row(row, library, group);
    let carrier = Carrier::of(profile, topology, &workload, None).expect("the profile has it");
    let back = row.name.contains("combine");
    let carries = if back { Carries::Combine } else { Carries::Dispatch };
    let balanced = carrier.phases[usize::from(back)].balanced.expect("a fitted library");
    // Runs have no congestion but their topology's: 8 nodes were measured on a fabric that had.
    let predicted =
        |name: &str| profile.exchanges[name].seconds_on(1.0, row.shape, row.tokens, |_| false);
    let mut seconds = predicted(&row.name);
    if nvlink && !back {
        // A dispatch is prepared first, which is a row of its own.
        seconds += predicted(&row.name.replace("dispatch", "prepare"));
    }
    [carry(topology, carrier.rates, balanced.exchange(carries)), SimDuration::from_secs(seconds)]
}

#[test]
fn a_run_takes_the_picosecond_that_validate_predicts_for_rows_of_deepep() {
    let mut seen = 0;
    for (device, nvlink) in [("h100", "450 GB/s"), ("b200", "900 GB/s")] {
        let profile = profile(&format!("{device}-sxm"));
        let clusters = [1, 2, 8].map(|nodes| boxes(nodes, nvlink));
        for (stem, library, named) in [
            ("deepep_normal_1node", Library::DeepEpNormal, ExchangeLibrary::DeepEpNormal),
            ("deepep_normal_multinode", Library::DeepEpNormal, ExchangeLibrary::DeepEpNormal),
            ("deepep_ll_1node", Library::DeepEpLowLatency, ExchangeLibrary::DeepEpLowLatency),
            ("deepep_ll_multinode", Library::DeepEpLowLatency, ExchangeLibrary::DeepEpLowLatency),
        ] {
            let path = file(&format!("calibrate/data/{stem}_{device}_sxm.parquet"));
            if !path.exists() {
                continue;
            }
            let table = Table::read(&path).unwrap();
            let rows = ExchangeRow::of_deepep(&table, library, 8).unwrap().rows;
            for (_, row) in rows.iter().step_by(37) {
                let cluster = clusters.iter().find(|c| c.nodes() == row.shape.groups).unwrap();
                let [run, predicted] = both(&profile, cluster, row, named);
                assert_eq!(run, predicted, "{stem} {row:?}");
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "{seen} rows");
}

#[test]
fn a_run_takes_the_picosecond_that_validate_predicts_for_rows_of_nvl72() {
    let (profile, cluster) = (profile("gb200"), topology("gb200-nvl72", &[]));
    let table = Table::read(&file("calibrate/data/alltoall_nvl72_gb200.parquet")).unwrap();
    let rows = ExchangeRow::of_nvlink(&table).unwrap().rows;
    let two_sided = |row: &ExchangeRow| {
        let plain = ["/fp8", "/bfloat16"].iter().any(|format| row.name.ends_with(format));
        row.name.contains("TwoSided") && plain && !row.name.contains("prepare")
    };
    let mut seen = 0;
    for (_, row) in rows.iter().filter(|(_, row)| two_sided(row)).step_by(7) {
        let mut row = row.clone();
        // What is combined after an fp8 dispatch is known by the format of the latter.
        let fp8 = row.name.ends_with("/fp8");
        row.bytes = if fp8 { 1.0 } else { row.bytes };
        let [run, predicted] = both(&profile, &cluster, &row, ExchangeLibrary::NvlinkTwoSided);
        assert_eq!(run, predicted, "{row:?}");
        seen += 1;
    }
    assert!(seen > 20, "{seen} rows");
}

/// Start-up, drain and ramp are rounded up to a picosecond each, before and after they are scaled.
#[test]
fn nccl_takes_what_validate_predicts_to_a_few_picoseconds() {
    let h100 = nccl_of("h100-sxm", "nccl_h100_sxm", &boxes(1, "450 GB/s"), |_| true);
    // In a box of PCI Express all links behind the slots are shared, and were when it was measured. Two GPUs exchanged
    // more there than the uplink that they share in this one lets through.
    let slots = "nodes.scale-up.pcie.slot_bandwidth='32 GB/s'";
    let l40s = nccl_of("l40s", "nccl_l40s", &topology("l40s-2x8-pcie", &[slots]), |gpus| gpus == 8);
    assert!(h100 > 40 && l40s > 10, "{h100} and {l40s} rows");
}

/// Rows of an all-to-all that a run takes as long as was predicted for.
fn nccl_of(name: &str, table: &str, cluster: &Topology, kept: fn(u32) -> bool) -> usize {
    let profile = profile(name);
    let table = Table::read(&file(&format!("calibrate/data/{table}.parquet"))).unwrap();
    let rows = CollectiveRow::of(&table).unwrap().rows;
    let mut seen = 0;
    for (_, row) in
        rows.iter().filter(|(_, row)| row.op == CollectiveOp::AllToAll && kept(row.gpus))
    {
        // Eight slots of 32 numbers of two bytes: 512 bytes a token, the part that stays included.
        let mut workload = workload(&[]);
        workload.model.hidden = 32;
        (workload.model.experts.ffn, workload.model.experts.top_k) = (64, 8);
        workload.batch.tokens_per_gpu = u32::try_from(row.bytes / 512).unwrap();
        (workload.batch.dispatch_dtype, workload.batch.combine_dtype) = (Dtype::Bf16, Dtype::Bf16);
        workload.layout.expert_parallel = row.gpus;
        workload.stack.exchange = ExchangeLibrary::Nccl;
        let carrier = Carrier::of(&profile, cluster, &workload, None).unwrap();
        assert_eq!(carrier.phases[0].basis.support, Support::Measured);
        let cell = row.bytes / u64::from(row.gpus);
        let members: Vec<_> = (0..row.gpus).map(moesim::base::units::GpuId).collect();
        let cells = vec![moesim::base::units::Bytes(cell); members.len() * members.len()];
        let exchange = Exchange::new(members, cells);
        let wanted = &profile.collectives[&CollectiveOp::AllToAll];
        let wanted = SimDuration::from_secs(wanted.seconds(row.gpus, row.bytes as f64));
        for carries in [Carries::Dispatch, Carries::Combine] {
            let run = carry(cluster, carrier.rates, exchange.clone().carrying(carries));
            assert!(run.ps().abs_diff(wanted.ps()) <= 8, "{row:?}: {run} for {wanted}");
        }
        seen += 1;
    }
    seen
}

/// Of a torus every link is one between GPUs, and what NCCL gets between nodes it gets there.
#[test]
fn direct_links_deliver_what_was_published_of_links_between_nodes() {
    let profile = profile("h100-sxm");
    let rates = NetworkRates::measured(&profile, &topology("torus-16x16", &[]), 16);
    let published = profile.inter_node.as_ref().unwrap().efficiency;
    assert_eq!(rates.efficiency.of(LinkClass::Direct), published);
}

/// A collective of tensor parallelism answers to the links of its node as exchanges do.
#[test]
fn collectives_within_a_node_answer_to_its_links() {
    let profile = profile("h100-sxm");
    let kernels = Kernels::new(&profile, profile.data_sheet);
    let bytes = Bytes(1 << 28);
    let time = |nvlink: &str, startup: f64| {
        let cluster = boxes(1, nvlink);
        let mut rates = NetworkRates::measured(&profile, &cluster, 8);
        rates.table.startup = startup;
        let times = CollectiveTimes::new(&kernels, &cluster, rates);
        times.time(CollectiveOp::AllReduce, Group { gpus: 8, stride: 1 }, bytes).secs()
    };
    let own = kernels.collective(CollectiveOp::AllReduce, 8, bytes).unwrap().secs();
    assert!((time("450 GB/s", 1.0) / own - 1.0).abs() < 1e-9);
    let ratio = time("100 GB/s", 1.0) / time("450 GB/s", 1.0);
    assert!((4.0..4.5).contains(&ratio), "{ratio}");
    assert!(time("450 GB/s", 2.0) > time("450 GB/s", 1.0));
}

fn deepseek(library: ExchangeLibrary, group: u32, tokens: u32) -> Workload {
    let mut workload = workload(&[]);
    workload.model.hidden = 7168;
    (workload.model.experts.ffn, workload.model.experts.top_k) = (256, 8);
    workload.batch.tokens_per_gpu = tokens;
    workload.batch.dispatch_dtype = Dtype::Fp8;
    workload.layout.expert_parallel = group;
    workload.stack.exchange = library;
    workload
}

fn times(topology: &Topology, workload: &Workload) -> [SimDuration; 2] {
    let carrier = Carrier::of(&profile("h100-sxm"), topology, workload, None).unwrap();
    [(0, Carries::Dispatch), (1, Carries::Combine)].map(|(exchange_phase, carries)| {
        let balanced = carrier.phases[exchange_phase].balanced.unwrap();
        carry(topology, carrier.rates, balanced.exchange(carries))
    })
}

#[test]
fn faster_links_never_slow_an_exchange_and_more_sms_speed_it_up() {
    for library in [ExchangeLibrary::DeepEpNormal, ExchangeLibrary::DeepEpLowLatency] {
        for nodes in [1, 2, 4] {
            for tokens in [8, 128, 4096] {
                let workload = deepseek(library, 8 * nodes, tokens);
                let [slow, fast] =
                    ["450 GB/s", "900 GB/s"].map(|nvlink| times(&boxes(nodes, nvlink), &workload));
                assert!(fast[0] <= slow[0] && fast[1] <= slow[1], "{library:?} {nodes} {tokens}");
            }
        }
    }
    let cluster = boxes(1, "450 GB/s");
    let mut workload = deepseek(ExchangeLibrary::DeepEpNormal, 8, 4096);
    let at = [8, 24].map(|sms| {
        workload.stack.sms = Some(sms);
        times(&cluster, &workload)
    });
    assert!(at[0][0] > at[1][0].scaled(1.5) && at[0][1] > at[1][1].scaled(1.5), "{at:?}");
}

#[test]
fn engines_that_share_links_agree_on_what_dispatch_and_combine_take() {
    let cluster = boxes(2, "450 GB/s");
    for library in [ExchangeLibrary::DeepEpNormal, ExchangeLibrary::DeepEpLowLatency] {
        let workload = deepseek(library, 16, 4096);
        let carrier = Carrier::of(&profile("h100-sxm"), &cluster, &workload, None).unwrap();
        for (exchange_phase, carries) in [(0, Carries::Dispatch), (1, Carries::Combine)] {
            let exchange = carrier.phases[exchange_phase].balanced.unwrap().exchange(carries);
            let drained = carry(&cluster, carrier.rates, exchange.clone());
            let shared = last(&mut FlowNetwork::new(&cluster, carrier.rates), exchange);
            let off = shared.secs() / drained.secs() - 1.0;
            assert!(off.abs() < 1e-3, "{library:?} {carries:?}: {shared} for {drained}");
        }
    }
}

#[test]
fn auto_takes_what_people_run_where_it_was_measured_and_says_so() {
    let taken = |device: &str, cluster: &Topology, workload: &Workload| {
        Carrier::of(&profile(device), cluster, workload, None).unwrap()
    };
    let with = |phase, group, top_k| {
        let mut workload = deepseek(ExchangeLibrary::Auto, group, 4096);
        workload.model.experts.top_k = top_k;
        workload.stack.phase = Some(phase);
        workload
    };
    let four = boxes(4, "450 GB/s");
    let h100 = |workload| taken("h100-sxm", &four, &workload).library;
    assert_eq!(h100(with(Phase::Decode, 32, 8)), ExchangeLibrary::DeepEpLowLatency);
    assert_eq!(h100(with(Phase::Prefill, 32, 8)), ExchangeLibrary::DeepEpNormal);
    assert_eq!(h100(with(Phase::Training, 32, 2)), ExchangeLibrary::DeepEpNormal);
    assert_eq!(h100(with(Phase::Training, 8, 2)), ExchangeLibrary::Nccl);
    let a100 = taken("a100-sxm", &topology("a100-4x8", &[]), &with(Phase::Decode, 8, 8));
    assert_eq!(a100.library, ExchangeLibrary::Nccl);
    assert_eq!(a100.phases[0].basis.support, Support::Measured);
    let domain = topology("gb200-nvl72", &[]);
    let gb200 = taken("gb200", &domain, &with(Phase::Decode, 16, 8));
    assert_eq!(gb200.library, ExchangeLibrary::NvlinkTwoSided);
    // Four nodes lie between two and eight; sixteen lie beyond.
    let between = taken("h100-sxm", &four, &with(Phase::Prefill, 32, 8));
    assert!(matches!(between.phases[0].basis.support, Support::Interpolated { .. }), "{between:?}");
    let many = boxes(16, "450 GB/s");
    let beyond = taken("h100-sxm", &many, &with(Phase::Prefill, 128, 8));
    assert!(beyond.phases[0].basis.to_string().contains("16 nodes"), "{beyond:?}");
}

fn case(name: &str, set: &[&str]) -> Result<Scenario, config::Diagnostic> {
    let path = file(&format!("tests/data/cases/{name}.toml"));
    let overrides = Overrides::new(set.iter().map(|&line| line.to_owned()).collect());
    ScenarioSource::open(path.to_str().unwrap(), overrides)?.load()
}

/// Dispatch and combine of a case's one layer, mean over GPUs, waiting left out, in microseconds.
fn legs_us(name: &str, set: &[&str]) -> [f64; 2] {
    use moesim::execution::blame::Reason;
    let scenario = case(name, set).unwrap_or_else(|mistake| panic!("{mistake}"));
    let vanilla = &scenario.cases[0].vanilla;
    let outcome = moesim::studies::study::run(&scenario, vanilla, scenario.overheads, 0).unwrap();
    [Reason::Dispatch, Reason::Combine].map(|reason| 1e3 * outcome.mean_blame_ms(reason))
}

/// Two boxes of H800 were not measured: the H100's figures are of the same NICs, and gates are random.
#[test]
fn decode_exchanges_take_what_was_measured_out_in_fp8_and_back_in_bf16() {
    let near = |[out, back]: [f64; 2], wanted: [f64; 2]| {
        let off = [out / wanted[0] - 1.0, back / wanted[1] - 1.0];
        assert!(off.iter().all(|off| off.abs() < 0.2), "{out} + {back} us for {wanted:?}");
    };
    near(legs_us("03-combine-bytes", &[]), [102.0, 186.0]);
    let few = ["workload.batch.tokens_per_gpu=8", "workload.batch.sequence_tokens=8"];
    near(legs_us("03-combine-bytes", &few), [24.0, 37.0]);
}

#[test]
fn the_ceiling_of_a_pair_scales_with_its_links() {
    let at = |rate: &str| {
        let set = format!("topology.nodes.scale-up.nvswitch.bandwidth='{rate}'");
        legs_us("08-pair-ceiling", &[&set, "workload.exchange.library='nccl'"])[0]
    };
    let [one, two, four] = ["450 GB/s", "900 GB/s", "1800 GB/s"].map(at);
    // Start-up stays, so not quite half.
    assert!(
        (1.9..2.0).contains(&(one / two)) && (1.8..2.0).contains(&(two / four)),
        "{one} {two} {four}"
    );
}

#[test]
fn libraries_that_are_not_there_or_do_not_do_as_asked_are_refused_with_the_remedy() {
    let refused = |set: &[&str]| match case("03-combine-bytes", set) {
        Ok(_) => panic!("{set:?} passes"),
        Err(mistake) => mistake.to_string(),
    };
    let unknown = refused(&[
        "profile='a100-sxm'",
        "workload.exchange.library='deepep-normal'",
        "workload.batch.dtype='bf16'",
        "workload.batch.dispatch_dtype='bf16'",
    ]);
    assert!(
        unknown.contains("no measurements") && unknown.contains("it has \"nccl\""),
        "{unknown}"
    );
    let other = refused(&["all_to_all='direct'", "workload.exchange.library='deepep-normal'"]);
    assert!(other.contains("two-hop") && other.contains("nccl"), "{other}");
    let domain = refused(&["profile='gb200'", "workload.exchange.library='nvlink-one-sided'"]);
    assert!(domain.contains("NVLink domain"), "{domain}");
    let sms = refused(&[
        "workload.exchange.sms=20",
        "profile='a100-sxm'",
        "workload.batch.dtype='bf16'",
        "workload.batch.dispatch_dtype='bf16'",
    ]);
    assert!(sms.contains("sms") && sms.contains("remove"), "{sms}");
    let given = refused(&["workload.exchange.sms=20", "workload.exchange.library='nccl'"]);
    assert!(given.contains("sms") || given.contains("does not apply"), "{given}");
}
