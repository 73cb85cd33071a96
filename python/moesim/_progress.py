"""Progress by whatever is installed: tqdm, else rich; none where nobody looks."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from typing import Optional

Told = Optional[Callable[[int, int], None]]


def _seen() -> bool:
    """Whether a person looks: a terminal, or a notebook."""
    return sys.stderr is not None and (sys.stderr.isatty() or "ipykernel" in sys.modules)


@contextlib.contextmanager
def bar(what: str, wanted: bool) -> Iterator[Told]:
    """A function to call with how many of how many are done; None where no bar is shown."""
    if not wanted or not _seen():
        yield None
    elif importlib.util.find_spec("tqdm") is not None:
        with _tqdm(what) as told:
            yield told
    elif importlib.util.find_spec("rich") is not None:
        with _rich(what) as told:
            yield told
    else:
        yield None


@contextlib.contextmanager
def _tqdm(what: str) -> Iterator[Told]:
    from tqdm.auto import tqdm  # type: ignore[import-untyped, import-not-found, unused-ignore]

    with tqdm(unit=" " + what, delay=1, leave=False) as shown:

        def told(done: int, all: int) -> None:
            shown.total = all
            shown.update(done - shown.n)

        yield told


@contextlib.contextmanager
def _rich(what: str) -> Iterator[Told]:
    from rich.progress import Progress  # type: ignore[import-not-found, unused-ignore]

    with Progress(transient=True) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, all: shown.update(task, completed=done, total=all)
