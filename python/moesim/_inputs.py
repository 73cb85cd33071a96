"""Topologies, workloads, scenarios and plans: built in, in a file, as TOML, or as a dict."""

from __future__ import annotations

import json
import os
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Union

from . import _moesim
from ._errors import mistake

Given = Union[str, "os.PathLike[str]", Mapping[str, Any], "File"]
"""What a file may be given as: a built-in name, a path, a TOML text, a dict, or a ``File``."""


class File:
    """A file of moesim: its kind, the name that it goes by, and its text where it lies in no file."""

    kind: str
    """``topology``, ``workload``, ``scenario`` or ``plan``."""
    name: str
    """Its path, its built-in name, or for a text its own name with ``.toml``."""
    account: str
    """What became of the keys of the config.json that it was made of; empty if it was made of none."""

    def __init__(self, kind: str, name: str, text: str | None = None, named: Mapping[str, str] | None = None) -> None:
        self.kind, self.name, self._text, self.account = kind, name, text, ""
        self._named = dict(named or {})

    @property
    def text(self) -> str:
        """Its TOML."""
        if self._text is not None:
            return self._text
        built_in = _moesim.built_in(self.kind, self.name)
        if built_in is not None:
            return built_in
        with open(self.name, encoding="utf-8") as file:
            return file.read()

    def handed_over(self) -> dict[str, str]:
        """The texts that take the place of files, by name."""
        own = {} if self._text is None else {self.name: self._text}
        return {**self._named, **own}

    def __repr__(self) -> str:
        return f"moesim.{self.kind}({self.name!r})"


def is_toml(text: str) -> bool:
    """Whether a str is a TOML text, not a name or a path: it has lines."""
    return "\n" in text


def file(kind: str, given: Given, *, check: bool = False) -> File:
    """What was given as a file of a kind."""
    if isinstance(given, File):
        if given.kind != kind:
            raise mistake(f"{given!r} is no {kind}", f"give a {kind}")
        return given
    if isinstance(given, Mapping):
        values, named = _with_files(kind, given)
        text = _moesim.to_toml(json.dumps(values, default=_plain))
        made = File(kind, f"{given.get('name', kind)}.toml", text, named)
    elif isinstance(given, str) and is_toml(given):
        name = re.search(r'^name\s*=\s*["\']([^"\']+)', given, re.MULTILINE)
        made = File(kind, f"{name[1] if name else kind}.toml", given)
    else:
        made = File(kind, os.fspath(given))
    if check:
        _moesim.check(kind, made.name, made.handed_over())
    return made


def from_config(
    config: str | os.PathLike[str] | Mapping[str, Any],
    *,
    name: str | None = None,
    source: str | None = None,
    gpus: int | None = None,
    ffn_slots: float | None = None,
    architecture: str | None = None,
) -> File:
    """A workload of a model's config.json, as on Hugging Face: what ``moesim import`` writes.

    Shapes are as the file says. Batch, layout and gate are stated guesses, to be changed by overrides or in the
    workload's ``text``; ``account`` says what became of every key.

    Args:
        config: a path, a JSON text, or a dict such as ``transformers``' ``config.to_dict()``.
        name: the workload's name; that of the file, or of its folder where that is config.json, if None.
        source: where the config comes from, for the workload's ``source``.
        gpus: GPUs that share the experts, a divisor of their number; those of a node of 8 if None.
        ffn_slots: slots of a token that go to FFN experts on average, in a model with zero-computation experts.
        architecture: read it as this ``model_type``, where its own is not known.
    """
    place, own = "config.json", "model"
    if isinstance(config, Mapping):
        text = json.dumps(config, default=_plain)
    elif isinstance(config, str) and config.lstrip().startswith("{"):
        text = config
    else:
        path = pathlib.Path(os.fspath(config))
        place, own = str(path), path.stem if path.stem != "config" else path.absolute().parent.name
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise mistake(f"{place} cannot be read: {error}", "name a model's config.json", "config") from error
    made, account = _moesim.imported(place, text, name or own, source, gpus, architecture, ffn_slots)
    workload = File("workload", f"{name or own}.toml", made)
    workload.account = account
    return workload


# Under which keys a file names others.
_NAMES = {"scenario": {"topology": "topology"}, "plan": {"scenario": "scenario"}}


def _with_files(kind: str, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """A dict whose values under the keys that name files may be given as those are."""
    values, named = dict(given), dict[str, str]()

    def name(kind: str, value: Any) -> Any:
        if isinstance(value, (File, Mapping)) or (isinstance(value, str) and is_toml(value)):
            inner = file(kind, value)
            named.update(inner.handed_over())
            return inner.name
        return os.fspath(value) if isinstance(value, os.PathLike) else value

    for key, of in _NAMES.get(kind, {}).items():
        if key in values:
            values[key] = name(of, values[key])
    if kind == "scenario" and isinstance(values.get("compare"), list):
        pairs = values["compare"]
        values["compare"] = [{role: name("workload", one) for role, one in pair.items()} for pair in pairs]
    return values, named


def _plain(value: Any) -> Any:
    """What JSON does not know: paths, and numbers of numpy."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} has no TOML form")


def overrides(set: Mapping[str, Any] | Iterable[str] | None, keywords: Mapping[str, Any]) -> list[str]:
    """Overrides as ``--set`` takes them: ``{"workload.batch.tokens_per_gpu": 4096}``, lines ``key=value``, or keywords
    with two underscores for a dot."""
    given = set or {}
    lines = [f"{key}={literal(value)}" for key, value in given.items()] if isinstance(given, Mapping) else list(given)
    return lines + [f"{key.replace('__', '.')}={literal(value)}" for key, value in keywords.items()]


def with_precision(keywords: Mapping[str, Any], precision: str | None) -> dict[str, Any]:
    """Keywords with the precision that is asked for, where one is."""
    return {**keywords, **({} if precision is None else {"precision": precision})}


def literal(value: Any) -> str:
    """A value as ``--set`` reads it: a text bare, all else as TOML."""
    if isinstance(value, str):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return json.dumps(value, default=_plain)
