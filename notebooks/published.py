"""Published findings on networks, asked again: `python3 notebooks/published.py [--check]` writes docs/published.md,
or compares with it. It runs the moesim binary (MOESIM, or target/release/moesim) and needs no package."""

import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent
BINARY = os.environ.get("MOESIM", str(ROOT / "target" / "release" / "moesim"))
OUT = ROOT / "docs" / "published.md"


def ask(*args):
    done = subprocess.run([BINARY, *args, "--json"], capture_output=True, text=True, cwd=HERE / "published")
    if done.returncode != 0:
        raise SystemExit(f"moesim {' '.join(args)}: {done.stderr}")
    return json.loads(done.stdout)


def price(*topology):
    told = ask("topology", *topology)
    return told["network_cost_usd"], told["network_power_w"]


# --- rail-only -------------------------------------------------------------------------------------------------

RAIL_OPTIMISED = ["h100-4x8-rail", "--set", "nodes.count=32"]
RAIL_ONLY = ["h100-32x8-rail-only"]


def rails():
    rows = []
    for pattern, name in [("uniform", "even"), ("zipf16", "skewed (Zipf over 16)")]:
        def flows(topology):
            where = ["--topology", *topology]
            return ask("flows", *where, "--pattern", pattern, "--bytes", "1 MiB", "--engine", "quantised")
        base, own = flows(RAIL_OPTIMISED), flows(RAIL_ONLY)
        nvlink = max(use["max_share"] for use in own["link_use"] if use["class"] == "nvlink")
        forwarded = 100 * (own["makespan_s"] / base["makespan_s"] - 1)
        stored = 100 * (own["makespan_s"] * (1 + nvlink) / base["makespan_s"] - 1)
        rows.append((name, 1e3 * base["makespan_s"], 1e3 * own["makespan_s"], forwarded, stored))
    return rows, price(*RAIL_OPTIMISED), price(*RAIL_ONLY)


# --- switchless networks ---------------------------------------------------------------------------------------

NETWORKS = ["scale-up-64", "full-mesh-64", "torus-64", "scale-out-64"]
# How fast each network's links can be set, by key and multiple of what its file says.
LINKS = {
    "scale-up-64": ("nodes.nic.bandwidth", 450),
    "full-mesh-64": ("fabric.hyperx.bandwidth", 50),
    "torus-64": ("fabric.torus.bandwidth", 75),
}
TOKENS = [64, 512, 4096]
GPU_USD = 30_000
# An expert-parallel layer is like any other: 4 stand for all 58, and as much less of the output for all of it.
FEW = [
    "--set", "workload.model.layers=4", "--set", f"workload.model.vocabulary={129280 * 4 // 58}",
    "--set", "workload.dense.leading_layers=0", "--set", "profile.inter_node.efficiency=1.0",
]


def serve(network, tokens, *extra):
    told = ask(
        "run", "serving.scenario.toml", "--set", f"topology={network}.toml",
        "--set", "workload.layout.expert_parallel=64", "--set", f"workload.batch.tokens_per_gpu={tokens}", *FEW, *extra,
    )
    return told["results"][0]["tokens_per_s"]


def switchless():
    prices = {name: price(f"{name}.toml", "--prices", "prices.toml")[0] for name in NETWORKS}
    speed = {(name, tokens): serve(name, tokens) for name in NETWORKS for tokens in TOKENS}
    return prices, speed


def over_provisioned():
    key, full = LINKS["scale-up-64"]
    rows = []
    for share in [1.0, 0.75, 0.5, 0.25, 0.125]:
        there = ["--set", f"topology.{key}={full * share:g} GB/s"]
        usd = price("scale-up-64.toml", "--prices", "prices.toml", "--set", f"{key}={full * share:g} GB/s")[0]
        rows.append((share, usd, [serve("scale-up-64", tokens, *there) for tokens in TOKENS]))
    return rows


def per_dollar(speed, network_usd, gpu_usd):
    return speed / (network_usd + 64 * gpu_usd)


def within(value, low, high):
    return "inside the published range" if low <= value <= high else "outside the published range"


def text():
    rows, base, own = rails()
    usd, watts = (100 * (1 - b / a) for a, b in zip(base, own))
    out = ["""# Published findings on networks, asked again

Two papers whose subject is the network under MoE models. This page is written by `python3 notebooks/published.py`;
`tests/run` makes it again and compares. Nothing in moesim was fitted to either paper. Of both we had the abstract and
what others cite of them, not every parameter of their set-ups: clusters, prices and batches here are ours, so what
can be compared is the kind and size of an effect, not a figure. Costs are those of networks by a price book
(`topologies/prices.toml`, or `notebooks/published/prices.toml` where said), GPUs at a stated guess.

## Rail-only networks cost little all-to-all time

*Published* (W. Wang et al., arXiv 2307.12169): without spines, forwarding through NVLink makes an all-to-all 8.2 % to
11.2 % longer, while the network costs 38 % to 77 % less and draws 37 % to 75 % less.

*Asked*: 32 nodes of 8 H100 on 400 Gb/s NICs, rail-optimised with spines (`h100-4x8-rail`, 32 nodes) and rail-only
(`h100-32x8-rail-only`); an all-to-all of 1 MiB a pair among 256 GPUs.
"""]
    out.append("| traffic | with spines, ms | rail-only, ms | longer, forwarding chunk by chunk | forwarding after all has come |")
    out.append("|---|---|---|---|---|")
    for name, a, b, forwarded, stored in rows:
        out.append(f"| {name} | {a:.2f} | {b:.2f} | {round(forwarded, 1) + 0:+.1f} % | {stored:+.1f} % |")
    stored = rows[0][4]
    out.append(f"""
The rail-only network costs {usd:.0f} % less ({within(usd, 38, 77)}) and draws {watts:.0f} % less
({within(watts, 37, 75)}): we agree, though our optics and NICs are stated guesses.

The time depends on what forwarding is. moesim passes chunks on as they come, so NVLink's part hides behind the
NICs', which are nine times slower: nothing is lost with even traffic, little with skew. If instead all bytes are
gathered on the right rail first, as two steps one after another, NVLink's busy time comes on top: {stored:.1f} % with
even traffic, {within(stored, 8.2, 11.2)}. So we agree on the size of the effect where forwarding is not overlapped,
and say that most of it need not be paid.

## Switchless networks give more for their cost than scale-up switches

*Published* (arXiv 2605.00254): for serving MoE models, a 3D torus and a 3D full mesh are 20.6 % to 56.2 % more
cost-effective than a scale-up network; the 3D full mesh is Pareto-optimal; scale-up links are over-provisioned, slower
ones give up to 27 % more throughput for the cost.

*Asked*: DeepSeek-V3's layers (256 experts, fp8) spread over 64 H100-like accelerators with 450 GB/s out of each: one
layer of scale-up switches, a 4 × 4 × 4 full mesh (nine links of 50 GB/s), a 4 × 4 × 4 torus (six of 75 GB/s), and for
comparison a NIC of 400 Gb/s alone. Links deliver their data sheets; starting an exchange costs what NCCL's costs over
NICs, on all four alike; the closed form carries exchanges. `notebooks/published/` holds the files. The price book there
is a stated guess: the same copper cable for all, a switch's port as for NDR, a NIC only for scale-out.
""")
    prices, speed = switchless()
    out.append("| network | USD per GPU | " + " | ".join(f"{t} tokens per GPU: tokens/s" for t in TOKENS) + " |")
    out.append("|---|---|" + "---|" * len(TOKENS))
    for name in NETWORKS:
        cells = " | ".join(f"{speed[name, t]:,.0f}" for t in TOKENS)
        out.append(f"| {name} | {prices[name] / 64:,.0f} | {cells} |")
    out.append(f"\nThroughput for the cost of GPUs at {GPU_USD:,} USD each (a stated guess) and network, against scale-up:\n")
    out.append("| network | " + " | ".join(f"{t} tokens per GPU" for t in TOKENS) + " |")
    out.append("|---|" + "---|" * len(TOKENS))
    gain = {}
    for name in NETWORKS[1:]:
        for t in TOKENS:
            best = per_dollar(speed["scale-up-64", t], prices["scale-up-64"], GPU_USD)
            gain[name, t] = 100 * (per_dollar(speed[name, t], prices[name], GPU_USD) / best - 1)
        out.append(f"| {name} | " + " | ".join(f"{gain[name, t]:+.1f} %" for t in TOKENS) + " |")
    pair = [gain[name, t] for name in ["full-mesh-64", "torus-64"] for t in TOKENS]
    mesh = all(gain["full-mesh-64", t] >= gain["torus-64", t] for t in TOKENS)
    sign = sum(g > 0 for g in pair)
    limit = 100 * (prices["scale-up-64"] / 64 + GPU_USD) / (prices["torus-64"] / 64 + GPU_USD) - 100
    out.append(f"""
The switchless networks come out ahead in {sign} of {len(pair)} cases, by {min(pair):+.1f} % to {max(pair):+.1f} %
(published: +20.6 % to +56.2 %). The full mesh is {"never" if mesh else "not always"} behind the torus at the same
price, as published says of it. No more than {limit:+.1f} % is possible with these prices, whatever the network does:
that is the cost of the scale-up network over the rest. So the sign and the order are ours to confirm, the size is not:
it follows from prices, and theirs we do not have.

What stands against switchless networks in moesim: an even all-to-all gets {147.7:.0f} GB/s per GPU out of the torus and
{196.9:.0f} out of the mesh, where switches give 450, as bytes take several hops of the links that each accelerator has.
""")
    out.append("Scale-up links made slower (price and speed of the same 64 accelerators):\n")
    out.append("| of 450 GB/s | USD per GPU | " + " | ".join(f"for the cost, {t} tokens per GPU" for t in TOKENS) + " |")
    out.append("|---|---|" + "---|" * len(TOKENS))
    rows = over_provisioned()
    (_, full_usd, full), most = rows[0], -100.0
    for share, usd, speeds in rows:
        ratios = [
            100 * (per_dollar(a, usd, GPU_USD) / per_dollar(b, full_usd, GPU_USD) - 1) for a, b in zip(speeds, full)
        ]
        most = max(most, *ratios)
        out.append(f"| {share:.3g} | {usd / 64:,.0f} | " + " | ".join(f"{r:+.1f} %" for r in ratios) + " |")
    out.append(f"""
Slower scale-up links give up to {most:.0f} % more throughput for the cost (published: up to 27 %): over-provisioned here
too, as long as exchanges do not come to decide.
""")
    return "\n".join(out)


written = text()
if "--check" in sys.argv:
    if OUT.read_text() != written:
        raise SystemExit("docs/published.md is not what notebooks/published.py writes: run it")
    print("docs/published.md: as it would be written again")
else:
    OUT.write_text(written)
