"""Row i of the vector environment is the environment with seed s + i; how rows end, start anew, and are lost."""

import os
import signal

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

pytest.importorskip("nle", reason="needs the extra nethack")
from sandtable.envs.nethack.env import NetHackEnv
from sandtable.envs.nethack.vector_env import NetHackVectorEnv
from sandtable.simulators.errors import InputError

SHORT = {"max_episode_steps": 12, "observation": "tty_chars,tty_cursor,blstats,message"}


def assert_is_row(row, batch, single):
    """Assert that a row of observations or infos is what an environment of one game gave."""
    for name, value in single.items():
        np.testing.assert_array_equal(batch[name][row], np.array(value, batch[name].dtype), err_msg=f"{name}, row {row}")


def played_alone(seed, actions, **arguments):
    """Yield what an environment says at its reset and at each step; it starts anew in the step after an end."""
    env = NetHackEnv(**arguments)
    observation, info = env.reset(seed=seed)
    yield observation, 0.0, False, False, info
    ended = False
    for action in actions:
        if ended:
            observation, info = env.reset()
            said = observation, 0.0, False, False, info
        else:
            said = env.step(action)
        ended = said[2] or said[3]
        yield said
    env.close()


def assert_rows_are_environments(num_envs, workers, steps, seed, actions=23, **arguments):
    """Play random keys in both; every observation, reward, flag and entry of info must be equal."""
    keys = np.random.default_rng(seed).integers(actions, size=(steps, num_envs))
    vector = NetHackVectorEnv(num_envs, workers, **arguments)
    alone = [played_alone(seed + row, keys[:, row], **arguments) for row in range(num_envs)]
    episodes = 0
    for step in range(-1, steps):
        if step < 0:
            observation, info = vector.reset(seed=seed)
            said = observation, np.zeros(num_envs), np.zeros(num_envs, bool), np.zeros(num_envs, bool), info
        else:
            said = vector.step(keys[step])
        for row, expected in enumerate(next(game) for game in alone):
            assert_is_row(row, said[0], expected[0])
            assert tuple(part[row] for part in said[1:4]) == expected[1:4]
            assert_is_row(row, said[4], expected[4])
        episodes += int(np.sum(said[2] | said[3]))
    vector.close()
    return episodes


def test_row_i_is_the_environment_with_seed_s_plus_i_episode_by_episode():
    assert assert_rows_are_environments(3, 2, steps=40, seed=5, **SHORT) == 9
