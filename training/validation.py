"""Validation, and early stopping of each replica on its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Self

import torch
from torch import Tensor

from sandtable.simulators.arrays import Array
from sandtable.training.networks import Replicated
from sandtable.training.objectives import Metrics, Objective
from sandtable.training.optimizers import Tensors


@dataclass(frozen=True)
class Validation:
    """How networks are judged while they are trained.

    A replica whose score has not improved ``patience`` times in a row, or has reached the ``goal``, is frozen: its
    parameters and moments change no more. When all replicas are frozen the training ends. Each keeps its best
    parameters.

    Attributes:
        objective: Judged without gradients, from a fresh start and on the same key every time.
        every: Steps between two judgements, at least 1; the last step is always judged.
        patience: At least 1; None for as long as it takes.
        metric: ``"loss"`` or a metric of the objective, of which smaller is better; ``"-accuracy"`` for minus a metric,
            here the accuracy, of which more is better.
        key: A seed, or one key a replica, [R].
        goal: The score with which a replica is done; None for none.
        diverged: What becomes of a replica whose loss or parameters are not finite: ``"raise"`` ends the training with
            ``Diverged``; ``"stop"`` freezes it at its best parameters and lets the others go on.
    """

    objective: Objective
    every: int
    patience: int | None = None
    metric: str = "loss"
    key: int | Array = 0x76616C6964617465
    goal: float | None = None
    diverged: Literal["raise", "stop"] = "raise"

    def __post_init__(self) -> None:
        if self.every < 1 or (self.patience is not None and self.patience < 1):
            raise ValueError(f"every and patience must be at least 1, not {self.every} and {self.patience}")
        if self.diverged not in ("raise", "stop"):
            raise ValueError(f"diverged must be 'raise' or 'stop', not {self.diverged!r}")

    def select(self, replicas: Sequence[int]) -> Self:
        """Return the validation of some replicas alone; its key stays that of all."""
        return replace(self, objective=self.objective.select(replicas))


class Stopping(NamedTuple):
    """What early stopping remembers.

    Attributes:
        best: The best parameters so far, each [R, ...].
        score: Their score, float64 [R].
        step: The steps that had been done then, int64 [R].
        stale: Judgements since, int64 [R].
        stopped: bool [R].
        diverged: Which of them stopped because they were not finite, bool [R].
    """

    best: Tensors
    score: Tensor
    step: Tensor
    stale: Tensor
    stopped: Tensor
    diverged: Tensor


def start_stopping(parameters: Tensors, replicas: int, device: torch.device | str) -> Stopping:
    """Return the state before the first judgement."""
    zeros = torch.zeros(replicas, dtype=torch.int64, device=device)
    nobody, worst = zeros.bool(), torch.full_like(zeros, torch.inf, dtype=torch.float64)
    return Stopping(parameters, worst, zeros, zeros, nobody, nobody)


def measure(network: Replicated, validation: Validation, keys: Tensor) -> Metrics:
    """Return loss and metrics of the network as it is, each [R], without gradients."""
    objective = validation.objective
    network.eval()
    with torch.no_grad():
        carry = objective.collect(network, keys, objective.start(network, keys))
        loss, metrics, _ = objective.loss(network, keys, carry, 0)
    network.train()
    measures = {**metrics, "loss": loss}
    if validation.metric.removeprefix("-") not in measures:
        raise ValueError(f"metric must be one of {', '.join(measures)}, or minus one, not {validation.metric!r}")
    return measures


def judge(
    validation: Validation, stopping: Stopping, parameters: Tensors, measures: Metrics, step: Tensor
) -> Stopping:  # fmt: skip
    """Compare the score of each replica with its best; a score that is not a number is never better."""
    named = measures[validation.metric.removeprefix("-")]
    score = -named if validation.metric.startswith("-") else named
    better = (score < stopping.score) & ~stopping.stopped
    stale = torch.where(better, 0, stopping.stale + 1)
    stopped = stopping.stopped
    if validation.patience is not None:
        stopped = stopped | (stale >= validation.patience)
    if validation.goal is not None:
        stopped = stopped | (score <= validation.goal)
    return stopping._replace(
        best=choose(better, parameters, stopping.best),
        score=torch.where(better, score.double(), stopping.score),
        step=torch.where(better, step, stopping.step),
        stale=stale,
        stopped=stopped,
    )


def stop_diverged(stopping: Stopping, parameters: Tensors, replicas: list[int]) -> tuple[Stopping, Tensors]:
    """Freeze replicas that are not finite at their best parameters."""
    diverged = torch.zeros_like(stopping.stopped)
    diverged[replicas] = True
    marked = stopping._replace(stopped=stopping.stopped | diverged, diverged=stopping.diverged | diverged)
    return marked, choose(diverged, stopping.best, parameters)


def choose(mask: Tensor, chosen: Tensors, other: Tensors) -> Tensors:
    """Take the replicas of ``chosen`` where ``mask`` [R] holds and those of ``other`` elsewhere."""
    return {
        name: torch.where(mask.reshape(-1, *[1] * (tensor.ndim - 1)), tensor, other[name])
        for name, tensor in chosen.items()
    }
