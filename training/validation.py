"""Validation, and early stopping of each replica on its own."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sandtable.simulators.arrays import Array
from sandtable.training.networks import Replicated
from sandtable.training.objectives import Metrics, Objective
from sandtable.training.optimizers import Tensors


@dataclass(frozen=True)
class Validation:
    """How networks are judged while they are trained.

    A replica whose score has not improved ``patience`` times in a row is frozen: its parameters and moments change no
    more. When all replicas are frozen the training ends. Each keeps its best parameters.

    Attributes:
        objective: Judged without gradients, from a fresh start and on the same key every time.
        every: Steps between two judgements, at least 1; the last step is always judged.
        patience: At least 1.
        metric: ``"loss"`` or a metric of the objective; smaller is better.
        key: A seed, or one key a replica, [R].
    """

    objective: Objective
    every: int
    patience: int
    metric: str = "loss"
    key: int | Array = 0x76616C6964617465

    def __post_init__(self) -> None:
        if self.every < 1 or self.patience < 1:
            raise ValueError(f"every and patience must be at least 1, not {self.every} and {self.patience}")


class Stopping(NamedTuple):
    """What early stopping remembers.

    Attributes:
        best: The best parameters so far, each [R, ...].
        score: Their score, float64 [R].
        step: The steps that had been done then, int64 [R].
        stale: Judgements since, int64 [R].
        stopped: bool [R].
    """

    best: Tensors
    score: Tensor
    step: Tensor
    stale: Tensor
    stopped: Tensor


def start_stopping(parameters: Tensors, replicas: int, device: torch.device | str) -> Stopping:
    """Return the state before the first judgement."""
    zeros = torch.zeros(replicas, dtype=torch.int64, device=device)
    return Stopping(parameters, torch.full_like(zeros, torch.inf, dtype=torch.float64), zeros, zeros, zeros.bool())


def measure(network: Replicated, validation: Validation, keys: Tensor) -> Metrics:
    """Return loss and metrics of the network as it is, each [R], without gradients."""
    objective = validation.objective
    network.eval()
    with torch.no_grad():
        carry = objective.collect(network, keys, objective.start(network, keys))
        loss, metrics, _ = objective.loss(network, keys, carry, 0)
    network.train()
    measures = {**metrics, "loss": loss}
    if validation.metric not in measures:
        raise ValueError(f"metric must be one of {', '.join(measures)}, not {validation.metric!r}")
    return measures


def judge(stopping: Stopping, parameters: Tensors, score: Tensor, step: Tensor, patience: int) -> Stopping:
    """Compare the score of each replica, [R], with its best; a score that is not a number is never better."""
    better = (score < stopping.score) & ~stopping.stopped
    stale = torch.where(better, 0, stopping.stale + 1)
    return Stopping(
        best=choose(better, parameters, stopping.best),
        score=torch.where(better, score.double(), stopping.score),
        step=torch.where(better, step, stopping.step),
        stale=stale,
        stopped=stopping.stopped | (stale >= patience),
    )


def choose(mask: Tensor, chosen: Tensors, other: Tensors) -> Tensors:
    """Take the replicas of ``chosen`` where ``mask`` [R] holds and those of ``other`` elsewhere."""
    return {
        name: torch.where(mask.reshape(-1, *[1] * (tensor.ndim - 1)), tensor, other[name])
        for name, tensor in chosen.items()
    }
