"""Are results typed, shown in notebooks, and readable as tables without copies?"""

import dataclasses

import moesim
import pytest
from conftest import PLAN, SMALL


@pytest.fixture(scope="module")
def run():
    return moesim.run("paper", set=SMALL, seeds="0..2")


def test_parts_are_typed_and_results_read_back(run):
    assert isinstance(run.results[0], moesim.results.StudyRow)
    assert run.seeds == 2 and isinstance(run.results[1].throughput_increase_percent, float)
    assert type(run).from_json(run.to_json()) == run
    assert run.to_dict()["results"][0]["workload"] == run.results[0].workload
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.seeds = 3


def test_a_notebook_shows_the_picture_and_the_table(run):
    shown = run._repr_html_()
    assert "<svg" in shown and "</svg>" in shown and "<pre>" in shown
    assert run.results[0].model in shown
    assert moesim.memory("paper").svg() is None


def test_a_table_is_read_by_others_without_a_copy():
    pyarrow = pytest.importorskip("pyarrow")
    swept = moesim.sweep(PLAN, progress=False)
    assert len(swept) == 6 * 2 * 2 * 4
    first, second = pyarrow.table(swept), pyarrow.table(swept)
    where = [table["time_ms"].chunk(0).buffers()[1].address for table in (first, second)]
    assert where[0] == where[1], "the columns were copied"
    import pyarrow.parquet

    stored = pyarrow.parquet.read_table(swept.folder / "results.parquet")
    assert stored.column_names == first.column_names and stored.to_pylist() == first.to_pylist()
    assert first.schema.field("time_ms").metadata[b"description"]


@pytest.mark.parametrize("name", ["polars", "pandas", "duckdb"])
def test_other_libraries_take_tables(name, run):
    library = pytest.importorskip(name)
    table = run.table("results")
    if name == "polars":
        frame = library.DataFrame(table)
        assert frame.height == len(run.results) and "workload" in frame.columns
    elif name == "pandas":
        frame = library.DataFrame.from_arrow(table)
        assert len(frame) == len(run.results)
    else:
        reader = table  # noqa: F841
        assert library.sql("select count(*) from reader").fetchall() == [(len(run.results),)]


def test_the_readme_s_example_runs():
    import pathlib
    import re

    text = (pathlib.Path(__file__).parents[1] / "README.md").read_text()
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(code, {})
