"""Logs that are drawn from a world: what is in them, and that their averages are the exact moments."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.finite_mdp import policy_of
from sandtable.simulators.ope.linear_mdp import LinearMDP
from sandtable.simulators.random import fold_in, make_key

DATA = [[0.3, 0.1], [0.0, 0.2], [0.4, 0.0], *[[0.0, 0.0]] * 4]


@pytest.fixture(scope="module")
def graph():
    return LinearMDP("cobs-graph", DATA, horizon=3)


def assert_rows_belong_to_the_world(log, world, policy):
    mdp, pair = world.mdp, (log.observation, log.action)
    assert (mdp.transitions[(*pair, log.next_observation)] > 0).all()
    assert_array_equal(log.features, mdp.features[pair])
    assert_allclose(log.next_features, mdp.state_features[log.next_observation])
    assert_array_equal(log.next_features[log.terminated], 0)
    assert_array_equal(log.next_target_probability[log.terminated], 0)
    assert_array_equal(log.target_probability, mdp.target[log.observation])
    assert_array_equal(log.next_target_probability[~log.terminated], mdp.target[log.next_observation[~log.terminated]])
    assert_allclose(log.behaviour_probability, policy[pair])
    assert_array_equal(log.terminated, mdp.terminal[log.next_observation])
    assert not mdp.terminal[log.observation].any()
    assert not (log.terminated & log.truncated).any()
    assert log.actions == mdp.actions


def test_independent_transitions_belong_to_the_world(graph):
    log = graph.sample(2000, 0)
    assert_rows_belong_to_the_world(log, graph, policy_of(np.array(DATA)))
    assert log.independent
    assert len(log) == log.episodes == 2000
    assert_array_equal(log.step, 0)
    assert_array_equal(log.truncated, ~log.terminated)
    assert_allclose(log.initial_features, (graph.mdp.initial @ graph.mdp.state_features)[None])
    assert_array_equal(np.asarray(DATA)[log.observation, log.action] > 0, True)


def test_averages_of_independent_transitions_are_the_exact_moments(graph):
    n = 200_000
    log, moments = graph.sample(n, 1), graph.moments()
    bound = 5 / np.sqrt(n)
    assert_allclose(log.features.T @ log.features / n, moments.covariance, atol=bound)
    assert_allclose(log.features.T @ log.next_features / n, moments.cross_covariance, atol=bound)
    assert_allclose(log.features.T @ log.reward / n, moments.reward_moment, atol=bound)


@pytest.mark.parametrize(("name", "settings"), [("cobs-graph", {}), ("boyan", {"horizon": 9}), ("R1b", {"horizon": 4})])
def test_episodes_are_whole_and_in_order(name, settings):
    horizon = settings.get("horizon")
    world = LinearMDP(name, horizon=horizon)
    log = world.sample(300, 5, "episodes")
    assert_rows_belong_to_the_world(log, world, world.mdp.behaviour)
    assert not log.independent
    assert log.episodes == 300
    last = np.zeros(len(log), bool)
    last[log.last] = True
    assert_array_equal(log.terminated | log.truncated, last)
    assert_array_equal(log.step[log.truncated], world.horizon - 1)
    within = np.flatnonzero(~last)
    assert_array_equal(log.episode[within + 1], log.episode[within])
    assert_array_equal(log.step[within + 1], log.step[within] + 1)
    assert_array_equal(log.observation[within + 1], log.next_observation[within])
    assert_array_equal(log.step[log.first], 0)
    assert_allclose(log.initial_features, world.mdp.state_features[log.observation[log.first]])


def test_an_episode_is_that_of_its_key_in_the_world():
    world = LinearMDP("boyan")
    log = world.sample(4, 7, "episodes")
    state = world.reset(fold_in(make_key(7), np.arange(4)))
    for t in range(5):
        rows = log.step == t
        assert_array_equal(log.observation[rows], state.position[log.episode[rows]])
        state = world.step(state, np.zeros(4, np.int64)).state
    assert_array_equal(log.observation, world.sample(4, make_key(7), "episodes").observation)
    more = world.sample(9, 7, "episodes")
    assert_array_equal(more.reward[more.episode < 4], log.reward)


def test_the_behaviour_policy_acts_in_episodes(graph):
    log = graph.sample(20_000, 3, "episodes")
    first = log.action[log.first]
    assert (first == 0).mean() == pytest.approx(0.75, abs=0.02)  # as the data: .3 of .4
    deep = log.action[log.step == 2]
    assert (deep == 0).mean() == pytest.approx(0.5, abs=0.02)  # no data there: uniform


def test_returns_of_episodes_have_the_value_as_their_mean():
    world = LinearMDP("cobs-graph", target=0.8)
    log = world.sample(40_000, 2, "episodes")
    assert (log.reward * 0.98**log.step).sum() / 40_000 == pytest.approx(world.exact().value, abs=0.05)


@pytest.mark.parametrize(
    ("n", "mode", "message"),
    [(0, "iid", "n is 0; it must be a whole number, at least 1"), (1.5, "iid", "n is 1"), (5, "all", "mode is 'all'")],
)
def test_what_cannot_be_drawn_is_refused(n, mode, message, graph):
    with pytest.raises(InputError, match=message):
        graph.sample(n, 0, mode)
