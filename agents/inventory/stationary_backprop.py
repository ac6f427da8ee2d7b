"""DirectBackprop on a stationary problem: demand has one distribution, and the stock is all there is to see."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sandtable.agents.inventory.direct_backprop import NetworkPolicy
from sandtable.simulators.inventory.process import InventoryProcess
from sandtable.simulators.random import fold_in, make_key
from sandtable.training.loop import fit
from sandtable.training.networks import MLP, Replicated
from sandtable.training.objectives import Pathwise
from sandtable.training.optimizers import AdamW
from sandtable.training.progress import Progress
from sandtable.training.schedules import cosine

FAR = 4.0  # units of mean demand, on hand or due in one period


class StockNetwork(Replicated):
    """From units on hand and due to units to order, ``unit * positive(1 + MLP(near(stock / unit) - 1))``.

    ``positive(u)`` is ``(u + sqrt(u^2 + 0.01)) / 2``, a smooth maximum of u and 0: where ReLU is flat, a network that
    orders too little could not learn to order more. It starts by ordering about one ``unit``. ``near(x)`` is x up to 4,
    and beyond grows as its logarithm: where a network that orders too much has piled up hundreds of units, the stock
    itself now and then cost it all hidden units, while a logarithm throughout (or an asinh) blurs the positions that
    matter, and costs a percent at a lead time of 4.

    Args:
        replicas: R.
        inputs: Entries of the observation.
        hidden: Widths of the hidden layers.
        key: A seed, or one key a replica, [R].
        unit: Units by which stock and orders are measured, > 0: the mean demand a period.
    """

    def __init__(self, replicas: int, inputs: int, hidden: tuple[int, ...], key: Any, unit: float) -> None:
        super().__init__(replicas)
        if not unit > 0:
            raise ValueError(f"unit must be positive, not {unit}")
        self.unit = unit
        self.order = MLP(replicas, inputs, hidden, 1, key)

    def forward(self, stock: Tensor) -> Tensor:
        """Return units to order, [R, B, 1], of stock [R, B, inputs]."""
        x = stock / self.unit
        near = x.clamp_max(FAR) + torch.log1p((x - FAR).clamp_min(0))
        u = 1.0 + self.order(near - 1.0)
        orders: Tensor = self.unit * 0.5 * (u + torch.sqrt(u * u + 0.01))
        return orders


@dataclass(frozen=True)
class StationaryLearned:
    """What was learned.

    Attributes:
        policies: One a seed.
        history: Rows of metrics: ``step``, and of each seed ``loss``, ``return`` and ``gradient_norm``.
    """

    policies: tuple[NetworkPolicy, ...]
    history: list[dict[str, Any]]


@dataclass(frozen=True)
class StationaryBackprop:
    """Settings of the training.

    Learn where orders are real numbers (``LostSales(..., whole_units=False)``) and order whole units afterwards. With
    whole units, demand often equals what is there exactly; the gradient at such a tie is one-sided, and what is learned
    from it is biased: some networks then end half a percent above the optimum, which they reach otherwise.

    Attributes:
        updates: Optimiser steps, at least 1.
        seeds: Networks trained side by side, which differ in initialisation and data.
        batch: Episodes an update and network.
        horizon: Periods of an episode that are played, at most the world's.
        hidden: Widths of the hidden layers.
        learning_rate: Of AdamW, falling to 0 with a cosine.
        clip: Largest norm of the gradient.
        seed: Of initialisation and data.
    """

    updates: int = 600
    seeds: int = 4
    batch: int = 64
    horizon: int = 60
    hidden: tuple[int, ...] = (32, 32, 32)
    learning_rate: float = 3e-3
    clip: float = 1.0
    seed: int = 0

    def learn(self, world: InventoryProcess, unit: float, progress: Progress | None = None) -> StationaryLearned:
        """Train in a world whose observation is the stock, [1 + J], such as ``LostSales``.

        Args:
            world: Where to learn; it is differentiable in the order.
            unit: Mean demand a period, units.
            progress: Told of every row of metrics.
        """
        inputs = world.observation_space.shape[0]  # type: ignore[index]  # a box
        network = StockNetwork(self.seeds, inputs, self.hidden, fold_in(make_key(self.seed), 1), unit)
        result = fit(
            network,
            Pathwise(world, self.batch, self.horizon),
            key=self.seed,
            steps=self.updates,
            optimizer=AdamW(learning_rate=self.learning_rate, weight_decay=0.0),
            schedule=cosine(self.updates),
            clip=self.clip,
            log_every=max(1, self.updates // 20),
            progress=progress,
        )
        policies = tuple(NetworkPolicy(result.select(replica)) for replica in range(self.seeds))
        return StationaryLearned(policies, result.history)
