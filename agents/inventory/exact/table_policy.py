"""A policy given as a table over whole states, the result of a dynamic program."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sandtable.agents.inventory.policy import OrderingPolicy
from sandtable.simulators.arrays import Array, like, namespace


@dataclass(frozen=True, eq=False)
class TablePolicy(OrderingPolicy):
    """Look up the orders for the stock to be had in this period and what is due later.

    Made for the observations of ``LostSales`` and ``DualSourcing``: units on hand, then units due in this period, in
    the next, .... The first two together are the state's x; the others are z_1, z_2, .... A state between or beyond the
    table's is answered by the nearest that is in it.

    Attributes:
        orders: Units to order, [X, Q + 1, ..., Q + 1, k]: by x, by z_1, z_2, ...; k orders.
        lowest: x of the table's first entry, units.
    """

    orders: np.ndarray = field(repr=False)
    lowest: int = 0

    def __call__(self, observation: Any) -> Array:
        """Return units to order, [*batch, k].

        Raises:
            ValueError: The observation is none of the table's world.
        """
        seen = getattr(observation, "shape", (0,))[-1]
        if seen != self.orders.ndim:
            raise ValueError(
                f"this table is for observations [*batch, {self.orders.ndim}], on hand and due, not {seen}"
            )
        xp = namespace(observation)
        whole = xp.astype(xp.round(observation), xp.int64)
        state = [whole[..., 0] + whole[..., 1] - self.lowest, *(whole[..., i] for i in range(2, whole.shape[-1]))]
        index: Any = 0
        for entry, size in zip(state, self.orders.shape[:-1], strict=True):
            index = index * size + xp.clip(entry, 0, size - 1)
        kinds = self.orders.shape[-1]
        table = xp.astype(like(observation, self.orders.reshape(-1, kinds)), observation.dtype)
        return xp.reshape(xp.take(table, xp.reshape(index, (-1,)), axis=0), (*index.shape, kinds))
