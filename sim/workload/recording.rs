//! What real gates decided: recorded choices, sequence by sequence.
//!
//! A recording holds, for every token and layer, the ids of the K experts that were chosen. As a
//! table (Parquet) it has one row per token, in order, and columns `lLL_kK`: layer LL, K-th choice. A
//! column `seq` tells sequences apart; without one, a column `domain` does, and runs of one domain
//! are cut into sequences of [`CUT`] tokens; without either, the whole recording is cut so.

use std::ops::Range;

use crate::base::table::{Table, TableError};

/// Tokens of a sequence where a recording does not tell sequences apart.
pub const CUT: usize = 512;
/// The most experts, layers and choices that are read; larger ids are another thing than experts.
const MOST_EXPERTS: usize = 4_096;
const MOST_LAYERS: usize = 512;
const MOST_CHOICES: usize = 64;

/// The choices of every token, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    experts: usize,
    layers: usize,
    top_k: usize,
    /// First token of each sequence, and the number of tokens.
    starts: Vec<usize>,
    /// `[token × layer × choice]`.
    ids: Vec<u16>,
}

/// How often each sequence's tokens chose each expert: all that loads depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceCounts {
    pub(crate) layers: usize,
    pub(crate) experts: usize,
    pub(crate) top_k: usize,
    /// Tokens of each sequence.
    pub(crate) tokens: Vec<u32>,
    /// `[sequence × layer × expert]`.
    pub(crate) counts: Vec<u32>,
}

impl Recording {
    /// A recording of these choices, `[token × layer × choice]`, cut at `starts`.
    ///
    /// # Panics
    /// If the sizes contradict each other.
    pub(crate) fn new(
        experts: usize,
        layers: usize,
        top_k: usize,
        starts: Vec<usize>,
        ids: Vec<u16>,
    ) -> Self {
        let (have, want) = (ids.len(), starts.last().copied().unwrap_or(0) * layers * top_k);
        assert!(have == want, "{have} choices, not {want}");
        Self { experts, layers, top_k, starts, ids }
    }

    /// Reads a table of choices.
    ///
    /// # Errors
    /// If columns are missing, or a value is no expert's id, or a token chose an expert twice.
    pub fn from_table(table: &Table) -> Result<Self, TableError> {
        let (layers, top_k) = shape_of(table)?;
        let rows = table.rows();
        let mut ids = vec![0u16; rows * layers * top_k];
        for layer in 0..layers {
            for k in 0..top_k {
                let name = column_name(layer, k);
                for (row, id) in table.integers(&name)?.iter().enumerate() {
                    let known = id.and_then(|id| usize::try_from(id).ok());
                    let Some(id) = known.filter(|&id| id < MOST_EXPERTS) else {
                        let found = format!("row {row} holds no expert's id");
                        let help = format!("give ids from 0 to {}", MOST_EXPERTS - 1);
                        return Err(mistake(table, Some(&name), found, &help));
                    };
                    ids[(row * layers + layer) * top_k + k] = id as u16;
                }
            }
        }
        for (cell, chosen) in ids.chunks_exact(top_k).enumerate() {
            if (1..top_k).any(|k| chosen[..k].contains(&chosen[k])) {
                let (row, layer) = (cell / layers, cell % layers);
                let found = format!("row {row} chooses an expert twice in layer {layer}");
                return Err(mistake(table, None, found, "give K different experts per token"));
            }
        }
        let experts = 1 + ids.iter().copied().max().map_or(0, usize::from);
        Ok(Self { experts, layers, top_k, starts: starts_of(table)?, ids })
    }

    /// Experts of each layer: the largest id that was chosen, and those before it.
    #[must_use]
    pub const fn experts(&self) -> usize {
        self.experts
    }

    /// How many experts were ever chosen, in any layer.
    #[must_use]
    pub fn chosen_experts(&self) -> usize {
        let mut chosen = vec![false; self.experts];
        for &id in &self.ids {
            chosen[usize::from(id)] = true;
        }
        chosen.into_iter().filter(|&once| once).count()
    }

    /// The row of the first token that chose an expert of this id or a larger one.
    #[must_use]
    pub fn first_beyond(&self, experts: usize) -> Option<usize> {
        let at = self.ids.iter().position(|&id| usize::from(id) >= experts)?;
        Some(at / (self.layers * self.top_k).max(1))
    }

    /// The same recording of a model with at least this many experts: some may never be chosen.
    #[must_use]
    pub fn with_experts(self, experts: usize) -> Self {
        Self { experts: experts.max(self.experts), ..self }
    }

    /// The same recording with expert i named `names[i]`: recordings order experts as they please,
    /// gates here put FFN experts first, then zero, copy and constant ones.
    ///
    /// # Panics
    /// If there is not a name for every expert.
    #[must_use]
    pub fn renamed(mut self, names: &[u16]) -> Self {
        let (have, want) = (names.len(), self.experts);
        assert!(have >= want, "{have} names of {want} experts");
        for id in &mut self.ids {
            *id = names[usize::from(*id)];
        }
        self
    }

    /// Layers.
    #[must_use]
    pub const fn layers(&self) -> usize {
        self.layers
    }

    /// Choices of a token.
    #[must_use]
    pub const fn top_k(&self) -> usize {
        self.top_k
    }

    /// Tokens.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The tokens of each sequence.
    pub fn sequences(&self) -> impl ExactSizeIterator<Item = Range<usize>> {
        self.starts.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// The tokens of one sequence.
    #[must_use]
    pub fn sequence(&self, number: usize) -> Range<usize> {
        self.starts[number]..self.starts[number + 1]
    }

    /// What a token chose in a layer, in the order of the file.
    #[must_use]
    pub fn chosen(&self, token: usize, layer: usize) -> &[u16] {
        &self.ids[(token * self.layers + layer) * self.top_k..][..self.top_k]
    }

    /// Every second sequence, from the first and from the second on.
    ///
    /// Alternating halves see the same mix if sequences come in any order that drifts slowly.
    #[must_use]
    pub fn halves(&self) -> (Self, Self) {
        (self.every_second(0), self.every_second(1))
    }

    fn every_second(&self, first: usize) -> Self {
        let numbers: Vec<usize> = (first..self.sequences().len()).step_by(2).collect();
        self.of_sequences(&numbers)
    }

    /// These sequences, in this order; one may be given more than once.
    ///
    /// # Panics
    /// If there is no such sequence.
    #[must_use]
    pub fn of_sequences(&self, numbers: &[usize]) -> Self {
        let cells = self.layers * self.top_k;
        let (mut starts, mut ids) = (vec![0], vec![]);
        for &number in numbers {
            let tokens = self.sequence(number);
            ids.extend_from_slice(&self.ids[tokens.start * cells..tokens.end * cells]);
            starts.push(ids.len() / cells);
        }
        Self { starts, ids, ..*self }
    }

    /// Counts by sequence.
    #[must_use]
    pub fn counts(&self) -> SequenceCounts {
        let cells = self.layers * self.experts;
        let mut counts = vec![0; self.sequences().len() * cells];
        let mut tokens = Vec::with_capacity(self.sequences().len());
        for (sequence, range) in self.sequences().enumerate() {
            tokens.push(range.len() as u32);
            let here = &mut counts[sequence * cells..][..cells];
            for token in range {
                for layer in 0..self.layers {
                    for &id in self.chosen(token, layer) {
                        here[layer * self.experts + usize::from(id)] += 1;
                    }
                }
            }
        }
        let (layers, experts, top_k) = (self.layers, self.experts, self.top_k);
        SequenceCounts { layers, experts, top_k, tokens, counts }
    }
}

impl SequenceCounts {
    /// Sequences.
    #[must_use]
    pub fn sequences(&self) -> usize {
        self.tokens.len()
    }

    /// Tokens of each sequence.
    #[must_use]
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Tokens of all sequences.
    #[must_use]
    pub fn all_tokens(&self) -> u64 {
        self.tokens.iter().map(|&n| u64::from(n)).sum()
    }

    /// These sequences, in this order; one may be given more than once.
    ///
    /// # Panics
    /// If there is no such sequence.
    #[must_use]
    pub fn of_sequences(&self, numbers: &[usize]) -> Self {
        let cells = self.layers * self.experts;
        let one = |&number: &usize| &self.counts[number * cells..(number + 1) * cells];
        Self {
            tokens: numbers.iter().map(|&number| self.tokens[number]).collect(),
            counts: numbers.iter().flat_map(one).copied().collect(),
            ..*self
        }
    }

    /// Counts of a sequence's layer, by expert.
    #[must_use]
    pub fn of(&self, sequence: usize, layer: usize) -> &[u32] {
        &self.counts[(sequence * self.layers + layer) * self.experts..][..self.experts]
    }

    /// The share of all tokens that chose each expert of a layer; the shares sum to K.
    #[must_use]
    pub fn inclusion(&self, layer: usize) -> Vec<f64> {
        let mut sums = vec![0u64; self.experts];
        for sequence in 0..self.sequences() {
            for (sum, &n) in sums.iter_mut().zip(self.of(sequence, layer)) {
                *sum += u64::from(n);
            }
        }
        sums.iter().map(|&n| n as f64 / self.all_tokens() as f64).collect()
    }
}

fn column_name(layer: usize, k: usize) -> String {
    format!("l{layer:02}_k{k}")
}

/// Layers and choices, from the names of columns.
fn shape_of(table: &Table) -> Result<(usize, usize), TableError> {
    let count = |name: &dyn Fn(usize) -> String, most: usize| {
        (0..most).take_while(|&i| table.has(&name(i))).count()
    };
    let layers = count(&|layer| column_name(layer, 0), MOST_LAYERS);
    let top_k = count(&|k| column_name(0, k), MOST_CHOICES);
    if layers == 0 {
        let help = "name columns l00_k0, l00_k1, …, l01_k0, …: layer and choice";
        return Err(mistake(table, Some("l00_k0"), "is missing".to_owned(), help));
    }
    if table.rows() == 0 {
        return Err(mistake(table, None, "has no rows".to_owned(), "give one row per token"));
    }
    // What is beyond the limits would be left out in silence.
    for (beyond, what, most) in [
        (column_name(MOST_LAYERS, 0), "layers", MOST_LAYERS),
        (column_name(0, MOST_CHOICES), "choices", MOST_CHOICES),
    ] {
        if table.has(&beyond) {
            let help = format!("give the first {most} {what} in a file of their own");
            return Err(mistake(
                table,
                Some(&beyond),
                format!("is of more than {most} {what}"),
                &help,
            ));
        }
    }
    Ok((layers, top_k))
}

/// Where sequences begin, and the number of tokens.
fn starts_of(table: &Table) -> Result<Vec<usize>, TableError> {
    let rows = table.rows();
    let mut starts = vec![];
    let (name, cut) = match (table.has("seq"), table.has("domain")) {
        (true, _) => (Some("seq"), rows),
        (false, true) => (Some("domain"), CUT),
        (false, false) => (None, CUT),
    };
    let marks = name.map(|name| table.integers(name)).transpose()?;
    let mut begun = 0;
    for row in 0..rows {
        let changed = row > 0 && marks.is_some_and(|marks| marks[row] != marks[row - 1]);
        if row == 0 || changed || row - begun >= cut {
            starts.push(row);
            begun = row;
        }
    }
    starts.push(rows);
    Ok(starts)
}

fn mistake(table: &Table, column: Option<&str>, found: String, help: &str) -> TableError {
    TableError {
        table: table.name().to_owned(),
        column: column.map(str::to_owned),
        found,
        help: help.to_owned(),
    }
}
