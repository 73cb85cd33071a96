//! What bounds a run: its critical path, and what throughput would be were a part of it free.
//!
//! The path is exact for the run that it was observed in. Gains are simulated again under the same seed, kernels of one
//! reason taking no time or links and startups costing nothing: a part beside others gains less than its share, a part that
//! others wait for may gain more.

mod critical_path;

pub use critical_path::{CriticalPath, Path};

use crate::base::order::descending;
use crate::base::threads::in_parallel;
use crate::config::Scenario;
use crate::execution::Scope;
use crate::execution::blame::Reason;
use crate::execution::lowering::Drawn;
use crate::execution::outcome::TooLong;
use crate::studies::study::{WhatIf, run_keeping};
use crate::topology::ByClass;
use crate::workload::Workload;

/// Shares of the time below which a part is not asked about.
const LEAST_SHARE: f64 = 0.02;
/// Most parts that are asked about.
const MOST: usize = 5;
/// How much faster links are that cost next to nothing.
const FREE: f64 = 1e9;

/// A part of a run that could be free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Kernels of this reason.
    Kernels(Reason),
    /// Exchanges and collectives: links and startups.
    Links,
}

impl Part {
    const fn free(self) -> WhatIf {
        match self {
            Self::Kernels(reason) => WhatIf::without(reason),
            Self::Links => {
                WhatIf { bandwidth: ByClass::all(FREE), startup: 0.0, ..WhatIf::NOTHING }
            }
        }
    }
}

/// What bounds a run of a workload under the first seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// The critical path.
    pub path: Path,
    /// Parts, largest gain first, and the gain in percent of throughput were each free.
    pub free: Vec<(Part, f64)>,
}

impl Bounds {
    /// Of a workload in a scenario, simulated on so many threads.
    ///
    /// # Errors
    /// If a run exceeds representable time.
    pub fn of(scenario: &Scenario, workload: &Workload, threads: usize) -> Result<Self, TooLong> {
        // A path is that of a whole run.
        let scenario = &Scenario { precision: None, ..scenario.clone() };
        let (drawn, mut observer) = (Drawn::default(), CriticalPath::default());
        let asked = (workload, scenario.overheads, scenario.seeds.start);
        let nothing = &WhatIf::NOTHING;
        let base = run_keeping(scenario, asked, nothing, Some(&mut observer), Some(&drawn))?;
        let whole: f64 = Reason::ALL.map(|reason| base.mean_blame_ms(reason)).iter().sum();
        let mut shares: Vec<(f64, Reason)> = Reason::ALL
            .into_iter()
            .filter(|reason| !reason.is_wait() && !reason.is_exchange())
            .map(|reason| (base.mean_blame_ms(reason) / whole, reason))
            .filter(|(share, _)| *share >= LEAST_SHARE)
            .collect();
        descending(&mut shares, |one| one.0);
        let kernels = shares.into_iter().take(MOST).map(|(_, reason)| Part::Kernels(reason));
        let links = (scenario.counted != Scope::Experts).then_some(Part::Links);
        let parts: Vec<Part> = kernels.chain(links).collect();
        let gains = in_parallel(parts.len(), threads, |at| {
            let free = run_keeping(scenario, asked, &parts[at].free(), None, Some(&drawn))?;
            Ok(100.0 * (base.counted_secs() / free.counted_secs() - 1.0))
        });
        let gains: Vec<f64> = gains.into_iter().collect::<Result<_, TooLong>>()?;
        let mut free: Vec<(Part, f64)> = parts.into_iter().zip(gains).collect();
        descending(&mut free, |one| one.1);
        let path = observer.longest().cloned().unwrap_or_default();
        Ok(Self { path, free })
    }
}
