"""The house style of figures, and matplotlib figures as SVG for a page.

Colours are those of Okabe and Ito (2008), which people with any colour vision tell apart; each comes with a line style
and a marker, so colour is never alone. Text stays text, so it can be searched, read aloud and takes a font that the
reader has; it is laid out with DejaVu Sans, which comes with matplotlib and is wider than those fonts, so that the same
figure gives the same bytes everywhere and labels have room. Prefer Unicode (``R²``, ``×``) to mathtext in labels.
"""

import hashlib
import io
import re
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Blue, vermilion, green, purple, orange, sky blue, black; the eighth, yellow, is too pale for lines on white."""

LINE_STYLES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

INK, SOFT, GRID = "#1f2328", "#59636e", "#e3e6ea"

FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"


def house_style() -> AbstractContextManager[None]:
    """Return a context within which matplotlib draws in the house style."""
    import matplotlib
    from cycler import cycler

    return matplotlib.rc_context(
        {
            "axes.axisbelow": True,
            "axes.edgecolor": SOFT,
            "axes.grid": True,
            "axes.labelcolor": INK,
            "axes.labelsize": 9,
            "axes.linewidth": 0.8,
            "axes.prop_cycle": cycler(color=COLOURS) + cycler(linestyle=LINE_STYLES) + cycler(marker=MARKERS),
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlelocation": "left",
            "axes.titlesize": 9.5,
            "axes.titleweight": "bold",
            "axes.unicode_minus": True,
            "figure.facecolor": "white",
            "font.family": ["sans-serif"],
            "font.sans-serif": ["DejaVu Sans"],
            "font.size": 9,
            "grid.color": GRID,
            "grid.linewidth": 0.7,
            "legend.fontsize": 8.5,
            "legend.frameon": False,
            "lines.linewidth": 1.6,
            "lines.markersize": 4.5,
            "mathtext.fontset": "dejavusans",
            "svg.fonttype": "none",
            "svg.hashsalt": "sandtable",
            "text.color": INK,
            "xtick.color": SOFT,
            "xtick.labelcolor": INK,
            "xtick.labelsize": 8.5,
            "ytick.color": SOFT,
            "ytick.labelcolor": INK,
            "ytick.labelsize": 8.5,
        }
    )


def new_figure(rows: int = 1, columns: int = 1, width: float = 5.4, height: float = 3.2) -> tuple["Figure", Any]:
    """Return a figure and its axes, as ``pyplot.subplots`` does, without pyplot and its global state.

    Draw within ``house_style``, this call included. On a page the figure is as wide as the text.

    Args:
        rows: Rows of axes.
        columns: Columns of axes.
        width: Inches; more makes the text smaller on the page.
        height: Inches.
    """
    from matplotlib.figure import Figure

    with house_style():
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots(rows, columns)


def plain(text: str) -> str:
    """Return ``text`` such that matplotlib shows it as it is; a name may hold dollar signs, which would mean math."""
    return text.replace("$", r"\$")


def to_svg(figure: "Figure", title: str, description: str) -> str:
    """Return a figure as an ``<svg>`` element to put into a page.

    Its ids are its own, so several fit into one page; the same figure gives the same text on every machine. It has no
    size but its proportions: it fills the width it is given.

    Args:
        figure: A matplotlib figure.
        title: What it is, a few words; read aloud, and shown by some browsers when pointed at.
        description: What it shows, for who cannot see it.
    """
    return inline_svg(svg_file(figure), title, description)


def svg_file(figure: "Figure") -> str:
    """Return a figure as an SVG file, the same text on every machine."""
    file = io.StringIO()
    with house_style():
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return file.getvalue()


def inline_svg(text: str, title: str, description: str) -> str:
    """Return an SVG file as an element to put into a page, see ``to_svg``."""
    mark = "f" + hashlib.sha256(f"{title}\n{description}\n{text}".encode()).hexdigest()[:10]
    root = ElementTree.fromstring(text)
    for element in root.iter():
        _make_inline(element, mark)
    for defs in list(root.findall("defs")):  # matplotlib's rule for *, which would hold for the page
        for style in defs.findall("style"):
            defs.remove(style)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib |= {
        "xmlns": "http://www.w3.org/2000/svg",
        "role": "img",
        "aria-labelledby": f"{mark}-title {mark}-description",
        "stroke-linejoin": "round",
        "stroke-linecap": "butt",
    }
    for position, (tag, words) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(tag, id=f"{mark}-{'title' if tag == 'title' else 'description'}")
        element.text = words
        root.insert(position, element)
    return ElementTree.tostring(root, encoding="unicode")


def _make_inline(element: ElementTree.Element, mark: str) -> None:
    """Drop namespaces, make ids and references to them the figure's own, and let the reader's fonts serve."""
    element.tag = element.tag.rpartition("}")[2]
    for name, value in list(element.attrib.items()):
        del element.attrib[name]
        local = name.rpartition("}")[2]
        if local == "id":
            value = f"{mark}-{value}"
        elif local == "href" and value.startswith("#"):
            value = f"#{mark}-{value[1:]}"
        elif local == "style":
            value = re.sub(r"font-family: [^;]*", f"font-family: {FONTS}", value)
            value = re.sub(r"(font: [^;']*)'[^;]*", rf"\1{FONTS}", value)
        element.attrib[local] = value.replace("url(#", f"url(#{mark}-")
