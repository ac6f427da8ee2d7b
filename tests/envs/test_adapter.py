"""The adapters' own arguments, and what they refuse."""

import gymnasium as gym
import numpy as np
import pytest

import sandtable  # noqa: F401  # registers the ids
from sandtable.envs.adapter import ProcessEnv, ProcessVectorEnv
from sandtable.simulators.inventory.lost_sales import LostSales


def vector_env(rows=3, **settings):
    return ProcessVectorEnv(LostSales(horizon=6), rows, **settings)


def test_a_reset_without_seed_starts_the_next_episode_of_the_same_key():
    env, vector = ProcessEnv(LostSales(horizon=6)), vector_env()
    process, action = env.process, np.full((1, 1), 5.0)
    env.reset(seed=4)
    env.reset()
    expected = process.step(process.reset(np.array([4]), episode=1), action).reward[0]
    assert env.step(action[0])[1] == expected
    vector.reset(seed=2)
    vector.reset()
    assert vector.step(np.full((3, 1), 5.0))[1][2] == expected


def test_unseeded_environments_differ():
    rewards = []
    for env in (ProcessEnv(LostSales(mean=1000.0)) for _ in range(2)):
        env.reset()
        rewards.append([env.step(np.zeros(1))[1] for _ in range(4)])
    assert rewards[0] != rewards[1]


def test_a_list_of_seeds_names_each_row_s_key():
    some, others = vector_env(), vector_env()
    some.reset(seed=[8, 3, 5])
    others.reset(seed=3)
    action = np.full((3, 1), 4.0)
    a, b = some.step(action)[1], others.step(action)[1]
    assert (a[1], a[2]) == (b[0], b[2])


def test_options_of_reset_reach_the_process():
    env = gym.make("sandtable/Inventory-v0", horizon=10)
    observation, _ = env.reset(seed=0, options={"product": 17, "start": 60})
    assert (observation["product"], observation["period"]) == (17, 60)
    vector = gym.make_vec("sandtable/Inventory-v0", num_envs=3, horizon=10)
    observation, _ = vector.reset(seed=0, options={"product": np.array([1, 2, 3])})
    np.testing.assert_array_equal(observation["product"][:, 0], [1, 2, 3])
    mask = np.array([False, True, True])
    observation, _ = vector.reset(options={"reset_mask": mask, "product": np.array([7, 8, 9]), "start": 3})
    np.testing.assert_array_equal(observation["product"][:, 0], [1, 8, 9])
    np.testing.assert_array_equal(observation["period"][1:, 0], 3)


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (np.zeros((2, 1)), r"shape"),
        (np.zeros(3), r"shape"),
        (np.array([[0.0], [np.nan], [0.0]]), "nan in row 1"),
        (np.array([[0.0], [0.0], [np.inf]]), "inf in row 2"),
    ],
)
def test_actions_of_a_wrong_shape_or_not_finite_are_refused(action, said):
    vector = vector_env()
    vector.reset(seed=0)
    with pytest.raises(ValueError, match=said):
        vector.step(action)


def test_a_step_needs_a_reset_before_it():
    for env, action in ((ProcessEnv(LostSales()), np.zeros(1)), (vector_env(), np.zeros((3, 1)))):
        with pytest.raises(gym.error.ResetNeeded):
            env.step(action)


@pytest.mark.parametrize(
    "mask", [np.zeros(3, bool), np.ones(2, bool), np.array([1, 0, 1]), np.array([[True, False, True]])]
)
def test_masks_that_name_no_rows_are_refused(mask):
    vector = vector_env()
    vector.reset(seed=0)
    with pytest.raises(ValueError, match="reset_mask"):
        vector.reset(options={"reset_mask": mask})


def test_a_masked_reset_cannot_come_first():
    with pytest.raises(ValueError, match="never reset"):
        vector_env().reset(options={"reset_mask": np.array([True, False, True])})


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match="num_envs"):
        vector_env(0)
    with pytest.raises(ValueError, match="autoreset_mode must be one of 'NextStep', 'SameStep', 'Disabled'"):
        vector_env(autoreset_mode="sometimes")
    with pytest.raises(ValueError, match="render_mode"):
        ProcessEnv(LostSales(), render_mode="human")
    with pytest.raises(ValueError, match="2 entries"):
        vector_env().reset(seed=[1, 2])


@pytest.mark.parametrize("text", ["same-step", "same_step", "SameStep", "SAME_STEP"])
def test_autoreset_modes_can_be_written_as_text(text):
    assert vector_env(autoreset_mode=text).autoreset_mode is gym.vector.AutoresetMode.SAME_STEP


def test_render_tells_the_step_the_reward_and_what_is_seen():
    env = gym.make("sandtable/Inventory-v0", render_mode="ansi")
    env.reset(seed=0)
    reward = env.step(np.array([3.0], np.float32))[1]
    lines = env.render().splitlines()
    assert lines[0] == f"step 1, reward {reward:g}"
    assert {line.split(":")[0] for line in lines[1:]} == set(env.observation_space.spaces)


def test_lead_times_can_be_random():
    settings = {"horizon": 30, "lead_time_probabilities": [0.0, 0.5, 0.25, 0.25]}
    env = gym.make("sandtable/Inventory-v0", **settings)
    env.reset(seed=1, options={"product": 5, "start": 90})
    assert env.unwrapped.process.longest_lead_time == 3
    lags = set()
    for _ in range(30):  # one order at a time, until it has come
        waiting = env.step(np.array([40.0], np.float32))
        units, lag = waiting[4]["supplied"], 0
        while waiting[4]["received"] < units and not waiting[3]:
            waiting, lag = env.step(np.zeros(1, np.float32)), lag + 1
        if waiting[3]:
            break
        lags.add(lag)
    assert lags <= {1, 2, 3}
    assert len(lags) > 1
    with pytest.raises(ValueError, match="sum to 1"):
        gym.make("sandtable/Inventory-v0", lead_time_probabilities=[0.5, 0.6])
