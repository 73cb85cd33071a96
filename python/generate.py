"""Writes moesim/results.py, the classes of results, from their JSON Schemas: `python3 python/generate.py [--check]`."""

import json
import keyword
import pathlib
import sys
import textwrap

HERE = pathlib.Path(__file__).resolve().parent
SCHEMAS = HERE.parent / "docs" / "schemas"
OUT = HERE / "moesim" / "results.py"

HEAD = '''"""Results, one class for each command: what `moesim COMMAND --json` prints, key for key, with units in the names.

Written by python/generate.py from the JSON Schemas in docs/schemas/.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ._result import Part, Result

__all__ = [
{names}
]
'''


def named(definition):
    """A class for `definitions/NAME` of a schema."""
    return definition.rsplit("/", 1)[1]


def kind(schema):
    """The Python type of a value."""
    if "$ref" in schema:
        return named(schema["$ref"])
    if "allOf" in schema:
        return kind(schema["allOf"][0])
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(kind(one) for one in schema["anyOf"]))
    if "const" in schema:
        return "str"
    if "enum" in schema:
        words = ", ".join(json.dumps(word) for word in schema["enum"] if word is not None)
        return f"Literal[{words}]" + (" | None" if None in schema["enum"] else "")
    words = schema.get("type", [])
    words = [words] if isinstance(words, str) else words
    return " | ".join(one(word, schema) for word in words) or "object"


def one(word, schema):
    """The Python type of one of a value's types."""
    if word == "array":
        return f"list[{kind(schema['items'])}]"
    if word == "object":
        return f"dict[str, {kind(schema['additionalProperties'])}]"
    return {"string": "str", "number": "float", "integer": "int", "boolean": "bool", "null": "None"}[word]


def documented(text, indent):
    """A docstring."""
    width = 100 - len(indent)
    lines = textwrap.wrap(" ".join(text.split()).replace("\\\\", "\\\\\\\\"), width - 6) or ["A part of a result."]
    if len(lines) == 1:
        return f'{indent}"""{lines[0]}"""\n'
    return f'{indent}"""' + f"\n{indent}".join(lines) + f'\n{indent}"""\n'


def written(name, schema, base):
    """A class as text."""
    text = f"\n\n@dataclass(frozen=True, repr=False)\nclass {name}({base}):\n"
    text += documented(schema.get("description", ""), "    ")
    for key, value in schema.get("properties", {}).items():
        # `class` and `from` are no names of Python.
        name = key + "_" if keyword.iskeyword(key) else key
        text += f"\n    {name}: {kind(value)}\n"
        inner = value.get("description")
        if inner:
            text += documented(inner, "    ")
    return text


def main():
    """Writes or checks the file."""
    parts, results = {}, {}
    for path in sorted(SCHEMAS.glob("*-result.json")):
        schema = json.loads(path.read_text())
        name = path.stem.removesuffix("-result").title() + "Result"
        results[name] = schema
        for own, inner in schema.get("definitions", {}).items():
            if parts.setdefault(own, inner) != inner:
                sys.exit(f"{own} of {path} is another elsewhere")
    classes = {name for name, schema in parts.items() if schema.get("type") == "object"}
    names = "\n".join(f'    "{name}",' for name in sorted({*classes, *results}))
    text = HEAD.format(names=names)
    for name, schema in sorted(parts.items()):
        if name in classes:
            text += written(name, schema, "Part")
        else:
            text += f"\n\n{name} = {kind(schema)}\n"
    for name, schema in sorted(results.items()):
        text += written(name, schema, "Result")
    if "--check" in sys.argv:
        if OUT.read_text() != text:
            sys.exit("python/moesim/results.py is not what python3 python/generate.py writes")
    else:
        OUT.write_text(text)


if __name__ == "__main__":
    main()
