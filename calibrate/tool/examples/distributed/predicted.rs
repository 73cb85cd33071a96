//! What moesim says of the same layer on a cluster made of the measurements.

use std::fmt::Write as _;
use std::path::Path;

use calibrate::fit_samples::{self, KERNEL};
use calibrate::measure::probes::whole_layer::TAUS;
use calibrate::measure::samples::{read_folder, undisturbed};
use calibrate::measure::session::recorded;
use calibrate::measure::shapes::Shape;
use calibrate::{commands, emit};
use moesim::commands::Call;
use moesim::commands::run::{Options, run};

use super::measured::SHAPE;

/// Seeds that predictions are the mean of: each draws tokens of its own.
const SEEDS: u32 = 16;

/// Milliseconds of a layer as predicted: vanilla, then each τ.
///
/// # Errors
/// If samples are missing, or a file cannot be written or is refused.
pub fn layers(folder: &Path, processes: usize) -> Result<Vec<f64>, String> {
    let identity = recorded(folder).ok_or("no samples of compute")?;
    let samples = undisturbed(read_folder(folder).map_err(|e| e.to_string())?, true);
    let (profile, sheet) = fit_samples::profile("own", &identity, &samples)?;
    let origin = ["Written by the example `distributed`. Do not edit: measure again.".to_owned()];
    let path = folder.join("own.toml");
    commands::write_profile(&path, &profile, &emit::toml(&profile, &sheet, &origin))
        .map_err(|e| e.to_string())?;
    for (name, text) in files(sheet.scale_up_gb_per_s, processes) {
        std::fs::write(folder.join(name), text).map_err(|e| format!("{name}: {e}"))?;
    }
    let options = Options {
        scenario: folder.join("scenario.toml").display().to_string(),
        set: Vec::new(),
        profile: Some(path),
        strict: false,
        allow_oom: true,
        threads: Some(1),
    };
    let ran = run(&options, &Call::default()).map_err(|e| e.to_string())?;
    let mut found = Vec::new();
    for tau in std::iter::once(None).chain(TAUS.map(Some)) {
        let row = ran.result.results.iter().find(|row| row.workload.tau == tau);
        let row = row.ok_or_else(|| format!("no prediction for τ = {tau:?}"))?;
        let mean = row.makespan_ms.mean.ok_or("no mean")?;
        // A thread that exchanges computes nothing meanwhile: zero-computation experts hide behind no dispatch.
        found.push(mean + row.hidden_zero_computation_ms);
    }
    Ok(found)
}

/// Cluster, workloads and scenario.
fn files(link_gb_per_s: f64, processes: usize) -> Vec<(&'static str, String)> {
    let source = "source = \"processes of this machine\"";
    let topology = format!(
        "schema = 1\nname = \"processes\"\n{source}\n\n[gpu]\nname = \"a thread\"\n\
         peak_bf16 = \"1 TFLOP/s\"\nmemory_bandwidth = \"10 GB/s\"\nsms = 1\n\n[nodes]\ncount = 1\n\
         gpus_per_node = {processes}\n\n[nodes.scale-up.nvswitch]\n\
         bandwidth = \"{link_gb_per_s} GB/s\"\nlatency = \"1 ns\"\n"
    );
    let workload = |name: &str, zero_computation: bool| {
        let Shape { hidden, inter, ffn, constant, copy, zero, top_k, tokens, .. } = SHAPE;
        let mut text = format!("schema = 1\nname = \"{name}\"\n{source}\n\n[model]\n");
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "name = \"small\"\nlayers = 1\nhidden = {hidden}\nintermediate = {inter}\nheads = 1\n\
             head_dim = {hidden}\nvocabulary = 16\n\n[experts]\nffn = {ffn}\ntop_k = {top_k}\n\
             execution = \"grouped\""
        );
        if zero_computation {
            let _ = writeln!(
                text,
                "zero = {zero}\ncopy = {copy}\nconstant = {constant}\ntau = 0.75\n\
                 zero_computation = \"local\""
            );
        }
        let _ = writeln!(
            text,
            "\n[kernels]\nexperts = \"{KERNEL}\"\n\n[exchange]\nlibrary = \"nccl\"\n\n[batch]\n\
             tokens_per_gpu = {tokens}\nmicro_batches = 1\nsequence_tokens = {tokens}\n\
             dtype = \"bf16\"\nphase = \"prefill\"\n\n[layout]\nexpert_parallel = {processes}\n\
             pipeline_parallel = 1"
        );
        text
    };
    let taus: Vec<String> = TAUS.iter().map(|tau| format!("{tau:?}")).collect();
    let scenario = format!(
        "schema = 1\nname = \"distributed\"\ntopology = \"topology.toml\"\ncounted = \"moe-layer\"\n\
         seeds = \"0..{SEEDS}\"\ntau = [{}]\n\n[[compare]]\nvanilla = \"vanilla.toml\"\n\
         moepp = \"moepp.toml\"\n",
        taus.join(", ")
    );
    vec![
        ("topology.toml", topology),
        ("vanilla.toml", workload("vanilla", false)),
        ("moepp.toml", workload("moepp", true)),
        ("scenario.toml", scenario),
    ]
}
