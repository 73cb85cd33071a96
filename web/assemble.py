"""Puts the page of `moesim explore` and its engine into one file: `assemble.py ENGINE.wasm OUT.html`.

All of it lies within the page, so that it works from any web host, from a file share and from a disk, where browsers
refuse a page its neighbours. Its policy lets it ask nobody for anything.
"""

import base64
import gzip
import sys
from pathlib import Path

HERE = Path(__file__).parent
EXPLORE = HERE.parent / "cli/explore"
PAGE = HERE.parent / "sim/output/page"
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'wasm-unsafe-eval'; worker-src blob:; "
    "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
)


def replaced(page: str, old: str, new: str) -> str:
    """The page with one place changed, which must be there."""
    assert page.count(old) == 1, f"the page holds {page.count(old)} of {old}"
    return page.replace(old, new)


def script(text: str, attributes: str = "") -> str:
    """A script within the page."""
    assert "</script" not in text
    return f"<script{attributes}>\n{text}</script>"


def assembled(engine: bytes) -> str:
    """The page."""
    page = (EXPLORE / "page.html").read_text()
    for style in (PAGE / "page.css", EXPLORE / "explore.css"):
        link = f'<link rel="stylesheet" href="{style.name}">'
        page = replaced(page, link, f"<style>\n{style.read_text()}</style>")
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    page = replaced(page, '<meta charset="utf-8">', f'<meta charset="utf-8">\n{policy}')
    packed = base64.b64encode(gzip.compress(engine, mtime=0)).decode()
    parts = [
        script(packed, ' type="text/plain" id="module"'),
        script((HERE / "worker.js").read_text(), ' type="text/plain" id="worker"'),
        script((HERE / "engine.js").read_text()),
        script((EXPLORE / "explore.js").read_text()),
    ]
    page = replaced(page, '<script src="page.js"></script>', script((PAGE / "page.js").read_text()))
    page = replaced(page, "<main>", "<main>\n" + (HERE / "note.html").read_text())
    return replaced(page, '<script src="explore.js"></script>', "\n".join(parts))


if __name__ == "__main__":
    engine, out = map(Path, sys.argv[1:])
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(assembled(engine.read_bytes()))
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, of which the engine {engine.stat().st_size / 1e6:.1f} MB unpacked")
