"""IsoFLOP curves and training curves, with the minima that laws are fitted to."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from sandtable.analysis.figures import house_style, new_figure
from sandtable.analysis.scaling.answer import number
from sandtable.analysis.scaling.drawing import ABOVE, NAMES, Drawing, drawing, of_group, plain_ticks, suffix
from sandtable.analysis.scaling.fit_runs import Fit, ScalingLaws
from sandtable.estimators.scaling.parametric import loss_of
from sandtable.simulators.scaling.runs import split_budgets

BLUES = ("#7fb8dc", "#3b7fb5", "#08306b")
"""From the least budget or size to the greatest."""

MOST_BUDGETS = 12
"""Drawn on one page of isoFLOP curves; of more, evenly spread ones are drawn."""


def isoflop(found: ScalingLaws) -> Iterator[Drawing]:
    """Draw loss against size at every budget, the laws through them, and the minima."""
    for fit in found.of("approach2") or found.of("approach3"):
        if not fit.main:
            continue
        surfaces = [one for one in found.of("approach3") if one.main and one.job.group == fit.job.group]
        yield _isoflop(fit, surfaces[0] if surfaces else None)


def _isoflop(fit: Fit, surface: Fit | None) -> Drawing:
    runs = fit.job.runs
    flops, parameters = runs.column("flops"), runs.column("parameters")
    data, loss = runs.column("data"), runs.column("loss")
    labels = runs.budget if runs.budget is not None else split_budgets(flops)
    order = np.unique(labels)
    shown = order[np.unique(np.linspace(0, len(order) - 1, min(MOST_BUDGETS, len(order))).round().astype(int))]
    with house_style():
        figure, axes = new_figure(height=3.8)
        for shade, label in zip(_shades(len(shown)), shown, strict=True):
            here = labels == label
            sizes, losses = parameters[here], loss[here]
            axes.plot(sizes, losses, linestyle="none", marker="o", color=shade, markersize=4)
            grid = np.geomspace(sizes.min(), sizes.max(), 80)
            if fit.job.law == "approach2" and len(np.unique(sizes)) >= 3:
                curve = np.polyval(np.polyfit(np.log(sizes), losses, 2), np.log(grid))
                axes.plot(grid, curve, color=shade, marker="none", linestyle="-", linewidth=1.2)
            if surface is not None:
                product = float(np.exp(np.mean(np.log(sizes) + np.log(data[here]))))
                fitted = loss_of(surface.result.params.to_numpy(), grid, product / grid)
                axes.plot(grid, fitted, color=shade, marker="none", linestyle=":", linewidth=1.4)
            axes.annotate(
                number(float(f"{np.median(flops[here]):.2g}")), (sizes.max(), losses[np.argmax(sizes)]), xytext=(5, 0),
                textcoords="offset points", fontsize=7, color=shade, va="center",
            )  # fmt: skip
        _mark_minima(axes, fit)
        axes.set(xscale="log", yscale="log", xlabel="parameters N", ylabel="loss, nats")
        plain_ticks(axes.yaxis, loss)
        axes.margins(x=0.08)
        _legend_of_lines(axes, fit, surface)
    told = "Loss against size; numbers at the right ends are budgets in FLOP."
    if fit.job.law == "approach2":
        told += " Solid: the parabola of each budget, with its minimum."
    if surface is not None:
        told += " Dotted: the surface of approach3."
    name = f"isoflop{suffix(fit)}"
    return drawing(figure, name, "isoflop", f"IsoFLOP curves{of_group(fit)}", told)


def training(found: ScalingLaws) -> Iterator[Drawing]:
    """Draw the training curves of Approach 1 against compute, with the points of their envelope."""
    for fit in found.of("approach1"):
        runs, table = fit.job.runs, fit.result.minima
        if not fit.main or table is None:
            continue
        flops, loss, names, sizes = (runs.column(name) for name in ("flops", "loss", "run", "parameters"))
        order = np.unique(sizes)
        with house_style():
            figure, axes = new_figure(height=3.6)
            for shade, size in zip(_shades(len(order)), order, strict=True):
                for name in np.unique(names[sizes == size]):
                    here = (sizes == size) & (names == name)
                    axes.plot(flops[here], loss[here], color=shade, marker="none", linestyle="-", linewidth=1)
            axes.plot(
                table["flops"], table["loss"], linestyle="none", marker="D", color="#D55E00", zorder=5,
                label="where a size is best",
            )  # fmt: skip
            axes.set(xscale="log", yscale="log", xlabel=NAMES["flops"], ylabel=NAMES["loss"])
            plain_ticks(axes.yaxis, loss)
            axes.legend(**ABOVE)
        caption = "Training curves of small (light) to large (dark) models, and the middle of where each size is best."
        yield drawing(figure, f"curves{suffix(fit)}", "isoflop", f"Training curves{of_group(fit)}", caption)


def _mark_minima(axes: Any, fit: Fit) -> None:
    """Mark the minima of the parabolas: full where they count, hollow at an edge."""
    table = fit.result.minima
    if table is None:
        return
    for on_edge, face in ((False, "#D55E00"), (True, "white")):
        part = table[(table["on_edge"].astype(bool) == on_edge) & np.isfinite(table["parameters"])]
        axes.plot(
            part["parameters"], part["loss"], linestyle="none", marker="D", color="#D55E00", markerfacecolor=face,
            markersize=5.5, zorder=5,
        )  # fmt: skip


def _legend_of_lines(axes: Any, fit: Fit, surface: Fit | None) -> None:
    from matplotlib.lines import Line2D

    entries = [Line2D([], [], linestyle="none", marker="o", color=BLUES[-1], label="runs")]
    if fit.job.law == "approach2":
        entries.append(Line2D([], [], color=BLUES[-1], marker="none", linestyle="-", label="parabola"))
        entries.append(Line2D([], [], linestyle="none", marker="D", color="#D55E00", label="minimum"))
    if surface is not None:
        entries.append(Line2D([], [], color=BLUES[-1], marker="none", linestyle=":", label="approach3"))
    axes.legend(handles=entries, **{**ABOVE, "ncols": 4})


def _shades(count: int) -> list[str]:
    """Return blues from light to dark."""
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    scale = LinearSegmentedColormap.from_list("budgets", BLUES)
    return [to_hex(scale(value)) for value in np.linspace(0, 1, max(count, 1))]
