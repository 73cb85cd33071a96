"""Checks what commands print with --json against the published JSON Schemas: `python3 tests/results.py`.

Keys that a schema does not know are refused, though a program that reads results should not mind them. MOESIM names
the binary; target/release/moesim otherwise. Needs the package jsonschema."""

import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

from jsonschema import Draft7Validator

ROOT = pathlib.Path(__file__).parent.parent
BINARY = os.environ.get("MOESIM", str(ROOT / "target" / "release" / "moesim"))
PAPER = "paper --set seeds=0..2 --set workload.batch.micro_batches=1"
SMALL = "--set seeds=0..2 --set workload.batch.micro_batches=1 --set workload.model.layers=2"
FEW = SMALL.replace("--set seeds=0..2", "--seeds 0..2")
COMMANDS = [
    f"run {PAPER}",
    f"run {PAPER} --set counted=moe-layer --set calibration_uncertainty=true",
    f"run {PAPER} --set counted=training-step --set workload.batch.phase=training --allow-oom",
    f"memory {PAPER} --allow-oom",
    f"compare a100-4x8 h100-4x8-rail {FEW}",
    f"compare h100-4x8-rail --vanilla mixtral-8x7b {FEW}",
    f"plan a100-4x8 h100-4x8-rail --layer-ms 10 --tau 0.5,1 {FEW}",
    f"layouts h100-4x8-rail --ep 4,8 --tokens 2048 {FEW}",
    f"advise tests/data/cases/01-h100-experts.toml {SMALL}",
    f"explain {PAPER} --set counted=model-forward --allow-oom",
    f"goodput {PAPER} --workload moepp-1b --set counted=training-step --set workload.batch.phase=training "
    "--allow-oom --checkpoint-s 60 --restart-s 600",
    "flows --topology two-tier-8 --pattern uniform",
    "flows --topology a100-4x8 --pattern zipf16 --makespan-only",
    "topology a100-4x8 --set health.gpu0:node-switch0=0.5",
    "topology full-mesh-16",
    "gate show moepp-1b",
    "gate fit workloads/traces/tiny_moepp_tau025.parquet --rank 1 --bootstrap 2 --order ffn=8,constant=2,copy=1,zero=1 --tau 0.25",
    "gate fit workloads/traces/olmoe_repo_expert_counts.csv --model olmoe",
    "validate FOLDER",
    "validate systems FOLDER/few.csv",
]


def strict(schema):
    """The same schema with unknown keys refused."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: strict(value) for key, value in schema.items()}
    if isinstance(inner.get("properties"), dict) and inner.get("type") == "object":
        inner.setdefault("additionalProperties", False)
    return inner


DATA = ROOT / "calibrate" / "data"
folder = tempfile.TemporaryDirectory()
for table in ("nccl_l40s.parquet", "paper_moepp_table3.csv"):
    shutil.copy(DATA / table, folder.name)
few = (DATA / "systems" / "systems.csv").read_text().splitlines(keepends=True)[:4]
(pathlib.Path(folder.name) / "few.csv").write_text("".join(few))

wrong = 0
for command in COMMANDS:
    command = command.replace("FOLDER", folder.name)
    asked = [BINARY, *shlex.split(command), "--json"]
    ran = subprocess.run(asked, capture_output=True, text=True, cwd=ROOT)
    if ran.returncode != 0:
        sys.exit(f"moesim {command}: {ran.stderr}")
    result = json.loads(ran.stdout)
    name, version = result["schema"].split("/")
    schema = json.loads((ROOT / "docs" / "schemas" / f"{name}.json").read_text())
    for error in Draft7Validator(strict(schema)).iter_errors(result):
        wrong += 1
        print(f"moesim {command}: {error.json_path}: {error.message[:300]}")
    # Or nothing would ever be found.
    broken = {**result, "schema": f"{name}/0", "made_by": 7}
    if len(list(Draft7Validator(strict(schema)).iter_errors(broken))) < 2:
        wrong += 1
        print(f"moesim {command}: the schema of {name} lets a wrong label pass")
sys.exit(f"{wrong} results do not fit their schemas" if wrong else 0)
