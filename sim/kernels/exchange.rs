//! Dispatch and combine by the kernels made for them: DeepEP, Hybrid-EP and NVLink all-to-all.
//!
//! With t tokens of H numbers of b bytes on each GPU, k slots per token among E experts, on n groups
//! (nodes of r GPUs, or the n GPUs of one NVLink domain), a token reaches
//!
//! ```text
//!   D(g)  = g · (1 − C(E − E/g, k) / C(E, k))          of g groups                     (1)
//! ```
//!
//! One GPU drives S bytes through its engines, sends V over the link that binds, keeps L:
//!
//! ```text
//!   normal, one node:    S = b·t·H·(D(r) + c)          copies to ranks, and its own
//!                        V = b·t·H·D(r)                NVLink                           (2)
//!   normal, n nodes:     S = b·t·H·(D(n·r) + c)        copies to ranks, and its own
//!                        V = b·t·H·D(n)·(1 − 1/n)      NIC: one copy a remote node      (3)
//!   low latency:         S = V = b·t·H·k·(1 − 1/n)     one copy per remote slot,
//!                                                      1 − 1/r in one node             (4)
//!   NVL72, n ranks:      S = V = b·t·H·min(n, k)·(1 − 1/n),
//!                        L = b·t·H·min(n, k)/n         balanced slots, kept copies     (5)
//!   T = α(n, r) + ε·E + ( (S/(B_e·e))^p + (V/(B·f))^p )^(1/p) + L/B_L + γ·t·k/SMs      (6)
//! ```
//!
//! e counts engines: SMs of the normal kernels; of low latency the E warp groups that receive, one
//! for each pair of a local expert and a rank, so that few experts in all leave the links idle. B_e is
//! what one engine drives, B where links saturate, ε the cost of an expert's counters, γ that of a
//! slot's bookkeeping. A gate of top-1 shows that a token's own copy is read or written once more: with c in
//! (2), 90th percentiles of its rows fall from 45 to 5 % (dispatch, H100). With the engines of (4)
//! eight experts on eight H100 are 3 % off at the median instead of 44 %.
//!
//! f is the share of B that the fabric behind the NICs carried while it was measured. It belongs to that
//! fabric, not to the library: at 8 nodes the measured one was congested (f of 0.48), at 2 it was not.
//! Tables are judged on their own fabric ([`ExchangeFit::seconds`]); runs have f = 1
//! ([`ExchangeFit::parts`]), and congestion is their topology's affair. B of nodes is held to what
//! DeepEP publishes of a NIC, since two nodes alone cannot tell it from B_e.
//!
//! Hybrid-EP [hybridep] goes by (2) and (3), with an NVLink domain of up to 72 GPUs for a node; its start-up is what its calls
//! take beside their kernels, the rest is fitted to kernels alone, with c = 0 in one domain. There engines of its dispatch in 8 bits
//! take as long for ranks that a token does not reach, S = b·t·H·(D + u·(n·r − D) + c) with u = 1 in place of 0: its constants
//! are then 3 % off at the median, and 16 % otherwise (GB200).
//!
//! Rates are fitted to all numbers of nodes or of ranks at once, the start-up to each. For other n,
//!
//! ```text
//!   nodes:   ln α linear in ln n      NVL72:   α linear in ln n                         (7)
//!   DeepEP:  α(n, r) = α(n) · (1 + 0.25·ln(r/8))                                        (8)
//! ```
//!
//! (8) has no table: 0.25 is the mean of what the one-sided kernels of the GB200, which push to peers and
//! poll flags as DeepEP's do, take more from 4 to 16 ranks (dispatch 0.19, combine 0.31; NCCL's all-to-all
//! from 2 to 8 GPUs 0.10 to 0.19). What constants leave over is read
//! at the measured n on either side and taken in proportion of ln n. One node and several are different
//! machines, NVLink and NICs, and never stand in for each other where another is known. (1) is the
//! expectation for a gate without favourites, the one DeepEP's own planner uses.

use std::collections::BTreeMap;

use super::curves::Curves;
use super::evidence::Evidence;
use super::gemm::p_norm;

mod reading;
mod support;

pub use reading::startup_by_ranks;
pub(in crate::kernels) use support::EXPERTS_OF_GPU;
pub use support::Unseen;

/// Which kernels carry the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Library {
    /// DeepEP's kernels for many tokens; groups are nodes of eight GPUs.
    DeepEpNormal,
    /// DeepEP's kernels for few tokens; groups are nodes of eight GPUs.
    DeepEpLowLatency,
    /// Hybrid-EP's kernels for many tokens; groups are NVLink domains.
    HybridEp,
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
            Self::HybridEp => "hybrid_ep",
            Self::NvlinkDomain => "nvlink_domain",
        }
    }

    /// The library of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let all = [Self::DeepEpNormal, Self::DeepEpLowLatency, Self::HybridEp, Self::NvlinkDomain];
        all.into_iter().find(|library| library.name() == name)
    }

    /// Whether a token goes once to each node that it reaches, and on from there.
    #[must_use]
    pub const fn is_two_hop(self) -> bool {
        matches!(self, Self::DeepEpNormal | Self::HybridEp)
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
    /// B_e, in bytes per second and engine: an SM, or a warp group that receives.
    pub sm_bandwidth: f64,
    /// B, in bytes per second.
    pub bandwidth: f64,
    /// f: share of B that the fabric carried while it was measured.
    pub fabric: f64,
    /// c: copies of a token that stay, as engines count them.
    pub own: f64,
    /// u: share of the ranks that a token does not reach which engines pass over all the same.
    pub unreached: f64,
    /// p.
    pub sharpness: f64,
    /// B_L, in bytes per second.
    pub local_bandwidth: f64,
    /// γ, in seconds a slot and SM.
    pub slot_s: f64,
}

/// What a 400 Gb/s NIC carries under such an exchange, in bytes per second: published for healthy
/// InfiniBand [deepep].
pub const NIC: f64 = 45e9;

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
        Library::DeepEpNormal | Library::HybridEp if shape.groups <= 1 => {
            (copy * distinct_groups(shape.ranks, shape.experts, shape.top_k), 0.0)
        }
        Library::DeepEpNormal | Library::HybridEp => {
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

/// S of equations (2)–(5): bytes that one GPU's engines drive, with `own` copies that stay and the share `unreached` of those
/// that are not made.
fn driven(
    library: Library,
    shape: ExchangeShape,
    [own, unreached]: [f64; 2],
    bytes: f64,
    tokens: f64,
) -> f64 {
    match library {
        Library::DeepEpNormal | Library::HybridEp => {
            let ranks = shape.groups.max(1) * shape.ranks.max(1);
            let made = distinct_groups(ranks, shape.experts, shape.top_k);
            let copies = made + unreached * (f64::from(ranks) - made) + own;
            bytes * tokens * f64::from(shape.hidden) * copies
        }
        Library::DeepEpLowLatency | Library::NvlinkDomain => {
            volume(library, shape, bytes, tokens).0
        }
    }
}

impl ExchangePrior {
    /// The time of (6), in seconds, where the fabric carries the share `fabric` of B.
    #[must_use]
    pub fn seconds_on(
        &self,
        fabric: f64,
        library: Library,
        shape: ExchangeShape,
        bytes: f64,
        tokens: f64,
    ) -> f64 {
        let (sent, kept) = volume(library, shape, bytes, tokens);
        let driven = driven(library, shape, [self.own, self.unreached], bytes, tokens);
        let sms = f64::from(shape.sms.max(1));
        let engines = match library {
            Library::DeepEpLowLatency => f64::from(shape.experts.max(1)),
            Library::DeepEpNormal | Library::HybridEp | Library::NvlinkDomain => sms,
        };
        let link = sent / (self.bandwidth * fabric);
        self.alpha_s
            + self.expert_s * f64::from(shape.experts)
            + p_norm(driven / (self.sm_bandwidth * engines), link, self.sharpness)
            + kept / self.local_bandwidth
            + self.slot_s * tokens * f64::from(shape.top_k) / sms
    }

    /// The time of (6), in seconds, on the fabric that was measured.
    #[must_use]
    pub fn seconds(&self, library: Library, shape: ExchangeShape, bytes: f64, tokens: f64) -> f64 {
        self.seconds_on(self.fabric, library, shape, bytes, tokens)
    }
}

impl Library {
    /// Whether what is known of one number of groups says anything of another.
    #[must_use]
    pub const fn alike(self, a: u32, b: u32) -> bool {
        match self {
            Self::DeepEpNormal | Self::DeepEpLowLatency | Self::HybridEp => (a > 1) == (b > 1),
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
    /// How far off one node is, where several were measured too: `evidence` is theirs then.
    pub one_node: Option<Evidence>,
    /// How far off numbers of groups are that were not measured, where several were.
    pub unseen_groups: Option<Evidence>,
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
            fabric: 1.0,
            own: 0.0,
            unreached: 0.0,
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
            one_node: None,
            unseen_groups: None,
        }
    }

    const SHAPE: ExchangeShape =
        ExchangeShape { groups: 4, hidden: 7168, top_k: 8, experts: 256, sms: 1, ranks: 8 };

    #[test]
    fn start_up_of_four_nodes_is_the_geometric_mean_of_those_of_two_and_eight() {
        let both = [(1, prior(5.0, 300.0)), (2, prior(20.0, 44.0)), (8, prior(80.0, 44.0))];
        let time = fit(Library::DeepEpLowLatency, &both).seconds(SHAPE, 1000, |_| false);
        let wanted = 40e-6 + 1000.0 * 7168.0 * 8.0 * 0.75 / 44e9;
        assert!((time / wanted - 1.0).abs() < 1e-12, "{time} for {wanted}");
    }

    #[test]
    fn congestion_stays_with_the_fabric_that_was_measured() {
        let congested = ExchangePrior { fabric: 0.5, ..prior(20.0, 44.0) };
        let both = fit(Library::DeepEpNormal, &[(2, prior(20.0, 44.0)), (8, congested)]);
        let on = |groups: u32| ExchangeShape { groups, ..SHAPE };
        let moved = |groups| both.seconds(on(groups), 1000, |_| false) - 20e-6;
        let in_runs = |groups| both.parts(on(groups), 1000, 1.0)[1] - 20e-6;
        assert!((moved(8) / in_runs(8) - 2.0).abs() < 1e-9);
        assert!((moved(4) / in_runs(4) - 1.0).abs() < 1e-9);
        assert!((moved(2) / in_runs(2) - 1.0).abs() < 1e-9);
    }

    /// 8 SMs drive what 8 + c copies to ranks need, and that binds long before the NIC.
    #[test]
    fn engines_are_charged_for_copies_to_ranks_and_the_own_one() {
        let slow =
            ExchangePrior { sm_bandwidth: 1e9, own: 1.0, sharpness: 20.0, ..prior(0.0, 44.0) };
        let shape = ExchangeShape { sms: 8, ..SHAPE };
        let time = slow.seconds(Library::DeepEpNormal, shape, 1.0, 1000.0);
        let copies = distinct_groups(32, 256, 8) + 1.0;
        assert!((time / (copies * 7168.0 * 1000.0 / 8e9) - 1.0).abs() < 1e-6, "{time}");
    }

    #[test]
    fn engines_may_pass_over_ranks_that_no_token_reaches() {
        let all = ExchangePrior {
            sm_bandwidth: 1e9,
            unreached: 1.0,
            sharpness: 20.0,
            ..prior(0.0, 44.0)
        };
        let time = all.seconds(Library::HybridEp, ExchangeShape { sms: 8, ..SHAPE }, 1.0, 1000.0);
        assert!((time / (32.0 * 7168.0 * 1000.0 / 8e9) - 1.0).abs() < 1e-6, "{time}");
    }

    #[test]
    fn few_experts_in_all_leave_low_latency_few_engines() {
        let engines = ExchangePrior { sm_bandwidth: 4e9, ..prior(0.0, 250.0) };
        let one = ExchangeShape { groups: 1, experts: 8, top_k: 2, ..SHAPE };
        let time = |shape| engines.seconds(Library::DeepEpLowLatency, shape, 1.0, 1000.0);
        let many = ExchangeShape { experts: 256, ..one };
        assert!(time(one) / time(many) > 7.0, "{} {}", time(one), time(many));
    }

    #[test]
    fn half_the_ranks_start_a_sixth_sooner() {
        let one = fit(Library::DeepEpNormal, &[(1, prior(100.0, 300.0))]);
        let on = |ranks| one.parts(ExchangeShape { groups: 1, ranks, ..SHAPE }, 1000, 1.0)[0];
        assert!((on(4) / on(8) - (1.0 - 0.25 * std::f64::consts::LN_2)).abs() < 1e-12);
    }

    #[test]
    fn one_node_never_stands_in_for_several_where_others_are_known() {
        let both = [(1, prior(5.0, 300.0)), (8, prior(80.0, 22.0))];
        let known = fit(Library::DeepEpNormal, &both).seconds(SHAPE, 1000, |_| false);
        let alone = fit(Library::DeepEpNormal, &both[1..]).seconds(SHAPE, 1000, |_| false);
        assert_eq!(known, alone);
    }

    #[test]
    fn start_up_of_a_domain_goes_by_doublings_of_its_ranks() {
        let domains = [(4, prior(10.0, 600.0)), (16, prior(20.0, 600.0))];
        let fit = fit(Library::NvlinkDomain, &domains);
        for (groups, micros) in [(2, 5.0), (4, 10.0), (8, 15.0), (16, 20.0), (64, 30.0)] {
            let alpha = fit.parts(ExchangeShape { groups, ..SHAPE }, 1, 1.0)[0];
            assert!((alpha * 1e6 - micros).abs() < 1e-9, "{groups}: {alpha}");
        }
    }
}
