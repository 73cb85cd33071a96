//! Rates of a library that was measured.
//!
//! A fit says what an exchange of t tokens per GPU takes in all, `T`, and what remains of it when the
//! bytes vanish, `α`. The tokens of a workload are given, so its rates are set once: with `V` the bytes
//! that a GPU sends over the links that bind under an even choice of experts (`balanced`),
//!
//! ```text
//!   η = V / ((T − α) · B)                                                         (1)
//! ```
//!
//! is the share of the data-sheet rate `B` of the machine that was measured. An even exchange takes `T`;
//! uneven ones, other links, oversubscription and traffic of others change it as they change any flow.
//!
//! Within a node NVLink binds. Across nodes NICs do: (1) is taken of NICs of [`NIC`]; the fabric behind
//! them gets no less than its own share, so that it binds only where it is oversubscribed; and NVLink
//! gets what the library gets of it within one node, or more if an even exchange needs more.
//!
//! Left out: rates that SMs bind rather than links are taken as shares of links all the same.

use super::balanced::Balanced;
use crate::base::units::{Bandwidth, SimDuration};
use crate::kernels::Support;
use crate::kernels::evidence::LogErrors;
use crate::kernels::exchange::{ExchangeFit, ExchangeShape};
use crate::kernels::profile::Profile;
use crate::network::{NetworkRates, Startup};
use crate::topology::LinkClass;

/// One way of NICs of the machines that were measured: 400 Gb/s, in bytes per second.
const NIC: f64 = 50e9;

/// Share of the fabric's rate behind NICs where the profile says nothing of it.
const FABRIC: f64 = 0.9;

/// Dispatch or combine by a library.
#[derive(Clone, Debug)]
pub(super) struct FittedExchange<'p> {
    pub fit: &'p ExchangeFit,
    /// What goes before it and moves no tokens: counts of tokens by expert.
    pub prepare: Option<&'p ExchangeFit>,
    pub shape: ExchangeShape,
    /// GPUs that take part.
    pub members: u32,
    pub tokens: u32,
    /// Bytes of a number on the wire.
    pub bytes: f64,
}

impl FittedExchange<'_> {
    /// Start-up and whole time.
    pub fn times(&self) -> [SimDuration; 2] {
        let before =
            self.prepare.map_or(0.0, |fit| fit.seconds(self.shape, self.tokens, |_| false));
        self.fit
            .parts(self.shape, self.tokens, self.bytes)
            .map(|seconds| SimDuration::from_secs(before + seconds))
    }

    pub fn balanced(&self) -> Balanced {
        Balanced::of(self.fit.library, self.shape, self.members, self.bytes, self.tokens)
    }

    pub fn support(&self) -> Support {
        self.fit.support(self.shape, self.tokens, self.bytes)
    }

    pub fn errors(&self) -> Option<LogErrors> {
        self.fit.errors(self.shape)
    }

    /// Bytes per second under equation (1), of this many bytes.
    fn rate(&self, bytes: u64) -> Option<f64> {
        let [alpha, all] = self.times();
        let moving = all.saturating_sub(alpha);
        // Half a picosecond less: times are rounded up, and shall come out as they are.
        let seconds = (moving.ps() as f64 - 0.5) * 1e-12;
        (bytes > 0 && moving > SimDuration::ZERO).then(|| bytes as f64 / seconds)
    }

    /// The rates of this leg.
    pub fn rates(&self, profile: &Profile) -> NetworkRates {
        let [alpha, _] = self.times();
        let startup = Startup::fixed(alpha);
        let rates =
            NetworkRates { within_node: startup, across_nodes: startup, ..NetworkRates::IDEAL };
        let Some(scale_up) = profile.scale_up.map(Bandwidth::bytes_per_sec) else { return rates };
        let balanced = self.balanced();
        if self.shape.groups <= 1 || balanced.leaving() == 0 {
            let share = self.rate(balanced.within()).map_or(1.0, |rate| rate / scale_up);
            return on(rates, &[LinkClass::Nvlink, LinkClass::Xgmi], share);
        }
        let nic = self.rate(balanced.leaving()).map_or(1.0, |rate| rate / NIC);
        let of_fabric = profile.inter_node.as_ref().map_or(FABRIC, |out| out.efficiency);
        let needed = self.rate(balanced.within()).map_or(0.0, |rate| rate / scale_up);
        let alone = self.alone().map_or(1.0, |rate| rate / scale_up);
        let rates = on(rates, &[LinkClass::Nic], nic);
        let fabric = of_fabric.max(nic * (1.0 + 1e-9));
        let beyond = [LinkClass::LeafSpine, LinkClass::SpineCore, LinkClass::Direct];
        let rates = on(rates, &beyond, fabric);
        on(rates, &[LinkClass::Nvlink, LinkClass::Xgmi], alone.max(needed))
    }

    /// Bytes per second over NVLink where the same tokens stay within one node.
    fn alone(&self) -> Option<f64> {
        self.fit.priors.get(&1)?;
        let shape = ExchangeShape { groups: 1, ..self.shape };
        let alone = Self { shape, members: shape.ranks, prepare: None, ..self.clone() };
        alone.rate(alone.balanced().within())
    }
}

fn on(rates: NetworkRates, classes: &[LinkClass], share: f64) -> NetworkRates {
    classes.iter().fold(rates, |rates, &class| rates.with_efficiency(class, share))
}
