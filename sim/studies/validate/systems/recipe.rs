//! What a row leaves to its software's published recipes: dispatcher, overlap, recomputation, format of gradients,
//! whether the products of experts apply the activation, what runs as CUDA graphs, the format of attention and which
//! operations its figures count.
//!
//! Benchmarks of Megatron-Bridge name a recipe by model, GPU and format, and recipes are published with the source
//! [megatronbridge]. `calibrate/data/systems/recipes.csv` holds what they say that a run can act on, by release. A cell
//! that a row leaves empty, or to the recipe, is the recipe's; a cell that it fills stays. Nothing of a recipe is
//! a measurement. Recipes are those of the source's later states, so every row that one completes counts as open.

use serde::Deserialize;

use super::row::Row;
use super::words::has_any;

const BUILT_IN: &str = include_str!("../../../../calibrate/data/systems/recipes.csv");

/// One line of the table.
#[derive(Debug, Deserialize)]
struct Recipe {
    software: String,
    model: String,
    gpus: String,
    formats: String,
    from: String,
    before: String,
    dispatcher: String,
    overlap: String,
    recompute: String,
    gradients: String,
    epilogue: String,
    graph: String,
    attention: String,
    operations: String,
}

/// The row with what its recipe says, and a note of it; the row as it is where there is none.
pub(super) fn completed(row: &Row) -> (Row, Option<String>) {
    let mut row = row.clone();
    let Some(release) = release_of(&row.source_ref) else { return (row, None) };
    let format = format_of(&row.dtype_compute);
    let mut table = csv::Reader::from_reader(BUILT_IN.as_bytes());
    let recipe = table
        .deserialize::<Recipe>()
        .filter_map(Result::ok)
        .find(|recipe| applies(recipe, &row, format, &release));
    let Some(recipe) = recipe else { return (row, None) };
    let mut said = Vec::new();
    let cells = [
        (&mut row.dispatcher, recipe.dispatcher, "dispatcher"),
        (&mut row.overlap, recipe.overlap, "overlap"),
        (&mut row.recompute, recipe.recompute, "recompute"),
        (&mut row.gradients, recipe.gradients, "gradients"),
        (&mut row.epilogue, recipe.epilogue, "epilogue"),
        (&mut row.graph, recipe.graph, "graph"),
        (&mut row.attention, recipe.attention, "attention"),
        (&mut row.operations, recipe.operations, "operations"),
    ];
    for (cell, value, name) in cells {
        if value.is_empty() {
            continue;
        }
        if cell.trim().is_empty() || has_any(cell, &["see recipe"]) {
            said.push(format!("{name} {value}"));
            *cell = value;
        }
    }
    let note = format!("by the recipe of {}: {}", recipe.software, said.join(", "));
    (row, (!said.is_empty()).then_some(note))
}

fn applies(recipe: &Recipe, row: &Row, format: &str, release: &[u32]) -> bool {
    let listed = |list: &str, word: &str| list.split_whitespace().any(|one| one == word);
    let number = |text: &str| release_of(&format!("container {text}"));
    has_any(&row.source, &[&recipe.software])
        && recipe.model == row.model.trim()
        && listed(&recipe.gpus, row.gpu.trim())
        && listed(&recipe.formats, format)
        && number(&recipe.from).is_some_and(|from| release >= &from[..])
        && number(&recipe.before).is_none_or(|before| release < &before[..])
}

/// 26.02.01 of "HEAD 067f987d 2026-08-22; container 26.02.01".
fn release_of(text: &str) -> Option<Vec<u32>> {
    let (_, number) = text.split_once("container ")?;
    let number = number.split_whitespace().next()?;
    number.split('.').map(|part| part.parse().ok()).collect()
}

/// How recipes name a format.
fn format_of(cell: &str) -> &'static str {
    match cell.trim().to_lowercase() {
        text if text.starts_with("bf16") => "bf16",
        text if text.contains("mx") => "mxfp8",
        _ => "fp8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(model: &str, gpu: &str, format: &str, release: &str) -> Row {
        Row {
            source: "NVIDIA-NeMo/Megatron-Bridge docs/performance-summary.md".to_owned(),
            source_ref: format!("HEAD 067f987d 2026-08-22; container {release}"),
            model: model.to_owned(),
            gpu: gpu.to_owned(),
            dtype_compute: format.to_owned(),
            overlap: "see recipe".to_owned(),
            ..Row::default()
        }
    }

    #[test]
    fn recipes_go_by_model_gpu_format_and_release() {
        let overlap =
            |release: &str| completed(&row("DeepSeek-V3", "GB300", "MXFP8", release)).0.overlap;
        assert_eq!(overlap("26.04.01"), "none");
        assert_eq!(overlap("26.06"), "1F1B EP overlap");
        assert_eq!(overlap("25.11"), "see recipe", "an earlier release has no recipe here");
        let (other, note) = completed(&row("DeepSeek-V3", "MI300X", "MXFP8", "26.06"));
        assert_eq!((other.overlap.as_str(), note), ("see recipe", None));
    }

    #[test]
    fn fused_experts_are_of_the_recipes_that_fuse_them() {
        let epilogue = |gpu: &str, format: &str, release: &str| {
            completed(&row("GPT-OSS-120B", gpu, format, release)).0.epilogue
        };
        assert_eq!(epilogue("GB200", "MXFP8", "26.06.01"), "activation");
        assert_eq!(epilogue("GB200", "BF16", "26.04"), "");
        assert_eq!(epilogue("H100", "BF16", "26.08"), "");
    }

    #[test]
    fn a_recipe_says_the_format_of_attention_and_what_its_figures_count() {
        let of = |gpu: &str, format: &str, release: &str| {
            let (row, _) = completed(&row("GPT-OSS-120B", gpu, format, release));
            (row.attention, row.operations)
        };
        let is = |attention: &str, operations: &str| (attention.to_owned(), operations.to_owned());
        assert_eq!(of("GB200", "MXFP8", "26.06"), is("fp8", ""));
        assert_eq!(of("GB200", "BF16", "26.04.01"), is("", "layers"));
        assert_eq!(of("B300", "MXFP8", "26.06"), is("", ""), "its recipe fuses nothing yet");
    }

    #[test]
    fn what_a_row_says_stays() {
        let mut own = row("GPT-OSS-120B", "H100", "BF16", "26.02");
        own.dispatcher = "DeepEP".to_owned();
        let (found, note) = completed(&own);
        assert_eq!(
            (found.dispatcher.as_str(), found.recompute.as_str()),
            ("DeepEP", "layernorm, moe_act")
        );
        assert_eq!(
            note.as_deref(),
            Some(
                "by the recipe of Megatron-Bridge: overlap none, recompute layernorm, moe_act, gradients bf16, graph none, \
                 operations layers"
            )
        );
    }

    #[test]
    fn every_line_of_the_table_is_read() {
        let mut table = csv::Reader::from_reader(BUILT_IN.as_bytes());
        let recipes: Result<Vec<Recipe>, _> = table.deserialize().collect();
        let recipes = recipes.unwrap();
        assert!(recipes.iter().all(|r| release_of(&format!("container {}", r.from)).is_some()));
    }
}
