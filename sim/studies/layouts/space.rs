//! Which layouts there are, and the workload of each.

use std::fmt;

use crate::config::Scenario;
use crate::workload::{ExchangeLibrary, Overlap, Workload};

/// One way to lay a workload over a cluster.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layout {
    /// GPUs that share one copy of the FFN experts.
    pub expert_parallel: u32,
    /// GPUs that each expert's width is cut over.
    pub expert_tensor_parallel: u32,
    /// GPUs that share each dense product.
    pub tensor_parallel: u32,
    /// Pipeline stages.
    pub pipeline_parallel: u32,
    /// Tokens on a GPU in one micro-batch.
    pub tokens_per_gpu: u32,
    /// What carries dispatch and combine.
    pub library: ExchangeLibrary,
    /// What exchanges of a forward pass run beside.
    pub overlap: Overlap,
    /// τ; none for vanilla, and where the workload says the share of FFN slots itself.
    pub tau: Option<f64>,
}

impl fmt::Display for Layout {
    /// `EP 8, TP 1, PP 1, 512 tokens per GPU, nccl`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EP {}, ", self.expert_parallel)?;
        if self.expert_tensor_parallel > 1 {
            write!(f, "ETP {}, ", self.expert_tensor_parallel)?;
        }
        let Self { tensor_parallel, pipeline_parallel, tokens_per_gpu, library, .. } = self;
        let library = library.word();
        write!(
            f,
            "TP {tensor_parallel}, PP {pipeline_parallel}, {tokens_per_gpu} tokens per GPU, {library}"
        )
    }
}

/// The values to combine; an empty list stands for the usual ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Space {
    /// Expert-parallel sizes; usually all that divide experts and leave no more than an eighth of the GPUs idle.
    pub expert_parallel: Vec<u32>,
    /// Sizes that experts' widths are cut over; usually the workload's.
    pub expert_tensor_parallel: Vec<u32>,
    /// Tensor-parallel sizes; usually powers of two within a node, if attention counts.
    pub tensor_parallel: Vec<u32>,
    /// Stages; usually 1, 2, 4 and 8, if the whole model counts.
    pub pipeline_parallel: Vec<u32>,
    /// Tokens on a GPU; usually the workload's, a quarter and a half of it, twice and four times.
    pub tokens_per_gpu: Vec<u32>,
    /// Exchange libraries; usually all that the cluster's profile has.
    pub libraries: Vec<ExchangeLibrary>,
    /// What exchanges run beside; usually what the workload says.
    pub overlaps: Vec<Overlap>,
    /// τ; usually the workload's own.
    pub taus: Vec<f64>,
}

/// The part of the GPUs that a group size which nobody named may leave idle is one over this. A stated choice.
const MOST_IDLE: u32 = 8;

impl Space {
    /// All layouts of a workload on a cluster, those among them that it does not allow too.
    pub(super) fn layouts(&self, scenario: &Scenario, workload: &Workload) -> Vec<Layout> {
        let topology = &scenario.topology;
        let (gpus, counted) = (topology.gpus(), scenario.counted);
        let places = workload.model.experts.ffn + workload.layout.places.redundant();
        let own = workload.batch.tokens_per_gpu;
        let powers =
            |most: u32| (0..).map(|power| 1 << power).take_while(move |size| *size <= most);
        let or = |given: &[u32], usual: &mut dyn Iterator<Item = u32>| {
            if given.is_empty() { usual.collect() } else { once_each(given) }
        };
        let whole = counted.is_whole_model();
        let divides = |size: &u32| places.is_multiple_of(*size) && gpus % size <= gpus / MOST_IDLE;
        let experts = or(&self.expert_parallel, &mut (1..=places.min(gpus)).filter(divides));
        let cuts = [workload.layout.expert_tensor_parallel];
        let cuts = or(&self.expert_tensor_parallel, &mut cuts.into_iter());
        let within = if whole { topology.gpus_per_node().min(8) } else { 1 };
        let tensor = or(&self.tensor_parallel, &mut powers(within));
        let stages = or(&self.pipeline_parallel, &mut powers(if whole { 8 } else { 1 }));
        let usual = [own / 4, own / 2, own, own.saturating_mul(2), own.saturating_mul(4)];
        let tokens = or(&self.tokens_per_gpu, &mut usual.into_iter().filter(|tokens| *tokens > 0));
        let first = Layout::first(workload);
        let all = each(vec![first], &experts, |layout, size| layout.expert_parallel = size);
        let all = each(all, &cuts, |layout, size| layout.expert_tensor_parallel = size);
        let all = each(all, &tensor, |layout, size| layout.tensor_parallel = size);
        let all = each(all, &stages, |layout, size| layout.pipeline_parallel = size);
        let all = each(all, &tokens, |layout, tokens| layout.tokens_per_gpu = tokens);
        let libraries = self.libraries(scenario, workload);
        let all = each(all, &libraries, |layout, own| layout.library = own);
        let overlaps = self.overlaps(workload);
        let mut all = each(all, &overlaps, |layout, own| layout.overlap = own);
        // A group of one GPU exchanges nothing.
        let first = (libraries.first(), overlaps.first());
        all.retain(|own| own.expert_parallel > 1 || own.exchanges_as(first));
        each(all, &self.taus(workload), |layout, tau| layout.tau = tau)
    }

    /// The overlaps given, else the workload's.
    fn overlaps(&self, workload: &Workload) -> Vec<Overlap> {
        match self.overlaps.as_slice() {
            [] => vec![workload.stack.overlap],
            given => once_each(given),
        }
    }

    /// The τ given, where τ decides anything, else the workload's own.
    fn taus(&self, workload: &Workload) -> Vec<Option<f64>> {
        match (self.taus.as_slice(), workload.model.experts.tau) {
            ([], tau) => vec![tau],
            (_, None) => vec![None],
            (taus, Some(_)) => once_each(taus).into_iter().map(Some).collect(),
        }
    }

    /// The libraries given, else the workload's where it names one, else all that `auto` could mean.
    fn libraries(&self, scenario: &Scenario, workload: &Workload) -> Vec<ExchangeLibrary> {
        if !self.libraries.is_empty() {
            return once_each(&self.libraries);
        }
        if workload.stack.exchange != ExchangeLibrary::Auto {
            return vec![workload.stack.exchange];
        }
        let carried = |library: &ExchangeLibrary| {
            let mut own = workload.clone();
            own.stack.exchange = *library;
            *library != ExchangeLibrary::Auto && scenario.carrier(&own).is_ok()
        };
        let found: Vec<_> = ExchangeLibrary::ALL.into_iter().filter(carried).collect();
        if found.is_empty() { vec![ExchangeLibrary::Auto] } else { found }
    }
}

/// Values without those that came before.
fn once_each<T: Copy + PartialEq>(values: &[T]) -> Vec<T> {
    let mut found: Vec<T> = Vec::with_capacity(values.len());
    for value in values {
        if !found.contains(value) {
            found.push(*value);
        }
    }
    found
}

/// Every layout with every value.
fn each<T: Copy>(all: Vec<Layout>, values: &[T], set: impl Fn(&mut Layout, T)) -> Vec<Layout> {
    let with = |layout: &Layout, value: T| {
        let mut own = *layout;
        set(&mut own, value);
        own
    };
    let values_of = |layout: Layout| values.iter().map(move |value| (layout, *value));
    all.into_iter().flat_map(values_of).map(|(layout, value)| with(&layout, value)).collect()
}

impl Layout {
    /// One GPU for everything, with the workload's tokens.
    const fn first(workload: &Workload) -> Self {
        Self {
            expert_parallel: 1,
            expert_tensor_parallel: 1,
            tensor_parallel: 1,
            pipeline_parallel: 1,
            tokens_per_gpu: workload.batch.tokens_per_gpu,
            library: ExchangeLibrary::Auto,
            overlap: workload.stack.overlap,
            tau: None,
        }
    }

    /// Whether this library and overlap are its.
    fn exchanges_as(
        &self,
        (library, overlap): (Option<&ExchangeLibrary>, Option<&Overlap>),
    ) -> bool {
        (Some(&self.library), Some(&self.overlap)) == (library, overlap)
    }

    /// The workload laid out so, or why its tokens cannot be divided so.
    pub(super) fn of(&self, scenario: &Scenario, base: &Workload) -> Result<Workload, String> {
        let mut own = base.clone();
        own.stack.phase = Some(base.phase());
        own.stack.exchange = self.library;
        own.stack.overlap = self.overlap;
        if !self.library.takes_sms() {
            own.stack.sms = None;
        }
        own.layout.expert_parallel = self.expert_parallel;
        own.layout.expert_tensor_parallel = self.expert_tensor_parallel;
        own.layout.tensor_parallel = self.tensor_parallel;
        own.layout.pipeline_parallel = self.pipeline_parallel;
        own.batch.tokens_per_gpu = self.tokens_per_gpu;
        if own.model.experts.tau.is_some() {
            own.model.experts.tau = self.tau;
        }
        let now = u64::from(base.batch.micro_batches) * u64::from(self.pipeline_parallel);
        let now = now / u64::from(base.layout.pipeline_parallel);
        own.batch.micro_batches = if scenario.counted.has_backward() {
            let all = now * u64::from(base.batch.tokens_per_gpu);
            let each = u64::from(self.tokens_per_gpu);
            if !all.is_multiple_of(each) {
                return Err(format!("{all} tokens of a replica do not divide into {each} each"));
            }
            u32::try_from(all / each).map_err(|_| "too many micro-batches".to_owned())?
        } else {
            u32::try_from(now.max(1)).map_err(|_| "too many micro-batches".to_owned())?
        };
        Ok(own)
    }
}

/// Tokens that a step yields, all GPUs together.
pub(super) fn tokens(scenario: &Scenario, workload: &Workload) -> f64 {
    let layout = &workload.layout;
    let first_stage = layout.in_use(scenario.topology.gpus()) / layout.pipeline_parallel;
    let batch = &workload.batch;
    let computed = f64::from(batch.tokens_per_gpu) * f64::from(batch.micro_batches);
    f64::from(first_stage) * computed * workload.yielded_share()
}
