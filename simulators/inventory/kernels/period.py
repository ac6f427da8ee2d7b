"""One period of many products, from the order to the money, as one loop: ``world.advance`` under lost sales."""

from typing import Any

import numpy as np

from sandtable.simulators.compilation import AVAILABLE, compiled

RECEIVED, SALES, LOST, ON_HAND, WAITING, IN_TRANSIT, REVENUE, PURCHASES, HOLDING, SHORTAGE, REWARD, PIPELINE = range(12)
"""Rows of ``flows``; the pipeline's are the last."""
_LONG = 8  # from so many numbers on, numpy adds up a column of its own in another order


@compiled
def _move(
    on_hand: Any,
    pipeline: Any,
    supplied: Any,
    demand: Any,
    price: Any,
    cost: Any,
    shares: Any,
    holding: Any,
    shortage: Any,
    holding_rate: Any,
    shortage_rate: Any,
    pay_on_order: bool,
    flows: Any,
) -> None:
    """Fill ``flows`` [11 + J, N]; the operations and their order are ``world.advance``'s.

    The rates come in the element type of the arrays; price and cost are [N] or [1], shares [J + 1, N or 1].
    """
    n, lags = len(on_hand), len(pipeline)
    zero = on_hand.dtype.type(0)
    received, sales, lost, left = flows[RECEIVED], flows[SALES], flows[LOST], flows[ON_HAND]
    waiting, in_transit, revenue, purchases = flows[WAITING], flows[IN_TRANSIT], flows[REVENUE], flows[PURCHASES]
    holding_cost, shortage_cost, reward = flows[HOLDING], flows[SHORTAGE], flows[REWARD]
    for lag in range(lags + 1):
        due = received if lag == 0 else flows[PIPELINE + lag - 1]
        share = shares[lag]
        if len(share) > 1:
            for i in range(n):
                due[i] = share[i] * supplied[i]
        else:
            for i in range(n):
                due[i] = share[0] * supplied[i]
        if lag < lags:
            before = pipeline[lag]
            for i in range(n):
                due[i] = before[i] + due[i]
        else:
            for i in range(n):
                due[i] = zero + due[i]
        if lag == 1:
            for i in range(n):
                in_transit[i] = due[i]
        elif lag > 1:
            for i in range(n):
                in_transit[i] += due[i]
    if not lags:
        in_transit[:] = zero
    for i in range(n):
        available = on_hand[i] + received[i]
        sales[i] = demand[i] if demand[i] < available else available
        left[i] = available - sales[i]
    for i in range(n):
        lost[i] = demand[i] - sales[i]
        waiting[i] = zero
    bought = supplied if pay_on_order else received
    if len(price) > 1:
        for i in range(n):
            revenue[i] = price[i] * sales[i]
        for i in range(n):
            shortage_cost[i] = lost[i] * (shortage + shortage_rate * price[i])
    else:
        for i in range(n):
            revenue[i] = price[0] * sales[i]
        for i in range(n):
            shortage_cost[i] = lost[i] * (shortage + shortage_rate * price[0])
    if len(cost) > 1:
        for i in range(n):
            purchases[i] = cost[i] * bought[i]
        for i in range(n):
            holding_cost[i] = left[i] * (holding + holding_rate * cost[i])
    else:
        for i in range(n):
            purchases[i] = cost[0] * bought[i]
        for i in range(n):
            holding_cost[i] = left[i] * (holding + holding_rate * cost[0])
    for i in range(n):
        reward[i] = revenue[i] - purchases[i] - holding_cost[i] - shortage_cost[i]


def move(stock: Any, supplied: np.ndarray, period: Any, economics: Any) -> np.ndarray | None:
    """Return the flows of a period, [11 + J, N], or None where the array program has to find them.

    That is: without numba, for torch, under backlog, for other than one batch axis, and for mixed element types.

    Args:
        stock: ``world.Stock``.
        supplied: Units that the supplier will deliver, [N].
        period: ``world.Period``.
        economics: ``world.Economics``.
    """
    on_hand, pipeline = stock
    if not AVAILABLE or type(on_hand) is not np.ndarray or on_hand.ndim != 1 or economics.unmet != "lost":
        return None
    demand, price, cost, shares = period
    element, shape = on_hand.dtype, on_hand.shape
    whole = demand.shape == shape == supplied.shape and demand.dtype == supplied.dtype == element
    either = shape, (1,)
    if not whole or price.shape not in either or cost.shape not in either or shares.shape[1:] not in either:
        return None
    if price.dtype != element or cost.dtype != element or shares.dtype != element or pipeline.dtype != element:
        return None
    if shape[0] == 1 and len(pipeline) >= _LONG:
        return None
    flows = np.empty((PIPELINE + len(pipeline), shape[0]), element)
    number, packed = element.type, np.ascontiguousarray
    _move(
        packed(on_hand),
        packed(pipeline),
        packed(supplied),
        packed(demand),
        packed(price),
        packed(cost),
        packed(shares),
        number(economics.holding),
        number(economics.shortage),
        number(economics.holding_rate),
        number(economics.shortage_rate),
        economics.pay_on == "ordered",
        flows,
    )
    return flows
