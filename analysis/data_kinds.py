"""The kinds of data that can be looked into, each known by its content."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sandtable.simulators.errors import InputError


@dataclass(frozen=True)
class ReadingOptions:
    """How ambiguous data is read.

    Attributes:
        review_period: How often orders are placed, as a pandas offset alias; for sales.
        date_format: How dates are written; for sales.
        unfinished: What the end of an episode without a mark is taken for; for logs.
    """

    review_period: str = "W"
    date_format: str | None = None
    unfinished: Literal["truncated", "terminated"] | None = None


@dataclass(frozen=True)
class DataKind:
    """A kind of data.

    Attributes:
        name: What it is called.
        recognises: Tells from a path whether the data is of this kind; reads no more than it must.
        examine: Reads the data and returns a document of what was mended or left out, and, if asked to describe, of
            what is there. It raises `InputError` for what cannot be used.
    """

    name: str
    recognises: Callable[[str], bool]
    examine: Callable[[str, bool, ReadingOptions], dict[str, Any]]


def examine(path: str, describe: bool, options: ReadingOptions) -> dict[str, Any]:
    """Return what is in data, or only what was mended in it.

    Args:
        path: File or folder, or the name of a Minari dataset.
        describe: Also say what is there.
        options: How ambiguous data is read.

    Raises:
        InputError: The data cannot be used: what is wrong, and where.
    """
    if os.path.isdir(path) and not os.listdir(path):
        raise InputError(f"{path}: the folder is empty")
    kind = next(kind for kind in KINDS if kind.recognises(path))
    return {"file": path} | kind.examine(path, describe, options)


def is_log(path: str) -> bool:
    """Tell whether data is a log of experience."""
    from sandtable.simulators.ope.log_file import is_log

    return is_log(path)


def examine_log(path: str, describe: bool, options: ReadingOptions) -> dict[str, Any]:
    """Return what a log of experience holds."""
    from sandtable.simulators.ope.log_file import describe_log, read_log

    log = read_log(path, unfinished=options.unfinished)
    return {"warnings": list(log.warnings)} | (describe_log(log) if describe else {})


def examine_sales(path: str, describe: bool, options: ReadingOptions) -> dict[str, Any]:
    """Return what a history of sales holds."""
    from sandtable.simulators.inventory.sales_file import describe_sales, read_sales

    history = read_sales(path, review_period=options.review_period, date_format=options.date_format)
    return {"repairs": history.repairs} | (describe_sales(history) if describe else {})


def is_games_cache(path: str) -> bool:
    """Tell whether data is a cache of recorded games."""
    from sandtable.simulators.nethack.cache import is_cache

    return is_cache(Path(path))


def examine_games_cache(path: str, describe: bool, options: ReadingOptions) -> dict[str, Any]:
    """Return what a cache of recorded games holds."""
    from sandtable.simulators.nethack.examination import examine_cache

    return examine_cache(Path(path), describe)


def is_recorded_games(path: str) -> bool:
    """Tell whether data is a recorded game, or a folder of them."""
    from sandtable.simulators.nethack.sources import is_source

    return is_source(Path(path))


def examine_recorded_games(path: str, describe: bool, options: ReadingOptions) -> dict[str, Any]:
    """Return what recorded games hold."""
    from sandtable.simulators.nethack.examination import examine_recordings

    return examine_recordings(Path(path), describe)


def is_completions(path: str) -> bool:
    """Tell whether data is a file of completions."""
    from sandtable.simulators.language.completions_file import is_completions

    return is_completions(path)


def examine_completions(path: str, describe: bool, options: ReadingOptions) -> dict[str, Any]:
    """Return what a file of completions holds."""
    from sandtable.analysis.language.examined_files import examined_completions

    return examined_completions(path, describe)


def is_tasks(path: str) -> bool:
    """Tell whether data is a file of tasks; any other JSON Lines file is taken for one, so that its reader names it."""
    from sandtable.simulators.language.tasks_file import is_tasks

    return is_tasks(path) or path.removesuffix(".gz").endswith(".jsonl")


def examine_tasks(path: str, describe: bool, options: ReadingOptions) -> dict[str, Any]:
    """Return what a file of tasks holds."""
    from sandtable.analysis.language.examined_files import examined_tasks

    return examined_tasks(path, describe)


def is_features(path: str) -> bool:
    """Tell whether data is a folder of features."""
    from sandtable.simulators.language.features_folder import SUFFIX, is_features

    return is_features(path) or path.rstrip("/").endswith(SUFFIX)


def examine_features(path: str, describe: bool, options: ReadingOptions) -> dict[str, Any]:
    """Return what a folder of features holds."""
    from sandtable.analysis.language.examined_files import examined_features

    return examined_features(path, describe)


KINDS = (
    DataKind("features", is_features, examine_features),
    DataKind("completions", is_completions, examine_completions),
    DataKind("tasks", is_tasks, examine_tasks),
    DataKind("games cache", is_games_cache, examine_games_cache),
    DataKind("recorded games", is_recorded_games, examine_recorded_games),
    DataKind("log", is_log, examine_log),
    DataKind("sales", lambda path: True, examine_sales),
)
"""In the order in which they are tried; what no other kind recognises is taken for sales."""
