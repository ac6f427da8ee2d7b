"""Tables of runs: columns that are absent, rows that are chosen, budgets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandtable.simulators.scaling.runs import Finding, Runs, number_budgets, split_budgets


def table():
    return Runs.of(parameters=[1, 2, 3], loss=[3.0, np.nan, 1.0], group=["a", "b", "a"], flops=[1e18, 1e19, 1.02e18])


def test_absent_columns_are_none_and_rows_count_from_the_header():
    assert table().data is None
    assert table().rows.tolist() == [2, 3, 4]
    assert set(table().names()) == {"parameters", "loss", "group", "flops"}


def test_selecting_keeps_every_column_in_step():
    chosen = table().select(np.array([True, False, True]))
    assert chosen.rows.tolist() == [2, 4]
    assert chosen.loss.tolist() == [3.0, 1.0]
    assert chosen.data is None


def test_complete_runs_have_every_named_value():
    assert table().complete("parameters", "loss").rows.tolist() == [2, 4]


def test_groups_come_in_the_order_of_their_first_rows():
    assert {name: runs.rows.tolist() for name, runs in table().by_group().items()} == {"a": [2, 4], "b": [3]}
    assert list(Runs.of(loss=[1.0]).by_group()) == [""]


def test_what_does_not_exist_is_named():
    with pytest.raises(ValueError, match="no column parameters_non_embedding; there are parameters"):
        table().size("parameters_non_embedding")
    with pytest.raises(ValueError, match="loss must have the shape of rows"):
        Runs(rows=np.arange(2), loss=np.ones(3))
    with pytest.raises(ValueError, match="code must be one of"):
        Finding("odd", "nothing")


def test_a_budget_ends_at_a_gap_above_five_per_cent():
    assert split_budgets(np.array([1e18, 1.04e18, 1.08e18, 1.15e18])).tolist() == [0, 0, 0, 1]


@given(st.lists(st.floats(1e6, 1e30), min_size=0, max_size=30))
def test_budgets_are_numbered_by_compute_and_do_not_depend_on_the_order_of_rows(flops):
    flops = np.array(flops)
    labels = split_budgets(flops)
    assert (np.diff(labels[np.argsort(flops)]) >= 0).all()
    assert split_budgets(flops[::-1])[::-1].tolist() == labels.tolist()


def test_declared_budgets_are_numbered_by_their_median_compute():
    assert number_budgets(np.array(["big", "small", "big"]), np.array([5.0, 1.0, 7.0])).tolist() == [1, 0, 1]
