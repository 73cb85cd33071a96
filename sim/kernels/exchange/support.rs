//! How near an exchange is to what was measured of its library.

use std::collections::BTreeSet;

use super::{ExchangeFit, ExchangeShape, Library, RANKS_OF_NODE};
use crate::kernels::basis::Support;
use crate::kernels::evidence::{Evidence, LogErrors};

/// Doublings of hidden size, top-k, experts or SMs that count as one correlation length.
const LENGTH: f64 = 3.0;

/// So much wider are errors where a number of groups or ranks was not measured and nothing says how
/// far off such numbers are: as for experts of several ranks, a stated guess.
const WIDER: f64 = 2.0;

/// A fabric that carries more than this share of the NICs' rate is not called congested.
const UNCONGESTED: f64 = 0.9;

/// Ranks of one NVLink domain that Hybrid-EP was measured with, at most.
const RANKS_OF_DOMAIN: u32 = 36;

/// Experts on each GPU of every row of Hybrid-EP's table.
pub(in crate::kernels) const EXPERTS_OF_GPU: u32 = 8;

/// In which way an exchange lies beyond what was measured.
#[derive(Clone, Debug, PartialEq)]
pub enum Unseen {
    /// No number of groups like this one was measured: the NIC's published rate is taken.
    Kind(String),
    /// The number of groups lies beyond the measured ones, whose nearest is taken.
    Groups(String),
    /// The number of groups lies between measured ones.
    Between,
    /// Measured on a congested fabric, whose congestion is left out.
    Fabric(String),
    /// A node with another number of GPUs.
    Ranks(String),
    /// Another number of experts on each GPU than the one that was measured.
    Experts(String),
    /// A size of the model, or a number of SMs, beyond the measured ones.
    Size(String),
    /// More or fewer tokens than were measured.
    Tokens(String),
}

impl ExchangeFit {
    /// In which way an exchange was not measured, the worst first; empty where only its sizes, if
    /// anything, lie among others.
    #[must_use]
    pub fn unseen(&self, shape: ExchangeShape, tokens: u32) -> Vec<Unseen> {
        let mut found = Vec::new();
        let (n, word) = (shape.groups, self.library.groups_word());
        let alike: Vec<u32> =
            self.priors.keys().copied().filter(|&a| self.library.alike(a, n)).collect();
        match (alike.first(), alike.last()) {
            (Some(&first), Some(&last)) if n < first || n > last => {
                let known = list(&alike);
                found.push(Unseen::Groups(format!("{n} {word}, measured on {known}")));
            }
            (Some(_), Some(_)) if !alike.contains(&n) => found.push(Unseen::Between),
            (Some(_), Some(_)) => {}
            _ => {
                let known: Vec<u32> = self.priors.keys().copied().collect();
                let beyond = format!(
                    "{n} {word}, measured on {} alone; the NIC as published for InfiniBand",
                    list(&known)
                );
                found.push(Unseen::Kind(beyond));
            }
        }
        let carried = self.fabric(n);
        if carried < UNCONGESTED {
            let share = carried * 100.0;
            found.push(Unseen::Fabric(format!(
                "{n} {word} without congestion, measured on a fabric that carried {share:.0} % of the \
                 NICs' rate"
            )));
        }
        if let Some([fewest, most]) = self.library.other_ranks(shape) {
            let beyond =
                format!("{} GPUs per node, measured on {}", shape.ranks, span(fewest, most));
            found.push(Unseen::Ranks(beyond));
        }
        found.extend(self.library.other_experts(shape));
        found.extend(self.sizes_beyond(shape));
        found.extend(self.tokens_beyond(tokens));
        found
    }

    /// Sizes beyond those that were measured on as many groups, or on groups like these.
    fn sizes_beyond(&self, shape: ExchangeShape) -> Vec<Unseen> {
        let sites: Vec<&[u32]> =
            self.residual.sites().iter().map(|site| site.at.as_slice()).collect();
        let like = |of: &dyn Fn(u32) -> bool| -> Vec<&[u32]> {
            sites.iter().copied().filter(|at| of(at[0])).collect()
        };
        let own = like(&|groups| groups == shape.groups);
        let alike = like(&|groups| self.library.alike(groups, shape.groups));
        let known = [own, alike, sites.clone()].into_iter().find(|of| !of.is_empty());
        // Where each GPU had as many experts, their number is said with the GPUs'.
        let experts = self.library.measured_experts().is_none();
        let sizes = [
            ("hidden size", 1, shape.hidden, true),
            ("top-k", 2, shape.top_k, true),
            ("experts:", 3, shape.experts, experts),
            ("SMs:", 4, shape.sms, true),
        ];
        let known = known.unwrap_or_default();
        let beyond = |&(word, at, size, counts): &(&str, usize, u32, bool)| {
            let values = known.iter().map(|site| site[at]);
            let (fewest, most) = (values.clone().min()?, values.max()?);
            let outside = counts && !(fewest..=most).contains(&size);
            let words = || format!("{word} {size}, measured on {}", span(fewest, most));
            outside.then(|| Unseen::Size(words()))
        };
        sizes.iter().filter_map(beyond).collect()
    }

    fn tokens_beyond(&self, tokens: u32) -> Option<Unseen> {
        let knots = self.residual.knots();
        let (first, last) = (*knots.first()?, *knots.last()?);
        let beyond = f64::from(tokens) < first || f64::from(tokens) > last;
        let known = span(first as u32, last as u32);
        beyond.then(|| Unseen::Tokens(format!("{tokens} tokens, measured on {known}")))
    }

    /// How near the exchange is to what was measured, with numbers of this many bytes on the wire.
    #[must_use]
    pub fn support(&self, shape: ExchangeShape, tokens: u32, bytes: f64) -> Support {
        let unseen = self.unseen(shape, tokens);
        let beyond: Vec<String> = unseen.into_iter().filter_map(Unseen::beyond).collect();
        let beyond = beyond.join("; ");
        if let Some(from) = self.borrowed_from(bytes) {
            // Whose constants they are hides no size beyond those that were measured there.
            let more = if beyond.is_empty() { beyond } else { format!(", extrapolated: {beyond}") };
            return Support::Borrowed { from: from + &more };
        }
        if !beyond.is_empty() {
            return Support::Extrapolated { beyond };
        }
        match self.distance(shape) {
            0.0 => Support::Measured,
            distance => Support::Interpolated { distance },
        }
    }

    /// Whose constants these are, where they are another GPU's or another format's.
    fn borrowed_from(&self, bytes: f64) -> Option<String> {
        if let Some(from) = self.evidence.transferred_from() {
            return Some(from.to_owned());
        }
        let own = self.bytes;
        let s = if own == 1.0 { "" } else { "s" };
        let other = (bytes / own - 1.0).abs() > 1e-9;
        other.then(|| format!("the same kernel with {own} byte{s} per number"))
    }

    /// Distance to the nearest measured shape in correlation lengths of three doublings.
    fn distance(&self, shape: ExchangeShape) -> f64 {
        let own = [shape.groups, shape.hidden, shape.top_k, shape.experts, shape.sms];
        let far = |site: &[u32]| {
            let along = own.iter().zip(site).map(|(&a, &b)| {
                ((f64::from(a.max(1)) / f64::from(b.max(1))).log2() / LENGTH).powi(2)
            });
            along.sum::<f64>().sqrt()
        };
        let sites = self.residual.sites().iter().map(|site| far(&site.at));
        sites.fold(f64::INFINITY, f64::min)
    }

    /// What is known of errors at a number of groups that was measured: one node and several are classes of their own.
    fn evidence_at(&self, groups: u32) -> &Evidence {
        let one = self.one_node.as_ref().filter(|_| groups == 1);
        one.unwrap_or(&self.evidence)
    }

    /// The law of errors for this exchange: that of unseen numbers of groups where its own was not
    /// measured, as much wider as it lies further off; wider where the profile says nothing of those.
    #[must_use]
    pub fn errors(&self, shape: ExchangeShape) -> Option<LogErrors> {
        let own = self.evidence_at(shape.groups).log_errors.as_ref()?;
        let other = |unseen: &Unseen| {
            matches!(unseen, Unseen::Kind(_) | Unseen::Ranks(_) | Unseen::Fabric(_))
        };
        let wider = if self.unseen(shape, 1).iter().any(other) { WIDER } else { 1.0 };
        let unseen = self.unseen_groups.as_ref().and_then(|e| e.log_errors.as_ref());
        let law = match (self.reach(shape.groups, |_| false), unseen) {
            (Some(reach), Some(law)) => law.widened(reach).or_wider(own),
            (Some(reach), None) => own.widened(WIDER * reach.max(1.0)),
            (None, _) => own.clone(),
        };
        Some(law.widened(wider))
    }

    /// Half the width of the 90 % interval of a row's log error, on the fabric that was measured, where
    /// groups that `skip` names were left out.
    #[must_use]
    pub fn half_width(&self, shape: ExchangeShape, skip: impl Fn(&[u32]) -> bool) -> Option<f64> {
        let own = self.evidence_at(shape.groups).log_error_p90?;
        let unseen = self.unseen_groups.as_ref().and_then(|e| e.log_error_p90);
        let width = match (self.reach(shape.groups, skip), unseen) {
            (Some(reach), Some(width)) => (width * reach).max(own),
            (Some(reach), None) => own * WIDER * reach.max(1.0),
            (None, _) => own,
        };
        let others = self.library.other_ranks(shape).is_some();
        Some(if others { width * WIDER } else { width })
    }

    /// How far a number of groups that was not measured lies from the nearest measured one, in doublings,
    /// over how far those lay that were left out in turn to learn of unseen ones. None for a measured one,
    /// and whole where no other number is of its kind.
    fn reach(&self, groups: u32, skip: impl Fn(&[u32]) -> bool) -> Option<f64> {
        let known = self.telling(groups, &skip);
        let apart = |a: u32, b: u32| (f64::from(a.max(1)) / f64::from(b.max(1))).log2().abs();
        let nearest = |n: u32, among: &BTreeSet<u32>| {
            let others = among.iter().filter(|&&other| other != n);
            others.map(|&other| apart(n, other)).fold(f64::INFINITY, f64::min)
        };
        if known.contains(&groups) {
            return None;
        }
        let all = self.telling(groups, &|_: &[u32]| false);
        let learned = all.iter().map(|&n| nearest(n, &all)).filter(|far| far.is_finite());
        let learned = learned.fold(0.0, f64::max);
        let far = nearest(groups, &known);
        Some(if learned > 0.0 && far.is_finite() { far / learned } else { 1.0 })
    }
}

impl Unseen {
    /// What lies beyond what, in words; none for what lies between.
    fn beyond(self) -> Option<String> {
        match self {
            Self::Kind(beyond)
            | Self::Groups(beyond)
            | Self::Fabric(beyond)
            | Self::Ranks(beyond)
            | Self::Experts(beyond)
            | Self::Size(beyond)
            | Self::Tokens(beyond) => Some(beyond),
            Self::Between => None,
        }
    }
}

impl Library {
    /// GPUs of one node that the library was measured with, fewest and most; none where groups are GPUs.
    #[must_use]
    pub const fn measured_ranks(self) -> Option<[u32; 2]> {
        match self {
            Self::DeepEpNormal | Self::DeepEpLowLatency => Some([RANKS_OF_NODE; 2]),
            Self::HybridEp => Some([RANKS_OF_NODE, RANKS_OF_DOMAIN]),
            Self::NvlinkDomain => None,
        }
    }

    /// Experts of each GPU that the library was measured with, where that was one number.
    #[must_use]
    pub const fn measured_experts(self) -> Option<u32> {
        match self {
            Self::HybridEp => Some(EXPERTS_OF_GPU),
            Self::DeepEpNormal | Self::DeepEpLowLatency | Self::NvlinkDomain => None,
        }
    }

    /// The GPUs of one node that it was measured with, where this exchange has fewer or more.
    fn other_ranks(self, shape: ExchangeShape) -> Option<[u32; 2]> {
        self.measured_ranks().filter(|[fewest, most]| !(*fewest..=*most).contains(&shape.ranks))
    }

    /// Its experts on each GPU, where this exchange has another number than the one that was measured.
    fn other_experts(self, shape: ExchangeShape) -> Option<Unseen> {
        let known = self.measured_experts()?;
        let gpus = shape.groups.max(1) * shape.ranks.max(1);
        let each = f64::from(shape.experts) / f64::from(gpus);
        let words = || {
            format!("{} experts per GPU, measured on {known} alone", (10.0 * each).round() / 10.0)
        };
        (each != f64::from(known)).then(|| Unseen::Experts(words()))
    }

    /// What its groups are.
    const fn groups_word(self) -> &'static str {
        match self {
            Self::DeepEpNormal | Self::DeepEpLowLatency => "nodes",
            Self::HybridEp => "NVLink domains",
            Self::NvlinkDomain => "GPUs of a domain",
        }
    }
}

/// `8 to 36`, or `8 alone`.
fn span(fewest: u32, most: u32) -> String {
    if fewest == most { format!("{fewest} alone") } else { format!("{fewest} to {most}") }
}

/// `1, 2 and 8`.
fn list(numbers: &[u32]) -> String {
    let words: Vec<String> = numbers.iter().map(u32::to_string).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => "nothing".to_owned(),
    }
}
