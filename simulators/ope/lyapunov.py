"""Powers of stable matrices: the Lyapunov solution that bounds them, and how many it takes until nothing is left.

``P = A^T P A + I`` has a solution, and then exactly one, P >= I, if and only if the spectral radius of A is below 1. It
bounds what happens before the powers decay: ``||A^k|| <= sqrt(cond P) (1 - 1/||P||)^{k/2}``, since
``A^T P A = P - I <= (1 - 1/||P||) P``. Batched: [n, r, r] arrays, numpy, float64.
"""

import numpy as np

_NEGLIGIBLE = 1e-9
_DOUBLINGS = 60

Level = tuple[np.ndarray, np.ndarray]
"""Which matrices are still far from 0 at a power 2^k, [m], and that power of each, [m, r, r]."""


def powers_and_lyapunov(matrix: np.ndarray) -> tuple[list[Level], np.ndarray]:
    """Return the powers 1, 2, 4, 8, ... of matrices until they are negligible, and the solutions of P = A^T P A + I.

    Doubling: with ``P_k = sum_{i < 2^k} (A^i)^T A^i``, ``P_{k+1} = P_k + (A^{2^k})^T P_k A^{2^k}``. Only positive
    semi-definite terms are added, so badly scaled matrices are served too.

    Args:
        matrix: A, [n, r, r], of spectral radius below 1.

    Returns:
        The levels, of power 2^k in place k, and P, [n, r, r].
    """
    solution = np.broadcast_to(np.eye(matrix.shape[-1]), matrix.shape).copy()
    active, power = np.arange(len(matrix)), matrix
    levels: list[Level] = []
    while len(active) and len(levels) < _DOUBLINGS:
        levels.append((active, power))
        held = solution[active]
        solution[active] = held + np.swapaxes(power, -1, -2) @ held @ power
        far = frobenius(power) > _NEGLIGIBLE
        active, power = active[far], power[far] @ power[far]
    return levels, solution


def powers_until(levels: list[Level], count: int, size: float) -> np.ndarray:
    """Return T with ``||A^T||_2 <= size < ||A^{T-1}||_2``, int64 [n]: the bits of T - 1, from the highest down.

    Args:
        levels: As from ``powers_and_lyapunov``.
        count: How many matrices there are, n.
        size: In [1e-9, 1).
    """
    if not _NEGLIGIBLE <= size < 1:
        raise ValueError(f"size must lie in [{_NEGLIGIBLE:g}, 1), not {size}")
    reached = np.zeros(count, dtype=np.int64)
    if not levels:
        return reached + 1
    current = np.broadcast_to(np.eye(levels[0][1].shape[-1]), (count, *levels[0][1].shape[1:])).copy()
    for k in reversed(range(len(levels))):
        index, power = levels[k]
        further = current[index] @ power
        more = exceeds(further, size)
        current[index[more]] = further[more]
        reached[index[more]] += 1 << k
    return reached + 1


def exceeds(matrix: np.ndarray, size: float) -> np.ndarray:
    """Return whether the spectral norm of matrices exceeds ``size``, bool [n].

    The Frobenius norm tells in most cases: the spectral norm lies between it over the root of r, and it.
    """
    bound = frobenius(matrix)
    answer = bound > size
    unsure = np.flatnonzero(answer & (bound <= size * np.sqrt(matrix.shape[-1]) * (1 + 1e-12)))
    if len(unsure):
        answer[unsure] = np.linalg.norm(matrix[unsure], ord=2, axis=(-2, -1)) > size
    return answer


def frobenius(matrix: np.ndarray) -> np.ndarray:
    """Return the Frobenius norms of matrices, [n]."""
    return np.sqrt(np.einsum("nij,nij->n", matrix, matrix))
