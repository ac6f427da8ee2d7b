import numpy as np
import pytest

from sandtable.estimators.ope.linear.lstd import LSTD
from sandtable.estimators.ope.linear.minimax_weights import MinimaxWeights
from sandtable.estimators.ope.moments.accumulate import moments_of_log, moments_of_rows
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.instances.catalogue import instance


def test_weights_and_values_give_the_same_value(noisy_log):
    """Linear MWL = linear MQL = LSTD (arXiv 1910.12809, with both classes linear)."""
    moments = moments_of_log(noisy_log())
    weights, values = MinimaxWeights(0.9).fit(moments), LSTD(0.9).fit(moments)
    assert weights.value == pytest.approx(values.value, rel=1e-12)
    np.testing.assert_array_equal(weights.params, values.params)


def test_the_value_is_the_mean_of_ratio_and_reward(noisy_log):
    log = noisy_log()
    result = MinimaxWeights(0.9).fit(moments_of_log(log))
    assert np.mean(result.ratio(log.features) * log.reward) == pytest.approx(result.value, rel=1e-10)
    assert np.mean(result.normalised_ratio(log.features) * log.reward) == pytest.approx(result.normalised_value)
    assert result.normalised_value == pytest.approx(0.1 * result.value)


def test_the_doubly_robust_correction_is_zero(noisy_log):
    """With linear values and linear weights of the same features, the mean of w (r + discount V' - Q) is 0."""
    log = noisy_log()
    result = MinimaxWeights(0.9).fit(moments_of_log(log))
    errors = log.reward + 0.9 * result.predict(log.next_features) - result.predict(log.features)
    assert np.mean(result.ratio(log.features) * errors) == pytest.approx(0.0, abs=1e-10)


def test_tabular_weights_are_the_occupancy_over_the_data():
    """Of a world whose every state has a feature: mu * ratio is the discounted occupancy, d^T (I - discount P)^-1."""
    world = instance("R1c")
    result = MinimaxWeights(0.9).fit(world.moments())
    occupancy = np.linalg.solve(np.eye(2) - 0.9 * world.transitions[:, 0].T, world.initial)
    np.testing.assert_allclose(result.ratio(np.eye(2)) * world.data[:, 0], occupancy, rtol=1e-12)
    assert (result.normalised_ratio(np.eye(2)) * world.data[:, 0]).sum() == pytest.approx(1.0)


def test_without_starts_there_are_no_weights(noisy_log):
    log = noisy_log()
    with pytest.raises(InputError, match="where episodes start"):
        MinimaxWeights(0.9).fit(moments_of_rows(log.features, log.next_features, log.reward))
