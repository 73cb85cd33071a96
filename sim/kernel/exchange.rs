//! Dispatch and combine by the kernels made for them: DeepEP and NVLink all-to-all.
//!
//! With t tokens of H numbers on each GPU, k slots a token among E experts on G groups (nodes, or
//! GPUs where all share one NVLink domain), the bytes that one GPU sends and keeps are
//!
//! ```text
//!   D(G)  = G · (1 − C(E − E/G, k) / C(E, k))          groups a token reaches          (1)
//!   normal, one node:    V = b·t·H·D(8)                copies to ranks                 (2)
//!   normal, n nodes:     V = b·t·H·D(n)·(1 − 1/n)      one copy a remote node          (3)
//!   low latency:         V = b·t·H·k·(1 − 1/n)         one copy a remote slot,
//!                                                      1 − 1/8 in one node             (4)
//!   NVL72, n ranks:      V = b·t·H·min(n, k)·(1 − 1/n),
//!                        L = b·t·H·min(n, k)/n         balanced slots, kept copies     (5)
//!   T = α + ε·E + ( (V/(B_sm·SMs))^p + (V/B)^p )^(1/p) + L/B_L + γ·t·k/SMs             (6)
//! ```
//!
//! B_sm is what one SM drives, B where links saturate, ε the cost of an expert's counters, γ that
//! of a slot's bookkeeping. Constants are fitted for each number of groups; between and beyond
//! them they are taken part of the way in the logarithm of that number, while (1)–(5) count bytes
//! for the number asked. (1) is the expectation for a gate without favourites, the one DeepEP's
//! own planner uses. Left out: congestion other than in the constants of the fabric measured.

use std::collections::BTreeMap;

use super::gemm::p_norm;
use crate::profile::ExchangeFit;

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

/// Ranks of one node.
const RANKS_OF_NODE: u32 = 8;

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
            (copy * distinct_groups(RANKS_OF_NODE, shape.experts, shape.top_k), 0.0)
        }
        Library::DeepEpNormal => {
            let nodes = distinct_groups(shape.groups, shape.experts, shape.top_k);
            (copy * nodes * (1.0 - 1.0 / n), 0.0)
        }
        Library::DeepEpLowLatency => {
            let groups = if shape.groups <= 1 { f64::from(RANKS_OF_NODE) } else { n };
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

    /// The constants between two, `share` of the way in logarithms.
    fn between(&self, other: &Self, share: f64) -> Self {
        let mix = |a: f64, b: f64| a.max(1e-18).powf(1.0 - share) * b.max(1e-18).powf(share);
        Self {
            alpha_s: mix(self.alpha_s, other.alpha_s),
            expert_s: mix(self.expert_s, other.expert_s),
            sm_bandwidth: mix(self.sm_bandwidth, other.sm_bandwidth),
            bandwidth: mix(self.bandwidth, other.bandwidth),
            sharpness: mix(self.sharpness, other.sharpness),
            local_bandwidth: mix(self.local_bandwidth, other.local_bandwidth),
            slot_s: mix(self.slot_s, other.slot_s),
        }
    }
}

impl ExchangeFit {
    /// Time for `tokens` on each GPU, in seconds; measured groups that `skip` names are passed by.
    #[must_use]
    pub fn seconds(&self, shape: ExchangeShape, tokens: u32, skip: impl Fn(&[u32]) -> bool) -> f64 {
        let groups = shape.groups;
        let usable = |n: &u32| !skip(&[*n]);
        let known: BTreeMap<u32, &ExchangePrior> =
            self.priors.iter().filter(|(n, _)| usable(n)).map(|(n, p)| (*n, p)).collect();
        let below = known.range(..=groups).next_back().or_else(|| known.iter().next());
        let above = known.range(groups..).next().or_else(|| known.iter().next_back());
        let (Some((&n0, low)), Some((&n1, high))) = (below, above) else {
            return 0.0;
        };
        let log = |n: u32| f64::from(n.max(1)).ln();
        let share = if n0 == n1 { 0.0 } else { (log(groups) - log(n0)) / (log(n1) - log(n0)) };
        let prior = low.between(high, share);
        let residual = |n: u32| {
            let at = [n, shape.hidden, shape.top_k, shape.experts, shape.sms];
            let curve = self.residual.read(&at, |site| site.at[0] != n || skip(&site.at));
            let knots: Vec<f64> = self.residual.knots().iter().map(|t| t.ln()).collect();
            super::curve::interpolate(&knots, &curve.residual, f64::from(tokens.max(1)).ln())
        };
        let (r0, r1) = (residual(n0).unwrap_or(0.0), residual(n1).unwrap_or(0.0));
        let time = prior.seconds(self.library, shape, self.bytes, tokens.into());
        time * (r0 * (1.0 - share) + r1 * share).exp()
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
}
