"""Maximum margins of algebraic tasks in closed form, and networks that have them (arXiv 2311.07568).

On a group of G elements the network is f(a, b) = sum_i (u_i[a] + v_i[b])^2 w_i, one logit an element, to tell ab; on a
parity of k bits it is f(x) = sum_i (u_i . x)^k w_i, two logits. A neuron omega_i is the concatenation of its weights,
and the norm is L_{2,nu} = (sum_i |omega_i|^nu)^(1/nu), with nu = 3 on groups and k + 1 on parities: the degree of the
network in its parameters. The maximum margin is the largest, over networks of any width and norm 1, of the smallest,
over all inputs, of the right logit less the largest wrong one.

The closed forms are theorems with conditions. Where one does not hold there is no number: the formula would give a
margin that some network has, which is not known to be the largest.
"""

from collections.abc import Sequence
from math import exp, isqrt, lgamma, log, sqrt
from typing import NamedTuple

import numpy as np

from sandtable.simulators.errors import InputError
from sandtable.simulators.memory import require_memory
from sandtable.simulators.tasks.boolean_fourier import hypercube
from sandtable.simulators.tasks.groups import FiniteGroup
from sandtable.simulators.tasks.representations import Representation, irreducible_representations

_NEGATIVE = -1e-9  # what counts as below 0, so that rounding does not make a condition hold
_TYPES = {0: "complex", -1: "quaternionic"}


class GroupNetwork(NamedTuple):
    """Parameters of a quadratic network on a group of G elements, m neurons; float64.

    Attributes:
        u: Of the left element, [..., m, G].
        v: Of the right element, [..., m, G].
        w: Of the logits, [..., m, G].
    """

    u: np.ndarray
    v: np.ndarray
    w: np.ndarray


class ParityNetwork(NamedTuple):
    """Parameters of a network with activation x^k on n bits, m neurons; float64.

    Attributes:
        u: Of the input +-1, [..., m, n].
        w: Of the logits of target 0 (y = 1) and target 1 (y = -1), [..., m, 2].
    """

    u: np.ndarray
    w: np.ndarray


def maximum_margin(group: FiniteGroup) -> float:
    """Return the maximum margin of a group: theorem 7 for odd prime order, theorem 9 for the others.

    Raises:
        InputError: No theorem gives it.
    """
    if (group.family == "cyclic" and group.order > 2) or _is_odd_prime(group.order):
        return cyclic_margin(group.order)
    return group_margin(group)


def cyclic_margin(order: int) -> float:
    """Return the maximum margin of Z_p, ``sqrt(2/27) / (sqrt(p) (p - 1))`` (theorem 7), reached by 4 (p - 1) neurons.

    Args:
        order: p, an odd prime.

    Raises:
        InputError: It is none.
    """
    if not _is_odd_prime(order):
        raise InputError(f"theorem 7 of arXiv 2311.07568 is about Z_p with p an odd prime, which {order} is not")
    return sqrt(2 / 27) / (sqrt(order) * (order - 1))


def group_margin(group: FiniteGroup) -> float:
    """Return the maximum margin of theorem 9, ``2 / (3 sqrt(3 G)) / sum_R d_R^2.5``, R over all but the trivial one.

    Raises:
        InputError: A representation is not of real type, or the condition on the classes does not hold.
    """
    others = _nontrivial(group)
    return 2 / (3 * sqrt(3 * group.order)) / sum(one.dimension**2.5 for one in others)


def parity_margin(k: int) -> float:
    """Return the maximum margin of a parity of k bits, ``k! sqrt(2 (k + 1)^-(k + 1))`` (theorem 8), whatever n is.

    Args:
        k: At least 1, and the power of the activation; 2^(k-1) neurons reach it.

    Raises:
        InputError: k is not a positive whole number.
    """
    _check_power(k)
    return exp(lgamma(k + 1) + (log(2) - (k + 1) * log(k + 1)) / 2)


def class_sums(group: FiniteGroup) -> np.ndarray:
    """Return ``sum_R d_R^1.5 chi_R(C)`` of each conjugacy class C, R over all but the trivial representation.

    Theorem 9 holds where it is negative on every class but that of the identity: then minus these numbers, over that of
    the identity, are the weights of the wrong labels in its proof (see ``margin_certificate``).

    Returns:
        float64 [classes], in the order of ``group.class_representatives``.
    """
    others = irreducible_representations(group)[1:]
    weighted = [one.dimension**1.5 * one.character[group.class_representatives] for one in others]
    return np.sum(weighted, axis=0) if weighted else np.zeros(len(group.class_representatives))


def cyclic_network(group: FiniteGroup) -> GroupNetwork:
    """Return a network of norm 1 with the maximum margin of Z_p: 8 neurons for each of (p - 1) / 2 frequencies.

    With angles t_a = 2 pi j a / p, cos(t_a + t_b - t_c) is a sum of four products of a function of a, one of b and one
    of c, and each product takes two neurons: 4 u v w = (u + v)^2 w - (u - v)^2 w. Summed over the
    frequencies j, the logit of c is largest at c = a + b, and the same at all others.

    Args:
        group: A group of odd prime order, under any names of its elements.

    Raises:
        InputError: The order is no odd prime.
    """
    p = group.order
    cyclic_margin(p)
    angle = 2 * np.pi / p * (np.outer(np.arange(1, p // 2 + 1), _logarithms(group)) % p)
    cosine, sine = np.cos(angle), np.sin(angle)
    products = [(cosine, cosine, cosine), (-sine, sine, cosine), (sine, cosine, sine), (cosine, sine, sine)]
    return _paired(*(np.concatenate(parts) for parts in zip(*products, strict=True)))


def group_network(group: FiniteGroup) -> GroupNetwork:
    """Return a network of norm 1 with the maximum margin of theorem 9: 2 d^3 neurons for each representation R.

    The logit is a sum of d_R chi_R(a b c^-1), which is G where c = ab and 0 elsewhere when all R are summed. The
    character is a sum of R_ij(a) R_jk(b) R_ik(c) over i, j, k; each product takes two neurons, as in
    ``cyclic_network``.

    Raises:
        InputError: The theorem does not hold for the group, or the network does not fit into memory.
    """
    others = _nontrivial(group)
    _check_width(2 * sum(one.dimension**3 for one in others), group)
    parts: list[tuple[np.ndarray, ...]] = []
    for one in others:
        d = one.dimension
        i, j, k = np.indices((d, d, d)).reshape(3, -1)
        elements = np.cbrt(d) * one.matrices.transpose(1, 2, 0)  # [d, d, G]
        parts.append((elements[i, j], elements[j, k], elements[i, k]))
    return _paired(*(np.concatenate(matrices) for matrices in zip(*parts, strict=True)))


def parity_network(n: int, subset: Sequence[int]) -> ParityNetwork:
    """Return a network of norm 1 with the maximum margin of a parity of k of n bits: 2^(k-1) neurons.

    A neuron has the weights s_i / sqrt(k + 1) on the subset, for signs s with s_1 = 1, and +-1 / sqrt(2 (k + 1)) times
    the product of the signs on the logits: sum_s s_1 ... s_k (s . x)^k over all 2^k signs is 2^k k! x_1 ... x_k.

    Args:
        n: Bits, at least k.
        subset: The k distinct bits of the parity.

    Raises:
        InputError: The subset does not fit, or has more than 21 bits.
    """
    k = len(subset)
    _check_power(k)
    if len(set(subset)) != k or not all(0 <= i < n for i in subset):
        raise InputError(f"the subset {tuple(subset)} must have distinct bits of 0, ..., {n - 1}")
    others = hypercube(k - 1)
    signs = np.concatenate([np.ones((len(others), 1)), others], axis=1)
    u = np.zeros((len(signs), n))
    u[:, list(subset)] = signs / sqrt(k + 1)
    w = signs.prod(1)[:, None] * np.asarray([1.0, -1.0]) / sqrt(2 * (k + 1))
    scale = len(signs) ** (-1 / (k + 1))
    return ParityNetwork(scale * u, scale * w)


def one_hot_network(group: FiniteGroup) -> GroupNetwork:
    """Return a network of norm 1 that looks the product up: two neurons for each of the G^2 pairs (a, b).

    Every input is right by the same margin, 2 / (3 sqrt(3) G^2), which is far from the largest, and no neuron is sparse
    in frequencies: what a network that is merely right need not have (arXiv 2311.07568, appendix D).

    Raises:
        InputError: The network does not fit into memory.
    """
    _check_width(2 * group.order**2, group)
    one_hot = np.eye(group.order)
    left, right = np.indices(group.table.shape).reshape(2, -1)
    return _paired(one_hot[left], one_hot[right], one_hot[group.table.ravel()])


def _check_width(neurons: int, group: FiniteGroup) -> None:
    """Raise if three matrices of a network, with as much again twice while it is made, have no room."""
    needed = 8 * 3 * 3 * neurons * group.order
    require_memory(needed, f"a network of {neurons} neurons on {group.name}", "take a smaller group")


def _paired(u: np.ndarray, v: np.ndarray, w: np.ndarray) -> GroupNetwork:
    """Return the network of norm 1 whose output is in proportion to sum_i u_i[a] v_i[b] w_i, of factors [m, G]."""
    network = np.stack([np.concatenate([u, u]), np.concatenate([v, -v]), np.concatenate([w, -w])])
    norm = np.cbrt(((network**2).sum((0, 2)) ** 1.5).sum())
    return GroupNetwork(*(network / norm))


def _nontrivial(group: FiniteGroup) -> tuple[Representation, ...]:
    """Return all representations but the trivial one, of a group for which theorem 9 holds."""
    theorem = f"theorem 9 of arXiv 2311.07568 does not hold for {group.name}"
    others = irreducible_representations(group)[1:]
    if not others:
        raise InputError(f"{theorem}: a group of one element has no wrong answers")
    for one in others:
        if one.indicator != 1:
            raise InputError(
                f"{theorem}: its representation {one.name} of dimension {one.dimension} is of {_TYPES[one.indicator]} "
                f"type (Frobenius-Schur indicator {one.indicator}), and all indicators must be 1; its maximum margin "
                "is not known in closed form"
            )
    sums = class_sums(group)
    sums[group.conjugacy_class[group.identity]] = -np.inf
    worst = int(sums.argmax())
    if sums[worst] >= _NEGATIVE:
        raise InputError(
            f"{theorem}: on the conjugacy class of element {group.class_representatives[worst]}, the sum of d^1.5 chi "
            f"is {sums[worst]:.4g}, and it must be negative; its maximum margin is not known in closed form"
        )
    return others


def _logarithms(group: FiniteGroup) -> np.ndarray:
    """Return each element's number, int64 [G], in a group that one element generates: any other than the identity."""
    generator = 1 if group.identity != 1 else 0
    numbers = np.zeros(group.order, dtype=np.int64)
    element = group.identity
    for number in range(group.order):
        numbers[element] = number
        element = int(group.table[element, generator])
    return numbers


def _is_odd_prime(number: int) -> bool:
    return number > 2 and number % 2 == 1 and all(number % factor for factor in range(3, isqrt(number) + 1, 2))


def _check_power(k: int) -> None:
    if k < 1 or int(k) != k:
        raise InputError(f"a parity needs a positive whole number of bits, not {k}")
