"""Where the commands put their results, and how they show them."""

import json
import math
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandtable.analysis.store import RunStore


@dataclass(frozen=True)
class Output:
    """Where results go and how they are shown.

    Attributes:
        json: Print one JSON document on standard output, and nothing else there.
        runs: Folder that holds the runs.
        verbose: Show where in the code an error arose.
    """

    json: bool = False
    runs: Path = Path("runs")
    verbose: bool = False


def run_store(output: Output) -> "RunStore":
    """Return the store of runs.

    Raises:
        InputError: ``--runs`` is no folder, or one that cannot be written to.
    """
    from sandtable.analysis.store import RunStore
    from sandtable.simulators.errors import InputError

    there = next(folder for folder in (output.runs, *output.runs.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise InputError(f"--runs {output.runs}: {there} is a file; name a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"--runs {output.runs}: {there} cannot be written to; name another folder")
    return RunStore(output.runs)


def say(output: Output, text: str) -> None:
    """Print a remark, unless standard output is reserved for JSON."""
    if not output.json:
        print(text)


def tell_stage(title: str) -> None:
    """Say on standard error what begins now."""
    print(f"{title} ...", file=sys.stderr)


def tell_nobody(title: str) -> None:
    """Say nothing."""


def with_interval(value: float, low: float | None, high: float | None, places: int) -> str:
    """Return a sum of money with its interval, if that is known."""
    interval = "" if low is None or high is None else f" [{low:z,.{places}f}, {high:z,.{places}f}]"
    return f"{value:z,.{places}f}{interval}"


def show(output: Output, document: Any, rows: list[dict[str, Any]]) -> None:
    """Print a document as JSON, or its rows as a table."""
    if output.json:
        print_json(document)
    else:
        print_table(rows)


def print_json(document: Any) -> None:
    """Print one JSON document; numbers that JSON lacks become null."""
    print(json.dumps(finite(document), allow_nan=False))


def finite(value: Any) -> Any:
    """Return a document of dicts and lists with None for NaN and the infinities."""
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print rows as a table on standard output."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for number, name in enumerate(rows[0] if rows else []):
        table.add_column(name.replace("_", " "), justify="left" if number == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    console = Console(width=None if sys.stdout.isatty() else 140, markup=False)
    with console.capture() as drawn:
        console.print(table)
    print(drawn.get(), end="")  # not by rich, which ends the program when nobody reads
