"""The policy that knows the future: a linear program a product, and so an upper bound on any other policy's profit."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, sparse

from sandtable.agents.rollout import Trajectory
from sandtable.simulators.inventory.order_rules import OrderRules
from sandtable.simulators.inventory.process import InventoryState
from sandtable.simulators.inventory.replay import InventoryReplay
from sandtable.simulators.inventory.world import Economics

AT_ONCE = 50  # products in one linear program: enough to hide the solver's start, few enough to stay quick


@dataclass(frozen=True)
class Clairvoyant:
    """The best plan in hindsight.

    Attributes:
        profit: Discounted, of each product over the horizon, float64 [N]: no policy earns more in this world.
        trajectory: The plan as a trajectory, [H, N] each, with the same entries as a simulated one.
        relaxed: Whether minimum orders or batches were ignored; then the bound may be out of reach.
    """

    profit: np.ndarray
    trajectory: Trajectory
    relaxed: bool


def clairvoyant(process: InventoryReplay, state: InventoryState, discount: float = 1.0) -> Clairvoyant:
    """Return the plan with the highest profit, given all that the state's paths hold.

    Maximises revenue - purchases - holding - shortage + worth at the end over orders and sales, subject to the flow of
    stock, with scipy's HiGHS. Whole batches and minimum orders are relaxed; capacity and yield are kept. From the
    period on in which its first order can arrive it may also sell less than it could: in the world sales are never
    held back, so this only raises the bound. Before that period no policy decides anything, and the plan is what
    happens to all.

    Args:
        process: The world.
        state: As its ``reset`` returns it, one product a row: numpy, [N].
        discount: Worth of next period's money, in (0, 1].
    """
    economics = process.economics
    paths = state.paths
    horizon, products = paths.demand.shape
    demand, price, cost = (
        np.broadcast_to(np.asarray(series[:horizon], dtype=np.float64), (horizon, products)) for series in paths[:3]
    )
    lags = paths.shares.shape[1]
    shares = np.broadcast_to(np.asarray(paths.shares, dtype=np.float64), (horizon, lags, products))
    supplied, unmet = np.empty((horizon, products)), np.empty((horizon, products))
    largest = _largest_supply(state.rules, products, process.largest_order)
    pipeline = np.asarray(state.stock.pipeline, dtype=np.float64)
    on_hand = np.asarray(state.stock.on_hand, dtype=np.float64)
    for first in range(0, products, AT_ONCE):
        chunk = slice(first, min(first + AT_ONCE, products))
        supplied[:, chunk], unmet[:, chunk] = _plan(
            demand[:, chunk], price[:, chunk], cost[:, chunk], shares[:, :, chunk],
            on_hand[chunk], pipeline[:, chunk], largest[chunk], economics, discount,
        )  # fmt: skip
    trajectory = _trajectory(supplied, unmet, demand, price, cost, shares, on_hand, pipeline, state.rules, economics)
    relaxed = _binds(state.rules.minimum_order, 0.0) or _binds(state.rules.batch_size, 1.0)
    weight = (discount ** np.arange(horizon))[:, None]
    return Clairvoyant((weight * trajectory["reward"]).sum(axis=0), trajectory, relaxed)


def _binds(rule: np.ndarray | None, free: float) -> bool:
    """Tell whether a rule restricts whole-unit orders; batches of one do not: the program's optimum is whole then."""
    return rule is not None and bool((np.asarray(rule) > free).any())


def _largest_supply(rules: OrderRules, products: int, largest_order: float) -> np.ndarray:
    """Return the most units that can be supplied a period, [N]: the largest order as the rules may raise it."""
    batch = 0.0 if rules.batch_size is None else rules.batch_size
    most = np.maximum(largest_order + batch, 0.0 if rules.minimum_order is None else rules.minimum_order)
    if rules.capacity is not None:
        most = np.minimum(most, rules.capacity)
    return np.broadcast_to(most * (1.0 if rules.supply_yield is None else rules.supply_yield), (products,))


def _plan(
    demand: np.ndarray,
    price: np.ndarray,
    cost: np.ndarray,
    shares: np.ndarray,
    on_hand: np.ndarray,
    pipeline: np.ndarray,
    largest: np.ndarray,
    economics: Economics,
    discount: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Solve some products' programs as one block-diagonal program.

    Variables, a product: units supplied q_t, stock left I_t, unmet u_t; rows: the flow of stock of each period,
    ``I_t - I_{t-1} - sum_j share[t-j, j] q_{t-j} - u_t (+ u_{t-1} under backlog) = pipeline_t - demand_t``.

    Under backlog sales are not negative: ``u_t - u_{t-1} <= demand_t``. Until a product's first order can arrive, u_t
    is what it must be.

    Returns:
        Units supplied and unmet, [H, n] each.
    """
    horizon, count = demand.shape
    lost = economics.unmet == "lost"
    due = np.zeros((horizon, count))
    due[: min(len(pipeline), horizon)] = pipeline[:horizon]
    weight = discount ** np.arange(horizon)
    price, cost = price * weight[:, None], cost * weight[:, None]
    last_cost = cost[-1]

    identity = sparse.eye_array(horizon)
    before = sparse.eye_array(horizon, k=-1)
    inevitable = _inevitable_unmet(demand, due, on_hand, lost)
    undecided = np.arange(horizon)[:, None] < (shares > 0).any(axis=0).argmax(axis=0)
    least = np.where(undecided, inevitable, 0.0)
    most = np.where(undecided, inevitable, demand if lost else np.inf)
    blocks, objective, lower, upper = [], [], [], []
    for i in range(count):
        arrive: Any = sparse.csr_array((horizon, horizon))
        for lag in range(min(shares.shape[1], horizon)):
            arrive = arrive + sparse.diags_array(
                shares[: horizon - lag, lag, i], offsets=-lag, shape=(horizon, horizon)
            )
        blocks.append(
            sparse.hstack([-arrive, identity - before, -identity if lost else before - identity], format="csr")
        )
        inside = np.asarray(arrive.sum(axis=0)).ravel()  # share of an order that arrives within the horizon
        if economics.pay_on == "received":
            paid = np.asarray(arrive.T @ cost[:, i]).ravel()
        else:
            paid = cost[:, i] - last_cost[i] * (shares[:, :, i].sum(axis=1) - inside)
        held = economics.holding * weight + economics.holding_rate * cost[:, i]
        held[-1] -= economics.salvage * last_cost[i]
        short = economics.shortage * weight + economics.shortage_rate * price[:, i]
        forgone = price[:, i] if lost else price[:, i] - np.append(price[1:, i], 0.0)
        objective += [paid, held, short + forgone]
        lower += [np.zeros(2 * horizon), least[:, i]]
        upper += [np.full(horizon, largest[i]), np.full(horizon, np.inf), most[:, i]]
    right = due - demand
    right[0] += on_hand
    wanted = demand.copy()
    wanted[0] += np.maximum(-on_hand, 0)
    nothing = sparse.csr_array((horizon, 2 * horizon))
    sales = sparse.block_diag([sparse.hstack([nothing, identity - before], format="csr")] * count, format="csr")
    result: Any = optimize.linprog(  # type: ignore[call-overload]  # the stubs know no sparse inequalities or None
        np.concatenate(objective),
        A_ub=None if lost else sales,
        b_ub=None if lost else wanted.T.ravel(),
        A_eq=sparse.block_diag(blocks, format="csr"),
        b_eq=right.T.ravel(),
        bounds=np.stack([np.concatenate(lower), np.concatenate(upper)], axis=1).tolist(),
        method="highs",
    )
    if not result.success:
        raise RuntimeError(f"the linear program of the clairvoyant has no solution: {result.message}")
    solution = np.asarray(result.x).reshape(count, 3, horizon)
    return solution[:, 0].T, solution[:, 2].T


def _inevitable_unmet(demand: np.ndarray, due: np.ndarray, on_hand: np.ndarray, lost: bool) -> np.ndarray:
    """Return what stays unmet if nothing is ordered, units [H, n]: lost in a period, or waiting at its end."""
    stock, unmet = on_hand, np.empty_like(demand)
    for t in range(len(demand)):
        stock = stock + due[t] - demand[t]
        unmet[t] = np.maximum(-stock, 0)
        stock = np.maximum(stock, 0) if lost else stock
    return unmet


def _trajectory(
    supplied: np.ndarray,
    unmet: np.ndarray,
    demand: np.ndarray,
    price: np.ndarray,
    cost: np.ndarray,
    shares: np.ndarray,
    on_hand: np.ndarray,
    pipeline: np.ndarray,
    rules: OrderRules,
    economics: Economics,
) -> Trajectory:
    """Return what the plan makes happen, [H, N] each, with the entries of the world's ``Flow``."""
    horizon = len(demand)
    lags = shares.shape[1]
    arrivals = np.zeros((horizon + lags, demand.shape[1]))
    arrivals[: len(pipeline)] += pipeline
    for lag in range(lags):
        arrivals[lag : horizon + lag] += shares[:, lag] * supplied
    received = arrivals[:horizon]
    if economics.unmet == "lost":
        lost, waiting, sales = unmet, np.zeros_like(unmet), demand - unmet
    else:
        waiting_before = np.concatenate([np.maximum(-on_hand, 0)[None], unmet[:-1]])
        lost, waiting, sales = np.zeros_like(unmet), unmet, demand + waiting_before - unmet
    left = np.maximum(on_hand, 0) + np.cumsum(received - sales, axis=0)
    revenue = price * sales
    purchases = cost * (received if economics.pay_on == "received" else supplied)
    holding_cost = left * (economics.holding + economics.holding_rate * cost)
    shortage_cost = (lost + waiting) * (economics.shortage + economics.shortage_rate * price)
    in_transit = pipeline.sum(axis=0) + np.cumsum(supplied - received, axis=0)
    worth = np.zeros_like(demand)
    worth[-1] = economics.salvage * cost[-1] * left[-1]
    if economics.pay_on == "ordered":
        worth[-1] += cost[-1] * in_transit[-1]
    return {
        "ordered": supplied / (1.0 if rules.supply_yield is None else rules.supply_yield),
        "supplied": supplied,
        "received": received,
        "demand": np.array(demand),
        "sales": sales,
        "lost": lost,
        "on_hand": left,
        "waiting": waiting,
        "in_transit": in_transit,
        "revenue": revenue,
        "purchases": purchases,
        "holding_cost": holding_cost,
        "shortage_cost": shortage_cost,
        "worth": worth,
        "reward": revenue - purchases - holding_cost - shortage_cost + worth,
    }
