"""Moments: what of a log, or of a finite world, every linear estimator of a value needs."""

import os
import zipfile
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from sandtable.simulators.errors import InputError

NextFeatures = Literal["mean", "drawn"]
"""How the features after a step were taken: their mean under the target policy, or those of one drawn action."""

_TRAILING = {
    "covariance": 2,
    "cross_covariance": 2,
    "next_covariance": 2,
    "reward_moment": 1,
    "next_reward_moment": 1,
    "reward_square": 0,
    "initial_features": 1,
}
"""The sums, and how many axes each has of one world."""
_COUNTS = ("weight", "rows", "initial_weight")


@dataclass(frozen=True)
class Moments:
    """Weighted sums over transitions (arXiv 2203.04236, section 2); d features, float64.

    With features phi of the pair that was logged, phi' of the next pair under the target policy (0 after a terminal
    state) and reward r, they are enough for every discount, ridge and number of iterations. They add up: the moments of
    two logs are the sum of those of each. All arrays may have further axes in front, [*batch], for many worlds, or many
    episodes, at once; the two weights and ``rows`` are then one number for all, or arrays [*batch].

    Attributes:
        weight: Sum of the rows' weights, > 0: the number of rows where they have none; 1 for a distribution.
        rows: How many rows were added up; 0 for a distribution.
        covariance: Sum of phi phi^T, [d, d].
        cross_covariance: Sum of phi phi'^T, [d, d].
        next_covariance: Sum of phi' phi'^T over drawn or enumerated next actions, [d, d]; never of mean features, whose
            outer product would leave the spread over actions out. None where only mean features were at hand.
        reward_moment: Sum of phi r, [d].
        reward_square: Sum of r^2, [].
        initial_features: Sum of the features at the start, under the target policy, [d].
        initial_weight: Sum of the weights of the starts; 0 where no start is known.
        next_reward_moment: Sum of phi' r, [d]; only Bellman-residual minimisation needs it. None where it is not known.
        next_features: Whether the cross-covariance took the mean or a drawn phi'.
        next_covariance_from: Whether the next covariance ``enumerated`` the next actions or took ``drawn`` ones.
    """

    weight: float | np.ndarray
    rows: int | np.ndarray
    covariance: np.ndarray
    cross_covariance: np.ndarray
    reward_moment: np.ndarray
    reward_square: np.ndarray
    initial_features: np.ndarray
    initial_weight: float | np.ndarray
    next_covariance: np.ndarray | None = None
    next_features: NextFeatures = "mean"
    next_covariance_from: Literal["enumerated", "drawn"] | None = None
    next_reward_moment: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name, axes in _TRAILING.items():
            array, shape = getattr(self, name), (self.features,) * axes
            if array is not None and axes and array.shape[-axes:] != shape:
                raise ValueError(f"{name} must end with {shape}, not {array.shape}")
        if (self.next_covariance is None) != (self.next_covariance_from is None):
            raise ValueError("next_covariance and next_covariance_from are given together or not at all")

    @property
    def features(self) -> int:
        """Return how many features there are, d."""
        return int(self.covariance.shape[-1])

    def __add__(self, other: Self) -> Self:
        """Return the moments of both logs together.

        Raises:
            ValueError: They differ in their features, or in how the next features were taken.
        """
        if (self.next_features, self.next_covariance_from) != (other.next_features, other.next_covariance_from):
            raise ValueError("moments with next features taken in different ways cannot be added")
        if self.features != other.features:
            raise ValueError(f"moments of {self.features} and of {other.features} features cannot be added")
        sums: dict[str, Any] = {}
        for name in (*_COUNTS, *_TRAILING):
            ours, theirs = getattr(self, name), getattr(other, name)
            sums[name] = None if ours is None or theirs is None else ours + theirs
        return replace(self, **sums)

    def scaled(self, factor: float | np.ndarray) -> Self:
        """Return the sums times ``factor`` > 0, a number or [*batch]; ``rows`` and the starts stay as they are."""
        factor = np.asarray(factor, dtype=np.float64)
        if not ((factor > 0) & (factor < np.inf)).all():
            raise ValueError(f"factor must be positive and finite, not {factor}")
        scaled: dict[str, Any] = {"weight": self.weight * factor[()]}
        for name, axes in _TRAILING.items():
            array = getattr(self, name)
            if array is not None and name != "initial_features":
                scaled[name] = array * factor[(..., *[None] * axes)]
        return replace(self, **scaled)

    def combined(self, counts: np.ndarray) -> Self:
        """Return B mixtures of E logs at once, for example the resamples of a bootstrap of episodes.

        Args:
            counts: How often each log counts, [B, E], >= 0.

        Returns:
            Moments with the batch shape [B].

        Raises:
            ValueError: These moments have not the batch shape [E].
        """
        episodes = counts.shape[-1]
        if self.covariance.shape[:-2] != (episodes,):
            raise ValueError(f"counts of {episodes} logs do not fit moments of shape {self.covariance.shape}")
        mixed: dict[str, Any] = {}
        for name in _COUNTS:
            mixed[name] = counts @ np.broadcast_to(np.asarray(getattr(self, name)), (episodes,))
        for name in _TRAILING:
            array = getattr(self, name)
            if array is not None:
                flat = counts.astype(np.float64) @ array.reshape(episodes, -1)
                mixed[name] = flat.reshape(len(counts), *array.shape[1:])
        return replace(self, **mixed)

    def mean(self) -> Self:
        """Return the moments of one transition on average: ``weight`` is 1."""
        return replace(self.scaled(1.0 / np.asarray(self.weight)), weight=1.0)

    @property
    def initial_mean(self) -> np.ndarray:
        """Return the mean features at the start, [d].

        Raises:
            ValueError: No start is known.
        """
        weight = np.asarray(self.initial_weight, dtype=np.float64)
        if not (weight > 0).all():
            raise ValueError("the moments hold no features of the starts, so a value cannot be told")
        return self.initial_features / weight[..., None]

    def system(self, discount: float) -> np.ndarray:
        """Return ``covariance - discount * cross_covariance``, [d, d]: what LSTD inverts."""
        return self.covariance - discount * self.cross_covariance

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the moments to an npz file without pickle, atomically."""
        path = Path(path)
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        held: dict[str, Any] = {name: np.asarray(value) for name, value in values.items() if value is not None}
        beside = path.with_name(path.name + ".tmp")
        with open(beside, "wb") as file:
            np.savez(file, **held)
        os.replace(beside, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what ``save`` wrote.

        Raises:
            InputError: There is no such file, or it does not hold moments.
        """
        try:
            with np.load(path, allow_pickle=False) as held:
                arrays = {name: held[name] for name in held.files}
            values = {
                name: array if array.ndim or name in _TRAILING else array.item() for name, array in arrays.items()
            }
            return cls(**values)
        except FileNotFoundError:
            raise InputError(f"{path}: there is no such file") from None
        except (ValueError, TypeError, KeyError, AttributeError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: holds no moments: {error}") from error
