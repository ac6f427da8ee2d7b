"""RUNS.csv: a table of training runs becomes ``Runs``, with what was left out of it and what is odd in it.

The way of the data is the way down ``read_runs``: columns are found and brought to counts, training FLOP and nats
(``run_columns``); rows of one run are ordered as its curve (``run_curves``); what cannot be used is dropped with its
reason, or refused where only the user can tell what was meant; the missing one of parameters, data and flops is
computed; budgets are numbered; and what a reader should know is found (``run_findings``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from sandtable.simulators.errors import InputError
from sandtable.simulators.scaling.run_columns import COUNTS, RunRows, name_rows, read_rows
from sandtable.simulators.scaling.run_curves import has_curves, last_rows, order_curves, repeated_steps, spread_status
from sandtable.simulators.scaling.run_findings import flops_ratio, found_in
from sandtable.simulators.scaling.runs import Finding, Runs, number_budgets, split_budgets

STATUSES = ("finished", "diverged", "stopped")
TRIPLE = ("parameters", "data", "flops")


class Dropped(NamedTuple):
    """A line of the file that is not used, and why."""

    row: int
    reason: str


class FlopsRatio(NamedTuple):
    """C over k N D where a file gives all three: 1 where they agree."""

    min: float
    median: float
    max: float


@dataclass(frozen=True)
class RunsFile:
    """What a table of runs holds.

    Attributes:
        runs: One row a run: the last of its curve, where it has one; runs that were stopped are not among them.
        curves: All points of all curves, those of stopped runs too, ordered by run and step; None where no run has
            several rows.
        dropped: What is in neither, or (stopped runs) in the curves alone, by line.
        warnings: What was found.
        columns: By column, the name that the file has for it.
        ratio: C over k N D; None unless the file gives all three.
        rows: How many lines the file has below its header, blank ones left out.
        others: The file's other columns as text; the index is the line.
    """

    runs: Runs
    curves: Runs | None
    dropped: tuple[Dropped, ...]
    warnings: tuple[Finding, ...]
    columns: dict[str, str]
    ratio: FlopsRatio | None
    rows: int
    others: pd.DataFrame

    def labels(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Return the values of a column at lines of the file as text [n], for example of a cluster.

        Args:
            name: A column of the runs, or any other of the file (in lower case).
            rows: Lines.

        Raises:
            InputError: There is no such column.
        """
        if name in self.runs.names():
            source = self.curves if self.curves is not None else self.runs
            known = {int(row): str(value) for row, value in zip(source.rows, source.column(name), strict=True)}
            return np.array([known[int(row)] for row in rows])
        if name.lower() not in self.others:
            there = ", ".join([*self.runs.names(), *self.others.columns])
            raise InputError(f"there is no column {name}; there are {there}")
        return self.others.loc[rows, name.lower()].to_numpy(dtype=str)


def read_runs(
    path: str | Path, *, units: Mapping[str, float] | None = None, loss_unit: str = "nats", flops_factor: float = 6.0
) -> RunsFile:
    """Read a table of training runs from a CSV file (UTF-8; also .gz, .bz2, .xz, .zip), one row a run.

    Names ignore case, space, hyphen and underscore: ``parameters`` (N, params, n_params), the total;
    ``parameters_non_embedding``; ``data`` (D, tokens, frames, samples); ``flops`` (C, compute); ``loss`` (L,
    final_loss, eval_loss, dev_loss, val_loss); ``loss_se``; ``return`` (R, score, mean_return); ``return_se``;
    ``run`` (run_id); ``step``; ``seed``; ``group`` (architecture, arch, family); ``budget`` (isoflop);
    ``data_planned``; ``data_unique``; ``status`` (finished, diverged, stopped; blank is finished). Counts may end in
    ``_millions`` or ``_billions``. Other columns are kept as text.

    The missing one of parameters, data and flops follows from C = k N D, row by row; with all three they are used as
    given. Several rows of one ``run`` (of one group and seed) are its curve, ordered by ``step``, with data and flops
    counted from the beginning. Budgets are those of the column, else compute split at gaps above 5 %, in each group
    alone.

    Left out, with the reason in ``dropped``: diverged runs; stopped runs (their curves stay); rows without a loss (if
    there is such a column) or without two of parameters, data and flops (if two are there); rows that repeat another;
    points of a curve before any data was seen.

    Args:
        path: The file.
        units: Factors by which columns are multiplied, for example ``{"tokens": 1e9}``.
        loss_unit: ``"nats"`` or ``"bits"``, of the loss and its standard error.
        flops_factor: k, > 0.

    Raises:
        InputError: The file cannot be used; the message names the rows and says what to do.
    """
    path = Path(path)
    if not (np.isfinite(flops_factor) and flops_factor > 0):
        raise InputError(f"the FLOPs factor must be a positive number, not {flops_factor}")
    rows = read_rows(path, units or {}, loss_unit)
    count, given, sieve = len(rows.table), tuple(rows.table.columns), _Sieve(rows)
    curves = _clean(rows, sieve, flops_factor)
    own_budgets = curves and "budget" not in given  # points of a curve have none: their last rows are split later
    if "flops" in rows.table and not own_budgets:
        _number_budgets(rows.table)
    every = _runs_of(rows.table, given)
    finished = _finished(rows, sieve, every, curves)
    runs = _with_budgets(finished, own_budgets)
    return RunsFile(
        runs=runs,
        curves=every if curves else None,
        dropped=tuple(sorted(sieve.dropped)),
        warnings=(*sieve.findings, *found_in(runs if len(runs) else every, flops_factor, given)),
        columns=rows.columns,
        ratio=_ratio(every, flops_factor) if set(TRIPLE) <= set(given) else None,
        rows=count,
        others=rows.others,
    )


def _clean(rows: RunRows, sieve: "_Sieve", flops_factor: float) -> bool:
    """Order the rows, take out what cannot be used and compute the missing third, in place; return if there are curves.

    Raises:
        InputError: Something is wrong that only the user can put right, or no row is left.
    """
    _check_status(rows)
    sieve.drop(rows.table.join(rows.others).duplicated().to_numpy(), _repeats(rows), "duplicate_rows")
    curves = "run" in rows.table and has_curves(rows.table)
    if curves:
        order_curves(rows)
        spread_status(rows.table)
    sieve.drop((rows.table["status"] == "diverged").to_numpy(), "the run diverged", "diverged_rows")
    if curves:
        sieve.drop(repeated_steps(rows.table), "a later row has the same run and step", "duplicate_rows")
        sieve.drop(_nothing_seen(rows.table), "no data was seen yet")
    _check_ranges(rows)
    _fill_missing_third(rows.table, flops_factor)
    for column in ("loss", *TRIPLE):
        if column in rows.table:
            sieve.drop(rows.table[column].isna().to_numpy(), f"{column} is not known")
    if rows.table.empty:
        reasons = "; ".join(f"row {one.row}: {one.reason}" for one in sieve.dropped[:4])
        raise InputError(f"{rows.path}: no row can be used ({reasons})")
    return curves


def _finished(rows: RunRows, sieve: "_Sieve", every: Runs, curves: bool) -> Runs:
    """Return one row a run, the last; those of stopped runs are taken out, with the reason in the sieve.

    Raises:
        InputError: Every run was stopped, and none has a curve.
    """
    stopped = (rows.table["status"] == "stopped").to_numpy()
    last = last_rows(rows.table) if curves else np.ones(len(rows.table), bool)
    kept = "its curve serves approach1 alone" if curves else "approach1, which it could serve, needs run and step"
    sieve.dropped += [Dropped(int(row), f"the run was stopped early; {kept}") for row in every.rows[stopped & last]]
    if stopped.all() and not curves:
        raise InputError(f"{rows.path}: every run was stopped early, and none has a curve")
    return every.select(last & ~stopped)


class _Sieve:
    """What is taken out of the rows, and why."""

    def __init__(self, rows: RunRows) -> None:
        self.rows, self.dropped, self.findings = rows, list[Dropped](), list[Finding]()

    def drop(self, mask: np.ndarray, reason: str | Callable[[int], str], code: str = "") -> None:
        """Take the rows of a mask out for one reason, or for that of each row; with a finding if there is a code."""
        if not mask.any():
            return
        out = tuple(int(row) for row in self.rows.table.index[mask])
        told = [reason if isinstance(reason, str) else reason(row) for row in out]
        self.dropped += [Dropped(row, why) for row, why in zip(out, told, strict=True)]
        self.rows.table = self.rows.table[~mask].copy()
        if code:
            self.findings.append(Finding(code, f"{name_rows(out)} left out: {told[0]}", out))


def _repeats(rows: RunRows) -> Callable[[int], str]:
    """Return what says which row a repeated row repeats."""
    table = rows.table.join(rows.others)
    first = pd.Series(table.index, index=table.index).groupby([table[name] for name in table], dropna=False)
    earliest = first.transform("min") if len(table) else first
    return lambda row: f"the same as row {int(earliest[row])} in every column"


def _check_status(rows: RunRows) -> None:
    """Bring the statuses to lower case, finished where blank or absent; raise at an unknown one."""
    status = rows.table["status"].str.lower() if "status" in rows.table else pd.Series("", index=rows.table.index)
    status = status.replace("", "finished")
    unknown = rows.table.index[(~status.isin(STATUSES)).to_numpy()]
    if len(unknown):
        known = ", ".join(STATUSES)
        raise rows.fail(unknown, f"unknown status {rows.table['status'][unknown[0]]!r}; it must be one of {known}")
    rows.table["status"] = status


def _nothing_seen(table: pd.DataFrame) -> np.ndarray:
    """Return which points of curves lie before the first step."""
    zero = np.zeros(len(table), bool)
    for column in ("step", "data", "flops"):
        if column in table:
            zero |= (table[column] == 0).to_numpy()
    return zero


def _check_ranges(rows: RunRows) -> None:
    for column in (*COUNTS, "loss"):
        if column in rows.table:
            bad = rows.table.index[((rows.table[column] <= 0) | np.isinf(rows.table[column])).to_numpy()]
            if len(bad):
                value, name = rows.table[column][bad[0]], rows.columns[column]
                hint = "; laws are fitted to logarithms of losses" if column == "loss" else ""
                raise rows.fail(bad, f"{name} must be above 0 and finite, not {value:g}{hint}")
    for column in ("loss_se", "return_se", "step"):
        if column in rows.table:
            bad = rows.table.index[((rows.table[column] < 0) | np.isinf(rows.table[column])).to_numpy()]
            if len(bad):
                raise rows.fail(bad, f"{rows.columns[column]} must be at least 0, not {rows.table[column][bad[0]]:g}")
    if "return" in rows.table:
        bad = rows.table.index[np.isinf(rows.table["return"]).to_numpy()]
        if len(bad):
            raise rows.fail(bad, f"{rows.columns['return']} must be finite")


def _fill_missing_third(table: pd.DataFrame, flops_factor: float) -> None:
    """Compute what is missing of C = k N D wherever two are known, in place."""
    if sum(column in table for column in TRIPLE) < 2:
        return
    size, data, flops = (table.get(name, pd.Series(np.nan, index=table.index)) for name in TRIPLE)
    table["parameters"] = size.fillna(flops / (flops_factor * data))
    table["data"] = data.fillna(flops / (flops_factor * size))
    table["flops"] = flops.fillna(flops_factor * size * data)


def _number_budgets(table: pd.DataFrame) -> None:
    """Replace the budget column by numbers, group by group, in place."""
    numbers = pd.Series(0, index=table.index, dtype=np.int64)
    for _, part in table.groupby(table["group"] if "group" in table else np.zeros(len(table))):
        flops = part["flops"].to_numpy()
        known = "budget" in part and (part["budget"] != "").all()
        numbers[part.index] = number_budgets(part["budget"].to_numpy(), flops) if known else split_budgets(flops)
    table["budget"] = numbers


def _with_budgets(runs: Runs, split: bool) -> Runs:
    """Return runs whose budgets are split from their own compute, if they are not declared."""
    if not split or runs.flops is None or not len(runs):
        return runs
    budget = np.zeros(len(runs), np.int64)
    for part in runs.by_group().values():
        budget[np.isin(runs.rows, part.rows)] = split_budgets(part.column("flops"))
    return replace(runs, budget=budget)


def _runs_of(table: pd.DataFrame, given: tuple[str, ...]) -> Runs:
    names = {"return": "returns"}
    kept = [str(name) for name in table if name != "status" or "status" in given]
    if "budget" in kept and table["budget"].dtype.kind != "i":
        kept.remove("budget")
    columns = {names.get(name, name): table[name].to_numpy() for name in kept}
    columns = {name: column.astype(str) if column.dtype.kind in "OU" else column for name, column in columns.items()}
    return Runs(rows=table.index.to_numpy(np.int64), **columns)


def _ratio(runs: Runs, flops_factor: float) -> FlopsRatio:
    ratio = flops_ratio(runs, flops_factor)
    return FlopsRatio(float(np.min(ratio)), float(np.median(ratio)), float(np.max(ratio)))
