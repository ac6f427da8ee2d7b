"""Square linear systems of moments: equilibrated LU with a step of refinement, and least norm where that fails."""

from typing import NamedTuple

import numpy as np

WORST = 0.1 / np.finfo(np.float64).eps
"""Condition number from which on a system counts as singular: less than a digit of its solution would be right."""


class Solution(NamedTuple):
    """Of ``matrix @ x = right``; all fields have the batch shape of the matrices in front.

    Attributes:
        x: [*batch, d] or [*batch, d, k], as ``right``.
        rank: Of the equilibrated matrix, int [*batch]; below d, x is the least-norm least-squares solution.
        condition: Condition number of the equilibrated matrix in the 1-norm, [*batch]; infinite where it is singular.
    """

    x: np.ndarray
    rank: np.ndarray
    condition: np.ndarray


def equilibrated(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the matrix with rows and columns of largest entry about 1, and both scales, powers of two.

    Returns:
        ``scaled = rows[..., None] * matrix * columns[..., None, :]``, rows and columns, [*batch, d] each.
    """
    columns = _inverse_scale(np.abs(matrix).max(axis=-2))
    scaled = matrix * columns[..., None, :]
    rows = _inverse_scale(np.abs(scaled).max(axis=-1))
    return scaled * rows[..., None], rows, columns


def _inverse_scale(largest: np.ndarray) -> np.ndarray:
    """Return the power of two next to 1 / ``largest``, exact to multiply with; 1 where it is 0."""
    _, exponent = np.frexp(np.where(largest > 0, largest, 0.5))
    return np.ldexp(1.0, -exponent)


def solve_system(matrix: np.ndarray, right: np.ndarray, solver: str = "lu") -> Solution:
    """Solve square systems, many at once.

    The matrix is equilibrated by powers of two and solved by LU with one step of iterative refinement. Where its
    condition number leaves no digit, or where ``solver`` is ``"svd"``, the singular value decomposition gives the
    solution of least norm among those of least squared residual, cut at the rank of the equilibrated matrix.

    Args:
        matrix: [*batch, d, d], finite.
        right: [*batch, d] or [*batch, d, k], finite.
        solver: ``"lu"`` or ``"svd"``.

    Raises:
        ValueError: ``solver`` is neither.
    """
    if solver not in ("lu", "svd"):
        raise ValueError(f"solver must be 'lu' or 'svd', not {solver!r}")
    d = matrix.shape[-1]
    vector = right.ndim == matrix.ndim - 1
    batch = matrix.shape[:-2]
    systems = matrix.reshape(-1, d, d)
    sides = (right[..., None] if vector else right).reshape(len(systems), d, -1)
    scaled, rows, columns = equilibrated(systems)
    condition = np.asarray(np.linalg.cond(scaled, 1))
    condition = np.where(np.isfinite(condition), condition, np.inf)
    regular = condition < WORST
    rank = np.full(len(systems), d)
    x = np.empty_like(sides, dtype=np.float64)
    by_lu = regular if solver == "lu" else np.zeros_like(regular)
    if by_lu.any():
        x[by_lu] = _refined(scaled[by_lu], sides[by_lu] * rows[by_lu, :, None]) * columns[by_lu, :, None]
    for index in np.flatnonzero(~by_lu):
        if not regular[index]:
            rank[index] = np.linalg.matrix_rank(scaled[index])
        x[index] = _least_norm(systems[index], sides[index], int(rank[index]))
    x = x.reshape(*batch, d, -1)
    return Solution(x[..., 0] if vector else x, rank.reshape(batch), condition.reshape(batch))


def _refined(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the solution after one step of iterative refinement."""
    x = np.linalg.solve(matrix, right)
    return x + np.linalg.solve(matrix, right - matrix @ x)


def _least_norm(matrix: np.ndarray, right: np.ndarray, rank: int) -> np.ndarray:
    """Return the least-norm least-squares solution with the ``rank`` largest singular values."""
    left, values, across = np.linalg.svd(matrix)
    inverse = np.zeros_like(values)
    inverse[:rank] = 1.0 / values[:rank]
    return across.T @ (inverse[:, None] * (left.T @ right))
