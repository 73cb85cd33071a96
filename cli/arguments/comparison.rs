//! What `compare`, `plan`, `explain` and `timeline` share: a scenario from a few words.

use std::path::Path;

use clap::Args;

use crate::Failure;
use moesim::base::inputs::Input;
use moesim::config::{self, Diagnostic, Overrides, Scenario, ScenarioSource, Source};
use moesim::studies::study::refuse_borrowed;
use moesim::topology::PriceBook;

/// τ within the bounds that scenarios have for it.
pub(crate) fn tau(text: &str) -> Result<f64, String> {
    let fits = text.trim().parse::<f64>().ok().filter(|value| config::TAU.contains(value));
    let (least, most) = (config::TAU.start(), config::TAU.end());
    fits.ok_or_else(|| format!("give a number from {least} to {most}"))
}

/// A pair of workloads and how to run them.
#[derive(Args, Clone)]
pub(crate) struct ComparisonArgs {
    /// The vanilla workload: built in, or a file.
    #[arg(long, default_value = "moe-1b")]
    pub(crate) vanilla: String,
    /// The MoE++ workload to compare with it.
    #[arg(long, default_value = "moepp-1b")]
    pub(crate) moepp: String,
    /// What is counted: experts, moe-layer, model-forward, layer-training or training-step.
    #[arg(long, default_value = "moe-layer")]
    counted: String,
    /// Seeds, half open.
    #[arg(long, default_value = "0..8")]
    seeds: String,
    /// Take predictions of kernels and links as they are, without the error calibration left.
    #[arg(long)]
    certain: bool,
    /// What a loop over experts costs beyond its kernels. Default: moepp-loop where experts run one
    /// after another, none where they are grouped.
    #[arg(long, value_name = "NAME")]
    overheads: Option<String>,
    /// Refuse kernels whose constants are borrowed from another kernel, format or GPU.
    #[arg(long)]
    strict: bool,
    /// Override a key, as in --set workload.batch.tokens_per_gpu=4096. Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Run what does not fit into the GPUs' memory, and say so.
    #[arg(long)]
    allow_oom: bool,
}

impl ComparisonArgs {
    /// The scenario on each cluster, and the name that the cluster goes by: its own, and that of its path
    /// where another file of that name, in another folder, came before.
    pub(crate) fn on_each(&self, clusters: &[String]) -> Result<Vec<(String, Scenario)>, Failure> {
        let mut each: Vec<(String, Scenario)> = Vec::with_capacity(clusters.len());
        for cluster in clusters {
            let (name, scenario) = self.on(cluster)?;
            let taken = |name: &str| each.iter().any(|(other, _)| other == name);
            let name = if taken(&name) { cluster.clone() } else { name };
            if taken(&name) || clusters.iter().filter(|other| *other == cluster).count() > 1 {
                return Err(Diagnostic::of(name, "is named twice", "name each cluster once").into());
            }
            each.push((name, scenario));
        }
        Ok(each)
    }

    /// The scenario on a cluster, `NAME` or `NAME=PROFILE`, and the cluster's name.
    fn on(&self, cluster: &str) -> Result<(String, Scenario), Failure> {
        let (topology, profile) = match cluster.split_once('=') {
            Some((topology, profile)) => (topology, Some(profile)),
            None => (cluster, None),
        };
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let mut text = format!(
            "schema = 1\nname = \"compare\"\ntopology = {}\ncounted = {}\nseeds = {}\n\
             calibration_uncertainty = {}\n",
            quoted(topology),
            quoted(&self.counted),
            quoted(&self.seeds),
            !self.certain
        );
        if let Some(profile) = profile {
            text.push_str(&format!("profile = {}\n", quoted(profile)));
        }
        if let Some(name) = &self.overheads {
            text.push_str(&format!("overheads = {}\n", quoted(name)));
        }
        text.push_str(&format!(
            "[[compare]]\nvanilla = {}\nmoepp = {}\n",
            quoted(&self.vanilla),
            quoted(&self.moepp)
        ));
        let source = ScenarioSource::of_text(
            &text,
            Overrides::new(crate::with_oom(&self.set, self.allow_oom)),
        );
        let scenario = source.load().map_err(|mistake| match &*mistake.place {
            // The text is ours: what is wrong with it is an argument.
            config::COMMAND_LINE => {
                let (place, key) = match option_of(&mistake.key) {
                    Some(option) => (format!("{cluster}, {option}"), String::new()),
                    None => (format!("{cluster}, {}", mistake.place), mistake.key.clone()),
                };
                Diagnostic { place, key, line: None, excerpt: None, ..mistake }
            }
            _ => mistake,
        })?;
        if self.strict {
            refuse_borrowed(&scenario)?;
        }
        let taus = scenario.cases[0].moepp.len();
        if taus > 1 {
            let found = format!("gives {taus} τ, and one comparison takes one");
            let help = "give one, as in --set tau=[0.75], or several to `moesim plan --tau` or `moesim run`";
            return Err(Diagnostic::of("--set tau", found, help).into());
        }
        Ok((short_name(topology), scenario))
    }
}

/// The argument that a key of the scenario was made from.
fn option_of(key: &str) -> Option<&'static str> {
    Some(match key {
        "topology" => "the cluster",
        "profile" => "the profile behind `=`",
        "counted" => "--counted",
        "seeds" => "--seeds",
        "overheads" => "--overheads",
        "compare[0].vanilla" => "--vanilla",
        "compare[0].moepp" => "--moepp",
        _ => return None,
    })
}

/// A cluster's name in tables: that of its file, without folders.
fn short_name(topology: &str) -> String {
    let stem = std::path::Path::new(topology).file_stem().filter(|_| topology.ends_with(".toml"));
    stem.map_or(topology.to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// A price book, or the built-in one, and what was read for it.
pub(crate) fn price_book(path: Option<&Path>) -> Result<(PriceBook, Vec<Input>), Failure> {
    let source = path.map_or_else(|| Ok(config::built_in_prices()), Source::read)?;
    Ok((config::read_prices(&source)?, source.inputs(&[])))
}
