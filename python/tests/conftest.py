"""What tests share: the binary to compare with, small questions, plans."""

import os
import pathlib
import signal
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
BINARY = os.environ.get("MOESIM", str(ROOT / "target" / "release" / "moesim"))

# Shells that start something behind them have it ignore Ctrl-C, which tests raise.
signal.signal(signal.SIGINT, signal.default_int_handler)

SMALL = {"counted": "moe-layer", "workload.batch.micro_batches": 1}
"""What makes the paper's scenario a matter of milliseconds."""

PLAN = {
    "schema": 1,
    "name": "small",
    "scenario": "paper",
    "seeds": "0..2",
    "set": {**SMALL, "tau": [0.75]},
    "vary": {"workload.batch.tokens_per_gpu": [256, 512, 1024], "topology.nodes.nic.bandwidth": ["100 Gb/s", "400 Gb/s"]},
    "plot": {"gain": {"x": "workload.batch.tokens_per_gpu", "y": "throughput_increase_percent"}},
}


@pytest.fixture(scope="session")
def binary():
    """The command line."""

    def run(*arguments, cwd=None):
        done = subprocess.run([BINARY, *arguments], capture_output=True, text=True, cwd=cwd)
        assert done.returncode == 0, done.stderr
        return done.stdout

    if not os.access(BINARY, os.X_OK):
        pytest.skip(f"there is no {BINARY}: results were not compared with the command line's")
    return run


@pytest.fixture
def plan(tmp_path):
    """A plan of six points as a file."""
    import json

    from moesim import _moesim

    path = tmp_path / "small.toml"
    path.write_text(_moesim.to_toml(json.dumps(PLAN)))
    return path


def files(folder):
    """What a sweep's folder holds, but for its journal, whose lines stand as they came, and what it was made by, which only
    the command line writes."""
    paths = sorted(pathlib.Path(folder).iterdir())
    return {path.name: path.read_bytes() for path in paths if path.name not in ("rows.jsonl", "made-by.json")}
