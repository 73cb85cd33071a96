"""A sweep of 2,000 points on two Ray nodes on loopback, of which one worker and then the driver are killed.

`MOESIM_RAY=1 pytest python/tests/test_engines.py`, or `python python/tests/ray_nodes.py FOLDER`. Prints what it took
beside a run on the threads of one process.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import moesim
from conftest import PLAN, files

PORT = 6401
POINTS = {
    **PLAN,
    "scenario": {
        "schema": 1,
        "name": "one pair",
        "topology": "a100-4x8",
        "counted": "moe-layer",
        "seeds": "0..1",
        "compare": [{"vanilla": "moe-1b", "moepp": "moepp-1b"}],
    },
    "seeds": "0..1",
    "vary": {
        "workload.batch.tokens_per_gpu": list(range(64, 1064, 20)),
        "topology.nodes.nic.bandwidth": [f"{gb} Gb/s" for gb in range(25, 1025, 25)],
    },
    "plot": {},
}

TASKS = 2000
"""One pair under one seed at each point."""

DRIVER = """
import json, sys, moesim
plan, out, resume = json.load(open(sys.argv[1])), sys.argv[2], sys.argv[3] == "resume"
moesim.sweep(plan, out, resume=resume, progress=False, executor=moesim.engines.ray("127.0.0.1:{port}"))
"""


@contextlib.contextmanager
def nodes(folder):
    """A head and a second node, one CPU each, ended by their own signals."""
    common = ["--block", "--num-cpus=1", "--object-store-memory=150000000", "--disable-usage-stats"]
    head = ["--head", f"--port={PORT}", "--node-ip-address=127.0.0.1", "--include-dashboard=false"]
    ray = [str(pathlib.Path(sys.executable).parent / "ray"), "start"]
    started = []
    try:
        # The name of a socket below it has at most 107 bytes.
        with open(folder / "ray.log", "w") as log:
            for own in ([*head, f"--temp-dir=/tmp/moesim-ray-{os.getpid()}"], [f"--address=127.0.0.1:{PORT}"]):
                started.append(subprocess.Popen([*ray, *common, *own], stdout=log, stderr=log))
                time.sleep(10)
        yield
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(60)


def workers():
    """The processes of Ray that run pieces of work now."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"ray::work" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def lines(journal):
    """How many tasks a journal holds."""
    return journal.read_bytes().count(b"\n") - 1 if journal.exists() else 0


def wait(until, what):
    """Waits for something."""
    last = time.monotonic() + 300
    while not until():
        assert time.monotonic() < last, what
        time.sleep(0.02)


def main(folder):
    """Does it all."""
    folder = pathlib.Path(folder)
    plan, out = folder / "plan.json", folder / "ray"
    plan.write_text(json.dumps(POINTS))
    began = time.monotonic()
    moesim.sweep(POINTS, folder / "local", progress=False)
    local = time.monotonic() - began
    environment = {**os.environ, "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}

    def driver(out, resume="new"):
        code = DRIVER.format(port=PORT)
        return subprocess.Popen([sys.executable, "-c", code, str(plan), str(out), resume], env=environment)

    with nodes(folder):
        began = time.monotonic()
        assert driver(folder / "whole").wait(900) == 0
        whole = time.monotonic() - began
        assert files(folder / "whole") == files(folder / "local")
        first = driver(out)
        wait(lambda: lines(out / "rows.jsonl") > 100 and workers(), "no work began")
        victim = workers()[0]
        os.kill(victim, signal.SIGKILL)
        there = lines(out / "rows.jsonl")
        wait(lambda: lines(out / "rows.jsonl") > there + 300, "no work went on")
        first.kill()
        first.wait()
        there = lines(out / "rows.jsonl")
        assert 0 < there < TASKS, there
        assert driver(out, "resume").wait(900) == 0
    assert files(out) == files(folder / "local")
    print(f"2000 points: {local:.1f} s on this process's threads, {whole:.1f} s on two Ray nodes, start of the driver "
          f"included; worker {victim} killed, driver killed at {there} of {TASKS} tasks: the same bytes")


if __name__ == "__main__":
    main(sys.argv[1])
