"""The inventory world as a decision process: exogenous paths from somewhere, one period after another.

``LostSales`` draws its paths, ``InventoryReplay`` cuts them out of a history; everything else is shared.
"""

import inspect
from abc import abstractmethod
from typing import Any, NamedTuple

import numpy as np

from sandtable.simulators.arrays import NUMPY, Array, like, namespace, tree_map
from sandtable.simulators.decision_process import DecisionProcess, Step
from sandtable.simulators.inventory.order_rules import OrderRules, checked
from sandtable.simulators.inventory.world import ORDER_OF_EVENTS, Economics, Period, Stock, advance, salvage


class Paths(NamedTuple):
    """The exogenous series of an episode, a column a row of the batch.

    The first axis is time, H periods; an axis of length one is constant. Columns broadcast to [*batch].

    Attributes:
        demand: [H, *batch], units.
        price: [H, *batch], money a unit; H + 1 where the observation after the last step shows it.
        cost: [H, *batch], money a unit; likewise.
        shares: [H, J + 1, *batch], arrival shares of an order placed in the period, by lag.
    """

    demand: Array
    price: Array
    cost: Array
    shares: Array


class InventoryState(NamedTuple):
    """State of an inventory world.

    Attributes:
        key: int64 [*batch].
        episode: int64 [] or [*batch].
        t: int64, [] while all rows are in the same period, else [*batch].
        stock: What decisions change.
        paths: What they do not.
        rules: The supplier's rules of each row's product.
        context: What a world's observations need beyond that; arrays whose shape ends with the batch's.
    """

    key: Array
    episode: Array
    t: Array
    stock: Stock
    paths: Paths
    rules: OrderRules
    context: Any


def _on_host(t: Array) -> bool:
    """Tell whether ``t`` can be read without waiting for a device, and without leaving a compiled graph."""
    if isinstance(t, NUMPY):
        return True
    import torch

    return t.device.type == "cpu" and not torch.compiler.is_compiling()


def _ends(reward: Array, t: Array, horizon: int) -> tuple[Array, Array]:
    """Return which rows are terminated, none, and which truncated, those at the horizon: bool, the shape of reward."""
    if isinstance(reward, np.ndarray):  # the same as below, at a third of its cost
        last = np.zeros(reward.shape, np.bool_)
        last |= t >= horizon
        return np.zeros(reward.shape, np.bool_), last
    xp = namespace(reward)
    last = xp.zeros(reward.shape, dtype=xp.bool, device=reward.device) | (t >= horizon)
    return xp.zeros_like(last), last


def at(series: Array, t: Array, offset: Any = 0) -> Array:
    """Return the period ``t + offset`` of a series whose first axis is time (length one: constant).

    Args:
        series: [H, ..., *batch].
        t: int64, [] for all rows, or [*batch].
        offset: An int gives [..., *batch]; consecutive int64 [k] give k periods, [k, ..., *batch].
    """
    several = not isinstance(offset, int)
    if series.shape[0] == 1 and not several:
        return series[0]
    xp = namespace(series)
    if series.shape[0] == 1:
        return xp.concat([series] * offset.shape[0], axis=0)
    if t.ndim == 0:
        if _on_host(t):  # a view, no copy
            first = int(t) + (int(offset[0]) if several else offset)
            return series[first : first + offset.shape[0]] if several else series[first]
        taken = xp.take(series, xp.reshape(t + offset, (-1,)), axis=0)
        return taken if several else taken[0]
    lead = (offset.shape[0] if several else 1,)
    if several:
        offset = xp.reshape(offset, (-1,) + (1,) * t.ndim)
    index = xp.broadcast_to(t + offset, (*lead, *t.shape))
    index = xp.reshape(index, (*lead, *(1,) * (series.ndim - 1 - t.ndim), *t.shape))
    series = xp.broadcast_to(series, (*series.shape[: series.ndim - t.ndim], *t.shape))
    index = xp.broadcast_to(index, (*lead, *series.shape[1:]))
    taken = xp.take_along_axis(series, index, axis=0)
    return taken if several else taken[0]


class InventoryProcess(DecisionProcess):
    """What all inventory worlds share: the step, the clock, the end of the horizon.

    Attributes:
        economics: What is paid.
        longest_lead_time: J, periods.
        dtype: Element type of all quantities, ``float32`` or ``float64``.
    """

    economics: Economics
    longest_lead_time: int
    dtype: str

    def _prepare(self, horizon: int, economics: Economics, rules: OrderRules, dtype: str) -> None:
        """Check and keep what every inventory world has."""
        if horizon < 1:
            raise ValueError(f"horizon must be at least 1 period, not {horizon}")
        if dtype not in ("float32", "float64"):
            raise ValueError(f"dtype must be float32 or float64, not {dtype!r}")
        numbers: dict[str, Any] = {}
        for name in ("holding_rate", "holding", "shortage", "shortage_rate", "salvage"):
            value = float(getattr(economics, name))  # numpy's float64 would promote the arrays that it meets
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be finite and not negative, not {value}")
            numbers[name] = value
        if economics.pay_on not in ("received", "ordered"):
            raise ValueError(f"pay_on must be 'received' or 'ordered', not {economics.pay_on!r}")
        if economics.unmet not in ("lost", "backlog"):
            raise ValueError(f"unmet must be 'lost' or 'backlog', not {economics.unmet!r}")
        self.horizon, self.economics, self.dtype = horizon, economics._replace(**numbers), dtype
        self.rules = OrderRules(*(None if rule is None else rule.astype(dtype) for rule in checked(rules)))
        self._moved: dict[Any, Any] = {}

    def _on(self, reference: Array, name: str, tree: Any) -> Any:
        """Return the constants ``tree`` on the library and device of ``reference``, moved once."""
        place = (name, namespace(reference).__name__, str(getattr(reference, "device", "cpu")))
        if place not in self._moved:
            self._moved[place] = tree_map(lambda array: like(reference, array), tree)
        return self._moved[place]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the moved copies behind when pickled."""
        return {**self.__dict__, "_moved": {}}

    def card(self) -> str:
        """Return the rules of the world, and the order of events in a period."""
        return f"{inspect.cleandoc(type(self).__doc__ or '')}\n\nThe order of events:\n\n{ORDER_OF_EVENTS}\n"

    @abstractmethod
    def _start(self, key: Array, **options: Any) -> tuple[Stock, Paths, OrderRules, Any]:
        """Return the stock, paths, rules and context of new episodes, given the episodes' keys [*batch]."""

    def reset(self, key: Array, *, episode: Any = 0, **options: Any) -> InventoryState:
        """Start an episode a row; see ``DecisionProcess.reset``."""
        from sandtable.simulators.random import fold_in

        xp = namespace(key)
        stock, paths, rules, context = self._start(fold_in(key, episode), **options)
        zero = xp.zeros((), dtype=xp.int64, device=key.device)
        episode = zero + episode if isinstance(episode, int) else episode
        return InventoryState(key, episode, zero, stock, paths, rules, context)

    def step(self, state: InventoryState, action: Array) -> Step:
        """Order ``action[..., 0]`` units of each row's product; see ``world`` for the order of events.

        ``info`` holds the period's ``Flow``, and ``worth`` of what is left at the end of the horizon, which is part of
        the reward of the last step.
        """
        period = Period(*(at(series, state.t) for series in state.paths))
        stock, flow = advance(state.stock, action[..., 0], period, state.rules, self.economics)
        t = state.t + 1
        terminated, last = _ends(flow.reward, t, self.horizon)
        info = flow._asdict()
        reward = flow.reward
        if self.economics.salvage or self.economics.pay_on == "ordered":
            ended = namespace(state.key).astype(t >= self.horizon, reward.dtype)
            info["worth"] = ended * salvage(stock, period.cost, self.economics)
            reward = reward + info["worth"]
        return Step(state._replace(t=t, stock=stock), reward, terminated, last, info)

    def tally(self, info: dict[str, Array]) -> dict[str, Array]:
        """Return the flows that ``summary`` needs."""
        unmet = info["lost"] if self.economics.unmet == "lost" else info["waiting"]
        xp = namespace(unmet)
        return {
            "demand": info["demand"],
            "sales": info["sales"],
            "lost": info["lost"],
            "stock_outs": xp.astype(unmet > 0, unmet.dtype),
            "stock": info["on_hand"],
            "cash": info["reward"],
        }

    def summary(self, tallies: dict[str, Array], steps: Array) -> dict[str, Array]:
        """Return the key figures of whole episodes.

        ``units_sold`` and ``units_lost``; ``fill_rate``, units sold / units wanted (1 where nothing was wanted);
        ``stock_out_rate``, the share of periods in which some demand was not met; ``average_stock``, units at the end
        of a period; ``stock_turns``, units sold / average stock, an episode (0 without stock); ``cash``, revenue less
        purchases, holding and shortage costs.
        """
        xp = namespace(tallies["sales"])
        sold, wanted, stock = tallies["sales"], tallies["demand"], tallies["stock"] / steps
        return {
            "units_sold": sold,
            "units_lost": tallies["lost"],
            "fill_rate": xp.where(wanted > 0, sold / xp.where(wanted > 0, wanted, 1.0), 1.0),
            "stock_out_rate": tallies["stock_outs"] / steps,
            "average_stock": stock,
            "stock_turns": xp.where(stock > 0, sold / xp.where(stock > 0, stock, 1.0), 0.0),
            "cash": tallies["cash"],
        }
