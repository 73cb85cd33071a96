//! `moesim flows`: the network alone. Who gets their bytes when, what was busy, what to upgrade.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::arguments::choice;
use crate::output::progress::during;
use crate::{Failure, output};
use moesim::base::units::{Bandwidth, Bytes, SimDuration};
use moesim::commands::flows::{DEFAULT_TOPOLOGY, Flows, Options, transport};
use moesim::commands::words::quantity;
use moesim::config::Diagnostic;
use moesim::network::Transport;
use moesim::network::fluid::Engine;
use moesim::network::traffic::PatternKind;
use moesim::output::pictures::cluster_chart;

mod csv;

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
    /// GPUs that take part in the pattern; sets the number of nodes of the default topology, with a file or matrix too.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    gpus: Option<u32>,
    /// GPUs of one group of the pattern; all of them if not given.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    group: Option<u32>,
    /// Mean bytes of a pair in the pattern, or bytes of one count of the matrix; 1 MiB if not given.
    #[arg(long, value_parser = quantity::<Bytes>)]
    bytes: Option<Bytes>,
    /// Standard deviation of the logarithm, for the log-normal pattern; 0.5 if not given.
    #[arg(long)]
    sigma: Option<f64>,
    /// Seed of the log-normal pattern; 1 if not given.
    #[arg(long)]
    seed: Option<u64>,
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
    /// Of several that hold at one time the least share does; one link is given one health without times.
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
        let driven = self.sms.zip(self.per_sm);
        transport(self.message_overhead, self.half_rate_bytes, self.pair_ceiling, driven)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Csv,
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
enum EngineArg {
    Auto,
    Exact,
    Quantised,
    ClosedForm,
}

impl EngineArg {
    const fn engine(self) -> Option<Engine> {
        match self {
            Self::Auto => None,
            Self::Exact => Some(Engine::Exact),
            Self::Quantised => Some(Engine::Quantised),
            Self::ClosedForm => Some(Engine::ClosedForm),
        }
    }
}

impl FlowsArgs {
    fn options(&self) -> Options {
        Options {
            file: self.file.clone(),
            topology: self.topology.clone(),
            set: self.overrides.clone(),
            pattern: self.pattern,
            matrix: self.matrix.clone(),
            gpus: self.gpus,
            group: self.group,
            bytes: self.bytes,
            sigma: self.sigma,
            seed: self.seed,
            engine: self.engine.engine(),
            epsilon: self.epsilon,
            makespan_only: self.makespan_only,
            health: self.health.clone(),
            threads: self.threads,
            transport: self.transport.transport(),
        }
    }
}

/// Runs `moesim flows`.
pub(crate) fn run(args: &FlowsArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let options = args.options();
    let flows = Flows::of(&options, &output::call())?;
    let solved = during("parts of the network", || flows.solve())?;
    let csv = args.csv || args.format == Format::Csv;
    if args.makespan_only && csv {
        let found = "leaves out when each flow ends, and CSV is a line for each flow";
        return Err(Diagnostic::of("--makespan-only", found, "print a table or --json").into());
    }
    if let Some(path) = &args.plot {
        let what = format!("{} flows", flows.count());
        let chart = cluster_chart(&flows.topology, &solved.link_bytes_per_s(), &what);
        output::chart(&chart, path)?;
    }
    if csv {
        return Ok(csv::write(&solved, out)?);
    }
    let result = flows.result(&options, &output::call(), &solved);
    if args.json || args.format == Format::Json {
        output::result(out, &result)
    } else {
        Ok(result.write_text(out)?)
    }
}
