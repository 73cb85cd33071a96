//! The result of `moesim flows`: the network alone.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::base::units::SimDuration;
use crate::network::LinkDegradation;
use crate::network::fluid::{Engine, KnownError};
use crate::output::report::shared::health::{at_share, links_in_poor_health};
use crate::output::report::shared::link_use::{LinkGroup, link_use};
use crate::output::report::shared::made_by::MadeBy;
use crate::output::report::shared::word;
use crate::studies::flows::{Busy, SOLVED_AGAIN, SolvedFlows};
use crate::topology::{LinkClass, Topology};

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
    /// Links whose health is worse for a time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degradations: Vec<Degradation>,
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
    /// The relative error that finish times may have, as `error_basis` says; none where nothing is known of it.
    pub error_bound: Option<f64>,
    /// What says so: proven (or rounding alone), measured (no more in all that was tried), or aimed at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_basis: Option<String>,
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

/// A link in less than full health for a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Degradation {
    /// Its name.
    pub link: String,
    /// The share of its bandwidth that is left; the least holds where there are several.
    pub share: f64,
    /// From when, in seconds.
    pub from_s: f64,
    /// Until when, in seconds; none for good.
    pub until_s: Option<f64>,
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

const PROVEN: &str = "proven";
const MEASURED: &str = "measured";
const AIMED: &str = "aimed at";

const fn basis(error: KnownError) -> Option<&'static str> {
    match error {
        KnownError::Proven(_) => Some(PROVEN),
        KnownError::Measured(_) => Some(MEASURED),
        KnownError::Aimed(_) => Some(AIMED),
        KnownError::Unknown => None,
    }
}

fn busiest_links(solved: &SolvedFlows<'_>) -> Vec<BusyLink> {
    let of = |busy: Busy| BusyLink {
        link: solved.topology.link_name(busy.link),
        class: solved.topology.links()[busy.link.index()].class.name().to_owned(),
        bytes: busy.bytes,
        busy_share: busy.share,
    };
    solved.busiest().into_iter().map(of).collect()
}

impl Upgrade {
    fn of((class, change): &(LinkClass, f64)) -> Self {
        Self {
            class: class.name().to_owned(),
            makespan_change_percent_at_10_percent_faster: change * 100.0,
        }
    }
}

impl Degradation {
    fn of(topology: &Topology, one: &LinkDegradation) -> Self {
        let link = topology.link_name(one.link);
        Self { link, share: one.left, from_s: one.from_s, until_s: one.until_s }
    }

    fn said(&self) -> String {
        // Nothing is 0 ps to a reader.
        let at =
            |s: f64| if s > 0.0 { SimDuration::from_secs(s).to_string() } else { "0 s".to_owned() };
        let until = self.until_s.map_or_else(|| "on".to_owned(), |s| format!("to {}", at(s)));
        let share = at_share(&self.link, self.share, "bandwidth");
        format!("{share} from {} {until}", at(self.from_s))
    }
}

impl FlowsResult {
    /// Of a solved problem.
    #[must_use]
    pub fn of(
        made_by: MadeBy,
        solved: &SolvedFlows<'_>,
        degradations: &[LinkDegradation],
        machine: Machine,
    ) -> Self {
        let (topology, solution) = (solved.topology, &solved.solution);
        let upgrades = solved.upgrades();
        let (ends, few) = (solved.ends(), solved.traffic.len() <= SOLVED_AGAIN);
        // Where the makespan alone is wanted, the engine may give all flows the same end.
        let each = !solved.choice.makespan_only;
        Self {
            made_by,
            topology: topology.name().to_owned(),
            poor_health: links_in_poor_health(topology),
            degradations: degradations.iter().map(|one| Degradation::of(topology, one)).collect(),
            gpus: topology.gpus(),
            flows: solved.traffic.len(),
            makespan_s: solution.makespan_s,
            engine: solution.engine,
            error_bound: solution.error.bound(),
            error_basis: basis(solution.error).map(str::to_owned),
            lower_bound_s: solved.drained.makespan_s,
            parts: solution.parts,
            distinct_parts: solution.distinct_parts,
            fillings: solution.fillings,
            sent_s: each.then(|| ends.iter().map(|ends| ends.sent_s).collect()),
            arrival_s: each.then(|| ends.iter().map(|ends| ends.received_s).collect()),
            finish_s: (few && each).then(|| solution.finish_s.clone()),
            busiest_links: busiest_links(solved),
            link_use: link_use(topology, &solved.link_bytes_per_s()),
            upgrades: upgrades.changes.iter().map(Upgrade::of).collect(),
            upgrades_by: upgrades.by,
            cpu_s: machine.cpu_s,
            peak_rss_bytes: machine.peak_rss_bytes,
        }
    }

    /// Links whose health is worse for a time, in words.
    #[must_use]
    pub fn degraded_for_a_time(&self) -> Option<String> {
        let all: Vec<String> = self.degradations.iter().map(Degradation::said).collect();
        (!all.is_empty()).then(|| format!("links in poor health for a time: {}", all.join(", ")))
    }

    /// What is known of the error, in words: `error up to 1.0e-7 %`.
    #[must_use]
    pub fn known_error(&self) -> String {
        let Some(bound) = self.error_bound else {
            return "error not known".to_owned();
        };
        let percent = format!("{:.1e} %", 100.0 * bound);
        match self.error_basis.as_deref() {
            Some(MEASURED) => format!("error measured up to {percent}"),
            // Results of before say no basis; quantised ones always aim.
            Some(AIMED) => format!("error aimed at {percent}"),
            None if self.engine == Engine::Quantised => format!("error aimed at {percent}"),
            _ => format!("error up to {percent}"),
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
