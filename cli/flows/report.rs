//! What `moesim flows` prints.

use std::io::{self, Write};

use serde_json::{Value, json};

use moesim::base::statistics::{Rule, quantile_of_sorted};
use moesim::base::units::{LinkId, SimDuration};
use moesim::network::fluid::{Choice, Drained, Engine, Problem, Solution, drain, solve};
use moesim::network::traffic::Traffic;
use moesim::output::report::link_use;
use moesim::topology::{Link, LinkClass, Topology};

/// Links listed as the busiest.
const BUSIEST: usize = 8;
/// How much faster a class of links is made to see what that gains.
const UPGRADE: f64 = 1.1;

/// Problems of up to this many flows are solved again for each class of links, and listed in JSON.
const SOLVED_AGAIN: usize = 50_000;

/// A solved problem and what it came from.
pub(super) struct Study<'a> {
    pub topology: &'a Topology,
    pub traffic: &'a Traffic,
    pub problem: &'a Problem,
    pub solution: Solution,
    choice: Choice,
    /// Processor time of this process when the problem was solved, in seconds.
    cpu_s: f64,
}

/// When a GPU's last flow ended, out and in, in seconds; `None` where there is none.
#[derive(Clone, Copy, Default)]
struct Ends {
    sent_s: Option<f64>,
    received_s: Option<f64>,
}

impl Ends {
    fn done_s(&self) -> Option<f64> {
        self.sent_s.into_iter().chain(self.received_s).reduce(f64::max)
    }
}

/// A link and how it was used.
struct Busy {
    link: LinkId,
    bytes: f64,
    /// Share of the makespan that its bytes take at its full rate.
    share: f64,
}

impl<'a> Study<'a> {
    /// A study that has just been solved.
    pub fn new(
        topology: &'a Topology,
        traffic: &'a Traffic,
        problem: &'a Problem,
        solution: Solution,
        choice: Choice,
    ) -> Self {
        let cpu_s = cpu_seconds();
        let mut solution = solution;
        if solution.engine == Engine::Quantised {
            // Steps of ε can end below what no schedule can beat; that is known better.
            solution.makespan_s = solution.makespan_s.max(drain(problem).makespan_s);
        }
        Self { topology, traffic, problem, solution, choice, cpu_s }
    }

    /// When each GPU has sent and received its last byte.
    fn ends(&self) -> Vec<Ends> {
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

    fn busiest(&self, drained: &Drained) -> Vec<Busy> {
        let makespan = self.solution.makespan_s;
        let used = (0..drained.load.len()).filter(|&l| drained.load[l] > 0.0);
        let mut busy: Vec<Busy> = used
            .map(|l| {
                let time = drained.load[l] / self.problem.capacities()[l];
                Busy { link: LinkId(l as u32), bytes: drained.load[l], share: time / makespan }
            })
            .collect();
        busy.sort_by(|a, b| b.share.total_cmp(&a.share).then(a.link.cmp(&b.link)));
        busy.truncate(BUSIEST);
        busy
    }

    /// By how much the makespan changes, relative, if a class of links were 10 % faster, and whether
    /// the engine that ran says so: problems of more than [`SOLVED_AGAIN`] flows are not solved again
    /// for each class, and the links that drain last decide as in the closed form.
    fn upgrades(&self, drained: &Drained) -> (Vec<(LinkClass, f64)>, bool) {
        let again = self.problem.flows() <= SOLVED_AGAIN;
        let used = |class: &LinkClass| {
            let links = self.topology.links().iter().enumerate();
            links.into_iter().any(|(l, link)| link.class == *class && drained.load[l] > 0.0)
        };
        let change = |class: LinkClass| {
            if again {
                self.solved_with_faster(class)
            } else {
                self.drained_with_faster(class, drained)
            }
        };
        let classes = LinkClass::ALL.into_iter().filter(used);
        let mut gains: Vec<(LinkClass, f64)> =
            classes.map(|class| (class, change(class))).collect();
        gains.sort_by(|a, b| a.1.total_cmp(&b.1));
        (gains, again)
    }

    fn solved_with_faster(&self, class: LinkClass) -> f64 {
        let links = self.topology.links().iter().zip(self.problem.capacities());
        let faster = |link: &Link| if link.class == class { UPGRADE } else { 1.0 };
        let capacity = links.map(|(link, capacity)| capacity * faster(link)).collect();
        let problem = self.problem.clone().with_capacities(capacity);
        let engine = Some(self.solution.engine);
        let solved = solve(&problem, &Choice { engine, ..self.choice });
        solved.map_or(0.0, |solved| solved.makespan_s / self.solution.makespan_s - 1.0)
    }

    fn drained_with_faster(&self, class: LinkClass, drained: &Drained) -> f64 {
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

    pub fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        let ends = self.ends();
        let done = |gpu: u32| ends[gpu as usize].done_s().unwrap_or_default();
        writeln!(
            out,
            "source,destination,bytes,start_s,finish_s,source_done_s,destination_done_s"
        )?;
        for (transfer, finish) in self.traffic.iter().zip(&self.solution.finish_s) {
            let (from, to, bytes) = (transfer.source, transfer.destination, transfer.bytes.0);
            write!(out, "{from},{to},{bytes},{},{finish:.12}", transfer.start_s)?;
            writeln!(out, ",{:.12},{:.12}", done(from), done(to))?;
        }
        Ok(())
    }

    /// All that is known, as one object.
    pub fn json(&self) -> Value {
        let drained = drain(self.problem);
        let busiest = self.busiest(&drained).into_iter().map(|busy| {
            json!({
                "link": self.topology.link_name(busy.link),
                "class": self.topology.links()[busy.link.index()].class.name(),
                "bytes": busy.bytes,
                "busy_share": busy.share,
            })
        });
        let (upgrades, solved_again) = self.upgrades(&drained);
        let upgrades = upgrades.into_iter().map(|(class, change)| {
            json!({ "class": class.name(), "makespan_change_percent_at_10_percent_faster": change * 100.0 })
        });
        let (ends, few) = (self.ends(), self.traffic.len() <= SOLVED_AGAIN);
        // Where the makespan alone is wanted, the engine may give all flows the same end.
        let each = !self.choice.makespan_only;
        json!({
            "topology": self.topology.name(),
            "gpus": self.topology.gpus(),
            "flows": self.traffic.len(),
            "makespan_s": self.solution.makespan_s,
            "engine": self.solution.engine.name(),
            "error_bound": self.solution.error_bound,
            "lower_bound_s": drained.makespan_s,
            "parts": self.solution.parts,
            "distinct_parts": self.solution.distinct_parts,
            "fillings": self.solution.fillings,
            "sent_s": each.then(|| ends.iter().map(|ends| ends.sent_s).collect::<Vec<_>>()),
            "arrival_s": each.then(|| ends.iter().map(|ends| ends.received_s).collect::<Vec<_>>()),
            "finish_s": (few && each).then_some(&self.solution.finish_s),
            "busiest_links": busiest.collect::<Vec<Value>>(),
            "link_use": link_use(self.topology, &self.link_bytes_per_s()),
            "upgrades": upgrades.collect::<Vec<Value>>(),
            "upgrades_by": if solved_again { self.solution.engine.name() } else { "closed-form" },
            "cpu_s": self.cpu_s,
            "peak_rss_bytes": peak_memory(),
        })
    }

    /// Bytes over each link in a second of the makespan.
    pub fn link_bytes_per_s(&self) -> Vec<f64> {
        let makespan = self.solution.makespan_s.max(f64::MIN_POSITIVE);
        drain(self.problem).load.iter().map(|bytes| bytes / makespan).collect()
    }

    pub fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let (solution, drained) = (&self.solution, drain(self.problem));
        let time = |seconds: f64| SimDuration::from_secs(seconds.max(0.0));
        let percent = 100.0 * solution.error_bound;
        writeln!(out, "{} flows over {}", self.traffic.len(), self.topology.name())?;
        writeln!(out, "makespan          {}", time(solution.makespan_s))?;
        writeln!(out, "lower bound       {}", time(drained.makespan_s))?;
        // The steps of the quantised engine aim at ε, and nothing proves that they meet it.
        let known = if solution.engine == Engine::Quantised { "aimed at" } else { "up to" };
        writeln!(
            out,
            "engine            {}, error {known} {percent:.1e} %",
            solution.engine.name()
        )?;
        writeln!(
            out,
            "independent parts {}, {} of them different",
            solution.parts, solution.distinct_parts
        )?;
        if !self.choice.makespan_only {
            self.write_ends(out)?;
        }
        writeln!(out, "\nbusiest links                  class        busy")?;
        for busy in self.busiest(&drained) {
            let class = self.topology.links()[busy.link.index()].class.name();
            let name = self.topology.link_name(busy.link);
            writeln!(out, "  {name:<28} {class:<11} {:>5.1} %", 100.0 * busy.share)?;
        }
        let (upgrades, again) = self.upgrades(&drained);
        let by = if again { solution.engine.name() } else { "closed-form" };
        writeln!(out, "\nmakespan if a class of links were 10 % faster, {by}")?;
        for (class, change) in upgrades {
            // What rounds to nothing has no sign.
            let change = if change.abs() < 5e-5 { 0.0 } else { change };
            writeln!(out, "  {:<28} {:>+6.2} %", class.name(), 100.0 * change)?;
        }
        Ok(())
    }

    /// When GPUs have received their last byte, and which are done last.
    fn write_ends(&self, out: &mut dyn Write) -> io::Result<()> {
        let time = |seconds: f64| SimDuration::from_secs(seconds.max(0.0));
        let ends = self.ends();
        let mut arrivals: Vec<f64> = ends.iter().filter_map(|ends| ends.received_s).collect();
        arrivals.sort_by(f64::total_cmp);
        if let (Some(first), Some(last)) = (arrivals.first(), arrivals.last()) {
            let median = quantile_of_sorted(&arrivals, 0.5, Rule::Upper).unwrap_or(*last);
            writeln!(
                out,
                "last byte at GPUs {} first, {} median, {} last",
                time(*first),
                time(median),
                time(*last)
            )?;
        }
        let mut last: Vec<(usize, Ends)> = ends.into_iter().enumerate().collect();
        let done = |ends: &Ends| ends.done_s().unwrap_or_default();
        last.sort_by(|a, b| done(&b.1).total_cmp(&done(&a.1)).then(a.0.cmp(&b.0)));
        let shown = |at: Option<f64>| at.map_or_else(|| "-".to_owned(), |at| time(at).to_string());
        writeln!(out, "\nlast GPUs to be done                      sent      received")?;
        for (gpu, ends) in last.iter().take(BUSIEST).filter(|(_, ends)| ends.done_s().is_some()) {
            let [sent, received] = [ends.sent_s, ends.received_s].map(shown);
            writeln!(out, "  gpu{gpu:<25} {sent:>16}  {received:>12}")?;
        }
        Ok(())
    }
}

/// Processor time of this process so far, in seconds.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The most memory this process has held, where the system says.
fn peak_memory() -> Option<u64> {
    kilobytes("/proc/self/status", "VmHWM:")
}

/// Memory that is free, or a guess of 8 GB where the system does not say.
pub(super) fn free_memory() -> u64 {
    kilobytes("/proc/meminfo", "MemAvailable:").unwrap_or(8_000_000_000)
}

fn kilobytes(file: &str, key: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kb| kb * 1024)
}
