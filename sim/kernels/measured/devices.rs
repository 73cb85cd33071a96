//! Data sheets of the devices that measurements are known of.
//!
//! Topologies carry the peaks of the GPUs they are built of; these here say what the efficiencies
//! of profiles refer to, and what a plain roofline would predict.

use crate::base::units::{Bandwidth, FlopRate};
use crate::kernels::Device;
use crate::kernels::profile::Profile;

/// A device: its names, its peaks and where they are printed.
#[derive(Clone, Copy, Debug)]
pub struct DataSheet {
    /// Name of the profile: `"a100-sxm"`.
    pub name: &'static str,
    /// Name in file names of measurements: `"a100_sxm"`.
    pub file: &'static str,
    /// Dense bf16 arithmetic without sparsity, in TFLOP/s.
    pub bf16_tflops: f64,
    /// Memory bandwidth, in GB/s.
    pub memory_gb_per_s: f64,
    /// Streaming multiprocessors.
    pub sms: u32,
    /// Scale-up links of one GPU, one direction, in GB/s: NVLink, or PCIe where there is none.
    pub scale_up_gb_per_s: f64,
    /// Whether GPUs of a node reach each other's memory, by NVLink or over PCI Express. Without, a collective
    /// goes through the host's memory.
    pub peer_to_peer: bool,
    /// L2 cache, in MB.
    pub cache_mb: f64,
    /// Where the figures are printed.
    pub source: &'static str,
    /// The device of the same family whose experts and collectives stand in where this one's were
    /// not measured.
    pub nearest: Option<&'static str>,
}

/// The devices that are known.
pub const DEVICES: [DataSheet; 6] = [
    DataSheet {
        name: "a100-sxm",
        file: "a100_sxm",
        bf16_tflops: 312.0,
        memory_gb_per_s: 2039.0,
        sms: 108,
        scale_up_gb_per_s: 300.0,
        peer_to_peer: true,
        cache_mb: 40.0,
        source: "NVIDIA A100 80GB SXM data sheet; NVIDIA A100 architecture whitepaper",
        nearest: None,
    },
    DataSheet {
        name: "h100-sxm",
        file: "h100_sxm",
        bf16_tflops: 989.0,
        memory_gb_per_s: 3350.0,
        sms: 132,
        scale_up_gb_per_s: 450.0,
        peer_to_peer: true,
        cache_mb: 50.0,
        source: "NVIDIA H100 SXM data sheet; NVIDIA H100 architecture whitepaper",
        nearest: Some("h200-sxm"),
    },
    DataSheet {
        name: "h200-sxm",
        file: "h200_sxm",
        bf16_tflops: 989.0,
        memory_gb_per_s: 4800.0,
        sms: 132,
        scale_up_gb_per_s: 450.0,
        peer_to_peer: true,
        cache_mb: 50.0,
        source: "NVIDIA H200 SXM data sheet",
        nearest: Some("h100-sxm"),
    },
    DataSheet {
        name: "b200-sxm",
        file: "b200_sxm",
        bf16_tflops: 2250.0,
        memory_gb_per_s: 7700.0,
        sms: 148,
        scale_up_gb_per_s: 900.0,
        peer_to_peer: true,
        cache_mb: 126.0,
        source: "NVIDIA HGX B200 data sheet, one GPU of eight",
        nearest: Some("gb200"),
    },
    DataSheet {
        name: "gb200",
        file: "gb200",
        bf16_tflops: 2500.0,
        memory_gb_per_s: 8000.0,
        sms: 152,
        scale_up_gb_per_s: 900.0,
        peer_to_peer: true,
        cache_mb: 126.0,
        source: "NVIDIA GB200 NVL72 data sheet, one GPU of 72",
        nearest: Some("b200-sxm"),
    },
    DataSheet {
        name: "l40s",
        file: "l40s",
        bf16_tflops: 362.0,
        memory_gb_per_s: 864.0,
        sms: 142,
        scale_up_gb_per_s: 32.0,
        peer_to_peer: false,
        cache_mb: 96.0,
        source: "NVIDIA L40S data sheet",
        nearest: None,
    },
];

/// Devices of which only the data sheet is known here: they have no profile and are predicted from a
/// handful of timings (see `kernels::transfer`).
pub const SHEETS_ALONE: [DataSheet; 6] = [
    DataSheet {
        name: "h20",
        file: "h20",
        bf16_tflops: 148.0,
        memory_gb_per_s: 4000.0,
        sms: 78,
        scale_up_gb_per_s: 450.0,
        cache_mb: 60.0,
        peer_to_peer: true,
        source: "NVIDIA H20 data sheet, SXM",
        nearest: Some("h100-sxm"),
    },
    DataSheet {
        name: "b300-sxm",
        file: "b300_sxm",
        bf16_tflops: 2250.0,
        memory_gb_per_s: 7750.0,
        sms: 148,
        scale_up_gb_per_s: 900.0,
        peer_to_peer: true,
        cache_mb: 126.0,
        source: "NVIDIA Blackwell Ultra data sheet, HGX B300, one GPU of eight",
        nearest: Some("b200-sxm"),
    },
    DataSheet {
        name: "gb300",
        file: "gb300",
        bf16_tflops: 2500.0,
        memory_gb_per_s: 8000.0,
        sms: 152,
        scale_up_gb_per_s: 900.0,
        peer_to_peer: true,
        cache_mb: 126.0,
        source: "NVIDIA Blackwell Ultra data sheet, GB300 NVL72, one GPU of 72",
        nearest: Some("gb200"),
    },
    DataSheet {
        name: "h100-pcie",
        file: "h100_pcie",
        bf16_tflops: 756.0,
        memory_gb_per_s: 2000.0,
        sms: 114,
        scale_up_gb_per_s: 64.0,
        peer_to_peer: true,
        cache_mb: 50.0,
        source: "NVIDIA H100 PCIe data sheet",
        nearest: Some("h100-sxm"),
    },
    DataSheet {
        name: "a100-pcie",
        file: "a100_pcie",
        bf16_tflops: 312.0,
        memory_gb_per_s: 1935.0,
        sms: 108,
        scale_up_gb_per_s: 32.0,
        peer_to_peer: true,
        cache_mb: 40.0,
        source: "NVIDIA A100 80GB PCIe data sheet",
        nearest: Some("a100-sxm"),
    },
    DataSheet {
        name: "rtx-pro-6000-server",
        file: "rtx_pro_6000_server",
        bf16_tflops: 467.8,
        memory_gb_per_s: 1597.0,
        sms: 188,
        scale_up_gb_per_s: 64.0,
        peer_to_peer: true,
        cache_mb: 128.0,
        source: "NVIDIA RTX PRO 6000 Blackwell Server Edition data sheet",
        nearest: Some("l40s"),
    },
];

impl DataSheet {
    /// The data sheet of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        DEVICES.iter().find(|d| d.name == name)
    }

    /// The data sheet of this name, devices that were never measured among them.
    #[must_use]
    pub fn of_any(name: &str) -> Option<&'static Self> {
        DEVICES.iter().chain(&SHEETS_ALONE).find(|d| d.name == name)
    }

    /// The data sheet that a measurement file's name ends in: `gemm_a100_sxm` is of `a100_sxm`.
    #[must_use]
    pub fn of_file(stem: &str) -> Option<&'static Self> {
        let suffix = |d: &&Self| stem.strip_suffix(d.file).is_some_and(|rest| rest.ends_with('_'));
        // `b200_sxm` must not be taken for `gb200`; the longest name that fits is meant.
        DEVICES.iter().chain(&SHEETS_ALONE).filter(suffix).max_by_key(|d| d.file.len())
    }

    /// Whether there is a profile of the device.
    #[must_use]
    pub fn has_profile(&self) -> bool {
        Self::named(self.name).is_some()
    }

    /// GPUs of one node: trays of a GB200 or GB300 NVL72 have four, boxes eight (the same data sheets).
    #[must_use]
    pub fn gpus_per_node(&self) -> u32 {
        if self.name.starts_with("gb") { 4 } else { 8 }
    }

    /// The peaks, as kernels take them.
    #[must_use]
    pub fn device(&self) -> Device {
        Device {
            peak_bf16: FlopRate::from_flops_per_sec(self.bf16_tflops * 1e12),
            // What efficiencies in fp8 refer to, on devices that have it.
            peak_fp8: Some(FlopRate::from_flops_per_sec(2.0 * self.bf16_tflops * 1e12)),
            memory_bandwidth: Bandwidth::from_bytes_per_sec(self.memory_gb_per_s * 1e9),
            sms: self.sms,
        }
    }
}

impl Profile {
    /// The device whose errors this one shares: that of the same chip whose measurements it was carried over from,
    /// or itself. What the tables of a chip leave open is as far off on the chip with other links.
    #[must_use]
    pub fn errs_as(&self) -> &str {
        let from = self.memory.evidence.transferred_from();
        let table = from.and_then(|from| from.split([':', ',']).next());
        let donor = table.and_then(DataSheet::of_file);
        donor
            .filter(|sheet| sheet.device().is_chip_of(&self.data_sheet))
            .map_or(&self.name, |s| s.name)
    }
}
