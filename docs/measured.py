"""Measures this machine and puts what it finds into docs/accuracy.md: `python3 docs/measured.py [NAME …]`.

Each block of text below a line `<!-- measured: NAME -->` is replaced by what the commands of that name print. All take
some ten minutes; what is measured here differs from machine to machine and a little from time to time, so nothing checks it."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parent.parent
PAGE = ROOT / "docs" / "accuracy.md"
CALIBRATE = ROOT / "target" / "release" / "calibrate"
MINUTES = "2"


def said(*command, **more):
    done = subprocess.run([str(word) for word in command], text=True, stdout=subprocess.PIPE, cwd=ROOT, check=True, **more)
    return done.stdout.rstrip()


def session(backend, *shape):
    with tempfile.TemporaryDirectory() as folder:
        # llvmpipe with one thread: several wait for one another, and for whatever else runs.
        alone = {**os.environ, "LP_NUM_THREADS": "1"}
        said(CALIBRATE, "measure", "--backend", backend, *shape, "--out", folder, "--minutes", MINUTES, env=alone)
        profile = f"{folder}/own.toml"
        said(CALIBRATE, "fit", "--samples", folder, "--out", profile)
        return said(CALIBRATE, "compare", profile)


def h200():
    """The profile of the samples that are kept of an H200, and what it says of its layers."""
    data = "calibrate/data/h200"
    said(CALIBRATE, "fit", "--samples", f"{data}/cuda", "--out", f"{data}/h200-cuda.toml")
    return said(CALIBRATE, "compare", f"{data}/h200-cuda.toml", "--samples", f"{data}/cuda")


def distributed():
    with tempfile.TemporaryDirectory() as folder:
        return said("calibrate/tool/examples/distributed/run", folder)


BLOCKS = {"h200": h200, "native": lambda: session("native"), "vulkan": lambda: session("wgpu", "--shape", "tiny"), "distributed": distributed}

said("cargo", "build", "--release", "--workspace", "--bins", "--example", "distributed")
for name in sys.argv[1:] or BLOCKS:
    found = "\n".join(line.rstrip() for line in BLOCKS[name]().split("\n"))
    text = PAGE.read_text()
    block = re.compile(rf"(<!-- measured: {name} -->\n\n```text\n).*?(\n```)", re.DOTALL)
    assert block.search(text), f"{PAGE.name} has no block {name}"
    PAGE.write_text(block.sub(lambda match: match.group(1) + found + match.group(2), text))
    print(f"{name}: measured")
