"""Distributions over actions, of many replicas and rows at once; their draws are functions of given noise.

What a distribution draws is a *latent*: the category, or the normal draw before it is squashed or cut to the bounds of
the action space. Log-probabilities are functions of the latent, so nothing is lost where the action is at a bound.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sandtable.simulators.arrays import Array
from sandtable.simulators.random import fold_in, normal, uniform

_HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)
_EDGE = 1e-6  # how close to its bounds a squashed action of a log can be read


class ActionDistribution(ABC):
    """A family of distributions over the actions of a space; ``parameters`` come from a network.

    Shapes: B stands for any axes of rows, such as [R, B] or [T, R, B].
    """

    @abstractmethod
    def noise(self, key: Tensor, counter: Any) -> Tensor:
        """Return what a draw needs, for keys and counters that broadcast to [*B]: float32 [*B, ...]."""

    @abstractmethod
    def draw(self, parameters: Any, noise: Tensor) -> Tensor:
        """Return a latent a row, [*B, ...]."""

    @abstractmethod
    def mode(self, parameters: Any) -> Tensor:
        """Return the latent of each row that deterministic play takes, [*B, ...]."""

    @abstractmethod
    def log_probability(self, parameters: Any, latent: Tensor) -> Tensor:
        """Return the log of the probability, or of the density, of each action, [*B]."""

    @abstractmethod
    def log_probability_and_slope(self, parameters: Any, latent: Array) -> tuple[Array, Callable[[Array], Any]]:
        """Return ``log_probability``, and a function from a gradient in it, [*B], to that in the parameters.

        Neither is part of a graph; arrays may be numpy's.
        """

    @abstractmethod
    def entropy(self, parameters: Any, latent: Array) -> Array:
        """Return the entropy of each row, [*B], or an unbiased estimate of it by draws; arrays may be numpy's."""

    @abstractmethod
    def action(self, latent: Tensor) -> Tensor:
        """Return the actions that the world takes, [*B, *action_space.shape]."""

    @abstractmethod
    def latent(self, action: Tensor) -> Tensor:
        """Return the latents of recorded actions: the inverse of ``action``."""


@dataclass(frozen=True)
class Categorical(ActionDistribution):
    """One of n actions; the parameters are logits [*B, n], the latent int64 [*B].

    Attributes:
        actions: n, at least 1.
        start: The action of category 0.
    """

    actions: int
    start: int = 0

    def __post_init__(self) -> None:
        if self.actions < 1:
            raise ValueError(f"actions must be at least 1, not {self.actions}")

    def noise(self, key: Tensor, counter: Any) -> Tensor:
        """Return uniforms, [*B]."""
        draws: Tensor = uniform(key, counter)
        return draws.float()

    def draw(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """Invert the distribution function at the noise."""
        cumulative = parameters.softmax(-1).cumsum(-1)
        return (cumulative[..., :-1] <= noise[..., None]).sum(-1)

    def mode(self, parameters: Tensor) -> Tensor:
        """Return the most probable category."""
        return parameters.argmax(-1)

    def log_probability(self, parameters: Tensor, latent: Tensor) -> Tensor:
        """Return log P(category)."""
        return parameters.log_softmax(-1).gather(-1, latent[..., None])[..., 0]

    def log_probability_and_slope(self, parameters: Array, latent: Array) -> tuple[Array, Callable[[Array], Array]]:
        """Return log P(category) and its slope, see ``ActionDistribution``."""
        xp, logs = library(parameters), _log_softmax(parameters)
        chosen = xp.asarray(latent[..., None] == _categories(latent, self.actions), dtype=logs.dtype)
        return (logs * chosen).sum(-1), lambda back: back[..., None] * (chosen - xp.exp(logs))

    def entropy(self, parameters: Array, latent: Array) -> Array:
        """Return the entropy; the draws are not needed."""
        logs = _log_softmax(parameters)
        return -(library(logs).exp(logs) * logs).sum(-1)

    def action(self, latent: Tensor) -> Tensor:
        """Count from ``start``."""
        return latent + self.start if self.start else latent

    def latent(self, action: Tensor) -> Tensor:
        """Count from 0."""
        return action.long() - self.start


@dataclass(frozen=True)
class Gaussian(ActionDistribution):
    """Independent normals; the parameters are means [*B, k] and logs of deviations that broadcast to them.

    Plain, the normal draw itself has the density, and the world takes it cut to the bounds, as Stable-Baselines3 does.
    Squashed, the action is ``low + (high - low) (1 + tanh(draw)) / 2`` (Haarnoja et al., arXiv 1801.01290, appendix C).

    Attributes:
        low: Bounds from below, k numbers; finite if squashed.
        high: Bounds from above.
        squashed: Whether tanh keeps actions within the bounds.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    squashed: bool = False

    def __post_init__(self) -> None:
        if not self.low or len(self.low) != len(self.high) or not np.less(self.low, self.high).all():
            raise ValueError(f"low and high must be as long as each other and low < high, not {self.low}, {self.high}")
        if self.squashed and not np.isfinite([self.low, self.high]).all():
            raise ValueError("a squashed distribution needs finite bounds")

    def _bounds(self, like: Tensor) -> tuple[Tensor, Tensor]:
        return like.new_tensor(self.low), like.new_tensor(self.high)

    def noise(self, key: Tensor, counter: Any) -> Tensor:
        """Return standard normals, [*B, k]; each of the k has a stream of its own."""
        streams = fold_in(key[..., None], torch.arange(len(self.low), device=key.device))
        draws: Tensor = normal(streams, counter[..., None] if isinstance(counter, Tensor) else counter)
        return draws.float()

    def draw(self, parameters: tuple[Tensor, Tensor], noise: Tensor) -> Tensor:
        """Return mean + deviation * noise, [*B, k]."""
        mean, log_deviation = parameters
        return mean + log_deviation.exp() * noise

    def mode(self, parameters: tuple[Tensor, Tensor]) -> Tensor:
        """Return the mean."""
        return parameters[0]

    def log_probability(self, parameters: tuple[Tensor, Tensor], latent: Tensor) -> Tensor:
        """Return the log density: of the draw if plain, of the action if squashed."""
        logs: Tensor = _NormalLogDensity.apply(*parameters, latent)
        return logs - self._stretch(latent) if self.squashed else logs

    def log_probability_and_slope(
        self, parameters: tuple[Array, Array], latent: Array
    ) -> tuple[Array, Callable[[Array], tuple[Array, Array]]]:
        """Return log densities and their slope, see ``ActionDistribution``."""
        with torch.no_grad():
            logs, scaled, precision = _log_density(*parameters, latent)
            logs = logs - self._stretch(latent) if self.squashed else logs
        return logs, lambda back: _log_density_slope(back, scaled, precision)

    def _stretch(self, latent: Array) -> Array:
        """Return the log of the action's volume over the draw's, [*B]."""
        if isinstance(latent, np.ndarray):
            return self._stretch(torch.from_numpy(latent)).numpy()
        low, high = self._bounds(latent)
        # log of d tanh(u) / du = 1 - tanh(u)^2, without loss where it is small
        slope = 2 * (math.log(2) - latent - functional.softplus(-2 * latent)) + ((high - low) / 2).log()
        return slope.sum(-1)

    def entropy(self, parameters: tuple[Array, Array], latent: Array) -> Array:
        """Return the entropy if plain, and minus the log density of the draws if squashed."""
        if self.squashed:
            log_density, *_ = _log_density(*parameters, latent)
            return self._stretch(latent) - log_density
        mean, log_deviation = parameters
        own = (log_deviation + (0.5 + _HALF_LOG_TWO_PI)).sum(-1)
        return library(own).broadcast_to(own, mean.shape[:-1])

    def action(self, latent: Tensor) -> Tensor:
        """Bring the draws into the bounds."""
        if not self.squashed and len({*self.low}) == len({*self.high}) == 1:
            return latent.clamp(self.low[0], self.high[0])
        low, high = self._bounds(latent)
        if self.squashed:
            return low + (high - low) * (1 + latent.tanh()) / 2
        return torch.minimum(torch.maximum(latent, low), high)

    def latent(self, action: Tensor) -> Tensor:
        """Return the action itself if plain, and what is squashed to it otherwise."""
        if not self.squashed:
            return action.float()
        low, high = self._bounds(action.float())
        return torch.atanh((2 * (action - low) / (high - low) - 1).clamp(-1 + _EDGE, 1 - _EDGE))


class _NormalLogDensity(torch.autograd.Function):
    """The log density of independent normals, summed over the last axis, with its gradient in a few operations."""

    @staticmethod
    def forward(ctx: Any, mean: Tensor, log_deviation: Tensor, latent: Tensor) -> Tensor:
        """Return log densities [*B], of means [*B, k], logs of deviations that broadcast to them, and draws."""
        logs, *kept = _log_density(mean, log_deviation, latent)
        ctx.save_for_backward(*kept)
        return logs

    @staticmethod
    def backward(ctx: Any, back: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the gradients."""
        mean, log_deviation = _log_density_slope(back, *ctx.saved_tensors)
        return mean, log_deviation, -mean if ctx.needs_input_grad[2] else None


def _log_density(mean: Array, log_deviation: Array, latent: Array) -> tuple[Array, Array, Array]:
    """Return log densities of independent normals, [*B], draws in deviations, and one over the deviations."""
    xp = library(mean)
    precision = xp.exp(-log_deviation)
    scaled = (latent - mean) * precision
    return (xp.square(scaled) * -0.5 - (log_deviation + _HALF_LOG_TWO_PI)).sum(-1), scaled, precision


def _log_density_slope(back: Array, scaled: Array, precision: Array) -> tuple[Array, Array]:
    """Return the gradients in means and logs of deviations, of one in log densities, [*B]."""
    back = back[..., None]
    slope = back * scaled
    shared = tuple(axis for axis, size in enumerate(precision.shape) if size < scaled.shape[axis])
    in_logs = slope * scaled - back
    return slope * precision, in_logs.sum(axis=shared, keepdims=True) if shared else in_logs


def _log_softmax(logits: Array) -> Array:
    """Return the logs of the categories' probabilities, [*B, n]."""
    if isinstance(logits, Tensor):
        return logits.log_softmax(-1)
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def _categories(like: Array, number: int) -> Array:
    """Return 0 to ``number`` - 1 with the library and device of an array."""
    return torch.arange(number, device=like.device) if isinstance(like, Tensor) else np.arange(number)


def library(array: Array) -> Any:
    """Return the library of an array: torch or numpy, whose functions of the same name do the same."""
    return torch if isinstance(array, Tensor) else np


def distribution_for(space: gym.Space[Any], squashed: bool = False) -> ActionDistribution:
    """Return the distribution over the actions of a space: ``Discrete``, or ``Box`` with one axis.

    Raises:
        ValueError: The space is another; the message says which ones will do.
    """
    if isinstance(space, gym.spaces.Discrete):
        return Categorical(int(space.n), int(space.start))
    if isinstance(space, gym.spaces.Box) and len(space.shape) == 1:
        return Gaussian(tuple(map(float, space.low)), tuple(map(float, space.high)), squashed)
    raise ValueError(f"actions must be Discrete, or a Box of shape [k], not {space}")
