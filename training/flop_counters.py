"""Operations and parameters of layers before anything is built: formulas for the tables of a scaling study.

A multiplication and an addition count two, and only matrix products and convolutions count, as in ``training.flops``
(which counts what a network has run). Every counter gives one sample (one token, frame or image), the gradient of the
weights and that of the input apart, because the first layer of a network needs no gradient of its input.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

CONVENTIONS = ("counted", "6ND", "6ND-non-embedding")


@dataclass(frozen=True)
class LayerCount:
    """The operations of a layer for one sample, and its parameters.

    Attributes:
        forward: Operations of the forward pass.
        weight_gradient: Operations of the gradient of its weights.
        input_gradient: Operations of the gradient of its input.
        parameters: All of its parameters, biases too.
        embedding: Those of them that stand in look-up tables.
    """

    forward: int = 0
    weight_gradient: int = 0
    input_gradient: int = 0
    parameters: int = 0
    embedding: int = 0

    def backward(self, input_gradient: bool = True) -> int:
        """Return the operations of the backward pass, with or without the gradient of the input."""
        return self.weight_gradient + (self.input_gradient if input_gradient else 0)

    def training(self, input_gradient: bool = True) -> int:
        """Return the operations of both passes."""
        return self.forward + self.backward(input_gradient)

    def times(self, count: int) -> "LayerCount":
        """Return the operations of applying the same layer ``count`` times to a sample; its parameters stay."""
        scaled = (self.forward * count, self.weight_gradient * count, self.input_gradient * count)
        return LayerCount(*scaled, self.parameters, self.embedding)

    def __add__(self, other: "LayerCount") -> "LayerCount":
        return LayerCount(
            self.forward + other.forward,
            self.weight_gradient + other.weight_gradient,
            self.input_gradient + other.input_gradient,
            self.parameters + other.parameters,
            self.embedding + other.embedding,
        )


def dense(inputs: int, outputs: int, bias: bool = True) -> LayerCount:
    """Count a dense layer for one vector."""
    product = 2 * inputs * outputs
    return LayerCount(product, product, product, inputs * outputs + bias * outputs)


def convolution_output(size: Sequence[int], kernel: int, stride: int = 1, padding: int = 0) -> tuple[int, ...]:
    """Return the spatial size of a convolution's output, without dilation.

    Raises:
        ValueError: The kernel is larger than the padded input.
    """
    output = tuple((side + 2 * padding - kernel) // stride + 1 for side in size)
    if min(output) < 1:
        raise ValueError(f"kernel must fit into the padded input {tuple(size)}, not {kernel}")
    return output


def convolution(
    inputs: int,
    outputs: int,
    kernel: int,
    size: Sequence[int],
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
    bias: bool = True,
) -> LayerCount:
    """Count a convolution for one image (or row, or volume): each place of the *output* takes one product.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        kernel: Side of the kernel, equal in every direction.
        size: Spatial size of the input, one number a direction.
        stride: In every direction.
        padding: On every side.
        groups: Into which the channels are split.
        bias: Whether there is one.
    """
    if inputs % groups or outputs % groups:
        raise ValueError(f"groups must divide {inputs} and {outputs} channels, not {groups}")
    weights = outputs * (inputs // groups) * kernel ** len(size)
    product = 2 * weights * prod(convolution_output(size, kernel, stride, padding))
    return LayerCount(product, product, product, weights + bias * outputs)


GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def recurrent(cell: str, inputs: int, hidden: int, bias: bool = True) -> LayerCount:
    """Count one step of a recurrent cell for one sequence; ``input_gradient`` is that of its input and memory.

    Args:
        cell: ``"rnn"``, ``"gru"`` or ``"lstm"``, with the two biases a gate that torch has.
        inputs: Size of the input.
        hidden: Size of the memory.
        bias: Whether there are biases.
    """
    if cell not in GATES:
        raise ValueError(f"cell must be one of {', '.join(GATES)}, not {cell!r}")
    weights = GATES[cell] * hidden * (inputs + hidden)
    return LayerCount(2 * weights, 2 * weights, 2 * weights, weights + bias * 2 * GATES[cell] * hidden)


def attention_scores(tokens: int, heads: int, head_width: int, keys: int | None = None) -> LayerCount:
    """Count softmax(q k^T) v of a whole sequence: two products forward, four backward.

    A causal mask is counted full, as most papers do and as a kernel without skipping computes; one that skips needs
    about half.

    Args:
        tokens: Queries.
        heads: Of the queries (keys and values that heads share change nothing here).
        head_width: Width of a head.
        keys: How many there are; None for as many as queries.
    """
    product = 2 * tokens * (tokens if keys is None else keys) * heads * head_width
    return LayerCount(2 * product, 0, 4 * product)


def attention(width: int, tokens: int, heads: int, bias: bool = True) -> LayerCount:
    """Count a layer of self-attention of a whole sequence: four projections of every token, and the scores."""
    if width % heads:
        raise ValueError(f"heads must divide the width {width}, not {heads}")
    projections = [dense(width, width, bias).times(tokens) for _ in range(4)]
    return total([*projections, attention_scores(tokens, heads, width // heads)])


def embedding(entries: int, width: int) -> LayerCount:
    """Count a table of vectors: looking one up is no product, so there are parameters and no operations."""
    return LayerCount(parameters=entries * width, embedding=entries * width)


def normalisation(width: int, bias: bool = True) -> LayerCount:
    """Count a layer norm: its parameters; its operations are element-wise and are not counted."""
    return LayerCount(parameters=width * (1 + bias))


def total(layers: Iterable[LayerCount]) -> LayerCount:
    """Return the sum of layers."""
    return sum(layers, LayerCount())


def training_flops(layers: Sequence[LayerCount], data: float, convention: str = "counted") -> float:
    """Return the operations of training on ``data`` samples, by a named convention.

    Args:
        layers: In order, each for one sample; the first needs no gradient of its input.
        data: Samples seen, D.
        convention: ``"counted"``: forward and backward as counted. ``"6ND"``: six for each parameter and sample
            (arXiv 2001.08361, 2.1, and 2203.15556, with all parameters). ``"6ND-non-embedding"``: the same without
            look-up tables.
    """
    count = total(layers)
    if convention == "6ND":
        return 6.0 * count.parameters * data
    if convention == "6ND-non-embedding":
        return 6.0 * (count.parameters - count.embedding) * data
    if convention != "counted":
        raise ValueError(f"convention must be one of {', '.join(CONVENTIONS)}, not {convention!r}")
    trained = [index for index, layer in enumerate(layers) if layer.weight_gradient or layer.embedding]
    first = trained[0] if trained else len(layers)
    return float(data * sum(layer.training(input_gradient=index > first) for index, layer in enumerate(layers)))
