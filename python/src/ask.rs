//! Questions: options → the JSON that the command line prints for them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use moesim::base::threads;
use moesim::base::units::{Bandwidth, Bytes, SimDuration};
use moesim::commands::decide::{advise, compare, comparison, explain, goodput, layouts, plan};
use moesim::commands::flows::{DEFAULT_TOPOLOGY, ENGINES, Flows, Options as Carried, transport};
use moesim::commands::run::{self, memory};
use moesim::commands::words::{self, choice, quantity};
use moesim::commands::{Call, topology, validate};
use moesim::config::Diagnostic;
use moesim::network::fluid::Engine;
use moesim::output::schema::{Labelled, Printed};
use moesim::studies::advise::WORTH_PERCENT;
use moesim::studies::compare::Equal;
use moesim::studies::layouts::{Objective, Space};
use moesim::studies::planner::Target;
use moesim::studies::validate::{LeaveOut, systems};
use pyo3::prelude::*;
use serde::Serialize;

use crate::options::{Options, number, path, text, threads as some_threads, whole};
use crate::work;

type Json = Result<String, Diagnostic>;

/// Answers a command's question.
#[pyfunction]
pub fn ask(
    py: Python<'_>,
    command: String,
    options: Vec<(String, Vec<String>)>,
    arguments: Vec<String>,
    files: BTreeMap<String, String>,
    told: Option<&Bound<'_, PyAny>>,
) -> PyResult<String> {
    let call = Call { arguments, files };
    let options = Options::new(&command, options);
    work::done(py, told, move || answer(&command, options, &call))
}

fn answer(command: &str, mut options: Options, call: &Call) -> Json {
    let own = &mut options;
    match command {
        "run" => study(options, call),
        "memory" => {
            let (scenario, set) = (own.must("scenario", text)?, own.many("set", text)?);
            options.done()?;
            printed(&memory::run(&scenario, &set, call)?)
        }
        "compare" => clusters(options, call),
        "plan" => planned(options, call),
        "layouts" => laid_out(options, call),
        "advise" => advised(options, call),
        "explain" => explained(options, call),
        "goodput" => kept(options, call),
        "topology" => {
            let cluster = topology::Options {
                topology: own.must("topology", text)?,
                set: own.many("set", text)?,
                prices: own.one("prices", path)?,
            };
            options.done()?;
            printed(&topology::run(&cluster, call)?.0)
        }
        "flows" => carried(options, call),
        "validate" => validated(options, call),
        "validate-systems" => published(options, call),
        _ => Err(Diagnostic::of("", format!("there is no command `{command}`"), "")),
    }
}

/// As the command line prints it.
fn printed(result: &impl Printed) -> Json {
    json(&Labelled::of(result))
}

fn json(value: &impl Serialize) -> Json {
    let text = serde_json::to_string_pretty(value);
    text.map(|text| text + "\n").map_err(|error| Diagnostic::of("", error.to_string(), ""))
}

fn study(mut own: Options, call: &Call) -> Json {
    let options = run::Options {
        scenario: own.must("scenario", text)?,
        set: own.many("set", text)?,
        profile: own.one("profile", path)?,
        strict: own.flag("strict")?,
        allow_oom: own.flag("allow_oom")?,
        threads: own.one("threads", some_threads)?,
    };
    own.done()?;
    printed(&run::run(&options, call)?.result)
}

fn comparing(own: &mut Options) -> Result<comparison::Options, Diagnostic> {
    let seeds = own.one("seeds", words::seeds)?;
    Ok(comparison::Options {
        vanilla: own.one("vanilla", text)?,
        moepp: own.one("moepp", text)?,
        counted: own.must("counted", words::scope)?,
        seeds: seeds.map_or_else(|| words::seeds("0..8"), Ok).map_err(unfit)?,
        no_calibration_error: own.flag("no_calibration_error")?,
        overheads: own.one("overheads", text)?,
        strict: own.flag("strict")?,
        set: own.many("set", text)?,
        allow_oom: own.flag("allow_oom")?,
    })
}

fn unfit(found: String) -> Diagnostic {
    Diagnostic::of("", found, "")
}

fn clusters(mut own: Options, call: &Call) -> Json {
    let options = compare::Options {
        clusters: own.many("clusters", text)?,
        equal: own.one("equal", choice)?.unwrap_or(Equal::Gpus),
        comparison: comparing(&mut own)?,
        prices: own.one("prices", path)?,
    };
    own.done()?;
    printed(&compare::run(&options, call)?)
}

fn planned(mut own: Options, call: &Call) -> Json {
    let targets = [
        own.one("tokens_per_s", words::positive)?.map(Target::TokensPerSec),
        own.one("step_ms", words::positive)?.map(Target::StepMs),
        own.one("layer_ms", words::positive)?.map(Target::LayerMs),
    ];
    let mut targets = targets.into_iter().flatten();
    let (Some(target), None) = (targets.next(), targets.next()) else {
        let help = "give tokens_per_s, step_ms or layer_ms";
        return Err(Diagnostic::of("", "a plan has one target", help));
    };
    let options = plan::Options {
        clusters: own.many("clusters", text)?,
        target,
        probability: own.one("probability", words::probability)?.unwrap_or(0.9),
        prices: own.one("prices", path)?,
        max_usd: own.one("max_usd", words::positive)?,
        taus: own.many("tau", words::tau)?,
        quality: own.one("quality", path)?,
        comparison: comparing(&mut own)?,
    };
    own.done()?;
    printed(&plan::run(&options, call)?)
}

fn laid_out(mut own: Options, call: &Call) -> Json {
    let options = layouts::Options {
        clusters: own.many("clusters", text)?,
        objective: own.one("objective", choice)?.unwrap_or(Objective::Throughput),
        space: Space {
            expert_parallel: own.many("ep", words::size)?,
            expert_tensor_parallel: own.many("etp", words::size)?,
            tensor_parallel: own.many("tp", words::size)?,
            pipeline_parallel: own.many("pp", words::size)?,
            tokens_per_gpu: own.many("tokens", words::size)?,
            libraries: own.many("library", words::library)?,
            overlaps: own.many("overlap", words::overlap)?,
            taus: own.many("tau", words::tau)?,
        },
        exhaustive: own.flag("exhaustive")?,
        comparison: comparing(&mut own)?,
        prices: own.one("prices", path)?,
    };
    own.done()?;
    printed(&layouts::run(&options, call, &|_, _| ())?)
}

fn advised(mut own: Options, call: &Call) -> Json {
    let seeds = own.one("seeds", words::seeds)?;
    let options = advise::Options {
        what: own.must("what", text)?,
        topology: own.one("topology", text)?,
        counted: own.must("counted", words::scope)?,
        seeds: seeds.map_or_else(|| words::seeds("0..8"), Ok).map_err(unfit)?,
        workload: own.one("workload", text)?,
        tau: own.one("tau", words::tau)?,
        worth: own.one("worth", words::worth)?.unwrap_or(WORTH_PERCENT),
        set: own.many("set", text)?,
        strict: own.flag("strict")?,
        allow_oom: own.flag("allow_oom")?,
    };
    own.done()?;
    printed(&advise::run(&options, call)?)
}

fn explained(mut own: Options, call: &Call) -> Json {
    let options = explain::Options {
        result: own.must("scenario", text)?,
        workload: own.one("workload", text)?,
        tau: own.one("tau", number)?,
        set: own.many("set", text)?,
        allow_oom: own.flag("allow_oom")?,
    };
    own.done()?;
    printed(&explain::run(&options, call)?)
}

fn kept(mut own: Options, call: &Call) -> Json {
    let options = goodput::Options {
        result: own.must("scenario", text)?,
        workload: own.one("workload", text)?,
        tau: own.one("tau", number)?,
        gpu_mtbf_hours: own
            .one("gpu_mtbf_hours", words::positive)?
            .unwrap_or(goodput::GPU_MTBF_HOURS),
        checkpoint_s: own.must("checkpoint_s", words::positive)?,
        restart_s: own.must("restart_s", words::positive)?,
        interval_s: own.one("interval_s", words::positive)?,
        days: own.one("days", days)?.unwrap_or(goodput::DAYS),
        set: own.many("set", text)?,
        allow_oom: own.flag("allow_oom")?,
    };
    own.done()?;
    printed(&goodput::run(&options, call)?)
}

fn days(value: &str) -> Result<u32, String> {
    let number = value.trim().parse().ok().filter(|days| (1..=100_000).contains(days));
    number.ok_or_else(|| "give a whole number from 1 to 100000".to_owned())
}

fn carried(mut own: Options, call: &Call) -> Json {
    let options = Carried {
        file: own.one("file", path)?,
        topology: own.one("topology", text)?.unwrap_or_else(|| DEFAULT_TOPOLOGY.to_owned()),
        set: own.many("set", text)?,
        pattern: own.one("pattern", choice)?,
        matrix: own.one("matrix", path)?,
        gpus: own.one("gpus", words::size)?,
        group: own.one("group", words::size)?,
        bytes: own.one("bytes", quantity::<Bytes>)?,
        sigma: own.one("sigma", number)?,
        seed: own.one("seed", whole)?,
        engine: own.one("engine", engine)?.flatten(),
        epsilon: own.one("epsilon", number)?.unwrap_or(0.01),
        makespan_only: own.flag("makespan_only")?,
        health: own.many("health", text)?,
        threads: own.one("threads", some_threads)?,
        transport: transport(
            own.one("message_overhead", quantity::<SimDuration>)?,
            own.one("half_rate_bytes", quantity::<Bytes>)?,
            own.one("pair_ceiling", quantity::<Bandwidth>)?,
            own.one("sms", words::size)?.zip(own.one("per_sm", quantity::<Bandwidth>)?),
        ),
    };
    let places = [options.file.is_some(), options.pattern.is_some(), options.matrix.is_some()];
    if places.into_iter().filter(|given| *given).count() > 1 {
        let found = "flows come from one place";
        return Err(Diagnostic::of("", found, "give file, pattern or matrix"));
    }
    own.done()?;
    let flows = Flows::of(&options, call)?;
    let solved = flows.solve()?;
    printed(&flows.result(&options, call, &solved))
}

fn engine(word: &str) -> Result<Option<Engine>, String> {
    let found = ENGINES.iter().find(|(name, _)| *name == word);
    let names = ENGINES.map(|(name, _)| name).join(", ");
    found.map(|(_, engine)| *engine).ok_or_else(|| format!("choose from: {names}"))
}

fn validated(mut own: Options, call: &Call) -> Json {
    let folder: PathBuf = own.must("folder", path)?;
    let leave_out: Option<LeaveOut> = own.one("leave_out", choice)?;
    own.done()?;
    let judged = validate::folder(&folder, leave_out)?;
    if let Some(mistake) = judged.mistakes.first() {
        return Err(mistake.clone());
    }
    printed(&judged.result(call))
}

fn published(mut own: Options, call: &Call) -> Json {
    let file = own.one("file", path)?;
    let threads = own.one("threads", some_threads)?.unwrap_or_else(threads::available);
    own.done()?;
    let rows = systems::rows(file.as_deref())?;
    let verdicts = systems::judge_told(rows, threads, |_| ());
    printed(&validate::systems_result(file.as_deref(), &verdicts, call))
}
