"""Do engines that exist give the bytes of one process? Those that are not here are skipped, and say so."""

import os
import shutil
import subprocess

import moesim
import pytest
from conftest import files
from moesim import engines


@pytest.fixture
def expected(plan, tmp_path):
    moesim.sweep(plan, tmp_path / "expected", progress=False)
    return files(tmp_path / "expected")


def test_each_task_of_an_array_script_runs_its_shard(plan, expected, tmp_path):
    out = tmp_path / "own"
    script = engines.slurm_script(plan, out, 3, directives={"partition": "cpu"})
    assert "#SBATCH --array=1-3\n" in script and "#SBATCH --partition=cpu\n" in script
    (tmp_path / "job").write_text(script)
    for nth in ("1", "2", "3", "3"):
        environment = {**os.environ, "SLURM_ARRAY_TASK_ID": nth}
        subprocess.run(["bash", str(tmp_path / "job")], env=environment, check=True, cwd="/")
    moesim.merge(plan, [out / f"shard-{nth}" for nth in (1, 2, 3)], tmp_path / "merged")
    assert files(tmp_path / "merged") == expected


@pytest.fixture
def slurm(monkeypatch):
    """The Slurm that is here, or one of this machine alone."""
    if shutil.which("sinfo") and subprocess.run(["sinfo"], capture_output=True).returncode == 0:
        yield
        return
    import slurm_machine

    why = slurm_machine.missing()
    if why:
        pytest.skip(f"there is no Slurm here, and {why} to start one: array jobs were not submitted")
    with slurm_machine.machine() as environment:
        for name in ("PATH", "SLURM_CONF"):
            monkeypatch.setenv(name, environment[name])
        yield


def test_slurm(slurm, plan, expected, tmp_path):
    def merged():
        folder = engines.slurm(plan, tmp_path / "own", 4).folder
        return {name: (folder / name).read_bytes() for name in expected}

    assert merged() == expected
    # Asked again after one shard was lost half-way, the others find themselves done.
    for name in expected:
        (tmp_path / "own" / name).unlink()
    journal = tmp_path / "own" / "shard-2" / "rows.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[: len(lines) // 2]))
    whole = tmp_path / "own" / "shard-4" / "rows.jsonl"
    done = whole.read_bytes()
    assert merged() == expected and whole.read_bytes() == done


def test_dask(plan, expected, tmp_path):
    pytest.importorskip("distributed", reason="Dask is not installed: its adapter was not tried")
    import distributed

    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        with distributed.Client(cluster) as client:
            moesim.sweep(plan, tmp_path / "own", executor=engines.dask(client), progress=False)
    assert files(tmp_path / "own") == expected


def test_ray(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: its adapter was not tried")
    if "MOESIM_RAY" not in os.environ:
        pytest.skip("MOESIM_RAY is not set: the sweep on two Ray nodes was not made")
    import ray_nodes

    ray_nodes.main(tmp_path)
