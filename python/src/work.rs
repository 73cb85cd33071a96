//! Work on a thread of its own, while Python's lock is free and its signals are looked for.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use moesim::base::threads;
use moesim::config::Diagnostic;
use pyo3::prelude::*;

use crate::errors::error;

/// How often signals are looked for: a tenth of what a person notices.
const LOOK: Duration = Duration::from_millis(20);
/// As much as the first thread of a process has.
const STACK: usize = 8 << 20;

/// How far work has come, and whether anybody still waits for it.
#[derive(Default)]
struct Progress {
    done: AtomicUsize,
    all: AtomicUsize,
    given_up: AtomicBool,
}

/// What unwinds a thread whose work nobody waits for.
struct GivenUp;

impl Progress {
    /// So many of so many are done. Ends the work where nobody waits for it any more.
    fn tell(&self, done: usize, all: usize) {
        self.done.store(done, Ordering::Relaxed);
        self.all.store(all, Ordering::Relaxed);
        if self.given_up.load(Ordering::Relaxed) {
            resume_unwind(Box::new(GivenUp));
        }
    }

    fn now(&self) -> (usize, usize) {
        (self.done.load(Ordering::Relaxed), self.all.load(Ordering::Relaxed))
    }
}

/// Does work; `told` is called with how many runs of how many are done.
///
/// A signal, such as that of Ctrl-C, is raised at once. Runs that have begun go on without anybody waiting for them,
/// others do not begin.
pub fn done<T: Send + 'static>(
    py: Python<'_>,
    told: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce() -> Result<T, Diagnostic> + Send + 'static,
) -> PyResult<T> {
    let progress = Arc::new(Progress::default());
    let (own, (send, mut receive)) = (Arc::clone(&progress), channel());
    let thread = move || {
        let told = move |done, all| own.tell(done, all);
        let work = || threads::observed(told, work);
        // Nobody may wait any more: then there is nobody to tell.
        let _ = send.send(catch_unwind(AssertUnwindSafe(work)));
    };
    std::thread::Builder::new().stack_size(STACK).spawn(thread)?;
    let mut last = (0, 0);
    loop {
        let came;
        (came, receive) = py.detach(move || (receive.recv_timeout(LOOK), receive));
        let looked = py.check_signals().and_then(|()| tell(told, &progress, &mut last));
        if let Err(raised) = looked {
            progress.given_up.store(true, Ordering::Relaxed);
            return Err(raised);
        }
        match came {
            Ok(Ok(result)) => return result.map_err(|mistake| error(&mistake)),
            Ok(Err(panic)) => return Err(error(&defect(&*panic))),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(error(&defect(&"the thread ended"))),
        }
    }
}

fn tell(
    told: Option<&Bound<'_, PyAny>>,
    progress: &Progress,
    last: &mut (usize, usize),
) -> PyResult<()> {
    let now = progress.now();
    let Some(told) = told.filter(|_| now != *last) else { return Ok(()) };
    *last = now;
    told.call1(now).map(drop)
}

fn defect(panic: &(dyn Any + Send)) -> Diagnostic {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    let found = format!("moesim failed: {}", text.unwrap_or_default());
    Diagnostic::of("", found, "this is a defect: please report it")
}
