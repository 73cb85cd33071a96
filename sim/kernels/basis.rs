//! What a predicted time stands on: which kernel or library, and how near to what was measured.

use std::fmt;

use crate::base::units::SimDuration;

/// A part of a run whose time comes from one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// FFN experts.
    Experts,
    /// Dense products: attention, dense and shared networks, output.
    Dense,
    /// The gate's products.
    Gate,
    /// Kernels that only move device memory.
    Memory,
    /// Dispatch and combine.
    Exchange,
    /// Launches and synchronisation of a loop over experts.
    Overheads,
}

impl Part {
    /// Its name in reports and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Experts => "experts",
            Self::Dense => "dense",
            Self::Gate => "gate",
            Self::Memory => "memory",
            Self::Exchange => "exchange",
            Self::Overheads => "overheads",
        }
    }
}

/// How near a prediction is to what was measured.
#[derive(Clone, Debug, PartialEq)]
pub enum Support {
    /// The shape was measured; sizes between measured ones are interpolated.
    Measured,
    /// The shape lies among measured ones: their residuals are kriged.
    Interpolated {
        /// Distance to the nearest measured shape, in correlation lengths.
        distance: f64,
    },
    /// A size lies beyond the measured range.
    Extrapolated {
        /// What lies beyond what, in words.
        beyond: String,
    },
    /// The constants are another's: of another precision, kernel, GPU or number of GPUs.
    Borrowed {
        /// Whose they are.
        from: String,
    },
    /// Computed from another family's table.
    Derived {
        /// The family, and how near its own shapes are.
        from: String,
    },
    /// A published figure.
    Published,
    /// Data-sheet peaks alone.
    DataSheet,
}

impl Support {
    /// Of constants that another device was measured for.
    pub(super) fn borrowed(from: Option<&str>) -> Self {
        Self::Borrowed { from: from.unwrap_or_default().to_owned() }
    }

    /// One word for JSON.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Interpolated { .. } => "interpolated",
            Self::Extrapolated { .. } => "extrapolated",
            Self::Borrowed { .. } => "borrowed",
            Self::Derived { .. } => "derived",
            Self::Published => "published",
            Self::DataSheet => "data-sheet",
        }
    }

    /// What the word leaves out, if anything.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Interpolated { distance } => {
                Some(format!("{distance:.1} correlation lengths from the nearest measured shape"))
            }
            Self::Extrapolated { beyond } => Some(beyond.clone()),
            Self::Borrowed { from } | Self::Derived { from } => Some(format!("from {from}")),
            Self::Measured | Self::Published | Self::DataSheet => None,
        }
    }
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.detail()) {
            (Self::Extrapolated { .. } | Self::Interpolated { .. }, Some(detail)) => {
                write!(f, "{}, {detail}", self.word())
            }
            (_, Some(detail)) => write!(f, "{} {detail}", self.word()),
            (_, None) => write!(f, "{}", self.word()),
        }
    }
}

/// What one part of a prediction stands on.
#[derive(Clone, Debug, PartialEq)]
pub struct Basis {
    /// The part.
    pub part: Part,
    /// The kernel or library, with its number format: `"sglang_fused_moe_triton bf16"`.
    pub name: String,
    /// How near it is to what was measured.
    pub support: Support,
}

impl Basis {
    /// Whether the constants are another's.
    #[must_use]
    pub const fn is_borrowed(&self) -> bool {
        matches!(self.support, Support::Borrowed { .. })
    }
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.support)
    }
}

/// A basis and the time that rests on it.
#[derive(Clone, Debug, PartialEq)]
pub struct TimedBasis {
    /// The basis.
    pub basis: Basis,
    /// The time, the mean over GPUs.
    pub time: SimDuration,
}

impl TimedBasis {
    /// Those of equal bases added up, the longest first.
    #[must_use]
    pub fn merged(all: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut merged: Vec<Self> = Vec::new();
        for one in all {
            match merged.iter_mut().find(|known| known.basis == one.basis) {
                Some(known) => known.time += one.time,
                None => merged.push(one),
            }
        }
        merged.sort_by(|a, b| b.time.cmp(&a.time).then(a.basis.part.cmp(&b.basis.part)));
        merged
    }
}
