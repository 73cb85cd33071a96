"""Checks a built site: `python3 docs/site/check.py FOLDER`. Links lead to files and anchors that are there, and nothing is
loaded from elsewhere: no scripts, fonts, styles or pictures. Needs no package."""

import html.parser
import pathlib
import re
import sys
import urllib.parse

# What a browser loads by itself, by tag. A link (`a`) is followed by whoever clicks it.
LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src", "embed": "src", "object": "data"}
LINKED = {"stylesheet", "icon", "shortcut", "preload", "prefetch", "preconnect", "dns-prefetch", "modulepreload", "manifest"}


class Page(html.parser.HTMLParser):
    """What a page links to and loads, and the anchors that it has."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loads, self.anchors = [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        own = dict(attributes)
        self.anchors.update(own[key] for key in ("id", "name") if own.get(key))
        if tag in LOADS and own.get(LOADS[tag]):
            self.loads.append(own[LOADS[tag]])
        if tag == "link" and LINKED & set((own.get("rel") or "").split()):
            self.loads.append(own.get("href") or "")
        if tag == "a" and own.get("href"):
            self.links.append(own["href"])
        # The theme fetches mermaid and MathJax from elsewhere where a page asks for them.
        if {"mermaid", "arithmatex"} & set((own.get("class") or "").split()):
            self.loads.append("https://unpkg.com/")
        self.loads += re.findall(r"url\(\s*['\"]?([^'\")]+)", own.get("style") or "")


def outside(url):
    """Whether a URL is of another host."""
    return bool(re.match(r"(?:[a-z]+:)?//", url))


def main():
    """Prints what is wrong, and ends with status 1 if anything is."""
    site = pathlib.Path(sys.argv[1]).resolve()
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    wrong, links = [], 0
    for path, page in pages.items():
        name = path.relative_to(site)
        wrong += [f"{name}: loads {url}" for url in page.loads if outside(url)]
        for url in [*page.links, *page.loads]:
            if re.match(r"[a-z]+:", url) or outside(url):
                continue
            links += 1
            where, _, anchor = urllib.parse.unquote(url).partition("#")
            # A page for what is not found is shown at any address.
            base = site if where.startswith("/") else path.parent
            to = (base / where.split("?")[0].lstrip("/")).resolve() if where else path
            to = to / "index.html" if to.is_dir() else to
            if not to.exists():
                wrong.append(f"{name}: {url} leads nowhere")
            elif anchor and to in pages and anchor not in pages[to].anchors:
                wrong.append(f"{name}: {url} has no such anchor")
    for style in site.rglob("*.css"):
        urls = re.findall(r"(?:url\(\s*|@import\s+)['\"]?([^'\")\s;]+)", style.read_text(encoding="utf-8"))
        wrong += [f"{style.relative_to(site)}: loads {url}" for url in urls if outside(url)]
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"site: {len(pages)} pages, {links} links lead somewhere, nothing is loaded from elsewhere")


if __name__ == "__main__":
    main()
