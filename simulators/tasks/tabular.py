"""Classification of the rows of a table."""

from functools import cached_property
from pathlib import Path

import gymnasium as gym
import numpy as np
from scipy.special import ndtri

from sandtable.simulators.arrays import Array, Constant, namespace
from sandtable.simulators.errors import InputError, require_name
from sandtable.simulators.random import fold_in, make_key, uniform
from sandtable.simulators.tasks.classification import Classification, Examples
from sandtable.simulators.tasks.table_file import find_table

SPLITS = ("train", "test")
_SPLIT = 0x73706C6974  # the stream of the split, of the data's seed


class Tabular(Classification):
    """Rows of a table whose class is to be told, as in the tabular part of Edelman et al. (arXiv 2309.03800).

    Seen: the inputs of a row, as normal scores. To be told: its class. The rows of a split are equally likely. The
    episode ends with the one answer; see ``Classification`` for what it earns.

    A row belongs to the test split if a uniform number, a function of (data_seed, row), is below ``test_fraction``; so
    a row's split does not depend on the other rows. An input's normal score is the standard normal quantile of its
    mid-rank among the training rows, ``(#{below} + #{not above}) / 2 n``, kept within [1 / 2n, 1 - 1 / 2n]: test rows
    are measured by the training rows' scale, outliers are bounded, and a constant column is 0.

    Args:
        data: ``"randhie"`` (20,190 rows: was a doctor visited, ``mdvis > 0``) or ``"fair"`` (6,366 rows:
            ``affairs > 0``), both bundled in statsmodels; or the path of a CSV file of numbers, whose rows with missing
            values are left out with a warning.
        target: The column that holds the classes; of a bundled table, None for the above. Distinct values in ascending
            order are the classes 0, 1, ...
        split: ``"train"`` or ``"test"``.
        test_fraction: Probability that a row is in the test split, in (0, 1).
        data_seed: Seed of the split.
        feedback: ``"bandit"`` or ``"full"``.
        loss: ``"cross-entropy"`` (of C logits); for two classes also ``"hinge"`` or ``"square"`` (of one output).

    Attributes:
        observation_space: Normal scores of the inputs, float32 [d].
        action_space: A class in [0, C); or outputs, [C] or [1].
        columns: Names of the inputs.
        class_names: What each class is.
        rows: int64 [size], the split's rows, as numbers in the table from 0: the ``index`` that ``info`` tells.
        left_out: Rows of the file with missing values.

    Raises:
        InputError: The table cannot be used, a split is empty or has one class, or an argument is out of its range.
    """

    def __init__(
        self,
        data: str | Path = "randhie",
        target: str | None = None,
        split: str = "train",
        test_fraction: float = 0.25,
        data_seed: int = 0,
        feedback: str = "bandit",
        loss: str = "cross-entropy",
    ) -> None:
        require_name("split", split, SPLITS)
        if not 0 < test_fraction < 1:
            raise InputError(f"test_fraction = {test_fraction}: it must lie between 0 and 1")
        table = find_table(data, target)
        testing = uniform(fold_in(make_key(int(data_seed)), _SPLIT), table.row) < test_fraction
        chosen = testing if split == "test" else ~testing
        if len(np.unique(table.target[chosen])) < 2 or testing.all():
            counts = f"{chosen.sum()} of {len(chosen)} rows and fewer than two classes"
            raise InputError(f"data {data}: the {split} split has {counts}; change test_fraction or data_seed")
        self.columns, self.class_names, self.left_out = table.columns, table.classes, table.left_out
        self.split, self.rows = split, table.row[chosen]
        train = table.inputs[~testing]
        bound = np.float32(ndtri(1 - 0.5 / len(train)))
        space = gym.spaces.Box(-bound, bound, (len(table.columns),), np.float32)
        self._scores = Constant(normal_scores(table.inputs[chosen], train).astype(np.float32))
        self._targets = Constant(table.target[chosen])
        self._rows = Constant(self.rows)
        super().__init__(space, len(table.classes), len(table.columns), len(self.rows), feedback, loss)

    @cached_property
    def optimal_reward(self) -> float | None:
        """The largest mean reward under bandit feedback: that of the most frequent class of each set of equal rows."""
        _, group = np.unique(self._scores.values, axis=0, return_inverse=True)
        pair, count = np.unique(group.reshape(-1) * self.classes + self._targets.values, return_counts=True)
        most = np.zeros(self._known_size(), np.int64)
        np.maximum.at(most, pair // self.classes, count)
        return float(most.sum() / self._known_size())

    def examples(self, index: Array) -> Examples:
        """Return rows of the split, numbered from 0: ``observation`` float32 [*batch, d]; ``index`` is the table's."""
        xp = namespace(index)
        flat = xp.reshape(index, (-1,))
        scores, target, row = (
            xp.take(constant.on(index), flat, axis=0) for constant in (self._scores, self._targets, self._rows)
        )
        target, row = xp.reshape(target, index.shape), xp.reshape(row, index.shape)
        return Examples(xp.reshape(scores, (*index.shape, self.inputs)), target, target, row)


def normal_scores(values: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return the standard normal quantiles of mid-ranks among training rows, column by column.

    Args:
        values: float64 [rows, d].
        train: float64 [n, d].

    Returns:
        float64 [rows, d], within the quantiles of 1 / 2n and 1 - 1 / 2n.
    """
    n = len(train)
    ranks = np.empty(values.shape)
    for column, ascending in enumerate(np.sort(train, axis=0).T):
        sides = (np.searchsorted(ascending, values[:, column], side=side) for side in ("left", "right"))
        ranks[:, column] = sum(sides) / (2 * n)
    return ndtri(np.clip(ranks, 0.5 / n, 1 - 0.5 / n))
