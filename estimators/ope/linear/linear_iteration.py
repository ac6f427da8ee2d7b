"""Affine iterations params <- matrix params + offset from 0: what FQI and expected temporal differences both are."""

import numpy as np

TOLERANCE = 1e-9
"""Nearer to 1 than this, a spectral radius is at the boundary, and convergence is not claimed."""


def spectral_radius(matrix: np.ndarray) -> np.ndarray:
    """Return the largest modulus of an eigenvalue, [*batch], of matrices [*batch, d, d]."""
    return np.asarray(np.abs(np.linalg.eigvals(matrix)).max(axis=-1))


def iterates(matrix: np.ndarray, offset: np.ndarray, iterations: int) -> np.ndarray:
    """Return the parameters after 0, 1, ..., T iterations, [T + 1, *batch, d]; they may overflow to infinity."""
    path = np.zeros((iterations + 1, *offset.shape))
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(iterations):
            path[t + 1] = (matrix @ path[t][..., None])[..., 0] + offset
    return path


def adjoint_iterates(matrix: np.ndarray, start: np.ndarray, iterations: int) -> np.ndarray:
    """Return ``(matrix^T)^(T - 1 - t) start`` for t = 0 .. T - 1, [d, T]: how iteration t is felt at the end."""
    columns = np.zeros((len(start), iterations))
    vector = start
    with np.errstate(over="ignore", invalid="ignore"):
        for t in reversed(range(iterations)):
            columns[:, t] = vector
            vector = matrix.T @ vector
    return columns


def check_iterations(iterations: int | None) -> None:
    """Check a number of iterations.

    Raises:
        ValueError: It is below 1.
    """
    if iterations is not None and iterations < 1:
        raise ValueError(f"iterations must be at least 1, or None for the limit, not {iterations}")
