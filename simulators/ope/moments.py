"""Moments: what of a log, or of a finite world, every linear estimator of a value needs."""

import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from sandtable.simulators.errors import InputError

NextFeatures = Literal["mean", "drawn"]
"""How the features after a step were taken: their mean under the target policy, or those of one drawn action."""

_ARRAYS = ("covariance", "cross_covariance", "next_covariance", "reward_moment", "reward_square", "initial_features")


@dataclass(frozen=True)
class Moments:
    """Weighted sums over transitions (arXiv 2203.04236, section 2); d features, float64.

    With features phi of the pair that was logged, phi' of the next pair under the target policy (0 after a terminal
    state) and reward r, they are enough for every discount, ridge and number of iterations. They add up: the moments of
    two logs are the sum of those of each. All arrays may have further axes in front, [*batch], for many worlds at once.

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
        next_features: Whether the cross-covariance took the mean or a drawn phi'.
        next_covariance_from: Whether the next covariance ``enumerated`` the next actions or took ``drawn`` ones.
    """

    weight: float
    rows: int
    covariance: np.ndarray
    cross_covariance: np.ndarray
    reward_moment: np.ndarray
    reward_square: np.ndarray
    initial_features: np.ndarray
    initial_weight: float
    next_covariance: np.ndarray | None = None
    next_features: NextFeatures = "mean"
    next_covariance_from: Literal["enumerated", "drawn"] | None = None

    def __post_init__(self) -> None:
        d = self.features
        shapes = {"covariance": (d, d), "cross_covariance": (d, d), "next_covariance": (d, d), "reward_moment": (d,)}
        for name, shape in (shapes | {"initial_features": (d,)}).items():
            array = getattr(self, name)
            if array is not None and array.shape[array.ndim - len(shape) :] != shape:
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
        sums: dict[str, Any] = {
            name: None if getattr(self, name) is None else getattr(self, name) + getattr(other, name)
            for name in ("weight", "rows", "initial_weight", *_ARRAYS)
        }
        return replace(self, **sums)

    def scaled(self, factor: float) -> Self:
        """Return the sums times ``factor`` > 0, the weights included; ``rows`` and the starts stay as they are."""
        if not 0 < factor < np.inf:
            raise ValueError(f"factor must be positive and finite, not {factor}")
        starts = ("initial_features",)
        scaled = {name: getattr(self, name) for name in _ARRAYS if name not in starts}
        return replace(
            self,
            weight=self.weight * factor,
            **{name: None if array is None else array * factor for name, array in scaled.items()},
        )

    def mean(self) -> Self:
        """Return the moments of one transition on average: ``weight`` is 1."""
        return self.scaled(1.0 / self.weight)

    @property
    def initial_mean(self) -> np.ndarray:
        """Return the mean features at the start, [d].

        Raises:
            ValueError: No start is known.
        """
        if not self.initial_weight > 0:
            raise ValueError("the moments hold no features of the starts, so a value cannot be told")
        return self.initial_features / self.initial_weight

    def system(self, discount: float) -> np.ndarray:
        """Return ``covariance - discount * cross_covariance``, [d, d]: what LSTD inverts."""
        return self.covariance - discount * self.cross_covariance

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the moments to an npz file without pickle, atomically."""
        path = Path(path)
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        beside = path.with_name(path.name + ".tmp")
        with open(beside, "wb") as file:
            np.savez(file, **{name: np.asarray(value) for name, value in held.items() if value is not None})
        os.replace(beside, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what ``save`` wrote.

        Raises:
            InputError: The file does not hold moments.
        """
        try:
            with np.load(path, allow_pickle=False) as held:
                values = {name: held[name] if name in _ARRAYS else held[name].item() for name in held.files}
            return cls(**values)
        except (ValueError, TypeError, KeyError, AttributeError, EOFError) as error:
            raise InputError(f"{path}: holds no moments: {error}") from error
