//! What was asked for and changes nothing: said with the result, as a key that looks as if it counted is worse than none.

use super::checks::NO_OVERHEADS;
use super::{Overrides, ROLES, Scenario, ScenarioSpec};
use crate::config::Kind;
use crate::execution::Scope;
use crate::execution::cost::{dense_op, experts_ask};
use crate::gate;
use crate::kernels::{ExpertsChoice, Kernels};
use crate::network::Rates;
use crate::network::fluid::Engine;
use crate::topology::{Link, LinkClass};
use crate::workload::{Dtype, Epilogue, Execution, Origin, Phase, Workload};

/// Layers whose attention is asked for: more than patterns of windows repeat after.
const LAYERS: u32 = 8;

impl Scenario {
    /// Keys of the scenario and overrides that change nothing here, each with the reason.
    pub(super) fn without_effect(&self, spec: &ScenarioSpec, overrides: &Overrides) -> Vec<String> {
        let mut said = Vec::new();
        let moepp = || self.cases.iter().flat_map(|case| &case.moepp);
        if spec.tau.is_some() && moepp().next().is_none() {
            said.push("tau changes nothing here: no comparison names a `moepp`".to_owned());
        }
        said.extend(self.of_files_not_named(overrides));
        // A scenario's own `breakdown` is not what was asked for where only its τ were overridden.
        let asked = overrides.names("breakdown") || !overrides.names("tau");
        if let Some(tau) = self.breakdown_tau.filter(|_| asked)
            && !moepp().any(|workload| workload.model.experts.tau == Some(tau))
        {
            said.push(format!("breakdown = {tau} changes nothing here: nothing runs at this τ"));
        }
        let certain = |engine: &Engine| matches!(engine, Engine::ClosedForm | Engine::Exact);
        if spec.epsilon.is_some() && self.network.engine.as_ref().is_some_and(certain) {
            let engine = "the engine that `network` names has no steps to size by it";
            said.push(format!("epsilon changes nothing here: {engine}"));
        }
        if self.precision.is_some() && self.counted.has_backward() {
            let why =
                "the micro-batches of a training step wait for each other and are simulated whole";
            said.push(format!("precision changes nothing here: {why}"));
        }
        let kinds = ["workload"].into_iter().chain(ROLES);
        let keys = kinds.flat_map(|kind| overrides.of(kind)).filter_map(|(_, line)| key_of(line));
        let keys: Vec<&str> = keys.collect();
        said.extend(self.of_parts_left_out(keys.iter().copied()));
        said.extend(self.of_gates(&keys));
        said.extend(self.of_drafts());
        said.extend(self.of_biases());
        said.extend(keys.contains(&"model.clamped_activation").then(|| self.of_clamps()).flatten());
        said.extend(self.of_attention());
        said.extend(overrides.of("topology").filter_map(|(_, line)| self.of_topology(line)));
        said.extend(self.of_health());
        said
    }

    /// Keys of attention and of the host where what they say is not counted.
    fn of_parts_left_out<'k>(&self, keys: impl Iterator<Item = &'k str>) -> Vec<String> {
        let (whole, alone) = (self.counted.is_whole_model(), self.counted == Scope::Experts);
        let trains = self.workloads().all(|workload| workload.phase() == Phase::Training);
        let part = |key: &str| match key {
            "batch.context" | "batch.attention_dtype" | "model.sliding_window" if !whole => {
                Some("attention is")
            }
            "host.step_gap" if !whole => Some("what lies between steps is"),
            "host.layer_launch" | "host.graphs" if alone => Some("launches are"),
            _ => None,
        };
        let counted = self.counted.word();
        let said = |key: &str| {
            if key == "batch.context" && whole && trains {
                let why = "no token comes before the sequences of a training step";
                return Some(format!("{key} changes no time here: {why}"));
            }
            let part = part(key)?;
            Some(format!("{key} changes nothing here: {part} no part of counted = \"{counted}\""))
        };
        let mut idle: Vec<String> = keys.filter_map(said).collect();
        idle.dedup();
        idle
    }

    /// Keys of the gate that act on what is not there.
    fn of_gates(&self, keys: &[&str]) -> Vec<String> {
        if !self.workloads().all(|workload| matches!(workload.gating.origin, Origin::Drawn)) {
            return Vec::new();
        }
        let still = |workload: &Workload| {
            let spread = &workload.gating.spread;
            spread.sequence_sd <= 0.0 || spread.common <= 0.0
        };
        let counts = |workload: &Workload| !gate::is_exact(&workload.gating, &workload.batch);
        let drifts = |key: &&&str| ["gate.drift", "gate.drift_micro_batches"].contains(*key);
        let persists = |key: &&&str| key.starts_with("gate.persistence");
        let mut said = Vec::new();
        let drift = keys.iter().find(drifts).filter(|_| self.workloads().all(still));
        said.extend(drift.map(|key| {
            format!(
                "{key} changes nothing here: what drifts is the share of `sequence_sd` that layers have in common, \
                 and `gate.sequence_sd` or `gate.sequence_common` is 0"
            )
        }));
        let persists = keys.iter().find(persists).filter(|_| self.workloads().all(counts));
        said.extend(persists.map(|key| {
            format!("{key} changes nothing here: gates draw counts of these batches, without tokens to persist")
        }));
        said
    }

    /// An acceptance of drafts where there are none.
    fn of_drafts(&self) -> Option<String> {
        let batch = |workload: &&Workload| workload.batch.acceptance.is_some();
        let alone = self.workloads().filter(batch).find(|workload| workload.drafts() == 0)?;
        let why = "batch.sequence_tokens = 1 leaves no token to draft";
        Some(format!("batch.acceptance changes nothing for {}: {why}", alone.name))
    }

    /// Biases of experts that no time has, and what products would do with biases that are not there.
    fn of_biases(&self) -> Vec<String> {
        let kernels = Kernels::new(&self.profile, self.topology.gpu().device());
        let of = |workload: &Workload| {
            let name = &workload.name;
            if !workload.model.biases {
                let clamps = workload.model.clamped_activation && workload.model.gated;
                let plain = workload.stack.epilogue == Epilogue::Plain && !clamps;
                let why = "its experts have neither biases nor gated activations that clamp, which it leaves to \
                           kernels of their own";
                return plain.then(|| {
                    format!("kernels.epilogue = \"plain\" changes nothing for {name}: {why}")
                });
            }
            let by = match workload.execution {
                Execution::Sequential => "a loop over dense products",
                Execution::Grouped => match kernels.choose_experts(&experts_ask(workload)).ok()? {
                    ExpertsChoice::Fused { kernel, .. } => kernel,
                    ExpertsChoice::Grouped { .. } => return None,
                },
            };
            Some(format!(
                "model.biases changes no time of {name}: its experts run as {by}, timed without any; they count in memory"
            ))
        };
        let mut said: Vec<String> = self.workloads().filter_map(of).collect();
        said.dedup();
        said
    }

    /// An activation said to clamp, or not to, where no kernel of its own does it.
    fn of_clamps(&self) -> Option<String> {
        let apart = |workload: &Workload| {
            let plain = workload.stack.epilogue == Epilogue::Plain;
            workload.model.gated && plain && workload.execution == Execution::Grouped
        };
        let why = "gated activations clamp by kernels of their own with kernels.epilogue = \"plain\" alone, and \
                   else as they activate, for nothing";
        let idle = !self.workloads().any(apart);
        idle.then(|| format!("model.clamped_activation changes nothing here: {why}"))
    }

    /// Attention in fp8 that takes no less time than in bf16.
    fn of_attention(&self) -> Vec<String> {
        if !self.counted.is_whole_model() || self.counted.has_backward() {
            return Vec::new();
        }
        let kernels = Kernels::new(&self.profile, self.topology.gpu().device());
        let of = |workload: &Workload| {
            let mut plain = workload.clone();
            plain.batch.attention_dtype = Dtype::Bf16;
            // Windows come and go with the layer.
            let same = |layer: u32| {
                dense_op(workload, &kernels, layer).time == dense_op(&plain, &kernels, layer).time
            };
            let fp8 = workload.batch.attention_dtype == Dtype::Fp8;
            (fp8 && (0..workload.model.layers.min(LAYERS)).all(same)).then(|| {
                format!(
                    "batch.attention_dtype = \"fp8\" changes no time of {}: its products are no faster in fp8 than in \
                     bf16 here, and take longer than reading keys and values; these count in memory, half as large",
                    workload.name
                )
            })
        };
        let mut said: Vec<String> = self.workloads().filter_map(of).collect();
        said.dedup();
        said
    }

    /// Keys of files that no comparison names.
    fn of_files_not_named(&self, overrides: &Overrides) -> Vec<String> {
        let named = self.cases.iter().any(|case| !case.moepp.is_empty());
        let moepp = overrides.of(ROLES[1]).filter(|_| !named);
        let moepp = moepp.map(|line| (line, "no comparison names a `moepp`"));
        let none = self.ingredients.overheads == NO_OVERHEADS;
        let overheads = overrides.of(Kind::Overheads.key()).filter(|_| none);
        let overheads = overheads.map(|line| (line, "there are no overheads"));
        let said = |((prefix, line), why): ((&str, &str), &str)| {
            let key = line.split('=').next().unwrap_or_default().trim();
            format!("{prefix}{key} changes nothing here: {why}")
        };
        moepp.chain(overheads).map(said).collect()
    }

    /// Links in poor health that nothing crosses.
    fn of_health(&self) -> Option<String> {
        let links = self.topology.links();
        let own = |link: &Link| matches!(link.class, LinkClass::Nvlink | LinkClass::Xgmi);
        let nvlink = links.iter().any(own);
        let beyond = |link: &Link| match link.class {
            // Where GPUs have links of their own, PCI Express leads to NICs.
            LinkClass::Pcie | LinkClass::Socket => nvlink,
            class => !class.within_node(),
        };
        let sick = self.topology.sick_links().map(|(link, _)| link);
        let mut idle = sick.filter(|link| beyond(&links[link.index()]));
        let first = idle.next().filter(|_| self.stays_in_nodes())?;
        let more = match idle.count() {
            0 => String::new(),
            more => format!(" and of {more} more links"),
        };
        let per_node = self.topology.gpus_per_node();
        Some(format!(
            "the health of {}{more} changes nothing here: no byte leaves a node, as each group lies in one of \
             {per_node} GPUs",
            self.topology.link_name(first)
        ))
    }

    fn workloads(&self) -> impl Iterator<Item = &Workload> {
        self.cases.iter().flat_map(|case| std::iter::once(&case.vanilla).chain(&case.moepp))
    }

    /// An override of the topology that changes nothing.
    fn of_topology(&self, line: &str) -> Option<String> {
        let key = key_of(line)?;
        let last = key.rsplit('.').next()?;
        if last == "latency" {
            let by = self.measured_startups()?;
            return Some(format!(
                "topology.{key} changes nothing here: the start-ups of {by} were measured, the route's latency \
                 included"
            ));
        }
        let beyond = key.contains(".nic.") || key.starts_with("fabric.");
        if beyond && ["bandwidth", "oversubscription"].contains(&last) && self.stays_in_nodes() {
            let per_node = self.topology.gpus_per_node();
            return Some(format!(
                "topology.{key} changes nothing here: no byte leaves a node, as each group lies in one of \
                 {per_node} GPUs"
            ));
        }
        None
    }

    /// The libraries that carry exchanges, where the start-ups of all are measured.
    fn measured_startups(&self) -> Option<String> {
        // Collectives and messages of a pipeline have latencies of their own.
        let alone = |workload: &Workload| {
            let layout = &workload.layout;
            let shared =
                [layout.tensor_parallel, layout.context_parallel, layout.pipeline_parallel];
            shared == [1; 3] && layout.expert_tensor_parallel == 1
        };
        let whole = self.counted.is_whole_model();
        if self.counted.has_backward() || whole && !self.workloads().all(alone) {
            return None;
        }
        let mut names = Vec::new();
        for workload in self.workloads() {
            let carrier = self.carrier(workload).ok()?;
            let Rates { dispatch, combine, other } = carrier.rates;
            let across = workload.layout.expert_group() > self.topology.gpus_per_node();
            let of = [dispatch, combine, other]
                .map(|rates| if across { rates.across_nodes } else { rates.within_node });
            if of.iter().any(|startup| startup.alpha.is_none()) {
                return None;
            }
            let name = carrier.library.word();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// Whether nothing that is counted crosses from one node to another.
    fn stays_in_nodes(&self) -> bool {
        let per_node = self.topology.gpus_per_node();
        let within = |workload: &Workload| {
            let layout = &workload.layout;
            let [group, tensor] = [layout.expert_group(), layout.tensor_parallel];
            let alone = layout.pipeline_parallel == 1 || !self.counted.is_whole_model();
            group <= per_node && per_node.is_multiple_of(group) && tensor <= per_node && alone
        };
        !self.counted.has_backward() && self.workloads().all(within)
    }
}

/// The key of a `--set` line.
fn key_of(line: &str) -> Option<&str> {
    line.split('=').next().map(str::trim)
}
