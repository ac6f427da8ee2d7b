"""What becomes of an order on its way to the supplier: minimum, batches, capacity, yield."""

from typing import Any, NamedTuple

import numpy as np

from sandtable.simulators.arrays import Array, namespace, positive, straight_through
from sandtable.simulators.errors import InputError


class OrderRules(NamedTuple):
    """The supplier's rules, per product; each is a float array that broadcasts to [*batch], or None for no such rule.

    Attributes:
        minimum_order: Least units of an order that is placed at all, >= 0.
        batch_size: Orders are multiples of this many units, > 0; None: any real quantity.
        capacity: Most units that the supplier takes a period, > 0; inf for no limit.
        supply_yield: Units supplied per unit ordered, > 0.
    """

    minimum_order: Array | None = None
    batch_size: Array | None = None
    capacity: Array | None = None
    supply_yield: Array | None = None


def checked(rules: OrderRules, skus: tuple[str, ...] | None = None) -> OrderRules:
    """Return the rules with minimum and capacity in whole batches, or refuse them.

    Args:
        rules: Numpy arrays or numbers, per product.
        skus: Names of the products, for the message.

    Raises:
        InputError: A value is out of its range, or no order lies between minimum and capacity.
    """
    minimum, batch, capacity, supply_yield = (None if x is None else np.asarray(x, dtype=np.float64) for x in rules)

    def refuse(bad: Any, reason: str) -> None:
        if np.any(bad):
            where = int(np.flatnonzero(bad)[0])
            raise InputError(f"product {where if skus is None or np.ndim(bad) == 0 else skus[where]}: {reason}")

    if minimum is not None:
        refuse(~(minimum >= 0) | np.isinf(minimum), "the minimum order must be finite and not negative")
    if batch is not None:
        refuse(~(batch > 0) | np.isinf(batch), "the batch size must be finite and positive")
    if capacity is not None:
        refuse(~(capacity > 0), "the supplier's capacity must be positive")
    if supply_yield is not None:
        refuse(~(supply_yield > 0) | np.isinf(supply_yield), "the yield must be finite and positive")
    if batch is not None:
        rounding = 1e-12  # 1.1 / 0.1 is a little above 11, and 0.3 / 0.1 a little below 3
        minimum = None if minimum is None else np.ceil(minimum / batch * (1 - rounding)) * batch
        capacity = None if capacity is None else np.floor(capacity / batch * (1 + rounding)) * batch
    smallest = batch if minimum is None else minimum if batch is None else np.maximum(minimum, batch)
    if capacity is not None and smallest is not None:
        refuse(
            smallest > capacity,
            "its smallest possible order is above the supplier's capacity; "
            "lower minimum_order or batch_size, or raise capacity",
        )
    return OrderRules(minimum, batch, capacity, supply_yield)


def place(wanted: Array, rules: OrderRules) -> Array:
    """Return the order that the supplier takes for a wanted quantity.

    The quantity is capped by the capacity and rounded to the nearest multiple of the batch, halves up. Below half of
    the minimum nothing is ordered; from there to the minimum, the minimum. Exact going forward; going backward the
    gradient is that of ``min(wanted, capacity)``, straight through the rounding and the minimum.

    Args:
        wanted: Units, [*batch]; negative counts as 0.
        rules: As ``checked`` returns them.

    Returns:
        Units ordered, [*batch], before the yield.
    """
    xp = namespace(wanted)
    relaxed = positive(wanted)
    if rules.capacity is not None:
        relaxed = xp.minimum(relaxed, rules.capacity)
    if rules.minimum_order is None and rules.batch_size is None:
        return relaxed
    exact = relaxed
    if rules.batch_size is not None:
        exact = _in_batches(relaxed, rules.batch_size)
    if rules.minimum_order is not None:
        least = rules.minimum_order
        exact = xp.where(relaxed < 0.5 * least, 0.0 * relaxed, xp.maximum(exact, least))
    return straight_through(exact, relaxed)


def _in_batches(quantity: Array, batch: Array) -> Array:
    """Return the nearest multiples of the batch, halves up."""
    if isinstance(quantity, np.ndarray) and quantity.ndim and batch.ndim == 0:  # the same as below, at half its cost
        size = batch.item()
        whole = quantity + 0.5 if size == 1 else quantity / size + 0.5
        np.floor(whole, out=whole)
        return whole if size == 1 else whole * size
    return namespace(quantity).floor(quantity / batch + 0.5) * batch
