"""The finite worlds as decision processes: one program for numpy and torch, with the dynamics of their arrays."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from sandtable.simulators.arrays import tree_map
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.instances.catalogue import instance
from sandtable.simulators.ope.linear_mdp import LinearMDP
from sandtable.simulators.random import fold_in, integers, make_key

WORLDS = {
    "R1b": {"horizon": 12},
    "boyan": {"horizon": 9},
    "wang-foster-kakade": {"reward": 0.4},
    "cobs-graph": {"horizon": 6},
    "random": {"states": 16, "actions": 4, "horizon": 12},
}


@pytest.fixture(params=WORLDS)
def world(request):
    return LinearMDP(request.param, **WORLDS[request.param])


def rollout(world, key, **options):
    """Play an episode with keyed actions; return what is seen, a list of arrays a step."""
    state, shown = world.reset(key, **options), []
    for t in range(world.horizon):
        action = integers(fold_in(key, 99), t, world.mdp.actions)
        step = world.step(state, action)
        shown.append([np.asarray(a) for a in (world.observe(state), action, *step[1:4], world.observe(step.state))])
        state = step.state
    return shown


def test_numpy_and_torch_play_the_same_bits(world):
    key = make_key(np.arange(500))
    for one, other in zip(rollout(world, key, episode=2), rollout(world, torch.as_tensor(key), episode=2), strict=True):
        for left, right in zip(one, other, strict=True):
            assert left.dtype == right.dtype
            assert_array_equal(left, right)


def test_observations_and_rewards_have_fixed_types(world):
    seen, _, reward, terminated, truncated, _ = rollout(world, make_key(np.arange(5)))[0]
    assert (seen.dtype, reward.dtype) == (np.int64, np.float64)
    assert terminated.dtype == truncated.dtype == np.bool_
    assert all(world.observation_space.contains(state) for state in seen)


@pytest.mark.parametrize("library", [np.asarray, torch.as_tensor])
def test_rows_do_not_depend_on_their_batch_and_replicas_are_further_rows(world, library):
    key = make_key(np.arange(12))
    whole = rollout(world, library(key))
    for rows, part in ((slice(3, 4), rollout(world, library(key[3:4]))), (slice(None), rollout(world, library(key)))):
        for one, other in zip(whole, part, strict=True):
            for left, right in zip(one, other, strict=True):
                assert_array_equal(left[rows], right)
    for one, other in zip(whole, rollout(world, library(key.reshape(3, 4))), strict=True):
        for left, right in zip(one, other, strict=True):
            assert_array_equal(left.reshape(3, 4), right)


def test_rows_may_be_in_different_steps(world):
    key = make_key(np.arange(4))
    state = world.reset(key)
    later = world.step(state, np.zeros(4, np.int64)).state
    ahead = np.array([False, True, True, False])
    mixed = tree_map(lambda new, old: np.where(ahead, new, old), later, state)
    step = world.step(mixed, np.zeros(4, np.int64))
    one, other = (world.step(each, np.zeros(4, np.int64)) for each in (state, later))
    assert_array_equal(step.reward, np.where(ahead, other.reward, one.reward))
    assert_array_equal(step.state.position, np.where(ahead, other.state.position, one.state.position))


@pytest.mark.slow
def test_step_compiles_whole(world):
    state, action = world.reset(torch.arange(6)), torch.zeros(6, dtype=torch.int64)
    step = torch.compile(world.step, fullgraph=True, backend="eager")
    assert_array_equal(step(state, action).reward, world.step(state, action).reward)


def test_moves_have_the_probabilities_of_the_arrays():
    world, n = LinearMDP("random", states=6, actions=3, seed=5), 100_000
    state = world.reset(make_key(np.arange(n)), state=2)
    for action in range(3):
        drawn = np.bincount(world.step(state, np.full(n, action)).state.position, minlength=6)
        expected = world.transitions()[2, action] * n
        likely = expected > 5
        observed, expected = (np.append(one[likely], one[~likely].sum()) for one in (drawn, expected))
        assert stats.chisquare(observed[expected > 0], expected[expected > 0]).pvalue > 1e-4


def test_successive_moves_and_actions_are_independent():
    """A chain of fair coins: the pairs of successive states, and of states and keyed noise, are uniform."""
    world = LinearMDP("kolter", noise=1.0, horizon=60)
    shown = rollout(world, make_key(np.arange(5000)))
    states, rewards = np.array([one[0] for one in shown]), np.array([one[2] for one in shown])
    noise = rewards - world.rewards()[states, 0]
    bound = 5 / np.sqrt(states.size)
    for other in (states[1:], noise[1:], noise[:-1]):
        assert abs(np.corrcoef(states[:-1].ravel(), other.ravel())[0, 1]) < bound
    assert abs(np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1]) < bound


def test_an_episode_terminates_on_entering_a_terminal_state_and_is_else_truncated():
    world = LinearMDP("boyan", horizon=9)
    shown = rollout(world, make_key(np.arange(300)))
    terminated = np.array([one[3] for one in shown])
    truncated = np.array([one[4] for one in shown])
    arrived = np.array([one[5] for one in shown])
    assert_array_equal(terminated, arrived == 12)
    assert not truncated[:-1].any()
    assert_array_equal(truncated[-1], ~terminated[-1])
    assert 0 < truncated[-1].mean() < 1
    rewards = np.array([one[2] for one in shown])
    assert_array_equal(rewards[1:][terminated[:-1]], 0)  # after the end nothing is paid


@pytest.mark.parametrize("name", ["cobs-graph", "wang-foster-kakade"])
def test_worlds_of_stages_end_by_themselves_at_their_horizon(name):
    world = LinearMDP(name)
    shown = rollout(world, make_key(np.arange(20)))
    assert [bool(one[3].all()) for one in shown] == [False, False, False, True]
    assert not any(one[4].any() for one in shown)


def test_mean_rewards_are_those_of_the_arrays():
    world, n = LinearMDP("wang-foster-kakade", reward=0.4), 40_000
    start = 3 * 5  # (s_1, a_2) of the last stage: -1 or +1 with mean .4 / 2
    for action, mean in ((0, 0.4), (1, 0.2)):
        reward = world.step(world.reset(make_key(np.arange(n)), state=start), np.full(n, action)).reward
        assert set(np.unique(reward)) == {-1.0, 1.0}
        assert reward.mean() == pytest.approx(mean, abs=5 / np.sqrt(n))
    noisy = LinearMDP("R1", noise=0.5)
    reward = noisy.step(noisy.reset(make_key(np.arange(n)), state=1), np.zeros(n, np.int64)).reward
    assert reward.mean() == pytest.approx(noisy.rewards()[1, 0], abs=2.5 / np.sqrt(n))
    assert reward.std() == pytest.approx(0.5, rel=0.02)


def test_episodes_start_anew():
    world = LinearMDP("random", states=30, actions=1, seed=1)
    key = make_key(np.arange(200))
    first, second = (world.reset(key, episode=episode).position for episode in (0, 1))
    assert (first == second).mean() < 0.2
    assert_array_equal(world.reset(key, episode=np.ones(200, np.int64)).position, second)


def test_what_the_world_tells_of_itself():
    world = LinearMDP("R5")
    assert world.features().shape == (5, 1, 2)
    assert world.transitions().shape == (5, 1, 5)
    assert world.rewards().shape == world.target().shape == world.data().shape == (5, 1)
    exact = world.exact()
    assert_allclose(exact.theta, [1, 1])
    assert exact.value == pytest.approx(0.5)
    assert exact.diagnostics.regime == "symmetric stable"
    assert exact.diagnostics.spectral_radius == pytest.approx(1.8)
    assert exact.moments is world.moments()
    assert "terminates the episode" in world.card()
    assert "two nodes" in LinearMDP("cobs-graph").card()
    assert LinearMDP(world.mdp).card() in world.card()


def test_a_world_of_one_s_own():
    mdp = replace(instance("R1"), name="mine", discount=0.5)
    assert LinearMDP(mdp, noise=0.1).exact().diagnostics.discount == 0.5
    with pytest.raises(InputError, match="a FiniteMDP takes no parameters"):
        LinearMDP(mdp, theta=[1.0])


def test_a_pickled_world_is_the_same_without_its_copies():
    world = LinearMDP("boyan")
    rollout(world, torch.arange(3))
    copy = pickle.loads(pickle.dumps(world))
    for one, other in zip(rollout(world, np.arange(3)), rollout(copy, np.arange(3)), strict=True):
        assert_array_equal(one[5], other[5])


@pytest.mark.parametrize("horizon", [0, 2.5])
def test_a_horizon_is_a_number_of_steps(horizon):
    with pytest.raises(InputError, match=f"horizon is {horizon}; it must be a whole number, at least 1"):
        LinearMDP("R1", horizon=horizon)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"state": 13}, r"state must be whole numbers in \[0, 13\), not 13"),
        ({"state": -1}, "state must be whole numbers"),
        ({"state": 0.5}, "state must be whole numbers"),
        ({"state": 12}, r"state must not be terminal; \[12\] are"),
        ({"node": 3}, "takes the reset option 'state' alone"),
    ],
)
def test_starts_that_are_none_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LinearMDP("boyan").reset(make_key([0]), **options)
