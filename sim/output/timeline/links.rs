//! Counters of link use: for each class of links, the bytes that cross such links per second.
//!
//! The mean rate of each exchange over its span is added up over the exchanges in flight:
//!
//! ```text
//!   r_c(t) = Σ_{exchanges e, from_e ≤ t < to_e}  D_ec / (to_e − from_e)            (1)
//! ```
//!
//! with `D_ec` the bytes of `e` over links of class `c`, a byte counting once for each such link. So
//! the integral of a counter is the bytes moved, and a counter is a mean over each exchange's own
//! span, startup included: how its rate rises and falls inside the span is left out.

use std::collections::BTreeMap;

use super::{ns, proto::Trace};
use crate::execution::machine::Moved;
use crate::topology::{ByClass, LinkClass, Topology};

/// Bytes over links of each class in one span of nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Span {
    from_ns: u64,
    to_ns: u64,
    bytes: ByClass<u64>,
}

/// What has crossed the links, exchange by exchange.
#[derive(Clone, Debug)]
pub(super) struct LinkUse<'a> {
    topology: &'a Topology,
    spans: Vec<Span>,
}

/// Parts of a byte a nanosecond that rates are kept in, so that sums of them are exact.
const PARTS: u32 = 40;

impl<'a> LinkUse<'a> {
    pub fn new(topology: &'a Topology) -> Self {
        Self { topology, spans: Vec::new() }
    }

    pub fn add(&mut self, moved: &Moved) {
        let mut bytes = ByClass::all(0_u64);
        let (members, mut route) = (moved.exchange.members(), Vec::new());
        for transfer in moved.exchange.transfers() {
            for (from, to) in [(transfer.from, transfer.via), (transfer.via, transfer.to)] {
                self.topology.route(members[from], members[to], &mut route);
                for link in &route {
                    let class = self.topology.links()[link.index()].class;
                    bytes = bytes.with(class, bytes.of(class) + transfer.bytes.0);
                }
            }
        }
        let (from_ns, to_ns) = (ns(moved.from), ns(moved.to));
        self.spans.push(Span { from_ns, to_ns: to_ns.max(from_ns + 1), bytes });
    }

    /// All bytes so far.
    pub fn bytes(&self) -> ByClass<u64> {
        let mut all = ByClass::all(0);
        for class in LinkClass::ALL {
            all = all.with(class, self.spans.iter().map(|span| span.bytes.of(class)).sum());
        }
        all
    }

    /// Writes a counter for each class that was used, on tracks from `first` on.
    pub fn write(&self, first: u64, trace: &mut Trace) {
        for class in LinkClass::ALL {
            let changes = self.changes(class);
            if changes.is_empty() {
                continue;
            }
            let links = self.topology.links().iter().filter(|link| link.class == class);
            let all: f64 = links.map(|link| link.bandwidth.gb_per_sec()).sum();
            let track = first + class.index() as u64;
            trace.track(|told| {
                told.number(1, track);
                told.text(2, &format!("{} links, GB/s of {all:.0}", class.name()));
                told.message(8, |counter| counter.text(6, "GB/s"));
            });
            let mut rate = 0_i128;
            for (at, change) in changes {
                rate += change;
                // A byte a nanosecond is a GB/s.
                let shown = rate as f64 / (1_u64 << PARTS) as f64;
                trace.event(at, |event| {
                    event.number(9, 4);
                    event.number(11, track);
                    event.fixed(44, shown.to_bits());
                });
            }
        }
    }

    /// When the rate of a class changes, and by how much, in parts of a byte a nanosecond.
    fn changes(&self, class: LinkClass) -> BTreeMap<u64, i128> {
        let mut changes = BTreeMap::new();
        for span in self.spans.iter().filter(|span| span.bytes.of(class) > 0) {
            let bytes = i128::from(span.bytes.of(class)) << PARTS;
            let rate = bytes / i128::from(span.to_ns - span.from_ns);
            *changes.entry(span.from_ns).or_default() += rate;
            *changes.entry(span.to_ns).or_default() -= rate;
        }
        changes
    }
}
