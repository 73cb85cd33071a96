//! How well a law does on sequences that it has not seen, as JSON.

use serde_json::{Value, json};

use moesim::gate::judge::{BatchJudgement, Judgement, Pair};
use moesim::gate::statistics::Loads;
use moesim::workload::Recording;

pub(super) fn shape_json(recording: &Recording) -> Value {
    json!({
        "tokens": recording.tokens(),
        "sequences": recording.sequences().len(),
        "layers": recording.layers(),
        "experts": recording.experts(),
        "top_k": recording.top_k(),
    })
}

fn pair_json(pair: Pair) -> Value {
    json!({ "seen": pair.seen, "law": pair.modelled, "relative_error": pair.error() })
}

pub(super) fn judgement_json(judgement: &Judgement) -> Value {
    let by_distance = |pairs: &[(usize, Pair)]| -> Value {
        pairs.iter().map(|(at, pair)| (at.to_string(), pair_json(*pair))).collect()
    };
    json!({
        "loads": judgement.batches.iter().map(batch_json).collect::<Vec<Value>>(),
        "token_overlap_by_gap": by_distance(&judgement.overlap),
        "layer_information_by_lag": by_distance(&judgement.depth),
        "imbalance_correlation": judgement.correlation().map(pair_json),
    })
}

fn batch_json(batch: &BatchJudgement) -> Value {
    let loads = |loads: &Loads| {
        json!({
            "max_over_mean": loads.peak, "max_over_mean_p90": loads.peak_p90, "cv": loads.cv,
            "gini": loads.gini, "drop_1_1": loads.drop[0], "drop_1_25": loads.drop[1],
            "drop_1_5": loads.drop[2], "imbalance_correlation": loads.correlation,
        })
    };
    json!({
        "batch_tokens": batch.seen.batch_tokens,
        "max_over_mean_error": batch.peak_error(),
        "max_over_mean_error_independent": batch.independent_peak_error(),
        "max_over_mean_error_fitted_part": batch.fitted_peak_error(),
        "max_over_mean_ks_distance": batch.distance(),
        "seen_max_over_mean_standard_error": batch.seen_error,
        "by_layer": {
            "seen": loads(&batch.seen), "law": loads(&batch.modelled),
            "independent": loads(&batch.independent),
        },
    })
}
