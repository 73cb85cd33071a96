"""How notebooks ask moesim: they run its binary and read what it writes; they never simulate."""

import json
import os
import pathlib
import subprocess
import tempfile

import matplotlib
import polars as pl

HERE = pathlib.Path(__file__).parent
BINARY = os.environ.get("MOESIM", str(HERE.parent / "target" / "release" / "moesim"))

# Told apart by all kinds of colour vision (Okabe and Ito, 2008).
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#464646"]
matplotlib.rcParams.update({
    "axes.prop_cycle": matplotlib.cycler(color=COLOURS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e1e1e1",
    "axes.titlelocation": "left",
    "figure.figsize": (8, 4.5),
    "savefig.bbox": "tight",
})


def moesim(*args):
    """What a command prints; what it complains of becomes the error."""
    done = subprocess.run([BINARY, *args], capture_output=True, text=True, cwd=HERE.parent)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return done.stdout


def ask(*args):
    """The JSON object that a command prints."""
    return json.loads(moesim(*args, "--json"))


def sweep(plan):
    """The rows of a sweep of notebooks/plans/PLAN.toml."""
    with tempfile.TemporaryDirectory() as out:
        moesim("sweep", str(HERE / "plans" / f"{plan}.toml"), "--out", f"{out}/results", "--quiet")
        return pl.read_parquet(f"{out}/results/results.parquet")
