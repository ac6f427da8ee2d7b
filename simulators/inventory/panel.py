"""A history with every gap filled by a stated assumption: what the inventory world replays."""

from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory import arrivals
from sandtable.simulators.inventory.history import SalesHistory
from sandtable.simulators.inventory.order_rules import OrderRules, checked
from sandtable.simulators.inventory.review_periods import ReviewPeriods
from sandtable.simulators.inventory.world import Economics


@dataclass(frozen=True)
class Assumptions:
    """What is taken for granted where the history does not tell.

    Attributes:
        lead_time: Review periods from order to arrival, whole, >= 0.
        margin: Share of the price that is not cost, in [0, 1).
        holding_rate: Yearly cost of a unit in stock (capital, space, obsolescence), as a fraction of its cost, >= 0.
        shortage_cost: Cost of a lost unit beyond its margin, as a fraction of its price, >= 0.
        salvage: Worth of a unit left at the end, as a fraction of its cost, >= 0; 1, since business goes on.
        batch_size: Units that orders are multiples of, > 0; 0 for any real quantity.
        minimum_order: Least units of an order that is placed, >= 0.
        pay_on: Whether cost is paid when units are ``received`` or when they are ``ordered``.
        unmet: Whether unmet demand is ``lost`` or waits (``backlog``).
    """

    lead_time: int = 2
    margin: float = 0.4
    holding_rate: float = 0.25
    shortage_cost: float = 0.0
    salvage: float = 1.0
    batch_size: float = 1.0
    minimum_order: float = 0.0
    pay_on: str = "received"
    unmet: str = "lost"

    def __post_init__(self) -> None:
        if self.lead_time < 0 or int(self.lead_time) != self.lead_time:
            raise InputError(f"lead time: {self.lead_time} is not a whole number of review periods, at least 0")
        if not 0 <= self.margin < 1:
            raise InputError(f"margin: {self.margin} is not in [0, 1)")
        for name in ("holding_rate", "shortage_cost", "salvage", "batch_size", "minimum_order"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise InputError(f"{name.replace('_', ' ')}: {value} is negative or not finite")
        if self.pay_on not in ("received", "ordered"):
            raise InputError(f"pay on: {self.pay_on!r} is neither 'received' nor 'ordered'")
        if self.unmet not in ("lost", "backlog"):
            raise InputError(f"unmet: {self.unmet!r} is neither 'lost' nor 'backlog'")


@dataclass(frozen=True)
class Panel:
    """What the world replays: T periods of N products without a gap.

    Attributes:
        skus: Names of the N products.
        starts: datetime64[D] [T], first day of each period.
        review_period: pandas offset alias.
        demand: float64 [T, N], units that customers wanted.
        known: bool [T, N], whether demand was seen: not before a product's first sale, not while it was out of stock.
        price: float64 [T, N], money a unit.
        cost: float64 [T, N], money a unit.
        shares: float64 [T or 1, J + 1, N], arrival shares (see ``arrivals``).
        rules: The supplier's, arrays of [N] or None.
        economics: What is paid, per review period.
        on_hand: float64 [T, N], recorded stock at the end of each period; NaN unknown.
        on_order: float64 [T, N], recorded units on order at the end of each period; NaN unknown.
        statements: What was assumed, as sentences for the report.
        repairs: What was mended, and how often.
    """

    skus: tuple[str, ...]
    starts: np.ndarray
    review_period: str
    demand: np.ndarray
    known: np.ndarray
    price: np.ndarray
    cost: np.ndarray
    shares: np.ndarray
    rules: OrderRules
    economics: Economics
    on_hand: np.ndarray
    on_order: np.ndarray
    statements: tuple[str, ...] = ()
    repairs: dict[str, int] = field(default_factory=dict)

    @property
    def periods(self) -> int:
        """T, review periods."""
        return len(self.starts)

    @property
    def products(self) -> int:
        """N, products."""
        return len(self.skus)

    @property
    def lead_time(self) -> np.ndarray:
        """Mean periods from order to arrival, float64 [N]."""
        return arrivals.mean_lead_time(self.shares)

    def with_shares(self, shares: np.ndarray) -> "Panel":
        """Return the panel with other arrival shares, [T or 1, J + 1, N or 1]."""
        shares = arrivals.checked(shares, self.periods, self.products)
        return replace(self, shares=np.broadcast_to(shares, (*shares.shape[:2], self.products)))

    def calendar(self) -> np.ndarray:
        """Return seasonality features, float64 [T, 4]: sine and cosine of the year, and of the half-year."""
        angle = 2 * np.pi * self.year_fraction()
        return np.stack([np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)], axis=1)

    def year_fraction(self) -> np.ndarray:
        """Return where in the year each period starts, float64 [T], in [0, 1)."""
        days = self.starts.astype("datetime64[D]")
        return (days - days.astype("datetime64[Y]")).astype(np.int64) / 366.0

    def periods_per_year(self) -> float:
        """Return how many review periods make a year."""
        return periods_per_year(self.starts)

    def with_next_period(self) -> "Panel":
        """Return the panel with one more period, of which nothing is known but the price and cost of the last."""

        def extended(table: np.ndarray, row: np.ndarray) -> np.ndarray:
            return np.concatenate([table, row[None]])

        following = ReviewPeriods.from_alias(self.review_period).starts(self.starts[-1], 2)[1]
        nothing, unknown = np.zeros(self.products), np.full(self.products, np.nan)
        return replace(
            self,
            starts=np.append(self.starts, following),
            demand=extended(self.demand, nothing),
            known=extended(self.known, nothing.astype(bool)),
            price=extended(self.price, self.price[-1]),
            cost=extended(self.cost, self.cost[-1]),
            shares=self.shares if len(self.shares) == 1 else extended(self.shares, self.shares[-1]),
            on_hand=extended(self.on_hand, unknown),
            on_order=extended(self.on_order, unknown),
        )

    def demand_moments(self, until: int) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of each product's known demand before period ``until``, [N] each.

        A product without a known period has mean and deviation 0; one with a single known period has deviation
        sqrt(mean), as a Poisson demand would.
        """
        demand, known = self.demand[:until], self.known[:until]
        count = known.sum(axis=0)
        mean = np.where(known, demand, 0.0).sum(axis=0) / np.maximum(count, 1)
        square = np.where(known, (demand - mean) ** 2, 0.0).sum(axis=0)
        deviation = np.where(count > 1, np.sqrt(square / np.maximum(count - 1, 1)), np.sqrt(mean))
        return mean, deviation


def periods_per_year(starts: np.ndarray) -> float:
    """Return how many periods make a year, from the first days of T >= 2 periods."""
    days = (starts[-1] - starts[0]).astype("timedelta64[D]").astype(float) / (len(starts) - 1)
    return float(365.25 / days)


def assume(history: SalesHistory, assumptions: Assumptions | None = None) -> Panel:
    """Fill what the history does not tell.

    What the history gives wins over the assumptions. Demand in a period with less than full availability is censored:
    it is marked as not known, and replayed as the product's mean known demand before, or the units sold if those were
    more.

    Args:
        history: What a source tells.
        assumptions: What to assume elsewhere.

    Raises:
        InputError: The history has no product or fewer than two periods, a lead time is longer than it, or no order
            satisfies a product's rules.
    """
    assumptions = assumptions or Assumptions()
    periods, products = history.units.shape
    if products < 1 or periods < 2:
        found = f"{products} products and {periods} periods"
        raise InputError(f"{history.source}: the history has {found}; one product and two periods are needed")
    repairs, statements = dict(history.repairs), []

    started = np.cumsum(history.units, axis=0) > 0
    censored = started & (history.in_stock < 1)  # NaN compares false
    known = started & ~censored
    seen = np.where(known, history.units, 0.0)
    before, count = seen.cumsum(axis=0) - seen, known.cumsum(axis=0) - known  # nothing later than the period itself
    typical = before / np.maximum(count, 1)
    demand = np.where(censored, np.maximum(history.units, np.round(typical)), history.units)
    if np.isnan(history.in_stock).all():
        statements.append(
            "Availability is not recorded. Sales are taken for demand: where a product was out of stock, true demand "
            "was higher than the sales that are replayed, and every policy is judged on too little demand."
        )
    elif censored.any():
        replaced = "periods with stock-outs whose demand was replaced by the product's mean until then"
        repairs[replaced] = int(censored.sum())
        statements.append(
            f"In {censored.sum():,} product-periods the product was not always available. Their demand is hidden from "
            "the policies, and replayed as the product's mean demand until then, or the units sold if those were more."
        )
    else:
        statements.append("Availability is recorded, and no product was out of stock: sales are demand.")

    price, cost = _money(history, assumptions.margin, statements)

    lead_time = np.where(np.isnan(history.lead_time), assumptions.lead_time, history.lead_time)
    if (lead_time != np.ceil(lead_time)).any():
        repairs["lead times rounded up to whole review periods"] = int((lead_time != np.ceil(lead_time)).sum())
    lead_time = np.ceil(lead_time).astype(np.int64)
    if lead_time.max() >= periods:
        worst = int(lead_time.argmax())
        raise InputError(
            f"product {history.skus[worst]}: its lead time of {lead_time[worst]} review periods is longer than the "
            f"history of {periods}; give a shorter one, or more history"
        )
    given = int((~np.isnan(history.lead_time)).sum())
    statements.append(
        f"Lead time: recorded for {given} of {products} products, assumed to be {assumptions.lead_time} review periods "
        "for the others."
        if given
        else f"Lead time: assumed to be {assumptions.lead_time} review periods for every product."
    )

    minimum = np.where(np.isnan(history.minimum_order), assumptions.minimum_order, history.minimum_order)
    batch = np.where(np.isnan(history.batch_size), assumptions.batch_size, history.batch_size)
    capacity = np.where(np.isnan(history.capacity), np.inf, history.capacity)
    if (batch <= 0).any() and not (batch <= 0).all():
        repairs["batch sizes of 0 set to 1"] = int((batch <= 0).sum())
        batch = np.where(batch <= 0, 1.0, batch)
    rules = checked(
        OrderRules(
            minimum if (minimum > 0).any() else None,
            batch if (batch > 0).any() else None,
            capacity if np.isfinite(capacity).any() else None,
        ),
        history.skus,
    )
    per_period = assumptions.holding_rate / periods_per_year(history.starts)
    statements.append(
        f"Holding a unit costs {assumptions.holding_rate:.0%} of its purchase cost a year ({per_period:.2%} a review "
        f"period). A lost unit costs its margin"
        + (f" and {assumptions.shortage_cost:.0%} of its price." if assumptions.shortage_cost else ", nothing more.")
    )
    statements.append(
        f"Units left at the end are worth {assumptions.salvage:.0%} of their cost; purchases are paid when "
        f"{assumptions.pay_on}."
    )
    return Panel(
        skus=history.skus,
        starts=history.starts,
        review_period=history.review_period,
        demand=demand,
        known=known,
        price=price,
        cost=cost,
        shares=arrivals.fixed(lead_time),
        rules=rules,
        economics=Economics(
            holding_rate=per_period,
            shortage_rate=assumptions.shortage_cost,
            salvage=assumptions.salvage,
            pay_on=assumptions.pay_on,  # type: ignore[arg-type]  # checked by Assumptions
            unmet=assumptions.unmet,  # type: ignore[arg-type]
        ),
        on_hand=history.on_hand,
        on_order=history.on_order,
        statements=tuple(statements),
        repairs=repairs,
    )


def _money(history: SalesHistory, margin: float, statements: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return price and cost without gaps, [T, N] each, and say what was assumed."""

    def filled(table: np.ndarray) -> np.ndarray:
        return pd.DataFrame(table).ffill().bfill().to_numpy(copy=True)

    price, cost = filled(history.price), filled(history.cost)
    priced, costed = ~np.isnan(price[0]), ~np.isnan(cost[0])
    price = np.where(priced, price, np.where(costed, cost / (1 - margin), 1.0))
    typical = np.median(price, axis=0)
    cost = np.where(costed, cost, (1 - margin) * typical)
    if not (priced | costed).all():
        statements.append(
            f"{(~(priced | costed)).sum():,} of {len(priced):,} products have neither price nor cost: their price is "
            "taken as 1, so that their profit counts units."
        )
    if not costed.all():
        statements.append(
            f"Purchase cost is not recorded for {(~costed).sum():,} of {len(costed):,} products: it is assumed to be "
            f"{1 - margin:.0%} of the product's median price (a margin of {margin:.0%})."
        )
    return price, cost
