//! Which profile belongs to a GPU: devices are matched by the product and form factor in their names.
//!
//! A topology writes `H100-SXM5-80GB` where a driver says `NVIDIA H100 80GB HBM3`. Both are read as a
//! *product*, the first word with a digit (`h100`), and a *form*: `pcie` or `nvl` where a word starts
//! so, else the form that the product is usually sold in; a bare number is read with the words before it (`rtx pro
//! 6000`). A100, H100 and H200 parts differ by form in
//! clocks, memory and links, so a profile of one form is not taken for another.

use schemars::JsonSchema;
use serde::Deserialize;

use super::built_in_profiles;
use crate::config::{Diagnostic, Source};

/// What tells one kind of GPU from another.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    product: String,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The usual one: SXM where there are several.
    Usual,
    Pcie,
    Nvl,
    Workstation,
}

/// Products of which one form alone exists, so that a word for it tells nothing.
const ONE_FORM: [&str; 5] = ["l4", "l40", "l40s", "gb200", "gb300"];

fn identity(name: &str) -> Option<Identity> {
    let lower = name.to_ascii_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let at = words.iter().position(|word| word.contains(|c: char| c.is_ascii_digit()))?;
    let series = words[..at].iter().filter(|word| **word != "nvidia");
    let bare = words[at].chars().all(|c| c.is_ascii_digit());
    let product =
        if bare { series.copied().collect::<String>() + words[at] } else { words[at].to_owned() };
    let has = |form: &str| words.iter().any(|word| word.starts_with(form));
    let form = match product.as_str() {
        product if ONE_FORM.contains(&product) => Form::Usual,
        _ if has("workstation") || has("max") => Form::Workstation,
        _ if has("pcie") => Form::Pcie,
        _ if has("nvl") => Form::Nvl,
        _ => Form::Usual,
    };
    Some(Identity { product, form })
}

/// Whether two names are of one kind of GPU: `H100-SXM5-80GB` and `NVIDIA H100 80GB HBM3` are.
#[must_use]
pub fn is_same_gpu(one: &str, other: &str) -> bool {
    match (identity(one), identity(other)) {
        (Some(one), Some(other)) => one == other,
        _ => one.trim().eq_ignore_ascii_case(other.trim()),
    }
}

/// The part of a profile that says what it was measured on.
#[derive(Deserialize, JsonSchema)]
struct Measured {
    device: String,
}

/// Names of the built-in profiles and the devices that they are of.
fn devices() -> impl Iterator<Item = (&'static str, String)> {
    built_in_profiles().iter().filter_map(|profile| {
        let measured: Measured = Source::built_in(profile.name, profile.toml).parse().ok()?;
        Some((profile.name, measured.device))
    })
}

/// The built-in profile of this GPU, if there is one.
#[must_use]
pub fn profile_of_gpu(gpu: &str) -> Option<&'static str> {
    devices().find_map(|(name, device)| is_same_gpu(gpu, &device).then_some(name))
}

/// Says that a cluster's GPU has no profile, which there are, and how to make one.
#[must_use]
pub fn no_profile(topology: &str, gpu: &str) -> Diagnostic {
    let known: Vec<String> = devices().map(|(name, device)| format!("{name} ({device})")).collect();
    Diagnostic::of(
        topology,
        format!("its GPU is called `{gpu}`, and no profile is of one of that name"),
        format!(
            "profiles: {}; make one with `calibrate transfer --sheet SHEET.toml --out PROFILE.toml` \
             from its data sheet and, better, a few timings, and name it; or name another GPU's, \
             whose efficiencies then apply to the peaks of {gpu}: profile = \"h100-sxm\" in a \
             scenario, --set profile=h100-sxm, or {topology}=h100-sxm where clusters are listed",
            known.join(", ")
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_gpu_match_and_forms_differ() {
        for (gpu, profile) in [
            ("A100-SXM4-80GB", Some("a100-sxm")),
            ("NVIDIA A100-SXM4-40GB", Some("a100-sxm")),
            ("H100-SXM5-80GB", Some("h100-sxm")),
            ("NVIDIA H200", Some("h200-sxm")),
            ("GB200 NVL72", Some("gb200")),
            ("L40S PCIe", Some("l40s")),
            ("B200", Some("b200-sxm")),
            ("H100 PCIe", None),
            ("H100-NVL", None),
            ("H800", Some("h800-sxm")),
            ("A800-SXM4-80GB", Some("a800-sxm")),
            ("H20", Some("h20")),
            ("H200-NVL", Some("h200-nvl")),
            ("B300", Some("b300-sxm")),
            ("GB300 NVL72", Some("gb300")),
            ("RTX PRO 6000 Server", Some("rtx-pro-6000-server")),
            ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", None),
            ("NVIDIA RTX 6000 Ada Generation", None),
            ("MI300X", Some("mi300x")),
            ("MI325X", None),
            ("any", None),
            ("", None),
        ] {
            assert_eq!(profile_of_gpu(gpu), profile, "{gpu}");
        }
    }

    #[test]
    fn names_without_a_product_must_be_the_same() {
        assert!(is_same_gpu("Round", "round "));
        assert!(!is_same_gpu("round", "square"));
        assert!(!is_same_gpu("round", "H100"));
    }
}
