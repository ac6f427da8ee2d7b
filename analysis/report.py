"""Reports: one self-contained HTML file that says what was asked, what the answer is, and how it can be checked.

A ``Report`` is data; ``render`` makes the page from ``templates/``. All text is escaped, so names from a user's file
may hold anything. The page loads nothing, and its policy forbids it to; its script sorts tables and saves the numbers.
"""

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sandtable.analysis.store import to_plain, write_atomically
from sandtable.analysis.study import ClaimOutcome

MISSING = "–"


class Interval(NamedTuple):
    """An estimate and its uncertainty; a cell that shows ``12.3 [10.1, 14.5]`` and sorts by the estimate."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its heading, with the unit if there is one.
        kind: ``text``, or what its numbers are; ``percent`` shows the fraction 0.25 as 25%.
        decimals: Decimal places of numbers.
        currency: Sign in front of money.
    """

    title: str
    kind: Literal["text", "number", "percent", "money"] = "text"
    decimals: int = 1
    currency: str = ""

    def show(self, value: Any) -> str:
        """Return the text of a cell.

        Args:
            value: None and NaN show a dash; in a column of numbers anything else is a number or an ``Interval``.

        Raises:
            ValueError: No number in a column of numbers.
        """
        if value is None:
            return MISSING
        if self.kind == "text":
            return str(value)
        if isinstance(value, Interval):
            known = not (_missing(value.low) and _missing(value.high))
            return self._unit(value.value) + (
                f" [{self._digits(value.low)}, {self._digits(value.high)}]" if known else ""
            )
        return self._unit(value)

    def key(self, value: Any) -> str:
        """Return what a cell is sorted by; empty: after all others."""
        if isinstance(value, Interval):
            value = value.value
        if self.kind == "text":
            return "" if value is None else str(value)
        return "" if _missing(value) else repr(float(value))

    def _unit(self, value: Any) -> str:
        digits = self._digits(value)
        if digits == MISSING or self.kind == "number":
            return digits
        if self.kind == "percent":
            return f"{digits}%"
        return f"−{self.currency}{digits[1:]}" if digits.startswith("−") else f"{self.currency}{digits}"

    def _digits(self, value: Any) -> str:
        if _missing(value):
            return MISSING
        try:
            number = float(value) * (100 if self.kind == "percent" else 1)
        except (TypeError, ValueError) as error:
            raise ValueError(f"column {self.title!r} holds numbers, not {value!r}") from error
        size = "∞" if math.isinf(number) else f"{abs(number):,.{self.decimals}f}"
        return f"−{size}" if number < 0 and re.search("[1-9∞]", size) else size


@dataclass(frozen=True)
class Table:
    """A table that readers can sort.

    Attributes:
        caption: What it shows.
        columns: Its columns; the first one names the rows.
        rows: A value a column in each row; see ``Column.show``.
        totals: Rows that stay below the others however these are sorted.
        note: What a reader must know to read it right, in small print.
    """

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    totals: Sequence[Sequence[Any]] = ()
    note: str = ""
    block: Literal["table"] = field(default="table", init=False)

    def __post_init__(self) -> None:
        for number, row in enumerate([*self.rows, *self.totals], start=1):
            if len(row) != len(self.columns):
                raise ValueError(f"{self.caption!r}, row {number}: {len(row)} values for {len(self.columns)} columns")


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
        caption: What it shows and what to see in it.
        svg: As ``figures.to_svg`` returns it; trusted, but for scripts, which are refused.
        alt: What the figure shows, if its own title and description do not say it already.
    """

    caption: str
    svg: str
    alt: str = ""
    block: Literal["figure"] = field(default="figure", init=False)

    def __post_init__(self) -> None:
        if not self.svg.startswith("<svg") or re.search(r"<script|<foreignobject|\son\w+\s*=", _tags(self.svg), re.I):
            raise ValueError("svg must be an <svg> element without scripts")


class KeyFigure(NamedTuple):
    """A number that matters: its name, its text with the unit, and what puts it into proportion."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class KeyFigures:
    """A few numbers side by side."""

    figures: Sequence[KeyFigure]
    block: Literal["key_figures"] = field(default="key_figures", init=False)


@dataclass(frozen=True)
class Note:
    """A remark set apart: an assumption, or a warning."""

    text: str
    title: str = ""
    block: Literal["note"] = field(default="note", init=False)


Block = Table | Figure | KeyFigures | Note


@dataclass(frozen=True)
class Section:
    """A part of a report: paragraphs (blank lines separate them), then blocks."""

    title: str
    text: str = ""
    blocks: Sequence[Block] = ()


@dataclass(frozen=True)
class Report:
    """What a page says.

    Attributes:
        title: Of the page.
        question: What was asked, one sentence.
        answer: The answer in one sentence, with its uncertainty.
        sections: What supports the answer.
        claims: What a paper claims, and whether it holds here.
        provenance: What the numbers come from, by name; values may be mappings.
        data: The numbers behind the page, which ``store.to_plain`` takes; readers can save them.
        key_figures: The few numbers of the first screen.
    """

    title: str
    question: str
    answer: str
    sections: Sequence[Section] = ()
    claims: Sequence[ClaimOutcome] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    data: Any = None
    key_figures: Sequence[KeyFigure] = ()


def render(report: Report) -> str:
    """Return the page of a report."""
    environment = _environment()
    script = environment.get_template("report.js").render()
    return environment.get_template("report.html.j2").render(
        report=report,
        css=Markup(environment.get_template("report.css").render()),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        data=_embedded_json(report.data),
    )


def write(report: Report, path: Path) -> None:
    """Write the page of a report to ``path``, atomically."""
    write_atomically(path, render(report))


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _tags(svg: str) -> str:
    """Return the tags of an SVG without the text between them."""
    return " ".join(re.findall(r"<[^>]*>", svg))


def _embedded_json(data: Any) -> Markup:
    """Return JSON that is safe inside a script element: no tag can begin in it."""
    text = json.dumps(to_plain(data), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _paragraphs(text: str) -> list[str]:
    return [paragraph.strip() for paragraph in re.split(r"\n\s*\n", text) if paragraph.strip()]


def _short_number(value: float | None) -> str:
    """Return up to four significant digits; for numbers whose unit is not known."""
    if _missing(value):
        return "NaN" if value is not None else MISSING
    return f"{value:.4g}".replace("-", "−")


def _criterion(outcome: ClaimOutcome) -> str:
    """Return what the paper's value is for the claim: the value itself or a bound."""
    paper = _short_number(outcome.paper_value)
    return paper if outcome.relation == "within" else f"{outcome.relation} {paper}"


def _tolerance(outcome: ClaimOutcome) -> str:
    """Return how far beyond the paper's value the observed one may be, in words; nothing if it may not."""
    sign = {"within": "±", "at least": "−", "at most": "+"}[outcome.relation]
    return f"tolerance {sign}{_short_number(outcome.tolerance)}" if outcome.tolerance else ""


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("sandtable.analysis", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    environment.filters |= {
        "paragraphs": _paragraphs,
        "short_number": _short_number,
        "sort_key": Column("", "number").key,
        "criterion": _criterion,
        "tolerance": _tolerance,
        "trusted": Markup,
    }
    return environment
