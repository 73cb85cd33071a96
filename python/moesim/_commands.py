"""The questions: each asks what the command of its name asks, and gives the same result, digit for digit."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Union, overload

from . import _moesim, results
from ._errors import mistake
from ._inputs import File, Given, file, literal, overrides, with_precision
from ._progress import bar

Set = Union[Mapping[str, Any], Iterable[str], None]
Counted = Literal["experts", "moe-layer", "model-forward", "layer-training", "training-step"]
Clusters = Union[Given, Sequence[Given]]
Path = Union[str, "os.PathLike[str]"]


class _Question:
    """A command's options, as the library reads them and as the command line would be given them."""

    def __init__(self, command: str, *words: str) -> None:
        self.command = command
        self.words = words or (command,)
        self.options: list[tuple[str, list[str]]] = []
        self.positional: list[str] = []
        self.flags: list[str] = []
        self.files: dict[str, str] = {}

    def place(self, name: str, values: Iterable[str]) -> _Question:
        """Values without a flag."""
        self.options.append((name, list(values)))
        self.positional += self.options[-1][1]
        return self

    def given(self, kind: str, value: Given | None) -> str | None:
        """The name of a file, whose text is handed over where it lies in no file."""
        if value is None:
            return None
        read = file(kind, value)
        self.files.update(read.handed_over())
        return read.name

    def option(self, name: str, value: Any, flag: str = "", joined: bool = False) -> _Question:
        """An option that may be given: a value, several, or whether it is so."""
        flag = flag or "--" + name.replace("_", "-")
        if value is None or value is False:
            return self
        many = value if isinstance(value, (list, tuple, range)) else [value]
        texts = ["true" if one is True else literal(one) for one in many]
        self.options.append((name, texts))
        if value is True:
            self.flags.append(flag)
        elif joined:
            self.flags += [flag, ",".join(texts)] if texts else []
        else:
            self.flags += [part for text in texts for part in (flag, text)]
        return self

    def set(self, set: Set, keywords: Mapping[str, Any], places: Mapping[str, str | None] | None = None) -> _Question:
        """Overrides."""
        named = [f"{key}={name}" for key, name in (places or {}).items() if name is not None]
        return self.option("set", named + overrides(set, keywords))

    def ask(self, progress: bool) -> str:
        """The answer's JSON."""
        arguments = [*self.words, *self.positional, *self.flags, "--json"]
        with bar("runs", progress) as told:
            return _moesim.ask(self.command, self.options, arguments, self.files, told)


def run(
    scenario: Given = "paper",
    *,
    topology: Given | None = None,
    profile: Path | None = None,
    strict: bool = False,
    allow_oom: bool = False,
    precision: str | None = None,
    threads: int | None = None,
    set: Set = None,
    progress: bool = True,
    **overrides: Any,
) -> results.RunResult:
    """Runs a scenario: times of every workload under every seed, in ms, and MoE++'s gain in percent.

    Args:
        scenario: built in (``"paper"``), a file, a TOML text, a dict, or a run's asked scenario.
        topology: the cluster in place of the scenario's.
        profile: run on this measured device: a profile file.
        strict: refuse kernels whose constants are borrowed from another kernel, format or GPU.
        allow_oom: run what does not fit into the GPUs' memory, and say so.
        precision: how exactly the mean time over seeds is wanted, ``"0.5%"``: no more is simulated than that takes;
            all, or what the scenario says, if None.
        threads: results are the same for any number; all cores if None.
        set: overrides, ``{"workload.batch.tokens_per_gpu": 4096}``.
        progress: show a bar, where tqdm or rich is installed.
        overrides: overrides as keywords, with two underscores for a dot: ``seeds="0..2"``.
    """
    own = _Question("run")
    own.place("scenario", [_scenario(own, scenario)])
    own.set(set, with_precision(overrides, precision), {"topology": own.given("topology", topology)})
    own.option("profile", profile).option("strict", strict).option("allow_oom", allow_oom).option("threads", threads)
    return results.RunResult.from_json(own.ask(progress))


def _scenario(own: _Question, scenario: Given) -> str:
    name = own.given("scenario", scenario)
    if name is None:
        raise mistake("no scenario is given", 'name one, such as "paper"', "scenario")
    return name


def memory(scenario: Given = "paper", *, set: Set = None, **overrides: Any) -> results.MemoryResult:
    """What lies in the memory of a scenario's fullest GPU, in bytes, whether it fits or not.

    Args:
        scenario: as of ``run``.
        set: overrides; ``overrides``: the same as keywords.
    """
    own = _Question("memory")
    own.place("scenario", [_scenario(own, scenario)]).set(set, overrides)
    return results.MemoryResult.from_json(own.ask(False))


def explain(
    scenario: Given = "paper",
    *,
    workload: str | None = None,
    tau: float | None = None,
    allow_oom: bool = False,
    set: Set = None,
    progress: bool = True,
    **overrides: Any,
) -> results.ExplanationResult:
    """Why a scenario comes out as it does: where the time goes in ms, and what more bandwidth would give in percent.

    Args:
        scenario: as of ``run``, or the path of a run's JSON.
        workload: the MoE++ workload to explain; the first case's if None.
        tau: its τ; the scenario's breakdown, or its last, if None.
        allow_oom: run what does not fit into the GPUs' memory, and say so.
        set: overrides; ``overrides``: the same as keywords.
        progress: show a bar.
    """
    own = _Question("explain")
    own.place("scenario", [_scenario(own, scenario)]).option("workload", workload).option("tau", tau)
    own.set(set, overrides).option("allow_oom", allow_oom)
    return results.ExplanationResult.from_json(own.ask(progress))


def goodput(
    scenario: Given = "paper",
    *,
    checkpoint_s: float,
    restart_s: float,
    gpu_mtbf_hours: float | None = None,
    interval_s: float | None = None,
    days: int | None = None,
    workload: str | None = None,
    tau: float | None = None,
    allow_oom: bool = False,
    set: Set = None,
    progress: bool = True,
    **overrides: Any,
) -> results.GoodputResult:
    """What failures, checkpoints and restarts leave of a training run's throughput.

    Args:
        scenario: as of ``run``, of a training step.
        checkpoint_s: what a checkpoint takes of training, in s.
        restart_s: from a failure until training goes on, in s.
        gpu_mtbf_hours: hours between failures of one GPU; those published of 16,384 H100 if None.
        interval_s: work between two checkpoints, in s; the best if None.
        days: days of failures to draw.
        workload, tau, allow_oom, set, progress, overrides: as of ``explain``.
    """
    own = _Question("goodput")
    own.place("scenario", [_scenario(own, scenario)]).option("workload", workload).option("tau", tau)
    own.option("gpu_mtbf_hours", gpu_mtbf_hours).option("checkpoint_s", checkpoint_s).option("restart_s", restart_s)
    own.option("interval_s", interval_s).option("days", days).set(set, overrides).option("allow_oom", allow_oom)
    return results.GoodputResult.from_json(own.ask(progress))


def advise(
    what: Given = "paper",
    *,
    topology: Given | None = None,
    counted: Counted = "model-forward",
    seeds: str = "0..8",
    workload: str | None = None,
    tau: float | None = None,
    worth: float | None = None,
    strict: bool = False,
    allow_oom: bool = False,
    precision: str | None = None,
    set: Set = None,
    progress: bool = True,
    **overrides: Any,
) -> results.AdviceResult:
    """Whether MoE++ pays, why, and where that turns.

    Args:
        what: a scenario; with ``topology`` a vanilla workload.
        topology: the cluster to run the workload on.
        counted: what is counted, with ``topology``.
        seeds: half open, with ``topology``.
        workload: the workload of the scenario to advise on; the first case's if None.
        tau: its τ.
        worth: the gain in percent from which MoE++ pays.
        strict: refuse kernels whose constants are borrowed.
        allow_oom: run what does not fit into the GPUs' memory, and say so.
        precision: how exactly the mean time over seeds is wanted, ``"0.5%"``: no more is simulated than that takes;
            all, or what the scenario says, if None.
        set: overrides; ``overrides``: the same as keywords.
        progress: show a bar.
    """
    own = _Question("advise")
    cluster = own.given("topology", topology)
    name = own.given("scenario" if cluster is None else "workload", what)
    own.place("what", [name or ""])
    own.options += [("counted", [counted]), ("seeds", [seeds])]
    if cluster is not None:
        own.options.append(("topology", [cluster]))
        own.flags += ["--topology", cluster, "--counted", counted, "--seeds", seeds]
    own.option("workload", workload).option("tau", tau).option("worth", worth)
    own.set(set, with_precision(overrides, precision))
    own.option("strict", strict).option("allow_oom", allow_oom)
    return results.AdviceResult.from_json(own.ask(progress))


def _comparison(
    command: str,
    clusters: Clusters,
    vanilla: Given | None,
    moepp: Given | None,
    counted: str,
    seeds: str,
    no_calibration_error: bool,
    overheads: str | None,
    strict: bool,
    allow_oom: bool,
    set: Set,
    overrides: Mapping[str, Any],
) -> _Question:
    """What compare, plan and layouts share."""
    own = _Question(command)
    one = isinstance(clusters, (str, Mapping, File, os.PathLike))
    all: Sequence[Given] = [clusters] if one else list(clusters)  # type: ignore[list-item, arg-type]
    own.place("clusters", [own.given("topology", cluster) or "" for cluster in all])
    own.option("vanilla", own.given("workload", vanilla)).option("moepp", own.given("workload", moepp))
    own.option("counted", counted).option("seeds", seeds).option("no_calibration_error", no_calibration_error)
    own.option("overheads", overheads).option("strict", strict).option("allow_oom", allow_oom)
    return own.set(set, overrides)


def compare(
    clusters: Clusters,
    *,
    vanilla: Given | None = None,
    moepp: Given | None = None,
    equal: Literal["gpus", "cost", "power"] = "gpus",
    counted: Counted = "moe-layer",
    seeds: str = "0..8",
    no_calibration_error: bool = False,
    overheads: str | None = None,
    prices: Path | None = None,
    strict: bool = False,
    allow_oom: bool = False,
    precision: str | None = None,
    set: Set = None,
    progress: bool = True,
    **overrides: Any,
) -> results.ComparisonResult:
    """Compares clusters: throughput in tokens/s, MoE++'s gain in percent, what binds, what would help.

    Args:
        clusters: one or several: built in, files, TOML texts, dicts; ``"NAME=PROFILE"`` names a profile.
        vanilla: the vanilla workload; with neither, ``"moe-1b"`` and ``"moepp-1b"``.
        moepp: the MoE++ workload to compare with it, or alone.
        equal: compare at equal GPUs, cost in US dollars or power in watts.
        counted: what is counted.
        seeds: half open.
        no_calibration_error: take times of kernels and links as predicted, as one seed alone does.
        overheads: what a loop over experts costs beyond its kernels.
        prices: a price book; the built-in one if None.
        strict: refuse kernels whose constants are borrowed.
        allow_oom: run what does not fit into the GPUs' memory, and say so.
        precision: how exactly the mean time over seeds is wanted, ``"0.5%"``: no more is simulated than that takes;
            all, or what the scenario says, if None.
        set: overrides; ``overrides``: the same as keywords.
        progress: show a bar.
    """
    own = _comparison("compare", clusters, vanilla, moepp, counted, seeds, no_calibration_error, overheads, strict,
                      allow_oom, set, with_precision(overrides, precision))
    own.option("equal", equal).option("prices", prices)
    return results.ComparisonResult.from_json(own.ask(progress))


def plan(
    clusters: Clusters,
    *,
    tokens_per_s: float | None = None,
    step_ms: float | None = None,
    layer_ms: float | None = None,
    probability: float | None = None,
    max_usd: float | None = None,
    tau: Sequence[float] = (),
    quality: Path | None = None,
    vanilla: Given | None = None,
    moepp: Given | None = None,
    counted: Counted = "moe-layer",
    seeds: str = "0..8",
    no_calibration_error: bool = False,
    overheads: str | None = None,
    prices: Path | None = None,
    strict: bool = False,
    allow_oom: bool = False,
    precision: str | None = None,
    set: Set = None,
    progress: bool = True,
    **overrides: Any,
) -> results.PlanResult:
    """Finds the τ that meets a target at the least loss of quality.

    Args:
        clusters: as of ``compare``.
        tokens_per_s: at least this many tokens per second, all GPUs together; one target is given.
        step_ms: at most this many milliseconds for a step.
        layer_ms: at most this many milliseconds for a layer of a micro-batch.
        probability: with this probability, 0.9 if None.
        max_usd: leave out clusters that cost more.
        tau: τ to look at first.
        quality: a CSV of quality over τ; the paper's if None.
        vanilla, moepp, counted, seeds, no_calibration_error, overheads, prices, strict, allow_oom, precision, set,
            progress, overrides: as of ``compare``.
    """
    own = _comparison("plan", clusters, vanilla, moepp, counted, seeds, no_calibration_error, overheads, strict,
                      allow_oom, set, with_precision(overrides, precision))
    own.option("tokens_per_s", tokens_per_s).option("step_ms", step_ms).option("layer_ms", layer_ms)
    own.option("probability", probability).option("max_usd", max_usd).option("tau", list(tau), joined=True)
    own.option("quality", quality).option("prices", prices)
    return results.PlanResult.from_json(own.ask(progress))


def layouts(
    clusters: Clusters,
    *,
    objective: Literal["throughput", "latency", "cost"] | str = "throughput",
    ep: Sequence[int] = (),
    etp: Sequence[int] = (),
    tp: Sequence[int] = (),
    pp: Sequence[int] = (),
    tokens: Sequence[int] = (),
    library: Sequence[str] = (),
    overlap: Sequence[str] = (),
    tau: Sequence[float] = (),
    exhaustive: bool = False,
    vanilla: Given | None = None,
    moepp: Given | None = None,
    counted: Counted = "moe-layer",
    seeds: str = "0..8",
    no_calibration_error: bool = False,
    overheads: str | None = None,
    prices: Path | None = None,
    strict: bool = False,
    allow_oom: bool = False,
    precision: str | None = None,
    set: Set = None,
    progress: bool = True,
    **overrides: Any,
) -> results.LayoutsResult:
    """Finds the best layouts of a workload on clusters: sizes in GPUs, stages and tokens, the library, τ.

    Args:
        clusters: as of ``compare``.
        objective: what is wanted most.
        ep, etp, tp, pp, tokens, library, overlap, tau: what to try; where empty, what fits, and the workload's overlap.
        exhaustive: run every layout, those too that their bounds would drop.
        vanilla, moepp, counted, seeds, no_calibration_error, overheads, prices, strict, allow_oom, precision, set,
            progress, overrides: as of ``compare``.
    """
    own = _comparison("layouts", clusters, vanilla, moepp, counted, seeds, no_calibration_error, overheads, strict,
                      allow_oom, set, with_precision(overrides, precision))
    own.option("objective", objective, "--for")
    for name, values in [("ep", ep), ("etp", etp), ("tp", tp), ("pp", pp), ("tokens", tokens), ("library", library),
                         ("overlap", overlap), ("tau", tau)]:
        own.option(name, list(values), joined=True)
    own.option("exhaustive", exhaustive).option("prices", prices)
    return results.LayoutsResult.from_json(own.ask(progress))


def flows(
    file: Path | None = None,
    *,
    topology: Given | None = None,
    pattern: str | None = None,
    matrix: Path | None = None,
    gpus: int | None = None,
    group: int | None = None,
    bytes: str | None = None,
    sigma: float | None = None,
    seed: int | None = None,
    engine: Literal["auto", "exact", "quantised", "closed-form"] = "auto",
    epsilon: float | None = None,
    makespan_only: bool = False,
    health: Sequence[str] = (),
    threads: int | None = None,
    message_overhead: str | None = None,
    half_rate_bytes: str | None = None,
    pair_ceiling: str | None = None,
    sms: int | None = None,
    per_sm: str | None = None,
    set: Set = None,
) -> results.FlowsResult:
    """Carries flows over a cluster, the network alone: who gets their bytes when, in s.

    Args:
        file: a CSV of flows with the columns source,destination,bytes,start_s.
        topology: the cluster.
        pattern: in place of a file, an all-to-all of this law, such as ``"uniform"`` or ``"zipf16"``.
        matrix: in place of a file, a CSV matrix of counts, each worth ``bytes``.
        gpus, group: GPUs that take part in the pattern, and of one group; ``gpus`` sets the size of the default cluster.
        bytes: mean bytes of a pair, or bytes of one count of the matrix, such as ``"1 MiB"``.
        sigma, seed: of the log-normal pattern.
        engine: how rates are shared.
        epsilon: relative error that finish times may have.
        makespan_only: leave out when each flow ends.
        health: links in poor health, ``LINK=SHARE`` or ``LINK=SHARE@FROM..UNTIL``; where several hold at one time, the
            least share does.
        threads: all cores if None.
        message_overhead, half_rate_bytes, pair_ceiling, sms, per_sm: what a library adds, with units.
        set: overrides of the topology, ``{"nodes.count": 8}``.
    """
    own = _Question("flows")
    if file is not None:
        own.place("file", [os.fspath(file)])
    own.option("topology", own.given("topology", topology)).option("pattern", pattern).option("matrix", matrix)
    own.option("gpus", gpus).option("group", group).option("bytes", bytes).option("sigma", sigma)
    own.option("seed", seed).option("engine", engine).option("epsilon", epsilon)
    own.option("makespan_only", makespan_only).option("health", list(health)).option("threads", threads)
    own.option("message_overhead", message_overhead).option("half_rate_bytes", half_rate_bytes)
    own.option("pair_ceiling", pair_ceiling).option("sms", sms).option("per_sm", per_sm).set(set, {})
    return results.FlowsResult.from_json(own.ask(False))


def cluster(topology: Given, *, prices: Path | None = None, set: Set = None, **overrides: Any) -> results.ClusterResult:
    """Describes a cluster: GPUs, links, bounds in GB/s, cost in US dollars and power in watts.

    Args:
        topology: built in, a file, a TOML text or a dict.
        prices: a price book; the built-in one if None.
        set: overrides, ``{"nodes.count": 8}``; ``overrides``: the same as keywords.
    """
    own = _Question("topology")
    own.place("topology", [own.given("topology", topology) or ""])
    own.option("prices", prices).set(set, overrides)
    return results.ClusterResult.from_json(own.ask(False))


@overload
def validate(
    folder: Path,
    *,
    systems: Literal[False] = False,
    leave_out: Literal["shape", "size", "device"] | str | None = None,
    progress: bool = True,
) -> results.ValidationResult: ...
@overload
def validate(
    folder: None = None, *, systems: Path | Literal[True], leave_out: None = None, progress: bool = True
) -> results.SystemsResult: ...
def validate(
    folder: Path | None = None,
    *,
    systems: Path | bool = False,
    leave_out: Literal["shape", "size", "device"] | str | None = None,
    progress: bool = True,
) -> results.ValidationResult | results.SystemsResult:
    """Predicts measurements and says how far off, in relative errors.

    Args:
        folder: tables of measurements: under ``files`` an object for each, ``papers`` those of the paper's columns.
        systems: in its place published systems, True for the built-in table: under ``rows`` an object for each.
        leave_out: predict as if this had never been measured.
        progress: show a bar.
    """
    if systems is not False:
        own = _Question("validate-systems", "validate", "systems")
        if systems is not True:
            own.place("file", [os.fspath(systems)])
        return results.SystemsResult.from_json(own.ask(progress))
    own = _Question("validate").place("folder", [os.fspath(folder or "")])
    if leave_out is not None:
        own.options.append(("leave_out", [leave_out]))
        own.flags.append(f"--leave-out={leave_out}")
    return results.ValidationResult.from_json(own.ask(progress))
