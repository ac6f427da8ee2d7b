"""Moments of features that are mostly 0: of tables, with a feature for each pair, and of scipy.sparse matrices."""

from typing import Any

import numpy as np
from scipy import sparse

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.moments import Moments, NextFeatures

CHUNK = 2**18
"""Rows of a table whose cells are counted at once, where there are not more cells: few enough for the cache."""


def moments_of_table(
    index: np.ndarray,
    next_index: np.ndarray,
    reward: np.ndarray,
    features: int,
    *,
    next_probability: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    initial_index: np.ndarray | None = None,
    initial_probability: np.ndarray | None = None,
) -> Moments:
    """Return the moments of one-hot features by counting: what a row costs does not depend on their number.

    Args:
        index: The pair (or state) of each row, int [n], in [0, d).
        next_index: The next pair, int [n]; or every pair that may be next, [n, K], with their probabilities. Negative
            after a termination.
        reward: [n].
        features: d, the number of pairs.
        next_probability: Of each of K next pairs under the target policy, [n, K]; None with one that was drawn.
        weight: [n], >= 0; None for 1 each.
        initial_index: The pairs at m starts, int [m], or [m, K] with their probabilities; None where no start is known.
        initial_probability: [m, K]; None with one pair a start.

    Raises:
        ValueError: The shapes do not agree.
        InputError: A pair is outside of the table, a number is not finite, a weight negative, or there are no rows.
    """
    n = len(index)
    following = next_index.reshape(n, -1) if n else next_index.reshape(0, 1)
    if index.shape != (n,) or reward.shape != (n,) or (next_probability is None and following.shape[1] != 1):
        raise ValueError("index, next_index and reward must be [n], or next_index [n, K] with next_probability [n, K]")
    if next_probability is not None and next_probability.shape != following.shape:
        raise ValueError(f"next_probability must be {following.shape}, not {next_probability.shape}")
    _check_rows("reward", reward, np.isfinite(reward), "a finite number")
    if weight is not None:
        _check_rows("weight", weight, (weight >= 0) & (weight < np.inf), "finite and >= 0")
    _check_pairs("index", index, features)
    if n and following.max() >= features:
        row = int(np.argmax(following.max(axis=1) >= features))
        raise InputError(f"next_index, row {row}: {following[row].max()} is no pair below {features}")
    total = float(n) if weight is None else float(np.sum(weight))
    if not total > 0:
        raise InputError("the table has no row of positive weight")
    visits = np.bincount(index, weight, features)
    paid = reward if weight is None else reward * weight
    cross, after_reward = _followed(index, following, next_probability, paid, weight, features)
    starts, known = _starts(initial_index, initial_probability, features)
    return Moments(
        weight=total,
        rows=n,
        covariance=np.diag(visits.astype(np.float64)),
        cross_covariance=cross,
        reward_moment=np.bincount(index, paid, features),
        reward_square=np.asarray(float(paid @ reward)),
        initial_features=starts,
        initial_weight=known,
        next_covariance=np.diag(cross.sum(axis=0)),
        next_features="drawn" if next_probability is None else "mean",
        next_covariance_from="drawn" if next_probability is None else "enumerated",
        next_reward_moment=after_reward,
    )


def _followed(
    index: np.ndarray,
    following: np.ndarray,
    probability: np.ndarray | None,
    paid: np.ndarray,
    weight: np.ndarray | None,
    features: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return how often, or with which weight, a pair follows another, [d, d], and the sum of phi' r, [d]."""
    cross = np.zeros((features, features + 1))  # what ends has a column of its own, the first, which is dropped
    after_reward = np.zeros(features + 1)
    step = max(CHUNK, cross.size)  # adding up a chunk's cells must not cost more than counting them
    for start in range(0, len(index), step):
        part = slice(start, start + step)
        base = index[part] * (features + 1)
        for action in range(following.shape[1]):
            after = np.maximum(following[part, action], -1) + 1
            chance = None if probability is None else probability[part, action]
            after_reward += np.bincount(after, paid[part] if chance is None else paid[part] * chance, features + 1)
            after += base
            weights = _product(None if weight is None else weight[part], chance)
            cross += np.bincount(after, weights, cross.size).reshape(cross.shape)
    return cross[:, 1:].copy(), after_reward[1:]


def _product(one: np.ndarray | None, other: np.ndarray | None) -> np.ndarray | None:
    """Return the product of two arrays of which None is 1."""
    if one is None or other is None:
        return other if one is None else one
    return one * other


def _starts(index: np.ndarray | None, probability: np.ndarray | None, features: int) -> tuple[np.ndarray, float]:
    """Return the sum of the features at starts, [d], and how many there are."""
    if index is None:
        return np.zeros(features), 0.0
    weights = np.ones(index.shape) if probability is None else probability
    if weights.shape != index.shape:
        raise ValueError(f"initial_probability must be {index.shape}, not {weights.shape}")
    _check_pairs("initial_index", index, features)
    return np.bincount(index.ravel(), weights.ravel(), features), float(len(index))


def _check_pairs(name: str, pairs: np.ndarray, features: int) -> None:
    """Refuse pairs that are not in [0, features)."""
    if pairs.size and (pairs.min() < 0 or pairs.max() >= features):
        inside = np.asarray((pairs >= 0) & (pairs < features))
        _check_rows(name, pairs, np.all(inside.reshape(len(pairs), -1), axis=1), f"a pair in [0, {features})")


def _check_rows(name: str, array: np.ndarray, good: Any, wanted: str) -> None:
    """Refuse an array of which a row is not good."""
    if not good.all():
        row = int(np.argmin(good))
        raise InputError(f"{name}, row {row}: {array[row]} is not {wanted}")


def moments_of_sparse(
    features: Any,
    next_features: Any,
    reward: np.ndarray,
    *,
    weight: np.ndarray | None = None,
    initial_features: Any = None,
    next_taken: NextFeatures = "mean",
) -> Moments:
    """Return the moments of features in scipy.sparse matrices; the moments themselves are dense.

    Args:
        features: phi, sparse [n, d].
        next_features: phi', sparse [n, d], 0 after a termination.
        reward: [n].
        weight: [n], >= 0; None for 1 each.
        initial_features: Sparse or dense, [m, d]; None where no start is known.
        next_taken: As of ``moments_of_rows``.

    Raises:
        ValueError: The shapes do not agree.
        InputError: A number is not finite, a weight negative, or there are no rows.
    """
    phi, following = (sparse.csr_array(matrix).astype(np.float64) for matrix in (features, next_features))
    n, d = phi.shape
    if following.shape != phi.shape or reward.shape != (n,):
        raise ValueError(f"features, next_features and reward are {phi.shape}, {following.shape} and {reward.shape}")
    _check_rows("reward", reward, np.isfinite(reward), "a finite number")
    for name, matrix in (("features", phi), ("next_features", following)):
        if not np.isfinite(matrix.data).all():
            row = int(np.searchsorted(matrix.indptr, int(np.argmin(np.isfinite(matrix.data))), side="right")) - 1
            raise InputError(f"{name}, row {row}: every number must be finite")
    weights = np.ones(n) if weight is None else np.asarray(weight, dtype=np.float64)
    _check_rows("weight", weights, (weights >= 0) & (weights < np.inf), "finite and >= 0")
    if not weights.sum() > 0:
        raise InputError("the rows hold none of positive weight")
    across = phi.multiply(weights[:, None]).T.tocsr()
    drawn = next_taken == "drawn"
    ahead = following.multiply(weights[:, None]).T.tocsr()
    starts = np.zeros((0, d)) if initial_features is None else sparse.csr_array(initial_features).toarray()
    return Moments(
        weight=float(weights.sum()),
        rows=n,
        covariance=(across @ phi).toarray(),
        cross_covariance=(across @ following).toarray(),
        reward_moment=across @ reward,
        reward_square=np.asarray(float(weights @ reward**2)),
        initial_features=starts.sum(axis=0),
        initial_weight=float(len(starts)),
        next_covariance=(ahead @ following).toarray() if drawn else None,
        next_features=next_taken,
        next_covariance_from="drawn" if drawn else None,
        next_reward_moment=ahead @ reward if drawn else None,
    )
