"""Sparse parity: a target that depends on a few of many coordinates, and on none of them alone."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from sandtable.simulators.arrays import Array, like, namespace
from sandtable.simulators.decision_process import Batch, Task
from sandtable.simulators.random import bits, fold_in

_COORDINATES = 0x636F6F7264  # the stream of the coordinates
_SIGNS = (1.0 - 2.0 * ((np.arange(256)[:, None] >> np.arange(8)) & 1)).astype(np.float32)  # of the bits of each byte
_LOSSES = ("hinge", "square", "logistic")
_BOUND = 10.0


class SparseParity(Task):
    """The (n, k)-sparse parity task of Barak et al. (arXiv 2207.08799).

    Seen: a vector x, uniform on {-1, +1}^n. To be said: the parity y of the coordinates in the support S, their product
    ``y = prod_{i in S} x_i``. Every proper subset of S is independent of y, so nothing is learned from part of it. The
    episode ends with the one prediction f, which costs

    - hinge: ``max(1 - y f, 0)``,
    - square: ``(y - f)^2``,
    - logistic: ``log(1 + exp(-y f))``.

    Args:
        n: Coordinates, at least 1.
        k: Size of the support, in [1, n]; the first k coordinates.
        support: The coordinates of the support, if others: distinct, in [0, n), k of them.
        loss: ``"hinge"``, ``"square"`` or ``"logistic"``.

    Attributes:
        observation_space: x, [n].
        action_space: f, [1]. Its bounds of +-10 are for agents that need finite ones: any real number is scored.
        support: The coordinates whose product is the target.

    Raises:
        ValueError: An argument is out of its range.
    """

    def __init__(self, n: int = 50, k: int = 3, support: Sequence[int] | None = None, loss: str = "hinge") -> None:
        if not 1 <= k <= n:
            raise ValueError(f"k must lie in [1, n], not {k} with n = {n}")
        self.support = tuple(range(k)) if support is None else tuple(int(i) for i in support)
        if len(set(self.support)) != k or len(self.support) != k or not all(0 <= i < n for i in self.support):
            raise ValueError(f"support must be {k} distinct coordinates in [0, {n}), not {support}")
        if loss not in _LOSSES:
            raise ValueError(f"loss must be one of {', '.join(_LOSSES)}, not {loss!r}")
        self.n, self.k, self.loss_name = n, k, loss
        self.observation_space: gym.Space[Any] = gym.spaces.Box(-1.0, 1.0, (n,), np.float32)
        self.action_space: gym.Space[Any] = gym.spaces.Box(-_BOUND, _BOUND, (1,), np.float32)

    def sample(self, key: Array) -> Batch:
        """Draw one example a row: ``input`` float32 [*batch, n] and ``target`` float32 [*batch], both of -1 and +1.

        A row takes one random word for every 64 coordinates, whose lowest bit is the first of them.
        """
        xp = namespace(key)
        words = bits(fold_in(key, _COORDINATES)[..., None], like(key, np.arange(-(-self.n // 64))))
        octets = xp.astype(words.view(xp.uint8), xp.int64)[..., : -(-self.n // 8)]
        signs = xp.take(like(key, _SIGNS), xp.reshape(octets, (-1,)), axis=0)
        x = xp.reshape(signs, (*key.shape, -1))[..., : self.n]
        target = x[..., self.support[0]]
        for i in self.support[1:]:
            target = target * x[..., i]
        return Batch(x, target)

    def loss(self, output: Array, batch: Batch) -> Array:
        """Return the loss of each prediction, [*batch]; ``output`` is [*batch, 1]."""
        xp = namespace(output)
        prediction = output[..., 0]
        margin = prediction * batch.target
        if self.loss_name == "hinge":
            return xp.clip(1 - margin, min=0)
        if self.loss_name == "square":
            return (prediction - batch.target) ** 2
        # both terms are finite for every margin
        return xp.clip(-margin, min=0) + xp.log1p(xp.exp(-xp.abs(margin)))

    def metrics(self, output: Array, batch: Batch) -> dict[str, Array]:
        """Return ``accuracy``: 1 where the sign of the prediction is right, 0 elsewhere, [*batch]."""
        xp = namespace(output)
        return {"accuracy": xp.astype(output[..., 0] * batch.target > 0, xp.float32)}
