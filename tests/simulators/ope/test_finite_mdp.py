"""Finite worlds: exact values and moments, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.finite_mdp import policy_of
from sandtable.simulators.ope.instances.catalogue import instance


@pytest.fixture(scope="module")
def noisy():
    """A world with rewards of the pair and of the state arrived at, and noise."""
    mdp = instance("cobs-graph")
    rewards = np.where(mdp.terminal[:, None], 0.0, np.arange(mdp.states)[:, None] * [0.1, -0.2])
    return replace(mdp, pair_rewards=rewards).with_noise(0.5)


def test_moments_are_the_sums_of_their_definition(noisy):
    """The sums over pairs, next states, next actions and rewards, term by term."""
    d = noisy.features.shape[-1]
    covariance, cross, following = (np.zeros((d, d)) for _ in range(3))
    reward_moment, reward_square = np.zeros(d), 0.0
    for state, action in np.argwhere(noisy.data > 0):
        mu, phi = noisy.data[state, action], noisy.features[state, action]
        covariance += mu * np.outer(phi, phi)
        for after in np.flatnonzero(noisy.transitions[state, action]):
            p = mu * noisy.transitions[state, action, after]
            reward = noisy.pair_rewards[state, action] + noisy.arrival[after]
            reward_moment += p * reward * phi
            reward_square += p * (reward**2 + 0.25)
            for choice in range(noisy.actions):
                psi = noisy.features[after, choice]
                cross += p * noisy.target[after, choice] * np.outer(phi, psi)
                following += p * noisy.target[after, choice] * np.outer(psi, psi)
    moments = noisy.moments()
    assert_allclose(moments.covariance, covariance, atol=1e-15)
    assert_allclose(moments.cross_covariance, cross, atol=1e-15)
    assert_allclose(moments.next_covariance, following, atol=1e-15)
    assert_allclose(moments.reward_moment, reward_moment, atol=1e-15)
    assert_allclose(moments.reward_square, reward_square, atol=1e-15)
    assert (moments.weight, moments.rows, moments.next_features) == (1.0, 0, "mean")
    assert moments.initial_mean @ noisy.exact().theta == pytest.approx(noisy.value())


def test_exact_takes_another_discount(noisy):
    exact = noisy.exact(0.5)
    assert exact.diagnostics.discount == 0.5
    assert exact.value == pytest.approx(noisy.value(0.5))
    assert_allclose(noisy.features @ exact.theta, noisy.action_values(0.5), atol=1e-12)
    assert noisy.exact(0.0).value == pytest.approx((noisy.target * noisy.rewards)[0].sum())


def test_a_policy_that_never_ends_has_no_value_at_discount_one():
    mdp = instance("R4", discount=1.0)
    with pytest.raises(InputError, match="R4: discount 1, but from state 0 the target policy never ends the episode"):
        mdp.exact()
    with pytest.raises(InputError, match="take a discount below 1"):
        instance("R1").value(1)
    assert instance("R5", discount=1.0).exact().value == pytest.approx(0.5)


def test_the_behaviour_policy_is_that_of_the_data():
    mdp = instance("cobs-graph", horizon=1)
    given = mdp.with_data([[0.1, 0.9], [0, 0], [0, 0]])
    assert_allclose(given.behaviour, [[0.1, 0.9], [0.5, 0.5], [0.5, 0.5]])
    assert_allclose(policy_of(mdp.data)[0], mdp.behaviour[0])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([[0.5, 0.5]], r"cobs-graph: data has shape \[1, 2\]; it must be \[3, 2\]"),
        ([[0.5], [0.5], [0]], r"data has shape \[3, 1\]; it must be \[3, 2\]"),
        ([[0.5, "x"], [0, 0], [0, 0]], r"data must be numbers of shape \[3, 2\]"),
        ([[0.5, 0.5], [0, 0], [0]], r"data must be numbers of shape \[3, 2\]"),
        ([[1.5, -0.5], [0, 0], [0, 0]], r"data\[0, 1\] is negative"),
        ([[0.5, 0.4], [0, 0], [0, 0]], r"data sums to 0.9; it must sum to 1"),
        ([[0.5, np.nan], [0, 0], [0, 0]], r"data\[0, 1\] is not finite"),
        ([[0.5, 0.25], [0, 0.25], [0, 0]], "data of state 1 must be 0: the state is terminal"),
    ],
)
def test_data_that_are_no_distribution_over_going_pairs_are_refused(data, message):
    with pytest.raises(InputError, match=message):
        instance("cobs-graph", horizon=1).with_data(data)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"target": np.full((3, 2), 0.4)}, r"target\[0\] sums to 0.8; it must sum to 1"),
        ({"transitions": np.full((3, 2, 3), 0.5)}, r"transitions\[0, 0\] sums to 1.5"),
        ({"initial": np.array([0.5, 0.5, 0])}, "initial of state 1 must be 0: the state is terminal"),
        ({"features": np.ones((3, 2, 2))}, "features of state 1 must be 0: the state is terminal"),
        ({"pair_rewards": np.full((3, 2), np.inf)}, r"pair_rewards\[0, 0\] is not finite"),
        ({"terminal": np.zeros(2, bool)}, r"terminal has shape \(2,\); it must be \(3,\)"),
        ({"theta": np.zeros(3)}, r"theta has shape \[3\]; it must be \[2\]"),
        ({"discount": 1.5}, r"discount is 1.5; it must lie in \[0, 1\]"),
        ({"horizon": 0}, "horizon is 0; it must be a whole number, at least 1"),
        ({"reward_noise": np.full((3, 2), -1.0)}, "reward_noise is a standard deviation and must not be negative"),
        ({"reward_noise": np.full((3, 2), 0.5), "reward_law": "sign"}, "rewards of -1 or"),
        ({"reward_law": "uniform"}, "reward_law is 'uniform'; it must be 'normal' or 'sign'"),
    ],
)
def test_arrays_that_make_no_world_are_refused(changed, message):
    with pytest.raises(InputError, match=message):
        replace(instance("cobs-graph", horizon=1), **changed)
