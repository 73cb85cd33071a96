"""Executes notebooks from clean kernels and says what each concludes."""

import pathlib
import sys

import nbclient
import nbformat

HERE = pathlib.Path(__file__).parent
names = sys.argv[1:] or sorted(path.stem for path in HERE.glob("*.ipynb"))
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
print(f"{len(names) - failed} passed, {failed} failed")
sys.exit(1 if failed else 0)
