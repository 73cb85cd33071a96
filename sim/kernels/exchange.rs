//! Dispatch and combine by the kernels made for them: DeepEP and NVLink all-to-all.
//!
//! With t tokens of H numbers on each GPU, k slots per token among E experts on G groups (nodes, or
//! GPUs where all share one NVLink domain), the bytes that one GPU sends and keeps are
//!
//! ```text
//!   D(G)  = G · (1 − C(E − E/G, k) / C(E, k))          groups a token reaches          (1)
//!   normal, one node:    V = b·t·H·D(r)                copies to its r ranks           (2)
//!   normal, n nodes:     V = b·t·H·D(n)·(1 − 1/n)      one copy a remote node          (3)
//!   low latency:         V = b·t·H·k·(1 − 1/n)         one copy per remote slot,
//!                                                      1 − 1/r in one node             (4)
//!   NVL72, n ranks:      V = b·t·H·min(n, k)·(1 − 1/n),
//!                        L = b·t·H·min(n, k)/n         balanced slots, kept copies     (5)
//!   T = α + ε·E + ( (V/(B_sm·SMs))^p + (V/B)^p )^(1/p) + L/B_L + γ·t·k/SMs             (6)
//! ```
//!
//! B_sm is what one SM drives, B where links saturate, ε the cost of an expert's counters, γ that
//! of a slot's bookkeeping. Constants are fitted for each number of groups. A number n between two
//! that were measured, a and b, takes the time that each one's constants give for the bytes that
//! (1)–(5) count for n, and between these two times
//!
//! ```text
//!   ln T = (1 − w)·ln T_a + w·ln T_b,   w = (x(n) − x(a)) / (x(b) − x(a))               (7)
//!   nodes:  x = ln n          NVL72:  x = min(n, k)·(1 − 1/n)                             (8)
//! ```
//!
//! In (8), what changes from a few nodes to many is contention in the fabric, which grows with the
//! number of doublings; what changes in a domain without contention is how many copies of a token
//! leave, which hardly grows beyond n = k. One node and several are different machines, NVLink and
//! NICs, and never stand in for each other where another is known. Beyond the measured numbers the
//! nearest one's constants are kept. (1) is the expectation for a gate without favourites, the one
//! DeepEP's own planner uses. Left out: congestion other than that of the fabric measured, which at 8
//! nodes halved the rate.

use std::collections::{BTreeMap, BTreeSet};

use super::curves::Curves;
use super::evidence::Evidence;
use super::gemm::p_norm;

mod support;

pub use support::Unseen;

/// Which kernels carry the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Library {
    /// DeepEP's kernels for many tokens; groups are nodes of eight GPUs.
    DeepEpNormal,
    /// DeepEP's kernels for few tokens; groups are nodes of eight GPUs.
    DeepEpLowLatency,
    /// TensorRT-LLM's all-to-all inside one NVLink domain; groups are GPUs.
    NvlinkDomain,
}

impl Library {
    /// Its name in profiles.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeepEpNormal => "deepep_normal",
            Self::DeepEpLowLatency => "deepep_ll",
            Self::NvlinkDomain => "nvlink_domain",
        }
    }

    /// The library of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::DeepEpNormal, Self::DeepEpLowLatency, Self::NvlinkDomain];
        all.into_iter().find(|library| library.name() == name)
    }
}

/// What is exchanged by whom, but for the number of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExchangeShape {
    /// n: nodes, or ranks of an NVLink domain.
    pub groups: u32,
    /// H: size of a token.
    pub hidden: u32,
    /// k: slots of a token.
    pub top_k: u32,
    /// E: experts of the layer.
    pub experts: u32,
    /// SMs that the kernel may use; 1 where it is not told.
    pub sms: u32,
    /// r: GPUs of one node that take part. A domain has none of its own.
    pub ranks: u32,
}

/// The constants of (6) for one number of groups.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExchangePrior {
    /// α, in seconds.
    pub alpha_s: f64,
    /// ε, in seconds an expert.
    pub expert_s: f64,
    /// B_sm, in bytes per second and SM.
    pub sm_bandwidth: f64,
    /// B, in bytes per second.
    pub bandwidth: f64,
    /// p.
    pub sharpness: f64,
    /// B_L, in bytes per second.
    pub local_bandwidth: f64,
    /// γ, in seconds a slot and SM.
    pub slot_s: f64,
}

/// What a 400 Gb/s NIC carries under such an exchange, in bytes per second, and what going over one adds
/// to start-up, in seconds: published for healthy InfiniBand [deepep], for devices that were measured
/// on one node alone.
const NIC: f64 = 45e9;
const NIC_ALPHA_S: f64 = 20e-6;

/// Ranks of one node where the measurements were made: boxes of eight GPUs.
pub const RANKS_OF_NODE: u32 = 8;

/// Equation (1): groups that a token reaches when its k experts are any k of E.
#[must_use]
pub fn distinct_groups(groups: u32, experts: u32, top_k: u32) -> f64 {
    let (g, e) = (f64::from(groups.max(1)), f64::from(experts.max(1)));
    let miss = |i: u32| {
        let left = e - f64::from(i);
        if left > 0.0 { ((left - e / g) / left).max(0.0) } else { 0.0 }
    };
    let missed: f64 = (0..top_k).map(miss).product();
    g * (1.0 - missed)
}

/// Equations (2)–(5): bytes that one GPU sends and keeps, for `bytes` a number.
#[must_use]
pub fn volume(library: Library, shape: ExchangeShape, bytes: f64, tokens: f64) -> (f64, f64) {
    let (n, k) = (f64::from(shape.groups), f64::from(shape.top_k));
    let copy = bytes * tokens * f64::from(shape.hidden);
    match library {
        Library::DeepEpNormal if shape.groups <= 1 => {
            (copy * distinct_groups(shape.ranks, shape.experts, shape.top_k), 0.0)
        }
        Library::DeepEpNormal => {
            let nodes = distinct_groups(shape.groups, shape.experts, shape.top_k);
            (copy * nodes * (1.0 - 1.0 / n), 0.0)
        }
        Library::DeepEpLowLatency => {
            let groups = if shape.groups <= 1 { f64::from(shape.ranks.max(1)) } else { n };
            (copy * k * (1.0 - 1.0 / groups), 0.0)
        }
        Library::NvlinkDomain => {
            let copies = n.min(k);
            (copy * copies * (1.0 - 1.0 / n), copy * copies / n)
        }
    }
}

impl ExchangePrior {
    /// The time of (6), in seconds.
    #[must_use]
    pub fn seconds(&self, library: Library, shape: ExchangeShape, bytes: f64, tokens: f64) -> f64 {
        let (sent, kept) = volume(library, shape, bytes, tokens);
        let sms = f64::from(shape.sms.max(1));
        self.alpha_s
            + self.expert_s * f64::from(shape.experts)
            + p_norm(sent / (self.sm_bandwidth * sms), sent / self.bandwidth, self.sharpness)
            + kept / self.local_bandwidth
            + self.slot_s * tokens * f64::from(shape.top_k) / sms
    }
}

/// A time asked of a fit.
struct Asked {
    shape: ExchangeShape,
    /// Tokens per GPU, at which residuals are read.
    tokens: u32,
    /// Tokens whose bytes and slots count: all, or none for the start-up alone.
    moved: f64,
    /// Bytes of a number.
    bytes: f64,
}

impl Library {
    /// x of equation (8): where a number of groups lies among others.
    #[must_use]
    pub fn place(self, groups: u32, top_k: u32) -> f64 {
        let n = f64::from(groups.max(1));
        match self {
            Self::DeepEpNormal | Self::DeepEpLowLatency => n.ln(),
            Self::NvlinkDomain => n.min(f64::from(top_k)) * (1.0 - 1.0 / n),
        }
    }

    /// Whether what is known of one number of groups says anything of another.
    #[must_use]
    pub const fn alike(self, a: u32, b: u32) -> bool {
        match self {
            Self::DeepEpNormal | Self::DeepEpLowLatency => (a > 1) == (b > 1),
            Self::NvlinkDomain => true,
        }
    }
}

/// Dispatch or combine by one library.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeFit {
    /// The library.
    pub library: Library,
    /// Bytes of one number on the wire.
    pub bytes: f64,
    /// Constants by number of groups, at least one.
    pub priors: BTreeMap<u32, ExchangePrior>,
    /// What they leave over, by (groups, hidden, top-k, experts, SMs) over tokens.
    pub residual: Curves,
    /// Where the constants come from.
    pub evidence: Evidence,
    /// How far off numbers of groups are that were not measured, where several were.
    pub unseen_groups: Option<Evidence>,
}

impl ExchangeFit {
    /// Time for `tokens` on each GPU, in seconds, by (6) to (8); measured groups and shapes that
    /// `skip` names are passed by. Zero without any constants.
    #[must_use]
    pub fn seconds(&self, shape: ExchangeShape, tokens: u32, skip: impl Fn(&[u32]) -> bool) -> f64 {
        let all = Asked { shape, tokens, moved: tokens.into(), bytes: self.bytes };
        self.read(&all, &skip)
    }

    /// The same with `bytes` per number on the wire, in two parts: what remains when the bytes vanish,
    /// and the whole.
    #[must_use]
    pub fn parts(&self, shape: ExchangeShape, tokens: u32, bytes: f64) -> [f64; 2] {
        [0.0, f64::from(tokens)]
            .map(|moved| self.read(&Asked { shape, tokens, moved, bytes }, &|_| false))
    }

    /// The time that (6) to (8) give for what is asked.
    fn read(&self, asked: &Asked, skip: &impl Fn(&[u32]) -> bool) -> f64 {
        let shape = asked.shape;
        let groups = shape.groups;
        let usable: Vec<u32> = self.priors.keys().copied().filter(|n| !skip(&[*n])).collect();
        let alike = |n: &&u32| self.library.alike(**n, groups);
        let known: BTreeSet<u32> = if usable.iter().any(|n| alike(&n)) {
            usable.iter().filter(alike).copied().collect()
        } else {
            usable.into_iter().collect()
        };
        let below = known.range(..=groups).next_back().or_else(|| known.first());
        let above = known.range(groups..).next().or_else(|| known.last());
        let (Some(&a), Some(&b)) = (below, above) else { return 0.0 };
        let place = |n: u32| self.library.place(n, shape.top_k);
        let apart = place(b) - place(a);
        let share = if apart > 0.0 { (place(groups) - place(a)) / apart } else { 0.0 };
        let time = |n: u32| self.seconds_as(n, asked, skip);
        if share == 0.0 { time(a) } else { time(a).powf(1.0 - share) * time(b).powf(share) }
    }

    /// The time by the constants and residuals of `n` groups, for the bytes of the shape's own.
    fn seconds_as(&self, n: u32, asked: &Asked, skip: &impl Fn(&[u32]) -> bool) -> f64 {
        let Asked { shape, tokens, moved, bytes } = *asked;
        let at = [n, shape.hidden, shape.top_k, shape.experts, shape.sms];
        let curve = self.residual.read(&at, |site| site.at[0] != n || skip(&site.at));
        let knots: Vec<f64> = self.residual.knots().iter().map(|t| t.ln()).collect();
        let log_tokens = f64::from(tokens.max(1)).ln();
        let residual =
            super::curve::interpolate(&knots, &curve.residual, log_tokens).unwrap_or(0.0);
        let mut prior = self.priors[&n];
        if !self.library.alike(n, shape.groups) && shape.groups > 1 {
            // Kernels of one node over the NICs of a fabric that was never measured.
            prior.bandwidth = prior.bandwidth.min(NIC);
            prior.alpha_s += NIC_ALPHA_S;
            return prior.seconds(self.library, shape, bytes, moved);
        }
        let time = prior.seconds(self.library, shape, bytes, moved);
        time * residual.exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reaches_as_many_groups_as_counting_says() {
        // Eight of 256 experts on 8 nodes: 8·(1 − C(224,8)/C(256,8)) = 5.29.
        assert!((distinct_groups(8, 256, 8) - 5.29).abs() < 0.01, "{}", distinct_groups(8, 256, 8));
        assert!((distinct_groups(4, 8, 1) - 1.0).abs() < 1e-12);
        assert!((distinct_groups(2, 4, 4) - 2.0).abs() < 1e-12);
    }

    fn prior(alpha_us: f64, gb_per_s: f64) -> ExchangePrior {
        ExchangePrior {
            alpha_s: alpha_us * 1e-6,
            expert_s: 0.0,
            sm_bandwidth: 1e15,
            bandwidth: gb_per_s * 1e9,
            sharpness: 3.0,
            local_bandwidth: 1e15,
            slot_s: 0.0,
        }
    }

    fn fit(library: Library, priors: &[(u32, ExchangePrior)]) -> ExchangeFit {
        ExchangeFit {
            library,
            bytes: 1.0,
            priors: priors.iter().copied().collect(),
            residual: crate::kernels::curves::Curves::none(),
            evidence: crate::kernels::profile::Evidence::none(),
            unseen_groups: None,
        }
    }

    const SHAPE: ExchangeShape =
        ExchangeShape { groups: 4, hidden: 7168, top_k: 8, experts: 256, sms: 1, ranks: 8 };

    #[test]
    fn four_nodes_take_the_geometric_mean_of_what_two_and_eight_would() {
        let both = [(1, prior(5.0, 300.0)), (2, prior(20.0, 44.0)), (8, prior(80.0, 22.0))];
        let time = fit(Library::DeepEpLowLatency, &both).seconds(SHAPE, 1000, |_| false);
        let bytes = 1000.0 * 7168.0 * 8.0 * 0.75;
        let on = |alpha: f64, rate: f64| alpha * 1e-6 + bytes / rate / 1e9;
        let wanted = (on(20.0, 44.0) * on(80.0, 22.0)).sqrt();
        assert!((time / wanted - 1.0).abs() < 1e-12, "{time} for {wanted}");
    }

    #[test]
    fn one_node_never_stands_in_for_several_where_others_are_known() {
        let both = [(1, prior(5.0, 300.0)), (8, prior(80.0, 22.0))];
        let known = fit(Library::DeepEpNormal, &both).seconds(SHAPE, 1000, |_| false);
        let alone = fit(Library::DeepEpNormal, &both[1..]).seconds(SHAPE, 1000, |_| false);
        assert_eq!(known, alone);
    }

    #[test]
    fn a_domain_of_more_ranks_than_slots_hardly_takes_longer() {
        let domains = [(4, prior(10.0, 600.0)), (16, prior(20.0, 600.0))];
        let fit = fit(Library::NvlinkDomain, &domains);
        let time = |groups| fit.seconds(ExchangeShape { groups, ..SHAPE }, 1, |_| false);
        let (eight, sixteen, many) = (time(8), time(16), time(64));
        assert!(time(4) < eight && eight < sixteen && sixteen <= many, "{eight} {sixteen} {many}");
        assert!(eight > 0.85 * sixteen && many < 1.1 * sixteen, "{eight} {sixteen} {many}");
    }
}
