//! What a machine tells of itself while it is measured: clock, temperature, cache.
//!
//! NVIDIA's management library is loaded at run time; AMD's and the CPU's figures stand in `/sys`.
//! Whatever cannot be read is none, never a guess.

use std::fs;
use std::path::{Path, PathBuf};

mod nvml;

/// Readings at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// Clock of the cores, in MHz.
    pub mhz: Option<f64>,
    /// Temperature in °C.
    pub celsius: Option<f64>,
    /// Power in W.
    pub watts: Option<f64>,
}

/// Where readings of one device come from.
pub enum Telemetry {
    /// NVIDIA's management library.
    Nvidia(nvml::Nvml),
    /// A folder of `/sys/class/drm/card*/device` with AMD's sensors.
    Amd(PathBuf),
    /// The CPU's own figures, for a software device.
    Cpu,
    /// Nothing.
    None,
}

impl Telemetry {
    /// The readings there are for a device of this name.
    #[must_use]
    pub fn of(name: &str, software: bool, index: usize) -> Self {
        if software {
            return Self::Cpu;
        }
        if name.contains("NVIDIA") || name.contains("Tesla") || name.contains("GeForce") {
            return nvml::Nvml::open(index).map_or(Self::None, Self::Nvidia);
        }
        let card = PathBuf::from(format!("/sys/class/drm/card{index}/device"));
        if card.join("gpu_busy_percent").exists() { Self::Amd(card) } else { Self::None }
    }

    /// The highest clock that the device has, in MHz, where it tells.
    #[must_use]
    pub fn most_mhz(&self) -> Option<f64> {
        match self {
            Self::Nvidia(nvml) => nvml.most_mhz(),
            Self::Amd(_) | Self::Cpu | Self::None => None,
        }
    }

    /// The readings now.
    #[must_use]
    pub fn read(&self) -> Reading {
        match self {
            Self::Nvidia(nvml) => nvml.read(),
            Self::Amd(card) => amd(card),
            Self::Cpu => Reading {
                mhz: number("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
                    .map(|khz| khz / 1e3)
                    .or_else(cpuinfo_mhz),
                celsius: number("/sys/class/thermal/thermal_zone0/temp").map(|t| t / 1e3),
                watts: None,
            },
            Self::None => Reading::default(),
        }
    }
}

fn number(path: impl AsRef<Path>) -> Option<f64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn cpuinfo_mhz() -> Option<f64> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("cpu MHz"))?;
    line.split(':').nth(1)?.trim().parse().ok()
}

fn amd(card: &Path) -> Reading {
    let Ok(mut monitors) = fs::read_dir(card.join("hwmon")) else { return Reading::default() };
    let Some(Ok(monitor)) = monitors.next() else { return Reading::default() };
    let of = |file: &str, unit: f64| number(monitor.path().join(file)).map(|x| x / unit);
    Reading {
        mhz: of("freq1_input", 1e6),
        celsius: of("temp1_input", 1e3),
        watts: of("power1_average", 1e6),
    }
}

/// The largest cache of the first CPU, in bytes; 32 MiB where the system does not tell.
#[must_use]
pub fn cpu_cache_bytes() -> u64 {
    let size = |index: u32| {
        let text =
            fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cache/index{index}/size"))
                .ok()?;
        let text = text.trim();
        let (digits, unit) = text.split_at(text.len().checked_sub(1)?);
        let count: u64 = digits.parse().ok()?;
        Some(count * if unit == "M" { 1 << 20 } else { 1 << 10 })
    };
    (0..5).filter_map(size).max().unwrap_or(32 << 20)
}
