import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sandtable.analysis.figures import house_style, new_figure, to_svg
from sandtable.analysis.report import (
    Column,
    Figure,
    Interval,
    KeyFigure,
    KeyFigures,
    Note,
    Report,
    Section,
    Table,
    render,
    write,
)
from sandtable.analysis.study import ClaimOutcome

HOSTILE = "</script><script>document.title = 'broken'</script>"


def drawing(title: str) -> str:
    with house_style():
        figure, axes = new_figure()
        axes.plot([1, 2, 3], [3, 1, 2])
        axes.set_title(HOSTILE)
        return to_svg(figure, title, HOSTILE)


def outcome(status: str, observed: float | None) -> ClaimOutcome:
    return ClaimOutcome("coins", f"claim {HOSTILE}", "table 1", 0.5, 0.1, observed, "cpu", status)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def report() -> Report:
    columns = [
        Column("Policy"),
        Column("Profit", "money", 0, "£"),
        Column("Gain", "percent"),
        Column("Weeks", "number"),
    ]
    rows = [
        ("rule 10", 900.0, Interval(0.05, 0.01, 0.09), 9.0),
        ("rule 9", 1000.0, Interval(-0.02, -0.06, 0.02), 10.0),
        (HOSTILE, -20.0, None, math.nan),
    ]
    table = Table("Policies", columns, rows, totals=[("all", 5.0, 0.5, 1.0)], note="Small print.")
    sections = [
        Section("Results", "First paragraph.\n\nSecond & last.", [table, Figure("A line", drawing("one"))]),
        Section(HOSTILE, HOSTILE, [Figure(HOSTILE, drawing("two"), alt=HOSTILE), Note(HOSTILE, HOSTILE)]),
        Section("Numbers", blocks=[KeyFigures([KeyFigure(HOSTILE, HOSTILE, HOSTILE)])]),
    ]
    return Report(
        title="A page",
        question="Which?",
        answer=f"This one {HOSTILE}.",
        sections=sections,
        claims=[outcome("holds", 0.55), outcome("fails", math.nan), outcome("not run", None)],
        provenance={"commit": None, "packages": {"numpy": HOSTILE}, "command": ["a", HOSTILE]},
        data={"name": HOSTILE, "x": math.nan},
        key_figures=[KeyFigure("Gain", "+5%")],
    )


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        (Column("x"), "abc", "abc"),
        (Column("x"), None, "–"),
        (Column("x", "number"), 12.34, "12.3"),
        (Column("x", "number", 0), 1234567, "1,234,567"),
        (Column("x", "number"), -0.04, "0.0"),
        (Column("x", "number"), -0.06, "−0.1"),
        (Column("x", "number"), math.nan, "–"),
        (Column("x", "number"), -math.inf, "−∞"),
        (Column("x", "number"), Interval(12.3, 10.1, 14.5), "12.3 [10.1, 14.5]"),
        (Column("x", "number"), Interval(12.3, math.nan, math.nan), "12.3"),
        (Column("x", "percent"), 0.1234, "12.3%"),
        (Column("x", "percent"), Interval(0.123, -0.01, 0.145), "12.3% [−1.0, 14.5]"),
        (Column("x", "money", 2, "£"), -1234.5, "−£1,234.50"),
    ],
)
def test_cells_read_as_people_write_numbers(column: Column, value: object, text: str) -> None:
    assert column.show(value) == text


def test_a_word_in_a_column_of_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="'Profit' holds numbers, not 'much'"):
        Column("Profit", "money").show("much")


def test_a_row_has_a_value_a_column() -> None:
    with pytest.raises(ValueError, match="row 2: 1 values for 2 columns"):
        Table("T", [Column("a"), Column("b")], [("x", "y"), ("x",)])


@pytest.mark.parametrize("svg", ["<p>", "<svg><script>1</script></svg>", "<svg onload='x'></svg>"])
def test_a_figure_that_could_run_something_is_refused(svg: str) -> None:
    with pytest.raises(ValueError, match="svg"):
        Figure("F", svg)


def test_text_is_escaped_everywhere(report: Report) -> None:
    page = render(report)
    assert page.lower().count("<script") == 2
    assert page.lower().count("</script") == 2


def test_the_page_begins_as_html_and_loads_nothing(report: Report) -> None:
    page = render(report)
    assert page.startswith("<!DOCTYPE html>")
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    assert not re.search(r"""(src|href)\s*=\s*(?!"#)|@import|url\((?!#)""", markup)
    assert set(re.findall(r"https?://[^\"'<\s]+", page)) == {"http://www.w3.org/2000/svg"}


def test_the_numbers_are_in_the_page_as_json(report: Report) -> None:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', render(report), re.S)
    assert json.loads(text) == {"name": HOSTILE, "x": "NaN"}


def test_a_claim_is_told_by_symbol_and_word(report: Report) -> None:
    page = re.sub(r"<[^>]*>", "", render(report))
    for words in ("✓ holds", "✗ fails", "○ not run"):
        assert words in page


def test_the_smallest_report_is_a_page(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write(Report("Title", "Question?", "Answer."), path)
    assert "Answer." in path.read_text(encoding="utf-8")


@pytest.fixture
def page(report: Report, tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    write(report, path)
    return path


def test_a_browser_shows_the_page_without_error_or_request(page: Path, open_in_browser: Callable) -> None:
    shown = open_in_browser(page)
    assert shown.errors == []
    assert shown.requests == []
    assert shown.evaluate("document.title") == "A page"
    assert len(shown.figures) == 2
    assert all(width > 300 and height > 150 for width, height in shown.figures)


@pytest.mark.parametrize("width", [360, 1400])
def test_only_tables_scroll_sideways(page: Path, open_in_browser: Callable, width: int) -> None:
    shown = open_in_browser(page, width=width)
    assert shown.evaluate("document.documentElement.scrollWidth") <= width


def test_tables_sort_on_click_and_keep_their_totals(page: Path, open_in_browser: Callable) -> None:
    shown = open_in_browser(page)
    heading = "figure.table thead th:nth-child({}) button".format
    shown.click(heading(4))
    assert shown.column(1, 3) == ["9.0", "10.0", "–"]
    shown.click(heading(4))
    assert shown.column(1, 3) == ["10.0", "9.0", "–"]
    assert shown.evaluate("document.querySelector('figure.table [aria-sort]').ariaSort") == "descending"
    shown.press(heading(3), "Enter")
    assert shown.column(1, 2) == ["−2.0% [−6.0, 2.0]", "5.0% [1.0, 9.0]", "–"]
    shown.click(heading(1))
    assert shown.column(1, 0)[1:] == ["rule 9", "rule 10"]
    assert shown.evaluate("document.querySelector('figure.table tfoot').innerText.startsWith('all')")
    assert shown.evaluate("document.querySelectorAll('figure.table [aria-sort]').length") == 1


def test_claims_sort_too(page: Path, open_in_browser: Callable) -> None:
    shown = open_in_browser(page)
    for _ in ("ascending", "descending"):
        shown.click(".claims thead th:nth-child(4) button")
        assert shown.column(0, 3) == ["0.55", "NaN", "–"]


def test_figures_lie_on_a_light_card_in_the_dark(page: Path, open_in_browser: Callable) -> None:
    shown = open_in_browser(page, dark=True)
    colour = "getComputedStyle(document.querySelector('{}')).backgroundColor".format
    assert shown.evaluate(colour(".card")) == "rgb(255, 255, 255)"
    assert shown.evaluate(colour("body")) == "rgb(20, 23, 26)"


def test_the_browser_test_sees_errors_and_empty_figures(tmp_path: Path, open_in_browser: Callable) -> None:
    path = tmp_path / "bad.html"
    path.write_text("<main><svg></svg></main><img src='none.png'><script>undefined.x</script>")
    shown = open_in_browser(path)
    assert any("TypeError" in error for error in shown.errors)
    assert len(shown.requests) == 1
    assert shown.figures == [(0, 0)]
