"""Randomness that is addressed, not consumed: every draw is a pure function of (key, counter).

A key is a 64-bit integer; a row of a batch has one. What happens to the row at time t depends on (key, t) alone, so it
depends neither on the size of the batch, nor on the device, nor on what ran before. ``fold_in`` gives child streams:
one per kind of draw, per episode, per row. The generator is SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): its i-th
output for seed ``key`` is ``mix(key + (i + 1) * GAMMA)``. Only integer operations on 64 bits occur, so numpy and torch
give the same bits on every device; draws that pass through ``log`` or the like agree to a few units in the last place.

Two draws of one kind from the same (key, counter) are the same number: give each kind of draw a stream of its own.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from array_api_compat import is_torch_array

from sandtable.simulators.arrays import NUMPY, Array, like, namespace


def _signed(value: int) -> int:
    """Wrap an integer to the range of int64."""
    return (value + 2**63) % 2**64 - 2**63


GAMMA = _signed(0x9E3779B97F4A7C15)
_MIX_1 = _signed(0xBF58476D1CE4E5B9)
_MIX_2 = _signed(0x94D049BB133111EB)
_CELL_BITS = 12
_CELLS = 1 << _CELL_BITS  # of the table by which finite distributions are drawn: 32 kB
_CHILD = _signed(0xD1B54A32D192ED03)  # moves the child streams away from the draws of the same key


def _xor_shift(word: Array, shift: int) -> Array:
    """Return ``word ^ (word >>> shift)``; the mask makes the arithmetic shift of int64 a logical one."""
    return word ^ ((word >> shift) & ((1 << (64 - shift)) - 1))


def _mix(word: Array) -> Array:
    """SplitMix64's finaliser: a bijection of 64-bit words; the array is overwritten on a CPU."""
    numbers = _on_host(word)
    if numbers is not None:  # the same on unsigned words, in place: a third of the time
        w = numbers.view(np.uint64)
        w ^= w >> 30
        w *= _MIX_1 % 2**64
        w ^= w >> 27
        w *= _MIX_2 % 2**64
        w ^= w >> 31
        return word
    word = _xor_shift(word, 30) * _MIX_1
    word = _xor_shift(word, 27) * _MIX_2
    return _xor_shift(word, 31)


def _on_host(word: Array) -> np.ndarray | None:
    """Return the memory of an array as numpy's, if it is a plain one on a CPU that nobody traces; else None."""
    if isinstance(word, np.ndarray):
        return word
    import torch

    plain = type(word) is torch.Tensor and word.device.type == "cpu" and word.numel() > 0
    if not plain or torch.compiler.is_compiling() or torch._C._functorch.is_functorch_wrapped_tensor(word):
        return None
    return word.numpy()


def make_key(seed: Any) -> Array:
    """Return the key of a seed: the seed itself, as int64.

    Args:
        seed: An integer or an array of integers (numpy or torch); integers beyond 64 bits wrap.

    Returns:
        int64, the shape of ``seed``.
    """
    if isinstance(seed, int | np.integer):
        return np.asarray(_signed(int(seed)), dtype=np.int64)
    if isinstance(seed, list | tuple):
        return np.asarray([_signed(int(one)) for one in seed], dtype=np.int64)
    xp = namespace(seed)
    return xp.astype(seed, xp.int64)


def bits(key: Array, counter: Any) -> Array:
    """Return 64 random bits for each (key, counter).

    Args:
        key: int64 keys.
        counter: Non-negative integers, an int or an array that broadcasts with ``key``.

    Returns:
        int64, uniform over all 64-bit words; the shape to which key and counter broadcast.
    """
    # numpy warns when a scalar wraps, and never when an array does
    if isinstance(key, NUMPY) and np.ndim(key) == 0 and np.ndim(counter) == 0:
        return bits(np.asarray(key)[None], counter)[0]
    if isinstance(counter, int):
        return _mix(key + _signed((counter + 1) * GAMMA))
    xp = namespace(key)
    counter = xp.astype(counter, xp.int64)
    if counter.ndim == 0:
        counter = xp.reshape(counter, (1,))
        return _mix(key + (counter + 1) * GAMMA) if key.ndim else _mix(key + (counter + 1) * GAMMA)[0]
    return _mix(key + (counter + 1) * GAMMA)


def fold_in(key: Array, data: Any) -> Array:
    """Return the key of a child stream.

    Args:
        key: int64 keys.
        data: Which child: an int, or an array of integers that broadcasts with ``key``.

    Returns:
        int64 keys; the shape to which key and data broadcast.
    """
    return bits(key ^ _CHILD, data)


def uniform(key: Array, counter: Any) -> Array:
    """Return float64 uniforms in [0, 1) with 53 random bits; the shape to which key and counter broadcast."""
    return _unit(bits(key, counter))


def _unit(word: Array) -> Array:
    """Return the upper 53 bits of each word as a float64 in [0, 1)."""
    xp = namespace(word)
    return xp.astype((word >> 11) & ((1 << 53) - 1), xp.float64) * 2.0**-53


def integers(key: Array, counter: Any, bound: int) -> Array:
    """Return int64 in [0, bound), each equally likely up to ``bound / 2**53``."""
    u = uniform(key, counter)
    xp = namespace(u)
    return xp.astype(xp.floor(u * bound), xp.int64)


def normal(key: Array, counter: Any) -> Array:
    """Return float64 standard normals by the inverse distribution function (no draw is lost to rejection)."""
    u = uniform(key, counter) + 2.0**-54  # the middle of the cell: never 0
    if is_torch_array(u):
        import torch

        return torch.special.ndtri(u)
    from scipy import special  # here, since importing scipy takes longer than all else that small programs import

    return special.ndtri(u)


def categorical(key: Array, counter: Any, cumulative: Array) -> Array:
    """Draw from a finite distribution by its inverse distribution function.

    Args:
        key: int64 keys.
        counter: Integers that broadcast with ``key``.
        cumulative: float64 [k], P(X <= i) for i = 0 .. k - 1; a value beyond the last entry counts as k.

    Returns:
        int64 in [0, k]; the shape to which key and counter broadcast.
    """
    if isinstance(key, np.ndarray):
        shape = np.broadcast_shapes(key.shape, np.shape(counter))
        if np.prod(shape) > 4 * _CELLS:
            return _looked_up(key, np.asarray(counter), shape, np.asarray(cumulative, dtype=np.float64))
    u = uniform(key, counter)
    xp = namespace(u)
    table = like(u, cumulative, "float64")
    return xp.reshape(xp.searchsorted(table, xp.reshape(u, (-1,)), side="right"), u.shape)


def _looked_up(key: np.ndarray, counter: np.ndarray, shape: tuple[int, ...], cumulative: np.ndarray) -> np.ndarray:
    """Draw many at once what ``categorical`` would, by a table of cells (Chen and Asau 1974, the guide table).

    The unit interval is cut into equal cells; where no entry of ``cumulative`` falls into a draw's cell, the cell tells
    the outcome, and only the few other draws are searched for. Done in blocks that stay in the cache.
    """
    cells = guide_table(cumulative)
    drawn = np.empty(shape, np.int64)
    rows = max(1, 4 * _CELLS * shape[0] // drawn.size)
    for start in range(0, shape[0], rows):
        block = [
            array[start : start + rows] if array.ndim == len(shape) and array.shape[0] > 1 else array
            for array in (key, counter)
        ]
        word = bits(*block)
        outcome = cells.take(word.view(np.uint64) >> (64 - _CELL_BITS), mode="clip")  # no index is out of bounds
        unknown = outcome < 0
        outcome[unknown] = np.searchsorted(cumulative, _unit(word[unknown]), side="right")
        drawn[start : start + rows] = outcome
    return drawn


def guide_table(cumulative: np.ndarray) -> np.ndarray:
    """Return the outcome of each of equal cells of the unit interval, int64; -1 where a cell does not tell it."""
    first = np.searchsorted(cumulative, np.arange(_CELLS) / _CELLS, side="right")
    last = np.searchsorted(cumulative, np.arange(1, _CELLS + 1) / _CELLS, side="left")
    return np.where(first == last, first, -1)


@lru_cache(maxsize=64)
def poisson_table(mean: float) -> np.ndarray:
    """Return P(X <= i) of the Poisson distribution, far enough that float64 rounds the last entry to 1."""
    if not 0 <= mean <= 1e6:
        raise ValueError(f"mean must lie in [0, 1e6], not {mean}")
    from scipy import special

    last = int(mean + 12 * np.sqrt(mean) + 30)
    return special.pdtr(np.arange(last + 1), mean)


@lru_cache(maxsize=64)
def geometric_table(mean: float) -> np.ndarray:
    """Return P(X <= i) of the geometric distribution on {0, 1, ...} with the given mean."""
    if not 0 < mean <= 1e4:
        raise ValueError(f"mean must lie in (0, 1e4], not {mean}")
    success = 1.0 / (1.0 + mean)
    last = int(np.ceil(np.log(1e-17) / np.log1p(-success)))
    return -np.expm1(np.log1p(-success) * np.arange(1, last + 2))


def poisson(key: Array, counter: Any, mean: float) -> Array:
    """Return int64 Poisson draws of one ``mean`` in [0, 1e6]; the shape to which key and counter broadcast."""
    return categorical(key, counter, poisson_table(float(mean)))
