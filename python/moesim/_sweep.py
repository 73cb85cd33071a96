"""Sweeps: a plan's tasks, on the threads of this process or on any executor."""

from __future__ import annotations

import collections
import concurrent.futures as cf
import functools
import os
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from . import _moesim
from ._errors import MoesimError, mistake
from ._inputs import Given, file, overrides, with_precision
from ._progress import Told, bar

if TYPE_CHECKING:
    from ._moesim import Table

Set = Union[Mapping[str, Any], Iterable[str], None]
Path = Union[str, "os.PathLike[str]"]
Executor = Union[cf.Executor, Callable[[], cf.Executor]]

SECONDS = 1.0
"""How long a piece of work for an executor should take, in s."""
AHEAD = 2
"""Pieces that wait for each worker."""


class Plan(NamedTuple):
    """What a worker needs to run tasks of a plan: names and texts, not objects."""

    name: str
    files: tuple[tuple[str, str], ...]
    set: tuple[str, ...]
    strict: bool
    folder: str
    """The driver's folder, to which paths are relative."""
    fingerprint: int | None = None

    def cut(self) -> _moesim.Sweep:
        """Its tasks."""
        return _moesim.Sweep(self.name, dict(self.files), list(self.set), self.strict)


class Done(NamedTuple):
    """What a piece of work gave: its rows as lines, and what it took, in s."""

    lines: bytes
    seconds: float


class Swept:
    """A sweep's results: a table, and the folder that has it as Parquet and CSV."""

    folder: pathlib.Path
    """The folder with ``results.parquet``, ``results.csv``, ``columns.md`` and the journal."""
    table: Table
    """Its rows, as Arrow by the C stream interface."""
    pictures: list[pathlib.Path]
    """The pictures that the plan asks for."""

    def __init__(self, folder: pathlib.Path, table: Table, pictures: list[pathlib.Path], kept: object = None) -> None:
        self.folder, self.table, self.pictures = folder, table, pictures
        self._kept = kept

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        return f"{len(self)} rows of {len(self.table.columns)} columns in {self.folder}"

    def _repr_html_(self) -> str:
        pictures = "".join(path.read_text() for path in self.pictures if path.suffix == ".svg")
        return f"{pictures}<p>{self!r}</p>"


def _plan(plan: Given, set: Set, allow_oom: bool, strict: bool, keywords: Mapping[str, Any]) -> Plan:
    read = file("plan", plan)
    lines = overrides(set, keywords) + (["allow_oom=true"] if allow_oom else [])
    handed = tuple(sorted(read.handed_over().items()))
    return Plan(read.name, handed, tuple(lines), strict, os.getcwd())


def sweep(
    plan: Given,
    out: Path | None = None,
    *,
    executor: Executor | None = None,
    workers: int | None = None,
    resume: bool = False,
    rerun_damaged: bool = False,
    shard: str = "1/1",
    threads: int | None = None,
    plot: bool = False,
    strict: bool = False,
    allow_oom: bool = False,
    precision: str | None = None,
    set: Set = None,
    progress: bool = True,
    **overrides: Any,
) -> Swept:
    """Runs a scenario at every combination of what varies: a row a run, times in ms.

    The folder's bytes depend neither on the executor nor on the number of workers: they are those that ``moesim sweep``
    writes. Rows are kept as they come, so that a sweep that was killed goes on with ``resume=True``.

    Args:
        plan: a file, a TOML text or a dict with a scenario and what varies.
        out: the folder for results; a temporary one if None, which goes with the result.
        executor: where to run: any ``concurrent.futures.Executor``, one of ``moesim.engines``, or a function that
            makes one, which is called again where workers died with it. Threads of this process if None.
        workers: how many pieces of work the executor does at a time, where it does not say.
        resume: go on where an interrupted sweep of this folder stopped.
        rerun_damaged: of a damaged journal keep the whole lines, and run the tasks of the others again.
        shard: run every n-th task only, from the i-th, ``"I/N"``: ``merge`` puts shards together.
        threads: without an executor; all cores if None.
        plot: draw the gain over what varies, whatever the plan asks for.
        strict: refuse kernels whose constants are borrowed.
        allow_oom: run what does not fit into the GPUs' memory, and say so.
        precision: how exactly the mean time over seeds is wanted, ``"0.5%"``: no more is simulated than that takes;
            all, or what the plan says, if None.
        set: overrides at every point; ``overrides``: the same as keywords.
        progress: show a bar, where tqdm or rich is installed.
    """
    asked = _plan(plan, set, allow_oom, strict, with_precision(overrides, precision))
    cut = asked.cut()
    kept = tempfile.TemporaryDirectory(prefix="moesim-") if out is None else None
    folder = pathlib.Path(kept.name) / "results" if kept is not None else pathlib.Path(os.fspath(out or ""))
    journal = _moesim.Kept(cut, folder, resume, rerun_damaged)
    try:
        left = journal.left(shard)
        with bar("runs", progress) as told:
            if executor is None:
                journal.run(left, threads, told)
            else:
                spread(asked._replace(fingerprint=cut.fingerprint), left, journal, executor, workers, told)
        if shard.endswith("/1"):
            table, pictures = journal.finish(plot)
        else:
            table, pictures = _moesim.table_of_rows("[]"), []
    finally:
        journal.close()
    return Swept(folder, table, pictures, kept)


def merge(
    plan: Given,
    shards: Iterable[Path],
    out: Path,
    *,
    set: Set = None,
    allow_oom: bool = False,
    **overrides: Any,
) -> Swept:
    """Puts the shards of a sweep together.

    Args:
        plan: the plan that the shards ran.
        shards: their folders.
        out: the folder for the merged results.
        set, allow_oom, overrides: as given to the shards.
    """
    asked = _plan(plan, set, allow_oom, False, overrides)
    folder = pathlib.Path(os.fspath(out))
    folders = [pathlib.Path(os.fspath(shard)) for shard in shards]
    table, pictures = _moesim.merge(asked.name, asked.cut(), folders, folder)
    return Swept(folder, table, pictures)


@functools.lru_cache(maxsize=4)
def _cut(plan: Plan) -> _moesim.Sweep:
    """A plan's tasks, once for all pieces of work that a process does of it."""
    if os.path.isdir(plan.folder) and os.getcwd() != plan.folder:
        os.chdir(plan.folder)
    return plan.cut()


def work(plan: Plan, tasks: list[int]) -> Done:
    """A piece of work, on a worker: one thread, so that as many workers as cores use them all."""
    cut = _cut(plan)
    if cut.fingerprint != plan.fingerprint:
        raise mistake(
            "a worker has another moesim, or reads other files, than who sent it work",
            "install the same version everywhere, and let workers see the files that the plan names",
        )
    began = time.monotonic()
    lines = cut.run(tasks, 1)
    return Done(lines, time.monotonic() - began)


class _Pieces:
    """Tasks cut into pieces of about a second, by what those before took."""

    def __init__(self, tasks: list[int], workers: int) -> None:
        self.left = collections.deque(tasks)
        self.workers, self.done, self.seconds = workers, 0, 0.0

    def took(self, tasks: int, seconds: float) -> None:
        self.done += tasks
        self.seconds += seconds

    def size(self) -> int:
        """How many tasks the next piece has: few while nothing is known, and towards the end a share for each worker."""
        if not self.done:
            return 1
        second = SECONDS * self.done / max(self.seconds, 1e-6)
        return max(1, min(int(second), len(self.left) // (AHEAD * self.workers) + 1, 100_000))

    def next(self) -> list[int]:
        """The next piece."""
        return [self.left.popleft() for _ in range(min(self.size(), len(self.left)))]

    def again(self, tasks: Iterable[int]) -> None:
        """Puts tasks back that a worker died with."""
        self.left.extendleft(sorted(tasks, reverse=True))


def spread(
    plan: Plan, tasks: list[int], journal: _moesim.Kept, executor: Executor, workers: int | None, told: Told
) -> None:
    """Runs tasks on an executor; what comes back is kept at once."""
    makes = callable(executor) and not isinstance(executor, cf.Executor)
    engine: cf.Executor = executor() if makes else executor  # type: ignore[assignment, operator]
    count = workers or getattr(engine, "workers", None) or getattr(engine, "_max_workers", None) or os.cpu_count() or 1
    pieces, running, first, deaths = _Pieces(tasks, count), dict[cf.Future[Done], list[int]](), len(tasks), 0

    def keep(future: cf.Future[Done]) -> None:
        done = future.result()
        journal.keep(done.lines)
        pieces.took(len(running.pop(future)), done.seconds)
        if told is not None:
            told(pieces.done, first)

    try:
        while pieces.left or running:
            try:
                _fill(engine, plan, pieces, running, AHEAD * count)
                for future in cf.wait(running, return_when=cf.FIRST_COMPLETED).done:
                    keep(future)
            except cf.BrokenExecutor:
                # A pool that a worker died of takes no more work: its running tasks are lost, no others.
                deaths += 1
                if not makes or deaths > MOST_DEATHS:
                    raise
                for future in [own for own in running if own.done() and own.exception() is None]:
                    keep(future)
                pieces.again(task for piece in running.values() for task in piece)
                running.clear()
                engine.shutdown(wait=False, cancel_futures=True)
                engine = executor()  # type: ignore[operator]
    except BaseException:
        for future in running:
            future.cancel()
        raise
    finally:
        if makes:
            engine.shutdown(wait=False, cancel_futures=True)


def _fill(
    engine: cf.Executor, plan: Plan, pieces: _Pieces, running: dict[cf.Future[Done], list[int]], most: int
) -> None:
    """Hands out pieces until as many wait as may."""
    while pieces.left and len(running) < most:
        piece = pieces.next()
        try:
            running[engine.submit(work, plan, piece)] = piece
        except cf.BrokenExecutor:
            pieces.again(piece)
            raise


MOST_DEATHS = 20
"""Pools that are made again, at most: work that kills each worker is never done."""

__all__ = ["MoesimError", "Swept", "merge", "sweep"]
