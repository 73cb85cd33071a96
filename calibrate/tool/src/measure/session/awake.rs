//! Brings the clock of an idle device up before it is timed.
//!
//! While the CPU computes what a kernel should have found, a GPU may idle for seconds and clock itself
//! down. An H200 through Vulkan began layers at 345 to 990 of its 1980 MHz and took up to 2.3 times as
//! long as a moment later. Under load it throttles to no less than 85 % of its highest clock.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::measure::backend::{Backend, DeviceError, Prepared};
use crate::measure::telemetry::Telemetry;

/// A device below this share of its highest clock has been idle.
const IDLE: f64 = 0.8;
/// The longest that a clock is waited for. One that stays low is locked, or throttled hard.
const LONGEST: Duration = Duration::from_millis(500);
/// The longest list of runs in one submission.
const MOST_RUNS: usize = 64;
/// Work between two looks at the clock, in seconds.
const WORK: f64 = 5e-3;

/// What is known of a device's clock.
pub(super) struct Awake<'t> {
    telemetry: &'t Telemetry,
    highest: Option<f64>,
    /// Where the clock stayed, though the device had work.
    stayed: Cell<Option<f64>>,
}

impl<'t> Awake<'t> {
    pub(super) fn new(telemetry: &'t Telemetry) -> Self {
        Self { telemetry, highest: telemetry.most_mhz(), stayed: Cell::new(None) }
    }

    /// The clock, if it is that of a device that has been idle.
    fn low(&self) -> Option<f64> {
        let highest = self.highest?;
        self.telemetry.read().mhz.filter(|mhz| *mhz < IDLE * highest)
    }

    /// Runs these sets, of which one takes `seconds`, until the clock is up or `until`.
    pub(super) fn wake(
        &self,
        device: &mut dyn Backend,
        sets: &[Prepared],
        seconds: f64,
        until: Instant,
    ) -> Result<(), DeviceError> {
        let until = until.min(Instant::now() + LONGEST);
        let many = ((WORK / seconds.max(1e-9)) as usize).clamp(1, MOST_RUNS);
        let runs: Vec<Prepared> = sets.iter().copied().cycle().take(many).collect();
        while self.stayed.get().is_none()
            && let Some(mhz) = self.low()
        {
            if Instant::now() >= until {
                self.stayed.set(Some(mhz));
            }
            device.time(&runs)?;
        }
        Ok(())
    }

    /// That the clock did not come up.
    pub(super) fn doubts(&self) -> Option<String> {
        let (mhz, highest) = (self.stayed.get()?, self.highest?);
        Some(format!(
            "the clock stayed at {mhz:.0} of {highest:.0} MHz: it is locked (nvidia-smi -q -d CLOCK), or \
             the device is short of power or too hot; times are those of this clock"
        ))
    }
}
