"""Verdicts as they come: a line each, so that grading that was interrupted goes on where it stopped."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from sandtable.simulators.language.sandbox.grader import STATUSES


@dataclass(frozen=True)
class KeptVerdict:
    """The verdict of a piece.

    Attributes:
        key: Of the piece.
        status: One of ``STATUSES``.
        cpu_seconds: CPU time of the program; 0 where nothing ran.
        wall_seconds: How long it took.
    """

    key: str
    status: str
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0


def read_verdicts(path: Path) -> dict[str, KeptVerdict]:
    """Return the verdicts of a log by key; a line that was torn when the process was killed is left out."""
    kept: dict[str, KeptVerdict] = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                one = KeptVerdict(**json.loads(line))
            except (ValueError, TypeError):
                continue
            if one.status in STATUSES:
                kept[one.key] = one
    return kept


@contextmanager
def verdict_log(path: Path) -> Iterator["VerdictLog"]:
    """Open a log to add verdicts to it."""
    with path.open("a", encoding="utf-8") as file:
        if path.stat().st_size:
            file.write("\n")  # ends a torn line; blank ones are no harm
        yield VerdictLog(file)


@dataclass(frozen=True)
class VerdictLog:
    """A log of verdicts; each is with the operating system before the next one begins."""

    file: IO[str]

    def add(self, verdict: KeptVerdict) -> None:
        """Write a verdict."""
        self.file.write(json.dumps(asdict(verdict)) + "\n")
        self.file.flush()
