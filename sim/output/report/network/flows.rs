//! The result of `moesim flows`: the network alone.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::network::fluid::Engine;
use crate::output::report::shared::health::links_in_poor_health;
use crate::output::report::shared::link_use::{LinkGroup, link_use};
use crate::output::report::shared::made_by::MadeBy;
use crate::output::report::shared::word;
use crate::studies::flows::{SOLVED_AGAIN, SolvedFlows};

mod text;

/// Who got their bytes when, what was busy, what faster links would bring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FlowsResult {
    /// How it was made.
    #[serde(default)]
    pub made_by: MadeBy,
    /// The cluster.
    pub topology: String,
    /// Links that the topology says are not in full health, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poor_health: Option<String>,
    /// Its GPUs.
    pub gpus: u32,
    /// Flows carried.
    pub flows: usize,
    /// Until the last byte has arrived, in seconds.
    pub makespan_s: f64,
    /// The engine that shared links.
    #[serde(with = "word")]
    #[schemars(with = "word::OneOf<Engine>")]
    pub engine: Engine,
    /// The relative error that finish times may have; what the quantised engine aims at.
    pub error_bound: f64,
    /// What no schedule can beat, in seconds.
    pub lower_bound_s: f64,
    /// Parts of the network that share no link.
    pub parts: usize,
    /// How many of them were solved: others equal one of these, or cannot end last.
    pub distinct_parts: usize,
    /// Times that links were filled.
    pub fillings: u64,
    /// When each GPU sent its last byte; none where the makespan alone is wanted.
    pub sent_s: Option<Vec<Option<f64>>>,
    /// When each GPU received its last byte.
    pub arrival_s: Option<Vec<Option<f64>>>,
    /// When each flow ended, of few flows.
    pub finish_s: Option<Vec<f64>>,
    /// The links whose bytes take longest.
    pub busiest_links: Vec<BusyLink>,
    /// How full links are, by class and direction.
    pub link_use: Vec<LinkGroup>,
    /// What faster links would bring, the best first.
    pub upgrades: Vec<Upgrade>,
    /// The engine that says so.
    #[serde(with = "word")]
    #[schemars(with = "word::OneOf<Engine>")]
    pub upgrades_by: Engine,
    /// Processor time of the process when the flows were solved, in seconds.
    pub cpu_s: f64,
    /// The most memory that the process has held, where the system says.
    pub peak_rss_bytes: Option<u64>,
}

/// A link and how it was used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BusyLink {
    /// Its name.
    pub link: String,
    /// Its class.
    pub class: String,
    /// Its bytes.
    pub bytes: f64,
    /// Share of the makespan that its bytes take at the rate it has, changes of health counted.
    pub busy_share: f64,
}

/// What a class of links would bring if it were 10 % faster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Upgrade {
    /// The class.
    pub class: String,
    /// By how much the makespan would change, in percent.
    pub makespan_change_percent_at_10_percent_faster: f64,
}

/// What the machine was at when the flows were solved.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Machine {
    /// Processor time of the process, in seconds.
    pub cpu_s: f64,
    /// The most memory that it has held.
    pub peak_rss_bytes: Option<u64>,
}

impl FlowsResult {
    /// Of a solved problem.
    #[must_use]
    pub fn of(made_by: MadeBy, solved: &SolvedFlows<'_>, machine: Machine) -> Self {
        let (topology, solution) = (solved.topology, &solved.solution);
        let upgrades = solved.upgrades();
        let (ends, few) = (solved.ends(), solved.traffic.len() <= SOLVED_AGAIN);
        // Where the makespan alone is wanted, the engine may give all flows the same end.
        let each = !solved.choice.makespan_only;
        let busiest = solved.busiest().into_iter().map(|busy| BusyLink {
            link: topology.link_name(busy.link),
            class: topology.links()[busy.link.index()].class.name().to_owned(),
            bytes: busy.bytes,
            busy_share: busy.share,
        });
        let changes = upgrades.changes.iter().map(|(class, change)| Upgrade {
            class: class.name().to_owned(),
            makespan_change_percent_at_10_percent_faster: change * 100.0,
        });
        Self {
            made_by,
            topology: topology.name().to_owned(),
            poor_health: links_in_poor_health(topology),
            gpus: topology.gpus(),
            flows: solved.traffic.len(),
            makespan_s: solution.makespan_s,
            engine: solution.engine,
            error_bound: solution.error_bound,
            lower_bound_s: solved.drained.makespan_s,
            parts: solution.parts,
            distinct_parts: solution.distinct_parts,
            fillings: solution.fillings,
            sent_s: each.then(|| ends.iter().map(|ends| ends.sent_s).collect()),
            arrival_s: each.then(|| ends.iter().map(|ends| ends.received_s).collect()),
            finish_s: (few && each).then(|| solution.finish_s.clone()),
            busiest_links: busiest.collect(),
            link_use: link_use(topology, &solved.link_bytes_per_s()),
            upgrades: changes.collect(),
            upgrades_by: upgrades.by,
            cpu_s: machine.cpu_s,
            peak_rss_bytes: machine.peak_rss_bytes,
        }
    }

    /// The tables.
    ///
    /// # Errors
    /// If `out` cannot be written to.
    pub fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        text::write(self, out)
    }
}
