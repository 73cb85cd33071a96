//! `moesim timeline`: one run as a Perfetto trace.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::Failure;
use crate::output::Files;
use moesim::base::near::{advice, quoted};
use moesim::base::units::GpuId;
use moesim::commands::with_oom;
use moesim::config::{Diagnostic, Overrides, Scenario, ScenarioSource};
use moesim::execution::run::NCCL_SMS;
use moesim::output::execution_trace::{ExecutionTraces, VERSION};
use moesim::output::report::{Setting, wrapped};
use moesim::output::timeline::Timeline;
use moesim::studies::study::{self, WhatIf};
use moesim::topology::LinkClass;
use moesim::workload::Workload;

/// A run, and which of its GPUs to trace.
#[derive(Args)]
pub(crate) struct TimelineArgs {
    /// A scenario file, or the name of a built-in one.
    scenario: String,
    /// The file to write; open it at ui.perfetto.dev.
    #[arg(long, value_name = "FILE", required_unless_present = "chakra")]
    pub(crate) out: Option<PathBuf>,
    /// Write the run as Chakra execution traces, which ASTRA-sim reads, into this folder: WORKLOAD.GPU.et for each GPU.
    #[arg(long, value_name = "FOLDER")]
    chakra: Option<PathBuf>,
    /// The workload of the scenario to run. Default: its last.
    #[arg(long)]
    workload: Option<String>,
    /// Its τ, where the scenario has several. Default: the last.
    #[arg(long)]
    tau: Option<f64>,
    /// The seed. Default: the scenario's first.
    #[arg(long)]
    seed: Option<u64>,
    /// GPUs to trace. Default: all of up to 16; of more, the slowest and a typical one.
    #[arg(long, value_delimiter = ',', requires = "out")]
    ranks: Vec<u32>,
    /// Override a key. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Run what does not fit into the GPUs' memory, and say so.
    #[arg(long)]
    allow_oom: bool,
}

/// All GPUs of up to this many are traced.
const FEW: u32 = 16;

pub(crate) fn run(args: &TimelineArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let source =
        ScenarioSource::open(&args.scenario, Overrides::new(with_oom(&args.set, args.allow_oom)))?;
    let scenario = source.load()?;
    let workload = choose(&scenario, args.workload.as_deref(), args.tau)?;
    let seed = args.seed.unwrap_or(scenario.seeds.start);
    let gpus = workload.layout.in_use(scenario.topology.gpus());
    if let Some(rank) = args.ranks.iter().find(|rank| **rank >= gpus) {
        let help = format!("GPUs that are used are numbered 0 to {}", gpus - 1);
        return Err(Diagnostic::of("--ranks", format!("there is no GPU {rank}"), help).into());
    }
    if let Some(folder) = &args.chakra {
        execution_traces((&scenario, workload, seed), folder, out)?;
    }
    let Some(file) = &args.out else { return Ok(Setting::of(&scenario).write_taken(out)?) };
    let outcome = study::run(&scenario, workload, scenario.overheads, seed)?;
    let mut traced: Vec<u32> = args.ranks.clone();
    if gpus <= FEW && traced.is_empty() {
        traced.extend(0..gpus);
    } else {
        let mut by_wait: Vec<u32> = (0..gpus).collect();
        by_wait.sort_by(|&a, &b| {
            let waited = |gpu: u32| outcome.waited_ms(gpu as usize);
            waited(a).total_cmp(&waited(b))
        });
        traced.extend([by_wait[0], by_wait[by_wait.len() / 2]]);
    }
    let group = workload.layout.expert_group();
    let held = scenario.carrier(workload).ok().and_then(|carrier| carrier.sms(workload));
    let traced_gpus = traced.iter().map(|&gpu| GpuId(gpu)).collect();
    let mut timeline = Timeline::new(&scenario.topology, traced_gpus, group)
        .holding([Some(held.unwrap_or(NCCL_SMS)), Some(NCCL_SMS)]);
    let nothing = WhatIf::NOTHING;
    study::run_if(&scenario, workload, scenario.overheads, seed, &nothing, Some(&mut timeline))?;
    let trace = timeline.trace();
    crate::output::write(file, &trace)?;
    traced.sort_unstable();
    traced.dedup();
    let named: Vec<String> = traced.iter().map(u32::to_string).collect();
    writeln!(
        out,
        "{} of {}, seed {seed}: {:.3} ms, GPUs {}, {} slices, {} bytes: {}",
        workload.name,
        scenario.name,
        outcome.makespan.ms(),
        named.join(" "),
        timeline.slices().len(),
        trace.len(),
        file.display()
    )?;
    let moved = timeline.link_bytes();
    for class in LinkClass::ALL.into_iter().filter(|class| moved.of(*class) > 0) {
        writeln!(out, "bytes over {} links: {}", class.name(), moved.of(class))?;
    }
    Ok(Setting::of(&scenario).write_taken(out)?)
}

/// Writes a run as Chakra's traces, a file for each GPU of the cluster: those that idle have an empty one.
fn execution_traces(
    (scenario, workload, seed): (&Scenario, &Workload, u64),
    folder: &Path,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut traces = ExecutionTraces::new(scenario.topology.gpus());
    let nothing = WhatIf::NOTHING;
    study::run_if(scenario, workload, scenario.overheads, seed, &nothing, Some(&mut traces))?;
    let mut files = Files::of(folder)?;
    for (gpu, bytes) in traces.files().enumerate() {
        files.add(&format!("{}.{gpu}.et", workload.name), bytes)?;
    }
    files.keep()?;
    let line = format!(
        "{} of {}, seed {seed}, as Chakra execution traces {VERSION}: {} messages, {}/{}.GPU.et",
        workload.name,
        scenario.name,
        traces.messages(),
        folder.display(),
        workload.name
    );
    Ok(wrapped(out, "", &line)?)
}

/// The workload of a scenario of this name and τ.
pub(crate) fn choose<'a>(
    scenario: &'a Scenario,
    name: Option<&str>,
    tau: Option<f64>,
) -> Result<&'a Workload, Failure> {
    let all =
        || scenario.cases.iter().flat_map(|case| std::iter::once(&case.vanilla).chain(&case.moepp));
    let fits = |workload: &&Workload| {
        name.is_none_or(|name| workload.name == name)
            && tau.is_none_or(|tau| {
                workload.model.experts.tau.is_some_and(|own| (own - tau).abs() < 1e-9)
            })
    };
    all().rfind(fits).ok_or_else(|| {
        let names: std::collections::BTreeSet<&str> = all().map(|w| w.name.as_str()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let (found, help) = match name.filter(|name| !names.contains(name)) {
            Some(name) => {
                (format!("has no workload `{name}`"), advice(name, "its workloads", &names))
            }
            None => {
                let help = format!("its workloads: {}", quoted(&names, ", "));
                ("has no such workload and τ".to_owned(), help)
            }
        };
        Diagnostic::of(scenario.name.clone(), found, help).into()
    })
}
