"""The report of a backtest: the answer first, then what a scientist needs to check it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sandtable.analysis.inventory import figures
from sandtable.analysis.inventory.backtest import Backtest
from sandtable.analysis.inventory.frontier import FrontierPoint, frontier_section
from sandtable.analysis.inventory.measures import PolicyRow
from sandtable.analysis.inventory.participants import CLAIRVOYANT
from sandtable.analysis.paired_bootstrap import Interval as Bootstrapped
from sandtable.analysis.report import Block, Column, Interval, KeyFigure, Note, Report, Section, Table

PERIODS = {"D": "days", "W": "weeks", "M": "months", "Q": "quarters"}
ASSUMED = {
    "as assumed": "as assumed",
    "margin": "margin",
    "lead_time": "lead time",
    "holding_rate": "holding rate a year",
}


def periods_name(review_period: str) -> str:
    """Return what review periods are called: weeks for ``W-MON``, periods for what has no name."""
    return PERIODS.get(review_period[:1].upper(), "periods") if not review_period[:1].isdigit() else "periods"


def against_baseline(result: Backtest, policy: str, picked_from: int = 1) -> Bootstrapped:
    """Return a policy's difference from the baseline on all products, with its interval.

    Where it was picked from several for what it earned in the test, the interval is Bonferroni's: as wide as it takes
    for the intervals of all of them to hold at once.
    """
    scoring, runs = result.scoring, result.trajectories
    difference = scoring.profit(runs[policy]) - scoring.profit(runs[result.baseline])
    return scoring.interval(difference, np.arange(result.panel.products), scoring.alpha / picked_from)


def decimals(result: Backtest) -> int:
    """Return how many decimal places of money are shown: none, but two where the profits are small."""
    profits = [abs(float(result.scoring.profit(run).sum())) for run in result.trajectories.values()]
    return 0 if max(profits) >= 1000 else 2


def answer(result: Backtest) -> str:
    """Return the outcome in one sentence."""
    baseline_profit = float(result.scoring.profit(result.trajectories[result.baseline]).sum())
    span = f"{len(result.scoring.counts)} {periods_name(result.panel.review_period)} of test"
    rivals = [name for name in result.implementable if name != result.baseline]
    if result.best == result.baseline:
        profits = {name: float(result.scoring.profit(result.trajectories[name]).sum()) for name in rivals}
        rival = max(profits, key=lambda name: profits[name])
        start = (
            f"Over {span}, no policy earned more than {result.baseline}, the best classical one in validation; "
            f"the nearest, {rival}, earned"
        )
    else:
        rival = result.best
        start = f"Over {span}, {rival} would have earned"
    interval = against_baseline(result, rival, len(rivals))
    more = "more" if interval.estimate >= 0 else "less"
    than = "" if result.best == result.baseline else f" than {result.baseline}, the best classical policy in validation"
    share = abs(interval.estimate) / max(abs(baseline_profit), 1e-9)
    places = decimals(result)
    outcome = f"{start} {abs(interval.estimate):,.{places}f} ({share:.1%}) "
    outcome += f"{more}{than}; "
    if not np.isfinite(interval.low):
        return f"{outcome}with one product, how sure that is cannot be told."
    low, high = (interval.low, interval.high) if interval.estimate >= 0 else (-interval.high, -interval.low)
    sure = "is more than chance" if low > 0 else "may be chance"
    ends = f"{low:z,.{places}f} to {high:z,.{places}f}".replace("-", "−")
    picked = f", widened for picking one of {len(rivals)}," if len(rivals) > 1 else ""
    return f"{outcome}the {1 - result.settings.alpha:.0%} interval{picked} is {ends}, so the difference {sure}."


def backtest_report(
    result: Backtest,
    sensitivity: Sequence[Mapping[str, Any]],
    frontier: Sequence[FrontierPoint],
    orders: Any,
    provenance: Mapping[str, Any],
) -> Report:
    """Return the report.

    Args:
        result: The backtest.
        sensitivity: Rows of ``backtest.sensitivity``; none leaves the section out.
        frontier: As ``service_frontier`` returns it.
        orders: The table of ``next_orders``.
        provenance: What the numbers come from.
    """
    sections = [
        _policies(result),
        Section(
            "How the difference came about",
            blocks=[figures.differences(result), figures.profit_over_time(result), figures.product_story(result)],
        ),
        frontier_section(result, frontier, decimals(result)),
        _where(result),
        _orders(result, orders),
    ]
    if sensitivity:
        sections.append(_sensitivity(result, sensitivity))
    curve = figures.learning_curve(result)
    if curve is not None:
        sections.append(_learning(result, curve))
    sections += [_assumptions(result), _method(result)]
    baseline = result.row(result.baseline, "test")
    best = result.row(result.best, "test")
    return Report(
        title="Backtest of ordering policies",
        question=(
            f"Which ordering policy would have earned more on {result.panel.products:,} products from "
            f"{_day(result, result.split.validate)} on?"
        ),
        answer=answer(result),
        sections=sections,
        provenance=provenance,
        data={"policies": [row.as_dict() for row in result.rows], "groups": list(result.groups)},
        key_figures=[
            KeyFigure("Best policy", result.best, f"baseline: {result.baseline}"),
            KeyFigure("Fill rate", f"{best.fill_rate:.1%}", f"baseline {baseline.fill_rate:.1%}"),
            KeyFigure("Stock turns a year", f"{best.stock_turns:.1f}", f"baseline {baseline.stock_turns:.1f}"),
            KeyFigure("Of the profit of perfect foresight", f"{figures.bound_gap(result, result.best):.0%}"),
        ],
    )


def _day(result: Backtest, period: int) -> str:
    return str(result.panel.starts[period].astype("datetime64[D]"))


def _policies(result: Backtest) -> Section:
    """Return the table of policies, products seen in training and held out apart."""
    money = [
        Column("policy"),
        Column("profit", "money", decimals(result)),
        Column("against the baseline", "money", decimals(result)),
    ]
    service = [
        Column("policy"),
        Column("fill rate", "percent", 1),
        Column("stock-outs", "percent", 1),
        Column("stock turns", "number", 1),
        Column("mean stock", "money", decimals(result)),
        Column("units sold", "number", 0),
        Column("units lost", "number", 0),
    ]
    blocks: list[Block] = []
    for split, caption in (("test", "products seen in training"), ("unseen", "products never seen in training")):
        rows = sorted((row for row in result.rows if row.split == split), key=lambda row: -row.profit)
        if not rows:
            continue
        count = len(result.split.seen if split == "test" else result.split.unseen)
        blocks.append(
            Table(
                f"Profit on the {count:,} {caption}",
                money,
                [(_marked(result, row.policy), _profit(row), _difference(result, row)) for row in rows],
                note="In the money of the sales file: revenue - purchases - holding - shortage, plus the change in "
                f"the worth of the stock. In brackets: {1 - result.settings.alpha:.0%} intervals.",
            )
        )
        blocks.append(
            Table(
                f"Service and stock on the {count:,} {caption}",
                service,
                [
                    (
                        _marked(result, row.policy), row.fill_rate, row.stock_out_rate, row.stock_turns,
                        row.average_stock, row.units_sold, row.units_lost,
                    )
                    for row in rows
                ],
                note="Fill rate: units sold of units wanted. Stock-outs: share of product-periods with unmet demand. "
                "Stock turns: yearly, at cost. Mean stock: at cost.",
            )
        )  # fmt: skip
    rules = [
        (one.name, one.rule, ", ".join(f"{name} {value:g}" for name, value in one.settings.items()), one.validation)
        for one in result.participants.values()
    ]
    blocks.append(
        Table(
            "What each policy does",
            [
                Column("policy"),
                Column("rule"),
                Column("chosen in training"),
                Column("profit in validation", "money", decimals(result)),
            ],
            rules,
        )
    )
    return Section("Policies", "Every policy faced the same customers, prices and supplier.", blocks)


def _marked(result: Backtest, policy: str) -> str:
    """Return a policy's name with what it is, where that is not a policy to follow."""
    if policy == result.baseline:
        return f"{policy} (baseline)"
    return policy + {"bound": " (upper bound)", "control": " (control)"}.get(result.participants[policy].kind, "")


def _profit(row: PolicyRow) -> Interval:
    return Interval(row.profit, row.profit_low, row.profit_high)


def _difference(result: Backtest, row: PolicyRow) -> Interval | None:
    return None if row.policy == result.baseline else Interval(row.difference, row.difference_low, row.difference_high)


def _where(result: Backtest) -> Section:
    """Return where the policies win and lose."""
    policy = result.best if result.best != result.baseline else figures.shown_policies(result)[-1]
    rows = [
        (
            row["grouping"], row["group"], row["policy"], row["products"],
            Interval(row["difference"], row["difference_low"], row["difference_high"]),
            row["difference"] / abs(row["baseline_profit"]) if row["baseline_profit"] else None,
        )
        for row in result.groups
        if row["policy"] in figures.shown_policies(result)
    ]  # fmt: skip
    table = Table(
        "Difference from the baseline by product group",
        [
            Column("grouping"),
            Column("group"),
            Column("policy"),
            Column("products", "number", 0),
            Column("difference", "money", decimals(result)),
            Column("of the baseline's profit", "percent", 1),
        ],
        rows,
        note="Demand classes after Syntetos, Boylan and Croston (2005), by the interval between demands (1.32 "
        "periods) and the squared coefficient of variation of their size (0.49). Velocity and price by thirds. No "
        "correction for looking at several groups at once.",
    )
    blocks: list[Block] = [] if policy == result.baseline else [figures.wins_and_losses(result, policy)]
    return Section("Where policies win and lose", blocks=[*blocks, table])


def _orders(result: Backtest, orders: Any) -> Section:
    """Return the largest next orders; the file has all."""
    shown = orders.assign(value=orders["order"] * result.panel.cost[-1]).nlargest(15, "value")
    simulated = int((orders["stock"] == "simulated").sum())
    text = (
        f"The next order of every product under {result.best} is in orders.csv: {int((orders['order'] > 0).sum()):,} "
        f"of {len(orders):,} products are ordered, for {float((orders['order'] * result.panel.cost[-1]).sum()):,.0f} "
        "at cost."
    )
    if simulated:
        text += (
            f"\n\nThe sales file does not tell the present stock of {simulated:,} products (columns on_hand and "
            "on_order). For them the stock is the one that the policy would have left at the end of the test: "
            "correct it before ordering."
        )
    columns = [Column("product"), *(Column(name, "number", 0) for name in ("order", "on hand", "on order"))]
    columns += [
        Column("expected demand", "number", 1),
        Column("value at cost", "money", decimals(result)),
        Column("stock"),
    ]
    rows = shown[["sku", "order", "on_hand", "on_order", "expected_demand", "value", "stock"]].itertuples(index=False)
    return Section(
        "What to order now", text, [Table("The fifteen largest orders", columns, [tuple(row) for row in rows])]
    )


def _sensitivity(result: Backtest, rows: Sequence[Mapping[str, Any]]) -> Section:
    """Return what other assumptions would have changed."""
    cells = [
        (
            ASSUMED[row["assumption"]],
            None if row["value"] is None else f"{row['value']:g}",
            row["baseline"],
            row["baseline_profit"],
            row["policy"],
            Interval(row["difference"], row["difference_low"], row["difference_high"]),
        )
        for row in rows
    ]
    columns = [
        Column("assumption"),
        Column("value"),
        Column("best classical policy in validation"),
        Column("its profit", "money", decimals(result)),
        Column("against it"),
        Column("difference", "money", decimals(result)),
    ]
    moved = ", ".join(dict.fromkeys(ASSUMED[row["assumption"]] for row in rows if row["value"] is not None))
    text = (
        f"Assumed, not measured: {moved}. Here each is moved alone, the classical policies are tuned "
        "anew, and all products of the test are played again. The learned policy is not trained anew."
    )
    return Section("If the assumptions were wrong", text, [Table("One assumption moved at a time", columns, cells)])


def _learning(result: Backtest, curve: Any) -> Section:
    """Return what was learned, and that it was."""
    totals = {
        name: float(result.scoring.profit(result.trajectories[name]).sum())
        for name in ("DirectBackprop", "untrained network", "order nothing")
    }
    places = decimals(result)
    text = (
        f"In the test the trained network earned {totals['DirectBackprop']:,.{places}f}, the same network before "
        f"training {totals['untrained network']:,.{places}f}, and ordering nothing "
        f"{totals['order nothing']:,.{places}f}."
    )
    return Section("What the network learned", text, [curve])


def _assumptions(result: Backtest) -> Section:
    """Return what was taken for granted, in plain words."""
    name = periods_name(result.panel.review_period)
    order = (
        f"Once per review period, in this order: stock is seen; the order is placed; what is due arrives; customers "
        f"come; money is paid. An order with lead time L can be sold L {name} later. Demand that cannot be met is "
        + ("lost." if result.panel.economics.unmet == "lost" else "served later.")
    )
    stock = result.plan.initial_stock
    recorded = " the stock recorded in the file where it is known, and otherwise with" if stock == "recorded" else ""
    level = (
        "a base-stock level: 95 % of demand over lead time and review, from the demand before the test"
        if isinstance(stock, str)
        else f"{stock:g} {name} of mean demand on hand, and nothing on order"
    )
    start = f"The test starts with{recorded} {level}. It is the same for every policy."
    repairs = [(what, count) for what, count in result.panel.repairs.items()]
    blocks: list[Block] = [Note(sentence) for sentence in (order, start, *result.panel.statements)]
    if repairs:
        blocks.append(Table("What was mended in the file", [Column("repair"), Column("count", "number", 0)], repairs))
    return Section("What was assumed", blocks=blocks)


def _method(result: Backtest) -> Section:
    """Return how it was done, for who wants to check."""
    parts, name = result.split, periods_name(result.panel.review_period)
    share = np.nan_to_num(against_baseline(result, result.best).time_share) if result.best != result.baseline else 0.0
    text = (
        f"Training: {_day(result, 0)} to the day before {_day(result, parts.train)} ({parts.train} {name}). "
        f"Validation: to {_day(result, parts.validate)} ({parts.validate - parts.train}). Test: the last "
        f"{parts.periods - parts.validate}, seen by no policy before. {len(parts.unseen):,} of "
        f"{result.panel.products:,} products, chosen by a hash of their names, took part in neither tuning nor "
        "training.\n\nClassical policies are tuned on the training periods; the baseline is the one that earned most "
        "in validation. For the test their levels are computed anew from all demand before it, with the settings "
        "chosen in training.\n\nA product's first periods, until an order placed in the test can arrive, are not "
        "scored: they are the same for every policy. Orders that arrive after the end are not paid for, and so not "
        "scored either.\n\nDifferences are paired: product by product, in the same world (SHA-256 of what all "
        f"policies faced: {result.world[:16]}...). Intervals come from a bootstrap of {result.panel.products:,} "
        f"products, whole histories at a time, and of blocks of {result.scoring.block} {name}; blocks of time account "
        f"for {share:.0%} of the variance of the best policy's difference. They say how much the answer would vary "
        "with other products and other weeks like these, not what happens if the future is unlike the past. The "
        "interval in the first sentence is wider than the table's: its policy was picked after the test, so it holds "
        "for all policies at once (Bonferroni).\n\n"
        f"The {CLAIRVOYANT} knows all demand in advance. " + result.participants[CLAIRVOYANT].rule
    )
    return Section("How it was done", text)
