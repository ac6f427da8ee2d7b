"""The figures of a backtest."""

from typing import Any

import numpy as np

from sandtable.analysis.figures import house_style, new_figure, plain, to_svg
from sandtable.analysis.inventory.backtest import Backtest
from sandtable.analysis.inventory.participants import CLAIRVOYANT
from sandtable.analysis.report import Figure

ABOVE: Any = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "ncols": 4, "borderaxespad": 0.3}
"""Where a legend hides no data."""


def shown_policies(result: Backtest, most: int = 4) -> list[str]:
    """Return the policies worth a line: the best, the baseline, the learned one and a user's own, at most ``most``."""
    learned_or_own = [name for name, one in result.participants.items() if one.kind in ("user", "learned")]
    return list(dict.fromkeys([result.best, result.baseline, *learned_or_own]))[:most]


def profit_over_time(result: Backtest) -> Figure:
    """Draw the cumulative difference in profit from the baseline, all products."""
    dates = result.panel.starts[result.split.validate :].astype("datetime64[ms]").astype(object)
    reference = result.scoring.profit(result.trajectories[result.baseline]).sum(axis=1)
    with house_style():
        figure, axes = new_figure()
        for name in shown_policies(result):
            if name == result.baseline:
                continue
            profit = result.scoring.profit(result.trajectories[name]).sum(axis=1)
            axes.plot(dates, np.cumsum(profit - reference), label=plain(name), markevery=max(1, len(dates) // 10))
        axes.axhline(0, color="#59636e", linewidth=1, label=plain(f"{result.baseline} (baseline)"))
        axes.set_ylabel("cumulative profit less the baseline's")
        axes.legend(**ABOVE)
        _tidy_dates(figure, axes)
        svg = to_svg(
            figure, "Profit over time", "Cumulative profit of each policy less that of the baseline, by period."
        )
    return Figure("Cumulative profit of the test, less the baseline's, over all products.", svg)


def differences(result: Backtest) -> Figure:
    """Draw each policy's difference from the baseline with its interval, seen and unseen products apart."""
    names = [name for name in result.implementable if name != result.baseline and name != "order nothing"]
    splits = [split for split in ("test", "unseen") if any(row.split == split for row in result.rows)]
    labels = {"test": "products seen in training", "unseen": "products never seen"}
    with house_style():
        figure, axes = new_figure(height=1.2 + 0.36 * len(names))
        for offset, split in enumerate(splits):
            rows = [result.row(name, split) for name in names]
            reference = abs(result.row(result.baseline, split).profit) or 1.0
            centre = np.array([row.difference for row in rows]) / reference * 100
            ends = np.array([[row.difference_low, row.difference_high] for row in rows]).T / reference * 100
            height = np.arange(len(names)) + (offset - 0.5 * (len(splits) - 1)) * 0.28
            axes.errorbar(
                centre, height, xerr=np.abs(np.nan_to_num(ends - centre)), fmt="os"[offset], capsize=2,
                linestyle="none", label=labels[split],
            )  # fmt: skip
        axes.axvline(0, color="#59636e", linewidth=1)
        axes.set_yticks(range(len(names)), [plain(name) for name in names])
        axes.invert_yaxis()
        axes.set_xlabel("difference from the baseline's profit, %")
        axes.legend(**ABOVE)
        description = "Difference of each policy's profit from the baseline's in per cent, with confidence intervals."
        svg = to_svg(figure, "Policies against the baseline", description)
    return Figure(
        f"Profit of each policy against {result.baseline}, with {1 - result.settings.alpha:.0%} intervals.", svg
    )


def product_story(result: Backtest, product: int | None = None) -> Figure:
    """Draw stock, arrivals and demand of one product under the best policy.

    Args:
        result: The backtest.
        product: Column of the panel; by default the product of median revenue among the faster half.
    """
    run, first = result.trajectories[result.best], result.split.validate
    if product is None:
        revenue = result.trajectories[result.baseline]["revenue"].sum(axis=0)
        product = int(np.argsort(revenue)[int(0.75 * (len(revenue) - 1))])
    dates = result.panel.starts[first:].astype("datetime64[ms]").astype(object)
    sku = result.panel.skus[product]
    with house_style():
        figure, (top, bottom) = new_figure(2, 1, height=4.2)
        top.step(dates, run["demand"][:, product], where="post", label="demand", marker="none")
        top.step(dates, run["sales"][:, product], where="post", label="sales", marker="none")
        top.set_ylabel("units a period")
        top.legend(**ABOVE)
        bottom.step(dates, run["on_hand"][:, product], where="post", label="stock", marker="none")
        bottom.step(dates, run["in_transit"][:, product], where="post", label="on order", marker="none")
        ordered = run["ordered"][:, product]
        bottom.plot(
            dates, np.where(ordered > 0, ordered, np.nan), "^", linestyle="none", label="orders", color="#009E73"
        )
        bottom.set_ylabel("units")
        bottom.legend(**ABOVE)
        _tidy_dates(figure, bottom)
        svg = to_svg(
            figure, f"Product {sku}", "Above demand and sales, below stock, units on order and orders, by period."
        )
    return Figure(f"Product {sku} under {result.best} in the test.", svg)


def wins_and_losses(result: Backtest, policy: str) -> Figure:
    """Draw how a policy's difference from the baseline is spread over products."""
    reference = result.scoring.profit(result.trajectories[result.baseline]).sum(axis=0)
    profit = result.scoring.profit(result.trajectories[policy]).sum(axis=0)
    difference = np.sort(profit - reference)
    with house_style():
        figure, axes = new_figure(height=2.8)
        share = (np.arange(len(difference)) + 1) / len(difference) * 100
        axes.plot(share, np.cumsum(difference), marker="none")
        axes.axhline(0, color="#59636e", linewidth=1)
        axes.set_xlabel("share of products, from the largest loss to the largest win, %")
        axes.set_ylabel("cumulative difference")
        svg = to_svg(
            figure, "Wins and losses", "Cumulative difference in profit over products sorted by their difference."
        )
    won, lost = (difference > 1e-9).mean(), (difference < -1e-9).mean()
    return Figure(
        f"{policy} against {result.baseline}: it wins on {won:.0%} and loses on {lost:.0%} of the products; where the "
        "curve falls, losses add up, and its end is the total.",
        svg,
    )


def learning_curve(result: Backtest) -> Figure | None:
    """Draw return and gradient norm of the learned policy's training; None where nothing was learned."""
    if result.learned is None:
        return None
    rows = result.learned.history
    with house_style():
        figure, (left, right) = new_figure(1, 2, height=2.9, width=6.4)
        for axes, series, label in (
            (left, "return", "training"), (left, "validation_return", "validation"), (right, "gradient_norm", ""),
        ):  # fmt: skip
            kept = [row for row in rows if series in row]
            steps = [row["step"] for row in kept]
            values = np.array([row[series] for row in kept])
            axes.plot(steps, values[:, result.learned.replica], label=label, markevery=max(1, len(steps) // 8))
        left.axvline(result.learned.best_step, color="#59636e", linewidth=1, linestyle=":")
        left.set_ylabel("mean return an episode")
        left.set_xlabel("updates")
        left.legend(**ABOVE)
        right.set_yscale("log")
        right.set_ylabel("norm of the gradient")
        right.set_xlabel("updates")
        svg = to_svg(
            figure,
            "How DirectBackprop learned",
            "Left: return in training and validation. Right: norm of the gradient.",
        )
    return Figure(
        "DirectBackprop's return (in a product's mean revenue a period) and gradient norm by update; the dotted line "
        "marks the network that was kept.",
        svg,
    )


def bound_gap(result: Backtest, policy: str) -> float:
    """Return how much of the clairvoyant's profit a policy earns, all products."""
    bound = float(result.scoring.profit(result.trajectories[CLAIRVOYANT]).sum())
    return float(result.scoring.profit(result.trajectories[policy]).sum()) / bound if bound > 0 else float("nan")


def _tidy_dates(figure: Any, axes: Any) -> None:
    """Label dates briefly."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    for one in figure.axes:
        locator = AutoDateLocator(maxticks=8)
        one.xaxis.set_major_locator(locator)
        one.xaxis.set_major_formatter(ConciseDateFormatter(locator))
