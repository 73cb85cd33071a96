//! What `moesim flows` prints.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::fluid::{Drained, Problem, Solution, drain};
use crate::topology::{LinkClass, Topology};
use crate::traffic::Traffic;
use crate::units::{LinkId, SimDuration};

/// Links listed as the busiest.
const BUSIEST: usize = 8;
/// How much faster a class of links is made to see what that gains.
const UPGRADE: f64 = 1.1;

/// A solved problem and what it came from.
pub(super) struct Study<'a> {
    pub topology: &'a Topology,
    pub traffic: &'a Traffic,
    pub problem: &'a Problem,
    pub solution: Solution,
}

/// A link and how it was used.
struct Busy {
    link: LinkId,
    bytes: f64,
    /// Share of the makespan that its bytes take at its full rate.
    share: f64,
}

impl Study<'_> {
    /// When each GPU has received its last byte, in seconds; `None` where nothing comes.
    fn arrivals(&self) -> Vec<Option<f64>> {
        let mut arrival: Vec<Option<f64>> = vec![None; self.topology.gpus() as usize];
        for (transfer, &finish) in self.traffic.iter().zip(&self.solution.finish_s) {
            let last = &mut arrival[transfer.destination as usize];
            *last = Some(last.map_or(finish, |last| last.max(finish)));
        }
        arrival
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

    /// By how much the makespan changes, relative, if a class of links were 10 % faster. From the
    /// closed form: the links that drain last decide.
    fn upgrades(&self, drained: &Drained) -> Vec<(LinkClass, f64)> {
        let slowest = |faster: Option<LinkClass>| {
            let links = self.topology.links().iter().enumerate();
            links.filter(|&(l, _)| drained.load[l] > 0.0).fold(0.0_f64, |slowest, (l, link)| {
                let gain = if Some(link.class) == faster { UPGRADE } else { 1.0 };
                let time = drained.load[l] / (self.problem.capacities()[l] * gain);
                slowest.max(drained.first_s[l] + time)
            })
        };
        let now = slowest(None);
        let used = |class: &LinkClass| {
            let links = self.topology.links().iter().enumerate();
            links.into_iter().any(|(l, link)| link.class == *class && drained.load[l] > 0.0)
        };
        let classes = LinkClass::ALL.into_iter().filter(used);
        let mut gains: Vec<(LinkClass, f64)> =
            classes.map(|class| (class, slowest(Some(class)) / now - 1.0)).collect();
        gains.sort_by(|a, b| a.1.total_cmp(&b.1));
        gains
    }

    pub fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "source,destination,bytes,start_s,finish_s")?;
        for (transfer, finish) in self.traffic.iter().zip(&self.solution.finish_s) {
            let (from, to, bytes) = (transfer.source, transfer.destination, transfer.bytes.0);
            writeln!(out, "{from},{to},{bytes},{},{finish:.12}", transfer.start_s)?;
        }
        Ok(())
    }

    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        let drained = drain(self.problem);
        let busiest = self.busiest(&drained).into_iter().map(|busy| {
            json!({
                "link": self.topology.link_name(busy.link),
                "class": self.topology.links()[busy.link.index()].class.name(),
                "bytes": busy.bytes,
                "busy_share": busy.share,
            })
        });
        let upgrades = self.upgrades(&drained).into_iter().map(|(class, change)| {
            json!({ "class": class.name(), "makespan_change_percent_at_10_percent_faster": change * 100.0 })
        });
        let report = json!({
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
            "arrival_s": self.arrivals(),
            "busiest_links": busiest.collect::<Vec<Value>>(),
            "upgrades": upgrades.collect::<Vec<Value>>(),
            "cpu_s": cpu_seconds(),
            "peak_rss_bytes": peak_memory(),
        });
        serde_json::to_writer_pretty(&mut *out, &report)?;
        writeln!(out)
    }

    pub fn write_table(&self, out: &mut dyn Write) -> io::Result<()> {
        let (solution, drained) = (&self.solution, drain(self.problem));
        let time = |seconds: f64| SimDuration::from_secs(seconds.max(0.0));
        let percent = 100.0 * solution.error_bound;
        writeln!(out, "{} flows over {}", self.traffic.len(), self.topology.name())?;
        writeln!(out, "makespan          {}", time(solution.makespan_s))?;
        writeln!(out, "lower bound       {}", time(drained.makespan_s))?;
        writeln!(out, "engine            {}, error up to {percent:.1e} %", solution.engine.name())?;
        writeln!(
            out,
            "independent parts {}, {} of them different",
            solution.parts, solution.distinct_parts
        )?;
        let mut arrivals: Vec<f64> = self.arrivals().into_iter().flatten().collect();
        arrivals.sort_by(f64::total_cmp);
        if let (Some(first), Some(last)) = (arrivals.first(), arrivals.last()) {
            let median = arrivals[arrivals.len() / 2];
            writeln!(
                out,
                "last byte at GPUs {} first, {} median, {} last",
                time(*first),
                time(median),
                time(*last)
            )?;
        }
        writeln!(out, "\nbusiest links                  class        busy")?;
        for busy in self.busiest(&drained) {
            let class = self.topology.links()[busy.link.index()].class.name();
            let name = self.topology.link_name(busy.link);
            writeln!(out, "  {name:<28} {class:<11} {:>5.1} %", 100.0 * busy.share)?;
        }
        writeln!(out, "\nmakespan if a class of links were 10 % faster")?;
        for (class, change) in self.upgrades(&drained) {
            writeln!(out, "  {:<28} {:>+6.2} %", class.name(), 100.0 * change)?;
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
