//! The probes, and which of them make up a session.

use super::numbers::Format;
use super::probe::{Point, Probe, Set};
use super::shapes::Shape;
use super::{backend::DeviceError, bench::Bench};
use grid::Grid;

pub mod exchange;
pub mod experts;
pub mod gate;
pub mod gemm;
pub mod grid;
pub mod launch;
pub mod loop_ops;
pub mod memory;
pub mod permute;
pub mod transfer;
pub mod whole_layer;
pub mod zero_computation;

/// Builds the set of a point.
pub type Build = Box<dyn Fn(&Point, u32, &mut Bench<'_>) -> Result<Set, DeviceError>>;

/// A probe as plain data: most are.
pub struct Plain {
    name: String,
    question: &'static str,
    grid: Grid,
    weight: f64,
    rotates: bool,
    by_host: bool,
    build: Build,
}

/// Builds the set of a point of a shape.
type BuildOfShape = fn(&Shape, &Point, u32, &mut Bench<'_>) -> Result<Set, DeviceError>;

impl Plain {
    /// A probe of kernels on a device, for the sizes of a shape, over buffers that take turns.
    fn of_shape(
        (kind, shape): (&str, &Shape),
        question: &'static str,
        weight: f64,
        grid: Grid,
        build: BuildOfShape,
    ) -> Self {
        let (name, shape) = (format!("{kind}_{}", shape.name), *shape);
        let build: Build = Box::new(move |point, seed, bench| build(&shape, point, seed, bench));
        Self { name, question, grid, weight, rotates: true, by_host: false, build }
    }
}

impl Probe for Plain {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn question(&self) -> &'static str {
        self.question
    }

    fn points(&self) -> Vec<Point> {
        self.grid.points.clone()
    }

    fn rounds(&self) -> Vec<u32> {
        self.grid.rounds.clone()
    }

    fn weight(&self) -> f64 {
        self.weight
    }

    fn set(&self, point: &Point, seed: u32, bench: &mut Bench<'_>) -> Result<Set, DeviceError> {
        (self.build)(point, seed, bench)
    }

    fn rotates(&self) -> bool {
        self.rotates
    }

    fn by_host(&self) -> bool {
        self.by_host
    }
}

/// What a session measures.
#[derive(Clone, Debug)]
pub struct Suite {
    /// Layers of these models.
    pub shapes: Vec<Shape>,
    /// On a CPU: small sizes, or it takes hours.
    pub software: bool,
    /// The format of tokens and weights.
    pub format: Format,
    /// SMs of the device, where they are known.
    pub sms: Option<u32>,
    /// GPUs of the machine that exchange with one another.
    pub gpus: u32,
}

impl Suite {
    /// All probes of the suite, the cheap and most needed first.
    #[must_use]
    pub fn probes(&self) -> Vec<Box<dyn Probe>> {
        let mut all: Vec<Plain> = vec![launch::probe(), launch::waiting(), memory::probe(self)];
        all.push(gemm::probe(self));
        for shape in &self.shapes {
            all.push(gate::probe(self, shape));
            all.push(permute::probe(self, shape));
            all.push(zero_computation::probe(self, shape));
            all.push(loop_ops::probe(self, shape));
        }
        for shape in &self.shapes {
            all.push(experts::probe(self, shape));
            all.push(whole_layer::probe(self, shape));
        }
        all.extend(exchange::probe(self));
        all.extend([transfer::probe(self), gemm::fewer_sms(self), gemm::sustained(self)]);
        all.into_iter().map(|probe| Box::new(probe) as Box<dyn Probe>).collect()
    }
}
