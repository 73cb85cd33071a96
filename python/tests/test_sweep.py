"""Are a sweep's bytes the same on any executor, and does it survive the deaths of workers and of its driver?"""

import concurrent.futures as cf
import functools
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import time

import moesim
import pytest
from conftest import PLAN, files

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def expected(plan, binary, tmp_path):
    """The folder that the command line writes."""
    binary("sweep", str(plan), "--out", str(tmp_path / "expected"), "--quiet")
    return files(tmp_path / "expected")


def test_threads_write_what_the_command_line_writes(plan, expected, tmp_path):
    swept = moesim.sweep(plan, tmp_path / "own", progress=False)
    assert files(tmp_path / "own") == expected
    assert [path.name for path in swept.pictures] == ["gain.svg"]


@pytest.mark.parametrize("workers", [1, 3])
def test_processes_write_the_same(plan, expected, tmp_path, workers):
    with cf.ProcessPoolExecutor(workers, mp_context=SPAWN) as pool:
        moesim.sweep(plan, tmp_path / "own", executor=pool, progress=False)
    assert files(tmp_path / "own") == expected


def test_a_plan_as_a_dict_goes_to_workers_as_its_text(tmp_path):
    local = moesim.sweep(PLAN, tmp_path / "local", progress=False)
    with cf.ThreadPoolExecutor(2) as pool:
        moesim.sweep(PLAN, tmp_path / "own", executor=pool, progress=False)
    assert files(tmp_path / "own") == files(tmp_path / "local")
    assert len(local) == 96


def test_shards_merge_into_the_same(plan, expected, tmp_path):
    for nth in (1, 2, 3):
        moesim.sweep(plan, tmp_path / f"shard-{nth}", shard=f"{nth}/3", progress=False)
    moesim.merge(plan, [tmp_path / f"shard-{nth}" for nth in (1, 2, 3)], tmp_path / "own")
    assert files(tmp_path / "own") == expected


class Deadly(cf.ProcessPoolExecutor):
    """A pool one of whose workers is killed when it has begun its fourth piece of work."""

    pieces = 0

    def submit(self, fn, /, *args, **kwargs):
        future = super().submit(fn, *args, **kwargs)
        type(self).pieces += 1
        if type(self).pieces == 4:
            os.kill(next(iter(self._processes)), signal.SIGKILL)
        return future


def test_a_worker_that_is_killed_costs_its_running_tasks(plan, expected, tmp_path):
    make = functools.partial(Deadly, 2, mp_context=SPAWN)
    moesim.sweep(plan, tmp_path / "own", executor=make, progress=False)
    assert files(tmp_path / "own") == expected
    assert Deadly.pieces > 4


def test_a_driver_that_is_killed_goes_on(plan, expected, tmp_path):
    out = tmp_path / "own"
    code = f"""
import concurrent.futures as cf, moesim, moesim._sweep, multiprocessing
moesim._sweep.SECONDS = 0.01
if __name__ == "__main__":
    with cf.ThreadPoolExecutor(1) as pool:
        moesim.sweep({str(plan)!r}, {str(out)!r}, executor=pool, progress=False)
"""
    driver = subprocess.Popen([sys.executable, "-c", code])
    journal, until = out / "rows.jsonl", time.monotonic() + 60
    while not (journal.exists() and journal.read_bytes().count(b"\n") > 3) and time.monotonic() < until:
        time.sleep(0.005)
    driver.kill()
    driver.wait()
    there = journal.read_bytes().count(b"\n") - 1
    assert there >= 3
    with pytest.raises(moesim.MoesimError, match="holds results already"):
        moesim.sweep(plan, out, progress=False)
    moesim.sweep(plan, out, resume=True, progress=False)
    assert files(out) == expected


def test_a_worker_of_other_files_is_refused(plan, tmp_path):
    from moesim import _sweep

    asked = _sweep._plan(plan, None, False, False, {})
    with pytest.raises(moesim.MoesimError, match="another moesim"):
        _sweep.work(asked._replace(fingerprint=1), [0])


def test_pieces_take_about_a_second():
    from moesim import _sweep

    pieces, sizes = _sweep._Pieces(list(range(10_000)), 4), []
    while pieces.left:
        piece = pieces.next()
        sizes.append(len(piece))
        pieces.took(len(piece), 0.01 * len(piece))
    assert sum(sizes) == 10_000 and sizes[0] == 1 and max(sizes) == 100 and sizes[-1] == 1


def test_a_folder_that_goes_with_its_result():
    swept = moesim.sweep(PLAN, progress=False)
    folder = pathlib.Path(swept.folder)
    assert (folder / "results.parquet").exists() and "svg" in swept._repr_html_()
    del swept
    assert not folder.exists()
