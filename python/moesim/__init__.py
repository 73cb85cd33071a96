"""Predicts what distributed Mixture-of-Experts layers take, and what MoE++'s zero-computation experts gain.

```python
import moesim

run = moesim.run("paper", seeds="0..2")
print(run)
```

Functions ask what the command of their name asks, and give the same result, digit for digit; ``docs/python.md`` is the
guide. Mistakes are ``MoesimError``. The interpreter's lock is released while moesim works, and Ctrl-C ends the wait
at once.
"""

from __future__ import annotations

from . import engines, results
from ._commands import advise, cluster, compare, explain, flows, goodput, layouts, memory, plan, run, validate
from ._errors import MoesimError
from ._inputs import File, Given, file, from_config, is_toml
from ._moesim import Table, __version__, kind_of, names
from ._sweep import Swept, merge, sweep

__all__ = [
    "File",
    "MoesimError",
    "Swept",
    "Table",
    "__version__",
    "advise",
    "built_in",
    "cluster",
    "compare",
    "engines",
    "explain",
    "flows",
    "from_config",
    "goodput",
    "layouts",
    "load",
    "memory",
    "merge",
    "plan",
    "results",
    "run",
    "scenario",
    "sweep",
    "topology",
    "validate",
    "workload",
]


def topology(given: Given) -> File:
    """A cluster, checked: built in, a file, a TOML text or a dict with the keys of a topology file."""
    return file("topology", given, check=True)


def workload(given: Given) -> File:
    """A model and its batch, checked: built in, a file, a TOML text or a dict with the keys of a workload file."""
    return file("workload", given, check=True)


def scenario(given: Given) -> File:
    """A scenario, checked: built in, a file, a TOML text or a dict. In a dict ``topology`` and the workloads of
    ``compare`` may be what ``topology`` and ``workload`` gave."""
    return file("scenario", given, check=True)


def load(given: Given) -> File:
    """A file of any kind, told by its keys, checked: a path, a TOML text or a dict; or what is built in."""
    if isinstance(given, File):
        return file(given.kind, given, check=True)
    made = file("plan", given)
    for kind in ("scenario", "topology", "workload"):
        if isinstance(given, str) and not is_toml(given) and given in names(kind):
            return file(kind, given, check=True)
    kind = kind_of(made.text)
    return file(kind or "scenario", given, check=True)


def built_in(kind: str) -> list[str]:
    """The names of what is built in: of ``"topology"``, ``"workload"``, ``"scenario"``, ``"profile"``,
    ``"overheads"`` or ``"prices"``."""
    return names(kind)
