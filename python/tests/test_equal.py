"""Is a result the one that the command line prints, bit for bit?"""

import json

import moesim
import pytest
from conftest import ROOT, SMALL

FEW = {"seeds": "0..2", "progress": False}
ASKED = {
    "run": lambda: moesim.run("paper", set=SMALL, seeds="0..2"),
    "run with threads": lambda: moesim.run("paper", set=SMALL, seeds="0..1", threads=1, tau=[0.75]),
    "run to a precision": lambda: moesim.run("paper", set=SMALL, seeds="0..1", tau=[0.75], precision="1%"),
    "memory": lambda: moesim.memory("paper", workload__batch__micro_batches=2),
    "explain": lambda: moesim.explain("paper", set=SMALL, seeds="0..1", workload="moepp-1b", tau=0.75),
    "advise": lambda: moesim.advise("moe-1b", topology="h100-4x8-rail", counted="moe-layer", seeds="0..2", tau=0.5),
    "compare": lambda: moesim.compare(["h100-4x8-rail", "gb200-nvl72"], set={"workload.batch.tokens_per_gpu": 512}, **FEW),
    "compare at equal cost": lambda: moesim.compare("h100-4x8-rail", equal="cost", vanilla="moe-1b", moepp="moepp-1b", **FEW),
    "plan": lambda: moesim.plan("h100-4x8-rail", tokens_per_s=20e6, tau=[0.5, 1.0], max_usd=1e9, **FEW),
    "layouts": lambda: moesim.layouts("h100-4x8-rail", ep=[8, 32], tokens=[512], tau=[0.75], **FEW),
    "goodput": lambda: moesim.goodput(
        "paper", checkpoint_s=60, restart_s=600, days=20, set={**SMALL, "counted": "training-step", "workload.batch.phase": "training"}, seeds="0..1"
    ),
    "cluster": lambda: moesim.cluster("h100-4x8-rail", nodes__count=2),
    "flows": lambda: moesim.flows(pattern="zipf16", gpus=32, engine="exact", set={"nodes.nic.bandwidth": "200 Gb/s"}),
}


@pytest.mark.parametrize("name", ASKED)
def test_the_command_line_prints_the_same(name, binary):
    result = ASKED[name]()
    ours, theirs = result.to_json(), binary(*result.made_by.arguments)
    if name == "flows":
        # What the machine was at is no result.
        ours, theirs = [json.loads(text) for text in (ours, theirs)]
        for own in (ours, theirs):
            assert own.pop("cpu_s") >= 0 and own.pop("peak_rss_bytes") > 0
    assert ours == theirs


@pytest.mark.parametrize("name", ["run", "compare", "memory", "cluster"])
def test_its_text_is_that_of_the_command_line(name, binary):
    result = ASKED[name]()
    arguments = [word for word in result.made_by.arguments if word != "--json"]
    assert str(result) == binary(*arguments)


def test_validation_is_that_of_the_command_line(binary, tmp_path):
    (tmp_path / "data").mkdir()
    table = "gemm_a100_sxm.parquet"
    (tmp_path / "data" / table).write_bytes((ROOT / "calibrate" / "data" / table).read_bytes())
    folder = str(tmp_path / "data")
    ours = moesim.validate(folder, leave_out="shape")
    assert ours.to_json() == binary("validate", folder, "--leave-out=shape", "--json")
    assert ours.files[0].rows > 0 and table.removesuffix(".parquet") in str(ours) and "svg" in (ours.svg() or "")


def test_published_systems_are_those_of_the_command_line(binary, tmp_path):
    table = (ROOT / "calibrate" / "data" / "systems" / "systems.csv").read_text().splitlines(keepends=True)
    (tmp_path / "few.csv").write_text("".join(table[:4]))
    few = str(tmp_path / "few.csv")
    ours = moesim.validate(systems=few)
    assert ours.to_json() == binary("validate", "systems", few, "--json") == str(ours)
    assert [row.id for row in ours.rows] == [line.split(",")[0] for line in table[1:4]]


def test_a_text_handed_over_gives_what_the_file_gives(binary, tmp_path):
    text = moesim.topology("h100-4x8-rail").text
    path = tmp_path / "h100-4x8-rail.toml"
    path.write_text(text)
    ours = moesim.compare(text, **FEW)
    theirs = json.loads(binary("compare", str(path), "--seeds", "0..2", "--json"))
    ours = json.loads(ours.to_json())
    for own in (ours, theirs):
        del own["made_by"]
    assert json.dumps(ours) == json.dumps(theirs).replace(str(path), path.name)
