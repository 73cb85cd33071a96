//! How long does the whole layer take, vanilla and MoE++ at each τ? Never fitted, only compared with.

use super::super::backend::DeviceError;
use super::super::bench::Bench;
use super::super::layer::{self, Execution, Plan};
use super::super::probe::{Point, Set};
use super::super::shapes::Shape;
use super::grid::{self, Grid};
use super::{Plain, Suite};

/// The τ of the paper's tables.
pub const TAUS: [f64; 5] = [0.1, 0.25, 0.5, 0.75, 1.0];

/// How often each is measured, at times apart: what differs between them is what measuring repeats to.
pub const WINDOWS: u32 = 3;

/// The layer of one shape: vanilla, and MoE++ at each τ; the paper's shapes one expert after another
/// as well.
#[must_use]
pub fn probe(suite: &Suite, shape: &Shape) -> Plain {
    let executions: &[Execution] = if shape.pathway_aware || suite.software {
        &[Execution::Grouped, Execution::Sequential]
    } else {
        &[Execution::Grouped]
    };
    let mut grid = Grid::default();
    for execution in executions {
        let point = |tau: Option<f64>| {
            let version = if tau.is_some() { "moepp" } else { "vanilla" };
            Point {
                part: format!("{version} {}", name(*execution)),
                shape: shape.name.to_owned(),
                hidden: Some(shape.hidden.into()),
                inter: Some(shape.inter.into()),
                experts: Some(shape.ffn.into()),
                all_experts: Some(tau.map_or(shape.ffn, |_| shape.all()).into()),
                top_k: Some(shape.top_k.into()),
                tokens: Some(shape.tokens.into()),
                tau,
                ..Point::default()
            }
        };
        // Vanilla and MoE++ come in turn, so that a drift of the device's clock is no gain.
        for window in 0..WINDOWS {
            let first = match window {
                0 => 0,
                _ if suite.software => window,
                _ => grid::COARSE + window,
            };
            grid.line(first, vec![point(None)]);
            TAUS.iter().for_each(|&tau| grid.line(first, vec![point(Some(tau))]));
        }
    }
    let weight = grid.len() as f64 * 3.0 / f64::from(WINDOWS);
    let question = "How long does a whole layer take, vanilla and MoE++?";
    Plain::of_shape(("layer", shape), question, weight, grid, build)
}

fn build(
    shape: &Shape,
    point: &Point,
    seed: u32,
    bench: &mut Bench<'_>,
) -> Result<Set, DeviceError> {
    let grouped = point.part.ends_with(name(Execution::Grouped));
    let plan = Plan {
        shape: *shape,
        tokens: shape.tokens,
        tau: point.tau,
        capacity: None,
        execution: if grouped { Execution::Grouped } else { Execution::Sequential },
    };
    layer::set(&plan, seed, bench)
}

/// The word for an execution in samples.
#[must_use]
pub const fn name(execution: Execution) -> &'static str {
    match execution {
        Execution::Grouped => "grouped",
        Execution::Sequential => "sequential",
    }
}
