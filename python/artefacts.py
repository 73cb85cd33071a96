"""Looks at what is handed out: `python3 python/artefacts.py FOLDER` with one wheel and one source distribution."""

import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
# Megabytes. A wheel holds the library with its profiles, a source distribution what compiles to it.
WHEEL, SOURCE = 16, 7
PACKAGE = {f"moesim/{path.name}" for path in (HERE / "moesim").iterdir() if path.suffix in (".py", ".pyi", ".typed")}
DIST_INFO = {"METADATA", "RECORD", "WHEEL", "licenses/LICENSE-APACHE", "licenses/LICENSE-MIT", "licenses/NOTICE", "sboms/moesim-python.cyclonedx.json"}
# What the source distribution needs beside the extension's own sources, and what has no place in it.
NEEDED = ["python/src/lib.rs", "moesim/__init__.py", "sim/lib.rs", "workloads/moepp-1b.toml", "topologies/a100-4x8.toml",
          "calibrate/profiles/a100-sxm.parquet", "pyproject.toml", "PKG-INFO", "LICENSE-MIT", "NOTICE", "Cargo.lock"]
REFUSED = re.compile(r"(^|/)(docs/pictures|traces|sources|\.venv|target|fuzz|notebooks)/|\.(svg|ipynb|so|whl)$")


def wheel(path):
    """What is wrong with a wheel."""
    names = {name for name in zipfile.ZipFile(path).namelist() if not name.endswith("/")}
    info = {name for name in names if ".dist-info/" in name}
    yield from (f"lacks {name}" for name in PACKAGE - names)
    yield from (f"lacks {name}" for name in DIST_INFO - {name.split("/", 1)[1] for name in info})
    yield from (f"holds {name}" for name in names - PACKAGE - info if not re.fullmatch(r"moesim/_moesim\.abi3\.so", name))
    if path.stat().st_size > WHEEL << 20:
        yield f"is of more than {WHEEL} MiB"


def source(path):
    """What is wrong with a source distribution."""
    names = {name.split("/", 1)[-1] for name in tarfile.open(path).getnames()}
    yield from (f"lacks {name}" for name in NEEDED if name not in names)
    yield from (f"holds {name}" for name in sorted(names) if REFUSED.search(name))
    if path.stat().st_size > SOURCE << 20:
        yield f"is of more than {SOURCE} MiB"
    # Every manifest is there, with the files that it names, and what is built is what the lock file says: cargo takes packages
    # from it of which nothing is here, those of the calibration tool, and may not put another in.
    with tempfile.TemporaryDirectory() as folder:
        tarfile.open(path).extractall(folder, filter="data")
        (root,) = pathlib.Path(folder).iterdir()
        before = locked(root)
        asked = ["cargo", "metadata", "--format-version", "1", "--offline", "--manifest-path", "python/Cargo.toml"]
        told = subprocess.run(asked, cwd=root, capture_output=True, text=True)
        if told.returncode != 0:
            yield f"has no sound manifest: {told.stderr.strip()}"
        yield from (f"locks no {name} {version}" for name, version in sorted(locked(root) - before))


def locked(root):
    """Packages of a lock file, with their versions."""
    return set(re.findall(r'^name = "(.+)"\nversion = "(.+)"$', (root / "Cargo.lock").read_text(), re.MULTILINE))


def main():
    """Says how large they are, or what is wrong."""
    folder, wrong = pathlib.Path(sys.argv[1]), []
    for pattern, judge in [("*.whl", wheel), ("*.tar.gz", source)]:
        (path,) = folder.glob(pattern)
        wrong += [f"{path.name} {what}" for what in judge(path)]
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
    sys.exit("\n".join(wrong) if wrong else 0)


if __name__ == "__main__":
    main()
