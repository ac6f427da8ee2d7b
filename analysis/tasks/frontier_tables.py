"""What came out of offline parities, lottery tickets and contests on tables, as tables of a report."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from sandtable.analysis.report import Column, Interval, Table
from sandtable.analysis.tasks.convergence_times import ConvergenceTimes
from sandtable.analysis.tasks.frontier_experiments import DENSE
from sandtable.analysis.tasks.parity_tables import times_of

if TYPE_CHECKING:
    import pandas as pd


def start_name(sparsity: float) -> str:
    """Return how neurons start, in words."""
    return "dense" if sparsity == DENSE else f"{int(sparsity)}-sparse"


def train_times_of(row: Any) -> ConvergenceTimes:
    """Return when the networks of a row knew their own examples."""
    return ConvergenceTimes(row.train_times, row.train_converged, int(row.every))


def grokking_delay(row: Any) -> float:
    """Return the median of t_test / t_train over the seeds that learned the parity; NaN if none did."""
    return float(np.median(row.delays)) if len(row.delays) else math.nan


def frontier_table(rows: "pd.DataFrame") -> Table:
    """Return, for every size, width and start, how many learned, and when."""
    columns = [
        Column("samples m", "number", 0),
        Column("width r", "number", 0),
        Column("start"),
        Column("learned", "percent", 0),
        Column("median t_train", "number", 0),
        Column("median t_test", "number", 0),
        Column("t_test / t_train", "number", 1),
        Column("test error at the end, mean", "number", 3),
        Column("seeds", "number", 0),
        Column("horizon T", "number", 0),
    ]
    cells = []
    for _, row in rows.sort_values(["samples", "width", "sparsity"]).iterrows():
        test = times_of(row)
        cells.append((
            row.samples, row.width, start_name(row.sparsity), Interval(*test.success_rate),
            train_times_of(row).median.value, test.median.value, grokking_delay(row),
            float(np.mean(row.test_errors)), row.seeds, row.steps,
        ))  # fmt: skip
    first = rows.iloc[0]
    return Table(
        f"The ({first.n}, {first.k})-parity from m examples, by perceptrons of width r",
        columns,
        cells,
        note="Learned: an accuracy of 0.99 on fresh examples, with Wilson's interval of 95 %; t_train: first look at "
        "which all of its own examples are told right; ∞: less than half of the seeds. The ratio is the median of the "
        "seeds that learned; – where none did. Every seed has data of its own.",
    )


def lottery_table(rows: "pd.DataFrame") -> Table:
    """Return the times of tickets and controls."""
    columns = [
        Column("neurons"),
        Column("width", "number", 0),
        Column("trained", "number", 0),
        Column("learned", "percent", 0),
        Column("median t_c", "number", 0),
        Column("horizon", "number", 0),
    ]
    cells = []
    for _, row in rows.iterrows():
        times = times_of(row)
        width = row.width if row.neurons == "whole network" else row.kept or row.k
        cells.append((
            row.neurons, width, row.trained, Interval(*times.success_rate), Interval(*times.median), row.steps,
        ))  # fmt: skip
    first = rows.iloc[0]
    return Table(
        f"Lottery tickets of the ({first.n}, {first.k})-parity, online, {start_name(first.sparsity)} start",
        columns,
        cells,
        note="Intervals of 95 %; medians by Kaplan and Meier, ∞: less than half of them learned.",
    )


def contest_table(rows: "pd.DataFrame") -> Table:
    """Return accuracies of perceptrons and forest by table and training rows, the best perceptron's lead with them."""
    columns = [
        Column("table"),
        Column("training rows", "number", 0),
        Column("learner"),
        Column("accuracy", "percent", 1),
        Column("less the forest's", "percent", 1),
        Column("majority", "percent", 1),
    ]
    cells = []
    for (data, _), own in rows.groupby(["data", "rows"], sort=True):
        forest = own[own.learner == "random forest"].iloc[0]
        for _, row in own.iterrows():
            name = row.learner
            if name != forest.learner:
                name = f"{name}, width {int(row.width)}, {start_name(row.sparsity)}"
            lead = None if row.learner == forest.learner else lead_of(row, forest)
            cells.append((str(data), row.rows, name, row.accuracy, lead, row.majority))
    first = rows.iloc[0]
    return Table(
        "Perceptrons and random forests on tables",
        columns,
        cells,
        note=f"Means over {int(first.seeds)} draws of the rows; perceptrons and forest have the same. In brackets the "
        "smallest and the largest difference of a draw. A forest has the leaf size of the best accuracy out of bag.",
    )


def lead_of(row: Any, forest: Any) -> Interval:
    """Return the mean lead in accuracy over the forest with the same rows, with the least and largest of a seed."""
    leads = np.array(row.accuracies) - np.array(forest.accuracies)
    return Interval(float(leads.mean()), float(leads.min()), float(leads.max()))


def best_leads(rows: "pd.DataFrame") -> "dict[tuple[str, int], float]":
    """Return, for each table and number of training rows, the lead of the perceptrons' best mean accuracy."""
    leads = {}
    for (data, size), own in rows.groupby(["data", "rows"]):
        forest = own[own.learner == "random forest"].accuracy.iloc[0]
        leads[str(data), int(str(size))] = float(own[own.learner == "perceptron"].accuracy.max() - forest)
    return leads
