"""A figure as SVG for the page, and as SVG and PDF files for a paper; what the figures of scaling laws share."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from sandtable.analysis.figures import house_style, inline_svg, plain, svg_file
from sandtable.analysis.report import Figure
from sandtable.analysis.scaling.fit_runs import Fit

ABOVE: Any = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "ncols": 3, "borderaxespad": 0.3}
"""Where a legend hides no data."""

NAMES = {"parameters": "parameters N", "data": "data D", "flops": "compute C, FLOP", "loss": "loss, nats"}


@dataclass(frozen=True)
class Drawing:
    """A figure for the page and for files.

    Attributes:
        name: Of its files.
        place: The section that shows it.
        block: For the page.
        svg_file: A whole SVG file, text as text.
        pdf_file: PDF, fonts embedded.
    """

    name: str
    place: str
    block: Figure
    svg_file: bytes
    pdf_file: bytes


def drawing(figure: Any, name: str, place: str, title: str, caption: str) -> Drawing:
    """Return a figure for the page and for files.

    Args:
        figure: A matplotlib figure.
        name: Of its files.
        place: The section that shows it.
        title: A few words.
        caption: What it shows and what to see in it.
    """
    text, file = svg_file(figure), io.BytesIO()
    figure.set_layout_engine("none")  # it is laid out now
    with house_style():
        figure.savefig(file, format="pdf", metadata={"CreationDate": None})
    block = Figure(caption, inline_svg(text, title, caption))
    return Drawing(name, place, block, text.encode(), file.getvalue())


def suffix(fit: Fit) -> str:
    """Return what tells the files of a group from those of others."""
    kept = "".join(letter if letter.isalnum() else "-" for letter in fit.job.group)
    return f"-{kept}" if kept else ""


def of_group(fit: Fit) -> str:
    """Return the name of a fit's group for a title, nothing without groups."""
    return f" ({plain(fit.job.group)})" if fit.job.group else ""


def plain_ticks(axis: Any, values: np.ndarray) -> None:
    """Label a logarithmic axis that spans less than two decades by plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    if np.nanmax(values) / np.nanmin(values) > 100:
        return
    few = np.nanmax(values) / np.nanmin(values) < 4
    axis.set_major_locator(MaxNLocator(6) if few else LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
