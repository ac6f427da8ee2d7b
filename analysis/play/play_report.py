"""The report on games: how well the policy does, how sure that is, how the games ended."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from sandtable.analysis.play import figures
from sandtable.analysis.play.document import COLUMNS, QUANTITIES, number
from sandtable.analysis.play.games import GameRow
from sandtable.analysis.report import Block, Column, Interval, KeyFigure, Note, Report, Section, Table

MOST_GAMES = 1000
"""Games that the page lists; the table beside it has all."""
STATISTICS = ("mean", "standard error", "median", "10 % are below", "90 % are below", "largest")


def play_report(
    rows: Sequence[GameRow], document: Mapping[str, Any], answer: str, alpha: float, provenance: Mapping[str, Any]
) -> Report:
    """Return the report.

    Args:
        rows: The games, by seed.
        document: What ``--json`` prints; readers can save it.
        answer: The outcome in a sentence.
        alpha: Intervals hold the truth with probability 1 - alpha.
        provenance: What the numbers come from.
    """
    first, last = document["seeds"]
    arguments = ", ".join(f"{name} {value}" for name, value in document["arguments"].items())
    return Report(
        title=f"{document['policy']} in {document['env']}",
        question=(
            f"How well does the policy {document['policy']} do in {document['env']}"
            f"{f' with {arguments}' if arguments else ''}, judged by the games of seeds {first} to {last}?"
        ),
        answer=answer,
        sections=[
            *_warnings(document),
            _outcome(rows, document, alpha),
            _ends(document),
            _games(rows),
            _method(document, alpha),
        ],
        provenance=provenance,
        data=document,
        key_figures=_key_figures(document),
    )


def headline(document: Mapping[str, Any]) -> str:
    """Return which quantity says how well it went: the score where there is one, else the return."""
    return "return" if document["score"] is None else "score"


def _key_figures(document: Mapping[str, Any]) -> list[KeyFigure]:
    name = headline(document)
    told, finished = document[name], document["games"] - document["lost"]
    if told is None:
        return []
    low, high = told["ci"]
    speed = document["steps_per_cpu_second"]
    return [
        KeyFigure(f"Mean {name}", number(told["mean"]), "" if low != low else f"{number(low)} to {number(high)}"),
        KeyFigure(f"Median {name}", number(told["median"]), f"best {number(told['max'])}"),
        KeyFigure("Games", f"{finished:,}", f"{document['lost']:,} lost" if document["lost"] else "none lost"),
        KeyFigure("Steps", f"{document['steps']:,}", "" if speed is None else f"{speed:,.0f} a CPU-second"),
    ]


def _warnings(document: Mapping[str, Any]) -> list[Section]:
    notes = [Note(one["message"]) for one in document["warnings"]]
    return [Section("Warnings", blocks=notes)] if notes else []


def _outcome(rows: Sequence[GameRow], document: Mapping[str, Any], alpha: float) -> Section:
    """Return the numbers and how they are spread."""
    name = headline(document)
    finished = [row for row in rows if not row.lost]
    values = np.array([getattr(row, QUANTITIES[name]) for row in finished], dtype=np.float64)
    blocks: list[Block] = []
    if len(values) and np.isfinite(values).all():
        blocks.append(figures.distribution(values, name, document[name]))
    told = {one: document[one] for one in QUANTITIES if document[one] is not None}
    columns = [Column(one, "number", decimals(summary["mean"], summary["se"])) for one, summary in told.items()]
    statistics = zip(STATISTICS, *(_statistics(summary) for summary in told.values()), strict=True)
    caption = f"What a game comes to, with {1 - alpha:.0%} intervals"
    blocks.append(Table(caption, [Column("statistic"), *columns], list(statistics)))
    if len(values) and np.isfinite(values).all():
        drawn = figures.against_length(finished, values, name)
        blocks += [] if drawn is None else [drawn]
    return Section("What the games came to", blocks=blocks)


def _statistics(summary: Mapping[str, Any]) -> list[Any]:
    """Return the cells of a quantity's column."""
    mean, median = Interval(summary["mean"], *summary["ci"]), Interval(summary["median"], *summary["median_ci"])
    return [mean, summary["se"], median, summary["q10"], summary["q90"], summary["max"]]


def decimals(mean: float, error: float) -> int:
    """Return the decimal places that the standard error warrants: two digits of it."""
    scale = error if np.isfinite(error) and error > 0 else abs(mean) / 100
    return int(np.clip(1 - np.floor(np.log10(scale)), 0, 6)) if scale > 0 else 1


def _ends(document: Mapping[str, Any]) -> Section:
    return Section("How the games ended", blocks=[figures.ends(document["end"])])


def _games(rows: Sequence[GameRow]) -> Section:
    """Return the games, those that come first if there are many."""
    told = [name for name, attribute in COLUMNS.items() if any(getattr(row, attribute) is not None for row in rows)]
    kinds: dict[str, Literal["text", "number"]] = {"end": "text"}
    columns = [Column(name.replace("_", " "), kinds.get(name, "number"), _places(rows, name)) for name in told]
    shown = [[getattr(row, COLUMNS[name]) for name in told] for row in rows[:MOST_GAMES]]
    more = f" The first {MOST_GAMES:,} of {len(rows):,}." if len(rows) > MOST_GAMES else ""
    return Section("The games", blocks=[Table(f"A row a game; games.csv has them all.{more}", columns, shown)])


def _places(rows: Sequence[GameRow], name: str) -> int:
    values = [value for row in rows if (value := getattr(row, COLUMNS[name])) is not None] if name != "end" else []
    return 0 if all(float(value).is_integer() for value in values) else 3


def _method(document: Mapping[str, Any], alpha: float) -> Section:
    """Return how the numbers came about."""
    reproducible = {
        True: "The environment says that seed and actions decide everything in them. ",
        False: "The environment says that seed and actions do not decide everything in them. ",
        None: "",
    }[document["reproducible"]]
    return Section(
        "How the numbers came about",
        "The games of these seeds were played, and no others, each to its end; the first of many games to finish would "
        "favour those that end early. What comes out does not depend on how many were under way at the same time. "
        f"{reproducible}Games that were lost are in no mean.\n\n"
        f"The interval of the mean is Student's t with the skewness of the values taken out (Hall, 1992). That of the "
        f"median lies between two order statistics, and misses with a probability of at most {alpha:g} whatever the "
        "distribution. Both take the games for independent draws. Speed counts the time of environment and policy in "
        "all processes.",
    )
