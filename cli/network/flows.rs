//! `moesim flows`: the network alone. Who gets their bytes when, what was busy, what to upgrade.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::Failure;
use crate::arguments::choice;
use moesim::base::near::{did_you_mean, nearest};
use moesim::base::threads;
use moesim::base::units::{Bandwidth, Bytes, GpuId, LinkId, SimDuration, parse_quantity};
use moesim::config::{self, Diagnostic, Kind, Source};
use moesim::network::fluid::{Choice, Engine, solve};
use moesim::network::traffic::{
    BYTES_PER_TRANSFER, BadLine, Pattern, PatternKind, Traffic, generate, read_matrix,
    read_transfers,
};
use moesim::network::{BYTES_PER_FLOW, BYTES_PER_HOP, LinkDegradation, Transport, build_problem};
use moesim::output::pictures::cluster_chart;
use moesim::output::report::network::flows::{FlowsResult, Machine};
use moesim::studies::flows::SolvedFlows;
use moesim::topology::Topology;

mod csv;
mod process;

/// What flows to carry over which cluster.
#[derive(Args)]
pub struct FlowsArgs {
    /// A CSV file of flows with the columns source,destination,bytes,start_s.
    file: Option<PathBuf>,
    /// The cluster: a topology file or a built-in name.
    #[arg(long, default_value = DEFAULT_TOPOLOGY)]
    topology: String,
    /// Change one value of the topology, as in --set nodes.nic.bandwidth="800 Gb/s".
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Generate the flows: an all-to-all of this law.
    #[arg(long, value_parser = choice::parser::<PatternKind>(), conflicts_with_all = ["file", "matrix"])]
    pattern: Option<PatternKind>,
    /// A CSV matrix of counts, a row for each source; each count is worth --bytes.
    #[arg(long, conflicts_with = "file")]
    matrix: Option<PathBuf>,
    /// GPUs that take part in the pattern; sets the number of nodes of the default topology.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    gpus: Option<u32>,
    /// GPUs of one group of the pattern; all of them if not given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    group: Option<u32>,
    /// Mean bytes of a pair in the pattern, or bytes of one count of the matrix.
    #[arg(long, default_value = "1 MiB", value_parser = quantity::<Bytes>)]
    bytes: Bytes,
    /// Standard deviation of the logarithm, for the log-normal pattern.
    #[arg(long, default_value_t = 0.5)]
    sigma: f64,
    /// Seed of the random patterns.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How rates are shared.
    #[arg(long, value_enum, default_value = "auto")]
    engine: EngineArg,
    /// Relative error that finish times may have.
    #[arg(long, default_value_t = 0.01)]
    epsilon: f64,
    /// Only the makespan is wanted: lets `auto` take the closed form where it is known to be within ε.
    #[arg(long)]
    makespan_only: bool,
    /// A link in poor health, beside those that the topology names: LINK=SHARE, or LINK=SHARE@FROM..UNTIL with times such as 1ms.
    #[arg(long = "health", value_name = "LINK=SHARE[@FROM..UNTIL]")]
    health: Vec<String>,
    /// Threads; as many as the machine offers if not given.
    #[arg(long)]
    threads: Option<usize>,
    #[command(flatten)]
    transport: TransportArgs,
    /// Draw the cluster, its links shaded by how full they are, into this .svg or .png.
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
    /// What to print: a table, a CSV line for each flow, or one JSON object.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// The same as --format json.
    #[arg(long, conflicts_with_all = ["csv", "format"])]
    json: bool,
    /// The same as --format csv.
    #[arg(long, conflicts_with = "format")]
    csv: bool,
}

/// What a library adds to the links; nothing if not given.
#[derive(Args)]
struct TransportArgs {
    /// Time before the first byte of every message, such as "2 us".
    #[arg(long, value_parser = quantity::<SimDuration>)]
    message_overhead: Option<SimDuration>,
    /// Size at which a message gets half the rate (the size ramp), such as "64 KiB".
    #[arg(long, value_parser = quantity::<Bytes>)]
    half_rate_bytes: Option<Bytes>,
    /// The most that one pair of GPUs gets (channels per peer), such as "280 GB/s".
    #[arg(long, value_parser = quantity::<Bandwidth>)]
    pair_ceiling: Option<Bandwidth>,
    /// SMs that drive a GPU's transfers; with --per-sm.
    #[arg(long, requires = "per_sm", value_parser = clap::value_parser!(u32).range(1..=1024))]
    sms: Option<u32>,
    /// What one SM drives, such as "17 GB/s"; a GPU's flows share this times --sms.
    #[arg(long, requires = "sms", value_parser = quantity::<Bandwidth>)]
    per_sm: Option<Bandwidth>,
}

impl TransportArgs {
    fn transport(&self) -> Transport {
        let mut transport = Transport::IDEAL;
        transport.message_overhead = self.message_overhead.unwrap_or_default();
        transport.half_rate_bytes = self.half_rate_bytes.map_or(0.0, |bytes| bytes.0 as f64);
        for startup in [&mut transport.rates.within_node, &mut transport.rates.across_nodes] {
            startup.pair_ceiling = self.pair_ceiling;
        }
        let driven = self.sms.zip(self.per_sm);
        transport.driven = driven.map(|(sms, each)| each.scaled(f64::from(sms)));
        transport
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Csv,
    Json,
}

const DEFAULT_TOPOLOGY: &str = "two-tier-8";

#[derive(Clone, Copy, ValueEnum)]
enum EngineArg {
    Auto,
    Exact,
    Quantised,
    ClosedForm,
}

fn quantity<Q: moesim::base::units::Quantity>(text: &str) -> Result<Q, String> {
    parse_quantity(text).map_err(|e| e.to_string())
}

/// Runs `moesim flows`.
pub(crate) fn run(args: &FlowsArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let source = cluster(args)?;
    let topology = config::read_topology(&source)?;
    let traffic = traffic(args, &topology)?;
    let degradations = degradations(args, &topology)?;
    let problem = build_problem(&topology, &traffic, &args.transport.transport(), &degradations);
    let choice = choice(args)?;
    let solution = solve(&problem, &choice).map_err(|stuck| {
        let transfer = traffic.get(stuck.flow.index());
        Diagnostic::of(
            "--health",
            format!(
                "the flow from GPU {} to GPU {} never ends: {} stays down",
                transfer.source,
                transfer.destination,
                topology.link_name(stuck.link)
            ),
            "give the link's degradation an end, or some of its capacity",
        )
    })?;
    if args.makespan_only && (args.csv || args.format == Format::Csv) {
        let found = "leaves out when each flow ends, and CSV is a line for each flow";
        return Err(Diagnostic::of("--makespan-only", found, "print a table or --json").into());
    }
    let machine = Machine { cpu_s: process::cpu_seconds(), peak_rss_bytes: process::peak_memory() };
    let solved = SolvedFlows::new(&topology, &traffic, &problem, solution, choice);
    if let Some(path) = &args.plot {
        let what = format!("{} flows", traffic.len());
        let chart = cluster_chart(&topology, &solved.link_bytes_per_s(), &what);
        crate::output::chart(&chart, path)?;
    }
    print(args, (&solved, machine), &source, out)
}

fn print(
    args: &FlowsArgs,
    (solved, machine): (&SolvedFlows<'_>, Machine),
    source: &Source,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if args.csv || args.format == Format::Csv {
        return Ok(csv::write(solved, out)?);
    }
    let files = args.file.iter().chain(&args.matrix);
    let files = files.filter_map(|path| crate::output::input(path));
    let made_by = crate::reproduce::made_by(source.inputs(&[]).into_iter().chain(files));
    let result = FlowsResult::of(made_by, solved, machine);
    if args.json || args.format == Format::Json {
        crate::output::result(out, &result)
    } else {
        Ok(result.write_text(out)?)
    }
}

/// The topology's text; the default one is made as large as the pattern wants it.
fn cluster(args: &FlowsArgs) -> Result<Source, Failure> {
    let source = config::built_in_or_file(Kind::Topology, &args.topology)?;
    let nodes = args.gpus.map(|gpus| format!("nodes.count={}", gpus.div_ceil(8)));
    let nodes = nodes.filter(|_| args.topology == DEFAULT_TOPOLOGY);
    // As `moesim run` takes them, too.
    let overrides = nodes.iter().chain(&args.overrides).map(|line| line.trim_start());
    let overrides = overrides.map(|line| line.strip_prefix("topology.").unwrap_or(line));
    Ok(source.with_overrides(overrides))
}

fn choice(args: &FlowsArgs) -> Result<Choice, Failure> {
    if !(1e-6..=0.5).contains(&args.epsilon) {
        let found = format!("{} is not a relative error", args.epsilon);
        return Err(Diagnostic::of("--epsilon", found, "give a number from 0.000001 to 0.5").into());
    }
    let engine = match args.engine {
        EngineArg::Auto => None,
        EngineArg::Exact => Some(Engine::Exact),
        EngineArg::Quantised => Some(Engine::Quantised),
        EngineArg::ClosedForm => Some(Engine::ClosedForm),
    };
    Ok(Choice {
        engine,
        epsilon: args.epsilon,
        threads: args.threads.unwrap_or_else(threads::available).max(1),
        makespan_only: args.makespan_only,
    })
}

fn traffic(args: &FlowsArgs, topology: &Topology) -> Result<Traffic, Failure> {
    // A file of another kind is no table in its very first line.
    let placed = |path: &PathBuf, text: &str, bad: BadLine| {
        let name = path.display().to_string();
        let other = (bad.line == 1).then(|| Kind::misplaced(&name, text)).flatten();
        other.unwrap_or_else(|| Diagnostic::at_line(name, (text, bad.line), bad.found, bad.help))
    };
    if let Some(path) = &args.file {
        let text = read_text(path)?;
        let traffic = read_transfers(&text, topology.gpus());
        let traffic = traffic.map_err(|bad| placed(path, &text, bad))?;
        refuse_if_too_large(traffic.len() as u64, topology, "the file")?;
        return Ok(traffic);
    }
    if let Some(path) = &args.matrix {
        let text = read_text(path)?;
        let traffic = read_matrix(&text, args.bytes, topology.gpus());
        return Ok(traffic.map_err(|bad| placed(path, &text, bad))?);
    }
    let Some(kind) = args.pattern else {
        return Err(Diagnostic::of(
            "moesim flows",
            "no flows are given",
            "name a CSV file, or give --pattern or --matrix",
        )
        .into());
    };
    let gpus = args.gpus.unwrap_or_else(|| topology.gpus());
    if gpus > topology.gpus() {
        let found = format!("{gpus} GPUs, but {} has {}", topology.name(), topology.gpus());
        return Err(Diagnostic::of("--gpus", found, "ask for fewer, or set nodes.count").into());
    }
    let group = args.group.unwrap_or(gpus);
    let (mean, sigma, seed) = (args.bytes, args.sigma, args.seed);
    let pattern = Pattern { kind, gpus, group, mean, sigma, seed };
    refuse_if_too_large(pattern.transfers(), topology, "the pattern")?;
    Ok(generate(&pattern).map_err(|bad| Diagnostic::of("--pattern", bad.found, bad.help))?)
}

/// A file of flows may be larger than a TOML file, but must be text.
fn read_text(path: &PathBuf) -> Result<String, Failure> {
    let name = path.display().to_string();
    let help = "check the path, its permissions, and that it is UTF-8 text";
    let text = std::fs::read_to_string(path);
    Ok(text.map_err(|e| Diagnostic::unreadable_but(name, &e, help))?)
}

/// Refuses what would not fit the memory that is free.
fn refuse_if_too_large(flows: u64, topology: &Topology, what: &str) -> Result<(), Failure> {
    let mut route = Vec::new();
    topology.route(GpuId(0), GpuId(topology.gpus() - 1), &mut route);
    let each = BYTES_PER_TRANSFER + BYTES_PER_FLOW + BYTES_PER_HOP * route.len() as u64;
    let (needed, free) = (flows.saturating_mul(each), process::free_memory());
    if flows < u64::from(u32::MAX) / route.len().max(1) as u64 && needed < free / 10 * 9 {
        return Ok(());
    }
    Err(Diagnostic::of(
        "moesim flows",
        format!("{what} has {flows} flows and would need {} GB of memory", needed / 1_000_000_000),
        format!(
            "{} GB are free: take fewer GPUs, smaller groups with --group, or more memory",
            free / 1_000_000_000
        ),
    )
    .into())
}

fn degradations(args: &FlowsArgs, topology: &Topology) -> Result<Vec<LinkDegradation>, Failure> {
    let read = |given: &String| {
        degradation(given, topology).map_err(|found| {
            let example = topology.link_name(LinkId(0));
            let help = format!("write LINK=SHARE[@FROM..UNTIL], such as {example}=0.5@1ms..2ms");
            Failure::from(Diagnostic::of(format!("--health {given}"), found, help))
        })
    };
    args.health.iter().map(read).collect()
}

fn degradation(given: &str, topology: &Topology) -> Result<LinkDegradation, String> {
    let (name, rest) = given.split_once('=').ok_or("has no `=`")?;
    let link = topology.link_named(name).ok_or_else(|| {
        let links = 0..topology.links().len() as u32;
        let names: Vec<String> = links.map(|id| topology.link_name(LinkId(id))).collect();
        let near = nearest(name, names.iter().map(String::as_str));
        let meant =
            if near.is_empty() { String::new() } else { format!("; {}", did_you_mean(&near)) };
        format!("there is no link `{name}`{meant}")
    })?;
    let (share, window) = rest.split_once('@').map_or((rest, None), |(s, w)| (s, Some(w)));
    let left = share.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    let left = left.ok_or(format!("`{share}` is not a share from 0 to 1"))?;
    let seconds = |text: &str| -> Result<f64, String> {
        parse_quantity::<SimDuration>(text).map(SimDuration::secs).map_err(|e| e.found)
    };
    let (from_s, until_s) = match window {
        None => (0.0, None),
        Some(window) => {
            let (from, until) = window.split_once("..").ok_or("the window has no `..`")?;
            let until = if until.is_empty() { None } else { Some(seconds(until)?) };
            (seconds(from)?, until)
        }
    };
    if until_s.is_some_and(|until| until <= from_s) {
        return Err("the window ends before it begins".to_owned());
    }
    Ok(LinkDegradation { link, left, from_s, until_s })
}
