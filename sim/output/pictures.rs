//! Pictures of results: each is made from a command's result, so that a command's `--plot` and a later
//! `moesim plot` of its JSON draw the same.

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
