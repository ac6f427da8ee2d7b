"""Fourier analysis of bits: closed forms are what enumeration gives."""

from itertools import combinations

import numpy as np
import pytest

from sandtable.simulators.errors import InputError
from sandtable.simulators.tasks.boolean_fourier import (
    fourier_coefficients,
    fourier_gap,
    hypercube,
    majority_coefficient,
    majority_gap,
)


def test_coefficients_are_those_of_the_definition():
    values = np.random.default_rng(0).normal(size=(2, 3, 32))
    inputs = hypercube(5)
    sets = [[i for i in range(5) if s >> i & 1] for s in range(32)]
    products = np.stack([inputs[:, members].prod(1) for members in sets])
    assert fourier_coefficients(values) == pytest.approx(values @ products.T / 32, abs=1e-14)


def test_parity_has_one_coefficient():
    parity = hypercube(7)[:, [1, 4, 6]].prod(1)
    coefficients = fourier_coefficients(parity)
    assert coefficients[0b1010010] == 1
    assert np.abs(coefficients).sum() == 1


def test_squares_of_coefficients_sum_to_the_mean_square():
    """Parseval."""
    values = np.random.default_rng(1).normal(size=1024)
    assert (fourier_coefficients(values) ** 2).sum() == pytest.approx((values**2).mean(), rel=1e-12)


@pytest.mark.parametrize("n", [1, 3, 5, 9, 13])
def test_majority_coefficients_are_those_of_the_enumeration(n):
    coefficients = fourier_coefficients(np.sign(hypercube(n).sum(1)))
    order = ((1 - hypercube(n)) / 2).sum(1).astype(int)  # set s has the size of the number of bits of s
    expected = np.asarray([majority_coefficient(n, s) for s in range(n + 1)])
    assert np.abs(coefficients - expected[order]).max() < 1e-10


def test_majority_coefficients_at_nine_coordinates():
    """O'Donnell's formula at n = 9, s = 1, 3, 5, 7, 9."""
    expected = [0.2734375, -0.0390625, 0.0234375, -0.0390625, 0.2734375]
    assert [majority_coefficient(9, s) for s in (1, 3, 5, 7, 9)] == expected
    assert majority_coefficient(9, 4) == 0
    assert [abs(majority_coefficient(15, s)) for s in (1, 3)] == pytest.approx([0.209473, 0.0161133], rel=3e-6)


@pytest.mark.parametrize(
    ("n", "k", "gap"),
    [
        *[(15, 2, 0.193359), (15, 4, 0.0117188), (31, 2, 0.139483), (31, 4, 0.00442803)],
        *[(51, 2, 0.109984), (51, 4, 0.00214507), (101, 4, 0.000779068)],
    ],
)
def test_gaps_of_the_majority(n, k, gap):
    """Six digits, computed by another program when the task was described."""
    assert majority_gap(n, k) == pytest.approx(gap, rel=5e-6)


@pytest.mark.parametrize(("n", "k"), [(5, 2), (9, 2), (9, 4), (9, 3), (7, 7), (3, 2)])
def test_gap_in_closed_form_is_that_of_the_enumeration_at_any_subset(n, k):
    majority = np.sign(hypercube(n).sum(1))
    for subset in list(combinations(range(n), k))[:: max(1, n - 2)]:
        assert fourier_gap(majority, subset) == pytest.approx(majority_gap(n, k), abs=1e-14)


def test_signs_of_the_weights_do_not_change_the_gap():
    signs = np.asarray([1, -1, -1, 1, 1, -1, 1])
    assert fourier_gap(np.sign(hypercube(7) @ signs), (0, 3)) == pytest.approx(majority_gap(7, 2), abs=1e-15)


def test_odd_parities_have_no_signal_without_biases():
    assert majority_gap(51, 3) == 0
    with_bias = hypercube(7).sum(1) + 1.5 > 0
    assert fourier_gap(with_bias, (0, 1, 2)) != 0


def test_coefficients_of_many_coordinates_neither_overflow_nor_vanish():
    assert 0 < abs(majority_coefficient(2001, 7)) < 1e-9
    assert majority_coefficient(2001, 1) == pytest.approx(np.sqrt(2 / np.pi / 2001), rel=1e-3)


@pytest.mark.parametrize(("n", "order"), [(4, 1), (0, 0), (-3, 1), (5, 6), (5, -1)])
def test_impossible_coefficients_are_refused(n, order):
    with pytest.raises(InputError, match=r"odd number|must lie"):
        majority_coefficient(n, order)


@pytest.mark.parametrize("k", [0, 6])
def test_parity_larger_than_the_input_is_refused(k):
    with pytest.raises(InputError, match="does not fit n = 5"):
        majority_gap(5, k)


def test_functions_and_subsets_that_do_not_fit_are_refused():
    for values in (np.zeros(6), np.zeros(0), np.float64(1)):
        with pytest.raises(ValueError, match="power of two"):
            fourier_coefficients(values)
    for subset in [(), (0, 0), (3,), (-1,)]:
        with pytest.raises(ValueError, match="distinct coordinates of the 3"):
            fourier_gap(np.zeros(8), subset)
    with pytest.raises(InputError, match="enumerated"):
        hypercube(21)
