"""Gathers the pages of the site: `python3 docs/site/pages.py FOLDER`.

Pages lie in FOLDER/pages as in the repository, so that links between them hold; the guide is cut into one page for each
reader, notebooks and file formats become pages, and links that lead to no page become their text. A link to what does
not exist is a mistake. Needs no package."""

import json
import pathlib
import re
import shutil
import sys

import formats

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDERS = ["", "docs", "topologies", "workloads", "workloads/traces", "scenarios", "notebooks", "calibrate", "calibrate/data/systems"]
# The guide's chapters that are pages of their own.
CHAPTERS = {
    "For an architect": "architect",
    "For a capacity planner": "planner",
    "For a calibration engineer": "engineer",
    "What it does not model": "limits",
}
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
REFERENCE = {
    "moesim": ("Functions", ["moesim"], "Guide: [Python](../docs/python.md)."),
    "results": ("Results", ["moesim.results"], "What the functions give; the keys are those of [the JSON](../formats/README.md)."),
    "engines": ("Engines", ["moesim.engines"], "Where [sweeps](../docs/python.md#sweeps-on-engines) run."),
}


def anchor(heading):
    """The anchor of a heading, as those have who show pages from a repository."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def headings(text):
    """The anchors of a page."""
    shown = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines = [line for line in shown.splitlines() if re.match(r"#{1,6} ", line)]
    given = [re.search(r"\{ #(\S+) \}$", line) for line in lines]
    return {own[1] if own else anchor(line.lstrip("#")) for own, line in zip(given, lines)}


def chapters(text):
    """The guide, cut: what remains, and a page for each chapter of its own."""
    first, *rest = re.split(r"^## ", text, flags=re.MULTILINE)
    kept, pages = first, {}
    for part in rest:
        title, body = part.split("\n", 1)
        if title in CHAPTERS:
            pages[f"docs/{CHAPTERS[title]}.md"] = f"# {title}\n{re.sub(r'^###', '##', body, flags=re.MULTILINE)}"
        else:
            kept += "## " + part
    return {"docs/guide.md": kept, **pages}


def gathered():
    """Every page by its path, before its links are looked at."""
    pages = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).glob("*.md")):
            pages[str(path.relative_to(ROOT))] = path.read_text(encoding="utf-8")
    pages.update(chapters(pages["docs/guide.md"]))
    return pages


class Links:
    """Where links of pages lead on the site."""

    def __init__(self, pages):
        self.pages = pages
        guide = {name for name in pages if name == "docs/guide.md" or name[5:-3] in CHAPTERS.values()}
        self.chapter_of = {own: name for name in guide for own in headings(pages[name])}
        self.wrong, self.pictures = [], set()

    def turned(self, page, text):
        """A page with its links as the site has them."""
        held = []

        def hold(code):
            held.append(code.group(0))
            return f"\0{len(held) - 1}\0"

        text = LINK.sub(lambda link: self.turn(page, link), CODE.sub(hold, text))
        return re.sub(r"\0(\d+)\0", lambda at: held[int(at[1])], text)

    def turn(self, page, link):
        """One link."""
        picture, shown, target = link.groups()
        if re.match(r"[a-z]+:", target):
            return link.group(0)
        path, _, at = target.partition("#")
        here = pathlib.PurePosixPath(page).parent
        to = self.resolved(here, path) if path else page
        if to == "docs/guide.md" or (not path and to[5:-3] in CHAPTERS.values()):
            to = self.chapter_of.get(at, to)
        if to == "docs/schemas":
            to = "formats/README.md"
        elif re.fullmatch(r"formats/[a-z-]+\.json", to):
            return link.group(0)
        elif not (ROOT / to).exists() and to not in self.pages:
            self.wrong.append(f"{page}: {target} does not exist")
        if picture or to.endswith(".svg"):
            self.pictures.add(to)
        elif to not in self.pages and to != "formats/README.md":
            return shown
        if at and to in self.pages and at not in headings(self.pages[to]):
            self.wrong.append(f"{page}: {to} has no heading #{at}")
        return f"{picture}[{shown}]({relative(to, here)}{'#' + at if at else ''})"

    def resolved(self, here, path):
        """A path from the root of the repository."""
        parts = []
        for part in (here / path).parts:
            if part == "..":
                parts = parts[:-1]
            else:
                parts.append(part)
        return "/".join(parts)


def relative(to, here):
    """A path as seen from a folder."""
    up = "../" * len(here.parts)
    return up + to


def notebooks(pages):
    """A page for each notebook, with its picture; their navigation."""
    nav = [{"Notebooks": "notebooks/README.md"}]
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        first, *cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        text = "".join(first["source"]).strip() + f"\n\n![{path.stem}](../docs/pictures/{path.stem}.svg)\n\n"
        text += f"`notebooks/{path.name}`; `notebooks/run {path.stem}` executes it and prints the answer in a sentence.\n\n"
        for cell in cells:
            source = "".join(cell["source"]).strip()
            text += f"{source}\n\n" if cell["cell_type"] == "markdown" else f"```python\n{source}\n```\n\n"
        pages[f"notebooks/{path.stem}.md"] = text
        nav.append({path.stem.replace("_", " ").capitalize(): f"notebooks/{path.stem}.md"})
    return nav


def references(pages):
    """Pages whose text comes from docstrings."""
    for name, (title, modules, said) in REFERENCE.items():
        parts = "\n\n".join(f"::: {module}\n    options: {{show_root_heading: false, show_root_toc_entry: false}}" for module in modules)
        pages[f"reference/{name}.md"] = f"# {title}\n\n{said}\n\n{parts}\n"


def main():
    """Writes the pages, and mkdocs.yml with the navigation."""
    out = pathlib.Path(sys.argv[1])
    shutil.rmtree(out, ignore_errors=True)
    pages = gathered()
    notebooks_nav = notebooks(pages)
    formats_nav = formats.pages(ROOT, pages)
    references(pages)
    links = Links(pages)
    for page, text in pages.items():
        path = out / "pages" / page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(links.turned(page, text), encoding="utf-8")
    if links.wrong:
        sys.exit("\n".join(links.wrong))
    for picture in sorted(links.pictures):
        (out / "pages" / picture).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / picture, out / "pages" / picture)
    for schema in (ROOT / "docs" / "schemas").glob("*.json"):
        shutil.copy(schema, out / "pages" / "formats" / schema.name)
    shutil.copy(HERE / "site.css", out / "pages" / "site.css")
    told = (HERE / "mkdocs.yml").read_text(encoding="utf-8").replace("PYTHON", str(ROOT / "python"))
    for name, nav in [("NOTEBOOKS", notebooks_nav), ("FORMATS", formats_nav)]:
        told = told.replace(name, json.dumps(nav, ensure_ascii=False))
    (out / "mkdocs.yml").write_text(told, encoding="utf-8")


if __name__ == "__main__":
    main()
