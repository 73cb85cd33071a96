//! What one run produced.

use std::fmt;

use crate::base::units::SimDuration;
use crate::execution::Scope;
use crate::execution::blame::{Blame, Reason};
use crate::execution::lowering::Totals;
use crate::execution::machine::Finished;
use crate::kernels::TimedBasis;
use crate::network::NetworkReport;

mod sample;

pub use sample::Sample;

/// The simulated time exceeds 213 days, the end of representable time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the simulated time exceeds 213 days, more than the clock can hold")
    }
}

impl std::error::Error for TooLong {}

/// What one run produced.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The seed it ran under.
    pub seed: u64,
    /// What was counted.
    pub counted: Scope,
    /// When the last GPU finished all its micro-batches.
    pub makespan: SimDuration,
    /// Each GPU's time by reason; each sums to the makespan.
    pub blame: Vec<Blame>,
    /// Each GPU's work of shared and zero-computation experts that exchanges hid.
    pub hidden: Vec<SimDuration>,
    /// Which engine carried the exchanges, and what is known of its error.
    pub network_report: NetworkReport,
    /// Bytes over each link of the cluster.
    pub link_bytes: Vec<u64>,
    /// What the gate decided, summed.
    pub totals: Totals,
    /// Tokens that went through the whole model, without drafts that are not accepted.
    pub tokens: f64,
    /// What its time stands on, the mean over GPUs; waiting left out.
    pub stands_on: Vec<TimedBasis>,
    /// How often gates were drawn for each layer, where not for every micro-batch and group.
    pub gate_draws: Option<u32>,
    /// The number of chunks that was found to be best, where it was looked for.
    pub best_chunks: Option<u32>,
    /// The units that were simulated, where these were not all.
    pub sample: Option<Sample>,
}

impl Outcome {
    /// The outcome of a finished run that yields `tokens`; what it stands on is added
    /// by the caller.
    ///
    /// # Errors
    /// If the clock reached its end.
    pub fn of(
        (finished, totals): (Finished, Totals),
        counted: Scope,
        tokens: f64,
        seed: u64,
    ) -> Result<Self, TooLong> {
        let Finished { makespan, blame, hidden, network_report, link_bytes, .. } = finished;
        if makespan == SimDuration::MAX {
            return Err(TooLong);
        }
        for (gpu, blame) in blame.iter().enumerate() {
            let total = blame.total();
            assert!(total == makespan, "GPU {gpu} is blamed for {total} of {makespan}");
        }
        Ok(Self {
            seed,
            counted,
            makespan,
            blame,
            hidden,
            network_report,
            link_bytes,
            totals,
            tokens,
            stands_on: Vec::new(),
            gate_draws: None,
            best_chunks: None,
            sample: None,
        })
    }

    /// The time counted, in seconds. For whole layers and models, the makespan: the slowest GPU
    /// decides. For experts alone, what the paper's timers around them show [moepp, Table 3]: the
    /// time an average GPU spends in its experts, which leaves out its waiting for slower ones.
    #[must_use]
    pub fn counted_secs(&self) -> f64 {
        match self.counted {
            Scope::Experts => {
                let busy = Reason::ALL.into_iter().filter(|reason| !reason.is_wait());
                busy.map(|reason| self.mean_blame_ms(reason) / 1e3).sum()
            }
            _ => self.makespan.secs(),
        }
    }

    /// Share of all slots that FFN experts were given.
    #[must_use]
    pub fn ffn_share(&self) -> f64 {
        let ffn = self.totals.ffn_slots as f64;
        ffn / (ffn + self.totals.zero_computation_slots as f64)
    }

    /// Share of all slots that were dropped.
    #[must_use]
    pub fn drop_share(&self) -> f64 {
        let all = self.totals.ffn_slots + self.totals.zero_computation_slots;
        self.totals.dropped_slots as f64 / all as f64
    }

    /// Share of all mixing weight, one a token and gate, of the slots that were dropped.
    #[must_use]
    pub fn dropped_weight_share(&self) -> f64 {
        self.totals.dropped_weight / self.totals.gated_tokens as f64
    }

    /// Tokens per second through what is counted, all GPUs together.
    #[must_use]
    pub fn tokens_per_sec(&self) -> f64 {
        self.tokens / self.counted_secs()
    }

    /// Time blamed on `reason`, the mean over GPUs.
    #[must_use]
    pub fn mean_blame_ms(&self, reason: Reason) -> f64 {
        let all: f64 = self.blame.iter().map(|blame| blame.of(reason).ms()).sum();
        all / self.blame.len() as f64
    }

    /// Time that one GPU waited for others, in milliseconds.
    #[must_use]
    pub fn waited_ms(&self, gpu: usize) -> f64 {
        let waits = Reason::ALL.into_iter().filter(|reason| reason.is_wait());
        waits.map(|reason| self.blame[gpu].of(reason).ms()).sum()
    }

    /// Zero-computation work that exchanges hid, the mean over GPUs.
    #[must_use]
    pub fn mean_hidden_ms(&self) -> f64 {
        self.hidden.iter().map(|time| time.ms()).sum::<f64>() / self.hidden.len() as f64
    }
}
