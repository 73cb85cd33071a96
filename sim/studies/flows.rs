//! The network alone: when each GPU is done, which links were busy, and what faster links would bring.

use crate::base::order::ascending;
use crate::base::units::LinkId;
use crate::network::fluid::{Choice, Drained, Engine, Problem, Solution, drain, solve};
use crate::network::traffic::Traffic;
use crate::topology::{Link, LinkClass, Topology};

/// Links listed as the busiest.
const BUSIEST: usize = 8;
/// How much faster a class of links is made to see what that gains.
const UPGRADE: f64 = 1.1;

/// Problems of up to this many flows are solved again for each class of links, and listed in JSON.
pub const SOLVED_AGAIN: usize = 50_000;

/// A solved problem and what it came from.
pub struct SolvedFlows<'a> {
    /// The cluster.
    pub topology: &'a Topology,
    /// The flows.
    pub traffic: &'a Traffic,
    /// Flows and links as the engines know them.
    pub problem: &'a Problem,
    /// When each flow ended.
    pub solution: Solution,
    /// What was asked of the solution.
    pub choice: Choice,
    /// What every link has to carry at least.
    pub drained: Drained,
}

/// When a GPU's last flow ended, out and in, in seconds; `None` where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ends {
    /// Out.
    pub sent_s: Option<f64>,
    /// In.
    pub received_s: Option<f64>,
}

impl Ends {
    /// The later of the two.
    #[must_use]
    pub fn done_s(&self) -> Option<f64> {
        self.sent_s.into_iter().chain(self.received_s).reduce(f64::max)
    }
}

/// A link and how it was used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Busy {
    /// The link.
    pub link: LinkId,
    /// Its bytes.
    pub bytes: f64,
    /// Share of the makespan that its bytes take at the rate it has, changes of health counted.
    pub share: f64,
}

/// What faster links would bring.
#[derive(Clone, Debug, PartialEq)]
pub struct Upgrades {
    /// By how much the makespan changes, relative, if a class of links were 10 % faster; the best first.
    pub changes: Vec<(LinkClass, f64)>,
    /// The engine that says so: problems of more than [`SOLVED_AGAIN`] flows over links that do not change are not solved
    /// again for each class, and the links that drain last decide as in the closed form.
    pub by: Engine,
}

impl<'a> SolvedFlows<'a> {
    /// A problem that has just been solved.
    #[must_use]
    pub fn new(
        topology: &'a Topology,
        traffic: &'a Traffic,
        problem: &'a Problem,
        mut solution: Solution,
        choice: Choice,
    ) -> Self {
        let drained = solution.drained.take().unwrap_or_else(|| drain(problem));
        if solution.engine == Engine::Quantised {
            // Steps of ε can end below what no schedule can beat; that is known better.
            solution.makespan_s = solution.makespan_s.max(drained.makespan_s);
        }
        Self { topology, traffic, problem, solution, choice, drained }
    }

    /// When each GPU has sent and received its last byte.
    #[must_use]
    pub fn ends(&self) -> Vec<Ends> {
        let mut ends = vec![Ends::default(); self.topology.gpus() as usize];
        for (transfer, &finish) in self.traffic.iter().zip(&self.solution.finish_s) {
            let later = |last: Option<f64>| Some(last.map_or(finish, |last| last.max(finish)));
            let sent = &mut ends[transfer.source as usize].sent_s;
            *sent = later(*sent);
            let received = &mut ends[transfer.destination as usize].received_s;
            *received = later(*received);
        }
        ends
    }

    /// The links whose bytes take longest, the busiest first.
    #[must_use]
    pub fn busiest(&self) -> Vec<Busy> {
        let drained = &self.drained;
        let makespan = self.solution.makespan_s;
        let used = (0..drained.load.len()).filter(|&l| drained.load[l] > 0.0);
        let mut busy: Vec<Busy> = used
            .map(|l| {
                let link = LinkId(l as u32);
                let time = drained.load[l] / self.problem.mean_capacity(link, makespan);
                Busy { link, bytes: drained.load[l], share: time / makespan }
            })
            .collect();
        busy.sort_by(|a, b| b.share.total_cmp(&a.share).then(a.link.cmp(&b.link)));
        busy.truncate(BUSIEST);
        busy
    }

    /// What each class of links that is used would bring if it were 10 % faster.
    #[must_use]
    pub fn upgrades(&self) -> Upgrades {
        let drained = &self.drained;
        // The closed form knows no changes of capacity.
        let again = self.problem.flows() <= SOLVED_AGAIN || !self.problem.changes().is_empty();
        let used = |class: &LinkClass| {
            let links = self.topology.links().iter().enumerate();
            links.into_iter().any(|(l, link)| link.class == *class && drained.load[l] > 0.0)
        };
        let change = |class: LinkClass| {
            if again { self.solved_with_faster(class) } else { self.drained_with_faster(class) }
        };
        let classes = LinkClass::ALL.into_iter().filter(used);
        let mut changes: Vec<(LinkClass, f64)> =
            classes.map(|class| (class, change(class))).collect();
        ascending(&mut changes, |one| one.1);
        let by = if again { self.solution.engine } else { Engine::ClosedForm };
        Upgrades { changes, by }
    }

    fn solved_with_faster(&self, class: LinkClass) -> f64 {
        let faster = |link: &Link| if link.class == class { UPGRADE } else { 1.0 };
        let factors: Vec<f64> = self.topology.links().iter().map(faster).collect();
        let problem = self.problem.clone().scaled(&factors);
        let engine = Some(self.solution.engine);
        let solved = solve(&problem, &Choice { engine, ..self.choice });
        solved.map_or(0.0, |solved| solved.makespan_s / self.solution.makespan_s - 1.0)
    }

    fn drained_with_faster(&self, class: LinkClass) -> f64 {
        let drained = &self.drained;
        let slowest = |faster: Option<LinkClass>| {
            let links = self.topology.links().iter().enumerate();
            links.filter(|&(l, _)| drained.load[l] > 0.0).fold(0.0_f64, |slowest, (l, link)| {
                let gain = if Some(link.class) == faster { UPGRADE } else { 1.0 };
                let time = drained.load[l] / (self.problem.capacities()[l] * gain);
                slowest.max(drained.first_s[l] + time)
            })
        };
        slowest(Some(class)) / slowest(None) - 1.0
    }

    /// Bytes over each link in a second of the makespan.
    #[must_use]
    pub fn link_bytes_per_s(&self) -> Vec<f64> {
        let makespan = self.solution.makespan_s.max(f64::MIN_POSITIVE);
        self.drained.load.iter().map(|bytes| bytes / makespan).collect()
    }
}
