"""What results have in common: reading from JSON, showing themselves, becoming tables."""

from __future__ import annotations

import dataclasses
import functools
import html
import json
import types
import typing
from typing import Any, TypeVar

from . import _moesim

if typing.TYPE_CHECKING:
    from ._moesim import Table

P = TypeVar("P", bound="Part")


class Part:
    """A part of a result: values in stated units, by attribute."""

    @classmethod
    def _of(cls: type[P], values: dict[str, Any]) -> P:
        """From the JSON object that has these keys."""
        kinds = _kinds(cls)
        # Keys that are no names of Python, such as `class`, are attributes with an underscore behind.
        known = {name: read(kind, values.get(name.removesuffix("_"))) for name, kind in kinds.items()}
        return cls(**known)

    def to_dict(self) -> dict[str, Any]:
        """As dicts, lists and values."""
        return _plain(self)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={_short(getattr(self, name))}" for name in _kinds(type(self)))
        return f"{type(self).__name__}({shown})"


@functools.cache
def _kinds(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _plain(value: Any) -> Any:
    if isinstance(value, Part):
        return {name.removesuffix("_"): _plain(getattr(value, name)) for name in _kinds(type(value))}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value


def _short(value: Any) -> str:
    if isinstance(value, list) and len(value) > 4:
        return f"[{len(value)} × {type(value[0]).__name__}]"
    return repr(value)


def read(kind: Any, value: Any) -> Any:
    """A JSON value as the type that a class states for it."""
    if value is None:
        return None
    origin, of = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return read(next(one for one in of if one is not type(None)), value)
    if origin is list:
        return [read(of[0], one) for one in value]
    if origin is dict:
        return {key: read(of[1], one) for key, one in value.items()}
    if isinstance(kind, type) and issubclass(kind, Part):
        return kind._of(value)
    # A number that JSON writes without a fraction.
    return float(value) if kind is float else value


class Result(Part):
    """A command's result. Printed, it is the command line's text; in a notebook, its picture and that text."""

    _json: str

    @classmethod
    def from_json(cls: type[P], text: str) -> P:
        """From what the command line printed with ``--json``, or ``to_json`` gave."""
        result = cls._of(json.loads(text))
        object.__setattr__(result, "_json", text)
        return result

    def to_json(self) -> str:
        """What the command line prints with ``--json``, byte for byte."""
        return self._json

    def __str__(self) -> str:
        # Of some results nothing but their JSON is kept.
        return _moesim.text(self._json) or self._json

    def svg(self) -> str | None:
        """The picture that fits it best, as SVG; None where there is none."""
        return _moesim.picture(self._json)

    def _repr_html_(self) -> str:
        return f"{self.svg() or ''}<pre>{html.escape(str(self))}</pre>"

    def table(self, rows: str) -> Table:
        """A list in it as a table, such as ``run.table("results")``: Arrow by the C stream interface, which Polars,
        pandas, DuckDB and pyarrow take without copying. Objects in a row become columns ``outer.inner``."""
        return _moesim.table_of_rows(json.dumps(json.loads(self._json)[rows]))
