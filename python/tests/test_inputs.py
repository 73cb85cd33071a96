"""Are files taken as paths, texts and dicts, and mistakes placed where they are?"""

import tomllib

import moesim
import pytest
from conftest import ROOT, SMALL


def test_a_dict_a_text_and_a_name_are_the_same_cluster():
    text = moesim.topology("h100-4x8-rail").text
    told = [moesim.cluster(given) for given in ("h100-4x8-rail", text, tomllib.loads(text))]
    assert len({str(one) for one in told}) == 1


def test_a_scenario_of_dicts_runs():
    workload = tomllib.loads(moesim.workload("moepp-1b").text)
    workload["batch"]["tokens_per_gpu"] = 512
    scenario = {
        "schema": 1,
        "name": "own",
        "topology": tomllib.loads(moesim.topology("h100-4x8-rail").text),
        "counted": "moe-layer",
        "seeds": "0..1",
        "compare": [{"vanilla": "moe-1b", "moepp": workload}],
    }
    assert moesim.load(scenario).kind == "scenario"
    run = moesim.run(scenario, vanilla__batch__tokens_per_gpu=512)
    assert run.scenario == "own" and len(run.results) == 2


@pytest.mark.parametrize("kind", ["topology", "workload", "scenario"])
def test_the_kind_of_a_file_is_told(kind, tmp_path):
    name = moesim.built_in(kind)[0]
    made = getattr(moesim, kind)(name)
    assert moesim.load(name).kind == kind
    path = tmp_path / "own.toml"
    path.write_text(made.text)
    assert moesim.load(path).kind == kind
    assert moesim.load(made.text).kind == kind


def test_a_mistake_says_file_line_key_and_help(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(moesim.workload("moe-1b").text.replace("layers ", "leyers ", 1))
    with pytest.raises(moesim.MoesimError) as raised:
        moesim.workload(path)
    error = raised.value
    line = path.read_text().splitlines().index(next(x for x in path.read_text().splitlines() if "leyers" in x)) + 1
    assert (error.file, error.line, error.key) == (str(path), line, "model.leyers")
    assert "unknown key" in error.found and "layers" in error.help
    assert f"{path}:{line}" in str(error) and isinstance(error, ValueError)


@pytest.mark.parametrize(
    ("ask", "key", "help"),
    [
        (lambda: moesim.plan("h100-4x8-rail"), "", "tokens_per_s"),
        (lambda: moesim.plan("h100-4x8-rail", step_ms=-1), "step_ms", "above zero"),
        (lambda: moesim.compare("h100-4x8-rail", counted="layers"), "counted", "moe-layer"),  # pyright: ignore
        (lambda: moesim.compare("h100-4x8-rial"), "", "h100-4x8-rail"),
        (lambda: moesim.layouts("h100-4x8-rail", tau=[0]), "tau", "from"),
        (lambda: moesim.run("paper", workload__batch__micro_batche=1), "batch.micro_batche", "micro_batches"),
    ],
)
def test_wrong_options_are_refused_with_help(ask, key, help):
    with pytest.raises(moesim.MoesimError) as raised:
        ask()
    assert raised.value.key == key and help in raised.value.help + raised.value.found


def test_errors_survive_a_process_boundary():
    import pickle

    with pytest.raises(moesim.MoesimError) as raised:
        moesim.run("papre")
    again = pickle.loads(pickle.dumps(raised.value))
    assert (str(again), again.help) == (str(raised.value), raised.value.help)


def test_overrides_are_the_same_as_lines_a_dict_and_keywords():
    lines = [f"{key}={value}" for key, value in SMALL.items()]
    told = [
        moesim.run("paper", set=SMALL, seeds="0..1"),
        moesim.run("paper", set=lines, seeds="0..1"),
        moesim.run("paper", counted="moe-layer", workload__batch__micro_batches=1, seeds="0..1"),
    ]
    assert len({str(one.results) for one in told}) == 1


def test_a_config_json_becomes_the_workload_that_the_command_line_writes(binary, tmp_path):
    import json

    source = ROOT / "workloads" / "sources" / "qwen3-30b-a3b.json"
    text = binary("import", str(source))
    given = [source, str(source)]
    assert [moesim.from_config(one).text for one in given] == [text] * 2
    named = [json.loads(source.read_text()), source.read_text()]
    assert [moesim.from_config(one, name="qwen3-30b-a3b").text for one in named] == [text] * 2
    made = moesim.from_config(source, gpus=16)
    assert "expert_parallel   = 16" in made.text and "17 used" in made.account
    run = moesim.compare("h100-4x8-rail", vanilla=made, seeds="0..1", workload__model__layers=1)
    assert run.clusters[0].tokens_per_s > 0


def test_a_config_of_what_is_not_simulated_is_refused(tmp_path):
    with pytest.raises(moesim.MoesimError, match="hidden_size"):
        moesim.from_config({"model_type": "resnet"})
    with pytest.raises(moesim.MoesimError, match="cannot be read"):
        moesim.from_config(tmp_path / "none.json")
