"""Training curves within a table of runs: several rows a run, ordered by step, with data and flops cumulative."""

from typing import cast

import numpy as np
import pandas as pd

from sandtable.simulators.scaling.run_columns import RunRows

CUMULATIVE = ("data", "flops")
CONSTANT = ("parameters", "parameters_non_embedding", "budget", "data_planned")


def has_curves(table: pd.DataFrame) -> bool:
    """Return whether some run has several rows."""
    return bool("run" in table and table.duplicated(run_key(table), keep=False)[table["run"] != ""].any())


def run_key(table: pd.DataFrame) -> list[str]:
    """Return the columns that together tell one run from another."""
    return [name for name in ("group", "run", "seed") if name in table]


def order_curves(rows: RunRows) -> None:
    """Sort the rows by run and step, in place; a row without the name of a run is a run of its own.

    Raises:
        InputError: Some run has several rows and nothing orders them, data or flops go down along a run, or what must
            be constant within a run varies.
    """
    table = rows.table
    several = table[table.duplicated(run_key(table), keep=False) & (table["run"] != "")]
    if "step" not in table or several["step"].isna().any():
        unordered = several if "step" not in table else several[several["step"].isna()]
        raise rows.fail(unordered.index, "several rows have one run and no step; a column step must order them")
    first = pd.Series(np.arange(len(table)), index=table.index)
    table["_place"] = first.groupby(_labels(table)).transform("min")
    rows.table = table = table.sort_values(["_place", "step"], kind="stable").drop(columns="_place")
    labels = _labels(table)
    for column in CUMULATIVE:
        if column in table:
            down = table[column].groupby(labels).diff() < 0
            if down.any():
                runs = ", ".join(dict.fromkeys(table.loc[down, "run"]))
                what = f"{column} goes down along run {runs}; it must count from the beginning of the run"
                raise rows.fail(table.index[down], what)
    for column in CONSTANT:
        if column in table:
            varies = table[column].groupby(labels).transform("nunique") > 1
            if varies.any():
                raise rows.fail(table.index[varies], f"{column} varies within run {table.loc[varies, 'run'].iloc[0]}")


def _labels(table: pd.DataFrame) -> pd.Series:
    """Return a number for each run, the same for its rows."""
    numbers = table.groupby(run_key(table), sort=False).ngroup()
    alone = (table["run"] == "").to_numpy()
    return numbers.where(~alone, -1 - pd.Series(np.arange(len(table)), index=table.index))


def last_rows(table: pd.DataFrame) -> np.ndarray:
    """Return which rows are the last of their run, bool [n]; the rows are ordered."""
    return cast(np.ndarray, ~_labels(table).duplicated(keep="last").to_numpy())


def spread_status(table: pd.DataFrame) -> None:
    """Give every row of a run the worst status that any of its rows has, in place."""
    rank = table["status"].map({"finished": 0, "stopped": 1, "diverged": 2})
    worst = rank.groupby(_labels(table)).transform("max")
    table["status"] = worst.map({0: "finished", 1: "stopped", 2: "diverged"})


def repeated_steps(table: pd.DataFrame) -> np.ndarray:
    """Return which rows have the run and step of a later row, bool [n]."""
    frame = pd.DataFrame({"run": _labels(table), "step": table.get("step", pd.Series(0.0, index=table.index))})
    named = (table["run"] != "").to_numpy()
    return cast(np.ndarray, frame.duplicated(keep="last").to_numpy() & named)

