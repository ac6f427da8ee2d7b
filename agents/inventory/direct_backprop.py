"""DirectBackprop (arXiv 2210.03137): a network learns to order by backpropagation through the replayed world."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sandtable.agents.inventory.policy import OrderingPolicy, inventory_position
from sandtable.simulators.arrays import Array, tree_map
from sandtable.simulators.inventory.panel import Panel
from sandtable.simulators.inventory.replay import InventoryReplay
from sandtable.simulators.random import fold_in, make_key
from sandtable.training.checkpoint import Checkpoints
from sandtable.training.loop import fit
from sandtable.training.metrics import MetricsSink
from sandtable.training.networks import MLP, Replicated
from sandtable.training.objectives import Pathwise
from sandtable.training.optimizers import AdamW
from sandtable.training.progress import Progress
from sandtable.training.schedules import cosine
from sandtable.training.validation import Validation

LEAST_SCALE = 0.05  # units a period: below it, features would be noise divided by nothing
LAGS = 4  # entries of the pipeline that the network sees, whatever the lead time: the last one holds all that is later


def demand_scale(observation: dict[str, Tensor]) -> Tensor:
    """Return the size of a product's demand from its past alone, units a period: [*batch, 1], >= ``LEAST_SCALE``.

    The mean of the recent known demand and of the training history's.
    """
    count = observation["demand_known"].sum(-1, keepdim=True)
    recent = observation["past_demand"].sum(-1, keepdim=True) / count.clamp_min(1)
    mean = observation["mean"]
    return torch.where(count > 0, 0.5 * (recent + mean), mean).clamp_min(LEAST_SCALE)


def _pipeline(on_order: Tensor) -> Tensor:
    """Return units due in this period, in the next, ..., [*batch, LAGS]; the last entry holds all that is due later."""
    near = on_order[..., : LAGS - 1]
    near = functional.pad(near, (0, LAGS - 1 - near.shape[-1]))
    return torch.cat([near, on_order[..., LAGS - 1 :].sum(-1, keepdim=True)], dim=-1)


def features(observation: dict[str, Tensor], scale: Tensor | None = None) -> Tensor:
    """Return what the network sees, free of the product's scale: [*batch, 2 W + LAGS + 11].

    Past demand, stock and what is on order in units of the demand scale (log1p), which demand is known, the margin, the
    season, the size and dispersion of demand, its recent growth, and the lead time.

    Args:
        observation: Of rows, [*batch, k].
        scale: ``demand_scale`` of it, if that is known already.
    """
    scale = demand_scale(observation) if scale is None else scale
    margin = 1 - observation["cost"] / observation["price"].clamp_min(1e-6)
    columns = (
        torch.log1p(observation["past_demand"] / scale),
        observation["demand_known"],
        torch.log1p(observation["on_hand"].clamp_min(0) / scale),
        torch.log1p(_pipeline(observation["on_order"]) / scale),
        torch.log1p((-observation["on_hand"]).clamp_min(0) / scale),
        margin.clamp(-1, 1),
        observation["calendar"],
        torch.log(scale) / 3,
        observation["deviation"] / scale / 3,
        observation["mean"] / scale,
        observation["lead_time"] / 4,
    )
    return torch.cat(columns, dim=-1)


class OrderUpToNetwork(Replicated):
    """A perceptron that sets an order-up-to level, in units of demand over lead time and review.

    ``order = max(scale * (L + 1) * softplus(f(features)) - inventory position, 0)``: it starts near a base-stock
    policy, and scale-free features let one network serve demand from a tenth to thousands a period.

    Args:
        replicas: R.
        window: W, periods of past demand in the observation.
        hidden: Widths of the hidden layers.
        key: A seed, or one key a replica, [R].
    """

    def __init__(self, replicas: int, window: int, hidden: tuple[int, ...], key: Any) -> None:
        super().__init__(replicas)
        self.levels = MLP(replicas, 2 * window + LAGS + 11, hidden, 1, key)

    def forward(self, observation: dict[str, Tensor]) -> Tensor:
        """Return units to order, [R, B, 1], of observations [R, B, k]."""
        periods, scale = observation["lead_time"] + 1, demand_scale(observation)
        level = scale * periods * functional.softplus(self.levels(features(observation, scale)) + 1.0)
        return (level - inventory_position(observation)).clamp_min(0)


@dataclass(frozen=True)
class NetworkPolicy(OrderingPolicy):
    """A network of one replica as a policy for numpy and torch.

    Attributes:
        network: Maps observations [1, B, k] to orders [1, B, 1], in float32.
    """

    network: Replicated

    def __call__(self, observation: Any) -> Array:
        """Return units to order, [B, 1], of observations [B, k]: an array, or a dict of them."""
        first = next(iter(observation.values())) if isinstance(observation, dict) else observation
        from_numpy = isinstance(first, np.ndarray)
        with torch.no_grad():
            rows = tree_map(lambda x: torch.as_tensor(np.array(x) if from_numpy else x)[None].float(), observation)
            orders = self.network(rows)[0]
        return orders.double().numpy() if from_numpy else orders


@dataclass(frozen=True)
class Learned:
    """What DirectBackprop has learned.

    Attributes:
        policy: The replica that earned most in validation.
        untrained: The same network before its first update.
        history: Rows of metrics: ``step``, and of each replica ``loss`` (minus the mean return an episode), ``return``,
            ``gradient_norm`` and, where it was judged, ``validation_return``.
        best_step: Updates after which validation was best.
        replica: Which replica it was.
    """

    policy: NetworkPolicy
    untrained: NetworkPolicy
    history: list[dict[str, Any]]
    best_step: int
    replica: int


def in_product_money(panel: Panel, history: int) -> Panel:
    """Return the panel with each product's money counted in its own mean revenue a period, before ``history`` ends.

    What is best for a product does not depend on the currency, but the variance of the gradient does: in common money a
    few expensive fast movers drown what the others teach.
    """
    mean, _ = panel.demand_moments(history)
    revenue = np.maximum(mean, LEAST_SCALE) * np.maximum(np.median(panel.price[:history], axis=0), 1e-6)
    return replace(panel, price=panel.price / revenue, cost=panel.cost / revenue)


@dataclass(frozen=True)
class DirectBackprop:
    """Settings of the training.

    Attributes:
        updates: Optimiser steps.
        seeds: Networks trained side by side, which differ in initialisation and data.
        batch: Episodes an update and network, each of a product and a start that its key draws.
        horizon: Periods an episode, at most the training history.
        hidden: Widths of the hidden layers.
        learning_rate: Of AdamW, falling to 0 with a cosine.
        clip: Largest norm of the gradient.
        discount: Worth of next period's money, in (0, 1].
        patience: Judgements without improvement until a network stops.
        seed: Of initialisation and data.
    """

    updates: int = 400
    seeds: int = 2
    batch: int = 128
    horizon: int = 26
    hidden: tuple[int, ...] = (64, 64)
    learning_rate: float = 3e-3
    clip: float = 1.0
    discount: float = 1.0
    patience: int = 8
    seed: int = 0

    def learn(
        self,
        panel: Panel,
        train: int,
        validate: int,
        products: np.ndarray,
        *,
        window: int = 16,
        checkpoint: Path | None = None,
        metrics: MetricsSink | None = None,
        progress: Progress | None = None,
    ) -> Learned:
        """Train on periods [0, train) and keep what earns most on [train, validate), on the same products.

        Args:
            panel: What is replayed.
            train: Periods of training.
            validate: End of validation, exclusive.
            products: Columns that take part, int [M].
            window: Periods of past demand that the network sees.
            checkpoint: Folder for the training's state; an interrupted training continues from there.
            metrics: Takes the metrics of the training.
            progress: Told of every step.
        """
        panel = in_product_money(panel, train)
        horizon = min(self.horizon, train)
        options: dict[str, Any] = {"products": products, "history": train, "window": window}
        world = InventoryReplay(panel, horizon, starts=(0, train - horizon), initial_spread=0.8, **options)
        judge = InventoryReplay(panel, validate - train, starts=(train, train), **options)
        network = OrderUpToNetwork(self.seeds, window, self.hidden, fold_in(make_key(self.seed), 1))
        untrained = [NetworkPolicy(network.take(replica)) for replica in range(self.seeds)]
        every = max(1, self.updates // 20)
        result = fit(
            network,
            Pathwise(world, self.batch, discount=self.discount),
            key=self.seed,
            steps=self.updates,
            optimizer=AdamW(learning_rate=self.learning_rate),
            schedule=cosine(self.updates, warmup=min(every, self.updates - 1)),
            clip=self.clip,
            validate=Validation(
                Pathwise(
                    judge, len(products), discount=self.discount, reset_options={"product": products, "start": train}
                ),
                every=every,
                patience=self.patience,
            ),
            checkpoint=Checkpoints(checkpoint, every) if checkpoint else None,
            metrics=metrics,
            log_every=every,
            progress=progress,
        )
        best = int(result.best_score.argmin())
        return Learned(
            NetworkPolicy(result.select(best)), untrained[best], result.history, int(result.best_step[best]), best
        )
