"""The one exception of the package."""

from __future__ import annotations


class MoesimError(ValueError):
    """A mistake in what was asked: where it is, what was found, and how to fix it.

    ``str()`` of it is the message of the command line, with the line of the file that is meant.
    """

    file: str
    """The file, the name of what is built in, or the option; empty where it is none of them."""
    line: int | None
    """The line of the file, from 1."""
    key: str
    """The dotted key, or the option; empty where there is none."""
    found: str
    """What was found."""
    help: str
    """How to fix it."""

    def __init__(self, message: str, file: str, line: int | None, key: str, found: str, help: str) -> None:
        super().__init__(message, file, line, key, found, help)
        self.file, self.line, self.key, self.found, self.help = file, line, key, found, help

    def __str__(self) -> str:
        return str(self.args[0])


def mistake(found: str, help: str, key: str = "") -> MoesimError:
    """A mistake that Python's side found."""
    shown = f"{key}: {found}" if key else found
    return MoesimError(f"{shown}\n  help: {help}", "", None, key, found, help)
