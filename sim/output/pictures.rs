//! Pictures of results: each is made from a command's result, so that a command's `--plot` and a later
//! `moesim plot` of its JSON draw the same.

use crate::execution::blame::Reason;
use crate::output::plot::{
    Area, Chart, Diagram, DrawingBackend, HeatMap, Hint, LineChart, PlotError, Spots, StackedBars,
};

mod cluster;
mod clusters;
mod counts;
mod layouts;
mod links;
mod plan;
pub mod predicted_measured;
mod study;
mod timeline;
mod validation;

pub use cluster::cluster_chart;
pub use clusters::{cost_chart, throughput_chart};
pub use counts::{is_counts, loads_chart};
pub use layouts::layouts_chart;
pub use links::{flow_links_chart, links_chart};
pub use plan::front_chart;
pub use study::{breakdown_chart, gain_chart};
pub use timeline::timeline_chart;
pub use validation::errors_chart;

/// The shade of each reason in every picture, in the order of [`Reason::ALL`]: those that stand beside each other
/// differ in brightness too, so that they are told apart in grey.
const SHADES: [usize; Reason::ALL.len()] = [
    0, 1, 2, 27, 4, 13, 6, 7, 8, 3, 10, 28, 12, 29, 14, 9, 16, 17, 18, 20, 5, 21, 22, 23, 11, 31,
    26, 19,
];

/// The shade of a reason.
fn shade_of(reason: Reason) -> usize {
    SHADES[reason as usize]
}

/// A picture of any kind.
#[derive(Clone, Debug)]
pub enum Picture {
    /// Lines over two axes.
    Lines(LineChart),
    /// Bars in parts.
    Bars(StackedBars),
    /// A grid.
    Heat(HeatMap),
    /// Named points.
    Spots(Spots),
    /// A network at work.
    Diagram(Diagram),
}

impl Chart for Picture {
    fn size(&self) -> (u32, u32) {
        match self {
            Self::Lines(chart) => chart.size(),
            Self::Bars(chart) => chart.size(),
            Self::Heat(chart) => chart.size(),
            Self::Spots(chart) => chart.size(),
            Self::Diagram(chart) => chart.size(),
        }
    }

    fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Result<(), PlotError> {
        match self {
            Self::Lines(chart) => chart.draw(area),
            Self::Bars(chart) => chart.draw(area),
            Self::Heat(chart) => chart.draw(area),
            Self::Spots(chart) => chart.draw(area),
            Self::Diagram(chart) => chart.draw(area),
        }
    }

    fn hints(&self) -> Vec<Hint> {
        match self {
            Self::Lines(chart) => chart.hints(),
            Self::Bars(chart) => chart.hints(),
            Self::Heat(chart) => chart.hints(),
            Self::Spots(chart) => chart.hints(),
            Self::Diagram(chart) => chart.hints(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::output::plot::shade;

    /// How bright a shade looks, of 255 [ITU-R BT.601].
    fn brightness(reason: Reason) -> f64 {
        let plotters::style::RGBColor(r, g, b) = shade(shade_of(reason));
        0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b)
    }

    #[test]
    fn each_reason_has_its_shade_and_neighbours_are_told_apart_in_grey() {
        let shades: BTreeSet<usize> = Reason::ALL.into_iter().map(shade_of).collect();
        assert_eq!(shades.len(), Reason::ALL.len());
        // Inference has none of training's reasons, so that its last are neighbours.
        let serving = Reason::ALL.into_iter().filter(|reason| !reason.is_of_training());
        for order in [Reason::ALL.to_vec(), serving.collect()] {
            for pair in order.windows(2) {
                let apart = (brightness(pair[0]) - brightness(pair[1])).abs();
                assert!(apart > 16.0, "{:?} and {:?}: {apart}", pair[0], pair[1]);
            }
        }
    }
}
