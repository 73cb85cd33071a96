//! What a profile knows of links: collectives, exchanges, what leaves a node.

use std::collections::BTreeMap;

use toml::Spanned;

use super::file::{Collective, ExchangeFile, ExchangePriorFile, InterNode, RampFile};
use super::residuals::Residuals;
use crate::base::units::Bandwidth;
use crate::config::{Diagnostic, Source};
use crate::kernels::curves::{Kriging, Scale};
use crate::kernels::exchange::{ExchangePrior, Library};
use crate::kernels::profile::{CollectiveFit, CollectiveOp, ExchangeFit, InterNodeFit};
use crate::kernels::ramp::Ramp;

/// No PCI Express link is faster than this, and no NVLink slower: sixteen lanes of the sixth generation.
const FASTEST_PCIE: f64 = 128e9;

/// Whether GPUs of a node reach each other's memory: as said, or by NVLink. Of links that may be PCI Express
/// it must be said: found and help otherwise.
pub(in crate::config) fn peer_to_peer_of(
    said: Option<bool>,
    scale_up: Option<Bandwidth>,
) -> Result<bool, (String, &'static str)> {
    match (said, scale_up) {
        (Some(said), _) => Ok(said),
        (None, Some(peak)) if peak.bytes_per_sec() <= FASTEST_PCIE => Err((
            format!(
                "`scale_up` of {} GB/s may be PCI Express, and `peer_to_peer` is missing",
                peak.gb_per_sec()
            ),
            "give peer_to_peer = true where GPUs of a node copy to each other directly \
             (`nvidia-smi topo -p2p r` says OK), false where they go through the host",
        )),
        (None, _) => Ok(true),
    }
}

impl Collective {
    pub(super) fn validated(
        self,
        source: &Source,
        name: &Spanned<String>,
        residuals: &Residuals<'_>,
    ) -> Result<(CollectiveOp, CollectiveFit), Diagnostic> {
        let Some(op) = CollectiveOp::named(name.get_ref()) else {
            let known: Vec<&str> = CollectiveOp::ALL.iter().map(|op| op.name()).collect();
            let found = format!("unknown collective `{}`", name.get_ref());
            let help = format!("use one of {}", known.join(", "));
            return Err(source.mistake(name.span(), found, help));
        };
        let ramps: BTreeMap<u32, Ramp> = self.ramp.iter().map(RampFile::ramp).collect();
        if ramps.is_empty() {
            let key = format!("collective.{}.ramp", name.get_ref());
            return Err(source.mistake_without_span(&key, "is empty", "give at least one ramp"));
        }
        let family = format!("collective/{}", op.name());
        let kriging = Kriging {
            scales: vec![Scale { share: 1.0, lengths: vec![1.0] }],
            noise: 1.0,
            clip: f64::INFINITY,
        };
        let residual = residuals.curves(&family, kriging)?;
        let (evidence, unseen_gpus) =
            (self.evidence.into(), self.unseen_gpus.map(|u| u.evidence.into()));
        // What the data sheet says of it replaces this.
        let peer_to_peer = true;
        Ok((op, CollectiveFit { ramps, residual, evidence, unseen_gpus, peer_to_peer }))
    }
}

impl RampFile {
    fn ramp(&self) -> (u32, Ramp) {
        let ramp = Ramp {
            alpha: self.alpha.0,
            bandwidth: self.bandwidth.0,
            ramp: self.ramp.0,
            ramp_bytes: self.ramp_bytes.0,
        };
        (self.gpus.0, ramp)
    }
}

impl ExchangeFile {
    pub(super) fn validated(
        self,
        source: &Source,
        residuals: &Residuals<'_>,
    ) -> Result<(String, ExchangeFit), Diagnostic> {
        let Some(library) = Library::named(self.library.get_ref()) else {
            let found = format!("unknown library `{}`", self.library.get_ref());
            let help = "use one of deepep_normal, deepep_ll, hybrid_ep, nvlink_domain";
            return Err(source.mistake(self.library.span(), found, help));
        };
        if self.prior.is_empty() {
            let help = "give the constants of at least one number of groups";
            return Err(source.mistake_without_span("exchange.prior", "is empty", help));
        }
        let kriging = self.kriging.checked(source, "exchange.kriging.scales", 5)?;
        let family = format!("exchange/{}", self.name);
        let fit = ExchangeFit {
            library,
            bytes: self.bytes.0,
            priors: self.prior.iter().map(ExchangePriorFile::prior).collect(),
            residual: residuals.curves(&family, kriging)?,
            evidence: self.evidence.into(),
            one_node: self.one_node.map(|one| one.evidence.into()),
            unseen_groups: self.unseen_groups.map(|unseen| unseen.evidence.into()),
        };
        Ok((self.name, fit))
    }
}

impl ExchangePriorFile {
    fn prior(&self) -> (u32, ExchangePrior) {
        let prior = ExchangePrior {
            alpha_s: self.alpha.0.secs(),
            expert_s: self.expert.0.secs(),
            sm_bandwidth: self.sm_bandwidth.0.bytes_per_sec(),
            bandwidth: self.bandwidth.0.bytes_per_sec(),
            fabric: self.fabric.0,
            own: self.own.0,
            unreached: self.unreached.as_ref().map_or(0.0, |share| share.0),
            sharpness: self.sharpness.0,
            local_bandwidth: self.local_bandwidth.0.bytes_per_sec(),
            slot_s: self.slot.0.secs(),
        };
        (self.groups.0, prior)
    }
}

impl InterNode {
    pub(super) fn validated(self) -> InterNodeFit {
        InterNodeFit {
            efficiency: self.efficiency.0,
            alpha: self.alpha.iter().map(|a| (a.nodes.0, a.alpha.0)).collect(),
            evidence: self.evidence.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_pci_express_must_say_whether_gpus_reach_each_other() {
        let rate = |gb: f64| Some(Bandwidth::from_bytes_per_sec(gb * 1e9));
        assert_eq!(peer_to_peer_of(Some(false), rate(32.0)), Ok(false));
        assert_eq!(peer_to_peer_of(None, rate(450.0)), Ok(true));
        assert_eq!(peer_to_peer_of(None, None), Ok(true));
        let (found, help) = peer_to_peer_of(None, rate(64.0)).unwrap_err();
        assert!(found.contains("64 GB/s") && help.contains("peer_to_peer = true"), "{found}");
    }
}
