"""The rollout of an order-up-to rule through lost sales with one fixed lead time, a block of products at a time.

Arrays are [T, N]: a block's rows stay in the cache over all periods, and each loop over its products is one of vector
instructions. The operations are those of ``world.advance``, in its order, so the bits are the same too.

Going backward, a period needs the money of the period and which side of each ``min`` and ``max`` was taken: the masks
``FOLLOWED`` (the order follows the level), ``CAPPED`` (the cap), ``SOLD_OUT`` (demand exceeded what was there) and
``EVEN`` (it was equal: half of each side, as ``torch.minimum`` has it), one byte a product and period, kept for one
block. With the inventory position p, ``p' = p + order - sales``, the adjoint is

    l_sales = g (price + shortage) - l_p'             the next position falls by what is sold
    l_available = l_sales if SOLD_OUT else l_stock' - g holding
    l_received = l_available - g cost                 (no cost if units are paid when ordered)
    l_order = l_p' + l_received of the period in which it arrives
    l_level += l_order, l_p = l_p' - l_order          if FOLLOWED
    l_cap += l_order                                  if CAPPED
"""

from typing import Any

import numpy as np

from sandtable.simulators.inventory.kernels.compilation import compiled

BASE_STOCK, CAPPED_BASE_STOCK, REORDER_POINT = range(3)
"""The rules."""
FOLLOWED, CAPPED, SOLD_OUT, EVEN = np.uint8(1), np.uint8(2), np.uint8(4), np.uint8(8)
"""The masks."""
GAMMA, MIX_1, MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
HOLDING, HOLDING_RATE, SHORTAGE, SHORTAGE_RATE, SALVAGE, LARGEST_ORDER, BATCH_SIZE = range(7)
"""Entries of ``constants``."""


@compiled
def draw(word: Any, key: Any, period: int, cells: Any, cumulative: Any, demand: Any) -> None:
    """Fill ``demand`` [B] with the draws of ``random.categorical`` at counter ``period``, to the same bits.

    Args:
        word: uint64 [B], overwritten.
        key: uint64 [B], keys of the stream of demand.
        period: Counter.
        cells: [2**k] in the element type of demand, the outcome by the word's upper k bits; -1 where they do not tell.
        cumulative: float64 [K], P(X <= i).
        demand: [B], written.
    """
    gamma = np.uint64(period + 1) * GAMMA
    shift = np.uint64(64)
    size = len(cells)
    while size > 1:
        size >>= 1
        shift -= np.uint64(1)
    for i in range(len(key)):
        w = key[i] + gamma
        w = (w ^ (w >> np.uint64(30))) * MIX_1
        w = (w ^ (w >> np.uint64(27))) * MIX_2
        word[i] = w ^ (w >> np.uint64(31))
    for i in range(len(key)):
        outcome = cells[word[i] >> shift]
        if outcome < 0:
            uniform = np.float64(word[i] >> np.uint64(11)) * 2.0**-53
            outcome = cells.dtype.type(np.searchsorted(cumulative, uniform, side="right"))
        demand[i] = outcome


@compiled
def order(rule: int, position: Any, levels: Any, constants: Any, wanted: Any, mask: Any, masked: bool) -> None:
    """Fill ``wanted`` [B] with the orders of a rule at inventory ``position`` [B], and ``mask`` [B] if ``masked``.

    Args:
        rule: One of the rules.
        position: Stock on hand and on order.
        levels: [2, B], the level, and the cap or the reorder point.
        constants: See the entries.
        wanted: Written.
        mask: uint8, written.
        masked: Whether to write the mask.
    """
    level, other = levels[0], levels[1]
    zero = position.dtype.type(0)
    half = position.dtype.type(0.5)
    largest, batch = constants[LARGEST_ORDER], constants[BATCH_SIZE]
    n = len(position)
    if rule == BASE_STOCK:
        for i in range(n):
            gap = level[i] - position[i]
            wanted[i] = gap if gap > zero else zero
    elif rule == CAPPED_BASE_STOCK:
        for i in range(n):
            gap = level[i] - position[i]
            gap = gap if gap > zero else zero
            above = gap - other[i]
            wanted[i] = gap - (above if above > zero else zero)
    else:
        for i in range(n):
            gap = level[i] - position[i]
            gap = gap if gap > zero else zero
            wanted[i] = gap if position[i] <= other[i] else zero
    if masked:  # where a side is not told by the values, it is the one that autograd takes
        for i in range(n):
            mask[i] = FOLLOWED if level[i] - position[i] >= zero and wanted[i] <= largest else np.uint8(0)
        if rule == CAPPED_BASE_STOCK:
            for i in range(n):
                gap = level[i] - position[i]
                within = CAPPED if wanted[i] <= largest else np.uint8(0)
                mask[i] = within if (gap if gap > zero else zero) - other[i] >= zero else mask[i]
        elif rule == REORDER_POINT:
            for i in range(n):
                mask[i] = mask[i] if position[i] <= other[i] else np.uint8(0)
    if largest < np.inf:
        for i in range(n):
            wanted[i] = wanted[i] if wanted[i] < largest else largest
    if batch > zero:
        for i in range(n):
            wanted[i] = np.floor(wanted[i] / batch + half) * batch


@compiled
def trade(
    on_hand: Any,
    received: Any,
    bought: Any,
    demand: Any,
    price: Any,
    cost: Any,
    constants: Any,
    sales: Any,
    reward: Any,
) -> None:
    """Receive, meet demand and pay: all [B]; ``on_hand``, ``sales`` and ``reward`` are written."""
    holding, holding_rate = constants[HOLDING], constants[HOLDING_RATE]
    shortage, shortage_rate = constants[SHORTAGE], constants[SHORTAGE_RATE]
    n = len(on_hand)
    for i in range(n):  # two loops, because compilers make vectors of those over few arrays
        available = on_hand[i] + received[i]
        sold = demand[i] if demand[i] < available else available
        sales[i] = sold
        on_hand[i] = available - sold
    for i in range(n):
        money = price[i] * sales[i] - cost[i] * bought[i]
        money = money - on_hand[i] * (holding + holding_rate * cost[i])
        reward[i] = money - (demand[i] - sales[i]) * (shortage + shortage_rate * price[i])


@compiled
def count(on_hand: Any, demand: Any, sales: Any, reward: Any, figures: Any) -> None:
    """Add a period [B] to ``figures`` [6, B]: demand, sales, lost, stock-outs, stock, cash."""
    wanted, sold, lost, out, stock, cash = figures[0], figures[1], figures[2], figures[3], figures[4], figures[5]
    zero, one = reward.dtype.type(0), reward.dtype.type(1)
    n = len(on_hand)
    for i in range(n):
        wanted[i] += demand[i]
        sold[i] += sales[i]
    for i in range(n):
        lost[i] += demand[i] - sales[i]
        out[i] += one if demand[i] - sales[i] > zero else zero
    for i in range(n):
        stock[i] += on_hand[i]
        cash[i] += reward[i]


@compiled
def play(
    rule: int,
    demand: Any,
    keys: Any,
    first: int,
    cells: Any,
    cumulative: Any,
    price: Any,
    cost: Any,
    on_hand: Any,
    pipeline: Any,
    levels: Any,
    constants: Any,
    discounts: Any,
    pay_on_order: bool,
    reward: Any,
    gradient: Any,
    figures: Any,
    block: int,
) -> None:
    """Play the horizon for all products.

    Args:
        rule: One of the rules.
        demand: [H, N]; without rows: drawn from ``keys``.
        keys: uint64 [N], keys of the stream of demand; empty where demand is given.
        first: Counter of the first draw.
        cells: See ``draw``.
        cumulative: See ``draw``.
        price: [H or 1, N].
        cost: [H or 1, N].
        on_hand: [N]; the stock at the end is written.
        pipeline: [L, N]; what is due at the end is written, due next in row H % L.
        levels: [2, N], see ``order``.
        constants: See the entries.
        discounts: [H].
        pay_on_order: Whether units are paid when ordered.
        reward: [N], zeros; the discounted sum is written.
        gradient: [2, N], written; without rows: not wanted.
        figures: [6, N], zeros; sums are written; without rows: not wanted.
        block: B, products at a time.
    """
    lead_time, products, horizon = len(pipeline), len(on_hand), len(discounts)
    with_gradient, with_figures, drawn = len(gradient) > 0, len(figures) > 0, len(keys) > 0
    zero = reward.dtype.type(0)
    rows = np.empty((5, block), reward.dtype)
    words = np.empty(block, np.uint64)
    masks = np.empty((horizon if with_gradient else 1, block), np.uint8)
    scratch = np.empty((lead_time + 3 if with_gradient else 0, block), reward.dtype)
    for low in range(0, products, block):
        high = min(low + block, products)
        n = high - low
        position, wanted, sales, gain, draws = rows[0, :n], rows[1, :n], rows[2, :n], rows[3, :n], rows[4, :n]
        stock, total, ends = on_hand[low:high], reward[low:high], levels[:, low:high]
        for t in range(horizon):
            if drawn:
                draw(words[:n], keys[low:high], first + t, cells, cumulative, draws)
            needed = draws if drawn else demand[t, low:high]
            p, c = price[t if len(price) > 1 else 0, low:high], cost[t if len(cost) > 1 else 0, low:high]
            mask = masks[t if with_gradient else 0, :n]
            if lead_time:
                due = pipeline[t % lead_time, low:high]
                if lead_time == 1:
                    for i in range(n):
                        position[i] = stock[i] + due[i]
                else:
                    after = pipeline[(t + 1) % lead_time, low:high]
                    for i in range(n):
                        position[i] = due[i] + after[i]
                    for lag in range(2, lead_time - 1):
                        due = pipeline[(t + lag) % lead_time, low:high]
                        for i in range(n):
                            position[i] += due[i]
                    if lead_time > 2:
                        due = pipeline[(t + lead_time - 1) % lead_time, low:high]
                        for i in range(n):
                            position[i] = stock[i] + (position[i] + due[i])
                    else:
                        for i in range(n):
                            position[i] = stock[i] + position[i]
            else:
                for i in range(n):
                    position[i] = stock[i]
            order(rule, position, ends, constants, wanted, mask, with_gradient)
            received = pipeline[t % lead_time, low:high] if lead_time else wanted
            if with_gradient:
                for i in range(n):
                    short = SOLD_OUT if stock[i] + received[i] < needed[i] else np.uint8(0)
                    mask[i] |= EVEN if stock[i] + received[i] == needed[i] else short
            trade(stock, received, wanted if pay_on_order else received, needed, p, c, constants, sales, gain)
            if with_figures:
                count(stock, needed, sales, gain, figures[:, low:high])
            if lead_time:
                for i in range(n):
                    received[i] = wanted[i]
            if t == horizon - 1:
                for i in range(n):
                    worth = constants[SALVAGE] * c[i] * stock[i]
                    if pay_on_order and lead_time:
                        transit = zero
                        for lag in range(lead_time):
                            transit += pipeline[(horizon + lag) % lead_time, low + i]
                        worth += c[i] * transit
                    gain[i] += worth
            discount = discounts[t]
            for i in range(n):
                total[i] += gain[i] * discount
        if with_gradient:
            backward(
                masks[:, :n],
                price[:, low:high],
                cost[:, low:high],
                discounts,
                constants,
                lead_time,
                rule == CAPPED_BASE_STOCK,
                pay_on_order,
                scratch[:, :n],
                gradient[:, low:high],
            )


@compiled
def backward(
    masks: Any,
    price: Any,
    cost: Any,
    discounts: Any,
    constants: Any,
    lead_time: int,
    capped: bool,
    pay_on_order: bool,
    scratch: Any,
    gradient: Any,
) -> None:
    """Fill ``gradient`` [2, B] with that of the block's total reward in the level and the cap; see the module.

    Args:
        masks: uint8 [H, B].
        price: [H or 1, B].
        cost: [H or 1, B].
        discounts: [H].
        constants: See the entries.
        lead_time: L.
        capped: Whether there is a cap.
        pay_on_order: Whether units are paid when ordered.
        scratch: [L + 3, B], overwritten: adjoints of what is received in L + 1 periods, of stock, of position.
        gradient: Written.
    """
    horizon, n = masks.shape
    zero, half, one = price.dtype.type(0), price.dtype.type(0.5), price.dtype.type(1)
    holding, holding_rate = constants[HOLDING], constants[HOLDING_RATE]
    shortage, shortage_rate = constants[SHORTAGE], constants[SHORTAGE_RATE]
    ring, stock, position = scratch[: lead_time + 1], scratch[lead_time + 1], scratch[lead_time + 2]
    on_receipt, on_order = (zero, one) if pay_on_order else (one, zero)
    last = discounts[horizon - 1]
    final = cost[len(cost) - 1]
    for i in range(n):
        gradient[0, i], gradient[1, i], position[i] = zero, zero, zero
        stock[i] = last * constants[SALVAGE] * final[i]
    for lag in range(lead_time + 1):
        for i in range(n):
            ring[lag, i] = last * on_order * final[i]
    for t in range(horizon - 1, -1, -1):
        p, c, g, mask = price[t if len(price) > 1 else 0], cost[t if len(cost) > 1 else 0], discounts[t], masks[t]
        arriving, placed = ring[t % (lead_time + 1)], ring[(t + lead_time) % (lead_time + 1)]
        level, cap = gradient[0], gradient[1]
        for i in range(n):
            left = stock[i] - g * (holding + holding_rate * c[i])
            sales = g * (p[i] + shortage + shortage_rate * p[i]) - position[i]
            even = half * (sales + left) if mask[i] & EVEN else left
            stock[i] = sales if mask[i] & SOLD_OUT else even
        for i in range(n):
            arriving[i] = stock[i] - g * c[i] * on_receipt
        if capped:
            for i in range(n):
                cap[i] += position[i] + placed[i] - g * c[i] * on_order if mask[i] & CAPPED else zero
        for i in range(n):
            ordered = position[i] + placed[i] - g * c[i] * on_order
            followed = ordered if mask[i] & FOLLOWED else zero
            level[i] += followed
            position[i] -= followed
