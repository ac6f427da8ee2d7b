"""Supervised learning of a fixed set of examples, all of them in every step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from torch import Tensor, nn

from sandtable.simulators.decision_process import Batch, Task
from sandtable.training.objectives.objective import Carry, Metrics, Objective
from sandtable.training.objectives.supervised import by_hand, mean_loss


@dataclass(frozen=True)
class FullBatch(Objective):
    """The mean loss over all examples of a set: gradient descent without noise, or a test set.

    Attributes:
        task: Gives the loss and the metrics.
        examples: What all replicas learn, ``input`` [m, ...] and ``target`` [m, ...], for example ``task.dataset()``;
            or a set of its own for each, [R, m, ...]. Of the precision of the network.
        shared: Whether all replicas have the same examples.
    """

    task: Task
    examples: Batch
    shared: bool = True
    compiles_gradient: ClassVar[bool] = True

    def select(self, replicas: Sequence[int]) -> Self:
        """Return the objective with the examples of some replicas; see ``Objective.select``."""
        if self.shared:
            return self
        x, target = self.examples
        return replace(self, examples=Batch(x[list(replicas)], target[list(replicas)]))

    def loss(self, network: nn.Module, key: Tensor, carry: Carry, update: int) -> tuple[Tensor, Metrics, Carry]:
        """Return the mean loss and the means of the task's metrics, each [R]."""
        examples = self._of_each(len(key))
        return *mean_loss(self.task, network(examples.input), examples), carry

    def gradient(
        self, network: nn.Module, key: Tensor, carry: Carry, update: int
    ) -> tuple[dict[str, Tensor], Tensor, Metrics, Carry] | None:
        """Return the gradient of the mean loss by hand, for networks that have a ``pullback``; see ``Objective``."""
        if not hasattr(network, "pullback"):
            return None
        return *by_hand(self.task, network, self._of_each(len(key))), carry

    def _of_each(self, replicas: int) -> Batch:
        """Return the examples with the axis of replicas."""
        if not self.shared:
            return self.examples
        x, target = self.examples
        return Batch(x.expand(replicas, *x.shape), target.expand(replicas, *target.shape))
