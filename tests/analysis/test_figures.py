import re
from xml.etree import ElementTree

import numpy as np
import pytest

from sandtable.analysis.figures import COLOURS, LINE_STYLES, MARKERS, house_style, new_figure, plain, to_svg


def drawing(label: str = "Week", title: str = "Profit") -> str:
    with house_style():
        figure, axes = new_figure()
        axes.plot(np.arange(5), np.arange(5) ** 2, label="rule")
        axes.set_xlabel(label)
        axes.legend()
        return to_svg(figure, title, "Profit grows with the square of the week.")


def ids(svg: str) -> list[str]:
    return re.findall(r'\bid="([^"]+)"', svg)


def test_the_same_figure_gives_the_same_text() -> None:
    assert drawing() == drawing()


def test_the_ids_of_two_figures_are_apart() -> None:
    assert not set(ids(drawing())) & set(ids(drawing("Day"))) & set(ids(drawing(title="Loss")))
    assert not set(ids(drawing())) & set(ids(drawing(title="Loss")))


def test_references_stay_within_the_figure() -> None:
    svg = drawing()
    references = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg)
    assert references
    assert {one or other for one, other in references} <= set(ids(svg))
    assert len(ids(svg)) == len(set(ids(svg)))


def test_a_figure_is_named_and_described() -> None:
    root = ElementTree.fromstring(drawing())
    namespace = "{http://www.w3.org/2000/svg}"
    title, description = root.find(f"{namespace}title"), root.find(f"{namespace}desc")
    assert title is not None
    assert description is not None
    assert title.text == "Profit"
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert root.get("viewBox")
    assert root.get("width") is None


def test_a_figure_holds_no_rule_for_the_page_no_date_and_no_address() -> None:
    svg = drawing()
    assert "<style" not in svg
    assert "<metadata" not in svg
    assert set(re.findall(r"https?://[^\"'<\s]+", svg)) == {"http://www.w3.org/2000/svg"}


def test_text_is_text_in_a_font_of_the_reader() -> None:
    svg = drawing()
    assert ">Week</text>" in svg
    assert "system-ui" in svg
    assert "DejaVu" not in svg


@pytest.mark.parametrize("name", ["</svg><script>alert(1)</script>", 'a" onload="x', "costs $5 to $9", "& more"])
def test_names_from_data_are_shown_as_they_are(name: str) -> None:
    root = ElementTree.fromstring(drawing(plain(name)))
    assert name in [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]


def test_every_colour_has_its_own_line_style_and_marker() -> None:
    assert len(set(COLOURS)) == len(set(LINE_STYLES)) == len(set(MARKERS)) == len(COLOURS)


def test_the_style_ends_with_its_context() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    drawing()
    assert dict(matplotlib.rcParams) == before
