"""The figures of games."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sandtable.analysis.figures import COLOURS, SOFT, house_style, new_figure, to_svg
from sandtable.analysis.play.games import GameRow
from sandtable.analysis.report import Figure

ABOVE: Any = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "ncols": 3, "borderaxespad": 0.3}
"""Where a legend hides no data."""
SKEWED = 20.0
"""From this ratio of the largest value to the median on, values are shown on a scale of logarithms."""


def distribution(values: np.ndarray, name: str, summary: Mapping[str, Any]) -> Figure:
    """Draw how many games had which value, with mean and median.

    Args:
        values: [n], one a game, n >= 1.
        name: What they are.
        summary: Of the values, as the document has it.
    """
    logarithmic = bool(values.min() >= 0 and values.max() > SKEWED * max(float(np.median(values)), 1.0))
    with house_style():
        figure, axes = new_figure(height=2.9)
        bins = _edges(values, logarithmic)
        axes.hist(values, bins=bins, color=COLOURS[0], alpha=0.45, edgecolor="white", linewidth=0.6)
        for what, ends, colour, style in (
            ("mean", "ci", COLOURS[1], "-"), ("median", "median_ci", COLOURS[2], "--"),
        ):  # fmt: skip
            low, high = summary[ends]
            if np.isfinite(low) and high > low:
                axes.axvspan(low, high, color=colour, alpha=0.18, linewidth=0)
            axes.axvline(summary[what], color=colour, linestyle=style, label=what)
        if logarithmic:
            axes.set_xscale("symlog", linthresh=1.0)
            axes.set_xlim(left=0)
        axes.set_xlabel(name)
        axes.set_ylabel("games")
        axes.legend(**ABOVE)
        svg = to_svg(figure, f"Distribution of the {name}", f"Histogram of the {name} of {len(values)} games.")
    scale = " The axis is one of logarithms." if logarithmic else ""
    return Figure(f"The {name} of the games. Shaded: the intervals of mean and median.{scale}", svg)


def _edges(values: np.ndarray, logarithmic: bool) -> np.ndarray:
    """Return the edges of bins: of whole numbers, about as wide as a whole number of them."""
    count = int(np.clip(2 * np.sqrt(len(values)), 8, 40))
    low, high = float(values.min()), float(values.max())
    if logarithmic:
        return np.concatenate([[0.0], np.geomspace(1.0, high * 1.001, count)])
    if low == high:
        return np.array([low - 0.5, high + 0.5])
    if np.all(values == np.floor(values)):
        width = max(1.0, float(np.ceil((high - low + 1) / count)))
        return np.arange(low - 0.5, high + width, width)
    return np.linspace(low, high, count + 1)


def ends(counts: Mapping[str, int]) -> Figure:
    """Draw how the games ended."""
    names = [name for name, count in counts.items() if count]
    numbers = [counts[name] for name in names]
    with house_style():
        figure, axes = new_figure(height=0.9 + 0.28 * len(names))
        places = np.arange(len(names))
        axes.barh(places, numbers, height=0.6, color=[SOFT if name == "lost" else COLOURS[0] for name in names])
        for place, number in zip(places, numbers, strict=True):
            axes.annotate(f"{number:,}", (number, place), xytext=(3, 0), textcoords="offset points", va="center")
        axes.set_yticks(places, [name.replace("_", " ") for name in names])
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(0, 1.12 * max(numbers))
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("games")
        shown = ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in zip(names, numbers, strict=True))
        svg = to_svg(figure, "How the games ended", f"Bars: {shown}.")
    return Figure("How the games ended.", svg)


def against_length(rows: Sequence[GameRow], values: np.ndarray, name: str) -> Figure | None:
    """Draw each game's value against its length; None where all games were of one length, or are only one.

    Args:
        rows: Games that were finished.
        values: Of each of them.
        name: What the values are.
    """
    length = np.array([row.length for row in rows], dtype=np.float64)
    if len(np.unique(length)) < 2:
        return None
    with house_style():
        figure, axes = new_figure(height=2.9)
        axes.plot(length, values, "o", linestyle="none", markersize=3, alpha=0.6)
        if length.max() > SKEWED * np.median(length):
            axes.set_xscale("log")
        axes.set_xlabel("length, steps")
        axes.set_ylabel(name)
        svg = to_svg(figure, f"The {name} against the length", f"A point a game, {len(rows)} in all.")
    return Figure(
        f"The {name} of each game against its length. Where they go together, the first games to finish are no fair "
        "sample of all: here each game that was begun is played to its end.",
        svg,
    )
