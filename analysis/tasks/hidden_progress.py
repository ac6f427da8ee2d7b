"""Hidden progress: what a network has learned of a parity while its loss and accuracy still stand still.

While the accuracy is that of guessing, the first weights already move, and further on the coordinates of the parity
than on the others: stochastic gradient descent amplifies the Fourier gap of its first gradient, it does not search at
random (arXiv 2207.08799, sections 4 and 5, appendix C.3). So a network remembers its first weights, and an objective
tells how far it has moved from them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sandtable.simulators.tasks.boolean_fourier import hypercube
from sandtable.training.networks import MLP, Replicated
from sandtable.training.objectives import Carry, Metrics, Objective

_START = "start"


def remember_start(network: Replicated) -> None:
    """Keep a network's first weights in it, as a parameter ``start`` that is not trained.

    It is a parameter since those stay with their replicas where some of these are dropped.

    Raises:
        ValueError: The network has no first layer; see ``first_weights``.
    """
    start = first_weights(network).detach().clone()
    network.register_parameter(_START, nn.Parameter(start, requires_grad=False))


def first_weights(network: nn.Module) -> Tensor:
    """Return the weights that read the inputs, [R, n, units], of a perceptron, a neuron or a product network.

    Raises:
        ValueError: It is none of these.
    """
    weight: Any = network.layers[0].weight if isinstance(network, MLP) else getattr(network, "weight", None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"a {type(network).__name__} has no first layer of weights [R, n, units]")
    return weight


@dataclass(frozen=True)
class HiddenProgress(Objective):
    """An objective that also tells how far the first weights have moved from those that the network remembers.

    Its metrics are ``progress``, the paper's rho = ||w_t - w_0||_inf, the largest movement of a weight; and
    ``relevant`` and ``irrelevant``, the mean absolute movements on the coordinates of the parity and on the others.

    Attributes:
        objective: Whose loss and metrics are told too, for example ``Supervised`` of fresh examples, for a validation.
        subset: The coordinates of the parity.
    """

    objective: Objective
    subset: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "updates", self.objective.updates)

    def start(self, network: nn.Module, key: Tensor) -> Carry:
        """Return the first carry of the objective."""
        return self.objective.start(network, key)

    def collect(self, network: nn.Module, key: Tensor, carry: Carry) -> Carry:
        """Gather the experience of the objective."""
        return self.objective.collect(network, key, carry)

    def loss(self, network: nn.Module, key: Tensor, carry: Carry, update: int) -> tuple[Tensor, Metrics, Carry]:
        """Return loss, metrics and carry of the objective, with the movement of the first weights, each [R]."""
        loss, metrics, carry = self.objective.loss(network, key, carry, update)
        return loss, {**metrics, **movement(network, self.subset)}, carry


@torch.no_grad()
def movement(network: nn.Module, subset: Sequence[int]) -> Metrics:
    """Return ``progress``, ``relevant`` and ``irrelevant`` of a network, each [R]; see ``HiddenProgress``.

    Raises:
        ValueError: The network does not remember its start.
    """
    start = getattr(network, _START, None)
    if start is None:
        raise ValueError("the network does not know its first weights: call remember_start before it is trained")
    moved = (first_weights(network) - start).abs()
    counts = torch.zeros(moved.shape[1], dtype=torch.bool, device=moved.device)
    counts[list(subset)] = True
    return {
        "progress": moved.flatten(1).amax(1),
        "relevant": moved[:, counts].mean((1, 2)),
        "irrelevant": moved[:, ~counts].mean((1, 2)),
    }


def gradient_gaps(network: MLP, subset: Sequence[int]) -> Tensor:
    """Return the Fourier gap that each hidden unit's first gradient has, found by enumerating all inputs.

    The gradient of the mean of y f(x) in the weight that unit j has for input i is u_j E[y x_i sigma'(w_j x + b_j)]:
    u_j times a Fourier coefficient of sigma', that of S without i where i is in the parity S, of S with i elsewhere.
    The gap is the least magnitude of the former less the largest of the latter. With weights +-1, an odd number of
    inputs and no bias, sigma' of a ReLU is half of a majority, plus 1/2, and the gap half of ``majority_gap``
    (section 4).

    Args:
        network: With one hidden layer and one output, in float64 for exact numbers; n at most 20 inputs.
        subset: S, distinct coordinates of 0, ..., n - 1.

    Returns:
        [R, units]; of units with u_j = 0 not a number.
    """
    inner, outer = (parameter for name, parameter in network.named_parameters() if name.endswith("weight"))
    x = torch.as_tensor(hypercube(inner.shape[1])).to(inner)
    y = x[:, list(subset)].prod(1)
    output = network(x.expand(network.replicas, *x.shape))[..., 0]
    (gradient,) = torch.autograd.grad((output * y).mean(-1).sum(), inner)
    coefficients = gradient.abs() / outer.detach().mT.abs()  # [R, n, units]
    counts = torch.zeros(inner.shape[1], dtype=torch.bool)
    counts[list(subset)] = True
    gaps: Tensor = coefficients[:, counts].amin(1) - coefficients[:, ~counts].amax(1)
    return gaps
