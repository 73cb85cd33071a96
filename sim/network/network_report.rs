//! Which engine carried a run's exchanges, and what is known of its error.
//!
//! The closed form is certified for an exchange whose error is known to be within 1 % and whose links
//! carry nothing else (see [`crate::network::fluid::Certificate`]). Starts are
//! seldom that close together once experts are uneven, so its error is measured too: exchanges number
//! 1, 2, 4, 8, … of a run are solved a second time as flows that start when their ends have joined, and
//! the last deliveries compared.

use crate::network::fluid::Engine;

/// Which engine a run may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkChoice {
    /// The engine; chosen by certificate, measured error and size if absent.
    pub engine: Option<Engine>,
    /// The relative error that the time of an exchange may have.
    pub epsilon: f64,
    /// The relative error that exchanges may be measured to have on average for the closed form to be chosen.
    pub on_average: f64,
}

impl Default for NetworkChoice {
    /// Chosen to 1 %.
    fn default() -> Self {
        Self { engine: None, epsilon: 0.01, on_average: 0.01 }
    }
}

/// What an engine has carried, and how well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkReport {
    /// The engine.
    pub engine: Engine,
    /// Exchanges with bytes for the network that have been delivered or are under way.
    pub exchanges: u64,
    /// Transfers of these exchanges.
    pub flows: u64,
    /// The relative error that the engine keeps for an exchange, where it keeps one: rounding if exact, ε
    /// if quantised.
    pub error_bound: Option<f64>,
    /// Exchanges for which the closed form's certificate held; all of them for other engines.
    pub certified: u64,
    /// Exchanges solved a second time as flows.
    pub measured: u64,
    /// Greatest difference between the two, over the time from the last join to the last delivery.
    pub worst_measured: f64,
    /// Mean of that difference; positive where the closed form is late.
    pub mean_measured: f64,
}

impl NetworkReport {
    /// Nothing yet.
    pub(crate) const fn none(engine: Engine, error_bound: Option<f64>) -> Self {
        Self {
            engine,
            exchanges: 0,
            flows: 0,
            error_bound,
            certified: 0,
            measured: 0,
            worst_measured: 0.0,
            mean_measured: 0.0,
        }
    }

    /// Whether every exchange is known to be within `epsilon`, or has been measured to be on average.
    #[must_use]
    pub fn within(&self, epsilon: f64) -> bool {
        let measured = self.measured > 0 && self.mean_measured.abs() <= epsilon;
        self.is_known(epsilon) || measured
    }

    /// Whether every exchange is known to be within `epsilon`.
    #[must_use]
    pub fn is_known(&self, epsilon: f64) -> bool {
        let guaranteed = self.error_bound.is_some_and(|error| error <= epsilon);
        guaranteed || self.certified == self.exchanges
    }

    /// Adds another run's account.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let measured = self.measured + other.measured;
        let sum =
            self.mean_measured * self.measured as f64 + other.mean_measured * other.measured as f64;
        Self {
            engine: self.engine.max(other.engine),
            exchanges: self.exchanges + other.exchanges,
            flows: self.flows + other.flows,
            error_bound: self.error_bound.zip(other.error_bound).map(|(a, b)| a.max(b)),
            certified: self.certified + other.certified,
            measured,
            worst_measured: self.worst_measured.max(other.worst_measured),
            mean_measured: if measured > 0 { sum / measured as f64 } else { 0.0 },
        }
    }

    /// Adds one measured difference.
    pub(super) fn measure(&mut self, difference: f64) {
        self.measured += 1;
        self.mean_measured += (difference - self.mean_measured) / self.measured as f64;
        self.worst_measured = self.worst_measured.max(difference.abs());
    }
}
