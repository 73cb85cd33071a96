//! Compiles kernels at run time, for one device exactly; no GPU is needed for it.
#![allow(unsafe_code)]

use std::ffi::CString;

use cudarc::nvrtc::{result, sys};

use crate::measure::backend::DeviceError;

/// Machine code for an architecture such as `sm_90`.
///
/// # Errors
/// The compiler's own words.
pub fn machine_code(source: &str, architecture: &str) -> Result<Vec<u8>, DeviceError> {
    compiled(source, architecture, |program| {
        let mut size = 0;
        // SAFETY: the program lives, and `size` is written during the call alone.
        unsafe { sys::nvrtcGetCUBINSize(program, &raw mut size) }.result()?;
        let mut code = vec![0_u8; size];
        // SAFETY: `code` has room for what the compiler said it needs.
        unsafe { sys::nvrtcGetCUBIN(program, code.as_mut_ptr().cast()) }.result()?;
        Ok(code)
    })
}

/// Portable assembly for an architecture such as `compute_90`.
///
/// # Errors
/// The compiler's own words.
pub fn ptx(source: &str, architecture: &str) -> Result<String, DeviceError> {
    compiled(source, architecture, |program| {
        // SAFETY: the program lives and was compiled.
        let text = unsafe { result::get_ptx(program) }?;
        Ok(text.into_iter().map(|c| char::from(c as u8)).take_while(|c| *c != '\0').collect())
    })
}

fn compiled<T>(
    source: &str,
    architecture: &str,
    take: impl FnOnce(sys::nvrtcProgram) -> Result<T, result::NvrtcError>,
) -> Result<T, DeviceError> {
    let failed = |what: String| DeviceError::Failed(format!("NVRTC, {architecture}: {what}"));
    let text = CString::new(source).map_err(|e| failed(e.to_string()))?;
    let program = result::create_program(&text, None).map_err(|e| failed(format!("{e:?}")))?;
    let options = [format!("--gpu-architecture={architecture}"), "--std=c++17".to_owned()];
    // SAFETY: the program was just created.
    let outcome = unsafe { result::compile_program(program, &options) };
    let taken = match outcome {
        Ok(()) => take(program).map_err(|e| failed(format!("{e:?}"))),
        Err(error) => {
            // SAFETY: the program lives.
            let log = unsafe { result::get_program_log(program) }.unwrap_or_default();
            let log: String = log.into_iter().map(|c| char::from(c as u8)).collect();
            let log = log.trim_end_matches('\0');
            Err(failed(format!("{error:?}\n{log}").trim_end().to_owned()))
        }
    };
    // SAFETY: nothing refers to the program any more. A failure to free it costs memory alone.
    let _ = unsafe { result::destroy_program(program) };
    taken
}
