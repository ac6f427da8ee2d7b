"""What a manager wants to know of a policy: profit with its doubt, service, and stock."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sandtable.agents.rollout import Trajectory
from sandtable.analysis.inventory.protocol import accrued_profit
from sandtable.analysis.paired_bootstrap import Interval, bootstrap_total, time_blocks
from sandtable.simulators.inventory.world import Economics


@dataclass(frozen=True)
class PolicyRow:
    """A policy on a group of products, over the scored periods of the test.

    Attributes:
        policy: Its name.
        split: ``test`` (products seen in training) or ``unseen``.
        profit: Total over products and periods, discounted; with its confidence interval.
        profit_low: Lower end.
        profit_high: Upper end.
        difference: Profit less the baseline's in the same world; with its interval. 0 for the baseline itself.
        difference_low: Lower end.
        difference_high: Upper end.
        fill_rate: Units sold / units wanted.
        stock_out_rate: Share of product-periods in which some demand was not met.
        stock_turns: Yearly cost of goods sold / mean value of the stock.
        average_stock: Mean value of the stock, at cost.
        units_sold: Total.
        units_lost: Total demand that was lost, or waiting at the end under backlog.
    """

    policy: str
    split: str
    profit: float
    profit_low: float
    profit_high: float
    difference: float
    difference_low: float
    difference_high: float
    fill_rate: float
    stock_out_rate: float
    stock_turns: float
    average_stock: float
    units_sold: float
    units_lost: float

    def as_dict(self) -> dict[str, Any]:
        """Return the row as a dict."""
        return asdict(self)


@dataclass(frozen=True)
class Scoring:
    """How runs are scored.

    Attributes:
        counts: Which periods count, bool [H, N].
        cost: Cost a unit, [H, N].
        economics: What is paid.
        discount: Worth of next period's money.
        block: Periods a block of time in the bootstrap.
        periods_per_year: For stock turns.
        alpha: One minus the confidence.
        seed: Of the resampling.
    """

    counts: np.ndarray
    cost: np.ndarray
    economics: Economics
    discount: float
    block: int
    periods_per_year: float
    alpha: float = 0.05
    seed: int = 0

    def profit(self, trajectory: Trajectory) -> np.ndarray:
        """Return the scored profit, [H, N]: that of the periods that count, on an accrual basis."""
        return accrued_profit(trajectory, self.cost, self.economics, self.discount) * self.counts

    def interval(self, values: np.ndarray, products: np.ndarray, alpha: float | None = None) -> Interval:
        """Return the total of [H, N] values over some products (columns) with its interval, of ``alpha`` if given."""
        return bootstrap_total(time_blocks(values[:, products], self.block), alpha or self.alpha, seed=self.seed)

    def row(
        self, name: str, split: str, trajectory: Trajectory, baseline: Trajectory, products: np.ndarray
    ) -> PolicyRow:
        """Return the row of a policy.

        Args:
            name: Of the policy.
            split: ``test`` or ``unseen``.
            trajectory: Its run, [H, N] each.
            baseline: The baseline's run in the same world.
            products: Columns of the split.
        """
        profit = self.profit(trajectory)
        total = self.interval(profit, products)
        paired = self.interval(profit - self.profit(baseline), products)
        counts = self.counts[:, products]

        def units(field: str) -> np.ndarray:
            return trajectory[field][:, products] * counts

        sales, demand, lost = units("sales").sum(), units("demand").sum(), units("lost").sum()
        unmet = units("lost") + units("waiting") > 1e-9
        stock_value = (units("on_hand") * self.cost[:, products]).sum() / max(len(counts), 1)
        turned = (units("sales") * self.cost[:, products]).sum() * self.periods_per_year / max(len(counts), 1)
        waiting = units("waiting")[-1].sum()
        return PolicyRow(
            name, split,
            total.estimate, total.low, total.high,
            paired.estimate, paired.low, paired.high,
            fill_rate=float(sales / demand) if demand else 1.0,
            stock_out_rate=float(unmet.sum() / max(counts.sum(), 1)),
            stock_turns=float(turned / stock_value) if stock_value > 0 else 0.0,
            average_stock=float(stock_value),
            units_sold=float(sales),
            units_lost=float(lost + waiting),
        )  # fmt: skip


def product_groups(demand: np.ndarray, price: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """Return products by velocity, intermittency and price.

    Args:
        demand: Known demand of the training history, [T, N].
        price: Median price, [N].

    Returns:
        For each grouping, name of group -> columns. Velocity and price are thirds; the demand classes are those of
        Syntetos, Boylan and Croston (2005): intermittent where the mean interval between demands is 1.32 periods or
        more, variable where the squared coefficient of variation of positive demands is 0.49 or more.
    """
    mean = demand.mean(axis=0)
    positive = demand > 0
    count = positive.sum(axis=0)
    interval = len(demand) / np.maximum(count, 1)
    size = demand.sum(axis=0) / np.maximum(count, 1)
    spread = np.where(positive, (demand - size) ** 2, 0).sum(axis=0) / np.maximum(count - 1, 1)
    variation = spread / np.maximum(size, 1e-12) ** 2
    rare, variable = interval >= 1.32, variation >= 0.49
    return {
        "velocity": _thirds(mean, ("slow movers", "medium movers", "fast movers")),
        "demand class": {
            "smooth": np.flatnonzero(~rare & ~variable),
            "erratic": np.flatnonzero(~rare & variable),
            "intermittent": np.flatnonzero(rare & ~variable),
            "lumpy": np.flatnonzero(rare & variable),
        },
        "price": _thirds(price, ("low price", "medium price", "high price")),
    }


def _thirds(values: np.ndarray, names: tuple[str, str, str]) -> dict[str, np.ndarray]:
    """Return the columns of the lowest, middle and highest third; ties keep their order."""
    order = np.argsort(values, kind="stable")
    return {name: np.sort(part) for name, part in zip(names, np.array_split(order, 3), strict=True)}
