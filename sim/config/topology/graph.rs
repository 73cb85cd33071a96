//! The layout of a cluster listed link by link.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use super::plain;
use crate::base::units::{Bandwidth, SimDuration};
use crate::config::{Count, Diagnostic, Source, Written};
use crate::topology::{Cable, ExplicitGraph, ExplicitLink, LinkClass};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GraphFile {
    /// GPUs, `gpu0` and so on.
    gpus: Count<1, 1_048_576>,
    /// GPUs that count as a node; all if none is given.
    #[schemars(with = "Option<Count<1, 1_048_576>>")]
    gpus_per_node: Option<Spanned<Count<1, 1_048_576>>>,
    /// Names of switches.
    #[serde(default)]
    switches: Vec<String>,
    /// Links.
    links: Vec<GraphLinkFile>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GraphLinkFile {
    /// A GPU or a switch.
    #[schemars(with = "String")]
    from: Spanned<String>,
    /// A GPU or a switch.
    to: String,
    /// Of all its lanes, one direction.
    bandwidth: Written<Bandwidth>,
    /// Before the first byte.
    latency: Written<SimDuration>,
    /// Its class in reports.
    #[schemars(with = "Option<String>")]
    class: Option<Spanned<String>>,
    /// Equal cables that it stands for; 1 if none is given.
    lanes: Option<Count<1, 65_536>>,
    /// Whether there is no link back.
    one_way: Option<bool>,
}

impl GraphFile {
    pub(super) fn build(self, source: &Source) -> Result<ExplicitGraph, Diagnostic> {
        let gpus_per_node = match self.gpus_per_node {
            None => 1,
            Some(given) if self.gpus.0.is_multiple_of(given.get_ref().0) => given.get_ref().0,
            Some(given) => {
                return Err(source.mistake(
                    given.span(),
                    format!("{} GPUs do not fill nodes of {}", self.gpus.0, given.get_ref().0),
                    "let gpus_per_node divide gpus",
                ));
            }
        };
        let links = self.links.into_iter().map(|link| link.build(source));
        Ok(ExplicitGraph {
            gpus: self.gpus.0,
            gpus_per_node,
            switches: self.switches,
            links: links.collect::<Result<_, _>>()?,
        })
    }
}

impl GraphLinkFile {
    fn build(self, source: &Source) -> Result<ExplicitLink, Diagnostic> {
        let known = || LinkClass::ALL.map(LinkClass::name).join(", ");
        let class = match &self.class {
            // What links deliver, and cost, goes by their class.
            None => {
                let found = format!("the link from `{}` has no class", self.from.get_ref());
                let help = format!("add class = \"...\", one of: {}", known());
                return Err(source.mistake(self.from.span(), found, help));
            }
            Some(name) => LinkClass::named(name.get_ref()).ok_or_else(|| {
                let known = known();
                let found = format!("`{}` is not a class of links", name.get_ref());
                source.mistake(name.span(), found, format!("choose from: {known}"))
            })?,
        };
        let lanes = self.lanes.map_or(1, |lanes| lanes.0);
        Ok(ExplicitLink {
            from: self.from.into_inner(),
            to: self.to,
            cable: Cable { lanes, ..plain(self.bandwidth, self.latency) },
            class,
            both_ways: !self.one_way.unwrap_or(false),
        })
    }
}
