"""What every ordering policy is: a function from an observation to units to order."""

from abc import ABC, abstractmethod
from typing import Any

from sandtable.simulators.arrays import Array, like, namespace


class OrderingPolicy(ABC):
    """An ordering policy of the inventory worlds, for numpy and torch.

    Calling it maps an observation to units to order, [*batch, 1]; observations are ``InventoryReplay``'s dict, or
    ``LostSales``'s array.
    """

    @abstractmethod
    def __call__(self, observation: Any) -> Array:
        """Return units to order, >= 0, [*batch, 1]."""

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Array, Any]:
        """Act as Stable-Baselines3's ``predict`` does; these policies are deterministic and keep no state."""
        return self(observation), state


def inventory_position(observation: Any) -> Array:
    """Return units on hand and on order, less what customers wait for, [*batch, 1]."""
    if not isinstance(observation, dict):
        return namespace(observation).sum(observation, axis=-1, keepdims=True)
    on_order = observation["on_order"]
    return observation["on_hand"] + namespace(on_order).sum(on_order, axis=-1, keepdims=True)


def of_product(values: Any, observation: Any) -> Array:
    """Return each row's entry of a table by product.

    Args:
        values: One number for all products, or float [N], by column of the panel.
        observation: Whose ``product`` tells the columns.

    Returns:
        [*batch, 1], in the observation's element type (a number as it is).
    """
    if isinstance(values, int | float) or getattr(values, "ndim", 0) == 0:
        return values
    product = observation["product"]
    xp = namespace(product)
    table = xp.astype(like(product, values), product.dtype)
    return xp.reshape(xp.take(table, xp.reshape(xp.astype(product, xp.int64), (-1,))), product.shape)
