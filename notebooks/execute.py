"""Executes notebooks from clean kernels and says what each concludes: `execute.py [--check] [NAME...]`.

They put their pictures into docs/pictures. With --check these must come out byte for byte as they were: what came out
instead is kept in target/pictures, docs/pictures stays, and the status is 4."""

import pathlib
import sys

import nbclient
import nbformat

HERE = pathlib.Path(__file__).parent
PICTURES = HERE.parent / "docs" / "pictures"
check = "--check" in sys.argv
before = {path: path.read_bytes() for path in PICTURES.glob("*.svg")}
names = [name for name in sys.argv[1:] if name != "--check"] or sorted(path.stem for path in HERE.glob("*.ipynb"))
failed = 0
for name in names:
    notebook = nbformat.read(HERE / f"{name}.ipynb", as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(HERE)}})
    try:
        client.execute()
    except nbclient.exceptions.CellExecutionError as error:
        failed += 1
        print(f"{name}: {error.ename}: {error.evalue}")
        continue
    texts = [
        output["text"].strip()
        for cell in notebook.cells if cell.cell_type == "code"
        for output in cell.outputs if output.output_type == "stream" and output["name"] == "stdout"
    ]
    print(f"{name}: {texts[-1] if texts else 'no conclusion'}")
other = [path for path in sorted(PICTURES.glob("*.svg")) if path.read_bytes() != before.get(path)] if check else []
for path in other:
    made = HERE.parent / "target" / "pictures" / path.name
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_bytes(path.read_bytes())
    print(f"docs/pictures/{path.name} is not what its notebook draws now, which is {made}: look at it, and run notebooks/run")
    if path in before:
        path.write_bytes(before[path])
    else:
        path.unlink()
print(f"{len(names) - failed} passed, {failed} failed")
sys.exit(1 if failed else 4 if other else 0)
