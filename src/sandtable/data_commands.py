"""The commands of ``sandtable data``: look into files, bring data in."""

from collections.abc import Callable
from typing import Literal

import tyro

from sandtable.output import Output, print_json

DEFAULT_OUTPUT = Output()
DataPath = tyro.conf.Positional[str]
Unfinished = Literal["truncated", "terminated"]


def check(
    path: DataPath,
    review_period: str = "W",
    date_format: str | None = None,
    unfinished: Unfinished | None = None,
    output: Output = DEFAULT_OUTPUT,
) -> int:
    """Read data and list what was mended or left out; what cannot be used is refused.

    Args:
        path: The file or folder. What kind of data it is, is told by its content.
        review_period: How often orders are placed, as a pandas offset alias; for sales.
        date_format: How dates are written, needed only where it is ambiguous; for sales.
        unfinished: What the end of an episode without a mark is taken for; for logs.
        output: Where results go.
    """
    return examined(path, False, review_period, date_format, unfinished, output)


def describe(
    path: DataPath,
    review_period: str = "W",
    date_format: str | None = None,
    unfinished: Unfinished | None = None,
    output: Output = DEFAULT_OUTPUT,
) -> int:
    """Say what is in data, after the same checks.

    Args:
        path: The file or folder. What kind of data it is, is told by its content.
        review_period: How often orders are placed, as a pandas offset alias; for sales.
        date_format: How dates are written, needed only where it is ambiguous; for sales.
        unfinished: What the end of an episode without a mark is taken for; for logs.
        output: Where results go.
    """
    return examined(path, True, review_period, date_format, unfinished, output)


def examined(
    path: str,
    describe: bool,
    review_period: str,
    date_format: str | None,
    unfinished: Unfinished | None,
    output: Output,
) -> int:
    """Print what ``check`` or ``describe`` finds."""
    from sandtable.analysis.data_kinds import ReadingOptions, examine

    document = examine(path, describe, ReadingOptions(review_period, date_format, unfinished))
    if output.json:
        print_json(document)
        return 0
    for key, value in document.items():
        print(f"{key}: {value}")
    return 0


DATA_COMMANDS: dict[str, Callable[..., int]] = {"check": check, "describe": describe}
