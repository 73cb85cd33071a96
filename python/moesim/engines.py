"""Engines for ``moesim.sweep``: Ray, Dask and Slurm.

Each gives an executor, so ``moesim.sweep(plan, out, executor=engines.ray())`` runs on a Ray cluster. Workers need this
package and see the files that the plan names. Nothing here is imported before it is asked for.
"""

from __future__ import annotations

import argparse
import concurrent.futures as cf
import os
import pathlib
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import _sweep
from ._errors import mistake
from ._inputs import Given, overrides
from ._sweep import Path, Set, Swept


class RayExecutor(cf.Executor):
    """Work as Ray tasks: Ray gives those of a worker or a node that died to another."""

    def __init__(self, address: str | None = None, *, retries: int = -1, cpus: float = 1, **init: Any) -> None:
        import ray  # type: ignore[import-not-found, unused-ignore]

        self._ray = ray
        self._options = {"num_cpus": cpus, "max_retries": retries}
        if not ray.is_initialized():
            ray.init(address=address, **init)
        self.workers = max(1, int(ray.cluster_resources().get("CPU", 1) / cpus))
        self._tasks: dict[Callable[..., Any], Any] = {}
        self._refs: dict[cf.Future[Any], Any] = {}

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> cf.Future[Any]:
        """A task; what it gives comes as a future."""
        if fn not in self._tasks:
            self._tasks[fn] = self._ray.remote(**self._options)(fn)
        return self._tasks[fn].remote(*args, **kwargs).future()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leaves the cluster as it is: whoever started it stops it."""


def ray(address: str | None = None, **init: Any) -> RayExecutor:
    """Ray's cluster at an address (``"auto"`` for the one of this machine), or one in this process if None.

    Args:
        address: as of ``ray.init``, to which ``init`` goes.
        init: also ``retries``, of work whose worker died (-1: always), and ``cpus`` of a piece of work.
    """
    return RayExecutor(address, **init)


def dask(client: Any = None, **cluster: Any) -> cf.Executor:
    """Dask's workers: of a ``distributed.Client``, of a scheduler's address, or of a new local cluster.

    Args:
        client: the client or the address; ``cluster`` goes to ``distributed.Client`` if it is none.
    """
    import distributed  # type: ignore[import-not-found, unused-ignore]

    known: Any = client if isinstance(client, distributed.Client) else distributed.Client(client, **cluster)
    executor: Any = known.get_executor(pure=False, retries=10)
    executor.workers = max(1, sum(known.nthreads().values()))
    return executor


def slurm_script(
    plan: Path,
    out: Path,
    shards: int,
    *,
    set: Set = None,
    allow_oom: bool = False,
    directives: Mapping[str, str] | None = None,
    python: str = sys.executable,
    **keywords: Any,
) -> str:
    """A script for ``sbatch``: an array job whose n-th task runs the n-th shard of a plan into ``OUT/shard-N``.

    A task that is run again goes on where it stopped. ``moesim merge``, or ``moesim.merge``, puts shards together.

    Args:
        plan: the plan's file, which every node sees.
        out: the folder for results, likewise.
        shards: tasks of the array.
        set, allow_oom, keywords: as of ``moesim.sweep``.
        directives: more of ``#SBATCH``, such as ``{"partition": "cpu", "cpus-per-task": "8"}``.
        python: the interpreter on the nodes, which has this package.
    """
    lines = overrides(set, keywords) + (["allow_oom=true"] if allow_oom else [])
    folder = pathlib.Path(os.fspath(out)).absolute()
    said = "".join(f"#SBATCH --{key}={value}\n" for key, value in (directives or {}).items())
    command = [python, "-m", "moesim.engines", "shard", str(pathlib.Path(os.fspath(plan)).absolute())]
    command += [part for line in lines for part in ("--set", line)]
    return (
        f"#!/bin/bash\n#SBATCH --job-name=moesim\n#SBATCH --array=1-{shards}\n"
        f"#SBATCH --output={folder}/shard-%a.log\n{said}"
        f"exec {shlex.join(command)} --shard $SLURM_ARRAY_TASK_ID/{shards} "
        f"--out {shlex.quote(str(folder))}/shard-$SLURM_ARRAY_TASK_ID --threads ${{SLURM_CPUS_PER_TASK:-1}}\n"
    )


def slurm(
    plan: Path,
    out: Path,
    shards: int,
    *,
    set: Set = None,
    allow_oom: bool = False,
    directives: Mapping[str, str] | None = None,
    sbatch: Sequence[str] = ("sbatch",),
    python: str = sys.executable,
    **keywords: Any,
) -> Swept:
    """Runs a plan as an array job, waits for it, and puts the shards together. Asked again, it goes on.

    Args:
        plan, out, shards, set, allow_oom, directives, python, keywords: as of ``slurm_script``.
        sbatch: the command that submits, with options of its own.
    """
    folder = pathlib.Path(os.fspath(out))
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "moesim.sbatch"
    text = slurm_script(plan, out, shards, set=set, allow_oom=allow_oom, directives=directives, python=python,
                        **keywords)
    script.write_text(text)
    done = subprocess.run([*sbatch, "--wait", str(script)], capture_output=True, text=True)
    if done.returncode != 0:
        logs = sorted(path.name for path in folder.glob("shard-*.log") if path.stat().st_size)
        raise mistake(f"the array job failed: {done.stderr.strip()}", f"look at {', '.join(logs) or 'squeue'} in {out}")
    all = [folder / f"shard-{n}" for n in range(1, shards + 1)]
    return _sweep.merge(plan, all, folder, set=set, allow_oom=allow_oom, **keywords)


def main(arguments: Sequence[str] | None = None, given: Given | None = None) -> None:
    """``python -m moesim.engines shard PLAN --shard I/N --out FOLDER``: what a task of an array job runs."""
    parser = argparse.ArgumentParser(prog="python -m moesim.engines")
    commands = parser.add_subparsers(required=True)
    shard = commands.add_parser("shard", help="run one shard of a plan, from where it stopped")
    shard.add_argument("plan")
    shard.add_argument("--shard", required=True)
    shard.add_argument("--out", required=True)
    shard.add_argument("--set", action="append", default=[])
    shard.add_argument("--threads", type=int)
    asked = parser.parse_args(arguments)
    resume = (pathlib.Path(asked.out) / "rows.jsonl").exists()
    _sweep.sweep(given or asked.plan, asked.out, shard=asked.shard, resume=resume, set=asked.set,
                 threads=asked.threads, progress=False)


if __name__ == "__main__":
    main()
