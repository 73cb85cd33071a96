//! Devices that can be measured, and how to find one.

use super::backend::{Backend, DeviceError};

pub mod cuda;
pub mod fake;
pub mod native;
pub mod wgpu;

/// Which backend to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Choice {
    /// CUDA where there is one, else wgpu.
    Auto,
    /// CUDA alone.
    Cuda,
    /// wgpu alone: Vulkan, Metal or DX12.
    Wgpu,
    /// The CPU itself, without a driver.
    Native,
}

/// Which device, of which backend.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Opening {
    /// CUDA where there is one, else wgpu (Vulkan, Metal or DX12); `native` is the CPU itself.
    #[arg(long, value_enum, default_value = "auto")]
    pub backend: Choice,
    /// Which device, counted from 0.
    #[arg(long, default_value_t = 0)]
    pub device: usize,
    /// Threads of `native`. More than one repeats well on a machine that does nothing else.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
}

/// Opens the device that is asked for, and says which backends could not be used and why.
///
/// # Errors
/// One sentence for each backend that was tried, when none can be used.
pub fn open(opening: &Opening) -> Result<(Box<dyn Backend>, Vec<String>), DeviceError> {
    let mut reasons = Vec::new();
    let Opening { backend: choice, device: index, threads } = *opening;
    if choice == Choice::Native {
        return Ok((Box::new(native::Native::open(index, threads)?), reasons));
    }
    if choice != Choice::Wgpu {
        match cuda::Cuda::open(index) {
            Ok(device) => return Ok((Box::new(device), reasons)),
            Err(error) => reasons.push(format!("CUDA: {error}")),
        }
    }
    if choice != Choice::Cuda {
        match wgpu::Wgpu::open(index) {
            Ok(device) => return Ok((Box::new(device), reasons)),
            Err(error) => reasons.push(format!("wgpu: {error}")),
        }
    }
    Err(DeviceError::Absent(format!(
        "no device can be measured\n  {}\n  help: install the GPU's driver; to measure the \
         CPU, give --backend native, or install a software Vulkan driver (Debian: apt-get install \
         mesa-vulkan-drivers libvulkan1)",
        reasons.join("\n  ")
    )))
}
