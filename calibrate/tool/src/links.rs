//! A profile whose links are those of one's own cluster: what logs of tests timed replaces or scales what the
//! profile had.
//!
//! ```text
//! collectives of one node        fitted as from a table of measurements                           (1)
//! all-to-alls between nodes      T = α_n + s·(1 − g/N)/(e·b)   by least squares in ln T              (2)
//! exchanges of DeepEP            every time constant times c, the median of measured / predicted      (3)
//! ```
//!
//! s bytes that a GPU holds, N GPUs, g of them in a node, b a GPU's share of its NICs, e ≤ 1 the share that an
//! all-to-all reaches, α_n the start-up on n nodes. A test of DeepEP times one or two shapes: (3) keeps how times
//! depend on shapes from the profile and takes the level from the cluster.

use std::collections::{BTreeMap, BTreeSet};

use moesim::base::statistics::{Rule, quantile};
use moesim::base::units::{Bandwidth, SimDuration};
use moesim::kernels::exchange::ExchangePrior;
use moesim::kernels::measurements::CollectiveRow;
use moesim::kernels::profile::{CollectiveOp, Evidence, ExchangeFit, InterNodeFit, Profile};

use crate::evidence::{conformal_p90, law_of, residual_of};
use crate::families::nccl;
use crate::least_squares::minimise;
use crate::residuals::rounded;

pub mod logs;

use logs::Log;
use logs::deepep::TimedExchange;
use logs::nccl::CollectiveLog;

/// What became of the logs, a line each.
pub type Told = Vec<String>;

/// The profile with links as these logs timed them.
///
/// # Errors
/// In words, if a log cannot be used.
pub fn of_logs(
    mut profile: Profile,
    logs: &[(String, Log)],
    nic: Option<Bandwidth>,
    peer_to_peer: bool,
) -> Result<(Profile, Told), String> {
    let mut told = Told::new();
    let collectives = |within: bool| -> Vec<(&str, &CollectiveLog)> {
        let of = logs.iter().filter_map(|(name, log)| match log {
            Log::Collective(log) if (log.nodes == 1) == within => Some((name.as_str(), log)),
            _ => None,
        });
        of.collect()
    };
    within_nodes(&mut profile, &collectives(true), peer_to_peer, &mut told)?;
    between_nodes(&mut profile, &collectives(false), nic, &mut told)?;
    let exchanges = logs.iter().filter_map(|(name, log)| match log {
        Log::Exchanges(rows) => Some((name.as_str(), rows)),
        Log::Collective(_) => None,
    });
    scale_exchanges(&mut profile, &exchanges.collect::<Vec<_>>(), &mut told)?;
    Ok((profile, told))
}

/// (1)
fn within_nodes(
    profile: &mut Profile,
    logs: &[(&str, &CollectiveLog)],
    peer_to_peer: bool,
    told: &mut Told,
) -> Result<(), String> {
    for op in CollectiveOp::ALL {
        let of: Vec<_> = logs.iter().filter(|(_, log)| log.rows[0].op == op).collect();
        let rows: Vec<CollectiveRow> = of.iter().flat_map(|(_, log)| log.rows.clone()).collect();
        if rows.is_empty() {
            continue;
        }
        if rows.len() < 4 {
            return Err(format!(
                "{}: {} sizes of {} cannot settle a start-up, a rate and a ramp between them; time at least four, \
                 from kilobytes to the largest that matters (-b 1K -e 1G -f 2)",
                of[0].0,
                rows.len(),
                op.name()
            ));
        }
        let names: Vec<&str> = of.iter().map(|(name, _)| *name).collect();
        let fit = nccl::fit(op, &rows, &names.join(" and "), peer_to_peer)
            .ok_or_else(|| format!("{}: nothing to fit", names[0]))?;
        let off = fit.evidence.prior.map_or(0.0, |error| error.median * 100.0);
        let gpus: Vec<String> = fit.ramps.keys().map(u32::to_string).collect();
        told.push(format!(
            "{} within a node of {} GPUs: {} sizes, constants off by {off:.1} % at the median",
            op.name(),
            gpus.join(", "),
            rows.len()
        ));
        if op == CollectiveOp::AllToAll {
            profile.pair_bandwidth =
                fit.ramps.get(&2).map(|ramp| ramp.bandwidth).or(profile.pair_bandwidth);
        }
        profile.collectives.insert(op, fit);
    }
    Ok(())
}

const ASK_NIC: &str =
    "say with --nic what one GPU's share of its node's NICs carries, such as --nic \"400 Gb/s\"";

/// A point of (2): nodes, bytes that leave a GPU's node, and seconds.
type Point = (u32, f64, f64);

/// (2)
fn between_nodes(
    profile: &mut Profile,
    logs: &[(&str, &CollectiveLog)],
    nic: Option<Bandwidth>,
    told: &mut Told,
) -> Result<(), String> {
    let (used, others): (Vec<_>, Vec<_>) =
        logs.iter().partition(|(_, log)| log.rows[0].op == CollectiveOp::AllToAll);
    for (name, log) in others {
        let op = log.rows[0].op.name();
        let why = "between nodes is not used; all-to-alls say what leaves a node";
        told.push(format!("{name}: {op} {why}"));
    }
    let names: Vec<&str> = used.iter().map(|(name, _)| *name).collect();
    let points = used.iter().flat_map(|(_, log)| {
        let share = 1.0 - 1.0 / f64::from(log.nodes);
        log.rows.iter().map(move |row| (log.nodes, row.bytes as f64 * share, row.seconds))
    });
    let points: Vec<Point> = points.collect();
    let Some(first) = names.first() else { return Ok(()) };
    let nic = nic.ok_or_else(|| format!("{first}: ran across nodes; {ASK_NIC}"))?;
    let (mut fit, rate) = inter_node(&points, nic);
    if rate > 1.02 {
        return Err(format!(
            "{first}: delivers {:.0} % of {} GB/s a GPU; is --nic one GPU's share of its node's NICs?",
            rate * 100.0,
            nic.gb_per_sec()
        ));
    }
    told.push(format!(
        "all-to-all between nodes: {:.1} % of {} GB/s, from {} sizes on {} nodes",
        fit.efficiency * 100.0,
        nic.gb_per_sec(),
        points.len(),
        fit.alpha.keys().map(u32::to_string).collect::<Vec<_>>().join(", ")
    ));
    fit.evidence.fitted_on = names.join(" and ");
    profile.inter_node = Some(fit);
    Ok(())
}

/// The constants of (2), and e before it is held to 1.
fn inter_node(points: &[Point], nic: Bandwidth) -> (InterNodeFit, f64) {
    let groups: BTreeSet<u32> = points.iter().map(|(nodes, ..)| *nodes).collect();
    let groups: Vec<u32> = groups.into_iter().collect();
    let least = points.iter().map(|(.., seconds)| *seconds).fold(f64::INFINITY, f64::min);
    let errors = |p: &[f64]| -> Vec<f64> {
        let error = |(nodes, bytes, seconds): &Point| {
            let at = groups.iter().position(|group| group == nodes).unwrap_or(0);
            ((p[1 + at] + bytes / (p[0] * nic.bytes_per_sec())) / seconds).ln()
        };
        points.iter().map(error).collect()
    };
    let start: Vec<f64> = std::iter::once(0.9).chain(groups.iter().map(|_| least)).collect();
    let mut found = minimise(&start, errors);
    let rate = found[0];
    found[0] = rate.min(1.0);
    let errors = errors(&found);
    let alpha = groups.iter().zip(&found[1..]);
    let evidence = Evidence {
        rows: points.len(),
        prior: residual_of(&errors),
        log_error_p90: conformal_p90(&errors).map(rounded),
        log_errors: law_of(&errors),
        ..Evidence::none()
    };
    let alpha = alpha.map(|(&nodes, &alpha)| (nodes, SimDuration::from_secs(alpha))).collect();
    (InterNodeFit { efficiency: rounded(found[0]), alpha, evidence }, rate)
}

/// (3)
fn scale_exchanges(
    profile: &mut Profile,
    logs: &[(&str, &Vec<TimedExchange>)],
    told: &mut Told,
) -> Result<(), String> {
    let mut by_family: BTreeMap<&str, (Vec<f64>, Vec<&str>)> = BTreeMap::new();
    for (name, rows) in logs {
        for row in *rows {
            let Some(fit) = profile.exchanges.get(&row.family) else {
                let known: Vec<&str> = profile.exchanges.keys().map(String::as_str).collect();
                return Err(format!(
                    "{name}: timed {}, and profile {} has no such exchange to scale; it has {}",
                    row.family,
                    profile.name,
                    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
                ));
            };
            let predicted = fit.seconds_on(1.0, row.shape, row.tokens, |_| false);
            let (ratios, names) = by_family.entry(&row.family).or_default();
            ratios.push(row.seconds / predicted);
            if names.last() != Some(name) {
                names.push(name);
            }
        }
    }
    for (family, (ratios, names)) in by_family {
        let factor = quantile(&ratios, 0.5, Rule::Linear).unwrap_or(1.0);
        told.push(format!(
            "{family}: takes {factor:.2} of what the profile said, at the median of {}",
            ratios.len()
        ));
        if let Some(fit) = profile.exchanges.get_mut(family) {
            *fit = scaled(fit, factor, &names.join(" and "));
        }
    }
    Ok(())
}

/// Times of every shape times this factor.
fn scaled(fit: &ExchangeFit, factor: f64, by: &str) -> ExchangeFit {
    let prior = |prior: &ExchangePrior| ExchangePrior {
        alpha_s: prior.alpha_s * factor,
        expert_s: prior.expert_s * factor,
        slot_s: prior.slot_s * factor,
        sm_bandwidth: prior.sm_bandwidth / factor,
        bandwidth: prior.bandwidth / factor,
        local_bandwidth: prior.local_bandwidth / factor,
        ..*prior
    };
    let fitted_on = format!("{}, times {factor:.3} by {by}", fit.evidence.fitted_on);
    ExchangeFit {
        priors: fit.priors.iter().map(|(&groups, of)| (groups, prior(of))).collect(),
        evidence: Evidence { fitted_on, ..fit.evidence.clone() },
        ..fit.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use moesim::config::built_in_profile;
    use moesim::kernels::exchange::{ExchangeShape, RANKS_OF_NODE};

    fn log(op: CollectiveOp, nodes: u32, gpus: u32, seconds: impl Fn(f64) -> f64) -> Log {
        let rows = (10..30).step_by(2).map(|power| {
            let bytes = 1u64 << power;
            CollectiveRow { op, gpus, bytes, seconds: seconds(bytes as f64) }
        });
        Log::Collective(CollectiveLog { nodes, rows: rows.collect() })
    }

    /// What is fitted to made-up logs is what they were made by.
    #[test]
    fn links_of_logs_are_found_again() {
        let profile = built_in_profile("h100-sxm").unwrap();
        let nic = Bandwidth::from_bytes_per_sec(50e9);
        let across = log(CollectiveOp::AllToAll, 4, 32, |s| 100e-6 + s * 0.75 / (0.8 * 50e9));
        let within = log(CollectiveOp::AllToAll, 1, 8, |s| 20e-6 + s * 0.875 / 200e9);
        let logs = [("a".to_owned(), across), ("b".to_owned(), within)];
        let (found, told) = of_logs(profile, &logs, Some(nic), true).unwrap();
        let out = found.inter_node.unwrap();
        assert!((out.efficiency - 0.8).abs() < 0.01, "{}", out.efficiency);
        assert!((out.alpha[&4].secs() / 100e-6 - 1.0).abs() < 0.02);
        let fit = &found.collectives[&CollectiveOp::AllToAll];
        let large = fit.seconds(8, (1u64 << 28) as f64);
        assert!(
            (large / (20e-6 + (1u64 << 28) as f64 * 0.875 / 200e9) - 1.0).abs() < 0.03,
            "{large}"
        );
        assert_eq!(told.len(), 2, "{told:?}");
    }

    #[test]
    fn more_than_the_nic_carries_is_refused() {
        let profile = built_in_profile("h100-sxm").unwrap();
        let nic = Bandwidth::from_bytes_per_sec(25e9);
        let across = log(CollectiveOp::AllToAll, 4, 32, |s| 100e-6 + s * 0.75 / 40e9);
        let refused = of_logs(profile, &[("a".to_owned(), across)], Some(nic), true).unwrap_err();
        assert!(refused.contains("--nic"), "{refused}");
    }

    #[test]
    fn one_timing_of_deepep_scales_all_shapes() {
        let profile = built_in_profile("h100-sxm").unwrap();
        let shape = ExchangeShape {
            groups: 1,
            hidden: 7168,
            top_k: 8,
            experts: 256,
            sms: 24,
            ranks: RANKS_OF_NODE,
        };
        let family = "deepep_normal/dispatch";
        let before = |tokens| profile.exchanges[family].seconds_on(1.0, shape, tokens, |_| false);
        let seconds = 1.25 * before(4096);
        let row = TimedExchange { family: family.to_owned(), shape, tokens: 4096, seconds };
        let logs = [("a".to_owned(), Log::Exchanges(vec![row]))];
        let (found, _) = of_logs(profile.clone(), &logs, None, true).unwrap();
        for tokens in [64, 1024, 4096] {
            let after = found.exchanges[family].seconds_on(1.0, shape, tokens, |_| false);
            assert!((after / before(tokens) - 1.25).abs() < 1e-3, "{tokens}");
        }
    }
}
