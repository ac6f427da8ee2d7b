"""Whole rollouts of base-stock, capped base-stock and (s, S) policies through an inventory world, compiled.

They are what a loop over ``world.step`` gives, to the same bits, and several times faster: for worlds of lost sales and
one fixed lead time, without order rules but a common batch size.
"""

from typing import Any, NamedTuple

import numpy as np

from sandtable.simulators.arrays import Array
from sandtable.simulators.compilation import require_numba
from sandtable.simulators.inventory.countable import require_countable
from sandtable.simulators.inventory.kernels import blocks
from sandtable.simulators.inventory.lost_sales import LostSales
from sandtable.simulators.inventory.process import InventoryProcess, InventoryState
from sandtable.simulators.inventory.world import Stock
from sandtable.simulators.random import fold_in, guide_table

FIGURES = ("demand", "sales", "lost", "stock_outs", "stock", "cash")
"""Sums over the horizon, as ``InventoryProcess.tally`` names them."""
ARRAY_PROGRAM = "; step the world itself instead"


class OrderUpTo(NamedTuple):
    """A rule on the inventory position p, by product; each a number or [N], finite.

    ``max(S - p, 0)``; with a cap at most that (Xin 2021); with a reorder point s only where ``p <= s``.

    Attributes:
        level: S, units.
        cap: Most units an order, >= 0; None: no cap.
        reorder_point: s, units; None: order whenever p is below S.
    """

    level: Array
    cap: Array | None = None
    reorder_point: Array | None = None


class Rollout(NamedTuple):
    """What a policy did over the horizon.

    Attributes:
        reward: [N], the sum of ``discount**t * reward_t``.
        gradient: That of ``reward`` in the level and in the cap, each [N] (None without a cap), or None if not asked
            for. Straight through the rounding to batches; the reorder point, where the reward jumps, has none.
        figures: ``FIGURES``, each [N], for ``InventoryProcess.summary``; None if not asked for.
        stock: At the end.
    """

    reward: np.ndarray
    gradient: OrderUpTo | None
    figures: dict[str, np.ndarray] | None
    stock: Stock


def rollout(
    world: InventoryProcess,
    state: InventoryState,
    policy: OrderUpTo,
    *,
    discount: float = 1.0,
    gradient: bool = False,
    figures: bool = False,
) -> Rollout:
    """Play a policy from ``state`` to the end of the horizon.

    Args:
        world: The world of the state, for example an ``InventoryReplay``.
        state: Numpy arrays, a batch of [N] rows, all in the same period.
        policy: Levels by row.
        discount: Worth of next period's money, in [0, 1].
        gradient: Whether the gradient is wanted.
        figures: Whether the sums are wanted.

    Raises:
        ImportError: numba is not installed.
        ValueError: The world has what kernels do not know (backlog, a minimum order, capacities or yields, several
            batch sizes, lead times that differ or deliveries in parts); levels, stock or demand are not finite; or
            float32 could not tell units apart (2**24).
    """
    if not isinstance(state.key, np.ndarray) or state.key.ndim != 1 or np.ndim(state.t):
        raise ValueError("kernels take numpy states of one batch axis, all in one period" + ARRAY_PROGRAM)
    if int(state.t) >= world.horizon:
        raise ValueError("the episode has ended: there is nothing to play")
    products, periods = len(state.key), slice(int(state.t), world.horizon)
    _check_lead_time(state.paths.shares, len(state.stock.pipeline))
    demand = _rows(state.paths.demand, periods, products)
    if len(demand) != periods.stop - periods.start:
        demand = np.broadcast_to(demand, (periods.stop - periods.start, products))
    check_units(demand, "demand")
    return _play(
        world,
        demand=np.ascontiguousarray(demand),
        keys=np.empty(0, np.uint64),
        money=(_rows(state.paths.price, periods, products), _rows(state.paths.cost, periods, products)),
        stock=state.stock,
        policy=policy,
        rules=state.rules,
        discounts=_discounts(discount, periods.stop - periods.start),
        wanted=(gradient, figures),
    )


def rollout_drawn(
    world: LostSales,
    key: Array,
    policy: OrderUpTo,
    *,
    episode: Any = 0,
    discount: float = 1.0,
    gradient: bool = False,
    figures: bool = False,
) -> Rollout:
    """Play a policy over episodes of ``LostSales`` whose demand is drawn on the way and never stored.

    Args:
        world: The problem.
        key: int64 [N], one a row; the episodes are those of ``world.reset(key, episode=episode)``.
        policy: Levels by row.
        episode: Which episode, an int or int64 [N].
        discount: See ``rollout``.
        gradient: See ``rollout``.
        figures: See ``rollout``.

    Raises:
        ImportError: numba is not installed.
        ValueError: See ``rollout``.
    """
    if not isinstance(key, np.ndarray) or key.ndim != 1:
        raise ValueError("kernels take numpy keys, [N]" + ARRAY_PROGRAM)
    stream = fold_in(fold_in(key, episode), world.streams["demand"])
    nothing = np.zeros((1, len(key)), world.dtype)
    return _play(
        world,
        demand=np.empty((0, 0), world.dtype),
        keys=np.ascontiguousarray(stream).view(np.uint64),
        money=(nothing, nothing),
        stock=Stock(nothing[0], np.zeros((world.longest_lead_time, len(key)), world.dtype)),
        policy=policy,
        rules=world.rules,
        discounts=_discounts(discount, world.horizon),
        wanted=(gradient, figures),
        table=world.table,
    )


def _play(
    world: InventoryProcess,
    *,
    demand: np.ndarray,
    keys: np.ndarray,
    money: tuple[np.ndarray, np.ndarray],
    stock: Stock,
    policy: OrderUpTo,
    rules: Any,
    discounts: np.ndarray,
    wanted: tuple[bool, bool],
    table: np.ndarray | None = None,
) -> Rollout:
    """Check what both ways share, and run the kernel."""
    require_numba()
    element = np.dtype(world.dtype)
    economics, products = world.economics, len(stock.on_hand)
    if economics.unmet != "lost":
        raise ValueError("kernels know lost sales only, not backlog" + ARRAY_PROGRAM)
    check_units(stock.on_hand, "the stock on hand")
    check_units(stock.pipeline, "the stock on order")
    rule, levels = _rule(policy, products, element)
    constants = np.zeros(7, element)
    constants[blocks.HOLDING], constants[blocks.HOLDING_RATE] = economics.holding, economics.holding_rate
    constants[blocks.SHORTAGE], constants[blocks.SHORTAGE_RATE] = economics.shortage, economics.shortage_rate
    constants[blocks.SALVAGE], constants[blocks.LARGEST_ORDER] = economics.salvage, _largest_order(world)
    constants[blocks.BATCH_SIZE] = _batch_size(rules)
    cells = np.empty(0, element) if table is None else guide_table(table).astype(element)
    cumulative = np.empty(0) if table is None else table
    reward, on_hand = np.empty(products, element), np.array(stock.on_hand, element)
    pipeline = np.array(stock.pipeline, element)
    slopes = np.empty((2 if wanted[0] else 0, products), element)
    sums = np.zeros((len(FIGURES) if wanted[1] else 0, products), element)
    blocks.play(
        rule,
        demand,
        keys,
        cells,
        cumulative,
        *money,
        on_hand,
        pipeline,
        levels,
        constants,
        discounts.astype(element),
        economics.pay_on == "ordered",
        reward,
        slopes,
        sums,
    )
    return Rollout(
        reward,
        OrderUpTo(slopes[0], slopes[1] if policy.cap is not None else None) if wanted[0] else None,
        dict(zip(FIGURES, sums, strict=True)) if wanted[1] else None,
        Stock(on_hand, pipeline),
    )


def check_units(units: np.ndarray, name: str) -> None:
    """Refuse units that are not finite, or that their element type cannot count."""
    require_countable(_magnitude(units), units.dtype.name, name)


def _magnitude(units: np.ndarray) -> float:
    """Return the largest magnitude, read once; NaN if there is one."""
    bits = np.ascontiguousarray(units).reshape(-1).view(f"int{8 * units.itemsize}")
    largest = blocks.largest_bits(bits, np.iinfo(bits.dtype).max)
    return float(np.asarray(largest, bits.dtype).view(units.dtype))


def _rule(policy: OrderUpTo, products: int, element: np.dtype[Any]) -> tuple[int, np.ndarray]:
    """Return which rule a policy is, and its levels [2, N]."""
    if policy.cap is not None and policy.reorder_point is not None:
        raise ValueError("a policy has a cap or a reorder point, not both")
    rule, other = blocks.BASE_STOCK, policy.level
    if policy.cap is not None:
        rule, other = blocks.CAPPED_BASE_STOCK, policy.cap
        if np.any(np.asarray(other) < 0):
            raise ValueError("cap must not be negative")
    elif policy.reorder_point is not None:
        rule, other = blocks.REORDER_POINT, policy.reorder_point
    levels = np.empty((2, products), element)
    for row, (name, values) in enumerate((("level", policy.level), ("cap or reorder_point", other))):
        if np.shape(values) not in ((), (products,)):
            shape = list(np.shape(values))
            raise ValueError(f"{name} has shape {shape}; it must be a number or one by row, [{products}]")
        levels[row] = values
    check_units(levels, "a level")
    return rule, levels


def _discounts(discount: float, periods: int) -> np.ndarray:
    """Return ``discount**t``, float64 [periods], or refuse the discount."""
    if not 0 <= discount <= 1:
        raise ValueError(f"discount must lie in [0, 1], not {discount}")
    return np.array([discount**t for t in range(periods)])  # Python's power: numpy's differs in the last bit


def _largest_order(world: InventoryProcess) -> float:
    """Return the most units that the world's action space takes."""
    return float(getattr(world, "largest_order", np.inf))


def _batch_size(rules: Any) -> float:
    """Return the common batch size, 0 for none, or refuse the rules."""
    refused = [name for name in ("minimum_order", "capacity", "supply_yield") if getattr(rules, name) is not None]
    if refused:
        raise ValueError(f"kernels do not know the order rule {refused[0]}" + ARRAY_PROGRAM)
    if rules.batch_size is None:
        return 0.0
    sizes = np.unique(rules.batch_size)
    if len(sizes) > 1:
        raise ValueError("kernels know one batch size for all products" + ARRAY_PROGRAM)
    return float(sizes[0])


def _check_lead_time(shares: np.ndarray, longest: int) -> None:
    """Refuse arrivals other than all units after the same number of periods."""
    last = shares[:, -1] if shares.shape[1] == longest + 1 else shares[:, :0]
    if not last.size or not (last == 1).all() or (longest and not (shares[:, :-1] == 0).all()):
        raise ValueError("kernels know one fixed lead time for all products" + ARRAY_PROGRAM)


def _rows(series: np.ndarray, periods: slice, products: int) -> np.ndarray:
    """Return the periods of a series [H or 1, N or 1] as a contiguous [H or 1, N]."""
    cut = series if len(series) == 1 else series[periods]
    return np.ascontiguousarray(np.broadcast_to(cut, (len(cut), products)))
