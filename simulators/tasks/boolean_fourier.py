"""Fourier analysis of functions of bits: coefficients by enumeration, those of the majority, and the Fourier gap.

A function of x in {-1, 1}^n is a sum over sets S of coordinates, f(x) = sum_S c(S) prod_{i in S} x_i, with
c(S) = mean over x of f(x) prod_{i in S} x_i. A sparse parity is a single such product. The gradient that first tells a
network which coordinates it has are coefficients of the activation's derivative: of orders k - 1 at the coordinates
of the parity and k + 1 at the others (arXiv 2207.08799, section 4). The gap between them is what a learner sees.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import comb

import numpy as np

from sandtable.simulators.errors import InputError

LARGEST_ENUMERATION = 20  # coordinates: 2^20 inputs, 160 MiB


def hypercube(n: int) -> np.ndarray:
    """Return all x in {-1, 1}^n, float64 [2^n, n]: row b has x_i = 1 - 2 (bit i of b).

    Raises:
        InputError: n is negative or above 20.
    """
    if not 0 <= n <= LARGEST_ENUMERATION:
        raise InputError(f"{n} coordinates cannot be enumerated: at most {LARGEST_ENUMERATION}")
    return 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)


def fourier_coefficients(values: np.ndarray) -> np.ndarray:
    """Return all Fourier coefficients, by the fast Walsh-Hadamard transform.

    Args:
        values: f at the rows of ``hypercube(n)``, [..., 2^n].

    Returns:
        float64 [..., 2^n]; entry s is the coefficient of the set of those i for which bit i of s is 1.

    Raises:
        ValueError: The last axis is no power of two long.
    """
    coefficients = np.array(values, dtype=np.float64)
    size = coefficients.shape[-1] if coefficients.ndim else 0
    if size < 1 or size & (size - 1):
        raise ValueError(f"values must have a power of two as last axis, not shape {coefficients.shape}")
    half = 1
    while half < size:
        pairs = coefficients.reshape(*coefficients.shape[:-1], -1, 2, half)
        low, high = pairs[..., 0, :].copy(), pairs[..., 1, :]
        pairs[..., 0, :] += high
        pairs[..., 1, :] = low - high
        half *= 2
    return coefficients / size


def fourier_gap(values: np.ndarray, subset: Sequence[int]) -> float:
    """Return the Fourier gap of a function at a parity, arXiv 2207.08799, section 4.

    It is min over i in S of |c(S without i)|, less max over i not in S of |c(S with i)|. Positive: the gradient of a
    neuron of weights w whose activation has this function of x as derivative, at w, is largest at the parity's own
    coordinates.

    Args:
        values: f at the rows of ``hypercube(n)``, [2^n].
        subset: S, distinct coordinates of 0, ..., n - 1.

    Raises:
        ValueError: The subset does not fit the function.
    """
    size = np.abs(fourier_coefficients(values))
    n = len(size).bit_length() - 1
    if size.ndim != 1 or not subset or len(set(subset)) != len(subset) or not all(0 <= i < n for i in subset):
        raise ValueError(f"subset must be distinct coordinates of the {n}, not {tuple(subset)}")
    parity = sum(1 << i for i in subset)
    relevant = [size[parity ^ (1 << i)] for i in subset]
    others = [size[parity | (1 << i)] for i in range(n) if i not in set(subset)]
    return float(min(relevant) - max(others, default=0.0))


def majority_coefficient(n: int, order: int) -> float:
    """Return the coefficient of the majority sign(x_1 + ... + x_n) at any set of ``order`` coordinates.

    With s the order, (-1)^((s-1)/2) C((n-1)/2, (s-1)/2) / C(n-1, s-1) 2^-(n-1) C(n-1, (n-1)/2), and 0 for even s
    (O'Donnell, Analysis of Boolean Functions, section 5.3). Computed in whole numbers, and rounded once.

    Args:
        n: Coordinates, odd and positive.
        order: s, from 0 to n.

    Raises:
        InputError: n is even, so that votes can tie, or the order does not fit.
    """
    if n < 1 or n % 2 == 0:
        raise InputError(f"a majority needs an odd number of coordinates, not {n}")
    if not 0 <= order <= n:
        raise InputError(f"the order must lie between 0 and {n} coordinates, not be {order}")
    if order % 2 == 0:
        return 0.0
    half, pairs = (n - 1) // 2, (order - 1) // 2
    return float(Fraction((-1) ** pairs * comb(half, pairs) * comb(n - 1, half), comb(n - 1, order - 1) * 2 ** (n - 1)))


def majority_gap(n: int, k: int) -> float:
    """Return the Fourier gap of the majority at a parity of k of n coordinates, in closed form.

    It is what a ReLU neuron with weights +-1 and no bias sees at first: |c_(k-1)| - |c_(k+1)|, which is of the order of
    n^(-(k-1)/2). For odd k both are 0: without biases such a neuron has no signal.

    Args:
        n: Coordinates, odd and positive.
        k: Of the parity, from 1 to n; an order above n has no coefficient.

    Raises:
        InputError: n is even, or k does not fit.
    """
    if not 1 <= k <= n:
        raise InputError(f"a parity of k = {k} coordinates does not fit n = {n}; k must lie between 1 and n")
    above = abs(majority_coefficient(n, k + 1)) if k < n else 0.0
    return abs(majority_coefficient(n, k - 1)) - above
