"""Sparse parity: a target that depends on a few of many coordinates, and on none of them alone."""

from collections.abc import Sequence

import gymnasium as gym
import numpy as np

from sandtable.simulators.arrays import Array, Constant, namespace
from sandtable.simulators.decision_process import Batch
from sandtable.simulators.errors import InputError
from sandtable.simulators.random import bits, fold_in, make_key, uniform
from sandtable.simulators.tasks.classification import LARGEST_SET, Classification, Examples

# streams of an example's key: its coordinates and its noise
_COORDINATES = 0x636F6F7264
_NOISE = 0x6E6F697365
# streams of the data's seed: the subset and the examples
_SUBSET = 0x737562736574
_EXAMPLES = 0x6578616D706C65

_BITS = Constant(((np.arange(256)[:, None] >> np.arange(8)) & 1).astype(np.int8))  # of each byte
_SIGNS = Constant((1.0 - 2.0 * _BITS.values).astype(np.float32))


class SparseParity(Classification):
    """The (n, k)-sparse parity task of Barak et al. (arXiv 2207.08799) and Edelman et al. (arXiv 2309.03800).

    Seen: n fair bits b. To be told: the target, the exclusive or of those in a hidden subset of k. With x = 1 - 2 b and
    y = 1 - 2 target it is the product ``y = prod_{i in S} x_i``. Every proper part of the subset is independent of the
    target, so nothing is learned from it. The episode ends with the one answer; see ``Classification`` for its reward.

    Online, ``samples=None``, each episode has a fresh example. Offline there are ``samples`` of them: example i is a
    function of (data_seed, i), its noise included, and each episode draws one of them; nothing is stored.

    Args:
        n: Bits, at least 1.
        k: Size of the subset, in [1, n].
        subset: The bits that count: k distinct numbers in [0, n); None draws them by ``data_seed``.
        noise: Probability that a target is flipped, in [0, 0.5]; at 0.5 nothing can be learned.
        samples: Examples in the data set, at most 2^53; None for fresh ones.
        data_seed: Seed of the subset and of the data set. Tasks with one seed have one subset, so an online task tests
            what was learned offline.
        feedback: ``"bandit"`` or ``"full"``.
        loss: ``"cross-entropy"`` (of two logits), ``"hinge"`` or ``"square"`` (of one output).
        reveal: Tell the subset and the target before noise in the info of a step.

    Attributes:
        observation_space: b, [n].
        action_space: A class, 0 or 1; or outputs, [2] or [1].
        subset: The bits that count, in ascending order if they were drawn.

    Raises:
        InputError: An argument is out of its range.
    """

    def __init__(
        self,
        n: int = 50,
        k: int = 3,
        subset: Sequence[int] | None = None,
        noise: float = 0.0,
        samples: int | None = None,
        data_seed: int = 0,
        feedback: str = "bandit",
        loss: str = "cross-entropy",
        reveal: bool = False,
    ) -> None:
        if int(n) != n or n < 1:
            raise InputError(f"n = {n}: it must be a whole number of bits, at least 1")
        if int(k) != k or not 1 <= k <= n:
            raise InputError(f"k = {k}: the subset must have between 1 and n = {n} bits")
        if not 0 <= noise <= 0.5:
            raise InputError(f"noise = {noise}: the probability of a flip must lie in [0, 0.5]")
        if samples is not None and (int(samples) != samples or not 1 <= samples <= LARGEST_SET):
            raise InputError(f"samples = {samples}: it must be a whole number of examples in [1, 2^53], or None")
        self.n, self.k, self.noise, self.data_seed, self.reveal = int(n), int(k), float(noise), int(data_seed), reveal
        self.subset = self._drawn_subset() if subset is None else self._checked_subset(subset)
        size = None if samples is None else int(samples)
        super().__init__(gym.spaces.MultiBinary(self.n), 2, self.n, size, feedback, loss)
        self._set_key = Constant(np.asarray(fold_in(make_key(self.data_seed), _EXAMPLES)))
        self._subset = Constant(np.asarray(self.subset))

    @property
    def optimal_reward(self) -> float | None:
        """The largest mean reward of any rule under bandit feedback: 1 - noise.

        None where the noise of a data set can be learned by heart.
        """
        return None if self.noise and self.size else 1.0 - self.noise

    def examples(self, index: Array) -> Examples:
        """Return the examples of the data set with these indices, int64 [*batch] in [0, samples)."""
        self._known_size()
        return self._shown(self._key_of(index), index)

    def draw(self, key: Array) -> Examples:
        """Draw one example a row: ``observation`` int8 [*batch, n], classes int64 [*batch]."""
        if self.size is not None:
            return super().draw(key)
        return self._shown(key, namespace(key).zeros_like(key) - 1)

    def sample(self, key: Array) -> Batch:
        """Draw one example a row: ``input`` x, float32 [*batch, n], and ``target`` int64 [*batch]."""
        if self.size is not None:
            key = self._key_of(self._drawn_index(key))
        words = self._words(key)
        _, target = self._targets(key, words)
        return Batch(self._unpacked(words, _SIGNS), target)

    def encode(self, observation: Array) -> Array:
        """Return x = 1 - 2 b, float32 [*batch, n]."""
        xp = namespace(observation)
        return 1 - 2 * xp.astype(observation, xp.float32)

    def _told(self, shown: Examples) -> dict[str, Array]:
        told = super()._told(shown)
        if self.reveal:
            told["clean_target"] = shown.clean_target
            subset = self._subset.on(shown.target)
            told["subset"] = namespace(subset).broadcast_to(subset, (*shown.target.shape, self.k))
        return told

    def _key_of(self, index: Array) -> Array:
        """Return the keys of examples of the data set."""
        return fold_in(self._set_key.on(index), index)

    def _shown(self, key: Array, index: Array) -> Examples:
        """Return the examples of the keys."""
        words = self._words(key)
        clean, target = self._targets(key, words)
        return Examples(self._unpacked(words, _BITS), target, clean, index)

    def _words(self, key: Array) -> Array:
        """Return the bits of each example, int64 [*batch, ceil(n / 64)]: the lowest of a word is the first."""
        counters = namespace(key).arange(-(-self.n // 64), device=key.device)
        return bits(fold_in(key, _COORDINATES)[..., None], counters)

    def _targets(self, key: Array, words: Array) -> tuple[Array, Array]:
        """Return the targets before and after noise, int64 [*batch]."""
        xp = namespace(key)
        parity = words[..., self.subset[0] // 64] >> self.subset[0] % 64
        for i in self.subset[1:]:
            parity = parity ^ (words[..., i // 64] >> i % 64)
        clean = parity & 1
        if not self.noise:
            return clean, clean
        return clean, clean ^ xp.astype(uniform(fold_in(key, _NOISE), 0) < self.noise, xp.int64)

    def _unpacked(self, words: Array, table: Constant) -> Array:
        """Return a number for each bit, [*batch, n], by a table of those of each byte."""
        xp = namespace(words)
        octets = words.view(xp.uint8)
        if table is _BITS and isinstance(words, np.ndarray):  # a third of the time of a look-up
            flat = np.unpackbits(octets.reshape(-1), bitorder="little").view(np.int8)
        else:
            octets = xp.astype(octets[..., : -(-self.n // 8)], xp.int64)
            flat = xp.take(table.on(words), xp.reshape(octets, (-1,)), axis=0)
        return xp.reshape(flat, (*words.shape[:-1], -1))[..., : self.n]

    def _drawn_subset(self) -> tuple[int, ...]:
        """Return k bits, each subset equally likely: those with the smallest of n uniforms."""
        draws = uniform(fold_in(make_key([self.data_seed]), _SUBSET), np.arange(self.n))
        return tuple(sorted(int(i) for i in np.argsort(draws, kind="stable")[: self.k]))

    def _checked_subset(self, subset: Sequence[int]) -> tuple[int, ...]:
        given = tuple(int(i) for i in subset)
        outside = [i for i in given if not 0 <= i < self.n]
        if outside:
            raise InputError(f"subset: there is no bit {outside[0]}; bits are numbered from 0 to n - 1 = {self.n - 1}")
        repeated = sorted({i for i in given if given.count(i) > 1})
        if repeated:
            raise InputError(f"subset: bit {repeated[0]} is there {given.count(repeated[0])} times; name each one once")
        if len(given) != self.k:
            raise InputError(f"subset: it has {len(given)} bits, and k = {self.k}; make them agree")
        return given
