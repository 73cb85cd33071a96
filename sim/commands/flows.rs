//! `moesim flows`: the network alone. Who gets their bytes when, what was busy, what to upgrade.

use std::path::PathBuf;

use super::{Call, input, topology::own_keys};
use crate::base::threads;
use crate::base::units::{Bandwidth, Bytes, GpuId, SimDuration};
use crate::config::{self, Diagnostic, Kind, Source};
use crate::network::fluid::{Choice, Engine, Problem, solve};
use crate::network::traffic::{
    BYTES_PER_TRANSFER, BadLine, Pattern, PatternKind, Traffic, generate, read_matrix,
    read_transfers,
};
use crate::network::{BYTES_PER_FLOW, BYTES_PER_HOP, LinkDegradation, Transport, build_problem};
use crate::output::report::network::flows::{FlowsResult, Machine};
use crate::studies::flows::SolvedFlows;
use crate::topology::Topology;

mod effect;
mod health;
mod process;

use effect::refuse_without_effect;
use health::{degradations, in_lasting_health};

/// What flows to carry over which cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// A CSV file of flows with the columns source,destination,bytes,start_s.
    pub file: Option<PathBuf>,
    /// The cluster: a topology file or a built-in name.
    pub topology: String,
    /// Overrides of its keys.
    pub set: Vec<String>,
    /// Generate the flows: an all-to-all of this law.
    pub pattern: Option<PatternKind>,
    /// A CSV matrix of counts, a row for each source; each count is worth `bytes`.
    pub matrix: Option<PathBuf>,
    /// GPUs that take part in the pattern; sets the number of nodes of the default topology.
    pub gpus: Option<u32>,
    /// GPUs of one group of the pattern; all of them if not given.
    pub group: Option<u32>,
    /// Mean bytes of a pair in the pattern, or bytes of one count of the matrix; [`DEFAULT_BYTES`] if not given.
    pub bytes: Option<Bytes>,
    /// Standard deviation of the logarithm, for the log-normal pattern; [`DEFAULT_SIGMA`] if not given.
    pub sigma: Option<f64>,
    /// Seed of the log-normal pattern; [`DEFAULT_SEED`] if not given.
    pub seed: Option<u64>,
    /// How rates are shared; chosen by size where none is named.
    pub engine: Option<Engine>,
    /// Relative error that finish times may have.
    pub epsilon: f64,
    /// Only the makespan is wanted.
    pub makespan_only: bool,
    /// Links in poor health: LINK=SHARE, or LINK=SHARE@FROM..UNTIL with times such as 1ms. Where several hold at one
    /// time, the least share does.
    pub health: Vec<String>,
    /// Threads; as many as the machine offers if not given.
    pub threads: Option<usize>,
    /// What a library adds to the links.
    pub transport: Transport,
}

/// The cluster of options that name none.
pub const DEFAULT_TOPOLOGY: &str = "two-tier-8";
/// Mean bytes of a pair, of options that say none.
pub const DEFAULT_BYTES: Bytes = Bytes(1 << 20);
/// Standard deviation of the logarithm, of options that say none.
pub const DEFAULT_SIGMA: f64 = 0.5;
/// Seed of options that say none.
pub const DEFAULT_SEED: u64 = 1;

/// The engines by name, `auto` first.
pub const ENGINES: [(&str, Option<Engine>); 4] = [
    ("auto", None),
    ("exact", Some(Engine::Exact)),
    ("quantised", Some(Engine::Quantised)),
    ("closed-form", Some(Engine::ClosedForm)),
];

/// What a library adds to the links: time before each message, the size at which one gets half the rate, the most
/// that a pair of GPUs gets, and the SMs that drive a GPU's transfers with what each drives.
#[must_use]
pub fn transport(
    message_overhead: Option<SimDuration>,
    half_rate_bytes: Option<Bytes>,
    pair_ceiling: Option<Bandwidth>,
    driven: Option<(u32, Bandwidth)>,
) -> Transport {
    let mut transport = Transport::IDEAL;
    transport.message_overhead = message_overhead.unwrap_or_default();
    transport.half_rate_bytes = half_rate_bytes.map_or(0.0, |bytes| bytes.0 as f64);
    for startup in [&mut transport.rates.within_node, &mut transport.rates.across_nodes] {
        startup.pair_ceiling = pair_ceiling;
    }
    transport.driven = driven.map(|(sms, each)| each.scaled(f64::from(sms)));
    transport
}

/// Flows on a cluster, ready to be carried.
pub struct Flows {
    source: Source,
    /// The cluster.
    pub topology: Topology,
    traffic: Traffic,
    /// What is not in full health for a time.
    degradations: Vec<LinkDegradation>,
    problem: Problem,
    choice: Choice,
}

impl Flows {
    /// Reads the cluster and the flows.
    ///
    /// # Errors
    /// If an option or a file is refused.
    pub fn of(options: &Options, call: &Call) -> Result<Self, Diagnostic> {
        refuse_without_effect(options)?;
        let source = cluster(options, call)?;
        let topology = config::read_topology(&source)?;
        let traffic = traffic(options, &topology)?;
        let degradations = degradations(&options.health, &topology)?;
        let (topology, degradations) = in_lasting_health(topology, degradations)?;
        let problem = build_problem(&topology, &traffic, &options.transport, &degradations);
        let choice = choice(options)?;
        refuse_changes_in_closed_form(&topology, &problem, &choice)?;
        Ok(Self { source, topology, traffic, degradations, problem, choice })
    }

    /// How many flows there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.traffic.len()
    }

    /// Carries them.
    ///
    /// # Errors
    /// If one never ends.
    pub fn solve(&self) -> Result<SolvedFlows<'_>, Diagnostic> {
        let (topology, traffic) = (&self.topology, &self.traffic);
        let solution = solve(&self.problem, &self.choice).map_err(|stuck| {
            let transfer = traffic.get(stuck.flow.index());
            let (from, to) = (transfer.source, transfer.destination);
            let link = topology.link_name(stuck.link);
            let found =
                format!("the flow from GPU {from} to GPU {to} never ends: {link} stays down");
            let help = "give the link's degradation an end, or some of its capacity";
            Diagnostic::of("--health", found, help)
        })?;
        Ok(SolvedFlows::new(topology, traffic, &self.problem, solution, self.choice))
    }

    /// The result of flows that were carried.
    #[must_use]
    pub fn result(&self, options: &Options, call: &Call, solved: &SolvedFlows<'_>) -> FlowsResult {
        let machine =
            Machine { cpu_s: process::cpu_seconds(), peak_rss_bytes: process::peak_memory() };
        let files = options.file.iter().chain(&options.matrix).filter_map(|path| input(path));
        let made_by = call.made_by(self.source.inputs(&[]).into_iter().chain(files));
        FlowsResult::of(made_by, solved, &self.degradations, machine)
    }
}

/// The topology's text; the default one is made as large as the pattern wants it.
fn cluster(options: &Options, call: &Call) -> Result<Source, Diagnostic> {
    let source = call.source(Kind::Topology, &options.topology)?;
    let nodes = options.gpus.map(|gpus| format!("nodes.count={}", gpus.div_ceil(8)));
    let nodes = nodes.filter(|_| options.topology == DEFAULT_TOPOLOGY);
    Ok(source.with_overrides(own_keys(nodes.iter().chain(&options.set))))
}

fn choice(options: &Options) -> Result<Choice, Diagnostic> {
    if !(1e-6..=0.5).contains(&options.epsilon) {
        let found = format!("{} is not a relative error", options.epsilon);
        return Err(Diagnostic::of("--epsilon", found, "give a number from 0.000001 to 0.5"));
    }
    Ok(Choice {
        engine: options.engine,
        epsilon: options.epsilon,
        threads: options.threads.unwrap_or_else(threads::available).max(1),
        makespan_only: options.makespan_only,
    })
}

/// The closed form drains every link at one rate from its first byte to its last.
fn refuse_changes_in_closed_form(
    topology: &Topology,
    problem: &Problem,
    choice: &Choice,
) -> Result<(), Diagnostic> {
    let Some(change) = problem.changes().first() else { return Ok(()) };
    if choice.engine != Some(Engine::ClosedForm) {
        return Ok(());
    }
    let link = topology.link_name(change.link);
    let found = format!("drains every link at one rate, and --health changes {link} meanwhile");
    let help =
        "take auto, exact or quantised, which follow changes, or give a health without times";
    Err(Diagnostic::of("--engine closed-form", found, help))
}

fn traffic(options: &Options, topology: &Topology) -> Result<Traffic, Diagnostic> {
    // A file of another kind is no table in its very first line.
    let placed = |path: &PathBuf, text: &str, bad: BadLine| {
        let name = path.display().to_string();
        let other = (bad.line == 1).then(|| Kind::misplaced(&name, text)).flatten();
        other.unwrap_or_else(|| Diagnostic::at_line(name, (text, bad.line), bad.found, bad.help))
    };
    if let Some(path) = &options.file {
        let text = read_text(path)?;
        let traffic = read_transfers(&text, topology.gpus());
        let traffic = traffic.map_err(|bad| placed(path, &text, bad))?;
        refuse_if_too_large(traffic.len() as u64, topology, "the file")?;
        return Ok(traffic);
    }
    if let Some(path) = &options.matrix {
        let text = read_text(path)?;
        let bytes = options.bytes.unwrap_or(DEFAULT_BYTES);
        let traffic = read_matrix(&text, bytes, topology.gpus());
        return traffic.map_err(|bad| placed(path, &text, bad));
    }
    let Some(kind) = options.pattern else {
        return Err(Diagnostic::of(
            "moesim flows",
            "no flows are given",
            "name a CSV file, or give --pattern or --matrix",
        ));
    };
    let gpus = options.gpus.unwrap_or_else(|| topology.gpus());
    if gpus > topology.gpus() {
        let found = format!("{gpus} GPUs, but {} has {}", topology.name(), topology.gpus());
        return Err(Diagnostic::of("--gpus", found, "ask for fewer, or set nodes.count"));
    }
    let group = options.group.unwrap_or(gpus);
    let mean = options.bytes.unwrap_or(DEFAULT_BYTES);
    let sigma = options.sigma.unwrap_or(DEFAULT_SIGMA);
    let seed = options.seed.unwrap_or(DEFAULT_SEED);
    let pattern = Pattern { kind, gpus, group, mean, sigma, seed };
    refuse_if_too_large(pattern.transfers(), topology, "the pattern")?;
    generate(&pattern).map_err(|bad| Diagnostic::of("--pattern", bad.found, bad.help))
}

/// A file of flows may be larger than a TOML file, but must be text.
fn read_text(path: &PathBuf) -> Result<String, Diagnostic> {
    let name = path.display().to_string();
    let help = "check the path, its permissions, and that it is UTF-8 text";
    Diagnostic::refuse_device(path)?;
    let text = std::fs::read_to_string(path);
    text.map_err(|e| Diagnostic::unreadable_but(name, &e, help))
}

/// Refuses what would not fit the memory that is free.
fn refuse_if_too_large(flows: u64, topology: &Topology, what: &str) -> Result<(), Diagnostic> {
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
    ))
}
