//! What a cluster can do at best, from its routes alone.
//!
//! In a uniform all-to-all every GPU sends `S` bytes to each of the `n − 1` others. With `R_l` the
//! routes over link `l`, it takes at least
//!
//! ```text
//!   T = max_l R_l·S / B_l         and a GPU moves   (n−1)·S / T   bytes/s            (1)
//! ```
//!
//! Up to [`COUNTED_GPUS`] GPUs all routes are counted. Beyond, those of [`SAMPLED_SOURCES`] GPUs spread
//! evenly through the cluster are, and (1) is taken for each class of links as a whole, which is
//! the same where all links of a class are loaded alike. The analytic values that generators are
//! tested against:
//!
//! ```text
//!   non-blocking Clos   B                                                         (2)
//!   o:1 Clos            min(B, B/o · (n−1)/(n − n_leaf))                          (3)
//!   k-ary torus         8·B_link/k · (n−1)/n                                      (4)
//!   full mesh           (n−1)·B_pair                                              (5)
//! ```
//!
//! *Half to half*: the first half of the GPUs sends uniformly to the second and back; the sum of
//! both directions' bytes over the time of (1), data-sheet bandwidths times health. It is what the routes get out
//! of the bisection, which is at most the cut itself.

use super::{LinkClass, Topology};
use crate::base::units::{Bandwidth, GpuId};

/// Clusters of up to this many GPUs have all their routes counted.
pub const COUNTED_GPUS: u32 = 1024;
/// In larger ones the routes from this many GPUs are counted.
pub const SAMPLED_SOURCES: u32 = 16;

/// What the routes allow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Bytes per second that each GPU sends in a uniform all-to-all, equation (1).
    pub uniform_all_to_all: Bandwidth,
    /// The class of links that decides it.
    pub decided_by: LinkClass,
    /// Bytes per second between the two halves of the cluster, both directions together.
    pub bisection: Bandwidth,
    /// Whether the routes of all GPUs were counted.
    pub counted: bool,
}

impl Bounds {
    /// The bounds of a cluster of at least two GPUs.
    #[must_use]
    pub fn of(topology: &Topology) -> Option<Self> {
        let n = topology.gpus();
        if n < 2 {
            return None;
        }
        let counted = n <= COUNTED_GPUS;
        let sources: Vec<u32> = if counted {
            (0..n).collect()
        } else {
            (0..SAMPLED_SOURCES)
                .map(|k| (u64::from(k) * u64::from(n) / u64::from(SAMPLED_SOURCES)) as u32)
                .collect()
        };
        let count =
            |wanted: &dyn Fn(u32, u32) -> bool| slowest_link(topology, &sources, counted, wanted);
        let (seconds, decided_by) = count(&|_, _| true);
        let half = |gpu: u32| gpu < n / 2;
        let (half_seconds, _) = count(&|from, to| half(from) != half(to));
        let pairs = 2.0 * f64::from(n / 2) * f64::from(n - n / 2);
        Some(Self {
            uniform_all_to_all: Bandwidth::from_bytes_per_sec(f64::from(n - 1) / seconds),
            decided_by,
            bisection: Bandwidth::from_bytes_per_sec(pairs / half_seconds),
            counted,
        })
    }
}

/// Seconds until one byte for each wanted pair has crossed the slowest link, and its class.
fn slowest_link(
    topology: &Topology,
    sources: &[u32],
    counted: bool,
    wanted: &dyn Fn(u32, u32) -> bool,
) -> (f64, LinkClass) {
    let mut routes = vec![0.0; topology.links().len()];
    let mut route = Vec::new();
    for &from in sources {
        for to in (0..topology.gpus()).filter(|&to| to != from && wanted(from, to)) {
            topology.route(GpuId(from), GpuId(to), &mut route);
            route.iter().for_each(|link| routes[link.index()] += 1.0);
        }
    }
    let links = || topology.links().iter().zip(&routes);
    if counted {
        let time = |(link, routes): (&super::Link, &f64)| {
            (routes / link.bandwidth_left().bytes_per_sec(), link.class)
        };
        return links()
            .map(time)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .unwrap_or((0.0, LinkClass::Nic));
    }
    let scale = f64::from(topology.gpus()) / sources.len() as f64;
    let time_of = |class: LinkClass| {
        let own = || links().filter(|(link, _)| link.class == class);
        let crossed: f64 = own().map(|(_, routes)| routes).sum();
        let bandwidth: f64 = own().map(|(link, _)| link.bandwidth_left().bytes_per_sec()).sum();
        (if bandwidth > 0.0 { crossed * scale / bandwidth } else { 0.0 }, class)
    };
    let slowest = LinkClass::ALL.into_iter().map(time_of).max_by(|a, b| a.0.total_cmp(&b.0));
    slowest.unwrap_or((0.0, LinkClass::Nic))
}
