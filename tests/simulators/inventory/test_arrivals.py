import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory import arrivals


def test_fixed_lead_times_are_one_hot():
    shares = arrivals.fixed(np.asarray([0, 2, 1]))
    assert shares.shape == (1, 3, 3)
    assert_array_equal(shares[0].T, [[1, 0, 0], [0, 0, 1], [0, 1, 0]])
    assert_array_equal(arrivals.mean_lead_time(shares), [0, 2, 1])


def test_random_lead_times_have_their_probabilities():
    probabilities = np.asarray([0.0, 0.5, 0.2, 0.3])
    shares = arrivals.random_lead_time(probabilities, 400, 50)
    assert_array_equal(np.sort(shares, axis=1)[:, -1], np.ones((400, 50)))
    assert_array_equal(shares.sum(axis=1), np.ones((400, 50)))
    error = np.sqrt(probabilities * (1 - probabilities) / (400 * 50))
    assert (np.abs(shares.mean(axis=(0, 2)) - probabilities) <= 4 * error).all()


def test_random_lead_time_of_an_order_does_not_depend_on_how_many_there_are():
    probabilities = [0.25, 0.25, 0.5]
    many, few = arrivals.random_lead_time(probabilities, 30, 20, 7), arrivals.random_lead_time(probabilities, 10, 4, 7)
    assert_array_equal(many[:10, :, :4], few)
    assert (arrivals.random_lead_time(probabilities, 30, 20, 8) != many).any()


def test_mean_lead_time_is_over_orders_and_lags():
    shares = np.asarray([[[0.5], [0.5]], [[0.0], [1.0]]])
    assert_allclose(arrivals.mean_lead_time(shares), [0.75])


@pytest.mark.parametrize("shape", [(5, 2, 3), (1, 2, 3), (5, 2, 1), (1, 2, 1)])
def test_shares_that_sum_to_one_are_taken(shape):
    shares = np.full(shape, 0.5, np.float32)
    assert_array_equal(arrivals.checked(shares, 5, 3), np.full(shape, 0.5))
    assert arrivals.checked(shares, 5, 3).dtype == np.float64


@pytest.mark.parametrize("shape", [(2, 3), (4, 2, 3), (5, 2, 2)])
def test_shares_of_another_shape_are_refused(shape):
    with pytest.raises(InputError, match=r"shares must have shape \[5 or 1, lags, 3 or 1\], not"):
        arrivals.checked(np.full(shape, 0.5), 5, 3)


@pytest.mark.parametrize("pair", [(0.5, 0.4), (-0.5, 1.5), (np.nan, 1.0), (np.inf, 0.0)])
def test_shares_that_are_none_are_refused(pair):
    with pytest.raises(InputError, match="arrival shares must not be negative and must sum to 1"):
        arrivals.checked(np.asarray(pair)[None, :, None], 5, 3)


@pytest.mark.parametrize("probabilities", [[0.5, 0.4], [1.5, -0.5], [np.nan, 1.0]])
def test_probabilities_that_are_none_are_refused(probabilities):
    with pytest.raises(InputError, match="must not be negative and must sum to 1"):
        arrivals.random_lead_time(probabilities, 3, 3)


def test_negative_lead_time_is_refused():
    with pytest.raises(InputError, match="lead times must not be negative, but one is -2"):
        arrivals.fixed(np.asarray([1, -2]))
