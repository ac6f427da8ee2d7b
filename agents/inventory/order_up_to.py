"""The classical rules on the inventory position, with levels fixed in advance."""

from dataclasses import dataclass
from typing import Any

from sandtable.agents.inventory.policy import OrderingPolicy, inventory_position, of_product
from sandtable.simulators.arrays import Array, namespace, positive


@dataclass(frozen=True)
class OrderNothing(OrderingPolicy):
    """Never order: what the initial stock earns, a lower bound for any sensible policy."""

    def __call__(self, observation: Any) -> Array:
        """Return zeros, [*batch, 1]."""
        return 0.0 * inventory_position(observation)


@dataclass(frozen=True)
class BaseStock(OrderingPolicy):
    """Order up to a level: ``max(S - inventory position, 0)``.

    Attributes:
        level: S, units, a number or [N] by product.
    """

    level: Any

    def __call__(self, observation: Any) -> Array:
        """Return units to order, [*batch, 1]."""
        return positive(of_product(self.level, observation) - inventory_position(observation))


@dataclass(frozen=True)
class CappedBaseStock(OrderingPolicy):
    """Order up to a level, but never more than a cap (Xin 2021): ``min(max(S - position, 0), r)``.

    Attributes:
        level: S, units, a number or [N] by product.
        cap: r, units, a number or [N] by product.
    """

    level: Any
    cap: Any

    def __call__(self, observation: Any) -> Array:
        """Return units to order, [*batch, 1]."""
        wanted = positive(of_product(self.level, observation) - inventory_position(observation))
        cap = of_product(self.cap, observation)
        return wanted - positive(wanted - cap)


@dataclass(frozen=True)
class ReorderPoint(OrderingPolicy):
    """(s, S): when the position is at or below s, order up to S; otherwise nothing.

    Attributes:
        reorder_point: s, units, a number or [N] by product.
        level: S, units, a number or [N] by product.
    """

    reorder_point: Any
    level: Any

    def __call__(self, observation: Any) -> Array:
        """Return units to order, [*batch, 1]."""
        position = inventory_position(observation)
        wanted = positive(of_product(self.level, observation) - position)
        low = position <= of_product(self.reorder_point, observation)
        return namespace(position).where(low, wanted, 0.0 * wanted)
