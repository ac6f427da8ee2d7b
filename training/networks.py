"""Networks of R replicas that are trained side by side: parameters [R, ...], from [R, B, ...] to [R, B, ...].

A matrix product of all replicas is one ``baddbmm``. On one CPU thread the bits of a replica do not depend on how many
others are trained with it. Two things would break that, and are avoided here: with one replica and a width of one,
``bmm`` takes another kernel, so such a layer is a product and a sum; and the kernels of matrix products choose their
paths by the position of a matrix in memory, so matrices start at multiples of 64 bytes (sizes that are multiples of 16
need no padding). Activations are those whose vectorised kernels agree with their scalar ones at every position: ReLU
and tanh, but not sigmoid, softplus or ELU.
"""

import copy
import math
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from sandtable.simulators.arrays import Array, tree_map
from sandtable.simulators.random import fold_in, uniform
from sandtable.training.keys import replica_keys

_WEIGHTS = 0x776569676874  # the stream of initial weights
_ALIGNMENT = 16  # numbers: 64 bytes of float32
_ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}
_GAINS = {"relu": 2.0, "tanh": 1.0}


class Replicated(nn.Module):
    """A network that knows replicas.

    Every parameter leads with the axis of replicas. Buffers are constants that the replicas share.

    Attributes:
        replicas: R, at least 1.
    """

    def __init__(self, replicas: int) -> None:
        if replicas < 1:
            raise ValueError(f"replicas must be at least 1, not {replicas}")
        super().__init__()
        self.replicas = replicas

    def take(self, replica: int) -> Self:
        """Return a copy that holds one replica alone, R = 1.

        Raises:
            ValueError: There is no such replica.
        """
        if not 0 <= replica < self.replicas:
            raise ValueError(f"replica must lie in [0, {self.replicas}), not {replica}")
        taken = copy.deepcopy(self)
        for parameter in taken.parameters():
            parameter.data = parameter.data[replica : replica + 1].clone()
        for module in taken.modules():
            if isinstance(module, Replicated):
                module.replicas = 1
        return taken


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return ``x @ weight + bias`` of each replica, whose bits do not depend on the other replicas.

    Args:
        x: [R, B, inputs].
        weight: [R, inputs, outputs]; each replica's starts at a multiple of 64 bytes if its size is one.
        bias: [R, 1, outputs].

    Returns:
        [R, B, outputs].
    """
    rows, (_, inputs, outputs) = x.shape[1], weight.shape
    if outputs == 1:
        return (x * weight.transpose(1, 2)).sum(-1, keepdim=True) + bias
    if inputs == 1:
        return x * weight + bias
    # zeros until the matrices of each replica, of weights, inputs and outputs, fill whole blocks of memory
    more_inputs = -inputs % (_ALIGNMENT // math.gcd(_ALIGNMENT, outputs))
    more_rows = -rows % (_ALIGNMENT // math.gcd(_ALIGNMENT, inputs + more_inputs, outputs))
    weight = functional.pad(weight, (0, 0, 0, more_inputs)) if more_inputs else weight
    x = functional.pad(x, (0, more_inputs, 0, more_rows)) if more_inputs or more_rows else x.contiguous()
    y = torch.baddbmm(bias, x, weight)
    return y[:, :rows] if more_rows else y


class ReplicatedLinear(Replicated):
    """An affine map a replica, ``x @ weight + bias``.

    Weights are uniform on ``+-sqrt(3 gain / inputs)``, so their variance is ``gain / inputs``: gain 1 is LeCun's
    initialisation (Efficient BackProp, 1998), gain 2 that of He et al. (arXiv 1502.01852). Biases are zero. The weights
    of replica r come from its own key alone.

    Attributes:
        weight: [R, inputs, outputs].
        bias: [R, 1, outputs].
    """

    def __init__(self, replicas: int, inputs: int, outputs: int, key: int | Array, gain: float = 1.0) -> None:
        super().__init__(replicas)
        if inputs < 1 or outputs < 1:
            raise ValueError(f"inputs and outputs must be at least 1, not {inputs} and {outputs}")
        keys = fold_in(replica_keys(key, replicas), _WEIGHTS)
        draws = uniform(keys[:, None], torch.arange(inputs * outputs)).reshape(replicas, inputs, outputs)
        self.weight = nn.Parameter(((2 * draws - 1) * math.sqrt(3 * gain / inputs)).float())
        self.bias = nn.Parameter(torch.zeros(replicas, 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map [R, B, inputs] to [R, B, outputs]."""
        return affine(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"replicas={self.replicas}, inputs={self.weight.shape[1]}, outputs={self.weight.shape[2]}"


class MLP(Replicated):
    """A multilayer perceptron a replica: affine maps with an activation between them.

    Hidden layers start with He's initialisation for ReLU and LeCun's for tanh; the last layer with LeCun's.

    Args:
        replicas: R.
        inputs: Width of the input.
        hidden: Widths of the hidden layers; none makes a linear map.
        outputs: Width of the output.
        key: A seed, or one key a replica, [R].
        activation: ``"relu"`` or ``"tanh"``.
    """

    def __init__(
        self,
        replicas: int,
        inputs: int,
        hidden: Sequence[int],
        outputs: int,
        key: int | Array,
        activation: str = "relu",
    ) -> None:
        super().__init__(replicas)
        if activation not in _ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(_ACTIVATIONS)}, not {activation!r}")
        self.activation = activation
        keys = replica_keys(key, replicas)
        widths = [inputs, *hidden, outputs]
        gains = [_GAINS[activation]] * len(hidden) + [1.0]
        self.layers = nn.ModuleList(
            ReplicatedLinear(replicas, before, after, fold_in(keys, layer), gain)
            for layer, (before, after, gain) in enumerate(zip(widths[:-1], widths[1:], gains, strict=True))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map [R, B, inputs] to [R, B, outputs]."""
        *hidden, head = self.layers
        for layer in hidden:
            x = _ACTIVATIONS[self.activation](layer(x))
        output: Tensor = head(x)
        return output

    def extra_repr(self) -> str:
        """Return the activation."""
        return f"activation={self.activation!r}"


class Single(Replicated):
    """Any module, as a network of one replica.

    The module becomes part of this network: its parameters get the axis of replicas, [1, ...], and it is called without
    it. What it takes and returns may be arrays, or dicts and tuples of arrays.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__(replicas=1)
        self.module = module
        for parameter in module.parameters():
            parameter.data = parameter.data[None]

    def forward(self, *inputs: Any) -> Any:
        """Map [1, B, ...] to [1, B, ...]."""
        parameters = {name: parameter[0] for name, parameter in self.module.named_parameters()}
        inputs = tree_map(lambda array: array[0], inputs)
        return tree_map(lambda array: array[None], torch.func.functional_call(self.module, parameters, inputs))
