//! Progress of anything that takes long, on standard error: on a terminal a bar from the first second on, elsewhere, as in the
//! log of a job, a line every ten seconds.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use moesim::base::threads;

/// A bar with the time left, or lines; says nothing when quiet.
pub(crate) struct Progress(ProgressBar, Option<Lines>);

/// Seconds from one line to the next.
const EVERY_S: u64 = 10;

/// Lines for whoever reads them later, as long as the sender lives.
struct Lines {
    end: Sender<()>,
    thread: JoinHandle<()>,
}

impl Lines {
    /// Of a bar that is not drawn. The clock is the thread's own: nothing that is computed reads it.
    fn of(bar: &ProgressBar, what: &str) -> Option<Self> {
        let (end, ended) = mpsc::channel();
        let (bar, what) = (bar.clone(), what.to_owned());
        let write = move || {
            let mut seconds = 0;
            while ended.recv_timeout(Duration::from_secs(EVERY_S)) == Err(RecvTimeoutError::Timeout)
            {
                seconds += EVERY_S;
                let (done, all) = (bar.position(), bar.length().unwrap_or_default());
                // Whoever closed standard error wants no progress.
                let _ = writeln!(io::stderr(), "{done} of {all} {what} after {seconds} s");
            }
        };
        let thread = thread::Builder::new().name("progress".to_owned()).spawn(write).ok()?;
        Some(Self { end, thread })
    }
}

/// Does work while a bar shows how many of its runs are done; results do not depend on it.
pub(crate) fn during<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let progress = Progress::new(0, what, false);
    let bar = progress.0.clone();
    let told = move |done: usize, all: usize| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    };
    threads::observed(told, work)
}

impl Progress {
    /// A bar of this many steps of something.
    pub(crate) fn new(steps: u64, what: &str, quiet: bool) -> Self {
        let target = if quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr_with_hz(5)
        };
        let bar = ProgressBar::with_draw_target(Some(steps.max(1)), target);
        let style = format!("{{wide_bar}} {{pos}}/{{len}} {what}, {{eta}} left");
        if let Ok(style) = ProgressStyle::with_template(&style) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_secs(1));
        let lines = !quiet && !io::stderr().is_terminal();
        let lines = if lines { Lines::of(&bar, what) } else { None };
        Self(bar, lines)
    }

    /// One more is done.
    pub(crate) fn step(&self) {
        self.done(1);
    }

    /// So many of so many are done.
    pub(crate) fn of(&self, done: usize, all: usize) {
        self.0.set_length(all as u64);
        self.0.set_position(done as u64);
    }

    /// So many more are done.
    pub(crate) fn done(&self, steps: usize) {
        self.0.inc(steps as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
        if let Some(Lines { end, thread }) = self.1.take() {
            drop(end);
            let _ = thread.join();
        }
    }
}
