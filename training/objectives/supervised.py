"""Supervised learning: the loss of fresh examples."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sandtable.simulators.decision_process import Batch, Task
from sandtable.simulators.random import fold_in
from sandtable.training.objectives.objective import Carry, Metrics, Objective, row_keys


@dataclass(frozen=True)
class Supervised(Objective):
    """The mean loss over a batch of examples, new ones in every step.

    The examples, and so the gradients, are those that ``Pathwise`` meets in the same task: row i of a replica is the
    task's episode 0 for the key ``fold_in(key, i)``.

    Attributes:
        task: What is to be learned.
        batch: Examples a step and replica, at least 1.
    """

    task: Task
    batch: int
    compiles_gradient: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"batch must be at least 1, not {self.batch}")

    def loss(self, network: nn.Module, key: Tensor, carry: Carry, update: int) -> tuple[Tensor, Metrics, Carry]:
        """Return the mean loss and the means of the task's metrics, each [R]."""
        examples = self._examples(key)
        return *mean_loss(self.task, network(examples.input), examples), carry

    def gradient(
        self, network: nn.Module, key: Tensor, carry: Carry, update: int
    ) -> tuple[dict[str, Tensor], Tensor, Metrics, Carry] | None:
        """Return the gradient of the mean loss by hand, for networks that have a ``pullback``; see ``Objective``."""
        # an heir with a loss of its own is differentiated
        if not hasattr(network, "pullback") or type(self).loss is not Supervised.loss:
            return None
        examples = self._examples(key)
        return *by_hand(self.task, network, examples), carry

    def _examples(self, key: Tensor) -> Batch:
        return self.task.sample(fold_in(row_keys(key, self.batch), 0))


def mean_loss(task: Task, output: Tensor, examples: Batch) -> tuple[Tensor, Metrics]:
    """Return the mean over the examples of the loss of outputs [R, B, ...] and of the task's metrics, each [R]."""
    metrics = {name: values.mean(-1) for name, values in task.metrics(output, examples).items()}
    return task.loss(output, examples).mean(-1), metrics


def by_hand(task: Task, network: Any, examples: Batch) -> tuple[dict[str, Tensor], Tensor, Metrics]:
    """Return gradient, mean loss and metrics; automatic differentiation is at most for the loss, not for the network.

    Args:
        task: Gives the loss, and its gradient in the output by ``loss_gradient`` if it can.
        network: With ``forward(x, kept)`` and ``pullback(kept, back)``, as ``MLP`` has them.
        examples: ``input`` [R, B, ...] and ``target`` [R, B, ...].
    """
    kept: list[Tensor] = []
    output = network(examples.input, kept)
    if hasattr(task, "loss_gradient"):
        with torch.no_grad():
            loss, metrics = mean_loss(task, output, examples)
            back = task.loss_gradient(output, examples) / output.shape[1]
    else:
        loss, metrics = mean_loss(task, output.requires_grad_(), examples)
        (back,) = torch.autograd.grad(loss.sum(), output)
    return network.pullback(kept, back), loss.detach(), metrics
