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
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from sandtable.simulators.arrays import Array, tree_map
from sandtable.simulators.random import fold_in
from sandtable.training.initialisation import Initialisation, of_replicas
from sandtable.training.keys import replica_keys

LECUN, HE = Initialisation(variance=1.0), Initialisation(variance=2.0)
_ALIGNMENT = 16  # numbers: 64 bytes of float32


class Replicated(nn.Module):
    """A network that knows replicas.

    Every parameter leads with the axis of replicas, also one that is not trained. Buffers are constants that the
    replicas share.

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
        return self.select([replica])

    def select(self, replicas: Sequence[int]) -> Self:
        """Return a copy that holds some replicas alone, in the order that is given.

        Raises:
            ValueError: There are none, or one is not there.
        """
        if not replicas or not all(0 <= replica < self.replicas for replica in replicas):
            raise ValueError(f"replica must lie in [0, {self.replicas}), at least one, not {list(replicas)}")
        taken = copy.deepcopy(self)
        for parameter in taken.parameters():
            parameter.data = parameter.data[list(replicas)]
        for module in taken.modules():
            if isinstance(module, Replicated):
                module.replicas = len(replicas)
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
    more_inputs, more_rows = _padding(rows, inputs, outputs)
    y = torch.baddbmm(bias, _padded(x, more_rows, more_inputs), _padded(weight, more_inputs))
    return y[:, :rows] if more_rows else y


def weight_gradient(x: Tensor, back: Tensor) -> Tensor:
    """Return the gradient of a layer's weights, [R, inputs, outputs].

    Args:
        x: Its input, [R, B, inputs].
        back: The gradient in its output, [R, B, outputs].
    """
    (_, rows, inputs), outputs = x.shape, back.shape[-1]
    if outputs == 1:
        return (x * back).sum(1)[..., None]
    if inputs == 1:
        return (x * back).sum(1, keepdim=True)
    more_inputs, more_rows = _padding(rows, inputs, outputs)
    return torch.bmm(_padded(x, more_rows, more_inputs).mT, _padded(back, more_rows))[:, :inputs]


def input_gradient(weight: Tensor, back: Tensor) -> Tensor:
    """Return the gradient in a layer's input, [R, B, inputs].

    Args:
        weight: Its weights, [R, inputs, outputs].
        back: The gradient in its output, [R, B, outputs].
    """
    rows, (_, inputs, outputs) = back.shape[1], weight.shape
    if outputs == 1:
        return back * weight.mT
    if inputs == 1:
        return (back * weight).sum(-1, keepdim=True)
    more_inputs, more_rows = _padding(rows, inputs, outputs)
    return torch.bmm(_padded(back, more_rows), _padded(weight, more_inputs).mT)[:, :rows, :inputs]


def _padding(rows: int, inputs: int, outputs: int) -> tuple[int, int]:
    """Return how many more inputs and rows let the matrices of each replica fill whole blocks of memory."""
    more_inputs = -inputs % (_ALIGNMENT // math.gcd(_ALIGNMENT, outputs))
    return more_inputs, -rows % (_ALIGNMENT // math.gcd(_ALIGNMENT, inputs + more_inputs, outputs))


def _padded(x: Tensor, more_rows: int, more_columns: int = 0) -> Tensor:
    """Return matrices with rows and columns of zeros added, each where the one before it ends."""
    return functional.pad(x, (0, more_columns, 0, more_rows)) if more_rows or more_columns else x.contiguous()


class ReplicatedLinear(Replicated):
    """An affine map a replica, ``x @ weight + bias``.

    The first weights of replica r come from its own key alone.

    Args:
        replicas: R.
        inputs: Width of the input.
        outputs: Width of the output.
        key: A seed, or one key a replica, [R].
        initialisation: Of the weights and biases; one, or one for each replica.
        bias: Whether there is one.

    Attributes:
        weight: [R, inputs, outputs].
        bias: [R, 1, outputs]; zeros that are not trained, if there is to be none.
    """

    def __init__(
        self,
        replicas: int,
        inputs: int,
        outputs: int,
        key: int | Array,
        initialisation: Initialisation | Sequence[Initialisation] = LECUN,
        bias: bool = True,
    ) -> None:
        super().__init__(replicas)
        if inputs < 1 or outputs < 1:
            raise ValueError(f"inputs and outputs must be at least 1, not {inputs} and {outputs}")
        keys = replica_keys(key, replicas)
        weights, biases = torch.empty(replicas, inputs, outputs), torch.zeros(replicas, 1, outputs)
        for kind, members in of_replicas(initialisation, replicas).items():
            weights[members] = kind.weights(keys[members], inputs, outputs)
            biases[members] = kind.biases(keys[members], inputs, outputs)
        self.weight = nn.Parameter(weights)
        self.bias = nn.Parameter(biases if bias else torch.zeros_like(biases), requires_grad=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map [R, B, inputs] to [R, B, outputs]."""
        return affine(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        """Return the sizes."""
        bias = "" if self.bias.requires_grad else ", bias=False"
        return f"replicas={self.replicas}, inputs={self.weight.shape[1]}, outputs={self.weight.shape[2]}{bias}"


class MLP(Replicated):
    """A multilayer perceptron a replica: affine maps with an activation between them.

    By default hidden layers start with He's initialisation for ReLU and LeCun's for other activations, the last layer
    with LeCun's; biases are zero. With ``widths``, replicas have hidden layers of widths of their own: units beyond a
    replica's width are held at zero, so that it computes, learns and starts as a network of its width would.

    Args:
        replicas: R.
        inputs: Width of the input.
        hidden: Widths of the hidden layers; none makes a linear map.
        outputs: Width of the output.
        key: A seed, or one key a replica, [R].
        activation: ``"relu"``, ``"tanh"``, or ``"power-<k>"``, the k-th power (k at least 2).
        initialisation: Of all layers, if not the default: one, or one for each replica. The last layer is dense also
            where hidden ones start sparse.
        bias: Whether the layers have biases.
        widths: Width of each replica's hidden layers, [R], at most the smallest of ``hidden``.
    """

    def __init__(
        self,
        replicas: int,
        inputs: int,
        hidden: Sequence[int],
        outputs: int,
        key: int | Array,
        activation: str = "relu",
        initialisation: Initialisation | Sequence[Initialisation] | None = None,
        bias: bool = True,
        widths: Sequence[int] | None = None,
    ) -> None:
        super().__init__(replicas)
        self.activation = activation_of(activation)
        keys, sizes = replica_keys(key, replicas), [inputs, *hidden, outputs]
        inner: Any = (HE if activation == "relu" else LECUN) if initialisation is None else initialisation
        each = [inner] * replicas if isinstance(inner, Initialisation) else inner
        dense = [replace(one, nonzero=None) for one in each]
        kinds: list[Any] = [each] * len(hidden) + [[LECUN] * replicas if initialisation is None else dense]
        self.layers = nn.ModuleList(
            ReplicatedLinear(replicas, before, after, fold_in(keys, layer), kind, bias)
            for layer, (before, after, kind) in enumerate(zip(sizes[:-1], sizes[1:], kinds, strict=True))
        )
        self.mask = None if widths is None else self._narrowed(widths, hidden)

    def _narrowed(self, widths: Sequence[int], hidden: Sequence[int]) -> nn.Parameter:
        """Scale first weights to the widths, and return which hidden units there are, [R, 1, width]."""
        if len(widths) != self.replicas or len(set(hidden)) != 1:
            raise ValueError(f"widths must be one for each of {self.replicas} replicas, with hidden layers of one size")
        if not all(1 <= width <= hidden[0] for width in widths):
            raise ValueError(f"widths must lie in [1, {hidden[0]}], not {list(widths)}")
        own = torch.tensor(widths, dtype=torch.float32)[:, None, None]
        for layer in list(self.layers)[1:]:
            for parameter in layer.parameters():
                parameter.data.mul_((hidden[0] / own).sqrt())
        return nn.Parameter((torch.arange(hidden[0]) < own).float(), requires_grad=False)

    def forward(self, x: Tensor, kept: list[Tensor] | None = None) -> Tensor:
        """Map [R, B, inputs] to [R, B, outputs].

        Args:
            x: The input.
            kept: Takes what ``pullback`` needs; the output is then cut from the graph.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and kept is None):
            for layer in self.layers[:-1]:
                before = layer(x)
                after = self.activation.value(before)
                if self.mask is not None:
                    after = after * self.mask
                if kept is not None:
                    kept += [x, before, after]
                x = after
            if kept is not None:
                kept.append(x)
            output: Tensor = self.layers[-1](x)
        return output

    @torch.no_grad()
    def pullback(self, kept: list[Tensor], back: Tensor) -> dict[str, Tensor]:
        """Return the gradients of what is trained, by name, without automatic differentiation.

        Args:
            kept: As ``forward`` filled it.
            back: The gradient in the output, [R, B, outputs].
        """
        found: dict[str, Tensor] = {}
        for number in range(len(self.layers) - 1, -1, -1):
            layer, x = self._layer(number), kept[3 * number]
            found[f"layers.{number}.weight"] = weight_gradient(x, back)
            if layer.bias.requires_grad:
                found[f"layers.{number}.bias"] = back.sum(1, keepdim=True)
            if number:
                _, before, after = kept[3 * number - 3 : 3 * number]
                back = input_gradient(layer.weight, back)
                if self.mask is not None:
                    back = back * self.mask
                back = self.activation.pullback(back, before, after)
        return found

    def _layer(self, number: int) -> ReplicatedLinear:
        layer = self.layers[number]
        assert isinstance(layer, ReplicatedLinear)
        return layer

    def flops(self, x: Tensor, kept: list[Tensor] | None = None) -> tuple[int, int]:
        """Return the operations of a call, and those of its gradient; that of the input only where it has one."""
        products = [2 * x.shape[1] * self._layer(number).weight.numel() for number in range(len(self.layers))]
        return sum(products), 2 * sum(products) - (0 if x.requires_grad else products[0])

    def extra_repr(self) -> str:
        """Return the activation."""
        return f"activation={self.activation.name!r}"


@dataclass(frozen=True)
class Activation:
    """An activation and its derivative.

    Attributes:
        name: Its name.
        value: The function.
        pullback: From the gradient in its value, its argument and its value to the gradient in its argument.
    """

    name: str
    value: Callable[[Tensor], Tensor]
    pullback: Callable[[Tensor, Tensor, Tensor], Tensor]


RELU = Activation("relu", torch.relu, lambda back, before, after: torch.ops.aten.threshold_backward(back, before, 0))
TANH = Activation("tanh", torch.tanh, lambda back, before, after: torch.ops.aten.tanh_backward(back, after))


def power(exponent: int) -> Activation:
    """Return the activation ``z ** exponent``."""
    return Activation(
        f"power-{exponent}",
        lambda z: _power(z, exponent),
        lambda back, before, after: back * (exponent * _power(before, exponent - 1)),
    )


def _power(z: Tensor, exponent: int) -> Tensor:
    """Return a whole power by repeated squaring, which is ten times faster than the general power from 4 on."""
    if exponent == 1:
        return z
    half = _power(z, exponent // 2)
    return half * half * z if exponent % 2 else half * half


def activation_of(name: str) -> Activation:
    """Return the activation of a name, see ``MLP``.

    Raises:
        ValueError: There is none of that name.
    """
    exponent = re.fullmatch(r"power-([2-9]|[1-9][0-9])", name)
    named = {one.name: one for one in (RELU, TANH)}
    if exponent is None and name not in named:
        raise ValueError(f"activation must be one of {', '.join(named)} and power-<k>, not {name!r}")
    return power(int(exponent[1])) if exponent else named[name]


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
