//! Price books: TOML → [`PriceBook`].

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::{Count, Diagnostic, Kind, Number, Source};
use crate::topology::{ByClass, GpuPrice, Known, LinkClass, Price, PriceBook};

/// The price book that is compiled in.
#[must_use]
pub fn built_in_prices() -> Source {
    Source::built_in("topologies/prices.toml", include_str!("../../../topologies/prices.toml"))
}

/// Reads a price book.
///
/// # Errors
/// If the text is none.
pub fn read_prices(source: &Source) -> Result<PriceBook, Diagnostic> {
    let file: File = Kind::Prices.parse(source)?;
    let cable = [
        (LinkClass::Nic, file.cable.nic),
        (LinkClass::LeafSpine, file.cable.leaf_spine),
        (LinkClass::SpineCore, file.cable.spine_core),
        (LinkClass::Direct, file.cable.direct),
    ];
    Ok(PriceBook {
        date: file.date,
        source: file.source,
        gpus: file.gpu.into_iter().map(|(name, each)| (name, each.build())).collect(),
        nvswitch: file.scale_up.nvswitch.build(),
        nic: file.nic.build(),
        switch_port: file.switch_port.build(),
        cable: cable
            .into_iter()
            .fold(ByClass::default(), |all, (class, each)| all.with(class, each.build())),
    })
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct File {
    /// The version of this kind of file.
    #[serde(rename = "schema")]
    _schema: Count<1, 1>,
    /// Of the prices.
    date: String,
    /// Where they come from.
    source: String,
    /// GPUs, by the name that topologies give them.
    #[serde(default)]
    gpu: BTreeMap<String, GpuFile>,
    /// Scale-up networks.
    #[serde(rename = "scale-up")]
    scale_up: ScaleUpFile,
    /// A NIC.
    nic: EachFile,
    /// A port of a switch.
    #[serde(rename = "switch-port")]
    switch_port: EachFile,
    /// Cables and optics, by what they join.
    cable: CableFile,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EachFile {
    /// US dollars for each Gb/s of one direction.
    usd_per_gbps: Number<0, 1_000_000_000>,
    /// Watts for each Gb/s of one direction.
    watts_per_gbps: Number<0, 1_000_000>,
}

/// A GPU that is not sold has no price, and one that nobody measured no power.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GpuFile {
    /// US dollars.
    usd: Option<Number<1, 1_000_000_000_000>>,
    /// Watts.
    watts: Option<Number<1, 1_000_000_000>>,
    /// Its share of a node, US dollars.
    node_usd: Number<0, 1_000_000_000_000>,
    /// Its share of a node, watts.
    node_watts: Number<0, 1_000_000_000>,
}

impl GpuFile {
    fn build(self) -> GpuPrice {
        GpuPrice {
            gpu: Known { usd: self.usd.map(|usd| usd.0), watts: self.watts.map(|watts| watts.0) },
            node: Price { usd: self.node_usd.0, watts: self.node_watts.0 },
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ScaleUpFile {
    /// NVLink through switches.
    nvswitch: EachFile,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct CableFile {
    /// From a NIC to a switch.
    nic: EachFile,
    /// Between a leaf and a spine.
    leaf_spine: EachFile,
    /// Between a spine and a core.
    spine_core: EachFile,
    /// Between two GPUs or routers.
    direct: EachFile,
}

impl EachFile {
    const fn build(self) -> Price {
        Price { usd: self.usd_per_gbps.0, watts: self.watts_per_gbps.0 }
    }
}
