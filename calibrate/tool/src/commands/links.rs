//! `calibrate links`: logs of nccl-tests, rccl-tests and DeepEP's tests → a profile with the cluster's own links.

use std::path::{Path, PathBuf};

use clap::Args;

use moesim::base::units::{Bandwidth, parse_quantity};
use moesim::config::{self, Diagnostic, Source};
use moesim::kernels::profile::Profile;

use super::{Refused, say, write_profile};
use crate::device::DataSheet;
use crate::links::logs;
use crate::{emit, links};

/// Logs, and the profile whose links they replace.
#[derive(Args)]
pub struct LinksArgs {
    /// What nccl-tests, rccl-tests or DeepEP's tests printed, a file each.
    #[arg(required = true)]
    logs: Vec<PathBuf>,
    /// The profile that kernels, and links that no log times, are taken from: a built-in name or a file.
    #[arg(long)]
    profile: String,
    /// The profile to write; its table goes beside it.
    #[arg(long)]
    out: PathBuf,
    /// What one GPU's share of its node's NICs carries, such as "400 Gb/s", where a log ran across nodes.
    #[arg(long, value_name = "BANDWIDTH")]
    nic: Option<String>,
    /// The collective of logs that do not say it: alltoall, all_gather, reduce_scatter or all_reduce.
    #[arg(long)]
    op: Option<String>,
    /// GPUs in all, in logs that do not say it.
    #[arg(long)]
    gpus: Option<u32>,
    /// Nodes that they are in, likewise.
    #[arg(long)]
    nodes: Option<u32>,
    /// Experts of DeepEP's test. Default: its own 256.
    #[arg(long)]
    experts: Option<u32>,
    /// Tokens of a GPU, hidden size and slots of DeepEP's test, in logs without a [config] line.
    #[arg(long, value_name = "TOKENS,HIDDEN,TOP_K", value_delimiter = ',', num_args = 3)]
    shape: Option<Vec<u32>>,
}

pub(super) fn run(args: &LinksArgs) -> Result<(), Refused> {
    let Some(name) = args.out.file_stem().and_then(|stem| stem.to_str()) else {
        let help = "give one that ends in .toml: --out mine.toml";
        return Err(Diagnostic::of(
            args.out.display().to_string(),
            "is not a name for a profile",
            help,
        )
        .into());
    };
    let base = base(&args.profile)?;
    let asked = logs::LogAs {
        op: args.op.as_deref(),
        gpus: args.gpus,
        nodes: args.nodes,
        experts: args.experts,
        shape: args.shape.as_ref().map(|of| [of[0], of[1], of[2]]),
    };
    let mut read = vec![];
    for path in &args.logs {
        let log = logs::read(&Source::read(path)?, asked)?;
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned());
        read.push((file.unwrap_or_default(), log));
    }
    let nic = args.nic.as_deref().map(parse_quantity::<Bandwidth>).transpose();
    let nic = nic.map_err(|e| Diagnostic::of("--nic", e.found, e.help))?;
    let peer_to_peer = base.collectives.values().all(|fit| fit.peer_to_peer);
    let (profile, told) = links::of_logs(base, &read, nic, peer_to_peer)?;
    let profile = Profile { name: name.to_owned(), ..profile };
    let origin = [
        format!("Written by `calibrate links --profile {}`. Do not edit: fit again.", args.profile),
        format!("Links: {}.", told.join("; ")),
    ];
    let sheet = sheet_of(&profile, &args.profile, peer_to_peer);
    write_profile(&args.out, &profile, &emit::toml(&profile, &sheet, &origin))?;
    told.iter().for_each(|line| say(line));
    say(&format!("profile: {0}; then `moesim run --profile {0}`", args.out.display()));
    Ok(())
}

/// A built-in profile, or a file with its table beside it.
fn base(name: &str) -> Result<Profile, Diagnostic> {
    let path = Path::new(name);
    let is_file = path.extension().is_some_and(|end| end == "toml") || path.exists();
    if is_file {
        config::read_profile(&Source::read(path)?, path)
    } else {
        config::built_in_profile(name)
    }
}

/// The data sheet that the profile was made with.
fn sheet_of(profile: &Profile, from: &str, peer_to_peer: bool) -> DataSheet {
    let device = profile.data_sheet;
    DataSheet {
        name: "own",
        file: "own",
        bf16_tflops: device.peak_bf16.flops_per_sec() / 1e12,
        memory_gb_per_s: device.memory_bandwidth.gb_per_sec(),
        sms: device.sms,
        scale_up_gb_per_s: profile.scale_up.map_or(0.0, Bandwidth::gb_per_sec),
        peer_to_peer,
        cache_mb: 0.0,
        source: String::leak(format!("as in profile {from}")),
        nearest: None,
    }
}
