"""Pages on file formats and results, one a kind, from the JSON Schemas in docs/schemas: keys, types, units, meaning."""

import json
import re

FILES = ["scenario", "topology", "workload", "plan", "profile", "overheads", "prices"]
# The last words of a result's key are its unit.
UNITS = {
    "_gb_per_s": "GB/s", "_tokens_per_s": "tokens/s", "tokens_per_s": "tokens/s", "_per_usd": "per US dollar", "_per_w": "per W", "_tflops": "TFLOP/s",
    "_tflops_per_gpu": "TFLOP/s", "_per_s": "1/s", "_ms": "ms", "_us": "µs", "_s": "s", "_hours": "hours", "_bytes": "bytes", "_percent": "%",
    "_usd": "US dollars", "_watts": "W", "_w": "W", "_share": "of 1", "_points": "points", "days": "days", "watts": "W", "usd": "US dollars", "bytes": "bytes",
}


def unit_of(key):
    """The unit that a key's name ends with."""
    bare = re.sub(r"_(low|high|least|each|most|assumed)$", "", key)
    fitting = [end for end in UNITS if bare.endswith(end)]
    return UNITS[max(fitting, key=len)] if fitting else ""


class Page:
    """A page on one kind."""

    def __init__(self, schema):
        self.schema, self.definitions = schema, schema.get("definitions", {})
        self.paths = {}
        self.walk(schema, "")

    def target(self, schema):
        """The definition that a schema stands for."""
        name = schema["$ref"].rsplit("/", 1)[1]
        return name, self.definitions[name]

    def walk(self, schema, path):
        """Notes where each table stands in a file, the first place of each."""
        if not isinstance(schema, dict):
            return
        if "$ref" in schema:
            name, inner = self.target(schema)
            if name not in self.paths and self.is_table(inner):
                self.paths[name] = path
                self.walk(inner, path)
            return
        for key, value in schema.get("properties", {}).items():
            self.walk(value, f"{path}.{key}" if path else key)
        for word in ("anyOf", "oneOf", "allOf"):
            for one in schema.get(word, []):
                self.walk(one, path)
        self.walk(schema.get("items"), f"{path}[]")
        self.walk(schema.get("additionalProperties"), f"{path}.NAME" if path else "NAME")

    @staticmethod
    def is_table(schema):
        """Whether a definition has keys of its own."""
        return "properties" in schema or "oneOf" in schema

    def type_of(self, schema):
        """The type of a value, and its unit where it is written with one."""
        if schema is True or not schema:
            return "anything", ""
        if "$ref" in schema:
            name, inner = self.target(schema)
            return (f"[table](#{name.lower()})", "") if self.is_table(inner) else self.type_of(inner)
        for word in ("allOf", "anyOf", "oneOf"):
            if word in schema:
                told = [self.type_of(one) for one in schema[word] if one.get("type") != "null"]
                return " or ".join(dict.fromkeys(one for one, _ in told)), next((unit for _, unit in told if unit), "")
        if "const" in schema:
            return f"`{json.dumps(schema['const'])}`", ""
        if "enum" in schema:
            return ", ".join(f"`{json.dumps(word)}`" for word in schema["enum"] if word is not None), ""
        if "pattern" in schema and schema.get("examples"):
            example = str(schema["examples"][0])
            units = re.search(r"\(([^()]*)\)\\s\*\$$", schema["pattern"])
            return f"text such as `{json.dumps(example, ensure_ascii=False)}`", ", ".join(units[1].split("|")[:9]) if units else "written with it"
        return self.plain(schema)

    def plain(self, schema):
        """The type of a value that is no reference, word or quantity."""
        words = schema.get("type", "anything")
        words = [word for word in ([words] if isinstance(words, str) else words) if word != "null"]
        if words == ["array"]:
            inner, unit = self.type_of(schema.get("items", {}))
            return f"list of {inner}", unit
        if words == ["object"]:
            values = schema.get("additionalProperties")
            return ("table" if values in (None, True, False) else f"table of {self.type_of(values)[0]}"), ""
        said = " or ".join({"string": "text", "integer": "whole number", "boolean": "true or false"}.get(word, word) for word in words)
        low, high = schema.get("minimum"), schema.get("maximum")
        if low is not None and low == high:
            said = f"`{short(low)}`"
        elif low is not None and high is not None:
            said += f", {short(low)} to {short(high)}"
        elif low:
            said += f", at least {short(low)}"
        return said, ""

    def rows(self, schema, is_file):
        """The table of an object's keys."""
        needed = schema.get("required", [])
        heads = ["key", "type", "unit", *(["left out"] if is_file else []), "meaning"]
        text = f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}\n"
        for key, value in schema.get("properties", {}).items():
            said, unit = self.type_of(value)
            meaning = value.get("description") or (self.target(value)[1].get("description", "") if "$ref" in value else "")
            absent = "needed" if key in needed else "" if value.get("default") in (None, {}, []) else f"`{json.dumps(value['default'])}`"
            cells = [f"`{key}`", said, unit or ("" if is_file else unit_of(key)), *([absent] if is_file else []), " ".join(meaning.split())]
            text += f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"
        return text

    def table(self, schema, is_file):
        """The keys of an object; one of several objects, where it is that."""
        if "properties" in schema:
            return self.rows(schema, is_file)
        one = {"properties": {key: value for own in schema["oneOf"] for key, value in own.get("properties", {}).items()}}
        return "One of:\n\n" + self.rows(one, is_file)

    def text(self, kind, template):
        """The page."""
        is_file = kind in FILES
        text = f"# {kind}\n\n{self.schema.get('description', '').rstrip('.')}. The JSON Schema: [{kind}.json]({kind}.json), or `moesim schema {kind}`.\n\n"
        if template:
            text += f"A file to start from, as `moesim new {kind}` writes it:\n\n```toml\n{template.strip()}\n```\n\n"
        text += f"## Keys\n\n{self.rows(self.schema, is_file)}\n"
        for name, path in sorted(self.paths.items(), key=lambda own: own[1]):
            inner = self.definitions[name]
            text += f"## `{f'[{path}]' if is_file else path}` {{ #{name.lower()} }}\n\n"
            said = " ".join(inner.get("description", "").split())
            text += (said + "\n\n" if said else "") + self.table(inner, is_file) + "\n"
        return text


def short(number):
    """A number as people write it."""
    return f"{number:g}" if abs(number) < 1e4 or number != int(number) else f"{int(number):,}"


VERSIONS = """# File formats

Files that moesim reads are TOML; what commands print with `--json` is described by the same kind of schema. These pages are
made from the JSON Schemas that editors and programs use. [What you can rely on](../docs/trust.md) says how versions grow.

| files | what it is |
|---|---|
"""


def pages(root, pages):
    """Adds the pages; their navigation."""
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((root / "docs" / "schemas").glob("*.json"))}
    results = [kind for kind in found if kind not in FILES]
    index, nav = VERSIONS, {"Files": [], "Results": []}
    for kind in [*FILES, *results]:
        if kind == results[0]:
            index += "\n| results | what it is |\n|---|---|\n"
        schema = found[kind]
        template = root / "sim" / "config" / "templates" / f"{kind}.toml"
        pages[f"formats/{kind}.md"] = Page(schema).text(kind, template.read_text(encoding="utf-8") if template.exists() else "")
        index += f"| [{kind}]({kind}.md) | {schema.get('description', '')} |\n"
        nav["Files" if kind in FILES else "Results"].append({kind: f"formats/{kind}.md"})
    pages["formats/README.md"] = index
    return [{"File formats": "formats/README.md"}, *({name: own} for name, own in nav.items())]
