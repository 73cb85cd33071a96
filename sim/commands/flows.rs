//! `moesim flows`: the network alone. Who gets their bytes when, what was busy, what to upgrade.

use std::path::PathBuf;

use super::{Call, input, topology::own_keys};
use crate::base::near::{did_you_mean, nearest};
use crate::base::threads;
use crate::base::units::{Bandwidth, Bytes, GpuId, LinkId, SimDuration, parse_quantity};
use crate::config::{self, Diagnostic, Kind, Source};
use crate::network::fluid::{Choice, Engine, Problem, solve};
use crate::network::traffic::{
    BYTES_PER_TRANSFER, BadLine, Pattern, PatternKind, Traffic, generate, read_matrix,
    read_transfers,
};
use crate::network::{BYTES_PER_FLOW, BYTES_PER_HOP, LinkDegradation, Transport, build_problem};
use crate::output::report::network::flows::{FlowsResult, Machine};
use crate::studies::flows::SolvedFlows;
use crate::topology::{LinkClass, NoSuchLink, Topology, Unroutable};

mod process;

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
    /// Mean bytes of a pair in the pattern, or bytes of one count of the matrix.
    pub bytes: Bytes,
    /// Standard deviation of the logarithm, for the log-normal pattern.
    pub sigma: f64,
    /// Seed of the random patterns.
    pub seed: u64,
    /// How rates are shared; chosen by size where none is named.
    pub engine: Option<Engine>,
    /// Relative error that finish times may have.
    pub epsilon: f64,
    /// Only the makespan is wanted.
    pub makespan_only: bool,
    /// Links in poor health: LINK=SHARE, or LINK=SHARE@FROM..UNTIL with times such as 1ms.
    pub health: Vec<String>,
    /// Threads; as many as the machine offers if not given.
    pub threads: Option<usize>,
    /// What a library adds to the links.
    pub transport: Transport,
}

/// The cluster of options that name none.
pub const DEFAULT_TOPOLOGY: &str = "two-tier-8";

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
    problem: Problem,
    choice: Choice,
}

impl Flows {
    /// Reads the cluster and the flows.
    ///
    /// # Errors
    /// If an option or a file is refused.
    pub fn of(options: &Options, call: &Call) -> Result<Self, Diagnostic> {
        let source = cluster(options, call)?;
        let topology = config::read_topology(&source)?;
        let traffic = traffic(options, &topology)?;
        let degradations = degradations(options, &topology)?;
        let (topology, degradations) = in_lasting_health(topology, degradations)?;
        let problem = build_problem(&topology, &traffic, &options.transport, &degradations);
        let choice = choice(options)?;
        Ok(Self { source, topology, traffic, problem, choice })
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
        FlowsResult::of(made_by, solved, machine)
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
        let traffic = read_matrix(&text, options.bytes, topology.gpus());
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
    let (mean, sigma, seed) = (options.bytes, options.sigma, options.seed);
    let pattern = Pattern { kind, gpus, group, mean, sigma, seed };
    refuse_if_too_large(pattern.transfers(), topology, "the pattern")?;
    generate(&pattern).map_err(|bad| Diagnostic::of("--pattern", bad.found, bad.help))
}

/// A file of flows may be larger than a TOML file, but must be text.
fn read_text(path: &PathBuf) -> Result<String, Diagnostic> {
    let name = path.display().to_string();
    let help = "check the path, its permissions, and that it is UTF-8 text";
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

fn degradations(
    options: &Options,
    topology: &Topology,
) -> Result<Vec<LinkDegradation>, Diagnostic> {
    let read = |given: &String| {
        degradation(given, topology).map_err(|found| {
            let example = topology.link_name(LinkId(0));
            let help = format!("write LINK=SHARE[@FROM..UNTIL], such as {example}=0.5@1ms..2ms");
            Diagnostic::of(format!("--health {given}"), found, help)
        })
    };
    options.health.iter().map(read).collect()
}

/// The cluster in the health that lasts, as `[health]` has it: NICs that are down, whose traffic then goes by others, and
/// links with a share of their bandwidth, where nothing else changes them; and the other degradations.
fn in_lasting_health(
    topology: Topology,
    degradations: Vec<LinkDegradation>,
) -> Result<(Topology, Vec<LinkDegradation>), Diagnostic> {
    let times = |link| degradations.iter().filter(|one| one.link == link).count();
    let full = |link: LinkId| topology.sick_links().all(|(sick, _)| sick != link);
    let is_nic = |link: LinkId| topology.links()[link.index()].class == LinkClass::Nic;
    let lasts = |one: &LinkDegradation| {
        let always = one.from_s <= 0.0 && one.until_s.is_none();
        let alone = one.left > 0.0 && times(one.link) == 1 && full(one.link);
        always && if one.left == 0.0 { is_nic(one.link) } else { alone }
    };
    let (lasting, others): (Vec<_>, Vec<_>) = degradations.iter().copied().partition(lasts);
    let (down, weak): (Vec<_>, Vec<_>) = lasting.into_iter().partition(|one| one.left == 0.0);
    let weak = weak.into_iter().map(|one| (topology.link_name(one.link), one.left)).collect();
    let links: Vec<LinkId> = down.into_iter().map(|one| one.link).collect();
    let unknown = |no: NoSuchLink| {
        Diagnostic::of("--health", format!("there is no link `{}`", no.name), "name a link")
    };
    let weakened = topology.with_health(&weak).map_err(unknown)?;
    if links.is_empty() {
        return Ok((weakened, others));
    }
    let refused =
        |no: Unroutable| Diagnostic::of(format!("--health {}=0", no.link), no.found, no.help);
    Ok((weakened.with_failed(&links).map_err(refused)?, others))
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
