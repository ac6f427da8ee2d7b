"""A progress bar for long work."""

import math
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
            display.update(task, completed=step, total=steps, description=f"{title}  {slowest(row)}")

        yield show


def slowest(row: dict[str, Any]) -> str:
    """Return a line on the replica that is furthest behind: with the least accuracy, or else the largest loss.

    Args:
        row: Of metrics; NaN stands for replicas that are no longer trained. Nothing is said of an empty one.
    """
    if not row:
        return ""
    metric = next(name for name in ("validation_accuracy", "validation_loss", "loss") if name in row)
    values, behind = row[metric], min if metric.endswith("accuracy") else max
    trained = [replica for replica, value in enumerate(values) if not math.isnan(value)]
    name = metric.removeprefix("validation_")
    if len(values) == 1 or not trained:
        return f"{name} {values[0]:.4g}"
    last = behind(trained, key=values.__getitem__)
    return f"{len(trained)} of {len(values)} replicas; the slowest, {last}: {name} {values[last]:.4g}"
