//! Links in poor health by `--health`: for good, or for a window of time.

use crate::base::near::{did_you_mean, nearest};
use crate::base::units::{LinkId, SimDuration, parse_quantity};
use crate::config::Diagnostic;
use crate::network::LinkDegradation;
use crate::topology::{LinkClass, NoSuchLink, Topology, Unroutable};

/// What `--health` says, in the order given.
pub(super) fn degradations(
    given: &[String],
    topology: &Topology,
) -> Result<Vec<LinkDegradation>, Diagnostic> {
    let read = |given: &String| {
        degradation(given, topology).map_err(|refused| {
            let example = topology.link_name(LinkId(0));
            let form = format!("LINK=SHARE[@FROM..UNTIL], such as {example}=0.5@1ms..2ms");
            let help = match refused {
                Refused::Time(_) => format!("give every time a unit, 0us too: write {form}"),
                Refused::Other(_) => format!("write {form}"),
            };
            let (Refused::Time(found) | Refused::Other(found)) = refused;
            Diagnostic::of(format!("--health {given}"), found, help)
        })
    };
    let all: Vec<LinkDegradation> = given.iter().map(read).collect::<Result<_, _>>()?;
    for (n, one) in all.iter().enumerate().filter(|(_, one)| one.lasts()) {
        if let Some(first) = all[..n].iter().find(|other| other.lasts() && other.link == one.link) {
            let link = topology.link_name(one.link);
            let found = format!("{link} is at {} and at {} for good", first.left, one.left);
            let help = "give one of them, or a time for one: LINK=SHARE@FROM..UNTIL";
            return Err(Diagnostic::of(format!("--health {}", given[n]), found, help));
        }
    }
    Ok(all)
}

/// The cluster in the health that lasts, as `[health]` has it: NICs that are down, whose traffic then goes by others, and
/// links with a share of their bandwidth; and the other degradations. What holds of the cluster's own health and that
/// given is the lesser.
pub(super) fn in_lasting_health(
    topology: Topology,
    degradations: Vec<LinkDegradation>,
) -> Result<(Topology, Vec<LinkDegradation>), Diagnostic> {
    let is_nic = |link: LinkId| topology.links()[link.index()].class == LinkClass::Nic;
    let (lasting, others): (Vec<_>, Vec<_>) = degradations
        .into_iter()
        .partition(|one| one.lasts() && (one.left > 0.0 || is_nic(one.link)));
    let (down, weak): (Vec<_>, Vec<_>) = lasting.into_iter().partition(|one| one.left == 0.0);
    let left = |one: &LinkDegradation| one.left.min(topology.links()[one.link.index()].health);
    let weak = weak.iter().map(|one| (topology.link_name(one.link), left(one))).collect();
    let links: Vec<LinkId> = down.into_iter().map(|one| one.link).collect();
    let unknown = |no: NoSuchLink| {
        Diagnostic::of("--health", format!("there is no link `{}`", no.name), "name a link")
    };
    let weakened = topology.with_health(&weak).map_err(unknown)?;
    if links.is_empty() {
        return Ok((weakened, others));
    }
    let refused =
        |no: Unroutable| Diagnostic::of(format!("--health {}=0", no.link), no.found, no.help);
    Ok((weakened.with_failed(&links).map_err(refused)?, others))
}

/// Why a degradation cannot be read.
enum Refused {
    /// One of its times.
    Time(String),
    Other(String),
}

fn degradation(given: &str, topology: &Topology) -> Result<LinkDegradation, Refused> {
    let other = |found: &str| Refused::Other(found.to_owned());
    let (name, rest) = given.split_once('=').ok_or_else(|| other("has no `=`"))?;
    let link = topology.link_named(name).ok_or_else(|| {
        let links = 0..topology.links().len() as u32;
        let names: Vec<String> = links.map(|id| topology.link_name(LinkId(id))).collect();
        let near = nearest(name, names.iter().map(String::as_str));
        let meant =
            if near.is_empty() { String::new() } else { format!("; {}", did_you_mean(&near)) };
        Refused::Other(format!("there is no link `{name}`{meant}"))
    })?;
    let (share, window) = rest.split_once('@').map_or((rest, None), |(s, w)| (s, Some(w)));
    let left = share.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    let left =
        left.ok_or_else(|| Refused::Other(format!("`{share}` is not a share from 0 to 1")))?;
    let seconds = |text: &str| -> Result<f64, Refused> {
        let time = parse_quantity::<SimDuration>(text).map(SimDuration::secs);
        time.map_err(|e| Refused::Time(e.found))
    };
    let (from_s, until_s) = match window {
        None => (0.0, None),
        Some(window) => {
            let (from, until) =
                window.split_once("..").ok_or_else(|| other("the window has no `..`"))?;
            let from_s = seconds(from)?;
            let until_s = if until.is_empty() { None } else { Some(seconds(until)?) };
            (from_s, until_s)
        }
    };
    if until_s.is_some_and(|until| until <= from_s) {
        return Err(other("the window ends before it begins"));
    }
    Ok(LinkDegradation { link, left, from_s, until_s })
}
