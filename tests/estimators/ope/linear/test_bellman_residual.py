import numpy as np
import pytest

from sandtable.estimators.ope.linear.bellman_residual import DOUBLE_SAMPLING, BellmanResidual
from sandtable.estimators.ope.moments.accumulate import moments_of_log
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.instances.catalogue import instance


def test_it_is_least_squares_of_the_temporal_difference_error(noisy_log):
    log = noisy_log()
    regressors = log.features - 0.9 * log.next_features
    expected, *_ = np.linalg.lstsq(regressors, log.reward)
    found = BellmanResidual(0.9).fit(moments_of_log(log, next_taken="drawn"))
    np.testing.assert_allclose(found.params, expected, rtol=1e-10)
    ridged = BellmanResidual(0.9, 0.5).fit(moments_of_log(log, next_taken="drawn"))
    mean = regressors.T @ regressors / len(log) + 0.5 * np.eye(5)
    np.testing.assert_allclose(ridged.params, np.linalg.solve(mean, regressors.T @ log.reward / len(log)), rtol=1e-10)


@pytest.mark.parametrize("name", ["R3", "R4", "R4b", "R5", "R6"])
def test_it_is_exact_where_nothing_is_random(name):
    world = instance(name)
    np.testing.assert_allclose(BellmanResidual(0.9).fit(world.moments()).params, world.theta, atol=1e-6)


def test_it_is_biased_where_next_states_are_random_and_says_so():
    """R1: P = 1/2, features 1 and 2. E(phi - .9 phi')^2 = 2.5 - 1.8 * 2.25 + .81 * 2.5 = .475, and with the rewards
    phi - .9 * 1.5 it leaves E(phi - .9 phi')(phi - 1.35) / .475 = .2725 / .475."""
    result = BellmanResidual(0.9).fit(instance("R1").moments())
    assert result.params[0] == pytest.approx(0.2725 / 0.475)
    assert result.reason == DOUBLE_SAMPLING
    assert "biased" in result.estimate().summary()


@pytest.mark.parametrize("name", ["random-walk", "cobs-graph", "R1b"])
def test_products_of_next_features_and_rewards_are_exact_also_where_rewards_depend_on_the_next_state(name):
    world = instance(name)
    expected = np.zeros(world.features.shape[-1])
    for state, action, following in np.ndindex(world.transitions.shape):
        chance = world.data[state, action] * world.transitions[state, action, following]
        paid = world.pair_rewards[state, action] + world.arrival[following]
        expected += chance * paid * world.state_features[following] * (not world.terminal[state])
    np.testing.assert_allclose(world.moments().next_reward_moment, expected, atol=1e-12)


def test_moments_of_mean_features_do_not_serve_it(noisy_log):
    with pytest.raises(InputError, match="drawn or enumerated actions"):
        BellmanResidual(0.9).fit(moments_of_log(noisy_log()))
