"""Alias tables: many finite distributions, each drawn from at the cost of two look-ups, however long it is.

A distribution over k outcomes is a row of k cells (Walker 1977, Vose 1991). A draw picks a cell, and then either the
cell's own outcome or its alias. The upper half of a random word picks the cell, the lower half decides. All of it is
integers, so numpy and torch draw the same outcomes, and what a table draws is known exactly (``probabilities``).
"""

from typing import NamedTuple

import numpy as np

from sandtable.simulators.arrays import NUMPY, Array

_FULL = 1 << 31  # the weight of a cell
_COUNT_BITS, _OUTCOME_BITS = 17, 16
_LOW_31, _LOW_32 = (1 << 31) - 1, (1 << 32) - 1
_COUNT, _OUTCOME = (1 << _COUNT_BITS) - 1, (1 << _OUTCOME_BITS) - 1


class AliasTables(NamedTuple):
    """Tables of R distributions over the same outcomes 0 .. m - 1; rows that are alike share their cells.

    Attributes:
        rows: int64 [R]: the index of the row's first cell, shifted up by 17 bits, and the number of its cells.
        cells: int64 [C]: the weight of the cell's own outcome in 2^-31 shifted up by 32 bits, the alias by 16, and the
            own outcome. 8 bytes a cell, so that a draw touches one line of the cache.
    """

    rows: Array
    cells: Array

    def draw(self, word: Array, row: Array) -> Array:
        """Draw one outcome for each word.

        Args:
            word: int64 [*batch], 64 random bits each.
            row: int64 [*batch], which distribution, in [0, R).

        Returns:
            int64 [*batch], in [0, m).
        """
        pointer = look_up(self.rows, row)
        column = (((word >> 32) & _LOW_32) * (pointer & _COUNT)) >> 32
        cell = look_up(self.cells, (pointer >> _COUNT_BITS) + column)
        shift = ((word & _LOW_31) >= (cell >> 32)) * _OUTCOME_BITS  # to the alias, or to the own outcome
        return (cell >> shift) & _OUTCOME

    def probabilities(self, row: int, outcomes: int) -> np.ndarray:
        """Return the distribution that row ``row`` draws, [outcomes], up to 2^-32 in the choice of the cell."""
        pointer = int(self.rows[row])
        first, count = pointer >> _COUNT_BITS, pointer & _COUNT
        cell = np.asarray(self.cells[first : first + count])
        own = cell >> 32
        drawn = np.zeros(outcomes, np.int64)
        np.add.at(drawn, cell & _OUTCOME, own)
        np.add.at(drawn, (cell >> _OUTCOME_BITS) & _OUTCOME, _FULL - own)
        return drawn / (count * _FULL)


def look_up(table: Array, index: Array) -> Array:
    """Return ``table[index]`` for a table [k] and non-negative int64 indices of any shape."""
    return table.take(index) if isinstance(table, NUMPY) else table[index]


def alias_tables(probabilities: np.ndarray) -> AliasTables:
    """Return the tables of distributions [R, m], with m of at most 65,536.

    A probability is kept to 2^-31; an outcome of probability 0 is never drawn.

    Raises:
        ValueError: A row does not sum to 1, or holds what is no probability; there are too many outcomes.
    """
    probabilities = np.asarray(probabilities, np.float64)
    if probabilities.ndim != 2 or not 1 <= probabilities.shape[1] <= _OUTCOME + 1:
        raise ValueError(f"probabilities must be [rows, 1 to {_OUTCOME + 1} outcomes], not {probabilities.shape}")
    if not ((probabilities >= 0).all() and np.allclose(probabilities.sum(axis=1), 1.0, rtol=0, atol=1e-9)):
        raise ValueError("probabilities must be non-negative, and each row must sum to 1")
    known: dict[bytes, int] = {}
    rows, pieces, used = np.empty(len(probabilities), np.int64), [], 0
    for index, row in enumerate(probabilities):
        contents = row.tobytes()
        if contents not in known:
            cells = _cells(row)
            known[contents] = used << _COUNT_BITS | len(cells)
            pieces.append(cells)
            used += len(cells)
        rows[index] = known[contents]
    return AliasTables(rows, np.concatenate(pieces))


def _cells(row: np.ndarray) -> np.ndarray:
    """Return the cells of one distribution, int64 [k], for the k outcomes that can occur (Vose's method).

    In whole numbers: the weights sum to k full cells, and the cells hold them to the last unit.
    """
    outcomes = np.flatnonzero(row)
    k = len(outcomes)
    weights = np.maximum(np.rint(row[outcomes] / row.sum() * (k * _FULL)).astype(np.int64), 1)
    weights[np.argmax(weights)] += k * _FULL - weights.sum()
    left = weights.tolist()
    small = [i for i, weight in enumerate(left) if weight < _FULL]
    large = [i for i, weight in enumerate(left) if weight >= _FULL]
    own, alias = [0] * k, list(range(k))  # a full cell is its own alias
    while small:
        i, j = small.pop(), large[-1]
        own[i], alias[i] = left[i], j
        left[j] -= _FULL - left[i]
        if left[j] < _FULL:
            small.append(large.pop())
    return np.asarray(own, np.int64) << 32 | outcomes[alias] << _OUTCOME_BITS | outcomes
