"""The normalised margin of a network, over all inputs of an algebraic task (arXiv 2311.07568, section 2).

The margin of an input is the right logit less the largest wrong one; that of a network is the least over all inputs. It
grows with the parameters: a network that is homogeneous of degree nu in them is normalised by L_{2,nu}^nu =
sum_i |omega_i|_2^nu, where omega_i has all weights of neuron i. Other norms, or one of each matrix, give other numbers.

All in float64, for numpy arrays and torch tensors, on their own device and without gradients; a leading axis of
replicas, or several, are kept. Inputs come in pieces that fit into a given memory.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from array_api_compat import is_torch_array

from sandtable.simulators.arrays import Array, like, namespace
from sandtable.simulators.tasks.boolean_fourier import hypercube
from sandtable.simulators.tasks.groups import FiniteGroup

MEMORY = 2**28  # bytes of activations at once
Logits = Callable[[list[Array], int, int], tuple[Array, Array]]


class Margin(NamedTuple):
    """The margin of each replica; NaN where its parameters or logits are not finite, or all weights zero.

    Attributes:
        normalised: ``least / norm^nu``, float64 [...]; positive exactly where every input is told right.
        least: The least margin of all inputs, float64 [...].
        norm: L_{2,nu} of the parameters, float64 [...].
    """

    normalised: np.ndarray
    least: np.ndarray
    norm: np.ndarray


def group_network_margin(u: Array, v: Array, w: Array, group: FiniteGroup, memory: int = MEMORY) -> Margin:
    """Return the margin of f(a, b) = sum_i (u_i[a] + v_i[b])^2 w_i over all pairs of a group of G elements; nu = 3.

    Args:
        u: Of the left element, [..., m, G]; numpy or torch.
        v: Of the right element, [..., m, G].
        w: Of the logits, [..., m, G].
        group: Whose product is the right label.
        memory: Bytes that the activations of one piece may take.

    Raises:
        ValueError: The shapes do not fit each other or the group.
    """
    _check_shapes({"u": u, "v": v, "w": w}, {"u": group.order, "v": group.order, "w": group.order})

    def logits(parameters: list[Array], start: int, stop: int) -> tuple[Array, Array]:
        u, v, w = parameters
        xp = namespace(u)
        hidden = (u[..., start:stop, None] + v[..., None, :]) ** 2  # [R, m, a, b]
        hidden = xp.reshape(hidden, (*hidden.shape[:-2], -1))
        return xp.matmul(xp.matrix_transpose(hidden), w), like(u, group.table[start:stop].flatten())

    return _margin(logits, [u, v, w], 3, group.order, group.order, memory)


def parity_network_margin(u: Array, w: Array, subset: Sequence[int], memory: int = MEMORY) -> Margin:
    """Return the margin of f(x) = sum_i (u_i . x)^k w_i over all x in {-1, 1}^n, for a parity of k bits; nu = k + 1.

    Args:
        u: Of the input, [..., m, n]; numpy or torch.
        w: Of the logits of target 0 (the product is 1) and target 1, [..., m, 2].
        subset: The k bits of the parity, which also give the power.
        memory: Bytes that the activations of one piece may take.

    Raises:
        ValueError: The shapes do not fit each other or the subset.
        InputError: There are too many bits to enumerate.
    """
    _check_shapes({"u": u, "w": w}, {"w": 2})
    n, k = u.shape[-1], len(subset)
    if not k or len(set(subset)) != k or not all(0 <= i < n for i in subset):
        raise ValueError(f"subset must be distinct bits of 0, ..., {n - 1}, not {tuple(subset)}")
    inputs = hypercube(n)
    target = (inputs[:, list(subset)].prod(1) < 0).astype(np.int64)

    def logits(parameters: list[Array], start: int, stop: int) -> tuple[Array, Array]:
        u, w = parameters
        xp = namespace(u)
        rows = like(u, inputs[start:stop])
        return xp.matmul(xp.matmul(rows, xp.matrix_transpose(u)) ** k, w), like(u, target[start:stop])

    return _margin(logits, [u, w], k + 1, len(inputs), 1, memory)


def runner_up_difference(logits: Array, target: Array) -> Array:
    """Return the right logit less the largest wrong one, [..., N].

    Args:
        logits: [..., N, C], C at least 2.
        target: The right class, integers [N].
    """
    xp = namespace(logits)
    right = target[:, None] == xp.arange(logits.shape[-1], device=logits.device)  # [N, C]
    return xp.sum(xp.where(right, logits, 0.0), axis=-1) - xp.max(xp.where(right, -np.inf, logits), axis=-1)


def _margin(logits: Logits, parameters: list[Array], degree: int, rows: int, inputs: int, memory: int) -> Margin:
    """Return the margin of networks.

    Args:
        logits: Maps parameters [R, m, ...] and two bounds of rows to logits [R, N, C] and targets [N].
        parameters: Of each matrix of the network, [..., m, ...]: first those of the input, last those of the logits.
        degree: nu.
        rows: How many there are.
        inputs: In a row.
        memory: Bytes.
    """
    replicas = tuple(parameters[0].shape[:-2])
    flat = [_float64(one).reshape(-1, *one.shape[-2:]) for one in parameters]
    row_bytes = 8 * inputs * (2 * flat[0].shape[1] + 3 * flat[-1].shape[2])  # hidden twice, logits three times
    least, to_degree = np.empty(len(flat[0])), np.empty(len(flat[0]))
    with np.errstate(all="ignore"):  # replicas that exploded
        for some in _pieces(len(least), row_bytes, memory):
            piece = [one[some] for one in flat]
            bounds = _pieces(rows, row_bytes * len(piece[0]), memory)
            found = [_least(*logits(piece, one.start, one.stop)) for one in bounds]
            least[some] = np.min(found, axis=0)
            neurons = sum((one**2).sum(-1) for one in piece)  # squared norms, [R, m]
            to_degree[some] = _numpy((neurons ** (degree / 2)).sum(-1))
        known = np.isfinite(to_degree) & (to_degree > 0)
        least, to_degree = (np.where(known, one, np.nan).reshape(replicas) for one in (least, to_degree))
        return Margin(np.asarray(least / to_degree), least, np.asarray(to_degree ** (1 / degree)))


def _least(logits: Array, target: Array) -> np.ndarray:
    """Return the least margin of some inputs, [R]."""
    margins = runner_up_difference(logits, target)
    return _numpy(namespace(margins).min(margins, axis=-1))


def _pieces(length: int, each: int, memory: int) -> Iterator[slice]:
    """Yield slices of an axis, of as many as fit into the memory if each takes ``each`` bytes, and at least one."""
    step = max(1, memory // each)
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))


def _check_shapes(parameters: dict[str, Array], widths: dict[str, int]) -> None:
    leading = {name: tuple(one.shape[:-1]) for name, one in parameters.items()}
    if len(set(leading.values())) > 1 or not all(leading.values()):
        raise ValueError(f"{', '.join(parameters)} must be [..., m, k] with the same replicas and m, not {leading}")
    for name, width in widths.items():
        if parameters[name].shape[-1] != width:
            raise ValueError(f"{name} must end with {width}, not be of shape {tuple(parameters[name].shape)}")


def _float64(array: Array) -> Array:
    """Return the values on the same device, without gradients."""
    xp = namespace(array)
    return xp.astype(array.detach() if is_torch_array(array) else np.asarray(array), xp.float64)


def _numpy(array: Array) -> np.ndarray:
    return np.asarray(array.cpu() if is_torch_array(array) else array)
