//! All-to-alls between the GPUs of one machine, by NCCL.
//!
//! The library is loaded by us and not by the bindings: they look for `libnccl.so`, which machines
//! that develop against NCCL have; those that run it have `libnccl.so.2` alone. Their types are used.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

use cudarc::driver::sys::{CUdeviceptr, CUstream};
use cudarc::nccl::sys::{ncclComm_t, ncclDataType_t, ncclResult_t};
use libloading::Library;

use super::libraries;
use crate::measure::backend::DeviceError;

/// The library's name wherever it can be run.
const NAME: &str = "libnccl.so.2";

type Transfer<P> =
    unsafe extern "C" fn(P, usize, ncclDataType_t, c_int, ncclComm_t, CUstream) -> ncclResult_t;

/// The functions of NCCL that an all-to-all takes.
#[derive(Clone, Copy)]
pub struct Nccl {
    init: unsafe extern "C" fn(*mut ncclComm_t, c_int, *const c_int) -> ncclResult_t,
    destroy: unsafe extern "C" fn(ncclComm_t) -> ncclResult_t,
    begin: unsafe extern "C" fn() -> ncclResult_t,
    end: unsafe extern "C" fn() -> ncclResult_t,
    send: Transfer<*const c_void>,
    receive: Transfer<*mut c_void>,
}

/// GPUs that exchange with one another, each by its communicator.
pub struct Group {
    nccl: Nccl,
    each: Vec<ncclComm_t>,
}

/// One GPU's part in an all-to-all.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// What it sends: one block for each GPU, in their order.
    pub from: CUdeviceptr,
    /// What it receives: one block from each.
    pub to: CUdeviceptr,
    /// Where it is enqueued.
    pub stream: CUstream,
}

fn checked(what: &str, result: ncclResult_t) -> Result<(), DeviceError> {
    if result == ncclResult_t::ncclSuccess {
        return Ok(());
    }
    Err(DeviceError::Failed(format!("NCCL, {what}: {result:?} (NCCL_DEBUG=WARN says more)")))
}

impl Nccl {
    /// The library from where people have it.
    ///
    /// # Errors
    /// A sentence that says what to install, if it is nowhere.
    pub fn find() -> Result<Self, DeviceError> {
        let library = libraries::named(NAME).ok_or_else(|| {
            DeviceError::Unsupported(format!(
                "exchanges between GPUs: NCCL ({NAME}) was not found; install it (Python: pip install \
                 nvidia-nccl-cu13), or name its folder in {}",
                libraries::OWN
            ))
        })?;
        Self::of(library)
    }

    /// The functions of a library that is loaded.
    ///
    /// # Errors
    /// If it lacks one.
    pub fn of(library: &'static Library) -> Result<Self, DeviceError> {
        fn symbol<T: Copy>(library: &Library, name: &str) -> Result<T, DeviceError> {
            // SAFETY: `T` is the signature that NCCL's header gives this name since version 2.7.
            let found = unsafe { library.get::<T>(name.as_bytes()) };
            found.map(|symbol| *symbol).map_err(|_| {
                DeviceError::Unsupported(format!("NCCL has no {name}: install 2.7 or newer"))
            })
        }
        Ok(Self {
            init: symbol(library, "ncclCommInitAll")?,
            destroy: symbol(library, "ncclCommDestroy")?,
            begin: symbol(library, "ncclGroupStart")?,
            end: symbol(library, "ncclGroupEnd")?,
            send: symbol(library, "ncclSend")?,
            receive: symbol(library, "ncclRecv")?,
        })
    }

    /// The GPUs with these ordinals, as one group.
    ///
    /// # Errors
    /// If NCCL cannot connect them.
    pub fn group(self, ordinals: &[c_int]) -> Result<Group, DeviceError> {
        let mut each = vec![std::ptr::null_mut(); ordinals.len()];
        // SAFETY: both arrays hold one entry a GPU.
        let made =
            unsafe { (self.init)(each.as_mut_ptr(), ordinals.len() as c_int, ordinals.as_ptr()) };
        checked("connecting the GPUs", made)?;
        Ok(Group { nccl: self, each })
    }
}

impl Group {
    /// Enqueues an all-to-all: block j of what GPU i sends becomes block i of what GPU j receives, a
    /// block of `bytes` bytes each. As nccl-tests does it: all sends and receives as one group.
    ///
    /// # Errors
    /// If NCCL refuses.
    ///
    /// # Panics
    /// If there is not one part for each GPU.
    pub fn all_to_all(&self, parts: &[Part], bytes: usize) -> Result<(), DeviceError> {
        let (given, gpus) = (parts.len(), self.each.len());
        assert_eq!(given, gpus, "parts of an all-to-all");
        // SAFETY: takes no arguments.
        checked("opening a group", unsafe { (self.nccl.begin)() })?;
        let enqueued = self.transfers(parts, bytes);
        // SAFETY: as above; a group that was opened is closed whatever happened.
        let closed = checked("closing a group", unsafe { (self.nccl.end)() });
        enqueued.and(closed)
    }

    fn transfers(&self, parts: &[Part], bytes: usize) -> Result<(), DeviceError> {
        let kind = ncclDataType_t::ncclUint8;
        for (part, &comm) in parts.iter().zip(&self.each) {
            for peer in 0..parts.len() {
                let from = (part.from as usize + peer * bytes) as *const c_void;
                let to = (part.to as usize + peer * bytes) as *mut c_void;
                // SAFETY: both buffers hold a block for each GPU, which the backend checked, and live
                // until the streams were waited for.
                unsafe {
                    let sent =
                        (self.nccl.send)(from, bytes, kind, peer as c_int, comm, part.stream);
                    checked("sending", sent)?;
                    let received =
                        (self.nccl.receive)(to, bytes, kind, peer as c_int, comm, part.stream);
                    checked("receiving", received)?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for &comm in &self.each {
            // SAFETY: made by `init`, and given back once. What cannot be given back goes with the
            // process.
            let _ = unsafe { (self.nccl.destroy)(comm) };
        }
    }
}
