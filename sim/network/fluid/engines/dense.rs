//! Parts of the shape of an all-to-all: each flow crosses one port out and one port in.
//!
//! Such a part is a matrix with a row for every port out, a column for every port in and at most
//! one flow in a cell. All flows start together with equal weights and no ceiling that could bind.
//! Most exchanges on a non-blocking fabric reduce to this (see [`super::reduce`]), and rates are
//! then a level for each row and each column: `x_ij = min(s_i, u_j)`.

use super::order::MOST_PORTS;
use crate::network::fluid::parts::Part;

/// No flow in this cell.
pub(in crate::network::fluid) const EMPTY: u32 = u32::MAX;
/// Parts with fewer flows than this share of their cells are not dense.
const LEAST_FILL: f64 = 0.2;

/// A part as a matrix.
#[derive(Debug)]
pub(in crate::network::fluid) struct Dense {
    pub rows: usize,
    pub cols: usize,
    /// Bytes per second of the ports, rows first.
    pub capacity: Vec<f64>,
    /// The flow in each cell, row by row, or [`EMPTY`].
    pub flow: Vec<u32>,
    pub start_s: f64,
}

impl Dense {
    /// The part as a matrix, if it has that shape.
    ///
    /// `slot` is space for every link of the problem, all [`EMPTY`] before and after.
    pub fn of(part: &Part, slot: &mut [u32]) -> Option<Self> {
        let mut ports: [Vec<u32>; 2] = [Vec::new(), Vec::new()];
        let fits = number_ports(part, slot, &mut ports);
        let dense = if fits { fill(part, slot, &ports) } else { None };
        for &link in ports.iter().flatten() {
            slot[link as usize] = EMPTY;
        }
        dense
    }
}

/// Gives every link a row or a column; a link's number is twice its index, plus one in columns.
fn number_ports(part: &Part, slot: &mut [u32], ports: &mut [Vec<u32>; 2]) -> bool {
    let (start, weight) = (part.start_s(0), part.weight(0));
    (0..part.len() as u32).all(|flow| {
        if part.start_s(flow) != start || part.weight(flow) != weight {
            return false;
        }
        let Some(pair) = pair_of(part, flow) else { return false };
        let narrow = pair.map(|link| part.problem.capacities()[link as usize]);
        if part.ceiling(flow) < narrow[0].min(narrow[1]) {
            return false;
        }
        pair.iter().zip(0..).all(|(&link, side)| {
            let known = &mut slot[link as usize];
            if *known == EMPTY {
                *known = 2 * ports[side as usize].len() as u32 + side;
                ports[side as usize].push(link);
            }
            *known % 2 == side
        })
    })
}

fn fill(part: &Part, slot: &[u32], ports: &[Vec<u32>; 2]) -> Option<Dense> {
    let [rows, cols] = [ports[0].len(), ports[1].len()];
    let cells = rows * cols;
    if rows + cols > MOST_PORTS {
        return None;
    }
    if (part.len() as f64) < LEAST_FILL * cells as f64 && cells > 4096 {
        return None;
    }
    let changing = |link: &u32| part.problem.changes().iter().any(|c| c.link.0 == *link);
    let capacity = ports.iter().flatten().map(|&l| part.problem.capacities()[l as usize]);
    let capacity: Vec<f64> = capacity.collect();
    if capacity.contains(&0.0) || ports.iter().flatten().any(changing) {
        return None;
    }
    let mut flow_in = vec![EMPTY; cells];
    for flow in 0..part.len() as u32 {
        let [row, col] = pair_of(part, flow)?.map(|link| slot[link as usize] / 2);
        let cell = &mut flow_in[row as usize * cols + col as usize];
        if *cell != EMPTY {
            return None;
        }
        *cell = flow;
    }
    Some(Dense { rows, cols, capacity, flow: flow_in, start_s: part.start_s(0) })
}

/// The two links of a flow that may bind, if there are just two.
fn pair_of(part: &Part, flow: u32) -> Option<[u32; 2]> {
    let mut binding = part.route(flow);
    let pair = [binding.next()?.0, binding.next()?.0];
    binding.next().is_none().then_some(pair)
}
