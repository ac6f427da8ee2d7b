"""The rollout of an order-up-to rule through lost sales with one fixed lead time, a block of products at a time.

What a block needs lies in the rows of one array, ``BLOCK`` numbers apart, which stay in a core's first cache over all
periods. As their distances are known when the code is compiled, each loop over products becomes one of vector
instructions without asking whether rows overlap. The operations are those of ``world.advance``, in its order, so the
bits are the same too.

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

from sandtable.simulators.compilation import compiled, inlined

BLOCK = 256
"""Products at a time: some thirty rows of them fit in a core's first cache."""
WINDOW = 8
"""Periods between two moves of the pipeline's rows to where they began."""
BASE_STOCK, CAPPED_BASE_STOCK, REORDER_POINT = range(3)
"""The rules."""
FOLLOWED, CAPPED, SOLD_OUT, EVEN = np.uint8(1), np.uint8(2), np.uint8(4), np.uint8(8)
"""The masks."""
GAMMA, MIX_1, MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
HOLDING, HOLDING_RATE, SHORTAGE, SHORTAGE_RATE, SALVAGE, LARGEST_ORDER, BATCH_SIZE = range(7)
"""Entries of ``constants``."""
STOCK, LEVEL, OTHER, TOTAL, POSITION, DEMAND, PRICE, COST, PER_LEFT, PER_LOST, SALES, GAIN, FIRST = range(13)
"""Rows of a block: stock on hand; the level, and the cap or the reorder point; the discounted reward so far; inventory
position; of the period, demand, price, cost, what a unit left and a unit lost cost, sales and reward. From ``FIRST`` on
there are orders, by the period in which they arrive."""


@compiled
def largest_bits(bits: Any, but_sign: Any) -> Any:
    """Return the largest of the bit patterns without sign: of floating-point numbers, that of the largest magnitude.

    Infinity is above all numbers, and what is not a number above infinity. A maximum of integers may be found in any
    order, so it is one of vector instructions.

    Args:
        bits: int32 or int64 [n], the numbers' bits.
        but_sign: All bits but the sign, in their type.
    """
    largest = but_sign & 0
    for i in range(len(bits)):
        largest = max(largest, bits[i] & but_sign)
    return largest


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


@inlined
def order(rule: int, rows: Any, constants: Any, wanted: Any, mask: Any, masked: bool) -> None:
    """Fill ``wanted`` [n] with the orders of a rule at the inventory position, and ``mask`` [n] if ``masked``.

    Args:
        rule: One of the rules.
        rows: The block's.
        constants: See the entries.
        wanted: Written; its length tells how many products there are.
        mask: uint8, written.
        masked: Whether to write the mask.
    """
    level, other, position = rows[LEVEL], rows[OTHER], rows[POSITION]
    zero, half = rows.dtype.type(0), rows.dtype.type(0.5)
    largest, batch = constants[LARGEST_ORDER], constants[BATCH_SIZE]
    n = len(wanted)
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


@inlined
def copy(source: Any, target: Any) -> None:
    """Copy the numbers of ``source`` to the first of ``target``; numba's assignment of slices takes far longer."""
    for i in range(len(source)):
        target[i] = source[i]


@inlined
def take_position(rows: Any, due: int, lead_time: int, n: int) -> None:
    """Fill the inventory position with stock on hand and the orders in rows ``due`` to ``due + lead_time - 1``."""
    stock, position = rows[STOCK], rows[POSITION]
    first, second, third, fourth = rows[due], rows[due + 1], rows[due + 2], rows[due + 3]
    if lead_time == 0:
        for i in range(n):
            position[i] = stock[i]
    elif lead_time == 1:
        for i in range(n):
            position[i] = stock[i] + first[i]
    elif lead_time == 2:
        for i in range(n):
            position[i] = stock[i] + (first[i] + second[i])
    elif lead_time == 3:
        for i in range(n):
            position[i] = stock[i] + (first[i] + second[i] + third[i])
    elif lead_time == 4:
        for i in range(n):
            position[i] = stock[i] + (first[i] + second[i] + third[i] + fourth[i])
    else:
        for i in range(n):
            position[i] = first[i] + second[i] + third[i] + fourth[i]
        for lag in range(4, lead_time):
            later = rows[due + lag]
            for i in range(n):
                position[i] += later[i]
        for i in range(n):
            position[i] = stock[i] + position[i]


@inlined
def take_prices(rows: Any, price: Any, cost: Any, t: int, low: int, high: int, constants: Any) -> None:
    """Fill a block's rows of prices of period ``t``, and of what units left and lost cost; see ``play``."""
    own_price, own_cost, per_left, per_lost = rows[PRICE], rows[COST], rows[PER_LEFT], rows[PER_LOST]
    holding, holding_rate = constants[HOLDING], constants[HOLDING_RATE]
    shortage, shortage_rate = constants[SHORTAGE], constants[SHORTAGE_RATE]
    prices, costs = price[t if len(price) > 1 else 0, low:high], cost[t if len(cost) > 1 else 0, low:high]
    for i in range(high - low):
        own_price[i] = prices[i]
        per_lost[i] = shortage + shortage_rate * prices[i]
    for i in range(high - low):
        own_cost[i] = costs[i]
        per_left[i] = holding + holding_rate * costs[i]


@inlined
def money(price: Any, sold: Any, cost: Any, bought: Any, left: Any, per_left: Any, lost: Any, per_lost: Any) -> Any:
    """Return a product's reward of a period: ``world.advance``'s, in its order."""
    return price * sold - cost * bought - left * per_left - lost * per_lost


@inlined
def trade(rows: Any, received: Any, bought: Any, discount: Any) -> None:
    """Receive, meet demand and pay: stock and the discounted reward so far, [n]."""
    stock, demand, total = rows[STOCK], rows[DEMAND], rows[TOTAL]
    price, cost, per_left, per_lost = rows[PRICE], rows[COST], rows[PER_LEFT], rows[PER_LOST]
    for i in range(len(received)):
        available = stock[i] + received[i]
        sold = demand[i] if demand[i] < available else available
        left, lost = available - sold, demand[i] - sold
        stock[i] = left
        total[i] += money(price[i], sold, cost[i], bought[i], left, per_left[i], lost, per_lost[i]) * discount


@inlined
def trade_and_tell(rows: Any, received: Any, bought: Any) -> None:
    """Do the same, but fill the rows of sales and reward of the period, and leave the reward so far; all [n]."""
    stock, demand, sales, gain = rows[STOCK], rows[DEMAND], rows[SALES], rows[GAIN]
    price, cost, per_left, per_lost = rows[PRICE], rows[COST], rows[PER_LEFT], rows[PER_LOST]
    for i in range(len(received)):
        available = stock[i] + received[i]
        sold = demand[i] if demand[i] < available else available
        left, lost = available - sold, demand[i] - sold
        stock[i] = left
        sales[i] = sold
        gain[i] = money(price[i], sold, cost[i], bought[i], left, per_left[i], lost, per_lost[i])


@inlined
def note_side(rows: Any, received: Any, mask: Any) -> None:
    """Add to ``mask`` [n] what limits the sales of a period, stock or demand."""
    stock, demand = rows[STOCK], rows[DEMAND]
    for i in range(len(received)):
        available = stock[i] + received[i]
        short = SOLD_OUT if available < demand[i] else np.uint8(0)
        mask[i] |= EVEN if available == demand[i] else short


@inlined
def count(rows: Any, figures: Any, low: int, high: int) -> None:
    """Add a period to columns ``low`` to ``high`` of ``figures``: demand, sales, lost, stock-outs, stock, cash."""
    stock, demand, sales, gain = rows[STOCK], rows[DEMAND], rows[SALES], rows[GAIN]
    wanted, sold, lost = figures[0, low:high], figures[1, low:high], figures[2, low:high]
    out, left, cash = figures[3, low:high], figures[4, low:high], figures[5, low:high]
    zero, one = rows.dtype.type(0), rows.dtype.type(1)
    for i in range(high - low):
        wanted[i] += demand[i]
        sold[i] += sales[i]
    for i in range(high - low):
        lost[i] += demand[i] - sales[i]
        out[i] += one if demand[i] - sales[i] > zero else zero
    for i in range(high - low):
        left[i] += stock[i]
        cash[i] += gain[i]


@inlined
def backward(
    rows: Any,
    low: int,
    high: int,
    masks: Any,
    price: Any,
    cost: Any,
    discounts: Any,
    constants: Any,
    lead_time: int,
    capped: bool,
    pay_on_order: bool,
    gradient: Any,
) -> None:
    """Fill a block's columns of ``gradient`` with that of its reward in the level and the cap; see the module.

    The rows are taken over: ``STOCK`` and ``POSITION`` hold adjoints, ``LEVEL`` and ``OTHER`` the gradient so far, and
    those from ``FIRST`` on the adjoints of what is received, by period.

    Args:
        rows: The block's, after its last period.
        low: The block's first product.
        high: The one after its last.
        masks: uint8 [H, B].
        price: [H or 1, N].
        cost: [H or 1, N].
        discounts: [H].
        constants: See the entries.
        lead_time: L.
        capped: Whether there is a cap.
        pay_on_order: Whether units are paid when ordered.
        gradient: [2, N], written.
    """
    horizon, n = len(discounts), high - low
    zero, half = rows.dtype.type(0), rows.dtype.type(0.5)
    varying = len(price) > 1 or len(cost) > 1
    stock, position, level, cap = rows[STOCK], rows[POSITION], rows[LEVEL], rows[OTHER]
    unit_price, unit_cost, per_left, per_lost = rows[PRICE], rows[COST], rows[PER_LEFT], rows[PER_LOST]
    last = discounts[horizon - 1]
    arriving = FIRST + WINDOW
    for i in range(n):
        level[i], cap[i], position[i] = zero, zero, zero
        stock[i] = last * constants[SALVAGE] * unit_cost[i]
    for lag in range(lead_time):
        for i in range(n):
            rows[arriving + lag, i] = last * unit_cost[i] if pay_on_order else zero
    for t in range(horizon - 1, -1, -1):
        if arriving == FIRST:
            for lag in range(lead_time - 1, -1, -1):
                copy(rows[FIRST + lag, :n], rows[FIRST + WINDOW + lag])
            arriving = FIRST + WINDOW
        arriving -= 1
        if varying:
            take_prices(rows, price, cost, t, low, high, constants)
        g, mask = discounts[t], masks[t, :n]
        on_receipt, on_order = (zero, g) if pay_on_order else (g, zero)
        received, placed = rows[arriving], rows[arriving + lead_time]
        for i in range(n):
            left = stock[i] - g * per_left[i]
            sales = g * (unit_price[i] + per_lost[i]) - position[i]
            even = half * (sales + left) if mask[i] & EVEN else left
            stock[i] = sales if mask[i] & SOLD_OUT else even
            received[i] = stock[i] - on_receipt * unit_cost[i]
        if capped:
            for i in range(n):
                ordered = position[i] + placed[i] - on_order * unit_cost[i]
                cap[i] += ordered if mask[i] & CAPPED else zero
        for i in range(n):
            ordered = position[i] + placed[i] - on_order * unit_cost[i]
            followed = ordered if mask[i] & FOLLOWED else zero
            level[i] += followed
            position[i] -= followed
    copy(level[:n], gradient[0, low:high])
    copy(cap[:n], gradient[1, low:high])


@inlined
def add_worth(rows: Any, due: int, lags: int, salvage: Any, n: int) -> None:
    """Add to the last reward what stock is worth, and the orders paid in rows ``due`` to ``due + lags - 1``."""
    stock, cost, gain = rows[STOCK], rows[COST], rows[GAIN]
    for i in range(n):
        worth = salvage * cost[i] * stock[i]
        if lags:
            transit = rows.dtype.type(0)
            for lag in range(lags):
                transit += rows[due + lag, i]
            worth += cost[i] * transit
        gain[i] += worth


@compiled
def play(
    rule: int,
    demand: Any,
    keys: Any,
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
) -> None:
    """Play the horizon for all products.

    Args:
        rule: One of the rules.
        demand: [H, N]; without rows: drawn from ``keys``.
        keys: uint64 [N], keys of the stream of demand; empty where demand is given.
        cells: See ``draw``.
        cumulative: See ``draw``.
        price: [H or 1, N].
        cost: [H or 1, N].
        on_hand: [N]; the stock at the end is written.
        pipeline: [L, N], due next first; what is due at the end is written.
        levels: [2, N]: the level, and the cap or the reorder point.
        constants: See the entries.
        discounts: [H].
        pay_on_order: Whether units are paid when ordered.
        reward: [N], written: the discounted sum.
        gradient: [2, N], written; without rows: not wanted.
        figures: [6, N], zeros; sums are written; without rows: not wanted.
    """
    lead_time, products, horizon = len(pipeline), len(on_hand), len(discounts)
    with_gradient, with_figures, drawn = len(gradient) > 0, len(figures) > 0, len(keys) > 0
    varying = len(price) > 1 or len(cost) > 1
    zero = reward.dtype.type(0)
    rows = np.zeros((FIRST + max(lead_time, 4) + WINDOW, BLOCK), reward.dtype)
    words = np.empty(BLOCK, np.uint64)
    masks = np.empty((horizon if with_gradient else 1, BLOCK), np.uint8)
    for low in range(0, products, BLOCK):
        high = min(low + BLOCK, products)
        n = high - low
        copy(on_hand[low:high], rows[STOCK])
        copy(levels[0, low:high], rows[LEVEL])
        copy(levels[1, low:high], rows[OTHER])
        rows[TOTAL] = zero
        for lag in range(lead_time):
            copy(pipeline[lag, low:high], rows[FIRST + lag])
        due = FIRST
        for t in range(horizon):
            if due == FIRST + WINDOW:
                for lag in range(lead_time):
                    copy(rows[due + lag, :n], rows[FIRST + lag])
                due = FIRST
            if drawn:
                draw(words[:n], keys[low:high], t, cells, cumulative, rows[DEMAND, :n])
            else:
                copy(demand[t, low:high], rows[DEMAND])
            if varying or t == 0:
                take_prices(rows, price, cost, t, low, high, constants)
            mask = masks[t if with_gradient else 0, :n]
            wanted, received = rows[due + lead_time, :n], rows[due, :n]
            take_position(rows, due, lead_time, n)
            order(rule, rows, constants, wanted, mask, with_gradient)
            bought = wanted if pay_on_order else received
            if with_gradient:
                note_side(rows, received, mask)
            due += 1
            if t < horizon - 1 and not with_figures:
                trade(rows, received, bought, discounts[t])
                continue
            trade_and_tell(rows, received, bought)
            if with_figures:
                count(rows, figures, low, high)
            total, gain = rows[TOTAL], rows[GAIN]
            if t == horizon - 1:
                add_worth(rows, due, lead_time if pay_on_order else 0, constants[SALVAGE], n)
            for i in range(n):
                total[i] += gain[i] * discounts[t]
        copy(rows[STOCK, :n], on_hand[low:high])
        copy(rows[TOTAL, :n], reward[low:high])
        for lag in range(lead_time):
            copy(rows[due + lag, :n], pipeline[lag, low:high])
        if with_gradient:
            backward(
                rows,
                low,
                high,
                masks,
                price,
                cost,
                discounts,
                constants,
                lead_time,
                rule == CAPPED_BASE_STOCK,
                pay_on_order,
                gradient,
            )
