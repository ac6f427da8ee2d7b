"""The figures of an evaluation."""

from typing import Any

import numpy as np

from sandtable.analysis.figures import SOFT, house_style, new_figure, to_svg
from sandtable.analysis.ope.evaluate import Evaluation
from sandtable.analysis.ope.overlap import LoggedWeights
from sandtable.analysis.report import Figure

ABOVE: Any = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "ncols": 4, "borderaxespad": 0.3}
"""Where a legend hides no data."""


def estimates(result: Evaluation) -> Figure | None:
    """Draw each estimate with its interval; None where there is none."""
    shown = [one for one in result.estimates if np.isfinite(one.value)]
    if not shown:
        return None
    ends = np.array([one.conf_int(result.settings.alpha) for one in shown])
    values = np.array([one.value for one in shown])
    low, high = _view(values, ends)
    outside = [one.estimator for one in shown if not low <= one.value <= high]
    with house_style():
        figure, axes = new_figure(height=1.0 + 0.25 * len(shown))
        height = np.arange(len(shown))
        reach = np.nan_to_num(np.abs(ends - values[:, None])).T
        for chosen, colour, label in ((False, "#0072B2", ""), (True, "#D55E00", "named in the answer")):
            kept = np.array([(one.estimator == result.chosen) == chosen for one in shown])
            if kept.any():
                axes.errorbar(
                    values[kept], height[kept], xerr=reach[:, kept], fmt="os"[chosen], capsize=2, linestyle="none",
                    color=colour, label=label or None,
                )  # fmt: skip
        if result.chosen is not None:
            axes.axvline(result.estimate(result.chosen).value, color=SOFT, linewidth=0.8, linestyle=":")
            axes.legend(**ABOVE)
        axes.set_yticks(height, [one.estimator.upper() for one in shown])
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_xlim(low, high)
        axes.set_xlabel("value of the target policy, sum of discounted rewards")
        description = "Estimate of each estimator with its confidence interval."
        svg = to_svg(figure, "Estimates", description)
    told = f" Outside of the picture: {', '.join(name.upper() for name in outside)}." if outside else ""
    return Figure(
        f"What each estimator says, with {1 - result.settings.alpha:.0%} intervals where they can be told.{told}", svg
    )


def _view(values: np.ndarray, ends: np.ndarray) -> tuple[float, float]:
    """Return ends of an axis on which most of the estimates can be told apart, whatever a few do."""
    middle = float(np.median(values))
    spread = np.nan_to_num(np.concatenate([np.abs(values - middle), np.abs(ends - middle).ravel()]), posinf=0.0)
    reach = 1.15 * min(float(spread.max()), 12 * float(np.median(np.abs(values - middle))) + 4 * _typical(ends))
    reach = reach or max(1.0, abs(middle)) * 0.1
    return middle - reach, middle + reach


def _typical(ends: np.ndarray) -> float:
    widths = np.diff(ends, axis=1)
    return float(np.median(widths[np.isfinite(widths)])) if np.isfinite(widths).any() else 0.0


def spectrum(result: Evaluation) -> Figure:
    """Draw the eigenvalues of the whitened matrix in the complex plane, with the unit circle and the point 1."""
    assert result.curves is not None
    assert result.verdict is not None
    found = result.curves.eigenvalues
    radius = float(np.abs(found).max(initial=0.0))
    low, high = result.verdict.spectral_radius_ci
    with house_style():
        figure, axes = new_figure(width=4.4, height=3.9)
        angle = np.linspace(0, 2 * np.pi, 361)
        axes.plot(np.cos(angle), np.sin(angle), color=SOFT, linewidth=1.2, linestyle="-", marker="none",
                  label="FQI converges inside")  # fmt: skip
        if high > 0:
            for end in (low, high):
                axes.plot(end * np.cos(angle), end * np.sin(angle), color="#E69F00", linewidth=1, linestyle=":",
                          marker="none", label="interval of the radius" if end == high else None)  # fmt: skip
        axes.plot(found.real, found.imag, "o", linestyle="none", color="#0072B2", label="eigenvalues")
        axes.plot([1], [0], "X", linestyle="none", color="#D55E00", label="1, where LSTD is singular")
        reach = 1.1 * max(1.0, radius, high if np.isfinite(high) and high < 4 * max(radius, 1.0) else 0.0)
        axes.set_xlim(-reach, reach)
        axes.set_ylim(-reach, reach)
        axes.set_aspect("equal")
        axes.set_xlabel("real part")
        axes.set_ylabel("imaginary part")
        axes.legend(**{**ABOVE, "ncols": 2})
        description = "Eigenvalues of the whitened cross-covariance in the complex plane, with the unit circle."
        svg = to_svg(figure, "Spectrum", description)
    return Figure(
        "Eigenvalues of A = discount × covariance^(−1/2) × cross-covariance × covariance^(−1/2). Where all lie inside "
        "the circle, FQI converges; where none is 1, LSTD is determined. Dotted: the interval of the spectral radius.",
        svg,
    )


def iterations(result: Evaluation) -> Figure | None:
    """Draw FQI's value against its iterations; None where no start is known."""
    assert result.curves is not None
    assert result.verdict is not None
    values = result.curves.iterates
    if not len(values):
        return None
    lstd = result.estimate("lstd").value
    with house_style():
        figure, axes = new_figure(height=2.8)
        kept = np.isfinite(values)
        count = np.arange(len(values))
        axes.plot(count[kept], values[kept], label="FQI", marker="none")
        if np.isfinite(lstd):
            axes.axhline(lstd, color="#D55E00", linestyle="--", linewidth=1.2, label="LSTD")
        size = float(np.abs(values[kept]).max(initial=0.0))
        typical = abs(lstd) if np.isfinite(lstd) and lstd else float(np.abs(values[kept][:2]).max(initial=0.0)) or 1.0
        if size > 100 * typical:
            axes.set_yscale("symlog", linthresh=typical)
            powers = np.unique(np.linspace(np.log10(typical), np.log10(size), 4).round()[1:])
            positive = 10.0**powers
            kept_ticks = [tick for tick in (*-positive[::-1], 0.0, *positive) if _within(tick, values[kept])]
            axes.set_yticks(kept_ticks)
            axes.minorticks_off()
        axes.set_xlabel("iterations")
        axes.set_ylabel("estimated value")
        axes.legend(**ABOVE)
        svg = to_svg(figure, "Estimate against iterations", "FQI's estimate after each iteration, and LSTD's estimate.")
    radius = result.verdict.diagnostics.spectral_radius
    pace = f"in the long run by a factor of {radius:.3g} an iteration"
    course = "reaches it in finitely many" if not radius else f"moves away from it, {pace}"
    if 0 < radius <= 1:
        course = f"approaches it, {pace}"
    return Figure(
        f"FQI after each iteration from 0. LSTD, where it is determined, is the fixed point; FQI {course}.", svg
    )


def _within(tick: float, values: np.ndarray) -> bool:
    """Say whether a tick lies where values are, with some room."""
    return bool(2 * min(values.min(), 0.0) <= tick <= 2 * max(values.max(), 0.0))


def ridge(result: Evaluation) -> Figure | None:
    """Draw LSTD's value and FQI's spectral radius against the ridge; None where no start is known."""
    found = result.curves
    assert found is not None
    if not np.isfinite(found.ridge_values).any():
        return None
    with house_style():
        figure, (top, bottom) = new_figure(2, 1, height=4.0)
        top.plot(found.ridges, found.ridge_values, marker="none", label="LSTD")
        top.set_ylabel("estimated value")
        bottom.plot(found.ridges, found.ridge_radii, marker="none", color="#D55E00", linestyle="-")
        bottom.axhline(1, color=SOFT, linewidth=1, linestyle=":")
        bottom.set_ylabel("FQI's spectral radius")
        bottom.set_xlabel("ridge, in units of a feature's mean square")
        for axes in (top, bottom):
            axes.set_xscale("log")
        description = "Above LSTD's estimate, below FQI's spectral radius, against the ridge."
        svg = to_svg(figure, "Estimate against the ridge", description)
    return Figure(
        "What a ridge would do: where the upper curve is flat the estimate does not depend on it. A ridge can also "
        "raise the spectral radius above 1 (dotted).",
        svg,
    )


def size(result: Evaluation) -> Figure | None:
    """Draw LSTD's value from ever more of the log; None where it has none."""
    found = result.curves
    assert found is not None
    if not np.isfinite(found.size_values).sum() > 1:
        return None
    unit = "rows" if result.prepared.log.independent else "episodes"
    with house_style():
        figure, axes = new_figure(height=2.8)
        reach = np.nan_to_num(np.abs(found.size_intervals - found.size_values[:, None])).T
        axes.errorbar(found.sizes, found.size_values, yerr=reach, fmt="o-", capsize=2, label="LSTD")
        axes.set_xscale("log")
        axes.set_xticks(found.sizes[:: 2 if len(found.sizes) > 6 else 1])
        axes.get_xaxis().set_major_formatter("{x:,.0f}")
        axes.minorticks_off()
        axes.set_xlabel(f"{unit} from the start of the log")
        axes.set_ylabel("estimated value")
        description = "LSTD's estimate and interval from ever more of the log."
        svg = to_svg(figure, "Estimate against the size of the log", description)
    return Figure(
        f"LSTD from the first {unit} of the log alone, with intervals. They should narrow with the square root of what "
        "was logged; a trend would say that the log's beginning is unlike its end.",
        svg,
    )


def overlap(result: Evaluation, weights: LoggedWeights | None) -> Figure | None:
    """Draw how the weights are spread and how many episodes count at each step; None where no weights are known."""
    if weights is None:
        return None
    unit = "rows" if result.prepared.log.independent else "episodes"
    shown = weights.log10[np.isfinite(weights.log10)]
    by_step = len(weights.effective) > 1
    with house_style():
        figure, found = new_figure(2, 1, height=4.2) if by_step else new_figure(height=2.4)
        top = found[0] if by_step else found
        top.hist(shown, bins=30, color="#0072B2")
        top.set_xlabel(f"weight of {unit}, power of ten")
        top.set_ylabel(unit)
        if by_step:
            bottom, steps = found[1], np.arange(1, len(weights.effective) + 1)
            bottom.plot(steps, weights.effective, marker="none", label="effective episodes")
            bottom.plot(steps, weights.alive, marker="none", label="episodes that are still going")
            bottom.set_yscale("log")
            bottom.set_xlabel("step")
            bottom.set_ylabel("episodes")
            bottom.legend(**ABOVE)
        description = "Spread of the importance weights" + (", and effective episodes by step." if by_step else ".")
        svg = to_svg(figure, "Overlap", description)
    zero = int((~np.isfinite(weights.log10)).sum())
    left_out = f" {zero:,} {unit} with weight 0 are left out above." if zero else ""
    return Figure(
        f"Importance weights: the ratio of the target policy's probability to the behaviour policy's, "
        f"{'of each row' if result.prepared.log.independent else 'multiplied along each episode'}. The fewer"
        f" episodes carry the weight, the less the log tells by weighting.{left_out}",
        svg,
    )
