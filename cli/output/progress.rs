//! Progress of anything that takes longer than a second: on standard error, on a terminal alone.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use moesim::base::threads;

/// A bar with the time left; draws nothing when quiet or where no person looks.
pub(crate) struct Progress(ProgressBar);

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
        Self(bar)
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
    }
}
