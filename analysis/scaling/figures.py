"""The figures of a report on scaling laws, in the order in which it shows them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from sandtable.analysis.figures import COLOURS, LINE_STYLES, MARKERS, SOFT, house_style, new_figure
from sandtable.analysis.scaling.answer import number
from sandtable.analysis.scaling.drawing import ABOVE, NAMES, Drawing, drawing, of_group, plain_ticks, suffix
from sandtable.analysis.scaling.fit_runs import Fit, ScalingLaws
from sandtable.analysis.scaling.isoflop_figures import isoflop, training
from sandtable.estimators.scaling.forecast import compute_optimal
from sandtable.estimators.scaling.next_run import budgets_of
from sandtable.estimators.scaling.parametric import ParametricResult

BAND_POINTS = 9
"""At which bands are computed; between them they are drawn as lines, which in logs they nearly are."""


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


def optima(found: ScalingLaws) -> Iterator[Drawing]:
    """Draw the optimal size, and the optimal data, against compute by every law that tells them, with bands."""
    laws = [fit for fit in found.fits if fit.main and "N_exponent" in fit.result.names]
    for group in dict.fromkeys(fit.job.group for fit in laws):
        fits = [fit for fit in laws if fit.job.group == group]
        yield drawing(
            _against_compute(fits, ("parameters", "data"), found.settings.level),
            f"optima{suffix(fits[0])}",
            "optima",
            f"Compute-optimal size and data{of_group(fits[0])}",
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
                plain_ticks(axes.xaxis, grid)
            plain_ticks(axes.yaxis, y)
            axes.legend(**ABOVE)
        words = [name.split(",")[0] for name in (what, NAMES[cause])]
        caption = f"The {words[0]} of each run against {words[1]}, and the law with its band."
        yield drawing(figure, f"{fit.job.law}{suffix(fit)}", "optima", f"Law of {what}{of_group(fit)}", caption)


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
        yield drawing(figure, f"residuals-{fit.job.law}{suffix(fit)}", "residuals", title, caption)


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
        yield drawing(figure, f"profiles{suffix(fit)}", "profiles", f"Profiles of {fit.job.name}", caption)


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
                plain_ticks(axis, values)
            axes.legend(**ABOVE)
        above = number(found.settings.holdout_above or 0.0)
        caption = f"Runs above {above} FLOP, foretold by {fit.job.name} from the runs below."
        name = f"holdout-{fit.job.law}{suffix(fit)}"
        yield drawing(figure, name, "holdout", f"Hold-out of {fit.job.name}", caption)


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
        yield drawing(figure, f"next-run{suffix(fit)}", "next_run", f"What to run next, for {fit.job.name}", caption)
