//! A stretch of a run's timeline: what some GPUs do at each instant while tokens pass two gates.

use std::collections::BTreeMap;

use crate::base::units::{GpuId, SimTime};
use crate::execution::blame::Reason;
use crate::output::plot::{Axis, Span, SpanRow, Spans};
use crate::output::timeline::Slice;

/// Slices of a GPU that are shown where a run has no gates to count layers by.
const SLICES: usize = 40;

/// What these GPUs do in the middle of a run, which is of `what`.
#[must_use]
pub fn timeline_chart(slices: &[Slice], what: &str) -> Spans {
    let (from, to) = window(slices);
    let ms = |at: SimTime| at.since_start().ms();
    let shown = slices
        .iter()
        .filter(|slice| slice.from < to && slice.to > from && slice.reason != Reason::Done);
    let mut rows: BTreeMap<GpuId, Vec<(Reason, f64, f64)>> = BTreeMap::new();
    for slice in shown {
        let ends = (ms(slice.from.max(from)), ms(slice.to.min(to)));
        rows.entry(slice.gpu).or_default().push((slice.reason, ends.0, ends.1));
    }
    let reasons: Vec<Reason> = Reason::ALL
        .into_iter()
        .filter(|reason| rows.values().flatten().any(|(own, ..)| own == reason))
        .collect();
    let part = |reason: Reason| reasons.iter().position(|own| *own == reason).unwrap_or_default();
    let named = |(gpu, spans): (&GpuId, &Vec<(Reason, f64, f64)>)| SpanRow {
        name: format!("GPU {}", gpu.0),
        spans: spans
            .iter()
            .map(|&(reason, from, to)| Span { from, to, part: part(reason) })
            .collect(),
    };
    let of = ms(to) - ms(from);
    Spans {
        title: finding(&rows, of),
        below: format!("{what}; in the middle of it, from one gate to the next but one"),
        axis: Axis::linear("time since the run began, ms"),
        parts: reasons.iter().map(|own| (own.label().to_owned(), super::shade_of(*own))).collect(),
        rows: rows.iter().map(named).collect(),
    }
}

/// From one gate to the next but one, by the first GPU.
fn window(slices: &[Slice]) -> (SimTime, SimTime) {
    let first = slices.first().map(|slice| slice.gpu);
    let own: Vec<&Slice> = slices.iter().filter(|slice| Some(slice.gpu) == first).collect();
    let gates: Vec<SimTime> =
        own.iter().filter(|slice| slice.reason == Reason::Gate).map(|slice| slice.from).collect();
    let begin = own.first().map_or(SimTime::ZERO, |slice| slice.from);
    let end = slices.iter().map(|slice| slice.to).max().unwrap_or(SimTime::ZERO);
    match gates.len() {
        0 => (begin, own.get(SLICES).map_or(end, |slice| slice.from)),
        1..4 => (gates[0], end),
        all => (gates[all / 2 - 1], gates[all / 2 + 1]),
    }
}

/// Who waits most, and who least.
fn finding(rows: &BTreeMap<GpuId, Vec<(Reason, f64, f64)>>, of: f64) -> String {
    let waits = rows.iter().map(|(gpu, spans)| {
        let waited =
            spans.iter().filter(|(reason, ..)| reason.is_wait()).map(|(_, from, to)| to - from);
        (gpu.0, 100.0 * waited.fold(0.0, |all, own| all + own) / of)
    });
    let by = |a: &(u32, f64), b: &(u32, f64)| a.1.total_cmp(&b.1);
    let (most, least) = (waits.clone().max_by(by), waits.min_by(by));
    match (most, least) {
        (Some(most), Some(least)) if most.0 != least.0 && most.1 > 0.5 => format!(
            "GPU {} waits {:.0} % of this stretch, GPU {} {:.0} %",
            most.0, most.1, least.0, least.1
        ),
        _ => "What GPUs do, layer by layer".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::SimDuration;

    #[test]
    fn two_layers_in_the_middle_are_shown_and_who_waits_is_said() {
        let at = |ns: u64| SimTime::ZERO + SimDuration::from_ps(1000 * ns);
        let mut slices = Vec::new();
        for layer in 0..6 {
            let begin = 100 * layer;
            let own = [
                (0, Reason::Gate, 0, 10),
                (0, Reason::FfnGemm, 10, 100),
                (1, Reason::Gate, 0, 10),
                (1, Reason::FfnGemm, 10, 50),
                (1, Reason::CombineWait, 50, 100),
            ];
            slices.extend(own.map(|(gpu, reason, from, to)| Slice {
                gpu: GpuId(gpu),
                reason,
                from: at(begin + from),
                to: at(begin + to),
            }));
        }
        let chart = timeline_chart(&slices, "a run");
        assert_eq!(chart.title, "GPU 1 waits 50 % of this stretch, GPU 0 0 %");
        assert_eq!(chart.rows.iter().map(|row| row.spans.len()).collect::<Vec<_>>(), [4, 6]);
        let (first, last) = (chart.rows[0].spans[0], chart.rows[0].spans[3]);
        assert!((first.from - 0.000_2).abs() < 1e-12 && (last.to - 0.000_4).abs() < 1e-12);
        assert!(timeline_chart(&[], "nothing").rows.is_empty());
    }
}
