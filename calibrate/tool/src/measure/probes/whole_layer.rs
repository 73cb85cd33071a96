//! How long does the whole layer take, vanilla and MoE++ at each τ? Never fitted, only compared with.

use super::super::backend::DeviceError;
use super::super::bench::Bench;
use super::super::layer::{self, Execution, Plan};
use super::super::probe::{Point, Set};
use super::super::shapes::Shape;
use super::grid::Grid;
use super::{Plain, Suite};

/// The τ of the paper's tables.
pub const TAUS: [f64; 5] = [0.1, 0.25, 0.5, 0.75, 1.0];

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
        grid.line(0, vec![point(None)]);
        grid.line(0, TAUS.map(|tau| point(Some(tau))).to_vec());
    }
    let weight = grid.len() as f64 * 3.0;
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
