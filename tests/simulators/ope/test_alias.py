"""Alias tables draw what they were made of, exactly, and to the same bits in numpy and torch."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from sandtable.simulators.ope.alias import AliasTables, alias_tables
from sandtable.simulators.random import bits, make_key


def words(n, seed=0):
    return bits(make_key(np.arange(n)), seed)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60).filter(lambda weights: sum(weights) > 1e-3))
def test_a_table_draws_its_distribution(weights):
    probabilities = np.array(weights) / sum(weights)
    drawn = alias_tables(probabilities[None]).probabilities(0, len(weights))
    assert_allclose(drawn, probabilities, rtol=0, atol=2.0**-31)
    assert_array_equal(drawn > 0, probabilities > 0)
    assert drawn.sum() == pytest.approx(1, abs=1e-15)


def test_rows_that_are_alike_share_their_cells():
    rows = np.array([[0.5, 0.5, 0], [0, 0, 1], [0.5, 0.5, 0]])
    tables = alias_tables(rows)
    assert tables.cells.nbytes == 8 * 3
    assert tables.rows[0] == tables.rows[2]
    for row in range(3):
        assert_allclose(tables.probabilities(row, 3), rows[row], atol=1e-9)


def test_draws_have_the_frequencies_of_their_row():
    probabilities = np.random.default_rng(0).dirichlet(np.full(12, 2.0), size=3)
    tables, n = alias_tables(probabilities), 200_000
    for row in range(3):
        drawn = np.bincount(tables.draw(words(n, row), np.full(n, row)), minlength=12)
        assert stats.chisquare(drawn, probabilities[row] * n).pvalue > 1e-4


def test_an_outcome_of_probability_zero_is_never_drawn():
    tables = alias_tables(np.array([[0.0, 0.3, 0.0, 0.7, 0.0]]))
    extreme = np.array([0, -1, 2**63 - 1, -(2**63), 2**31 - 1, 2**32 - 1, 2**32], np.int64)
    drawn = tables.draw(np.concatenate([extreme, words(10_000)]), np.zeros(10_007, np.int64))
    assert set(drawn.tolist()) == {1, 3}


def test_numpy_and_torch_draw_the_same():
    tables = alias_tables(np.random.default_rng(1).dirichlet(np.full(700, 0.3), size=20))
    rows = np.arange(6000).reshape(3, 2000) % 20
    word = words(6000).reshape(3, 2000)
    drawn = tables.draw(word, rows)
    by_torch = AliasTables(*map(torch.as_tensor, tables)).draw(torch.as_tensor(word), torch.as_tensor(rows))
    assert by_torch.dtype == torch.int64
    assert drawn.dtype == np.int64
    assert_array_equal(drawn, by_torch.numpy())


@pytest.mark.parametrize("wrong", [[[0.5, 0.4]], [[1.5, -0.5]], [0.5, 0.5], [[]], [[np.nan, 1.0]]])
def test_what_is_no_distribution_is_refused(wrong):
    with pytest.raises(ValueError, match="probabilities must be"):
        alias_tables(np.array(wrong))
