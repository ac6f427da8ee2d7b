"""Finite worlds in Gymnasium: episodes that terminate by themselves, numbers for states and actions."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from numpy.testing import assert_array_equal

import sandtable
from sandtable.simulators.errors import InputError

ID = "sandtable/LinearMDP-v0"
assert ID in sandtable.ENVIRONMENTS  # importing the package registers it
ENDING = [{"instance": "R5"}, {"instance": "cobs-graph"}, {"instance": "random-walk", "horizon": 6}]


@pytest.mark.parametrize("settings", ENDING, ids=lambda settings: settings["instance"])
def test_gymnasium_and_stable_baselines_accept_worlds_that_end(settings):
    stable_baselines = pytest.importorskip("stable_baselines3.common.env_checker", reason="needs the extra rl")
    env = gym.make(ID, render_mode="ansi", **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        check_env(env.unwrapped)
        stable_baselines.check_env(env)


@pytest.mark.parametrize("settings", ENDING, ids=lambda settings: settings["instance"])
@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_rows_that_end_at_different_times_do_so_as_in_gymnasium_s_own_vector_env(settings, mode):
    rows = 6
    ours = gym.make_vec(ID, num_envs=rows, autoreset_mode=mode.value, **settings)
    theirs = gym.vector.SyncVectorEnv(
        [lambda: gym.make(ID, disable_env_checker=True, **settings)] * rows, autoreset_mode=mode
    )
    assert_array_equal(ours.reset(seed=3)[0], theirs.reset(seed=3)[0])
    ours.action_space.seed(0)
    ends = 0
    for _ in range(40):
        action = ours.action_space.sample()
        some, others = ours.step(action), theirs.step(action)
        for one, other in zip(some[:4], others[:4], strict=True):
            assert_array_equal(one, other)
        ended = some[2] | some[3]
        ends += int(ended.sum())
        if ended.any() and mode is AutoresetMode.SAME_STEP:
            final = np.array([others[4]["final_obs"][row] for row in np.flatnonzero(ended)], np.int64)
            assert_array_equal(some[4]["final_obs"][ended], final)
    assert ends > 20


def test_states_are_numbers_that_can_index_a_table():
    env = gym.make(ID, instance="boyan", horizon=7)
    seen, _ = env.reset(seed=0)
    assert seen == 0
    visits = {seen: 1}
    for _ in range(7):
        seen, _, terminated, truncated, info = env.step(env.action_space.sample())
        assert isinstance(seen, np.int64)
        visits[seen] = visits.get(seen, 0) + 1
    assert terminated or truncated
    assert (info["episode_length"], sum(visits.values())) == (7, 8)


def test_an_episode_can_start_in_a_given_state():
    vector = gym.make_vec(ID, num_envs=3, instance="boyan")
    assert_array_equal(vector.reset(seed=0, options={"state": 4})[0], [4, 4, 4])
    assert_array_equal(vector.reset(options={"state": np.array([1, 2, 3])})[0], [1, 2, 3])


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (2, r"action is 2 in row 0; it must lie in \[0, 2\)"),
        (-1, "action is -1 in row 0"),
        (0.5, "action is of type float64; it must be whole numbers"),
        ([0], r"action has shape \[1, 1\]"),
    ],
)
def test_actions_that_are_none_are_refused(action, message):
    env = gym.make(ID, disable_env_checker=True, instance="cobs-graph").unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(action)


def test_data_of_one_s_own_come_as_lists():
    env = gym.make(ID, instance="kolter", data=[[0.25], [0.75]], noise=0.5, epsilon=0.0)
    assert_array_equal(env.unwrapped.process.data(), [[0.25], [0.75]])
    assert '"data": [[0.25], [0.75]]' in env.spec.to_json()
    for settings in ({"instance": "kolter", "data": [[1.0]]}, {"instance": "kolters"}, {"instance": "R1", "width": 3}):
        with pytest.raises(InputError):
            gym.make(ID, **settings)


@pytest.mark.slow
def test_stable_baselines_learns_which_way_to_go():
    """In the graph action 0 pays on average 1/2 a step, action 1 the opposite."""
    stable_baselines = pytest.importorskip("stable_baselines3", reason="needs the extra rl")
    from sandtable.agents.stable_baselines import to_sb3

    env = to_sb3(gym.make_vec(ID, num_envs=8, instance="cobs-graph"))
    model = stable_baselines.PPO("MlpPolicy", env, n_steps=64, learning_rate=3e-3, seed=0, device="cpu").learn(4096)
    actions, _ = model.predict(np.arange(7), deterministic=True)
    assert_array_equal(actions, 0)
