"""The figures of a report on scaling laws: as SVG for the page, and as SVG and PDF files for a paper."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sandtable.analysis.figures import (
    COLOURS,
    LINE_STYLES,
    MARKERS,
    SOFT,
    house_style,
    inline_svg,
    new_figure,
    plain,
    svg_file,
)
from sandtable.analysis.report import Figure
from sandtable.analysis.scaling.answer import number
from sandtable.analysis.scaling.fit_runs import Fit, ScalingLaws
from sandtable.estimators.scaling.forecast import compute_optimal
from sandtable.estimators.scaling.next_run import budgets_of
from sandtable.estimators.scaling.parametric import ParametricResult, loss_of
from sandtable.simulators.scaling.runs import split_budgets

ABOVE: Any = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "ncols": 3, "borderaxespad": 0.3}
"""Where a legend hides no data."""

BLUES = ("#9ecae1", "#08306b")
"""Least and greatest budget."""

MOST_BUDGETS = 12
"""Drawn on one page of isoFLOP curves; of more, evenly spread ones are drawn."""

BAND_POINTS = 9
"""At which bands are computed; between them they are drawn as lines, which in logs they nearly are."""

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


def _drawing(figure: Any, name: str, place: str, title: str, caption: str) -> Drawing:
    text, file = svg_file(figure), io.BytesIO()
    figure.set_layout_engine("none")  # it is laid out now
    with house_style():
        figure.savefig(file, format="pdf", metadata={"CreationDate": None})
    block = Figure(caption, inline_svg(text, title, caption))
    return Drawing(name, place, block, text.encode(), file.getvalue())


def every(found: ScalingLaws) -> list[Drawing]:
    """Return all figures for which there is something to draw."""
    drawn: dict[str, Drawing] = {}
    for draw in (isoflop, training, optima, responses, residuals, profile_curves, hold_outs, next_runs):
        for one in draw(found):
            name = one.name
            while name in drawn:  # of groups whose names differ in signs alone
                name += "-"
            drawn[name] = replace(one, name=name)
    return list(drawn.values())


def _suffix(fit: Fit) -> str:
    """Return what tells the files of a group from those of others."""
    kept = "".join(letter if letter.isalnum() else "-" for letter in fit.job.group)
    return f"-{kept}" if kept else ""


def _of_group(fit: Fit) -> str:
    return f" ({plain(fit.job.group)})" if fit.job.group else ""


def _shades(count: int) -> list[str]:
    """Return blues from light to dark."""
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    scale = LinearSegmentedColormap.from_list("budgets", ["#7fb8dc", "#3b7fb5", "#08306b"])
    return [to_hex(scale(value)) for value in np.linspace(0, 1, max(count, 1))]


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
        _plain_ticks(axes.yaxis, loss)
        axes.margins(x=0.08)
        _legend_of_lines(axes, fit, surface)
    told = "Loss against size; numbers at the right ends are budgets in FLOP."
    if fit.job.law == "approach2":
        told += " Solid: the parabola of each budget, with its minimum."
    if surface is not None:
        told += " Dotted: the surface of approach3."
    name = f"isoflop{_suffix(fit)}"
    return _drawing(figure, name, "isoflop", f"IsoFLOP curves{_of_group(fit)}", told)


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
            _plain_ticks(axes.yaxis, loss)
            axes.legend(**ABOVE)
        caption = "Training curves of small (light) to large (dark) models, and the middle of where each size is best."
        yield _drawing(figure, f"curves{_suffix(fit)}", "isoflop", f"Training curves{_of_group(fit)}", caption)


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

    entries = [Line2D([], [], linestyle="none", marker="o", color=BLUES[1], label="runs")]
    if fit.job.law == "approach2":
        entries.append(Line2D([], [], color=BLUES[1], marker="none", linestyle="-", label="parabola"))
        entries.append(Line2D([], [], linestyle="none", marker="D", color="#D55E00", label="minimum"))
    if surface is not None:
        entries.append(Line2D([], [], color=BLUES[1], marker="none", linestyle=":", label="approach3"))
    axes.legend(handles=entries, **{**ABOVE, "ncols": 4})


def _plain_ticks(axis: Any, values: np.ndarray) -> None:
    """Label a logarithmic axis that spans less than two decades by plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    if np.nanmax(values) / np.nanmin(values) > 100:
        return
    few = np.nanmax(values) / np.nanmin(values) < 4
    axis.set_major_locator(MaxNLocator(6) if few else LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def optima(found: ScalingLaws) -> Iterator[Drawing]:
    """Draw the optimal size, and the optimal data, against compute by every law that tells them, with bands."""
    laws = [fit for fit in found.fits if fit.main and "N_exponent" in fit.result.names]
    for group in dict.fromkeys(fit.job.group for fit in laws):
        fits = [fit for fit in laws if fit.job.group == group]
        yield _drawing(
            _against_compute(fits, ("parameters", "data"), found.settings.level),
            f"optima{_suffix(fits[0])}",
            "optima",
            f"Compute-optimal size and data{_of_group(fits[0])}",
            f"Optimal parameters and data against compute, with {found.settings.level:.0%} bands. Shaded: beyond the "
            "budgets that were run, where no run can contradict a law.",
        )


def _against_compute(fits: list[Fit], names: tuple[str, ...], level: float) -> Any:
    ends = np.array([_reach(fit) for fit in fits])
    low, seen, high = ends[:, 0].min(), ends[:, 1].max(), ends[:, 2].max()
    grid = np.geomspace(low, high, BAND_POINTS)
    bands = [compute_optimal(fit.result, grid, level) for fit in fits]
    with house_style():
        figure, many = new_figure(columns=len(names), width=7.2, height=3.4)
        for axes, name in zip(np.atleast_1d(many), names, strict=True):
            for index, fit in enumerate(fits):
                told = np.array([row[name] for row in bands[index]])
                if not np.isfinite(told[:, 0]).any():
                    continue
                style = {"color": COLOURS[index], "linestyle": LINE_STYLES[index]}
                axes.plot(grid, told[:, 0], marker="none", label=fit.job.law, **style)
                axes.fill_between(grid, told[:, 1], told[:, 2], color=COLOURS[index], alpha=0.15, linewidth=0)
                table = fit.result.minima
                if table is not None:
                    axes.plot(
                        table["flops"], table[name], linestyle="none", marker=MARKERS[index], color=COLOURS[index],
                        markersize=4,
                    )  # fmt: skip
            axes.axvspan(seen, high, color=SOFT, alpha=0.12, linewidth=0)
            axes.set(xscale="log", yscale="log", xlabel=NAMES["flops"], ylabel=NAMES[name], xlim=(low, high))
        np.atleast_1d(many)[0].legend(**ABOVE)
    return figure


def _reach(fit: Fit) -> tuple[float, float, float]:
    """Return the least and greatest budget that was run, and the greatest that is foretold."""
    budgets = budgets_of(fit.job.runs)
    return budgets[0], budgets[-1], max([budgets[-1], *fit.optimum])


def responses(found: ScalingLaws) -> Iterator[Drawing]:
    """Draw the law of a response against compute, and that of return against loss."""
    for fit in [*found.of("compute"), *found.of("return")]:
        cause = "flops" if fit.job.law == "compute" else "loss"
        runs, function = fit.job.runs, fit.result.function
        x, y = runs.column(cause), runs.column(fit.job.response)
        beyond = max(fit.optimum, default=x.max()) if cause == "flops" else x.max()
        grid = np.geomspace(x.min() * (1 if cause == "flops" else 0.8), max(beyond, x.max()), 60)
        interval = fit.result.interval
        assert function is not None
        assert interval is not None
        band = interval.of(_along(function, grid), found.settings.level)
        with house_style():
            figure, axes = new_figure(height=3.2)
            axes.plot(x, y, linestyle="none", marker="o", color=COLOURS[0], label="runs")
            axes.plot(grid, fit.result.predict(grid), marker="none", color=COLOURS[1], label=fit.job.law)
            axes.fill_between(grid, band[:, 0], band[:, 1], color=COLOURS[1], alpha=0.15, linewidth=0)
            if cause == "flops" and beyond > x.max():
                axes.axvspan(x.max(), beyond, color=SOFT, alpha=0.12, linewidth=0)
            what = {"returns": "return"}.get(fit.job.response, NAMES.get(fit.job.response, fit.job.response))
            axes.set(xscale="log", yscale="log", xlabel=NAMES[cause], ylabel=what)
            if cause == "loss":
                _plain_ticks(axes.xaxis, grid)
            _plain_ticks(axes.yaxis, y)
            axes.legend(**ABOVE)
        words = [name.split(",")[0] for name in (what, NAMES[cause])]
        caption = f"The {words[0]} of each run against {words[1]}, and the law with its band."
        yield _drawing(figure, f"{fit.job.law}{_suffix(fit)}", "optima", f"Law of {what}{_of_group(fit)}", caption)


def _along(function: Callable[..., np.ndarray], grid: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return lambda params: function(params, grid)


def residuals(found: ScalingLaws) -> Iterator[Drawing]:
    """Draw the residuals of each law of runs against size, data and compute."""
    for fit in found.fits:
        runs = fit.job.runs
        names = [name for name in ("parameters", "data", "flops") if runs.has(name)]
        if not fit.main or fit.job.law not in ("approach3", "compute") or not names:
            continue
        place = {row: index for index, row in enumerate(runs.rows.tolist())}
        order = np.array([place[row] for row in fit.result.rows.tolist()])
        p_values = {trend.variable: trend.p_value for trend in fit.trends}
        with house_style():
            figure, many = new_figure(columns=len(names), width=7.2, height=2.5)
            for axes, name in zip(np.atleast_1d(many), names, strict=True):
                axes.axhline(0, color=SOFT, linewidth=0.8)
                axes.plot(
                    runs.column(name)[order], fit.result.residuals, linestyle="none", marker="o", color=COLOURS[0],
                    markersize=3.2,
                )  # fmt: skip
                axes.set(xscale="log", xlabel=NAMES[name])
                p_value = p_values.get(name, np.nan)
                axes.set_title(f"p = {p_value:.2g}" if np.isfinite(p_value) else "", fontweight="normal", fontsize=8.5)
            levels = fit.result.objective == "ls"
            np.atleast_1d(many)[0].set_ylabel("residual, nats" if levels else "residual of the logarithm")
        caption = (
            f"Residuals of {fit.job.name}: a law that fits leaves no trend. Above each: the p-value of a slope and a "
            "bend together."
        )
        title = f"Residuals of {fit.job.name}"
        yield _drawing(figure, f"residuals-{fit.job.law}{_suffix(fit)}", "residuals", title, caption)


def profile_curves(found: ScalingLaws) -> Iterator[Drawing]:
    """Draw the profiles of the parameters of Approach 3."""
    chosen = ("E", "alpha", "beta", "N_exponent")
    for fit in found.of("approach3"):
        curves = {name: fit.result.profiles[name] for name in chosen if len(fit.result.profiles.get(name, ())) > 1}
        if not fit.main or not curves:
            continue
        minimum = fit.result.objective_sum
        with house_style():
            figure, many = new_figure(columns=len(curves), width=7.2, height=2.4)
            for axes, (name, curve) in zip(np.atleast_1d(many), curves.items(), strict=True):
                axes.plot(curve[:, 0], curve[:, 1] / minimum, color=COLOURS[0], markersize=3)
                low, high = fit.result.conf_int().loc[name]
                axes.axvspan(low, high, color=COLOURS[0], alpha=0.1, linewidth=0)
                axes.axvline(fit.result.params[name], color=SOFT, linewidth=0.8)
                axes.set_xlabel(name.replace("_", " "))
                axes.locator_params(axis="x", nbins=3)
            np.atleast_1d(many)[0].set_ylabel("sum of squares\nover its least")
        caption = (
            f"Profiles of {fit.job.name}: the least sum of squares with one parameter held, all others fitted anew. "
            f"Shaded: the {found.settings.level:.0%} interval. A parabola means that a standard error would have told "
            "as much."
        )
        yield _drawing(figure, f"profiles{_suffix(fit)}", "profiles", f"Profiles of {fit.job.name}", caption)


def hold_outs(found: ScalingLaws) -> Iterator[Drawing]:
    """Draw what was held out against what was foretold."""
    for fit in found.fits:
        if not fit.hold_outs:
            continue
        rows = fit.hold_outs[fit.job.law].rows
        with house_style():
            figure, axes = new_figure(height=3.4)
            values = rows[["predicted", "observed", "carried"]].to_numpy()
            low, high = values.min() / 1.03, values.max() * 1.03
            axes.plot([low, high], [low, high], color=SOFT, marker="none", linestyle="-", linewidth=0.8)
            reach = np.abs(rows[["low", "high"]].to_numpy() - rows[["predicted"]].to_numpy()).T
            axes.errorbar(
                rows["observed"], rows["predicted"], yerr=np.nan_to_num(reach), fmt="o", color=COLOURS[0], capsize=2,
                linestyle="none", elinewidth=0.9, label=f"{fit.job.law}, {found.settings.level:.0%} interval of a run",
            )  # fmt: skip
            axes.plot(
                rows["observed"], rows["carried"], linestyle="none", marker="s", color=COLOURS[1],
                markerfacecolor="none", label="last budget carried forward",
            )  # fmt: skip
            what = {"returns": "return"}.get(fit.job.response, fit.job.response)
            axes.set(xscale="log", yscale="log", xlabel=f"observed {what}", ylabel=f"foretold {what}")
            for axis in (axes.xaxis, axes.yaxis):
                _plain_ticks(axis, values)
            axes.legend(**ABOVE)
        above = number(found.settings.holdout_above or 0.0)
        caption = f"Runs above {above} FLOP, foretold by {fit.job.name} from the runs below."
        name = f"holdout-{fit.job.law}{_suffix(fit)}"
        yield _drawing(figure, name, "holdout", f"Hold-out of {fit.job.name}", caption)


def next_runs(found: ScalingLaws) -> Iterator[Drawing]:
    """Draw by how much a run of each budget, of its best size, would shrink each interval."""
    for fit in found.fits:
        if not fit.suggestions or not isinstance(fit.result, ParametricResult):
            continue
        with house_style():
            figure, axes = new_figure(height=3.0)
            for index, target in enumerate(dict.fromkeys(one.target for one in fit.suggestions)):
                own = sorted((one for one in fit.suggestions if one.target == target), key=lambda one: one.flops)
                axes.plot(
                    [one.flops for one in own], [100 * (1 - one.width_after / one.width_now) for one in own],
                    color=COLOURS[index], linestyle=LINE_STYLES[index], marker=MARKERS[index],
                    label=target.replace("_", " "),
                )  # fmt: skip
            beyond = max(one.flops for one in fit.suggestions)
            axes.axvspan(budgets_of(fit.job.runs)[-1], beyond, color=SOFT, alpha=0.12, linewidth=0)
            axes.set(xscale="log", xlabel="compute of one more run, FLOP", ylabel="interval narrower by, %")
            axes.set_ylim(bottom=0)
            axes.legend(**ABOVE)
        caption = (
            "How much narrower one more run, of the best size for its budget, would make the intervals of "
            f"{fit.job.name}. Shaded: budgets above those that were run."
        )
        yield _drawing(figure, f"next-run{_suffix(fit)}", "next_run", f"What to run next, for {fit.job.name}", caption)
