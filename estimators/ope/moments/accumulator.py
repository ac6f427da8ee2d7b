"""Accumulator: the sums over rows of features that grow chunk by chunk, and become Moments.

Rows go through in chunks, so that a file larger than memory needs the memory of one chunk. All sums are made in
float64, whatever the rows are stored as: the condition number of ``covariance - discount * cross_covariance``
multiplies the rounding of the sums, and the seven digits of float32 do not survive one of 1e6.
"""

from typing import Literal

import numpy as np

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.moments import Moments, NextFeatures

CHUNK_BYTES = 2**21
"""Of a chunk of features: few enough that the second product over a chunk finds it in the cache."""


def chunk_rows(features: int) -> int:
    """Return how many rows of that many float64 features make a chunk."""
    return max(1, CHUNK_BYTES // (8 * max(features, 1)))


class Accumulator:
    """Sums that grow chunk by chunk, and become ``Moments``.

    Attributes:
        next_features: Whether the next features that are added are means under the target policy or of drawn actions.
        source: What messages call the rows' source, for example a file's path.
        numbers: What messages call each row, [n]; None: their order.
        rows: How many rows have been added.
    """

    def __init__(
        self,
        features: int,
        next_features: NextFeatures = "mean",
        source: str = "the rows",
        numbers: np.ndarray | None = None,
    ) -> None:
        if features < 1:
            raise ValueError(f"features must be at least 1, not {features}")
        self.next_features = next_features
        self.source = source
        self.numbers = numbers
        self.rows = 0
        self._weight = 0.0
        self._covariance, self._cross, self._next = (np.zeros((features, features)) for _ in range(3))
        self._reward, self._next_reward = np.zeros(features), np.zeros(features)
        self._reward_square = 0.0

    def add(
        self,
        features: np.ndarray,
        next_features: np.ndarray,
        reward: np.ndarray,
        weight: np.ndarray | None = None,
        terminated: np.ndarray | None = None,
    ) -> None:
        """Add n rows, of which no more than a chunk is converted or copied at a time.

        Args:
            features: phi, [n, d], of any real type.
            next_features: phi', [n, d].
            reward: [n].
            weight: [n], >= 0; None for 1 each.
            terminated: bool [n]: where it is true phi' counts as 0, whatever ``next_features`` holds; None for nowhere.

        Raises:
            ValueError: The shapes do not agree.
            InputError: A number is not finite or a weight negative; the message names source and row.
        """
        d = len(self._reward)
        if features.shape != next_features.shape or features.shape != (len(reward), d):
            shapes = f"{features.shape}, {next_features.shape} and {reward.shape}"
            raise ValueError(f"features, next_features and reward must be [n, {d}], [n, {d}] and [n], not {shapes}")
        step = chunk_rows(d)
        for start in range(0, len(reward), step):
            part = slice(start, start + step)
            self._add_chunk(
                features[part],
                next_features[part],
                reward[part],
                None if weight is None else weight[part],
                None if terminated is None else terminated[part],
            )

    def _add_chunk(
        self,
        features: np.ndarray,
        next_features: np.ndarray,
        reward: np.ndarray,
        weight: np.ndarray | None,
        terminated: np.ndarray | None,
    ) -> None:
        # arrays in a file need not be aligned, and products of such ones would be copied one by one
        phi, following, r = (np.require(array, np.float64, "A") for array in (features, next_features, reward))
        if terminated is not None and terminated.any() and following[terminated].any():
            following = np.where(terminated[:, None], 0.0, following)
        if weight is not None:
            if not ((weight >= 0) & (weight < np.inf)).all():
                row = int(np.argmin((weight >= 0) & (weight < np.inf)))
                raise InputError(f"{self._place(row)}: weight is {weight[row]}; weights must be finite and >= 0")
            root = np.sqrt(np.asarray(weight, dtype=np.float64))
            phi, following, r = phi * root[:, None], following * root[:, None], r * root
        with np.errstate(over="ignore", invalid="ignore"):
            self._covariance += phi.T @ phi
            self._cross += phi.T @ following
            self._reward += phi.T @ r
            self._reward_square += float(r @ r)
            if self.next_features == "drawn":
                self._next += following.T @ following
                self._next_reward += following.T @ r
        # a number that is not finite leaves its mark on a sum, whatever it is multiplied with
        sums = self._covariance, self._cross, self._reward_square
        if not all(np.isfinite(total).all() for total in sums):
            raise InputError(self._not_finite(features, next_features, reward, terminated))
        self._weight += len(r) if weight is None else float(weight.sum())
        self.rows += len(r)

    def _not_finite(
        self, features: np.ndarray, next_features: np.ndarray, reward: np.ndarray, terminated: np.ndarray | None
    ) -> str:
        """Return the sentence that names the first number of a chunk that is not finite."""
        columns = {"reward": np.asarray(reward)[:, None], "features": features, "next_features": next_features}
        for name, array in columns.items():
            bad = ~np.isfinite(array)
            if name == "next_features" and terminated is not None:
                bad &= ~terminated[:, None]
            if bad.any():
                row, column = np.unravel_index(int(np.argmax(bad)), bad.shape)
                which = name if name == "reward" else f"{name}, column {column},"
                number = array[row, column]
                return f"{self._place(int(row))}: {which} is {number}; every number must be finite"
        return f"{self._place(0)} and the next {len(reward)}: squares overflow; scale the features or the rewards"

    def _place(self, row: int) -> str:
        """Return where a row of the chunk at hand stands."""
        number = self.rows + row
        return f"{self.source}, row {number if self.numbers is None else self.numbers[number]}"

    def moments(
        self,
        initial_features: np.ndarray | None = None,
        next_covariance: np.ndarray | None = None,
        initial_weight: np.ndarray | None = None,
    ) -> Moments:
        """Return the moments of all rows that were added.

        Args:
            initial_features: [m, d], the features at m starts; None where no start is known.
            next_covariance: Sum of phi' phi'^T over enumerated next actions, [d, d], where the rows held means.
            initial_weight: Of the starts, [m]; None for 1 each.

        Raises:
            InputError: No row has been added, or all weights are 0; an initial feature is not finite.
        """
        if not self._weight > 0:
            raise InputError(f"{self.source}: holds no row of positive weight")
        d = len(self._reward)
        starts = np.zeros((0, d)) if initial_features is None else np.asarray(initial_features, dtype=np.float64)
        if starts.ndim != 2 or starts.shape[1] != d:
            raise ValueError(f"initial_features must be [m, {d}], not {starts.shape}")
        if not np.isfinite(starts).all():
            row = int(np.argmin(np.isfinite(starts).all(axis=1)))
            raise InputError(f"{self.source}: initial_features, row {row}: every number must be finite")
        known = np.ones(len(starts)) if initial_weight is None else np.asarray(initial_weight, dtype=np.float64)
        drawn = self.next_features == "drawn"
        taken: Literal["enumerated", "drawn"] | None = "enumerated" if next_covariance is not None else None
        return Moments(
            weight=self._weight,
            rows=self.rows,
            covariance=self._covariance.copy(),
            cross_covariance=self._cross.copy(),
            reward_moment=self._reward.copy(),
            reward_square=np.asarray(self._reward_square),
            initial_features=known @ starts,
            initial_weight=float(known.sum()),
            next_covariance=self._next.copy() if drawn else next_covariance,
            next_features=self.next_features,
            next_covariance_from="drawn" if drawn else taken,
            next_reward_moment=self._next_reward.copy() if drawn else None,
        )
