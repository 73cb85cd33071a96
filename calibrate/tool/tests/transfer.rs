//! Is a GPU that was not measured predicted from a data sheet and a few dozen timings, and usable?
//!
//! A pass says that restating and mixing change what they should and nothing else, that a known device
//! is recognised in its own timings, that copies and tables count, that the command writes a profile
//! that loads, and that wrong input is refused where it is wrong. How far off such profiles are says
//! `moesim validate --leave-out=gpu` (`docs/accuracy.md`).

use std::path::{Path, PathBuf};
use std::process::Command;

use moesim::base::table::Table;
use moesim::base::units::{Bytes, FlopRate};
use moesim::config::{self, Source, built_in_profile, built_in_profiles};
use moesim::kernels::devices::DataSheet;
use moesim::kernels::experts::ExpertsShape;
use moesim::kernels::measurements::{Between, CopyRow, GemmRow};
use moesim::kernels::profile::{CollectiveOp, Precision, Profile};
use moesim::kernels::transfer::{
    Scales, by_nearness, rebase_to_peaks, sample_timings, scaled_profile,
};
use moesim::kernels::unmeasured::UnmeasuredDevice;
use moesim::kernels::{ExpertsAsk, ExpertsTimes, Kernels};
use moesim::workload::{ExpertsKernel, Phase};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

fn gemm_rows(file: &str) -> Vec<GemmRow> {
    let table = Table::read(&root().join("calibrate/data").join(file)).unwrap();
    GemmRow::of(&table).unwrap().rows.into_iter().map(|(_, row)| row).collect()
}

fn all() -> Vec<Profile> {
    built_in_profiles().iter().map(|p| built_in_profile(p.name).unwrap()).collect()
}

/// Three that were measured: as donors they are a fifth of the work of all.
fn three() -> Vec<Profile> {
    ["a100-sxm", "h100-sxm", "b200-sxm"].map(|name| built_in_profile(name).unwrap()).to_vec()
}

/// Seconds of a product, of Mixtral's experts and of moving a gigabyte.
fn times(profile: &Profile) -> [f64; 3] {
    let kernels = Kernels::new(profile, profile.data_sheet);
    let shape = ExpertsShape { hidden: 4096, inter: 14_336, experts: 8, top_k: 2, gated: true };
    [
        kernels.gemm(4096, 4096, 7168, Precision::Bf16).secs(),
        triton(&kernels, shape).seconds(&[512; 8]),
        kernels.memory_bound(Bytes(1 << 30), 1).secs(),
    ]
}

fn triton(kernels: &Kernels<'_>, shape: ExpertsShape) -> ExpertsTimes {
    let (formats, kernel) = (&[Precision::Bf16], &ExpertsKernel::Triton);
    let ask = ExpertsAsk { shape, formats, kernel, phase: Phase::Prefill, slots: 1 };
    kernels.experts(kernels.choose_experts(&ask).unwrap(), shape)
}

fn close(a: [f64; 3], b: [f64; 3], within: f64) {
    for (a, b) in a.into_iter().zip(b) {
        assert!((a / b - 1.0).abs() < within, "{a} for {b}");
    }
}

#[test]
fn restating_a_profile_changes_its_shares_and_no_time() {
    let profile = built_in_profile("h100-sxm").unwrap();
    let mut restated = profile.clone();
    let mut peaks = profile.data_sheet;
    peaks.peak_bf16 = FlopRate::from_flops_per_sec(1500e12);
    peaks.memory_bandwidth = peaks.memory_bandwidth.scaled(1.5);
    rebase_to_peaks(&mut restated, peaks);
    close(times(&restated), times(&profile), 1e-9);
    let share = |p: &Profile| p.gemm[&Precision::Bf16].prior.memory_efficiency;
    assert!((share(&restated) * 1.5 / share(&profile) - 1.0).abs() < 1e-9);
    // A device that is twice as fast in everything halves products and memory. Steps of experts' tiles take clocks,
    // which are taken as equal: they gain, and less.
    let fast = scaled_profile(&profile, None, Scales { launch: 0.5, memory: 2.0, compute: 2.0 });
    let [product, experts, moved] = times(&fast);
    let [all_product, all_experts, all_moved] = times(&profile);
    close([product, 1.0, moved], [all_product / 2.0, 1.0, all_moved / 2.0], 0.06);
    assert!((1.2..2.0).contains(&(all_experts / experts)), "{all_experts} {experts}");
}

#[test]
fn a_known_device_is_recognised_in_its_own_timings() {
    let timings = gemm_rows("gemm_a100_sxm.parquet");
    let sheet = DataSheet::named("a100-sxm").unwrap();
    let unmeasured = UnmeasuredDevice { sheet: Some(sheet), gemm: &timings, copies: &[] };
    let (profile, rule) = unmeasured.profile(&all());
    assert!(rule.contains("as a100-sxm with launches x 1.0"), "{rule}");
    // The other donors keep a small say in experts.
    close(times(&profile), times(&built_in_profile("a100-sxm").unwrap()), 0.03);
}

/// The times of three donors alone, weighted as equation (1) of `kernels::unmeasured` says, at a shape that
/// one of them was measured in.
#[test]
fn experts_are_a_mean_of_donors_by_nearness() {
    let timings = gemm_rows("gemm_l40s.parquet");
    let donors = three();
    let sheet = DataSheet::named("l40s").unwrap();
    let unmeasured = UnmeasuredDevice { sheet: Some(sheet), gemm: &timings, copies: &[] };
    let shape = ExpertsShape { hidden: 2048, inter: 768, experts: 128, top_k: 8, gated: true };
    let experts = |donors: &[Profile]| {
        let profile = unmeasured.profile(donors).0;
        let kernels = Kernels::new(&profile, profile.data_sheet);
        triton(&kernels, shape).seconds(&[128; 128])
    };
    let mixed = experts(&donors);
    let (mut all_weights, mut mean) = (0.0, 0.0);
    for one in donors.chunks(1) {
        let left = by_nearness(one, Some(&sheet.device()), &sample_timings(&timings))[0].left;
        let alone = experts(one);
        assert!((alone / mixed - 1.0).abs() > 0.01, "{} alone", one[0].name);
        all_weights += left.powi(-2);
        mean += left.powi(-2) * alone.ln();
    }
    let mean = (mean / all_weights).exp();
    assert!((mixed / mean - 1.0).abs() < 0.01, "{mixed} for {mean}");
}

#[test]
fn copies_count_where_they_are_given() {
    let timings = sample_timings(&gemm_rows("gemm_l40s.parquet"));
    let donors = three();
    let sheet = DataSheet::named("l40s").unwrap();
    let with = |copies: &[CopyRow]| {
        UnmeasuredDevice { sheet: Some(sheet), gemm: &timings, copies }.profile(&donors).0
    };
    let copy = |between, gb_per_s: f64| CopyRow {
        between,
        bytes: 1 << 30,
        seconds: (1_u64 << 30) as f64 / (gb_per_s * 1e9),
    };
    let plain = with(&[]);
    let copied = with(&[copy(Between::Memory, 350.0), copy(Between::Gpus, 14.4)]);
    // A byte copied is read and written; a copy reaches nine tenths of a link.
    let rate = copied.memory.efficiency * 864.0;
    assert!((rate / 700.0 - 1.0).abs() < 0.01, "{rate} GB/s");
    let ratio = |op, bytes| {
        let time = |p: &Profile| Kernels::new(p, p.data_sheet).collective(op, 8, Bytes(bytes));
        time(&copied).unwrap().secs() / time(&plain).unwrap().secs()
    };
    // 16 GB/s instead of the data sheet's 32.
    let slower = ratio(CollectiveOp::AllReduce, 1 << 30);
    assert!((1.9..2.05).contains(&slower), "{slower}");
    // Small copies say nothing.
    let mut small = copy(Between::Gpus, 1.0);
    small.bytes = 4096;
    assert_eq!(with(&[small]).pair_bandwidth, plain.pair_bandwidth);
}

fn transfer(sheet: &Path, timings: Option<&Path>, out: &Path) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_calibrate"));
    command.arg("transfer").arg("--sheet").arg(sheet).arg("--out").arg(out);
    if let Some(timings) = timings {
        command.arg("--timings").arg(timings);
    }
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("calibrate-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn the_command_writes_a_profile_that_loads_and_says_where_it_came_from() {
    let here = scratch("transfer");
    let sheets = root().join("calibrate/sheets");
    for (name, timings) in [("l40s", Some("l40s.csv")), ("h100-pcie", None)] {
        let out = here.join(format!("{name}.toml"));
        let timings = timings.map(|file| sheets.join(file));
        let sheet = sheets.join(format!("{name}.toml"));
        let (done, said) = transfer(&sheet, timings.as_deref(), &out);
        assert!(done, "{said}");
        let profile = config::read_profile(&Source::read(&out).unwrap(), &out).unwrap();
        assert_eq!(profile.name, name);
        assert_eq!(
            profile.data_sheet,
            config::data_sheet(&Source::read(&sheet).unwrap()).unwrap().0.device()
        );
        for evidence in profile.experts.values().map(|family| &family.evidence) {
            assert!(evidence.rows == 0 && evidence.held_out.is_none());
            assert!(evidence.fitted_on.contains("not measured"), "{}", evidence.fitted_on);
        }
        // In the neighbourhood of what was measured; its own profile had no say.
        if let Ok(known) = built_in_profile(name) {
            close(times(&profile), times(&known), 0.7);
            assert!(said.contains("36 GEMM timings"), "{said}");
            // Blackwell's own kernels stay on Blackwell, though its nearest donor is one.
            let triton = |key: &(String, Precision)| key.0 == "sglang_fused_moe_triton";
            assert!(said.contains("as b200-sxm") && profile.experts.keys().all(triton), "{said}");
        }
    }
    std::fs::remove_dir_all(&here).unwrap();
}

/// An H20 has 15 % of an H100's arithmetic and 120 % of its memory: shares of peak do not carry over.
/// Its large products come near its peak, and experts reach a larger share of theirs.
#[test]
fn an_unbalanced_device_hides_its_loads() {
    let path = root().join("tests/data/cases/12-h20-sheet.toml");
    let (sheet, _) = config::data_sheet(&Source::read(&path).unwrap()).unwrap();
    let unmeasured = UnmeasuredDevice { sheet: Some(&sheet), gemm: &[], copies: &[] };
    let (profile, _) = unmeasured.profile(&all());
    let large = |profile: &Profile| {
        let key = ("sglang_fused_moe_triton".to_owned(), Precision::Bf16);
        profile.experts[&key].prior.large_efficiency
    };
    let donor = built_in_profile("h100-sxm").unwrap();
    assert!(large(&profile) >= large(&donor), "{} {}", large(&profile), large(&donor));
    assert!(large(&profile) <= 0.95);
    let [product, experts, _] = times(&profile);
    // 2·4096·4096·7168 and 2·3·4096·14336·4096 operations at 148 TFLOP/s.
    let least = [240.5e9 / 148e12, 1443e9 / 148e12];
    assert!((1.0..1.35).contains(&(product / least[0])), "{}", product / least[0]);
    assert!((1.0..2.2).contains(&(experts / least[1])), "{}", experts / least[1]);
}

/// L40S timings for an H20 are faster than its peak: they are not its own.
#[test]
fn timings_above_the_peak_are_refused() {
    let here = scratch("transfer-above");
    let out = here.join("out.toml");
    let sheet = root().join("tests/data/cases/12-h20-sheet.toml");
    let (done, said) = transfer(&sheet, Some(&root().join("calibrate/sheets/l40s.csv")), &out);
    assert!(!done, "{said}");
    assert!(
        said.contains("TFLOP/s, more than the 148 that the data sheet of h20 states"),
        "{said}"
    );
    assert!(said.contains("these timings are of another device"), "{said}");
    assert!(!out.exists());
    std::fs::remove_dir_all(&here).unwrap();
}

/// Whether a message names a place (`FILE:LINE`) and what was found there, given as `PLACE: FOUND`.
fn says(message: &str, said: &str) -> bool {
    match said.split_once(": ") {
        Some((place, found)) => message.contains(place) && message.contains(found),
        None => message.contains(said),
    }
}

#[test]
fn wrong_input_is_refused_where_it_is_wrong_and_nothing_is_written() {
    let here = scratch("transfer-wrong");
    let good = std::fs::read_to_string(root().join("calibrate/sheets/l40s.toml")).unwrap();
    let (sheet, csv, out) = (here.join("s.toml"), here.join("t.csv"), here.join("out.toml"));
    for (from, to, said) in [
        ("sms              = 142", "sms              = 0", "s.toml:10: sms: found 0"),
        ("\"864 GB/s\"", "\"864 GB\"", "s.toml:9: memory_bandwidth"),
        ("\"96 MB\"", "\"96 MB\"\nnearest = \"l4\"", "s.toml:14: nearest: found \"l4\""),
        ("\"l40s\"", "\"l/40s\"", "s.toml:4: name: found \"l/40s\""),
        ("cache ", "cash  ", "unknown key `cash`"),
    ] {
        assert!(good.contains(from), "{from}");
        std::fs::write(&sheet, good.replacen(from, to, 1)).unwrap();
        let (done, message) = transfer(&sheet, None, &out);
        assert!(!done && says(&message, said), "{message}");
    }
    std::fs::write(&sheet, &good).unwrap();
    let header = "what,dtype,m,n,k,bytes,latency_us\n";
    for (rows, said) in [
        ("", "t.csv: holds no timings"),
        ("gemm,bfloat16,1,2,3,,4\ngemm,bfloat16,1,2,,,4\n", "t.csv:3: a gemm without m, n or k"),
        ("gemm,float64,1,2,3,,4\n", "t.csv:2: dtype is `float64`"),
        ("gemm,fp8,1,2,3,,-4\n", "t.csv:2: latency_us is -4"),
        ("gemm,fp8,1,2,3,,NaN\n", "t.csv:2: latency_us is NaN"),
        ("gemm,fp8,1,x,3,,4\n", "t.csv:2: n: "),
        ("copy,,,,,5,4\n", "t.csv:2: what is `copy`"),
        ("gpu-copy,,,,,,4\n", "t.csv:2: a copy without bytes"),
        ("gemm,fp8,1,2\n", "t.csv:2: has 4 cells, and the first line names 7 columns"),
    ] {
        std::fs::write(&csv, format!("{header}{rows}")).unwrap();
        let (done, message) = transfer(&sheet, Some(&csv), &out);
        assert!(!done && says(&message, said) && message.contains("help"), "{message}");
    }
    assert!(!out.exists());
    std::fs::remove_dir_all(&here).unwrap();
}

/// Built-in profiles that were carried over are what the command writes from today's donors and data sheets.
#[test]
fn carried_over_profiles_are_as_the_command_writes_them() {
    let here = scratch("carried-over");
    let sheets = root().join("calibrate/sheets");
    let carried: Vec<_> = built_in_profiles()
        .iter()
        .filter(|known| known.toml.starts_with("# Written by `calibrate transfer`"))
        .collect();
    assert_eq!(carried.len(), 8);
    for known in carried {
        let timings = sheets.join(format!("{}.csv", known.name));
        let timings = timings.exists().then_some(timings.as_path());
        let out = here.join(format!("{}.toml", known.name));
        let (done, said) = transfer(&sheets.join(format!("{}.toml", known.name)), timings, &out);
        assert!(done, "{said}");
        let written = std::fs::read_to_string(&out).unwrap();
        assert!(written == known.toml, "{}: run calibrate/carry-over.sh", known.name);
    }
    std::fs::remove_dir_all(&here).unwrap();
}

/// A chip with other links: kernels to the picosecond, links at the ratio of the peaks.
#[test]
fn a_chip_with_fewer_links_is_its_donor_but_for_the_links() {
    let [cut, donor] = ["h800-sxm", "h100-sxm"].map(|name| built_in_profile(name).unwrap());
    close(times(&cut), times(&donor), 1e-3);
    assert_eq!(cut.experts.len(), donor.experts.len());
    let rate = |p: &Profile| p.collectives[&CollectiveOp::AllToAll].ramps[&8].bandwidth;
    let ratio = rate(&cut).bytes_per_sec() / rate(&donor).bytes_per_sec();
    assert!((ratio / (200.0 / 450.0) - 1.0).abs() < 0.01, "{ratio}");
    for (name, fit) in &donor.exchanges {
        for (groups, prior) in &fit.priors {
            let ratio = cut.exchanges[name].priors[groups].bandwidth / prior.bandwidth;
            // One node is NVLink, several are NICs.
            let expected = if *groups == 1 { 200.0 / 450.0 } else { 1.0 };
            assert!((ratio / expected - 1.0).abs() < 0.01, "{name} on {groups}: {ratio}");
        }
    }
}
