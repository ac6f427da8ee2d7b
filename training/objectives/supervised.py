"""Supervised learning: the loss of fresh examples."""

from dataclasses import dataclass

from torch import Tensor, nn

from sandtable.simulators.decision_process import Task
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

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"batch must be at least 1, not {self.batch}")

    def loss(self, network: nn.Module, key: Tensor, carry: Carry, update: int) -> tuple[Tensor, Metrics, Carry]:
        """Return the mean loss and the means of the task's metrics, each [R]."""
        examples = self.task.sample(fold_in(row_keys(key, self.batch), 0))
        output = network(examples.input)
        metrics = {name: values.mean(-1) for name, values in self.task.metrics(output, examples).items()}
        return self.task.loss(output, examples).mean(-1), metrics, carry
