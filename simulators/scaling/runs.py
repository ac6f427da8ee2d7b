"""Training runs as a table of arrays: what scaling laws are fitted to, and what a reader has to say about it."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

Size = Literal["parameters", "parameters_non_embedding"]

CODES = (
    "edge_minimum",
    "no_minimum",
    "few_sizes",
    "few_budgets",
    "off_centre",
    "duplicate_rows",
    "flops_mismatch",
    "mixed_units",
    "not_converged",
    "at_bound",
    "correlated_residuals",
    "mixed_schedule",
    "repeated_data",
    "diverged_rows",
    "extrapolation",
)
"""What can be found wrong with a table of runs, or with a law that is fitted to it."""


@dataclass(frozen=True)
class Finding:
    """What a user should know about a table or a fit, though it does not stop the fit.

    Attributes:
        code: One of ``CODES``.
        message: One sentence: what was found, and what to make of it.
        rows: The lines of the file that it is about; empty where it is about none in particular.
    """

    code: str
    message: str
    rows: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise ValueError(f"code must be one of {', '.join(CODES)}, not {self.code!r}")


@dataclass(frozen=True)
class Runs:
    """Training runs, one element of each array a run (or one point of a run's training curve).

    A column that the table does not have is None. Within a column, NaN (or an empty text) is a value that is not known.

    Attributes:
        rows: The lines of the file (its header is line 1), int64 [n]; 2, 3, ... for runs that come from no file.
        parameters: Total parameters N, float64 [n], > 0.
        parameters_non_embedding: Parameters without the embedding tables, float64 [n], > 0.
        data: Data seen D, in tokens, frames or samples, float64 [n], > 0.
        flops: Operations of the whole training C, float64 [n], > 0.
        loss: In nats, float64 [n], > 0.
        loss_se: Standard error of the loss, float64 [n], >= 0.
        returns: Mean return of an episode, float64 [n].
        return_se: Standard error of the mean return, float64 [n], >= 0.
        run: Name of the run that a row is a point of, text [n].
        step: Optimiser steps so far, float64 [n].
        seed: Which replicate, text [n].
        group: What is fitted alone (an architecture, a family), text [n].
        budget: Which budget of the group, int64 [n], numbered from 0 by increasing compute.
        data_planned: Data at the end of the learning-rate schedule, float64 [n].
        data_unique: Distinct data, float64 [n].
        status: ``"finished"``, ``"diverged"`` or ``"stopped"``, text [n].
    """

    rows: np.ndarray
    parameters: np.ndarray | None = None
    parameters_non_embedding: np.ndarray | None = None
    data: np.ndarray | None = None
    flops: np.ndarray | None = None
    loss: np.ndarray | None = None
    loss_se: np.ndarray | None = None
    returns: np.ndarray | None = None
    return_se: np.ndarray | None = None
    run: np.ndarray | None = None
    step: np.ndarray | None = None
    seed: np.ndarray | None = None
    group: np.ndarray | None = None
    budget: np.ndarray | None = None
    data_planned: np.ndarray | None = None
    data_unique: np.ndarray | None = None
    status: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name, array in self._columns():
            if np.shape(array) != np.shape(self.rows):
                raise ValueError(f"{name} must have the shape of rows, {np.shape(self.rows)}, not {np.shape(array)}")

    @classmethod
    def of(cls, **columns: Any) -> "Runs":
        """Return runs that come from no file: the columns by name, anything that numpy makes an array of."""
        arrays = {name: np.asarray(column) for name, column in columns.items() if column is not None}
        arrays = {name: array.astype(float) if array.dtype.kind in "iuf" else array for name, array in arrays.items()}
        if "budget" in arrays:
            arrays["budget"] = arrays["budget"].astype(np.int64)
        length = len(next(iter(arrays.values()))) if arrays else 0
        rows = arrays.pop("rows", np.arange(2, 2 + length)).astype(np.int64)
        return cls(rows=rows, **arrays)

    def __len__(self) -> int:
        return len(self.rows)

    def _columns(self) -> Iterator[tuple[str, np.ndarray]]:
        for field in fields(self):
            array = getattr(self, field.name)
            if array is not None:
                yield field.name, array

    def names(self) -> tuple[str, ...]:
        """Return the names of the columns that are there, without ``rows``."""
        return tuple(name for name, _ in self._columns() if name != "rows")

    def select(self, mask: Any) -> "Runs":
        """Return the runs of a boolean mask [n], or those of integer indices, in their order."""
        return Runs(**{name: array[mask] for name, array in self._columns()})

    def has(self, *names: str) -> bool:
        """Return whether every named column is there and has at least one known value."""
        return all(_known(getattr(self, name)) for name in names)

    def complete(self, *names: str) -> "Runs":
        """Return the runs in which every named column has a finite value."""
        return self.select(np.all([np.isfinite(self.column(name)) for name in names], axis=0))

    def column(self, name: str) -> np.ndarray:
        """Return a column.

        Raises:
            ValueError: The table has no such column.
        """
        array = getattr(self, name, None)
        if array is None:
            raise ValueError(f"the runs have no column {name}; there are {', '.join(self.names())}")
        return array

    def size(self, count: Size = "parameters") -> np.ndarray:
        """Return the sizes of the models by one of the two counts, [n].

        Raises:
            ValueError: The table has no such count.
        """
        return self.column(count)

    def by_group(self) -> dict[str, "Runs"]:
        """Return the runs of each group, in the order of their first rows; one group, ``""``, without the column."""
        if self.group is None:
            return {"": self}
        return {str(name): self.select(self.group == name) for name in dict.fromkeys(self.group.tolist())}


def _known(array: np.ndarray | None) -> bool:
    if array is None:
        return False
    return bool(np.isfinite(array).any() if array.dtype.kind == "f" else len(array))


def split_budgets(flops: np.ndarray, gap: float = 0.05) -> np.ndarray:
    """Return which budget each run belongs to: sorted by compute, a new budget starts at a gap above 5 %.

    Args:
        flops: [n], > 0.
        gap: The least relative step from one budget to the next, > 0.

    Returns:
        int64 [n], numbered from 0 by increasing compute.
    """
    order = np.argsort(flops, kind="stable")
    logs = np.log(np.asarray(flops, float)[order])
    labels = np.empty(len(logs), np.int64)
    labels[order] = np.concatenate([[0], np.cumsum(np.diff(logs) > np.log1p(gap))])[: len(logs)]
    return labels


def number_budgets(labels: np.ndarray, flops: np.ndarray) -> np.ndarray:
    """Return declared budgets as numbers from 0 by increasing median compute, int64 [n]."""
    names, index = np.unique(labels, return_inverse=True)
    medians = [np.median(flops[index == one]) for one in range(len(names))]
    rank = np.empty(len(names), np.int64)
    rank[np.argsort(medians, kind="stable")] = np.arange(len(names))
    return rank[index]
