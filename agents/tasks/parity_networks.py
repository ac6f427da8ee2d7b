"""The architectures with which sparse parities are learned (Barak et al., arXiv 2207.08799, section 3.1)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sandtable.simulators.arrays import Array
from sandtable.simulators.errors import InputError, require_name
from sandtable.simulators.random import fold_in, normal
from sandtable.training.initialisation import PYTORCH, Initialisation, of_replicas
from sandtable.training.keys import replica_keys
from sandtable.training.networks import MLP, Replicated, affine
from sandtable.training.stacked import Stacked

Kinds = Initialisation | Sequence[Initialisation]


def zigzag(z: Tensor, k: int) -> Tensor:
    """Return the piecewise linear function through (k - 2 j, (-1)^j), j = 0 .. k, which goes on straight beyond."""
    inner = infinite_zigzag(z.clamp(-k, k), k)
    return inner + (z - k).clamp_min(0) - (-1) ** k * (z + k).clamp_max(0)


def infinite_zigzag(z: Tensor, k: int) -> Tensor:
    """Return the triangle wave through (k - 2 j, (-1)^j) for all whole j."""
    phase = torch.remainder(k - z, 4)  # 0 at the top, 2 at the bottom
    return (phase - 2).abs() - 1


def sinusoid(z: Tensor, k: int) -> Tensor:
    """Return ``cos(pi (k - z) / 2)``, which goes through (k - 2 j, (-1)^j) for all whole j."""
    return torch.cos(math.pi / 2 * (k - z))


def oscillating_polynomial(z: Tensor, k: int) -> Tensor:
    """Return the polynomial of degree k through (k - 2 j, (-1)^j), j = 0 .. k, in Newton's form."""
    # divided differences at equal distances of -2 of values that alternate: (-2)^i / (i! (-2)^i) = 1 / i!
    value, product = torch.ones_like(z), torch.ones_like(z)
    for i in range(1, k + 1):
        product = product * (z - (k - 2 * (i - 1))) / i
        value = value + product
    return value


NEURONS: dict[str, Callable[..., Tensor]] = {
    "zigzag": zigzag,
    "polynomial": oscillating_polynomial,
    "infinite-zigzag": infinite_zigzag,
    "sinusoid": sinusoid,
}
"""Activations of one neuron that computes a parity of k bits, where its weights are 1 on them and 0 elsewhere."""


class SingleNeuron(Replicated):
    """One neuron, ``f(x) = u sigma(w x + b)``, whose activation sigma oscillates.

    Args:
        replicas: R.
        inputs: n.
        activation: A name in ``NEURONS``.
        k: The size of the subset for which the activation is made.
        key: A seed, or one key a replica, [R].
        initialisation: Of w and b; u starts at 1.
        trained_output: Whether u is trained; else it stays at 1.

    Attributes:
        weight: w, [R, n, 1].
        bias: b, [R, 1, 1].
        output: u, [R, 1, 1].
    """

    def __init__(
        self,
        replicas: int,
        inputs: int,
        activation: str,
        k: int,
        key: int | Array,
        initialisation: Kinds = PYTORCH,
        trained_output: bool = True,
    ) -> None:
        super().__init__(replicas)
        require_name("activation", activation, tuple(NEURONS))
        self.name, self.k, self.activation = activation, k, partial(NEURONS[activation], k=k)
        keys = replica_keys(key, replicas)
        weight, bias = torch.empty(replicas, inputs, 1), torch.empty(replicas, 1, 1)
        for kind, members in of_replicas(initialisation, replicas).items():
            weight[members] = kind.weights(keys[members], inputs, 1)
            bias[members] = kind.biases(keys[members], inputs, 1)
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.output = nn.Parameter(torch.ones(replicas, 1, 1), requires_grad=trained_output)

    def forward(self, x: Tensor) -> Tensor:
        """Map [R, B, n] to [R, B, 1]."""
        return self.output * self.activation(affine(x, self.weight, self.bias))

    def flops(self, x: Tensor) -> tuple[int, int]:
        """Return the operations of a call, and those of its gradient; that of the input only where it has one."""
        products = 2 * x.numel()
        return products, products * (1 + x.requires_grad)

    def extra_repr(self) -> str:
        """Return what the neuron is made for."""
        return f"activation={self.name!r}, k={self.k}, inputs={self.weight.shape[1]}"


class ProductNetwork(Replicated):
    """PolyNet: a product of k linear forms, ``f(x) = prod_i w_i x``.

    Args:
        replicas: R.
        inputs: n.
        k: Factors, at least 1.
        key: A seed, or one key a replica, [R].
        initialisation: Of the weights; there are no biases.
        disjoint: Let factor i see the i-th of k equal blocks of the inputs alone (the paper's appendix B.3).

    Attributes:
        weight: [R, n, k].
        blocks: Which inputs each factor sees, 0 or 1, [n, k].

    Raises:
        InputError: The inputs do not make k equal blocks.
    """

    blocks: Tensor

    def __init__(
        self,
        replicas: int,
        inputs: int,
        k: int,
        key: int | Array,
        initialisation: Kinds = PYTORCH,
        disjoint: bool = False,
    ) -> None:
        super().__init__(replicas)
        if disjoint and inputs % k:
            raise InputError(f"disjoint: {inputs} inputs do not make {k} equal blocks; let k divide n")
        keys, weight = replica_keys(key, replicas), torch.empty(replicas, inputs, k)
        for kind, members in of_replicas(initialisation, replicas).items():
            weight[members] = kind.weights(keys[members], inputs, k)
        blocks = torch.eye(k).repeat_interleave(inputs // k, 0) if disjoint else torch.ones(inputs, k)
        self.register_buffer("blocks", blocks)
        self.weight = nn.Parameter(weight * blocks)
        self.disjoint = disjoint

    def forward(self, x: Tensor) -> Tensor:
        """Map [R, B, n] to [R, B, 1]."""
        forms = affine(x, self.weight * self.blocks, self.weight.new_zeros(self.replicas, 1, self.weight.shape[2]))
        return forms.prod(-1, keepdim=True)

    def flops(self, x: Tensor) -> tuple[int, int]:
        """Return the operations of a call, and those of its gradient; that of the input only where it has one."""
        products = 2 * x.shape[1] * self.weight.numel()
        return products, products * (1 + x.requires_grad)

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"inputs={self.weight.shape[1]}, factors={self.weight.shape[2]}, disjoint={self.disjoint}"


class ParityTransformer(nn.Module):
    """One layer of attention over the n bits, read at a token of its own; of one replica, see ``transformer``.

    Each bit is a token: an embedding of its sign plus one of its position. A further token attends to all of them with
    ``heads`` heads; a linear map of what it gathers, added to it, gives the output through a layer of ReLU.

    Args:
        inputs: n.
        width: Of the embeddings.
        heads: Attention heads.
        head_width: Of queries, keys and values of each head.
    """

    def __init__(self, inputs: int, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads, self.head_width = heads, head_width
        self.sign = nn.Parameter(torch.empty(width))
        self.position = nn.Parameter(torch.empty(inputs, width))
        self.reader = nn.Parameter(torch.empty(width))
        inner = heads * head_width
        self.query, self.key, self.value = (nn.Linear(width, inner, bias=False) for _ in range(3))
        self.gather, self.hidden, self.head = nn.Linear(inner, width), nn.Linear(width, width), nn.Linear(width, 1)

    def start(self, key: Tensor) -> None:
        """Draw first parameters from a key, []: normal, of the variance of PyTorch's linear layers; biases are 0."""
        for number, (name, parameter) in enumerate(self.named_parameters()):
            draws: Any = normal(fold_in(key, number)[None], torch.arange(parameter.numel()))
            scale = 0.0 if name.endswith("bias") else (3 * parameter.shape[-1]) ** -0.5
            parameter.data = (draws * scale).float().reshape(parameter.shape)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, n] to [B, 1]."""
        tokens = x[..., None] * self.sign + self.position  # [B, n, width]
        query = self.query(self.reader).unflatten(-1, (self.heads, self.head_width))
        keys, values = (layer(tokens).unflatten(-1, (self.heads, self.head_width)) for layer in (self.key, self.value))
        scores = (keys * query).sum(-1) / math.sqrt(self.head_width)  # [B, n, heads]
        gathered = (torch.softmax(scores, 1)[..., None] * values).sum(1).flatten(1)
        seen = self.reader + self.gather(gathered)
        output: Tensor = self.head(seen + torch.relu(self.hidden(seen)))
        return output

    def flops(self, x: Tensor) -> tuple[int, int]:
        """Return the operations of a call and of its gradient: the maps of tokens, and what follows at the reader."""
        rows, tokens = x.shape
        width, inner = self.sign.numel(), self.heads * self.head_width
        maps = 2 * (2 * rows * tokens * width * inner + width * inner)
        rest = 2 * rows * (2 * tokens * inner + inner * width + width * width + width)
        return maps + rest, 2 * (maps + rest)


def transformer(
    replicas: int, inputs: int, key: int | Array, width: int = 64, heads: int = 8, head_width: int = 8
) -> Stacked:
    """Return Transformers as a network of R replicas, each started from its own key.

    The paper's has width 1024 and 128 heads of width 8 (appendix D.1.7).
    """
    keys, modules = replica_keys(key, replicas), []
    for own in keys:
        module = ParityTransformer(inputs, width, heads, head_width)
        module.start(own)
        modules.append(module)
    return Stacked(modules)


@dataclass(frozen=True)
class Architecture:
    """One of the paper's architectures.

    Attributes:
        name: The paper's number, for example ``"ii"``.
        title: What it is.
        make: From (replicas, n, k, key, initialisation) to the network.
    """

    name: str
    title: str
    make: Callable[[int, int, int, int | Array, Kinds], Replicated]


def _perceptron(width: int, activation: str | None) -> Callable[..., Replicated]:
    def make(replicas: int, n: int, k: int, key: int | Array, initialisation: Kinds) -> Replicated:
        name = activation or f"power-{k}"
        return MLP(replicas, n, [width or k], 1, key, activation=name, initialisation=initialisation)

    return make


def _neuron(activation: str, trained_output: bool) -> Callable[..., Replicated]:
    def make(replicas: int, n: int, k: int, key: int | Array, initialisation: Kinds) -> Replicated:
        return SingleNeuron(replicas, n, activation, k, key, initialisation, trained_output)

    return make


def _product(replicas: int, n: int, k: int, key: int | Array, initialisation: Kinds) -> Replicated:
    return ProductNetwork(replicas, n, k, key, initialisation)


def _transformer(replicas: int, n: int, k: int, key: int | Array, initialisation: Kinds) -> Replicated:
    return transformer(replicas, n, key)


ARCHITECTURES = {
    one.name: one
    for one in (
        Architecture("i", "ReLU perceptron, width 10", _perceptron(10, "relu")),
        Architecture("ii", "ReLU perceptron, width 100", _perceptron(100, "relu")),
        Architecture("iii", "ReLU perceptron, width 1000", _perceptron(1000, "relu")),
        Architecture("iv", "perceptron of k-th powers, width 10", _perceptron(10, None)),
        Architecture("v", "perceptron of k-th powers, width 100", _perceptron(100, None)),
        Architecture("vi", "perceptron of k-th powers, width 1000", _perceptron(1000, None)),
        Architecture("vii", "neuron, k-zigzag", _neuron("zigzag", True)),
        Architecture("viii", "neuron, oscillating polynomial", _neuron("polynomial", True)),
        Architecture("ix", "neuron, infinite zigzag", _neuron("infinite-zigzag", True)),
        Architecture("x", "neuron, sinusoid", _neuron("sinusoid", True)),
        Architecture("xi", "neuron, k-zigzag, output fixed", _neuron("zigzag", False)),
        Architecture("xii", "neuron, oscillating polynomial, output fixed", _neuron("polynomial", False)),
        Architecture("xiii", "neuron, infinite zigzag, output fixed", _neuron("infinite-zigzag", False)),
        Architecture("xiv", "neuron, sinusoid, output fixed", _neuron("sinusoid", False)),
        Architecture("xv", "PolyNet: a product of k linear forms", _product),
        Architecture("*i", "ReLU perceptron, width k", _perceptron(0, "relu")),
        Architecture("*ii", "perceptron of k-th powers, width k", _perceptron(0, None)),
        Architecture("*iii", "Transformer", _transformer),
    )
}
"""The paper's architectures by its numbers; the Transformer at a width that a processor trains."""
