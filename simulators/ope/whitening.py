"""Whitening: the coordinates in which the covariance of the features is the identity.

In them an iteration of FQI is ``theta <- A theta + b`` with ``A = discount * cov^{-1/2} cross cov^{-1/2}``, and
distances are those of the predictions on the data, so what is said of A depends on no units or basis of the features.
Everything here is batched: [*batch, d, d] arrays, numpy, float64.
"""

from typing import NamedTuple

import numpy as np

OUTSIDE = 1e-6
"""How large, in units of the features, what lies outside the covariance's range must be to count; its variance is the
square, well above the rounding at which an eigenvalue is cut."""

ZERO = 1e-13
"""Below this share of its terms, a difference counts as 0: sums over many rows are rounded more often than once."""

_CUT = 1e-13
_EPS = float(np.finfo(np.float64).eps)


class Whitening(NamedTuple):
    """A basis of the features that the data show, and one of those that they do not.

    Attributes:
        matrix: W, [*batch, d, d]: in the first ``rank`` rows, ``W covariance W^T`` is the identity; the others are 0.
            W is an orthogonal matrix times covariance^{-1/2}.
        hidden: [*batch, d, d]: in the last d - rank rows, the directions of which the data show nothing, in units of
            the features; the others are 0.
        rank: Of the covariance, int [*batch].
        rounding: About how far the whitened matrix's eigenvalues may be off, [*batch]: a thousand units in the last
            place over the share of the least eigenvalue that is kept; seldom more than a tenth of it was seen.
    """

    matrix: np.ndarray
    hidden: np.ndarray
    rank: np.ndarray
    rounding: np.ndarray


def whitening(covariance: np.ndarray, beside: np.ndarray | None = None) -> Whitening:
    """Return the whitening of covariance matrices.

    The features are scaled to unit variance before eigenvalues are cut, at 1e-13 of the largest, where rounding leaves
    no digit: a feature in small units is not one that the data lack.

    Args:
        covariance: Symmetric and positive semi-definite, [*batch, d, d].
        beside: What stands for the variance of a feature that the data do not show, [*batch, d]; 1 where it is 0.
    """
    variance = np.diagonal(covariance, axis1=-2, axis2=-1)
    beside = np.ones_like(variance) if beside is None else np.where(beside > 0, beside, 1.0)
    scale = 1.0 / np.sqrt(np.where(variance > 0, variance, beside))
    correlation = scale[..., :, None] * covariance * scale[..., None, :]
    eigenvalues, vectors = np.linalg.eigh(correlation)
    eigenvalues, vectors = eigenvalues[..., ::-1], vectors[..., ::-1]
    largest = np.maximum(eigenvalues[..., :1], 0.0)
    kept = eigenvalues > _CUT * largest
    roots = np.where(kept, 1.0 / np.sqrt(np.where(kept, eigenvalues, 1.0)), 0.0)
    directions = np.swapaxes(vectors, -1, -2) * scale[..., None, :]
    hidden = np.where(kept, 0.0, 1.0)[..., None] * directions
    rounding = 1e3 * _EPS * (largest * roots**2).max(-1, initial=0.0)
    return Whitening(roots[..., None] * directions, hidden, kept.sum(-1), rounding)


def unseen_variance(covariance: np.ndarray, cross: np.ndarray, following: np.ndarray | None = None) -> np.ndarray:
    """Return the squared size of next features, [*batch, d], to stand in for the variance of those not seen before.

    Args:
        covariance: [*batch, d, d].
        cross: [*batch, d, d]; by Cauchy and Schwarz its entries bound the next features from below.
        following: Next covariance, [*batch, d, d], if it is known.
    """
    variance = np.diagonal(covariance, axis1=-2, axis2=-1)[..., None]
    reach = (cross**2 / np.where(variance > 0, variance, np.inf)).max(-2)
    return reach if following is None else np.maximum(reach, np.diagonal(following, axis1=-2, axis2=-1))


def smallest_singular_value(matrix: np.ndarray, terms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest singular values of matrices, and which are singular as far as their rounding tells.

    The textbook way errs by the rounding of the *largest* singular value. Where data are rare for some features the
    whitened matrix is badly scaled but harmless; there it is scaled to rows and columns of like size, inverted, and
    scaled back: the largest singular value of the inverse is accurate.

    Args:
        matrix: [n, r, r], r >= 1.
        terms: Sum of the sizes of the terms that each entry of ``matrix`` is a sum of, [n, r, r]: its rounding is
            in proportion to it.

    Returns:
        The values, [n], and whether each matrix is singular within rounding, bool [n].
    """
    singular_values = np.linalg.svd(matrix, compute_uv=False)
    smallest = singular_values[:, -1].copy()
    singular = np.zeros(len(matrix), dtype=bool)
    doubtful = np.flatnonzero(smallest <= 1e-6 * np.maximum(singular_values[:, 0], 1.0))
    if len(doubtful):
        even, rows, columns = _evened(matrix[doubtful])
        left, values, right = np.linalg.svd(even)
        error = ZERO * np.linalg.norm(rows * terms[doubtful] * columns, axis=(-2, -1))
        regular = values[:, -1] > error
        values = np.where(regular[:, None], values, 1.0)
        inverse = np.swapaxes(columns, -1, -2) * np.swapaxes(right, -1, -2) / values[:, None]
        inverse = inverse @ np.swapaxes(left, -1, -2) * np.swapaxes(rows, -1, -2)
        precise = 1.0 / np.linalg.norm(inverse, ord=2, axis=(-2, -1))
        smallest[doubtful] = np.where(regular, precise, smallest[doubtful])
        singular[doubtful] = ~regular
    return smallest, singular


def _evened(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ``rows * matrix * columns`` with rows and columns of largest entry near 1, ``rows`` and ``columns``.

    After Ruiz (2001), "A scaling algorithm to equilibrate both rows and columns norms in matrices".
    """
    rows, columns = np.ones_like(matrix[..., :, :1]), np.ones_like(matrix[..., :1, :])
    for _ in range(20):  # the logarithm of each factor is halved every time
        size = np.abs(rows * matrix * columns)
        row, column = size.max(-1, keepdims=True), size.max(-2, keepdims=True)
        rows = rows / np.sqrt(np.where(row > 0, row, 1.0))
        columns = columns / np.sqrt(np.where(column > 0, column, 1.0))
    return rows * matrix * columns, rows, columns
