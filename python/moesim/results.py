"""Results, one class for each command: what `moesim COMMAND --json` prints, key for key, with units in the names.

Written by python/generate.py from the JSON Schemas in docs/schemas/.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ._result import Part, Result

__all__ = [
    "AdviceResult",
    "AdvisedBreakEven",
    "AdvisedRun",
    "AllowedByFit",
    "Asked",
    "Basis",
    "BatchLoads",
    "BesideExchanges",
    "BesideGrouped",
    "Bounded",
    "BusyLink",
    "ClusterResult",
    "ComparedCluster",
    "ComparisonResult",
    "Degradation",
    "Errors",
    "ExplainedRun",
    "ExplanationResult",
    "FileErrors",
    "FittedPersistence",
    "FlowsResult",
    "GainAt",
    "GoodputResult",
    "GoodputRun",
    "Input",
    "LaidOut",
    "LawResult",
    "LayerLoads",
    "LayerSpreads",
    "LayerStatistics",
    "LayoutsResult",
    "LeftOut",
    "LeftOutAt",
    "LinkCount",
    "LinkGroup",
    "LoadsByLayer",
    "LoadsResult",
    "MadeBy",
    "MemoryResult",
    "MemoryUse",
    "NetworkUse",
    "PaperErrors",
    "PartCost",
    "PhaseTaken",
    "PlanCandidate",
    "PlanResult",
    "RecordingShape",
    "RowErrors",
    "RunResult",
    "Sampled",
    "SeenAndLaw",
    "Setting",
    "SpreadsResult",
    "StudyRow",
    "SystemRow",
    "SystemsResult",
    "TurnAt",
    "Upgrade",
    "ValidationResult",
    "WorkloadMemory",
]


@dataclass(frozen=True, repr=False)
class AdvisedBreakEven(Part):
    """Where the verdict turns along one thing."""

    class_: str | None
    """The class of link, of a bandwidth."""

    curve: list[GainAt]
    """All that was run, by value."""

    idle: str | None
    """Why it was not varied, where it was not."""

    left_out: list[LeftOutAt]
    """Values that could not be run."""

    now: float | None
    """The value now."""

    turns: list[TurnAt]
    """Where it turns; nowhere if empty."""

    varied: str
    """`tau`, `bandwidth_gb_per_s`, `tokens_per_gpu` or `expert_parallel`."""


@dataclass(frozen=True, repr=False)
class AdvisedRun(Part):
    """One of the two workloads."""

    counted_ms: float
    """The time counted in milliseconds, mean over seeds."""

    exchange_to_ffn_ratio: float | None
    """Time in dispatch and combine over time in FFN experts."""

    load_entropy: float
    """Entropy of the loads of FFN experts, 1 where they are even."""

    load_max_over_mean: float
    """The largest load over the mean."""

    shares: dict[str, float]
    """Shares of that time by part."""

    workload: str
    """Its name."""


@dataclass(frozen=True, repr=False)
class AllowedByFit(Part):
    """What overheads of other structures, and other micro-batches, give that fit the published
    rows about as well (`studies::paper`): each from the least to the most.
    """

    expert_forward_ms: list[float]
    """In milliseconds."""

    extrapolated: bool
    """Whether no fitted row has the model's hidden size."""

    throughput_increase_percent: list[float] | None
    """In percent; none for vanilla."""


@dataclass(frozen=True, repr=False)
class Asked(Part):
    """What a user asked for."""

    moesim: str
    """The version that answered."""

    scenario: str
    """The scenario's name or file."""

    set: list[str]
    """Its overrides."""


@dataclass(frozen=True, repr=False)
class Basis(Part):
    """One kernel or library in a result, and how near it is to what was measured."""

    detail: str | None
    """What the word leaves out."""

    distance: float | None
    """Of interpolated ones: distance to the nearest measured shape, in correlation lengths."""

    name: str
    """The kernel or library, with its number format."""

    part: str
    """The part of the layer: experts, dense, gate, memory, exchange or overheads."""

    share: float
    """Its share of the time that rests on any."""

    support: str
    """measured, interpolated, extrapolated, borrowed, derived, published or data-sheet."""

    time_ms: float
    """Its time, mean over GPUs and seeds, in milliseconds."""


@dataclass(frozen=True, repr=False)
class BatchLoads(Part):
    """Loads in batches of one size; errors are means over layers of |law / seen − 1|."""

    batch_tokens: int
    """Tokens of a batch of whole sequences."""

    by_layer: LoadsByLayer
    """By layer."""

    max_over_mean_error: float
    """Error of the law's max/mean."""

    max_over_mean_error_fitted_part: float
    """The same of the part that the law was fitted to."""

    max_over_mean_error_independent: float
    """The same if tokens were independent."""

    max_over_mean_ks_distance: float
    """Kolmogorov's distance of the laws of max/mean over batches, mean over layers."""

    seen_max_over_mean_standard_error: float
    """Standard error of the recording's max/mean."""


@dataclass(frozen=True, repr=False)
class BesideExchanges(Part):
    """SMs that exchanges hold, and how much longer kernels beside them take."""

    exchange_times: float | None
    """The factor on exchanges beside memory kernels."""

    memory_times: float
    """The factor on memory kernels."""

    products_times: float
    """The factor on matrix products, over what they take throughout."""

    sms: int
    """SMs held."""

    sms_assumed: bool
    """Whether their number was assumed."""

    sms_reserved: bool
    """Whether they are kept from kernels for the whole step, so that nothing more is taken
    beside exchanges.
    """


@dataclass(frozen=True, repr=False)
class BesideGrouped(Part):
    """That a measured kernel of experts takes longer than grouped products would."""

    expert_parallel: int
    """The expert-parallel size."""

    times: float
    """At most how many times as long, where loads are even."""


@dataclass(frozen=True, repr=False)
class Bounded(Part):
    """What bounds a run, under the first seed."""

    critical_path: dict[str, float]
    """Time on the critical path by reason, in milliseconds, summing to the makespan:
    `REASON_ms`.
    """

    gpus: int
    """How many GPUs it goes through."""

    most_critical_gpu: int
    """The GPU that decides most of it."""

    most_critical_gpu_ms: float
    """How much of it, in milliseconds."""

    throughput_increase_percent_without: dict[str, float]
    """By how many percent throughput would be higher were kernels of a reason, or `links` with
    their startups, free; each simulated again.
    """


@dataclass(frozen=True, repr=False)
class BusyLink(Part):
    """A link and how it was used."""

    busy_share: float
    """Share of the makespan that its bytes take at the rate it has, changes of health counted."""

    bytes: float
    """Its bytes."""

    class_: str
    """Its class."""

    link: str
    """Its name."""


@dataclass(frozen=True, repr=False)
class ComparedCluster(Part):
    """One cluster among others."""

    binds: str | None
    """What matters most, if anything of the network does."""

    break_even_class: str | None
    """The link class that would have to be faster to catch up with the best."""

    break_even_class_gb_per_s: list[float] | None
    """The slowest and the fastest link of that class now, in GB/s."""

    break_even_factor: float | None
    """By how much; none if no bandwidth suffices."""

    break_even_gb_per_s: float | None
    """To what its slowest link would come, in GB/s."""

    cluster: str
    """Its name."""

    differs_from_best: bool
    """Whether that interval leaves 1 out."""

    elasticities: dict[str, float]
    """Percent of throughput for one percent of each knob."""

    gate_draws_per_layer: int | None
    """How often gates were drawn for each layer, where not for every micro-batch and group."""

    gpu: str
    """Its GPU."""

    gpus: int
    """How many GPUs it has."""

    network_usd: float
    """The network's part of the price."""

    network_watts: float
    """The network's part of the power."""

    profile: str
    """The profile that kernels and links were taken from."""

    profile_borrowed: bool
    """Whether that is of another GPU."""

    ratio_to_best: float | None
    """The mean; none where the quantity does not apply."""

    ratio_to_best_high: float | None
    """The upper end."""

    ratio_to_best_low: float | None
    """The lower end; none of a single seed."""

    sampled: Sampled | None
    """Where a precision was asked for: how much of the runs of that workload was simulated, and
    what it reached.
    """

    stands_on: list[Basis]
    """What one run of MoE++ stands on."""

    throughput_increase_percent: float | None
    """The mean; none where the quantity does not apply."""

    throughput_increase_percent_high: float | None
    """The upper end."""

    throughput_increase_percent_low: float | None
    """The lower end; none of a single seed."""

    tokens_per_s: float
    """Tokens per second of the workload that is compared, mean over seeds."""

    tokens_per_s_per_gpu: float | None
    """The same of MoE++ for each GPU."""

    tokens_per_s_per_usd: float | None
    """For each US dollar."""

    tokens_per_s_per_w: float | None
    """For each watt."""

    usd: float | None
    """Its price in US dollars by the price book."""

    vanilla_tokens_per_s: float | None
    """Tokens per second of vanilla, where it is compared with."""

    watts: float | None
    """What it draws, in watts."""


@dataclass(frozen=True, repr=False)
class Degradation(Part):
    """A link in less than full health for a time."""

    from_s: float
    """From when, in seconds."""

    link: str
    """Its name."""

    share: float
    """The share of its bandwidth that is left; the least holds where there are several."""

    until_s: float | None
    """Until when, in seconds; none for good."""


@dataclass(frozen=True, repr=False)
class Errors(Part):
    """A mean error in time (a fraction) and in increase (points); none where there was no row."""

    increase_mae_points: float | None
    """Mean of |predicted − published| increase over MoE++ rows, in points."""

    time_bias: float | None
    """Mean of predicted / published − 1: the signed bias."""

    time_mape: float | None
    """Mean of |predicted / published − 1| over rows."""


@dataclass(frozen=True, repr=False)
class ExplainedRun(Part):
    """One run of a workload, under the first seed."""

    blame: dict[str, float]
    """Time blamed on each reason, mean over GPUs, in milliseconds: `REASON_ms`."""

    counted_ms: float
    """The time counted, in milliseconds."""

    ffn_share: float
    """Share of slots given to FFN experts."""

    gate_draws_per_layer: int | None
    """How often gates were drawn for each layer, where not for every micro-batch and group."""

    hidden_zero_computation_ms: float
    """Work of shared and zero-computation experts hidden under exchanges, mean over GPUs, in
    milliseconds. The key is older than the part of shared experts.
    """

    makespan_ms: float
    """Until the slowest GPU is done, in milliseconds."""

    mean_gpu_waits_ms: float
    """How long GPUs wait on average."""

    seed: int
    """The seed."""

    slowest_gpu: int
    """The GPU that waits least: it decides most often."""

    slowest_gpu_waits_ms: float
    """How long it waits, in milliseconds."""

    stands_on: list[Basis]
    """What the time stands on."""

    tau: float | None
    """Its τ."""

    workload: str
    """The workload."""


@dataclass(frozen=True, repr=False)
class FileErrors(Part):
    """How far off one file's predictions are; errors as fractions."""

    baseline_median_abs_error: float | None
    """Median of |error| of the baseline."""

    bias: float | None
    """Median error, with its sign."""

    extrapolated_rows: int
    """Predictions of shapes that were not measured."""

    extrapolation_rule: str | None
    """By what rule they were made."""

    file: str
    """The file's name."""

    interval_90_coverage: float | None
    """Share of measurements in their 90 % intervals."""

    interval_90_coverage_by_model: dict[str, float]
    """The same by model."""

    median_abs_error: float | None
    """Median of |error|; none where there was nothing to predict."""

    p90_abs_error: float | None
    """90th percentile of |error|."""

    predictions: int
    """Predictions: a row with a dispatch and a combine has two."""

    profile: str
    """The profile that predicted."""

    rows: int
    """Rows of the table that were predicted."""

    skipped: int
    """Rows that were not predicted."""

    skipped_by_reason: dict[str, int]
    """The same by reason."""

    within_10_percent: float
    """Share of predictions within 10 %."""


@dataclass(frozen=True, repr=False)
class FittedPersistence(Part):
    """Persistence of a law."""

    decay: float
    """How fast it fades, a token."""

    depth: float
    """Share of it that layers have in common."""

    share: float
    """Share of a token's preferences."""


@dataclass(frozen=True, repr=False)
class GainAt(Part):
    """The mean gain at one value."""

    at: float
    """The value."""

    throughput_increase_percent: float
    """The gain."""


@dataclass(frozen=True, repr=False)
class GoodputRun(Part):
    """One workload."""

    best_interval: bool
    """Whether the interval is the best one."""

    drawn_share: list[float | None]
    """The same, mean over the days drawn, and half of its 95 % interval."""

    goodput_tokens_per_s: float
    """Tokens per second that are kept."""

    interval_s: float
    """The same in seconds."""

    share: float
    """Share of time that becomes work that is kept, in closed form."""

    step_ms: float
    """A step, mean over seeds, in milliseconds."""

    steps_between_checkpoints: int
    """Steps between two checkpoints."""

    tau: float | None
    """Its τ."""

    tokens_per_s: float
    """Tokens per second without failures, mean over seeds."""

    workload: str
    """The workload."""

    worst_tenth_share: float
    """The mean of the worst tenth of the days."""


@dataclass(frozen=True, repr=False)
class Input(Part):
    """A file that was read, or a built-in one."""

    built_in: bool
    """Whether it is built in."""

    digest: str
    """FNV-1a, 64 bits, of its bytes: tells changed files from unchanged ones, and no forger's."""

    name: str
    """Its path as it was opened, or the name of what is built in."""


@dataclass(frozen=True, repr=False)
class LaidOut(Part):
    """A layout and what it gives."""

    binds: str
    """The part of the step that takes most."""

    binds_share: float
    """Its share."""

    cluster: str
    """The cluster."""

    exchange: str
    """What carries dispatch and combine."""

    expert_parallel: int
    """GPUs that share one copy of the FFN experts."""

    expert_tensor_parallel: int
    """GPUs that each expert's width is cut over."""

    idle_gpus: int
    """GPUs of the cluster that it leaves idle."""

    overlap: str | None
    """What exchanges run beside, if anything."""

    pipeline_parallel: int
    """Pipeline stages."""

    sampled: Sampled | None
    """Where a precision was asked for: how much of its runs was simulated, and what it reached."""

    step_ms: float
    """Time of a step in milliseconds."""

    step_ms_least: float
    """The bound on that."""

    tau: float | None
    """τ."""

    tensor_parallel: int
    """GPUs that share each dense product."""

    tokens_per_gpu: int
    """Tokens on a GPU in one micro-batch."""

    tokens_per_s: float
    """Tokens per second, all GPUs together, mean over seeds."""

    tokens_per_s_per_gpu: float | None
    """The same for each GPU of the cluster, idle ones among them."""

    tokens_per_s_per_usd: float | None
    """The same for each US dollar, where that is the objective."""

    too_large: str | None
    """Why it does not fit into memory, where it runs all the same."""


@dataclass(frozen=True, repr=False)
class LayerLoads(Part):
    """Loads of one layer: all batches together, and means over batches of how uneven one is."""

    cv: float
    """Coefficient of variation."""

    drop_by_factor: list[list[float]]
    """Capacity factors, and the share of slots that each would drop."""

    gini: float
    """Gini coefficient."""

    max_over_mean: float
    """The largest load over the mean of FFN experts."""

    slots_by_expert: list[int]
    """Slots of each expert, all batches together."""


@dataclass(frozen=True, repr=False)
class LayerSpreads(Part):
    """Spreads of one layer."""

    domain_sd: float | None
    """Standard deviation of how domains differ."""

    domain_sd_standard_error: float | None
    """Its standard error."""

    layer: int
    """The layer."""

    mixed_cv: float
    """Coefficient of variation of the same."""

    mixed_max_over_mean: float
    """The largest load over the mean, all domains in equal parts."""

    popularity_sd: float
    """Standard deviation of the logarithm of popularity."""

    popularity_sd_standard_error: float | None
    """Its standard error, by leaving out one domain at a time."""


@dataclass(frozen=True, repr=False)
class LayerStatistics(Part):
    """How uneven loads are, a value a layer, means over batches."""

    cv: list[float]
    """Coefficient of variation."""

    drop_1_1: list[float]
    """Share of slots that a capacity factor of 1.1 drops."""

    drop_1_25: list[float]
    """That a factor of 1.25 drops."""

    drop_1_5: list[float]
    """That a factor of 1.5 drops."""

    gini: list[float]
    """Gini coefficient."""

    imbalance_correlation: float
    """Mean correlation of two layers' max/mean over batches."""

    max_over_mean: list[float]
    """The largest load over the mean."""

    max_over_mean_p90: list[float]
    """Its 90th percentile over batches."""


@dataclass(frozen=True, repr=False)
class LeftOut(Part):
    """A cluster that costs more than was allowed."""

    cluster: str
    """The cluster."""

    prices_of: str
    """The date of the price book."""

    usd: float
    """What it costs, in US dollars."""


@dataclass(frozen=True, repr=False)
class LeftOutAt(Part):
    """A value that could not be run."""

    at: float
    """The value."""

    why: str
    """Why."""


@dataclass(frozen=True, repr=False)
class LinkCount(Part):
    """Links of one class."""

    class_: str
    """The class."""

    gb_per_s: float
    """The bandwidth of the slowest, in GB/s."""

    gb_per_s_most: float
    """That of the fastest."""

    one_way_links: int
    """How many, one way."""


@dataclass(frozen=True, repr=False)
class LinkGroup(Part):
    """How full the links of one class and direction are."""

    busiest: str
    """The busiest link's name."""

    class_: str
    """The class of link."""

    from_: str
    """What they lead from."""

    gb_per_s_each: float
    """The bandwidth of the busiest that its health leaves, in GB/s."""

    links: int
    """How many there are."""

    links_a_place: int
    """Links put together into one place."""

    max_share: float
    """The share of the busiest."""

    mean_share: float
    """The share that a link carries of its data-sheet bandwidth times its health, mean over the
    group.
    """

    share_by_place: list[float]
    """Mean shares of places, from the first link to the last."""

    to: str
    """What they lead to."""


@dataclass(frozen=True, repr=False)
class LoadsByLayer(Part):
    """Loads of each layer."""

    independent: LayerStatistics
    """Of independent tokens of the same popularity."""

    law: LayerStatistics
    """Of the law."""

    seen: LayerStatistics
    """Of the recording."""


@dataclass(frozen=True, repr=False)
class MadeBy(Part):
    """What a result was made by. Results are functions of these: the same moesim, arguments and
    files make the same numbers.
    """

    arguments: list[str]
    """The arguments."""

    commit: str | None
    """The commit, where it is known."""

    inputs: list[Input]
    """The files and built-ins read."""

    moesim: str
    """The version."""


@dataclass(frozen=True, repr=False)
class MemoryUse(Part):
    """What lies in the memory of the fullest GPU; sizes in bytes."""

    activations_bytes: int

    attention_bytes: int

    capacity_bytes: int | None
    """The GPU's memory, where the topology states it."""

    dense_networks_bytes: int

    embedding_bytes: int

    exchange_buffers_bytes: int

    ffn_experts_bytes: int

    fits: bool | None
    """Whether it suffices."""

    free_bytes: int | None
    """What is left of it; negative where it does not suffice."""

    gates_bytes: int

    gathered_parameters_bytes: int

    gradients_bytes: int

    hottest_rows: int
    """Rows of the rank that is given most."""

    kv_cache_bytes: int

    optimiser_states_bytes: int

    other_experts_bytes: int

    phase: Literal["training", "prefill", "decode"]
    """Training, prefill or decode."""

    total_bytes: int
    """All of them together."""


@dataclass(frozen=True, repr=False)
class NetworkUse(Part):
    """The exchanges of one workload, over all seeds."""

    all_to_all: str
    """How tokens travel."""

    certified_exchanges: int
    """Exchanges for which the closed form's certificate held; all of them for other engines."""

    engine: Literal["closed-form", "exact", "quantised"]
    """The engine; the costlier one where runs differ."""

    error_bound: float | None
    """The relative error that the engine keeps for an exchange, where it keeps one."""

    exchanges: int
    """Exchanges with bytes for the network."""

    flows: int
    """Transfers of these exchanges."""

    mean_measured_error: float | None
    """Mean difference between the two; positive where the closed form is late."""

    measured_exchanges: int
    """Exchanges solved a second time as flows."""

    overlap: str | None
    """What exchanges run beside, where that is more than local experts: `two-batch`, `single-
    batch`, `4 chunks`.
    """

    worst_measured_error: float | None
    """Greatest difference between the two."""


@dataclass(frozen=True, repr=False)
class PaperErrors(Part):
    """How well a table of the paper's columns is predicted."""

    baselines: dict[str, Errors]
    """Each baseline's: `ideal`, `amdahl`, `other_models`."""

    file: str
    """The file's name."""

    increase_mae_points: float | None
    """Mean of |predicted − published| increase over MoE++ rows, in points."""

    left_out: list[RowErrors]
    """Each model's rows, predicted with overheads fitted to the other models' rows."""

    model: str
    """What was judged: a model's name, or `all`."""

    rows: int
    """Rows judged."""

    skipped: int
    """Rows whose model is unknown."""

    time_bias: float | None
    """Mean of predicted / published − 1: the signed bias."""

    time_mape: float | None
    """Mean of |predicted / published − 1| over rows."""


@dataclass(frozen=True, repr=False)
class PartCost(Part):
    """Price and power of a part of the cluster."""

    part: str
    """The part."""

    usd: float | None
    """US dollars, where known."""

    watts: float | None
    """Watts, where known."""


@dataclass(frozen=True, repr=False)
class PhaseTaken(Part):
    """The phase that was taken for a workload."""

    context_given: bool
    """Whether `batch.context` says how many tokens came before."""

    drafts: int | None
    """Drafts that a decode step checks for each sequence, in speculative decoding."""

    phase: Literal["training", "prefill", "decode"]
    """Training, prefill or decode."""

    phase_assumed: bool
    """Whether it was assumed."""

    tau: float | None
    """Its τ."""

    tokens_of_sequence: float | None
    """Tokens that a step then yields for each sequence, on average."""

    tokens_per_gpu: int | None
    """Tokens of a GPU in one micro-batch."""

    workload: str
    """The workload."""


@dataclass(frozen=True, repr=False)
class PlanCandidate(Part):
    """One τ on one cluster."""

    cluster: str
    """The cluster."""

    fits: bool
    """Whether it fits into the GPUs' memory."""

    margin_percent: float
    """How far the mean lies above the target, in percent of the target."""

    probability: float
    """With what probability a fresh draw meets the target."""

    quality: float | None
    """Expected quality; none of vanilla where it was not measured."""

    quality_extrapolated: bool
    """Whether τ lies outside the measured ones."""

    quality_noise: float | None
    """How sure that is: how far single points scatter about a line, or the standard error of a
    curve, if it is known.
    """

    sampled: Sampled | None
    """Where a precision was asked for: how much of its runs was simulated, and what it reached."""

    target_tokens_per_s: float
    """The target in tokens per second."""

    tau: float | None
    """τ; none for vanilla."""

    tokens_per_s: float
    """Tokens per second, mean over seeds."""

    too_large: str | None
    """The arithmetic, where it does not."""


@dataclass(frozen=True, repr=False)
class RecordingShape(Part):
    """How large a recording is."""

    experts: int
    """Experts of a layer."""

    layers: int
    """Layers."""

    sequences: int
    """Sequences."""

    tokens: int
    """Tokens."""

    top_k: int
    """Slots of a token."""


@dataclass(frozen=True, repr=False)
class RowErrors(Part):
    """How well a set of rows is predicted, and how well baselines do on the same."""

    baselines: dict[str, Errors]
    """Each baseline's: `ideal`, `amdahl`, `other_models`."""

    increase_mae_points: float | None
    """Mean of |predicted − published| increase over MoE++ rows, in points."""

    model: str
    """What was judged: a model's name, or `all`."""

    rows: int
    """Rows judged."""

    time_bias: float | None
    """Mean of predicted / published − 1: the signed bias."""

    time_mape: float | None
    """Mean of |predicted / published − 1| over rows."""


@dataclass(frozen=True, repr=False)
class Sampled(Part):
    """How much of the runs of a workload was simulated, and how precise the mean of their time
    is.
    """

    asked_percent: float
    """The precision that was asked for: half the width of the interval, in percent of the mean
    time over seeds.
    """

    estimator: str
    """How the whole follows from the sample."""

    gain_reached_percent: float | None
    """Half the width of the interval of the gain, in percent as the gain is; none for vanilla."""

    of: int
    """Units that the runs have."""

    reached_percent: float
    """The precision that was reached; zero where all was simulated."""

    simulated: int
    """Units of the runs that were simulated."""

    unit: str
    """What a unit is: a whole micro-batch, a layer of a micro-batch, or a run where all are
    whole.
    """


@dataclass(frozen=True, repr=False)
class SeenAndLaw(Part):
    """A statistic of a recording, and of what the law draws."""

    law: float
    """Of the law."""

    relative_error: float | None
    """`law / seen − 1`; none where the recording has nothing of it."""

    seen: float
    """Of the recording."""


@dataclass(frozen=True, repr=False)
class Setting(Part):
    """What was taken for one cluster."""

    calibration_uncertainty: bool
    """Whether each seed draws the error that calibration left."""

    cautions: list[str]
    """What to be careful of: another GPU's profile, memory that is not stated."""

    cluster: str | None
    """The cluster's name, where several are compared."""

    counted: Literal["experts", "moe-layer", "model-forward", "layer-training", "training-step"]
    """What is counted."""

    does_not_fit: list[str]
    """Workloads that do not fit into the GPU's memory and run as was asked: the arithmetic."""

    gpu: str
    """Its GPU."""

    idle: list[str]
    """GPUs that no workload uses, in words."""

    overheads: str
    """What a loop over experts costs beyond its kernels."""

    overheads_in_words: str
    """The overheads, why where none were named, and whether any workload has use for them."""

    overheads_named: bool
    """Whether they were named, not assumed."""

    profile: str
    """The profile that kernels and links were taken from."""

    profile_borrowed: bool
    """Whether it is of another GPU."""

    seeds: list[int]
    """Seeds, half open."""

    topology: str
    """The topology's name or file."""

    workloads: list[PhaseTaken]
    """Each workload and its phase."""


@dataclass(frozen=True, repr=False)
class StudyRow(Part):
    """One workload's result."""

    allowed_by_fit: AllowedByFit | None
    """Of experts alone: what other overheads give that fit the published rows about as well."""

    beside_exchanges: BesideExchanges | None
    """With a backward pass: what exchanges take from kernels beside them."""

    blame: dict[str, float]
    """Time blamed on each reason, mean over GPUs and seeds, in milliseconds: `REASON_ms`."""

    context_given: bool
    """Whether `batch.context` says how many tokens came before."""

    drafts: int | None
    """Drafts that a decode step checks for each sequence, in speculative decoding."""

    drop_share: float | None
    """The mean; none where the quantity does not apply."""

    drop_share_high: float | None
    """The upper end."""

    drop_share_low: float | None
    """The lower end; none of a single seed."""

    dropped_weight_share: float | None
    """The mean; none where the quantity does not apply."""

    dropped_weight_share_high: float | None
    """The upper end."""

    dropped_weight_share_low: float | None
    """The lower end; none of a single seed."""

    expert_forward_ms: float | None
    """expert forward, in milliseconds"""

    expert_forward_ms_high: float | None
    """expert forward, in milliseconds"""

    expert_forward_ms_low: float | None
    """expert forward, in milliseconds"""

    expert_forward_ms_p05: float | None
    """expert forward, in milliseconds"""

    expert_forward_ms_p95: float | None
    """expert forward, in milliseconds"""

    ffn_experts: int
    """FFN experts of a layer."""

    ffn_share: float | None
    """The mean; none where the quantity does not apply."""

    ffn_share_high: float | None
    """The upper end."""

    ffn_share_low: float | None
    """The lower end; none of a single seed."""

    gate_draws_per_layer: int | None
    """How often gates were drawn for each layer, where not for every micro-batch and group."""

    hidden_zero_computation_ms: float
    """Work of shared and zero-computation experts hidden under exchanges, mean over GPUs, in
    milliseconds. The key is older than the part of shared experts.
    """

    link_use: list[LinkGroup]
    """How full links are, by class and direction."""

    makespan_ms: float | None
    """The mean; none where the quantity does not apply."""

    makespan_ms_high: float | None
    """The upper end."""

    makespan_ms_low: float | None
    """The lower end; none of a single seed."""

    memory: MemoryUse
    """What lies in the memory of the fullest GPU."""

    mfu: float
    """Model operations over what the data sheet's peak would compute."""

    model: str
    """Its model."""

    model_forward_ms: float | None
    """forward pass, in milliseconds"""

    model_forward_ms_high: float | None
    """forward pass, in milliseconds"""

    model_forward_ms_low: float | None
    """forward pass, in milliseconds"""

    model_forward_ms_p05: float | None
    """forward pass, in milliseconds"""

    model_forward_ms_p95: float | None
    """forward pass, in milliseconds"""

    model_tflops_per_gpu: float
    """Teraoperations of the model per second and GPU, all picks counted as FFN experts."""

    moe_layers_ms: float | None
    """MoE layers, in milliseconds"""

    moe_layers_ms_high: float | None
    """MoE layers, in milliseconds"""

    moe_layers_ms_low: float | None
    """MoE layers, in milliseconds"""

    moe_layers_ms_p05: float | None
    """MoE layers, in milliseconds"""

    moe_layers_ms_p95: float | None
    """MoE layers, in milliseconds"""

    moe_layers_training_ms: float | None
    """MoE fwd and bwd, in milliseconds"""

    moe_layers_training_ms_high: float | None
    """MoE fwd and bwd, in milliseconds"""

    moe_layers_training_ms_low: float | None
    """MoE fwd and bwd, in milliseconds"""

    moe_layers_training_ms_p05: float | None
    """MoE fwd and bwd, in milliseconds"""

    moe_layers_training_ms_p95: float | None
    """MoE fwd and bwd, in milliseconds"""

    network: NetworkUse | None
    """Which engine carried the exchanges; none where there were none."""

    peak_tflops: float
    """That peak, in TFLOP/s."""

    phase: Literal["training", "prefill", "decode"]
    """Training, prefill or decode."""

    phase_assumed: bool
    """Whether it was assumed."""

    published_expert_forward_ms: float | None
    """Expert forward time, in milliseconds."""

    published_throughput_increase_percent: float | None
    """Throughput increase over vanilla, in percent."""

    sampled: Sampled | None
    """Where a precision was asked for: how much was simulated, and what it reached."""

    stands_on: list[Basis]
    """What the time stands on."""

    tau: float | None
    """Its τ."""

    throughput_increase_percent: float | None
    """The mean; none where the quantity does not apply."""

    throughput_increase_percent_high: float | None
    """The upper end."""

    throughput_increase_percent_low: float | None
    """The lower end; none of a single seed."""

    throughput_increase_percent_p05: float | None
    """The lower end."""

    throughput_increase_percent_p95: float | None
    """The upper end."""

    tokens_of_sequence: float | None
    """Tokens that a step then yields for each sequence, on average."""

    tokens_per_gpu: int | None
    """Tokens of a GPU in one micro-batch."""

    tokens_per_s: float | None
    """The mean; none where the quantity does not apply."""

    tokens_per_s_high: float | None
    """The upper end."""

    tokens_per_s_low: float | None
    """The lower end; none of a single seed."""

    tokens_per_s_per_gpu: float | None
    """The mean; none where the quantity does not apply."""

    tokens_per_s_per_gpu_high: float | None
    """The upper end."""

    tokens_per_s_per_gpu_low: float | None
    """The lower end; none of a single seed."""

    training_step_ms: float | None
    """training step, in milliseconds"""

    training_step_ms_high: float | None
    """training step, in milliseconds"""

    training_step_ms_low: float | None
    """training step, in milliseconds"""

    training_step_ms_p05: float | None
    """training step, in milliseconds"""

    training_step_ms_p95: float | None
    """training step, in milliseconds"""

    workload: str
    """The workload."""

    zero_computation_experts: int
    """Zero-computation experts of a layer."""


@dataclass(frozen=True, repr=False)
class SystemRow(Part):
    """One row of published systems, judged or not."""

    baseline: float | None
    """Predicted by the data sheet's roofline."""

    dispatcher: str
    """The exchange library."""

    error: float | None
    """`predicted / measured − 1`."""

    family: str
    """Its family."""

    gemm_kernel: str
    """The kernel of experts."""

    high: float | None
    """The upper end."""

    id: str
    """Its id in the table."""

    low: float | None
    """The lower end of the 90 % interval."""

    measured: float | None
    """Measured."""

    phase: str
    """The phase."""

    predicted: float | None
    """Predicted, in `unit`."""

    quantity: str
    """What was measured."""

    setup: str
    """The set-up, as the table has it."""

    stands_on: list[str] | None
    """What the prediction stands on."""

    status: str
    """`judged`, or the reason why not."""

    trust: str
    """How far the source is trusted."""

    unit: str
    """The unit."""


@dataclass(frozen=True, repr=False)
class TurnAt(Part):
    """Two neighbouring values: MoE++ pays at one and not at the other."""

    fails: GainAt
    """Where it does not."""

    pays: GainAt
    """Where it pays."""


@dataclass(frozen=True, repr=False)
class Upgrade(Part):
    """What a class of links would bring if it were 10 % faster."""

    class_: str
    """The class."""

    makespan_change_percent_at_10_percent_faster: float
    """By how much the makespan would change, in percent."""


@dataclass(frozen=True, repr=False)
class WorkloadMemory(Part):
    """One workload's ledger."""

    context_given: bool
    """Whether `batch.context` says how many tokens each sequence had before."""

    memory: MemoryUse
    """What lies in the memory of the fullest GPU."""

    model: str
    """Its model."""

    moepp: bool
    """Whether it has zero-computation experts."""

    tau: float | None
    """Its τ."""

    training: str | None
    """Of one that is trained: what of its step decides what is kept."""

    workload: str
    """The workload."""


@dataclass(frozen=True, repr=False)
class AdviceResult(Result):
    """Whether MoE++ pays, and what that rests on."""

    because: str
    """Why, in a sentence."""

    break_evens: list[AdvisedBreakEven]
    """Where the verdict turns."""

    derived: list[str]
    """What the MoE++ workload was derived by, where the scenario has none."""

    elasticities: dict[str, float]
    """Percent of vanilla's throughput for one percent of each knob."""

    ffn_share: float
    """Share of slots that reach FFN experts in MoE++."""

    gpus: int
    """How many GPUs the cluster has."""

    idle_percent: float
    """A gain that certainly stays below this is none."""

    made_by: MadeBy
    """How it was made."""

    moepp: AdvisedRun
    """The MoE++ workload."""

    proportional_percent: float
    """The gain if FFN experts, exchanges and waiting shrank with the slots."""

    schema: str

    setting: Setting
    """What was asked and what was taken."""

    stands_on: list[Basis]
    """What MoE++'s time stands on."""

    tau: float | None
    """Its τ."""

    throughput_increase_percent: float | None
    """The mean; none where the quantity does not apply."""

    throughput_increase_percent_high: float | None
    """The upper end."""

    throughput_increase_percent_low: float | None
    """The lower end; none of a single seed."""

    vanilla: AdvisedRun
    """The vanilla workload."""

    verdict: Literal["adopt", "adopt if trained anew", "defer", "avoid"]
    """What to do."""

    worth_percent: float
    """The gain in percent from which MoE++ pays."""

    zero_computation_local: bool
    """Whether every GPU has a copy of the zero-computation experts."""


@dataclass(frozen=True, repr=False)
class ClusterResult(Result):
    """A cluster."""

    bisection_gb_per_s: float | None
    """Bisection bandwidth, both directions, in GB/s."""

    bounds_from_all_routes: bool | None
    """Whether these come from all routes, not a sample."""

    cluster_cost_usd: float | None
    """The cluster's price, where the GPU's is known."""

    cluster_power_w: float | None
    """Its power."""

    decided_by: str | None
    """The class of link that decides it."""

    family: str
    """The family of its network."""

    gpu: str
    """Its GPU."""

    gpus: int
    """How many it has."""

    gpus_per_node: int
    """Of each node."""

    links: list[LinkCount]
    """Links one way, by class."""

    made_by: MadeBy
    """How it was made."""

    name: str
    """Its name."""

    network_cost_usd: float
    """The network's price, in US dollars."""

    network_power_w: float
    """Its power, in watts."""

    parts: list[PartCost]
    """Price and power of each part."""

    poor_health: list[str]
    """Links and GPUs that are not in full health, in words."""

    prices_of: str
    """The date of the price book."""

    schema: str

    source: str
    """Where its figures come from."""

    uniform_all_to_all_gb_per_s: float | None
    """What each GPU gets of a uniform all-to-all at best, in GB/s."""

    vertices: dict[str, int]
    """Switches, NICs and hosts, by kind."""


@dataclass(frozen=True, repr=False)
class ComparisonResult(Result):
    """Clusters against each other."""

    clusters: list[ComparedCluster]
    """The clusters, the best first."""

    equal: Literal["gpus", "cost", "power"]
    """What clusters have equally much of."""

    made_by: MadeBy
    """How it was made."""

    prices_of: str
    """The date of the price book."""

    schema: str

    set: list[str]
    """Overrides."""

    settings: list[Setting]
    """What was taken for each cluster, in the order in which they were named."""

    tau: float | None
    """Its τ, where it has one."""

    vanilla: str | None
    """The workload that its gain is over; none where one workload stands alone."""

    workload: str
    """The workload that is compared: MoE++, or the one that stands alone."""


@dataclass(frozen=True, repr=False)
class ExplanationResult(Result):
    """Why a workload takes what it takes, and what MoE++ changes."""

    bounds: Bounded
    """What bounds the MoE++ workload, or vanilla where it stands alone."""

    cluster: str
    """The cluster."""

    elasticities: dict[str, float]
    """Percent of throughput for one percent of each knob."""

    gpu: str
    """Their name."""

    gpus: int
    """How many GPUs it has."""

    made_by: MadeBy
    """How it was made."""

    moepp: ExplainedRun | None
    """The MoE++ workload, where there is one."""

    schema: str

    setting: Setting
    """What was asked and what was taken."""

    throughput_increase_percent: float | None
    """The mean; none where the quantity does not apply."""

    throughput_increase_percent_high: float | None
    """The upper end."""

    throughput_increase_percent_low: float | None
    """The lower end; none of a single seed."""

    vanilla: ExplainedRun
    """The vanilla workload."""


@dataclass(frozen=True, repr=False)
class FlowsResult(Result):
    """Who got their bytes when, what was busy, what faster links would bring."""

    arrival_s: list[float | None] | None
    """When each GPU received its last byte."""

    busiest_links: list[BusyLink]
    """The links whose bytes take longest."""

    cpu_s: float
    """Processor time of the process when the flows were solved, in seconds."""

    degradations: list[Degradation]
    """Links whose health is worse for a time."""

    distinct_parts: int
    """How many of them were solved: others equal one of these, or cannot end last."""

    engine: Literal["closed-form", "exact", "quantised"]
    """The engine that shared links."""

    error_basis: str | None
    """What says so: proven (or rounding alone), measured (no more in all that was tried), or
    aimed at.
    """

    error_bound: float | None
    """The relative error that finish times may have, as `error_basis` says; none where nothing
    is known of it.
    """

    fillings: int
    """Times that links were filled."""

    finish_s: list[float] | None
    """When each flow ended, of few flows."""

    flows: int
    """Flows carried."""

    gpus: int
    """Its GPUs."""

    link_use: list[LinkGroup]
    """How full links are, by class and direction."""

    lower_bound_s: float
    """What no schedule can beat, in seconds."""

    made_by: MadeBy
    """How it was made."""

    makespan_s: float
    """Until the last byte has arrived, in seconds."""

    parts: int
    """Parts of the network that share no link."""

    peak_rss_bytes: int | None
    """The most memory that the process has held, where the system says."""

    poor_health: str | None
    """Links that the topology says are not in full health, in words."""

    schema: str

    sent_s: list[float | None] | None
    """When each GPU sent its last byte; none where the makespan alone is wanted."""

    topology: str
    """The cluster."""

    upgrades: list[Upgrade]
    """What faster links would bring, the best first."""

    upgrades_by: Literal["closed-form", "exact", "quantised"]
    """The engine that says so."""


@dataclass(frozen=True, repr=False)
class GoodputResult(Result):
    """What failures leave of throughput."""

    checkpoint_s: float
    """A checkpoint, in seconds."""

    cluster: str
    """The cluster."""

    days: int
    """Days that were drawn, one after another."""

    gpu_mtbf_hours: float
    """Mean time between failures of one GPU, in hours."""

    gpus: int
    """GPUs that are used, and may fail."""

    made_by: MadeBy
    """How it was made."""

    mean_between_failures_s: float
    """Mean time between failures of all that are used, in seconds."""

    restart_s: float
    """A restart, in seconds."""

    runs: list[GoodputRun]
    """Vanilla and MoE++, or one of them."""

    schema: str

    setting: Setting
    """What was taken."""


@dataclass(frozen=True, repr=False)
class LawResult(Result):
    """A law that was fitted to a recording, and how well it does on one that it has not seen."""

    ffn_experts_per_token: float | None
    """FFN experts per token, mean over layers; with `--order`."""

    ffn_logit_shift: list[float] | None
    """λ of each layer; with `--tau`."""

    held_out: RecordingShape
    """What it was judged by."""

    imbalance_correlation: SeenAndLaw | None
    """Mean correlation of two layers' max/mean over batches."""

    law_max_over_mean_standard_error: list[float] | None
    """Standard error of the law's max/mean at each size of batch, mean over layers; with
    `--bootstrap`.
    """

    layer_information_by_lag: dict[str, SeenAndLaw]
    """What a layer's choices tell of another's, by how far apart layers are."""

    loads: list[BatchLoads]
    """Loads in batches of each size."""

    made_by: MadeBy
    """How it was made."""

    persistence: FittedPersistence
    """How much tokens have of the preferences of those before them."""

    popularity_concentration: float
    """α of the Dirichlet law with the spread of loads over experts."""

    schema: str

    sequence_common: float
    """Share of that variance which layers have in common."""

    sequence_sd: float
    """Standard deviation over sequences of an expert's logit."""

    token_overlap_by_gap: dict[str, SeenAndLaw]
    """How much the choices of tokens some way apart overlap, by how far."""

    trace: RecordingShape
    """What it was fitted to."""


@dataclass(frozen=True, repr=False)
class LayoutsResult(Result):
    """The layouts that none beats, and how they were found."""

    beside_grouped: list[BesideGrouped]
    """Where a measured kernel takes far longer than grouped products would: at which expert-
    parallel sizes, and at most how many times as long.
    """

    bound_margin: float
    """The error that bounds allow for."""

    bounded: int
    """How many were dropped by their bounds."""

    experts_kernels: dict[str, list[int]]
    """The kernels that FFN experts run as, and at which expert-parallel sizes of those that were
    simulated.
    """

    front: list[LaidOut]
    """Of those that were run, those that none beats in throughput and step time at the same τ,
    the best first.
    """

    layouts: int
    """How many layouts there were, on all clusters."""

    made_by: MadeBy
    """How it was made."""

    objective: Literal["throughput", "latency", "cost"]
    """What is wanted most."""

    refused: int
    """How many the workload or a cluster does not allow."""

    refused_why: str | None
    """Why, of one of them."""

    schema: str

    set: list[str]
    """Overrides."""

    settings: list[Setting]
    """What was taken for each cluster."""

    simulated: int
    """How many were run."""

    too_large: int
    """How many do not fit into memory."""

    too_large_why: str | None
    """The arithmetic of the one that needs the least."""

    workload: str
    """The workload."""


@dataclass(frozen=True, repr=False)
class LoadsResult(Result):
    """Loads of every layer over some batches."""

    dropped_share: float | None
    """Share of slots that the workload's own capacity drops."""

    dropped_weight_share: float | None
    """Share of mixing weight dropped with them."""

    ffn_experts: int
    """FFN experts, which come first."""

    ffn_experts_per_token: float | None
    """Their mean."""

    imbalance_correlation: float | None
    """Mean correlation of two layers' max/mean over batches."""

    layers: list[LayerLoads]
    """Each layer."""

    made_by: MadeBy
    """How it was made."""

    schema: str

    title: str
    """Whose loads, and over how many batches."""

    tokens_by_ffn_slots: list[float]
    """Share of tokens with 0, 1, … FFN slots."""

    top_k: int
    """Slots of a token."""


@dataclass(frozen=True, repr=False)
class MemoryResult(Result):
    """The result of `moesim memory`."""

    does_not_fit: list[str]
    """Workloads that do not fit: the arithmetic."""

    gpu: str
    """Their name."""

    gpus: int
    """GPUs of the cluster."""

    idle: list[str]
    """Those that no workload uses, in words."""

    made_by: MadeBy
    """How it was made."""

    not_stated: str | None
    """Says that memory could not be checked, where the topology does not state it."""

    scenario: str
    """The scenario's name."""

    schema: str

    topology: str
    """The topology's name or file."""

    workloads: list[WorkloadMemory]
    """Each workload's ledger."""


@dataclass(frozen=True, repr=False)
class PlanResult(Result):
    """The τ that meets a target, or what comes closest."""

    asked_probability: float
    """With what probability the target is to be met."""

    blame: dict[str, float]
    """What the time of the recommended (or closest) goes to: shares by reason."""

    candidates: list[PlanCandidate]
    """All that were looked at: by cluster, vanilla first, then τ rising."""

    closest: PlanCandidate
    """What comes closest."""

    elasticities: dict[str, float]
    """Percent of throughput for one percent of each knob."""

    front: list[PlanCandidate]
    """Candidates that none beats in both quality and throughput."""

    gate_draws_per_layer: int | None
    """How often gates were drawn for each layer, where not for every micro-batch and group."""

    left_out: list[LeftOut]
    """Clusters that cost more than was allowed."""

    made_by: MadeBy
    """How it was made."""

    met: bool
    """Whether anything does so."""

    quality_doubts: list[str]
    """What speaks against it."""

    quality_law: str
    """A line, or a curve through a user's points."""

    quality_scatter: float | None
    """How far single points scatter about it, if that is known."""

    quality_scatter_from: str
    """What tells that."""

    quality_slope: float | None
    """The slope of a line."""

    quality_source: str
    """Where the points come from."""

    recommended: PlanCandidate | None
    """The best that does, if any."""

    schema: str

    set: list[str]
    """Overrides."""

    settings: list[Setting]
    """What was taken for each cluster."""

    stands_on: list[Basis]
    """What its time stands on."""

    target_is_time: bool
    """Whether the target was a time, which more GPUs do not shorten."""


@dataclass(frozen=True, repr=False)
class RunResult(Result):
    """A scenario's result."""

    all_to_all: str
    """How tokens travel."""

    asked: Asked
    """What the user asked for."""

    breakdown_tau: float | None
    """The τ whose time is broken down beside vanilla's."""

    calibration_uncertainty: bool
    """Whether each draws the error that calibration left."""

    cautions: list[str]
    """What to be careful of: another GPU's profile, memory that is not stated."""

    counted: Literal["experts", "moe-layer", "model-forward", "layer-training", "training-step"]
    """What is counted."""

    does_not_fit: list[str]
    """Workloads that do not fit into memory and run as was asked: the arithmetic."""

    first_seed: int
    """The first seed."""

    gpu: str
    """Their name."""

    gpu_sms: int
    """SMs of each."""

    gpus: int
    """GPUs of the cluster."""

    idle: list[str]
    """Those that no workload uses, in words."""

    made_by: MadeBy
    """How it was made."""

    overheads: str
    """What a loop over experts costs beyond its kernels."""

    overheads_in_words: str
    """The same, why where none were named, and whether any workload has use for them."""

    profile: str
    """The profile that kernels and links were taken from."""

    profile_borrowed: bool
    """Whether that is another GPU than the cluster's."""

    profile_device: str
    """The device that it was measured on."""

    results: list[StudyRow]
    """One for each workload: of each case vanilla, then each τ."""

    scenario: str
    """The scenario's name."""

    schema: str

    seeds: int
    """How many there are."""

    topology: str
    """The topology's name or file."""


@dataclass(frozen=True, repr=False)
class SpreadsResult(Result):
    """How popularity and domains spread, from counts of each expert."""

    domain_sd: float | None
    """The same of how domains differ; none of a single domain."""

    domains: list[str]
    """The domains of the counts."""

    layers: list[LayerSpreads]
    """Each layer."""

    made_by: MadeBy
    """How it was made."""

    not_known: list[str]
    """What counts cannot tell, in words."""

    popularity_sd: float
    """Standard deviation of the logarithm of popularity, mean over layers."""

    schema: str


@dataclass(frozen=True, repr=False)
class SystemsResult(Result):
    """Published whole layers, exchanges, steps and serving figures, predicted and judged."""

    made_by: MadeBy
    """How it was made."""

    rows: list[SystemRow]
    """Each row."""

    schema: str


@dataclass(frozen=True, repr=False)
class ValidationResult(Result):
    """How far off predictions of a folder's measurements are."""

    files: list[FileErrors]
    """Each table of measurements."""

    made_by: MadeBy
    """How it was made."""

    papers: list[PaperErrors]
    """Each table in the columns of the paper's."""

    schema: str
