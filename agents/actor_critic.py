"""An actor and a critic, of many replicas, whose parameters lie in one block of memory."""

import math
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn
from torch.nn import functional

from sandtable.simulators.arrays import Array
from sandtable.simulators.random import fold_in, normal
from sandtable.training.keys import replica_keys
from sandtable.training.networks import Replicated, affine
from sandtable.training.objectives.action_distributions import ActionDistribution, Categorical, Gaussian

_BLOCK = 16  # numbers: a layer starts at a multiple of 64 bytes, as ``affine`` asks


def orthogonal(keys: Tensor, inputs: int, outputs: int, gain: float) -> Tensor:
    """Return weights with orthogonal rows or columns, [R, inputs, outputs], one matrix a key (arXiv 1312.6120).

    Args:
        keys: int64 [R].
        inputs: Width of the input.
        outputs: Width of the output.
        gain: Length of the orthogonal vectors.
    """
    tall = max(inputs, outputs), min(inputs, outputs)
    draws = normal(keys[:, None], torch.arange(tall[0] * tall[1])).reshape(-1, *tall)
    basis, triangle = torch.linalg.qr(draws)
    basis = basis * triangle.diagonal(dim1=-2, dim2=-1).sign()[:, None, :]  # uniform over orthogonal matrices
    return (gain * (basis if inputs >= outputs else basis.mT)).float()


class ActorCritic(Replicated):
    """Two perceptrons with tanh: one for the parameters of the distribution over actions, one for the value.

    It starts like Stable-Baselines3's: orthogonal weights of gain sqrt(2), 0.01 for the actor's head, 1 for the
    critic's; biases and logs of deviations, which do not depend on the observation, are zero. All parameters of a
    replica are one vector, so that the optimiser does one operation where it would do thirteen.

    Args:
        replicas: R.
        observation_space: ``Box``, ``Discrete`` (seen one-hot), or a ``Dict`` of them.
        policy: The distribution over actions.
        hidden: Widths of the hidden layers of both.
        key: A seed, or one key a replica, [R].

    Attributes:
        flat: The parameters, [R, P].
    """

    def __init__(
        self,
        replicas: int,
        observation_space: gym.Space[Any],
        policy: ActionDistribution,
        hidden: Sequence[int] = (64, 64),
        key: int | Array = 0,
    ) -> None:
        super().__init__(replicas)
        if isinstance(policy, Categorical):
            outputs, self.deviations = policy.actions, 0
        elif isinstance(policy, Gaussian):
            outputs = self.deviations = len(policy.low)
        else:
            raise ValueError(f"policy must be Categorical or Gaussian, not {type(policy).__name__}")
        self.space = observation_space
        self.widths = (gym.spaces.flatdim(observation_space), *hidden)
        keys = replica_keys(key, replicas)
        layers = len(hidden) + 1
        self.shapes: list[tuple[int, ...]] = []
        blocks = []
        for part, width in enumerate((outputs, 1)):
            gains = [math.sqrt(2)] * len(hidden) + [0.01 if part == 0 else 1.0]
            widths = (*self.widths, width)
            for layer, (before, after, gain) in enumerate(zip(widths[:-1], widths[1:], gains, strict=True)):
                own = fold_in(fold_in(keys, part), layer)
                blocks += [orthogonal(own, before, after, gain), torch.zeros(replicas, 1, after)]
        if self.deviations:
            blocks.append(torch.zeros(replicas, 1, self.deviations))
        self.layers = layers
        self.shapes = [tuple(block.shape[1:]) for block in blocks]
        self.sizes = [block[0].numel() for block in blocks]
        padded = [functional.pad(block.flatten(1), (0, -block[0].numel() % _BLOCK)) for block in blocks]
        self.padded = [block.shape[1] for block in padded]
        self.flat = nn.Parameter(torch.cat(padded, 1))

    def forward(self, observation: Any) -> tuple[Any, Tensor]:
        """Return the distribution's parameters and the values, [R, B], of observations [R, B, ...]."""
        blocks = [
            block[:, :size].unflatten(1, shape)
            for block, size, shape in zip(self.flat.split(self.padded, 1), self.sizes, self.shapes, strict=True)
        ]
        x = features(observation, self.space)
        actor = _perceptron(x, blocks[: 2 * self.layers])
        value = _perceptron(x, blocks[2 * self.layers : 4 * self.layers])[..., 0]
        return ((actor, blocks[-1]) if self.deviations else actor), value

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"replicas={self.replicas}, widths={self.widths}, shapes={self.shapes}"


def _perceptron(x: Tensor, blocks: list[Tensor]) -> Tensor:
    """Return the last layer's output; ``blocks`` are weights and biases in turns."""
    for layer in range(0, len(blocks) - 2, 2):
        x = torch.tanh(affine(x, blocks[layer], blocks[layer + 1]))
    return affine(x, blocks[-2], blocks[-1])


def features(observation: Any, space: gym.Space[Any]) -> Tensor:
    """Return observations [R, B, ...] of a space as vectors, [R, B, k], in the order of Gymnasium's ``flatten``."""
    if isinstance(space, gym.spaces.Dict):
        return torch.cat([features(observation[name], own) for name, own in space.spaces.items()], -1)
    if isinstance(space, gym.spaces.Discrete):
        return functional.one_hot(observation.long() - int(space.start), int(space.n)).float()
    if not isinstance(space, gym.spaces.Box):
        raise ValueError(f"observations must be Box, Discrete or a Dict of them, not {space}")
    return observation.flatten(2) if observation.ndim > 3 else observation
