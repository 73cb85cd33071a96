//! The GPU, node and network of a row: a profile to take times from, and a topology.
//!
//! An export variant is predicted with the profile of the GPU that it was cut from, its own links
//! in the topology; every other GPU without a profile is a reason not to judge its row.

use toml::{Table, Value};

use super::row::Row;
use super::words::{has_any, letters_and_digits, number_before};
use crate::config::built_in_topology;
use crate::kernels::devices::DataSheet;

/// A GPU that rows may name.
struct Known {
    /// Its name, in capital letters and digits.
    name: &'static str,
    /// The profile to take times from.
    profile: &'static str,
    /// What differs from the profile's own GPU, where it is not that GPU.
    variant: Option<&'static str>,
    /// Memory, in GB.
    memory_gb: u32,
    /// NVLink of one GPU, one direction, in GB/s, where it is not the profile's.
    nvlink_gb_per_s: Option<f64>,
    /// Network card of one GPU, in Gb/s, where the row does not say.
    nic_gbit_per_s: f64,
    /// GPUs of an NVLink domain that spans several trays.
    domain: Option<u32>,
}

const fn known(name: &'static str, profile: &'static str, memory_gb: u32, nic: f64) -> Known {
    let (variant, nvlink_gb_per_s, domain) = (None, None, None);
    Known { name, profile, variant, memory_gb, nvlink_gb_per_s, nic_gbit_per_s: nic, domain }
}

/// The GPUs with a profile, and export variants of those.
const KNOWN: [Known; 11] = [
    known("H100", "h100-sxm", 80, 400.0),
    Known {
        variant: Some("the same chip with NVLink of 200 GB/s in each direction"),
        nvlink_gb_per_s: Some(200.0),
        ..known("H800", "h100-sxm", 80, 400.0)
    },
    known("H200", "h200-sxm", 141, 400.0),
    known("A100", "a100-sxm", 80, 200.0),
    Known {
        variant: Some("the same chip with NVLink of 200 GB/s in each direction"),
        nvlink_gb_per_s: Some(200.0),
        ..known("A800", "a100-sxm", 80, 200.0)
    },
    known("B200", "b200-sxm", 180, 400.0),
    Known { domain: Some(72), ..known("GB200", "gb200", 186, 400.0) },
    Known {
        variant: Some("carried over from a measured GPU by data sheet"),
        ..known("B300", "b300-sxm", 288, 800.0)
    },
    Known {
        variant: Some("carried over from a measured GPU by data sheet"),
        domain: Some(72),
        ..known("GB300", "gb300", 288, 800.0)
    },
    Known {
        variant: Some("carried over from a measured GPU by data sheet"),
        ..known("H20", "h20", 96, 400.0)
    },
    known("L40S", "l40s", 48, 200.0),
];

/// What may follow a GPU's name without making it another GPU.
const SAME: [&str; 13] = [
    "", "SXM", "SXM4", "SXM5", "SXM6", "80GB", "SXM80GB", "SXM480GB", "SXM580GB", "HGX", "96G",
    "NVL72", "DGX",
];

/// Where a row ran.
pub(super) struct Hardware {
    /// Profile, by its built-in name.
    pub profile: &'static str,
    /// The topology file.
    pub topology: Table,
    /// GPUs simulated: one expert group.
    pub gpus: u32,
    /// Nodes, or NVLink domains, that they are in.
    pub nodes: u32,
    /// What was assumed.
    pub notes: Vec<String>,
    /// Whether the profile is of another GPU.
    pub transferred: bool,
}

/// The hardware for one group of `gpus` GPUs, of whose SMs communication keeps `taken`.
///
/// # Errors
/// The reason why it cannot be simulated.
pub(super) fn of(row: &Row, gpus: u32, taken: u32) -> Result<Hardware, String> {
    let gpu = find(&row.gpu)?;
    let sheet = DataSheet::of_any(gpu.profile).ok_or("the profile has no data sheet")?;
    let stated = row.count("gpus_per_node", &row.gpus_per_node)?.filter(|&count| count > 0);
    let mut notes = Vec::new();
    let gpus_per_node = match (gpu.domain, stated) {
        (Some(domain), _) => domain,
        (None, Some(count)) => count,
        (None, None) => {
            notes.push("GPUs per node not stated: 8 assumed".to_owned());
            8
        }
    };
    // Jobs take whole trays of a domain, as many as divide the job.
    let gpus_per_node = match gpu.domain {
        Some(domain) if gpus > domain => (1..=domain).rev().find(|n| gpus.is_multiple_of(*n)),
        _ => Some(gpus_per_node),
    }
    .unwrap_or(gpus_per_node);
    if gpus > gpus_per_node && !gpus.is_multiple_of(gpus_per_node) {
        return Err(format!("a group of {gpus} GPUs does not fill nodes of {gpus_per_node}"));
    }
    let in_node = gpus.min(gpus_per_node);
    let nodes = gpus / in_node;
    if let Some(variant) = gpu.variant {
        notes.push(format!("profile {} applied to {}: {variant}", gpu.profile, row.gpu));
    }
    let mut topology = Table::new();
    topology.insert("schema".into(), 1.into());
    topology.insert("name".into(), format!("{nodes}x{in_node}-{}", row.gpu).into());
    topology.insert("source".into(), format!("{}; {}", sheet.source, row.source).into());
    topology.insert("gpu".into(), gpu_table(row, gpu, sheet, taken, &mut notes).into());
    let nodes_table = nodes_table(row, gpu, sheet, [nodes, in_node], &mut notes)?;
    topology.insert("nodes".into(), nodes_table.into());
    if nodes > 1 {
        topology.insert("fabric".into(), fabric(nodes).into());
    }
    let transferred = gpu.variant.is_some();
    Ok(Hardware { profile: gpu.profile, topology, gpus, nodes, notes, transferred })
}

fn find(name: &str) -> Result<&'static Known, String> {
    if name.trim().is_empty() {
        return Err("the GPU is not stated".to_owned());
    }
    let plain = letters_and_digits(name);
    let plain = plain.strip_prefix("NVIDIA").unwrap_or(&plain);
    let same =
        |known: &&Known| plain.strip_prefix(known.name).is_some_and(|rest| SAME.contains(&rest));
    KNOWN.iter().find(same).ok_or_else(|| {
        let names = KNOWN.map(|known| known.name).join(", ");
        // Other built-in profiles are carried over to GPUs of which no row's software was ever predicted.
        let gpu = name.trim();
        format!(
            "gpu is `{gpu}`, and rows are predicted on these alone: {names}; `moesim run` takes any profile"
        )
    })
}

fn gpu_table(
    row: &Row,
    gpu: &Known,
    sheet: &DataSheet,
    taken: u32,
    notes: &mut Vec<String>,
) -> Table {
    let left = sheet.sms.saturating_sub(taken).max(1);
    let share = f64::from(left) / f64::from(sheet.sms);
    if left < sheet.sms {
        notes.push(format!("{left} of {} SMs compute, as the row states", sheet.sms));
    }
    let peak = sheet.bf16_tflops * share;
    let mut table = Table::new();
    table.insert("name".into(), row.gpu.trim().into());
    table.insert("peak_bf16".into(), format!("{peak:.1} TFLOP/s").into());
    // Ampere has no fp8 units; all others run fp8 at twice the rate of bf16.
    if !gpu.profile.starts_with("a100") {
        table.insert("peak_fp8".into(), format!("{:.1} TFLOP/s", 2.0 * peak).into());
    }
    table.insert("memory_bandwidth".into(), format!("{} GB/s", sheet.memory_gb_per_s).into());
    // What data sheets call GB of memory are 2³⁰ bytes.
    table.insert("memory".into(), format!("{} GiB", gpu.memory_gb).into());
    table.insert("sms".into(), i64::from(left).into());
    table
}

fn nodes_table(
    row: &Row,
    gpu: &Known,
    sheet: &DataSheet,
    [nodes, in_node]: [u32; 2],
    notes: &mut Vec<String>,
) -> Result<Table, String> {
    let mut table = Table::new();
    table.insert("count".into(), i64::from(nodes).into());
    table.insert("gpus_per_node".into(), i64::from(in_node).into());
    if in_node > 1 {
        table.insert("scale-up".into(), scale_up(row, gpu, sheet, notes)?.into());
    }
    if nodes > 1 {
        let rate = nic_gbit_per_s(&row.interconnect).unwrap_or_else(|| {
            let rate = gpu.nic_gbit_per_s;
            notes.push(format!("network cards not stated: one of {rate} Gb/s per GPU assumed"));
            rate
        });
        let mut nic = latency("1 us");
        nic.insert("per_node".into(), i64::from(in_node).into());
        nic.insert("bandwidth".into(), format!("{rate} Gb/s").into());
        table.insert("nic".into(), nic.into());
    }
    Ok(table)
}

/// NVSwitch at the row's rate, or the shared host of a box without NVLink.
fn scale_up(
    row: &Row,
    gpu: &Known,
    sheet: &DataSheet,
    notes: &mut Vec<String>,
) -> Result<Table, String> {
    if gpu.profile == "l40s" {
        notes.push(format!(
            "PCIe switches and sockets as in {PCIE_BOX}: a row does not describe them"
        ));
        return pcie_box();
    }
    // "NVLink 400 GB/s" counts both directions.
    let stated = number_before(&row.interconnect, "GB/s")
        .filter(|_| row.interconnect.trim_start().starts_with("NVLink "));
    let own = gpu.nvlink_gb_per_s.unwrap_or(sheet.scale_up_gb_per_s);
    let mut port = latency("500 ns");
    port.insert("bandwidth".into(), format!("{} GB/s", stated.map_or(own, |s| s / 2.0)).into());
    Ok(Table::from_iter([("nvswitch".to_owned(), Value::Table(port))]))
}

/// The shipped topology whose PCIe tree stands for that of boxes without NVLink.
const PCIE_BOX: &str = "l40s-2x8-pcie";

fn pcie_box() -> Result<Table, String> {
    let broken = || format!("the shipped topology {PCIE_BOX} has no PCIe tree");
    let source = built_in_topology(PCIE_BOX).ok_or_else(broken)?;
    let file: Table = source.parse().map_err(|_| broken())?;
    let tree = file.get("nodes").and_then(|nodes| nodes.get("scale-up"));
    tree.and_then(Value::as_table).cloned().ok_or_else(broken)
}

/// Network cards per GPU in Gb/s, from texts such as "8x400G IB", "8x50 GB/s" or "IB NDR".
fn nic_gbit_per_s(text: &str) -> Option<f64> {
    let after_x = text.split_whitespace().find_map(|word| {
        let (count, rate) = word.split_once('x')?;
        count.parse::<u32>().ok()?;
        let digits: String = rate.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<f64>().ok().map(|rate| (rate, word))
    });
    if let Some((rate, word)) = after_x {
        let bytes = !word.ends_with('G') && text.contains("GB/s");
        return Some(if bytes { rate * 8.0 } else { rate });
    }
    let words = [("XDR", 800.0), ("NDR", 400.0), ("CX7", 400.0), ("HDR", 200.0)];
    words.into_iter().find(|(word, _)| has_any(text, &[word])).map(|(_, rate)| rate)
}

fn fabric(nodes: u32) -> Table {
    let mut uplink = latency("300 ns");
    uplink.insert("oversubscription".into(), 1.into());
    let mut rails = Table::new();
    rails.insert("nodes_per_leaf".into(), i64::from(nodes).into());
    rails.insert("uplink".into(), uplink.into());
    Table::from_iter([("rail-optimized".to_owned(), Value::Table(rails))])
}

/// A table with a latency, a stated guess as in the shipped topologies.
fn latency(text: &str) -> Table {
    Table::from_iter([("latency".to_owned(), Value::from(text))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_found_by_name_and_others_are_not_taken_for_them() {
        let profile = |name: &str| find(name).map(|gpu| gpu.profile).ok();
        assert_eq!(profile("H100-SXM"), Some("h100-sxm"));
        assert_eq!(profile("NVIDIA GB200"), Some("gb200"));
        assert_eq!(profile("H800"), Some("h100-sxm"));
        for other in ["H100 PCIe", "H100-NVL", "GB3000", "MI300X", "TPU", ""] {
            assert_eq!(profile(other), None, "{other}");
        }
    }

    #[test]
    fn network_cards_are_read_from_the_interconnect() {
        assert_eq!(nic_gbit_per_s("NVLink 400 GB/s + 8x400G IB"), Some(400.0));
        assert_eq!(nic_gbit_per_s("NVLink4 + IB 8x50 GB/s"), Some(400.0));
        assert_eq!(nic_gbit_per_s("NVLink5 node + IB XDR"), Some(800.0));
        assert_eq!(nic_gbit_per_s("NVLink4 node"), None);
    }
}
