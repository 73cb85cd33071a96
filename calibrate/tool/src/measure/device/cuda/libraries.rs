//! Finds CUDA's libraries where people have them, before the bindings look for them.
//!
//! The bindings ask the loader by name, and panic when it finds nothing. So each library is first
//! looked for here: by name, then in the folders of toolkits and of Python wheels. One that is
//! loaded by its path is found again by its name.
#![allow(unsafe_code)]

use std::path::{Path, PathBuf};

use libloading::Library;

use crate::measure::backend::DeviceError;

/// Folders of a toolkit or a driver.
const FOLDERS: [&str; 6] = [
    "/usr/local/cuda/lib64",
    "/usr/local/cuda/targets/x86_64-linux/lib",
    "/usr/local/cuda/targets/sbsa-linux/lib",
    "/usr/local/nvidia/lib64",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/wsl/lib",
];

/// Folders that may hold `python3.*/…-packages`.
const PYTHONS: [&str; 3] = ["/usr/lib", "/usr/local/lib", "/usr/lib64"];

/// Folders within `nvidia` of Python's packages.
const WHEELS: [&str; 6] =
    ["cu13/lib", "cuda_nvrtc/lib", "cublas/lib", "nccl/lib", "cuda_runtime/lib", "nvjitlink/lib"];

/// The driver's library.
const DRIVER: &str = "libcuda.so.1";

/// A variable that names further folders, parted by colons.
pub const OWN: &str = "CALIBRATE_CUDA_LIBRARIES";

/// Loads all that the backend needs.
///
/// # Errors
/// A sentence that names the first that is missing.
pub fn find() -> Result<(), DeviceError> {
    // Containers may have the driver in a folder that the loader does not know.
    let _ = named(DRIVER);
    // SAFETY: asking the loader for the driver runs the driver's own start-up code alone.
    if !unsafe { cudarc::driver::sys::is_culib_present() } {
        let found = format!("no NVIDIA driver was found ({DRIVER})");
        return Err(DeviceError::Absent(found));
    }
    nvrtc()?;
    preload("libcublasLt.so");
    preload("libcublas.so");
    // SAFETY: as above, for cuBLAS.
    let present = unsafe {
        cudarc::cublaslt::sys::is_culib_present() && cudarc::cublas::sys::is_culib_present()
    };
    if present { Ok(()) } else { Err(missing("cuBLAS (libcublas.so, libcublasLt.so)")) }
}

/// Loads the compiler, which needs no GPU.
///
/// # Errors
/// If it is nowhere.
pub fn nvrtc() -> Result<(), DeviceError> {
    preload("libnvrtc-builtins.so");
    preload("libnvrtc.so");
    // SAFETY: as above, for NVRTC.
    let present = unsafe { cudarc::nvrtc::sys::is_culib_present() };
    if present { Ok(()) } else { Err(missing("the run-time compiler (libnvrtc.so)")) }
}

fn missing(what: &str) -> DeviceError {
    DeviceError::Absent(format!(
        "{what} was not found; install CUDA 12.8 or newer, or name its folder in {OWN}"
    ))
}

/// The library of exactly this name: as the loader finds it, else from the folders.
#[must_use]
pub fn named(name: &str) -> Option<&'static Library> {
    load(Path::new(name)).map(|library| &*Box::leak(Box::new(library))).or_else(|| preload(name))
}

/// The library of this name from the first folder that has it, kept loaded; none if no folder has.
pub fn preload(name: &str) -> Option<&'static Library> {
    for folder in folders() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        let fits = |path: &PathBuf| {
            let file = path.file_name().and_then(|f| f.to_str()).unwrap_or_default();
            file.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        paths.retain(fits);
        paths.sort();
        for path in paths.iter().rev() {
            if let Some(library) = load(path) {
                return Some(Box::leak(Box::new(library)));
            }
        }
    }
    None
}

#[cfg(unix)]
fn load(path: &Path) -> Option<Library> {
    use libloading::os::unix;
    let flags = unix::RTLD_NOW | unix::RTLD_GLOBAL;
    // SAFETY: NVIDIA's libraries run no code at load time that would break ours.
    unsafe { unix::Library::open(Some(path), flags) }.ok().map(Library::from)
}

#[cfg(not(unix))]
fn load(path: &Path) -> Option<Library> {
    // SAFETY: as above.
    unsafe { Library::new(path) }.ok()
}

/// Folders to look in, those that the user names first.
fn folders() -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).unwrap_or_default();
    let listed = |name: &str| std::env::split_paths(&variable(name)).collect::<Vec<_>>();
    let mut found = listed(OWN);
    found.extend(listed("LD_LIBRARY_PATH"));
    for home in ["CUDA_HOME", "CUDA_PATH"] {
        found.extend(listed(home).into_iter().map(|home| home.join("lib64")));
    }
    found.extend(FOLDERS.map(PathBuf::from));
    let mut pythons: Vec<PathBuf> = PYTHONS.map(PathBuf::from).to_vec();
    for environment in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
        pythons.extend(listed(environment).into_iter().map(|prefix| prefix.join("lib")));
    }
    // Environments under /opt, as container images have them.
    for opt in children(Path::new("/opt")) {
        pythons.extend([opt.join("lib"), opt.join(".venv/lib"), opt.join("venv/lib")]);
    }
    for python in pythons.iter().flat_map(|folder| children(folder)) {
        for packages in ["site-packages", "dist-packages"] {
            let nvidia = python.join(packages).join("nvidia");
            found.extend(WHEELS.iter().map(|wheel| nvidia.join(wheel)));
        }
    }
    found.retain(|folder| folder.is_dir());
    found
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}
