"""A progress bar for long work."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Progress = Callable[[int, int, dict[str, Any]], None]
"""Called with the step, the number of steps, and the latest row of metrics."""


@contextmanager
def bar(title: str) -> Iterator[Progress]:
    """Show a bar on standard error while the block runs; nothing if that is not a terminal.

    Yields:
        What ``fit`` takes as ``progress``.
    """
    if not sys.stderr.isatty():
        yield lambda step, steps, row: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as display:
        task = display.add_task(title, total=None)

        def show(step: int, steps: int, row: dict[str, Any]) -> None:
            loss = sum(row["loss"]) / len(row["loss"])
            display.update(task, completed=step, total=steps, description=f"{title}  loss {loss:.4g}")

        yield show
