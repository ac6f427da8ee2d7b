"""Many products replayed from a panel: the world of a backtest, and of a network that learns to order."""

from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from sandtable.simulators.arrays import Array, at_most, like, namespace
from sandtable.simulators.inventory import arrivals
from sandtable.simulators.inventory.countable import require_countable_table
from sandtable.simulators.inventory.order_rules import OrderRules
from sandtable.simulators.inventory.panel import Panel
from sandtable.simulators.inventory.process import InventoryProcess, InventoryState, Paths, at
from sandtable.simulators.inventory.world import Stock
from sandtable.simulators.random import fold_in, integers, uniform


class ReplayContext(NamedTuple):
    """What observations of a replay show beside the stock. W is the length of the past that is seen.

    Attributes:
        product: int64 [*batch], column of the panel.
        start: int64 [*batch], period of the panel in which the episode started.
        demand: [W + H, *batch]; period t of the episode is entry W + t.
        known: [W + H, *batch], 1 where demand was seen, 0 before the history and in stock-outs.
        calendar: [H + 1, 4, *batch], see ``Panel.calendar``.
        mean: [*batch], mean known demand a period before ``history`` ends.
        deviation: [*batch], its standard deviation.
        lead_time: [*batch], mean periods from order to arrival, of orders before ``history`` ends.
    """

    product: Array
    start: Array
    demand: Array
    known: Array
    calendar: Array
    mean: Array
    deviation: Array
    lead_time: Array


class _Tables(NamedTuple):
    """The panel as flat arrays on one device: [W + T, N] for what has a past, else [T, N] or [N]."""

    demand: Array
    known: Array
    price: Array
    cost: Array
    shares: Array
    calendar: Array
    mean: Array
    deviation: Array
    lead_time: Array
    on_hand: Array
    on_order: Array


class InventoryReplay(InventoryProcess):
    """Order products whose demand, prices, costs and arrivals are replayed from history, one product a row.

    A period: see the stock and the past, order, receive what arrives, meet demand, pay. Orders change the stock and
    nothing else: customers, prices and the supplier behave as they did. The reward is price * sales - cost * received
    (or ordered) - holding - shortage; at the end of the horizon the units left are worth their salvage value. The
    supplier's minimum, batch and capacity apply to what is ordered.

    Seen, each a float vector: ``on_hand`` [1], ``on_order`` [J] (units due in this period, in the next, ...),
    ``past_demand`` [W] (latest last, 0 where unknown), ``demand_known`` [W] (1 or 0), ``price`` [1] and ``cost`` [1] of
    this period, ``calendar`` [4] (sine and cosine of the year and half-year), ``mean`` [1] and ``deviation`` [1] of a
    period's demand before the training history ends, ``lead_time`` [1] (mean, of orders before then), ``product`` [1]
    (its column in the panel) and ``period`` [1] (its row).
    Done: units to order, float [1], in [0, ``largest_order``].
    An episode is ``horizon`` periods and is truncated there.
    """

    streams = {"product": 0, "start": 1, "stock": 2}  # noqa: RUF012

    def __init__(
        self,
        panel: Panel,
        horizon: int,
        *,
        starts: tuple[int, int] | None = None,
        products: Any = None,
        history: int | None = None,
        window: int = 16,
        initial_stock: str | float = "base-stock",
        initial_spread: float = 0.0,
        dtype: str = "float32",
    ) -> None:
        """Describe the replay.

        Args:
            panel: T periods of N products.
            horizon: H, periods an episode, in [1, T].
            starts: First and last period in which an episode may start, where its key chooses; default: any that fits.
            products: Columns of the panel that keys choose from, int [M]; default: all.
            history: Periods whose demand and orders give ``mean``, ``deviation`` and ``lead_time``, and so the initial
                stock; in [0, T], default: half of T.
            window: W >= 1, periods of past demand that are seen.
            initial_stock: ``base-stock`` (on hand and on order at the level of a 95 % service over the lead time),
                ``recorded`` (the panel's stock before the start; base-stock where unknown), or a number of periods of
                mean demand on hand, with nothing on order.
            initial_spread: In [0, 1]; each episode's initial stock on hand is multiplied by a uniform in
                [1 - spread, 1 + spread]. A stock that is recorded is not.
            dtype: ``float32`` or ``float64``.

        Raises:
            InputError: float32 cannot count the demand, or the recorded stock, of a product (2**24).
            ValueError: An argument is out of its range.
        """
        if horizon > panel.periods:
            raise ValueError(f"horizon is {horizon} periods, but the panel has {panel.periods}")
        if window < 1:
            raise ValueError(f"window must be at least 1 period, not {window}")
        if not 0 <= initial_spread <= 1:
            raise ValueError(f"initial_spread must lie in [0, 1], not {initial_spread}")
        if isinstance(initial_stock, str):
            sensible = initial_stock in ("base-stock", "recorded")
        else:
            sensible = bool(np.isfinite(initial_stock)) and initial_stock >= 0
        if not sensible:
            raise ValueError(f"initial_stock must be 'base-stock', 'recorded' or a number >= 0, not {initial_stock!r}")
        if history is not None and not 0 <= history <= panel.periods:
            raise ValueError(f"history must lie within 0 and {panel.periods} periods, not {history}")
        self._prepare(horizon, panel.economics, panel.rules, dtype)
        tables = {"demand": panel.demand}
        if initial_stock == "recorded":
            tables |= {"recorded stock": panel.on_hand, "recorded stock on order": panel.on_order}
        for name, units in tables.items():
            require_countable_table(units, dtype, name, panel.skus, panel.starts)
        self.panel, self.window = panel, window
        self.starts = (0, panel.periods - horizon) if starts is None else starts
        if not 0 <= self.starts[0] <= self.starts[1] <= panel.periods - horizon:
            raise ValueError(f"starts must lie within 0 and {panel.periods - horizon}, not {self.starts}")
        self.products = np.arange(panel.products) if products is None else np.asarray(products, dtype=np.int64)
        if not self.products.size or self.products.min() < 0 or self.products.max() >= panel.products:
            raise ValueError(f"products must name columns of the panel, 0 to {panel.products - 1}, and at least one")
        self.initial_stock, self.initial_spread = initial_stock, initial_spread
        self.longest_lead_time = panel.shares.shape[1] - 1
        self.history = panel.periods // 2 if history is None else history
        self._tables = self._tabulate(panel)
        self._set_spaces()

    def _tabulate(self, panel: Panel) -> _Tables:
        """Lay the panel out as the step wants it."""
        mean, deviation = panel.demand_moments(self.history)
        nothing = np.zeros((self.window, panel.products))
        seen = panel.with_next_period()  # what the last observation shows, after the last step
        on_hand = np.full(panel.products, np.nan)[None]
        on_order = on_hand
        if self.initial_stock == "recorded":
            on_hand = np.concatenate([on_hand, panel.on_hand])
            on_order = np.concatenate([on_order, panel.on_order])
        tables = (
            np.concatenate([nothing, panel.demand]),
            np.concatenate([nothing, panel.known]),
            seen.price,
            seen.cost,
            panel.shares,
            seen.calendar(),
            mean,
            deviation,
            arrivals.mean_lead_time(panel.shares[: max(1, self.history)]),
            on_hand,
            on_order,
        )
        return _Tables(*(np.ascontiguousarray(table, dtype=self.dtype) for table in tables))

    def _set_spaces(self) -> None:
        """Set finite bounds that no reachable state passes."""
        lags, money = max(1, self.longest_lead_time), float(max(self.panel.price.max(), self.panel.cost.max()))
        start = base_stock_level(self._tables.mean, self._tables.deviation, self._tables.lead_time).max()
        if not isinstance(self.initial_stock, str):
            start = max(start, self.initial_stock * self._tables.mean.max())
        recorded = np.nan_to_num(self._tables.on_hand).max() + np.nan_to_num(self._tables.on_order).max()
        total = float(self.panel.demand.sum(axis=0).max())
        self.largest_order = float(np.ceil(max(1.0, total)))
        most = float(np.ceil((self.horizon + lags) * self._largest_delivery() + 2 * max(start, recorded) + 1))
        least = -total if self.economics.unmet == "backlog" else 0.0
        most_demand = float(np.ceil(self._tables.demand.max()))
        bounds = {
            "on_hand": (least, most, 1),
            "on_order": (0.0, most, lags),
            "past_demand": (0.0, most_demand, self.window),
            "demand_known": (0.0, 1.0, self.window),
            "price": (0.0, money, 1),
            "cost": (0.0, money, 1),
            "calendar": (-1.0, 1.0, 4),
            "mean": (0.0, most_demand, 1),
            "deviation": (0.0, most_demand + 1.0, 1),
            "lead_time": (0.0, float(lags), 1),
            "product": (0.0, float(self.panel.products), 1),
            "period": (0.0, float(self.panel.periods), 1),
        }
        element = np.dtype(self.dtype).type

        def rounded_up(bound: float) -> Any:
            return np.nextafter(element(bound), element(np.inf)) if bound not in (-1.0, 0.0, 1.0) else element(bound)

        self.observation_space = gym.spaces.Dict(
            {name: gym.spaces.Box(low, rounded_up(high), (k,), element) for name, (low, high, k) in bounds.items()}
        )
        self.action_space = gym.spaces.Box(0.0, self.largest_order, (1,), element)

    def _largest_delivery(self) -> float:
        """Return a bound on the units that one order brings, whatever the supplier's rules make of it."""
        minimum, batch, _, supply_yield = (0.0 if rule is None else float(rule.max()) for rule in self.rules)
        largest = max(self.largest_order + batch, minimum)
        return largest * (supply_yield or 1.0)

    def _start(
        self, key: Array, *, product: Any = None, start: Any = None, **options: Any
    ) -> tuple[Stock, Paths, OrderRules, ReplayContext]:
        """Cut the windows of new episodes out of the panel.

        Options of ``reset``: ``product``, columns of the panel, int or int [*batch]; ``start``, the first period.
        """
        if options:
            raise ValueError(f"InventoryReplay takes the reset options product and start, not {sorted(options)}")
        xp = namespace(key)
        tables: _Tables = self._on(key, "tables", self._tables)
        whole = xp.zeros_like(key)
        if product is None:
            chosen = integers(fold_in(key, self.streams["product"]), 0, len(self.products))
            product = xp.take(self._on(key, "products", self.products), xp.reshape(chosen, (-1,)))
            product = xp.reshape(product, key.shape)
        else:
            product = whole + self._index(key, product, "product", self.panel.products - 1)
        if start is None:
            first, last = self.starts
            start = first + integers(fold_in(key, self.streams["start"]), 0, last - first + 1)
        else:
            start = whole + self._index(key, start, "start", self.panel.periods - self.horizon)

        def window(table: Array, length: int) -> Array:
            """Entries start .. start + length - 1 of a [*, N] table: [length, *batch]."""
            periods = xp.reshape(xp.arange(length, device=key.device), (-1,) + (1,) * key.ndim)
            flat = (periods + start) * table.shape[-1] + product
            return xp.reshape(xp.take(xp.reshape(table, (-1,)), xp.reshape(flat, (-1,))), flat.shape)

        def columns(table: Array) -> Array:
            """Columns ``product`` of a [..., N] table: [..., *batch]."""
            taken = xp.take(table, xp.reshape(product, (-1,)), axis=-1)
            return xp.reshape(taken, (*table.shape[:-1], *key.shape))

        demand = window(tables.demand, self.window + self.horizon)
        if tables.shares.shape[0] == 1:
            shares = columns(tables.shares)
        else:
            lags = range(tables.shares.shape[1])
            shares = xp.stack([window(tables.shares[:, lag], self.horizon) for lag in lags], axis=1)
        paths = Paths(
            demand=demand[self.window :],
            price=window(tables.price, self.horizon + 1),
            cost=window(tables.cost, self.horizon + 1),
            shares=shares,
        )
        context = ReplayContext(
            product=product,
            start=start,
            demand=demand,
            known=window(tables.known, self.window + self.horizon),
            calendar=xp.stack(
                [self._calendar(tables.calendar[:, column], start, key) for column in range(4)], axis=1
            ),
            mean=columns(tables.mean),
            deviation=columns(tables.deviation),
            lead_time=columns(tables.lead_time),
        )
        constants = self._on(key, "rules", self.rules)
        rules = OrderRules(*(rule if rule is None or rule.ndim == 0 else columns(rule) for rule in constants))
        return self._initial_stock(key, tables, context), paths, rules, context

    def _index(self, key: Array, values: Any, name: str, last: int) -> Array:
        """Return an option of reset as int64 indices, or refuse it."""
        values = like(key, values, "int64")
        if bool((values < 0).any()) or bool((values > last).any()):
            raise ValueError(f"{name} must lie within 0 and {last}")
        return values

    def _calendar(self, column: Array, start: Array, key: Array) -> Array:
        """Return one calendar feature of each period of the episodes and the one after, [H + 1, *batch]."""
        xp = namespace(key)
        periods = xp.reshape(xp.arange(self.horizon + 1, device=key.device), (-1,) + (1,) * key.ndim) + start
        return xp.reshape(xp.take(column, xp.reshape(periods, (-1,))), periods.shape)

    def _initial_stock(self, key: Array, tables: _Tables, context: ReplayContext) -> Stock:
        """Return the stock at the start, in whole units."""
        xp = namespace(key)
        mean, lead_time = context.mean, context.lead_time
        lags = xp.arange(self.longest_lead_time, dtype=mean.dtype, device=key.device)
        lags = xp.reshape(lags, (-1,) + (1,) * key.ndim)
        due = xp.floor(mean * (lags + 1) + 0.5) - xp.floor(mean * lags + 0.5)  # whole units that add up
        pipeline = xp.where(lags < lead_time, due, 0.0 * due)
        if isinstance(self.initial_stock, str):
            level = base_stock_level(mean, context.deviation, lead_time)
            on_hand = xp.ceil(level) - xp.sum(pipeline, axis=0)
            on_hand = xp.where(on_hand > 0, on_hand, 0.0 * on_hand)
        else:
            on_hand, pipeline = xp.floor(self.initial_stock * mean + 0.5), 0.0 * pipeline
        if self.initial_spread:
            factor = 1 + self.initial_spread * (2 * uniform(fold_in(key, self.streams["stock"]), 0) - 1)
            on_hand = xp.floor(on_hand * xp.astype(factor, on_hand.dtype) + 0.5)
        if self.initial_stock == "recorded":
            before = context.start * tables.on_hand.shape[1] + context.product  # entry 0: before the first period
            recorded, ordered = (
                xp.reshape(xp.take(xp.reshape(table, (-1,)), xp.reshape(before, (-1,))), key.shape)
                for table in (tables.on_hand, tables.on_order)
            )
            spread = xp.where(lags < lead_time, ordered / xp.where(lead_time > 0, lead_time, 1.0), 0.0)
            unknown = xp.isnan(recorded)
            on_hand = xp.where(unknown, on_hand, recorded)
            pipeline = xp.where(unknown | xp.isnan(ordered), pipeline, spread)
        return Stock(on_hand, pipeline)

    def observe(self, state: InventoryState) -> dict[str, Array]:
        """Return the observation, a dict of [*batch, k]; the class tells what each entry means."""
        xp = namespace(state.key)
        context: ReplayContext = state.context
        past = xp.arange(self.window, device=state.key.device)
        known = at(context.known, state.t, past)
        pipeline = state.stock.pipeline
        if self.longest_lead_time == 0:
            pipeline = xp.zeros_like(state.stock.on_hand)[None]
        element = state.stock.on_hand.dtype

        def last(array: Array) -> Array:
            return xp.permute_dims(array, (*range(1, array.ndim), 0))

        return {
            "on_hand": state.stock.on_hand[..., None],
            "on_order": last(pipeline),
            "past_demand": last(at(context.demand, state.t, past) * known),
            "demand_known": last(known),
            "price": at(state.paths.price, state.t)[..., None],
            "cost": at(state.paths.cost, state.t)[..., None],
            "calendar": last(at(context.calendar, state.t)),
            "mean": context.mean[..., None],
            "deviation": context.deviation[..., None],
            "lead_time": context.lead_time[..., None],
            "product": xp.astype(context.product, element)[..., None],
            "period": xp.astype(context.start + state.t, element)[..., None],
        }

    def step(self, state: InventoryState, action: Array) -> Any:
        """Order; see ``InventoryProcess.step``. Orders above ``largest_order`` are cut to it."""
        return super().step(state, at_most(action, self.largest_order))


def base_stock_level(mean: Array, deviation: Array, lead_time: Array) -> Array:
    """Return the stock that covers demand over the lead time and one review, at 95 % under a normal demand, [...]."""
    return mean * (lead_time + 1) + 1.645 * deviation * (lead_time + 1) ** 0.5
