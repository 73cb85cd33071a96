"""Counts the instructions of six representative commands and compares them with those recorded: a guard against growth
where times are too noisy to be one.

    python3 benches/instructions.py               compare with benches/instructions.json; status 1 where one grew
    python3 benches/instructions.py --record      write what is counted now, after a change that is meant

MOESIM names the binary; target/release/moesim otherwise, as users run it: loops that a release takes eight numbers at once
cost a build for tests eight times as many. Counted by valgrind, which counts the same twice, on one thread. What compiled the binary decides too: with another rustc, kind of machine or valgrind
than those recorded nothing is compared, and that is said (status 3)."""

import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent
RECORD = ROOT / "benches" / "instructions.json"
BINARY = os.environ.get("MOESIM", str(ROOT / "target" / "release" / "moesim"))
# A count may grow by this share before it is called growth.
MARGIN = 0.08

# Layers whose exchanges join 32 GPUs.
EXCHANGES = ["run", "paper", "--set", "topology=h100-4x8-rail", "--set", "counted=moe-layer", "--set", "seeds=0..1",
             "--set", "tau=[0.75]", "--set", "workload.batch.micro_batches=1", "--set", "workload.layout.expert_parallel=32",
             "--set", "workload.experts.ffn=32", "--set", "workload.layout.pipeline_parallel=1",
             "--set", "workload.model.layers=4", "--set", "overheads=none", "--allow-oom"]
CASES = {
    # Experts alone, drawn by counts, in a loop: the paper's study, thinned.
    "study": ["run", "paper", "--set", "seeds=0..1", "--set", "tau=[0.75]", "--set", "workload.batch.micro_batches=1"],
    # The same by samples of micro-batches, with the interval that is asked for.
    "precision": ["run", "paper", "--set", "seeds=0..1", "--set", "tau=[0.75]", "--precision", "1%"],
    # A decode step drawn token by token, on 72 GPUs of one NVLink domain.
    "decode": ["run", "wide-ep", "--set", "workload.model.layers=1", "--set", "workload.dense.leading_layers=0"],
    # A training step: a pipeline, backward passes, replicas.
    "training": ["run", "dualpipe", "--set", "topology.nodes.count=16", "--set", "workload.layout.pipeline_parallel=2",
                 "--set", "workload.model.layers=2", "--set", "workload.batch.micro_batches=4",
                 "--set", "workload.batch.tokens_per_gpu=1024", "--set", "workload.batch.sequence_tokens=1024", "--allow-oom"],
    # Exchanges as flows that share links, in steps and exactly. Not `flows`, which reads a clock that valgrind does not have.
    "steps": EXCHANGES + ["--set", "network=quantised"],
    "exact": EXCHANGES + ["--set", "network=exact"],
}


def setting():
    """What a count depends on beside the code."""
    rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True, cwd=ROOT).stdout.strip()
    valgrind = subprocess.run(["valgrind", "--version"], capture_output=True, text=True).stdout.strip()
    cpu = pathlib.Path("/proc/cpuinfo")
    avx2 = cpu.exists() and " avx2" in cpu.read_text()
    return {"rustc": rustc, "machine": platform.machine(), "avx2": avx2, "valgrind": valgrind}


def counted(arguments, out):
    """Instructions of one command, by way of a file."""
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={out}", BINARY]
    done = subprocess.run(command + arguments + ["--threads", "1", "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"moesim {' '.join(arguments)}\n{done.stderr}")
    return int(re.search(r"^summary: *([0-9]+)", pathlib.Path(out).read_text(), re.MULTILINE).group(1))


def main():
    if not shutil.which("valgrind"):
        print("valgrind is not installed: instructions were not counted")
        return 3
    record = "--record" in sys.argv
    known = json.loads(RECORD.read_text()) if RECORD.exists() else {"setting": {}, "millions": {}}
    now = setting()
    if not record and known["setting"] != now:
        print(f"instructions were recorded with {known['setting']}, here is {now}: not compared")
        return 3
    with tempfile.TemporaryDirectory() as folder:
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            counts = threads.map(lambda case: counted(case[1], f"{folder}/{case[0]}"), CASES.items())
            found = {name: count / 1e6 for name, count in zip(CASES, counts)}
    grown = []
    for name, millions in found.items():
        before = known["millions"].get(name)
        change = f"{100 * (millions / before - 1):+6.1f} %" if before else "   new"
        print(f"{name:12} {millions:10.1f} million instructions {change}")
        if before and millions > before * (1 + MARGIN):
            grown.append(name)
    if record:
        kept = {name: round(millions, 1) for name, millions in found.items()}
        RECORD.write_text(json.dumps({"setting": now, "margin": MARGIN, "millions": kept}, indent=2) + "\n")
        return 0
    if grown:
        print(f"more than {100 * MARGIN:.0f} % more instructions: {', '.join(grown)}. Where that is meant, record it and say")
        print("why in the commit: python3 benches/instructions.py --record")
        return 1
    print(f"instructions are within {100 * MARGIN:.0f} % of those recorded")
    return 0


sys.exit(main())
