"""n-grams of keys: how well the next key is told by the few keys before it alone, without looking at the screen.

A network that imitates recorded games must do better than that. The probability of key x after the context h of the k
keys before it comes from counts c in other games:

- add-a smoothing: ``P(x | h) = (c(h x) + a) / (c(h) + a V)`` with V keys;
- Witten-Bell interpolation (Witten and Bell 1991, method C; Chen and Goodman 1998, section 2.6):
  ``P_k(x | h) = (c(h x) + t(h) P_{k-1}(x | h')) / (c(h) + t(h))`` with t(h) the number of distinct keys seen after h,
  and h' the context without its earliest key; below order 0 all V keys are equally likely. Where h was never seen,
  P_k is P_{k-1}.

The first k keys of a game have no whole context: they are neither counted nor told.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sandtable.simulators.nethack.keyboard import KEYS


@dataclass(frozen=True)
class NgramLoss:
    """How well keys of games were told.

    Attributes:
        nats: Mean negative log-likelihood of a key.
        keys: How many keys were told.
        by_game: The mean of each game, float64 [G]; NaN for a game too short to have a whole context.
        keys_by_game: int64 [G].
    """

    nats: float
    keys: int
    by_game: np.ndarray
    keys_by_game: np.ndarray

    def summary(self) -> str:
        """Return one line."""
        return f"{self.nats:.4f} nats a key ({self.nats / np.log(2):.4f} bits), {self.keys:,} keys"


@dataclass(frozen=True)
class _Order:
    """The counts of one order k.

    Attributes:
        contexts: Codes of the contexts that were seen, ascending, int64 [C]. A context of k keys is coded as its first
            k - 1 keys' number times the number of classes plus its last key; its own number is its place here.
        total: How often each was followed by a key, int64 [C].
        types: By how many distinct keys, int64 [C].
        pairs: Codes of (context, key), the context's number times the number of classes plus the key, ascending [P].
        count: How often each pair was seen, int64 [P].
    """

    contexts: np.ndarray
    total: np.ndarray
    types: np.ndarray
    pairs: np.ndarray
    count: np.ndarray


@dataclass(frozen=True)
class NgramResult:
    """n-grams with their counts.

    Attributes:
        order: k, how many keys before are looked at.
        classes: V, how many keys there are.
        smoothing: ``"add"`` or ``"witten-bell"``.
        add: a; 0 for Witten-Bell.
        keys: How many keys were counted.
        contexts: How many contexts of k keys were seen.
    """

    order: int
    classes: int
    smoothing: str
    add: float
    keys: int
    contexts: int
    _orders: tuple[_Order, ...] = field(repr=False)

    def log_probability(self, game: np.ndarray) -> np.ndarray:
        """Return the log-likelihood of each key of a game from its k-th on, float64 [max(0, T - k)].

        Args:
            game: The numbers of the keys, [T].

        Raises:
            ValueError: A number is not in [0, classes).
        """
        key = _checked(game, self.classes)
        number = np.zeros(len(key) + 1, np.int64)  # of the context that ends before each position; -1: never seen
        probability = np.full(len(key), 1.0 / self.classes)
        for k, order in enumerate(self._orders):
            if k:
                number = _numbers(order.contexts, number[:-1], key[k - 1 :], self.classes)
            following, told = key[k:], probability[len(probability) - max(0, len(key) - k) :]
            here = number[: len(following)]
            seen = (here >= 0) & (order.total[here] > 0)
            total = np.where(seen, order.total[here], 0)
            count = _looked_up(order.pairs, order.count, np.where(seen, here * self.classes + following, -1))
            if self.smoothing == "witten-bell":
                types = np.where(seen, order.types[here], 0)
                weight = np.where(seen, total + types, 1)
                probability = np.where(seen, (count + types * told) / weight, told)
            else:
                probability = (count + self.add) / (total + self.add * self.classes)
        return np.log(probability)

    def evaluate(self, games: Sequence[np.ndarray]) -> NgramLoss:
        """Return how well the keys of games are told.

        Args:
            games: The numbers of the keys of each game, [T] each.

        Raises:
            ValueError: A number is not in [0, classes), or no game is longer than the order.
        """
        told = [self.log_probability(game) for game in games]
        lengths = np.array([len(one) for one in told], np.int64)
        if not lengths.sum():
            raise ValueError(f"games must hold one with more than {self.order} keys")
        sums = np.array([-one.sum() for one in told])
        by_game = np.divide(sums, lengths, out=np.full(len(told), np.nan), where=lengths > 0)
        return NgramLoss(float(sums.sum() / lengths.sum()), int(lengths.sum()), by_game, lengths)

    def predict(self, context: np.ndarray) -> np.ndarray:
        """Return the probability of each key after the last ``order`` keys of a context, float64 [classes].

        Raises:
            ValueError: The context is shorter than the order, or a number is not in [0, classes).
        """
        if len(context) < self.order:
            raise ValueError(f"context must hold at least {self.order} keys, not {len(context)}")
        recent = np.asarray(context)[len(context) - self.order :]
        return np.exp([self.log_probability(np.append(recent, key))[-1] for key in range(self.classes)])

    def summary(self) -> str:
        """Return one line."""
        smoothing = "Witten-Bell" if self.smoothing == "witten-bell" else f"add-{self.add:g}"
        counted = f"{self.keys:,} keys, {self.contexts:,} contexts, {self.classes} classes"
        return f"order {self.order}, {smoothing}: {counted}"


@dataclass(frozen=True)
class Ngrams:
    """Estimator of n-grams of keys.

    Attributes:
        order: k >= 0, how many keys before are looked at.
        add: a > 0 of add-a smoothing; None: Witten-Bell interpolation of all orders up to k.
        classes: V, how many keys there are.
    """

    order: int
    add: float | None = None
    classes: int = KEYS

    def __post_init__(self) -> None:
        if self.order < 0:
            raise ValueError(f"order must be at least 0, not {self.order}")
        if self.add is not None and not 0 < self.add < np.inf:
            raise ValueError(f"add must be positive and finite, or None, not {self.add}")
        if self.classes < 1:
            raise ValueError(f"classes must be at least 1, not {self.classes}")

    def fit(self, games: Sequence[np.ndarray]) -> NgramResult:
        """Count the keys of games.

        Args:
            games: The numbers of the keys of each game, [T] each.

        Raises:
            ValueError: A number is not in [0, classes), or no game is longer than the order.
        """
        keys = [_checked(game, self.classes) for game in games]
        if not any(len(game) > self.order for game in keys):
            raise ValueError(f"games must hold one with more than {self.order} keys")
        numbers = [np.zeros(len(game) + 1, np.int64) for game in keys]
        orders = []
        contexts = np.zeros(1, np.int64)
        for k in range(self.order + 1):
            if k:
                codes = [n[:-1] * self.classes + game[k - 1 :] for n, game in zip(numbers, keys, strict=True)]
                contexts = np.unique(np.concatenate(codes))
                numbers = [np.searchsorted(contexts, code) for code in codes]
            following = [n[:-1] * self.classes + game[k:] for n, game in zip(numbers, keys, strict=True)]
            pairs, count = np.unique(np.concatenate(following), return_counts=True)
            before = pairs // self.classes
            total = np.bincount(before, count, minlength=len(contexts)).astype(np.int64)
            orders.append(_Order(contexts, total, np.bincount(before, minlength=len(contexts)), pairs, count))
        smoothing, add = ("witten-bell", 0.0) if self.add is None else ("add", self.add)
        last = orders[-1]
        seen = int((last.total > 0).sum())
        return NgramResult(self.order, self.classes, smoothing, add, int(last.total.sum()), seen, tuple(orders))


def _checked(game: np.ndarray, classes: int) -> np.ndarray:
    """Return the keys of a game as int64."""
    key = np.asarray(game)
    if key.ndim != 1 or (len(key) and (key.dtype.kind not in "iu" or key.min() < 0 or key.max() >= classes)):
        raise ValueError(f"games must hold arrays [T] of integers in [0, {classes}); leave unknown keys out")
    return key.astype(np.int64)


def _numbers(contexts: np.ndarray, shorter: np.ndarray, key: np.ndarray, classes: int) -> np.ndarray:
    """Return the numbers of the contexts that are ``shorter`` ones with a key behind; -1 where one was never seen."""
    code = np.where(shorter >= 0, shorter * classes + key[: len(shorter)], -1)
    place = np.minimum(np.searchsorted(contexts, code), len(contexts) - 1)
    return np.where(contexts[place] == code, place, -1)


def _looked_up(codes: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the values of codes, 0 for one that is not there."""
    place = np.minimum(np.searchsorted(codes, wanted), len(codes) - 1)
    return np.where(codes[place] == wanted, values[place], 0)
