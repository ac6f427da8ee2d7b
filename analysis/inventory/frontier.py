"""What more service costs: how profit and fill rate of each classical family move along its service setting."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sandtable.agents.inventory.candidates import classical_candidates
from sandtable.agents.rollout import Trajectory
from sandtable.analysis.figures import INK, SOFT, house_style, new_figure, plain, to_svg
from sandtable.analysis.inventory.backtest import Backtest
from sandtable.analysis.inventory.participants import CLAIRVOYANT, LEARNED
from sandtable.analysis.inventory.plan import WINDOW, played
from sandtable.analysis.report import Column, Figure, Section, Table

WHOLE, NEAR = 0.25, 0.03  # of the best profit: how far below it the sides of the figure reach


@dataclass(frozen=True)
class FrontierPoint:
    """A policy at one service setting, on all products of the test.

    Attributes:
        policy: Its family, or its name where it has no service setting.
        service: The setting; None where there is none.
        fill_rate: Units sold / units wanted, over the scored periods.
        average_stock: Mean worth of the stock, at cost.
        profit: Total, as in the table of policies.
        chosen: Whether it is what took part in the backtest.
    """

    policy: str
    service: float | None
    fill_rate: float
    average_stock: float
    profit: float
    chosen: bool


def service_frontier(result: Backtest) -> tuple[FrontierPoint, ...]:
    """Play the test with every service setting of each classical family, its other settings as tuning chose them.

    Every policy is built from the demand before the test, as in the backtest; only which setting is best is seen in
    hindsight. Policies without a service setting are single points: the newsvendor, the learned one, a user's own,
    and the clairvoyant.
    """
    plan, products = result.plan, np.arange(result.panel.products)
    points = []
    candidates = classical_candidates(plan.panel, plan.split.train, WINDOW, plan.split.seen)
    families = {one.name: one for one in candidates}
    for name, participant in result.participants.items():
        chosen = participant.settings.get("service") if participant.kind == "classical" else None
        if chosen is None:
            if participant.kind != "control" and name != "order nothing":
                points.append(_point(result, name, None, result.trajectories[name], chosen=True))
            continue
        family = families[name]
        for service in sorted({settings["service"] for settings in family.grid}):
            if service == chosen:
                run = result.trajectories[name]
            else:
                policy = family.build(plan.panel, plan.split.validate, **{**participant.settings, "service": service})
                run = played(plan, plan.test(), policy, products, name)
            points.append(_point(result, name, service, run, chosen=service == chosen))
    return tuple(points)


def _point(result: Backtest, name: str, service: float | None, run: Trajectory, chosen: bool) -> FrontierPoint:
    """Measure a run on all products."""
    scoring = result.scoring
    sold, wanted = ((run[field] * scoring.counts).sum() for field in ("sales", "demand"))
    stock = (run["on_hand"] * scoring.counts * scoring.cost).sum() / max(len(scoring.counts), 1)
    fill_rate = float(sold / wanted) if wanted else 1.0
    return FrontierPoint(name, service, fill_rate, float(stock), float(scoring.profit(run).sum()), chosen)


def frontier_section(result: Backtest, points: Sequence[FrontierPoint], decimals: int) -> Section:
    """Return the report's section: figure and table.

    Args:
        result: The backtest.
        points: As ``service_frontier`` returns them.
        decimals: Places of money.
    """
    best = {name: max(_of(points, name), key=lambda point: point.profit) for name in _families(points)}
    rows = []
    for name, top in best.items():
        taken = next(point for point in _of(points, name) if point.chosen)
        rows.append(
            (
                name, taken.service, taken.fill_rate, taken.profit,
                top.service, top.fill_rate, top.profit, top.profit - taken.profit,
            )
        )  # fmt: skip
    places = [
        Column("policy"),
        Column("chosen service", "percent", 2),
        Column("fill rate", "percent", 1),
        Column("profit", "money", decimals),
        Column("best in hindsight", "percent", 2),
        Column("its fill rate", "percent", 1),
        Column("its profit", "money", decimals),
        Column("missed", "money", decimals),
    ]
    chosen = Table(
        "The service that was chosen in training, and the one that would have earned most in the test",
        places,
        rows,
        note="Service: the probability of covering demand over lead time and review that the policy aims at, by its "
        "own forecast. All products. The last three columns are hindsight: nobody could have known them.",
    )
    every = Table(
        "Every service setting on the test, in hindsight",
        [
            Column("policy"),
            Column("service", "percent", 2),
            Column("fill rate", "percent", 1),
            Column("mean stock", "money", decimals),
            Column("profit", "money", decimals),
            Column("chosen"),
        ],
        [
            (point.policy, point.service, point.fill_rate, point.average_stock, point.profit, _mark(point))
            for point in points
        ],
        note="Mean stock: at cost. Policies without a service setting have one row.",
    )
    text = (
        "Each classical policy could have aimed at more or less service. Here it plays the test at each of its service "
        "settings, the other settings as they were chosen. The setting that took part in the backtest was chosen in "
        "training. Which one would have been best is hindsight; a policy picked by it was picked by the test."
    )
    return Section("What service costs", text, [frontier_figure(result, points), chosen, every])


def _mark(point: FrontierPoint) -> str:
    return "in training" if point.chosen and point.service is not None else ""


def _families(points: Sequence[FrontierPoint]) -> list[str]:
    return list(dict.fromkeys(point.policy for point in points if point.service is not None))


def _of(points: Sequence[FrontierPoint], name: str) -> list[FrontierPoint]:
    return [point for point in points if point.policy == name]


def frontier_figure(result: Backtest, points: Sequence[FrontierPoint]) -> Figure:
    """Draw profit over fill rate, whole and near the best: a line a family, its chosen setting filled."""
    reachable = max(point.profit for point in points if point.policy != CLAIRVOYANT)
    with house_style():
        figure, (whole, near) = new_figure(1, 2, width=7.0, height=3.9)
        for axes, share in ((whole, WHOLE), (near, NEAR)):
            _draw(axes, points, reachable - share * abs(reachable))
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if reachable >= 100 else f"{value:,.2f}")
        inside = [point for point in points if reachable >= point.profit >= reachable - NEAR * abs(reachable)]
        rates = [100 * point.fill_rate for point in inside]
        span, height = max(rates) - min(rates) or 1.0, NEAR * abs(reachable) or 1.0
        near.set_xlim(min(rates) - 0.08 * span, min(max(rates) + 0.08 * span, 100.5))
        near.set_ylim(reachable - 1.05 * height, reachable + 0.15 * height)
        near.set_title("near the best")
        whole.set_title("down to a quarter less")
        whole.set_ylabel("profit in the test")
        figure.supxlabel("fill rate: units sold of units wanted, %", fontsize=9, color=INK)
        handles, labels = whole.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=4)
        svg = to_svg(
            figure,
            "Profit and service in hindsight",
            "Profit in the test over the fill rate, a line for each classical policy along its service settings, with "
            "the setting chosen in training marked; single marks for the other policies and the clairvoyant.",
        )
    return Figure(
        "Hindsight: profit in the test at every service setting. Large filled marks: the settings chosen in training. "
        "Up is more profit, right is more service. The right side shows the highest profits alone; what earns less "
        f"than {1 - WHOLE:.0%} of the best is in the table only.",
        svg,
    )


def _draw(axes: Any, points: Sequence[FrontierPoint], floor: float) -> None:
    """Draw what earns at least ``floor``: families as lines, of the same colour in all axes, others as single marks."""
    shown = [point for point in points if point.profit >= floor]
    for name in _families(points):
        line = _of(shown, name)
        drawn = axes.plot(*_places(line), label=plain(name), markerfacecolor="white", markersize=3.5, linewidth=1.3)[0]
        look = {"color": drawn.get_color(), "markersize": 8, "markeredgecolor": "white", "zorder": 4}
        axes.plot(*_places([point for point in line if point.chosen]), drawn.get_marker(), linestyle="none", **look)
    singles = [point for point in shown if point.service is None]
    for point, marker in zip(singles, _marks(singles), strict=True):
        axes.plot(*_places([point]), linestyle="none", label=plain(point.policy), zorder=5, **marker)


def _places(points: Sequence[FrontierPoint]) -> tuple[list[float], list[float]]:
    return [100 * point.fill_rate for point in points], [point.profit for point in points]


def _marks(singles: Sequence[FrontierPoint]) -> list[dict[str, Any]]:
    """Return how each single policy is drawn: the clairvoyant and the learned one always alike."""
    fixed = {CLAIRVOYANT: ("*", INK, 11), LEARNED: ("P", INK, 7)}
    others = iter(("X", "d", "<", ">", "h", "p") * len(singles))
    marks = []
    for point in singles:
        marker, colour, size = fixed.get(point.policy, ("", SOFT, 7))
        marks.append({"marker": marker or next(others), "color": colour, "markersize": size})
    return marks
