"""Measures what a question costs as it grows, and writes docs/growth.md, benches/growth.csv and docs/pictures/growth.svg:

    cargo build --release && python3 benches/growth.py              # or: python3 benches/growth.py "training step"

With words, only the questions that contain one of them are measured; the others stay as the table has them.

`--draw` draws the picture of the stored table alone, `--check` compares it with the one that lies there, as the tests do.
Processor time (user and system, one thread) and the most memory of whole commands, as the system accounts for them.
MOESIM names the binary; target/release/moesim otherwise. SimGrid is timed on the same all-to-alls where its library is
installed (Debian's libsimgrid-dev and g++). Takes a few minutes; the tests time nothing."""

import csv
import math
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARY = os.environ.get("MOESIM", str(ROOT / "target" / "release" / "moesim"))
TABLE = ROOT / "benches" / "growth.csv"
PAGE = ROOT / "docs" / "growth.md"
PICTURE = "docs/pictures/growth.svg"
# Below this a command is mostly its own start; exponents are fitted to what lies above.
LEAST_S = 0.03


def flows(*more):
    return lambda gpus: ["flows", "--gpus", str(gpus), "--pattern", "lognormal", "--threads", "1", *more]


def layer(*more):
    """A MoE layer of the smallest pair's vanilla half on H100 nodes."""
    base = ["run", "paper", "--threads", "1", "--set", "topology=h100-4x8-rail", "--set", "counted=moe-layer",
            "--set", "seeds=0..1", "--set", "tau=[0.75]", "--set", "overheads=none"]
    return lambda size: base + [word.replace("SIZE", str(size)) for one in more for word in ("--set", one)]


def sweep(points):
    plan = pathlib.Path(FOLDER.name) / f"points-{points}.toml"
    steps = ", ".join(f"{0.1 + 0.9 * at / points:.6f}" for at in range(points))
    plan.write_text(f'schema = 1\nname = "points"\nscenario = "paper"\nseeds = "0..1"\n\n[vary]\ntau = [{steps}]\n')
    out = plan.with_suffix("")
    return ["sweep", str(plan), "--out", str(out), "--quiet", "--threads", "1", "--precision", "0.5%"]


def step(gpus):
    """Nodes of 8 H800, EP 64 and 16 stages as its report trains it; 1,024 GPUs are the fewest that hold it so."""
    return ["run", "dualpipe", "--threads", "1", "--set", f"topology.nodes.count={gpus // 8}"]


def paper_step(seeds):
    """The paper's largest pair on its cluster and with its batch, at one τ."""
    scenario = pathlib.Path(FOLDER.name) / f"step-{seeds}.toml"
    scenario.write_text(f'schema = 1\nname = "step"\ntopology = "a100-4x8"\noverheads = "moepp-loop"\n'
                        f'counted = "training-step"\nseeds = "0..{seeds}"\ntau = [0.75]\nallow_oom = true\n\n'
                        f'[[compare]]\nvanilla = "moe-7b"\nmoepp = "moepp-7b"\n\n[set]\n'
                        f'"workload.batch.phase" = "training"\n')
    return ["run", str(scenario), "--threads", "1"]


# What grows, in which question, and its sizes.
CURVES = [
    ("GPUs", "exact", flows("--engine", "exact"), [16, 32, 64, 128, 192]),
    ("GPUs", "quantised, 1 %", flows("--engine", "quantised"), [64, 128, 256, 512, 1024, 2048]),
    ("GPUs", "quantised, groups of 64", flows("--group", "64"), [64, 1024, 8192, 32768, 100032]),
    ("GPUs", "closed form, groups of 64", flows("--group", "64", "--engine", "closed-form", "--makespan-only"), [64, 8192, 65536, 262144, 1000000]),
    ("nodes of 8 GPUs", "a MoE layer, EP 8", layer("topology.nodes.count=SIZE", "workload.batch.micro_batches=1"),
     [4, 16, 64, 256, 512]),
    ("experts", "a MoE layer", layer("workload.experts.ffn=SIZE", "workload.batch.micro_batches=4"),
     [8, 32, 128, 512]),
    ("layers", "a MoE layer", layer("workload.model.layers=SIZE", "workload.batch.micro_batches=8"), [8, 16, 32, 64, 128]),
    ("micro-batches", "exact", layer("workload.batch.micro_batches=SIZE"), [8, 32, 128, 512]),
    ("micro-batches", "to 0.5 %", layer("workload.batch.micro_batches=SIZE", "precision=0.5%"), [8, 32, 128, 512, 2048]),
    ("points of a sweep", "to 0.5 %", sweep, [1, 8, 64]),
    ("GPUs", "a training step of DeepSeek-V3", step, [1024, 2048, 4096, 8192, 16384]),
    ("seeds", "a training step of MoE++ 7B and its vanilla", paper_step, [1, 4, 16]),
]


def measured(arguments):
    """Processor seconds and most memory in MB of a command."""
    with open(os.devnull, "w") as nowhere, tempfile.TemporaryFile("w+") as said:
        child = subprocess.Popen([BINARY, *arguments], stdout=nowhere, stderr=said)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            said.seek(0)
            raise SystemExit(f"moesim {' '.join(arguments)}\n{said.read()}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def exponent(sizes, values, least):
    """The slope of a line through the logarithms of what is large enough; nothing from fewer than two."""
    of = [(math.log(size), math.log(value)) for size, value in zip(sizes, values) if value >= least]
    if len(of) < 2:
        return None
    mean = [sum(one[at] for one in of) / len(of) for at in (0, 1)]
    above = sum((x - mean[0]) * (y - mean[1]) for x, y in of)
    return above / sum((x - mean[0]) ** 2 for x, _ in of)


def simgrid():
    """Lines of benches/simgrid/run.sh, where SimGrid is there."""
    if not pathlib.Path("/usr/include/simgrid/s4u.hpp").exists():
        return None
    done = subprocess.run([str(ROOT / "benches" / "simgrid" / "run.sh"), "64"], capture_output=True, text=True,
                          env={**os.environ, "MOESIM": BINARY})
    return list(csv.DictReader(done.stdout.splitlines())) if done.returncode == 0 else None


def three(value):
    """With three digits, as people write them."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def main():
    words, rows, lines = sys.argv[1:], [], []
    known = list(csv.DictReader(TABLE.open())) if words else []
    for grows, question, command, sizes in CURVES:
        if words and not any(word in question for word in words):
            own = [row for row in known if (row["grows"], row["question"]) == (grows, question)]
        else:
            own = [row_of(grows, question, size, measured(command(size))) for size in sizes]
        rows += own
        lines.append(line_of(grows, question, own))
    with TABLE.open("w", newline="") as table:
        writer = csv.DictWriter(table, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    draw(PICTURE)
    PAGE.write_text(page(lines, told_of_simgrid() if words else beside_simgrid(simgrid())))


def draw(picture):
    """Of the table as it is stored."""
    subprocess.run([BINARY, "plot", str(TABLE), "--x", "size", "--y", "cpu_s", "--hue", "curve", "--log-x", "--log-y",
                    "--out", str(picture)], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def check(folder):
    """That the stored picture is the stored table's; times themselves differ from run to run."""
    made = pathlib.Path(folder) / "growth.svg"
    draw(made)
    if made.read_bytes() != (ROOT / PICTURE).read_bytes():
        raise SystemExit(f"{PICTURE} is not what moesim draws of {TABLE.relative_to(ROOT)}: python3 benches/growth.py --draw")
    print(f"{PICTURE}: as moesim draws its table")


def told_of_simgrid():
    """What the page says of SimGrid as it is."""
    text = PAGE.read_text()
    return text[text.index("\nSimGrid ") + 1:].rstrip()


def row_of(grows, question, size, found):
    seconds, mb = found
    print(f"{grows}, {question}: {size}: {seconds:.3f} s, {mb:.0f} MB", flush=True)
    return {"grows": grows, "question": question, "size": size, "cpu_s": round(seconds, 4), "peak_mb": round(mb, 1),
            "curve": f"{grows}: {question}"}


def line_of(grows, question, rows):
    """The line of the page that some rows make."""
    sizes = [int(row["size"]) for row in rows]
    seconds, memory = ([float(row[column]) for row in rows] for column in ("cpu_s", "peak_mb"))
    slopes = [exponent(sizes, seconds, LEAST_S), exponent(sizes, memory, 2 * min(memory))]
    told = ["-" if slope is None else f"{slope:.2f}" for slope in slopes]
    return (f"| {grows} | {question} | {sizes[0]:,} to {sizes[-1]:,} | {three(seconds[0])} to {three(seconds[-1])} | "
            f"{told[0]} | {three(memory[0])} to {three(memory[-1])} | {told[1]} |")


def beside_simgrid(others):
    """What the page says of SimGrid."""
    if others:
        return "\n".join(
            f"SimGrid takes {float(one['simgrid_cpu_s']):.2f} s for the all-to-all `{one['pattern']}` of {one['gpus']} GPUs, the exact "
            f"engine {float(one['exact_cpu_s']):.3f} s, the\nquantised one {float(one['quantised_cpu_s']):.4f} s." for one in others)
    return "SimGrid was not installed where this was measured; [engines.md](engines.md#speed) compares with it."


def page(lines, beside):
    table = "\n".join(lines)
    return f"""# What a question costs as it grows

Written by `python3 benches/growth.py`: processor time and the most memory of whole commands on one thread, the start of the
program included, and the exponent of either, fitted to what took {LEAST_S} s or more, or twice the least memory. The figures
behind it are in `benches/growth.csv`. Times are of a shared machine: compare rows with each other, not with other machines.

| what grows | question | from … to | seconds | exponent | MB | exponent |
|---|---|---|---|---|---|---|
{table}

![Processor time over what grows](pictures/growth.svg)

An all-to-all of N GPUs has N·(N − 1) flows, so an exponent of 2 is that of its flows; in groups of 64 flows grow as GPUs do.
With a precision, time grows no more once the sample is large enough. A training step of DeepSeek-V3 is simulated whole on every
GPU, pass by pass; its gates are drawn eight times for each layer. Of the smaller model each seed runs two steps, vanilla and
MoE++.

{beside}
"""


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        FOLDER = type("Folder", (), {"name": folder})
        if "--check" in sys.argv:
            check(folder)
        elif "--draw" in sys.argv:
            draw(PICTURE)
        else:
            main()
