"""Runs the commands that pages of docs/ show and puts in what they print: `python3 docs/remake.py [--check]`.

A shown command is a block that begins with ```console; its first lines up to the first without a trailing
backslash are the command, the rest is what it prints. `--check` compares instead of writing, pictures
included. A refusal is shown where the page shows one already: a block with a line that begins with "error:".
MOESIM names the binary; target/release/moesim otherwise."""

import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).parent.parent
BINARY = os.environ.get("MOESIM", str(ROOT / "target" / "release" / "moesim"))
PAGES = [ROOT / "docs" / page for page in ("answers.md", "systems.md", "transcripts.md")]
PICTURES = "docs/pictures/"
check = "--check" in sys.argv
wrong = []


def remade(block, folder):
    lines = block.group(1).split("\n")
    end = next(at for at, line in enumerate(lines) if not line.endswith("\\"))
    command = " ".join(line.rstrip("\\") for line in lines[: end + 1])
    words = shlex.split(command.removeprefix("$ "))
    assert words[0] == "moesim", command
    pictures = [word for word in words if word.startswith(PICTURES)]
    there = [word.replace(PICTURES, f"{folder}/") if check else word for word in words[1:]]
    done = subprocess.run([BINARY, *there], capture_output=True, text=True, cwd=ROOT)
    refused = any(line.startswith("error:") for line in lines[end + 1 :])
    if (done.returncode != 0) != refused:
        raise SystemExit(f"{command}\n{done.stderr}")
    for picture in pictures if check else []:
        made = pathlib.Path(folder) / picture.removeprefix(PICTURES)
        if made.read_bytes() != (ROOT / picture).read_bytes():
            wrong.append(picture)
    said = (done.stdout + (done.stderr if refused else "")).replace(f"{folder}/", PICTURES)
    said = "\n".join(line.rstrip() for line in said.rstrip().split("\n"))
    return "```console\n" + "\n".join(lines[: end + 1]) + "\n" + said + "\n```"


with tempfile.TemporaryDirectory() as folder:
    for page in PAGES:
        text = page.read_text()
        new = re.sub(r"```console\n(.*?)\n```", lambda block: remade(block, folder), text, flags=re.DOTALL)
        if check and new != text:
            wrong.append(page.name)
        elif not check:
            page.write_text(new)
if wrong:
    raise SystemExit(f"not what the commands give now: {', '.join(wrong)}; run docs/remake.py and look at them")
print("docs: remade" if not check else "docs: as their commands give it")
