//! A layer of odd sizes and the probes of its shape beside their twins, on whichever backend: what tests of
//! wgpu, CUDA and the CPU share.

// Each test uses a part of it.
#![allow(dead_code)]

use calibrate::measure::backend::Step;
use calibrate::measure::bench::Bench;
use calibrate::measure::layer::{self, Execution, Plan};
use calibrate::measure::numbers::Format;
use calibrate::measure::probe::{Refusal, Set, verify};
use calibrate::measure::probes::Suite;
use calibrate::measure::shapes::Shape;

/// A layer with everything in it, and sizes that divide by no tile.
pub const SHAPE: Shape = Shape {
    name: "odd",
    hidden: 40,
    inter: 56,
    ffn: 5,
    constant: 2,
    copy: 1,
    zero: 1,
    top_k: 3,
    tokens: 75,
    pathway_aware: true,
};

/// τ, and slots that an FFN and a zero-computation expert take at most.
type Form = (Option<f64>, Option<(u32, u32)>);

/// τ and capacities: vanilla, MoE++ with slots dropped and without, and with hardly an FFN slot.
const FORMS: [Form; 4] =
    [(None, None), (Some(0.5), None), (Some(1.0), Some((20, 9))), (Some(0.1), None)];

/// Probes of the layer at sizes of a CPU.
pub fn suite(format: Format, gpus: u32) -> Suite {
    Suite { shapes: vec![SHAPE], software: true, format, sms: Some(4), gpus }
}

/// The layer of so many tokens.
pub fn plan(
    tokens: u32,
    execution: Execution,
    (tau, capacity): (Option<f64>, Option<(u32, u32)>),
) -> Plan {
    Plan { shape: SHAPE, tokens, tau, capacity, execution }
}

/// Runs a set once and compares it with its twin.
pub fn run(set: &Set, bench: &mut Bench<'_>) -> Result<f64, Refusal> {
    bench.run(&set.steps).expect("the device runs");
    verify(set, bench).expect("the device answers")
}

/// The layer in every form and in every format of the device is its twin.
pub fn layer_in_every_form(bench: &mut Bench<'_>, tokens: u32) {
    for format in bench.device.facts().formats.clone() {
        bench.format = format;
        for execution in [Execution::Grouped, Execution::Sequential] {
            for form in FORMS {
                let plan = plan(tokens, execution, form);
                let set = layer::set(&plan, 11, bench).expect("built");
                let error = run(&set, bench)
                    .unwrap_or_else(|refusal| panic!("{format:?} {plan:?}: {refusal}"));
                assert!(error > 0.0, "an error of exactly nothing compares nothing");
                if let Some((most, _)) = plan.capacity {
                    let ffn = &set.slots[..SHAPE.ffn as usize];
                    assert!(ffn.iter().all(|&count| count <= most), "{:?}", set.slots);
                }
                bench.clear();
            }
        }
    }
}

/// Every probe is its twin: the first point of each part and the last of all; those between differ in
/// size alone. Which probes and which kernels ran.
pub fn probes_agree(bench: &mut Bench<'_>, suite: &Suite) -> (Vec<String>, Vec<&'static str>) {
    let (mut probes, mut kernels) = (Vec::new(), Vec::new());
    bench.format = suite.format;
    for probe in suite.probes() {
        let points = probe.points();
        let first = |at: usize| points[..at].iter().all(|p| p.part != points[at].part);
        for (at, point) in points.iter().enumerate() {
            if !first(at) && at + 1 < points.len() {
                continue;
            }
            let set = probe.set(point, 3, bench).unwrap_or_else(|e| panic!("{point:?}: {e}"));
            run(&set, bench).unwrap_or_else(|refusal| {
                panic!("{} {point:?} {:?}: {refusal}", probe.name(), suite.format)
            });
            kernels.extend(set.steps.iter().filter_map(|step| match step {
                Step::Launch(launch) => Some(launch.kernel.name),
                _ => None,
            }));
            bench.clear();
        }
        probes.push(probe.name());
    }
    (probes, kernels)
}
