"""The random policy: even, in its space, and a function of seed and step alone."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

from sandtable.agents.policy_spec import Turn
from sandtable.agents.random_policy import BLOCK, RandomPolicy
from sandtable.simulators.errors import InputError

SPACES = [
    spaces.Discrete(5, start=-2),
    spaces.MultiDiscrete([[2, 3], [4, 5]]),
    spaces.MultiBinary((2, 3)),
    spaces.Box(np.array([-1.0, 2.0], np.float32), np.array([1.0, 3.0], np.float32)),
    spaces.Box(0, 255, (2, 2), np.uint8),
    spaces.Box(np.array([-np.inf, 0.0, -np.inf]), np.array([np.inf, np.inf, 3.0]), dtype=np.float64),
    spaces.Dict({"a": spaces.Discrete(3), "b": spaces.Tuple([spaces.MultiBinary(2), spaces.Box(0.0, 1.0, (2,))])}),
]


def played(space: gym.Space, seed: int, steps: int) -> list:
    policy, turn, actions = RandomPolicy(space), Turn(seed, 0, None), []
    for turn.step in range(steps):
        actions += policy.act([turn])
    return actions


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_actions_lie_in_their_space(space):
    assert all(space.contains(action) for action in played(space, 7, 300))


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_an_action_is_a_function_of_seed_and_step(space):
    turns = [Turn(seed, step, None) for seed in (3, 4) for step in (0, BLOCK - 1, BLOCK, 5 * BLOCK + 17)]
    together = RandomPolicy(space).act(turns)
    alone = [RandomPolicy(space).act([Turn(turn.seed, turn.step, None)])[0] for turn in reversed(turns)]
    in_a_row = played(space, 3, BLOCK + 1)
    np.testing.assert_equal(together, alone[::-1])
    np.testing.assert_equal(together[:3], [in_a_row[0], in_a_row[BLOCK - 1], in_a_row[BLOCK]])


def test_draws_are_even_and_parts_of_a_space_are_independent():
    """Standard errors of 20,000 draws: 0.0035 for a share of 1/2, 0.007 for a correlation."""
    actions = np.array([played(spaces.MultiDiscrete([2, 4]), seed, 200) for seed in range(100)]).reshape(-1, 2)
    assert np.bincount(actions[:, 1]) / len(actions) == pytest.approx([0.25] * 4, abs=0.014)
    assert actions[:, 0].mean() == pytest.approx(0.5, abs=0.015)
    assert abs(np.corrcoef(actions.T)[0, 1]) < 0.03
    assert abs(np.corrcoef(actions[1:, 0], actions[:-1, 0])[0, 1]) < 0.03


def test_a_space_without_a_law_is_refused():
    with pytest.raises(InputError, match="it draws no actions of Text"):
        RandomPolicy(spaces.Text(5))
