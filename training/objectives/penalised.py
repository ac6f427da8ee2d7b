"""An objective with a penalty on the network's parameters added to its loss."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from sandtable.training.objectives.objective import Carry, Metrics, Objective
from sandtable.training.optimizers import Setting


@dataclass(frozen=True)
class Penalised(Objective):
    """``loss + weight * penalty(network)``; the metrics tell both: ``data_loss`` and ``penalty``.

    Attributes:
        objective: What is penalised.
        penalty: From a network to the penalty of each replica, [R], for example ``NeuronNorm(3)``.
        weight: One number, or one for each replica, at least 0.
    """

    objective: Objective
    penalty: Callable[[nn.Module], Tensor]
    weight: Setting

    def __post_init__(self) -> None:
        object.__setattr__(self, "updates", self.objective.updates)

    def select(self, replicas: Sequence[int]) -> Self:
        """Return the objective with the weights of some replicas; see ``Objective.select``."""
        weight = torch.as_tensor(self.weight, dtype=torch.float64)
        chosen = weight[list(replicas)] if weight.ndim else self.weight
        return replace(self, objective=self.objective.select(replicas), weight=chosen)

    def start(self, network: nn.Module, key: Tensor) -> Carry:
        """Return the first carry of the objective."""
        return self.objective.start(network, key)

    def collect(self, network: nn.Module, key: Tensor, carry: Carry) -> Carry:
        """Gather the experience of the objective."""
        return self.objective.collect(network, key, carry)

    def loss(self, network: nn.Module, key: Tensor, carry: Carry, update: int) -> tuple[Tensor, Metrics, Carry]:
        """Return the penalised loss and its metrics, each [R], and the objective's carry."""
        loss, metrics, carry = self.objective.loss(network, key, carry, update)
        penalty = self.penalty(network)
        return loss + self._weight(loss) * penalty, {**metrics, "data_loss": loss, "penalty": penalty}, carry

    def gradient(
        self, network: nn.Module, key: Tensor, carry: Carry, update: int
    ) -> tuple[dict[str, Tensor], Tensor, Metrics, Carry] | None:
        """Return the objective's gradient by hand, if it has one, with that of the penalty; see ``Objective``."""
        found = self.objective.gradient(network, key, carry, update)
        if found is None:
            return None
        gradients, loss, metrics, carry = found
        with torch.enable_grad():
            penalty = self.penalty(network)
            weighed = self._weight(loss) * penalty
            trained = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
            of_penalty = torch.autograd.grad(weighed.sum(), list(trained.values()), materialize_grads=True)
        gradients = {name: gradients[name] + more for name, more in zip(trained, of_penalty, strict=True)}
        metrics = {**metrics, "data_loss": loss, "penalty": penalty.detach()}
        return gradients, loss + weighed.detach(), metrics, carry

    def _weight(self, loss: Tensor) -> Tensor:
        return torch.as_tensor(self.weight, dtype=loss.dtype, device=loss.device)


@dataclass(frozen=True)
class NeuronNorm:
    """The power ``order`` of the L_{2, order} norm of networks with one hidden layer (arXiv 2311.07568, section 2).

    It is ``sum_i ||omega_i||_2 ** order`` over the hidden units i, where omega_i holds all weights into the unit and
    all out of it.

    Attributes:
        order: At least 1.
    """

    order: float

    def __post_init__(self) -> None:
        if not self.order >= 1:
            raise ValueError(f"order must be at least 1, not {self.order}")

    def __call__(self, network: nn.Module) -> Tensor:
        """Return the sum of each replica, [R], of an ``MLP`` with one hidden layer."""
        inner, outer = network.layers  # type: ignore[misc]
        squares = inner.weight.square().sum(1) + outer.weight.square().sum(2)
        if self.order == 2:
            return squares.sum(-1)
        # a unit whose weights are all 0 has the gradient 0, not one that is not a number
        alive = squares > 0
        return torch.where(alive, torch.where(alive, squares, 1) ** (self.order / 2), 0).sum(-1)
