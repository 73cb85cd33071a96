//! MPI, through the library that `exchange.c` is built into.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::path::Path;

use libloading::Library;

/// The processes of this measurement.
pub struct Processes {
    library: Library,
    /// This one.
    pub rank: usize,
    /// How many there are.
    pub count: usize,
}

/// What goes to each process, or comes from each: bytes, in the order of processes.
pub type Bytes = [usize];

type Exchange = unsafe extern "C" fn(
    *const c_void,
    *const c_int,
    *const c_int,
    *mut c_void,
    *const c_int,
    *const c_int,
) -> c_int;

fn said(code: c_int) -> Result<(), String> {
    if code == 0 { Ok(()) } else { Err(format!("MPI failed with code {code}")) }
}

/// Counts and places as MPI takes them.
fn places(bytes: &Bytes) -> Result<(Vec<c_int>, Vec<c_int>, usize), String> {
    let whole = |n: usize| c_int::try_from(n).map_err(|_| format!("{n} bytes in one exchange"));
    let mut at = 0;
    let (mut counts, mut starts) = (Vec::new(), Vec::new());
    for &each in bytes {
        counts.push(whole(each)?);
        starts.push(whole(at)?);
        at += each;
    }
    Ok((counts, starts, at))
}

impl Processes {
    /// Begins: once a process.
    ///
    /// # Errors
    /// If the library cannot be loaded, or MPI does not begin.
    pub fn begin(library: &Path) -> Result<Self, String> {
        let named = |e: libloading::Error| format!("{}: {e}", library.display());
        // SAFETY: the library runs nothing when it is loaded; MPI begins below.
        let library = unsafe { Library::new(library) }.map_err(named)?;
        let (mut rank, mut count) = (0, 0);
        // SAFETY: this is the function's type in `exchange.c`, which writes one number to each place.
        unsafe {
            let begin = library
                .get::<unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int>(b"exchange_begin\0")
                .map_err(|e| e.to_string())?;
            said(begin(&raw mut rank, &raw mut count))?;
        }
        Ok(Self { library, rank: rank as usize, count: count as usize })
    }

    /// Ends: nothing may be asked after it.
    ///
    /// # Errors
    /// If MPI says so.
    pub fn end(self) -> Result<(), String> {
        self.plain(b"exchange_end\0")
    }

    /// Waits for all.
    ///
    /// # Errors
    /// If MPI says so.
    pub fn wait(&self) -> Result<(), String> {
        self.plain(b"exchange_wait\0")
    }

    fn plain(&self, name: &[u8]) -> Result<(), String> {
        // SAFETY: both functions of this kind in `exchange.c` take nothing.
        unsafe {
            let call = self.library.get::<unsafe extern "C" fn() -> c_int>(name);
            said(call.map_err(|e| e.to_string())?())
        }
    }

    /// The largest of all processes' numbers.
    ///
    /// # Errors
    /// If MPI says so.
    pub fn most(&self, own: f64) -> Result<f64, String> {
        let mut most = 0.0;
        // SAFETY: this is the function's type in `exchange.c`, which writes one number.
        unsafe {
            let call = self
                .library
                .get::<unsafe extern "C" fn(f64, *mut f64) -> c_int>(b"exchange_most\0")
                .map_err(|e| e.to_string())?;
            said(call(own, &raw mut most))?;
        }
        Ok(most)
    }

    /// Sends so many bytes to each process, and receives so many from each.
    ///
    /// # Errors
    /// If MPI says so, or a buffer is too small.
    pub fn exchange(
        &self,
        (sent, to_each): (&[u8], &Bytes),
        (received, from_each): (&mut [u8], &Bytes),
    ) -> Result<(), String> {
        let (to, to_at, all_sent) = places(to_each)?;
        let (from, from_at, all_received) = places(from_each)?;
        if [to.len(), from.len()] != [self.count; 2]
            || all_sent > sent.len()
            || all_received > received.len()
        {
            return Err("buffers do not hold what is exchanged".to_owned());
        }
        // SAFETY: the type is that in `exchange.c`; counts and places are one a process, and what they
        // reach lies within both buffers, as was just seen.
        unsafe {
            let call =
                self.library.get::<Exchange>(b"exchange_bytes\0").map_err(|e| e.to_string())?;
            said(call(
                sent.as_ptr().cast(),
                to.as_ptr(),
                to_at.as_ptr(),
                received.as_mut_ptr().cast(),
                from.as_ptr(),
                from_at.as_ptr(),
            ))
        }
    }
}
