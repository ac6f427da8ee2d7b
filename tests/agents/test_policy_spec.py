"""Policies as the command line names them, and the actions that they may return."""

import sys
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

from sandtable.agents.policy_spec import PolicyOptions, Turn, checked_action, load_policy
from sandtable.simulators.errors import InputError

SEEN, ACTED = spaces.Box(-1.0, 1.0, (2,)), spaces.Discrete(3)


@pytest.fixture(autouse=True)
def mine(tmp_path, monkeypatch):
    """A module of the user's own in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("my_policies.py").write_text(
        "def first(observation):\n    return int(observation[0] > 0)\n"
        "def broken(observation):\n    return 1 / 0\n"
        "class Counting:\n"
        "    def __init__(self, action_space, seed):\n        self.n, self.count = action_space.n, seed\n"
        "    def __call__(self, observation):\n        self.count += 1\n        return self.count % self.n\n"
        "class Silent:\n    def __init__(self):\n        raise KeyError('weights')\n"
    )
    sys.modules.pop("my_policies", None)
    yield
    sys.modules.pop("my_policies", None)


def test_a_function_sees_the_observation_of_each_game():
    policy = load_policy("my_policies:first", SEEN, ACTED)
    assert policy.act([Turn(0, 0, np.array([0.5, 0])), Turn(1, 4, np.array([-0.5, 0]))]) == [1, 0]
    assert "def first" in policy.source


def test_every_game_has_an_object_of_a_class_of_its_own():
    policy = load_policy("my_policies:Counting", SEEN, ACTED)
    turns = [Turn(0, 0, None), Turn(1, 0, None)]
    assert policy.act(turns) == [1, 2]
    turns[1].step = 1
    assert policy.act(turns[1:]) == [0]
    assert policy.act([Turn(1, 0, None, memory=turns[1].memory)]) == [2]  # a new game begins anew


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("rnadom", "write random, module:function, sb3:ALGO:FILE"),
        ("my_policies:absent", "has no function absent"),
        ("absent_module:policy", "there is no module absent_module"),
        ("sb3:PPO", "write it as sb3:ALGO:FILE"),
        ("sb3:PPO:absent.zip", "there is no file absent.zip"),
    ],
)
def test_a_policy_that_is_not_there_is_refused(spec, said):
    with pytest.raises(InputError, match=said):
        load_policy(spec, SEEN, ACTED)


def test_a_file_that_is_unpickled_must_be_trusted():
    Path("policy.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match="pass --trust"):
        load_policy("sb3:PPO:policy.zip", SEEN, ACTED)


@pytest.mark.parametrize(("name", "said"), [("broken", "ZeroDivisionError"), ("Silent", "KeyError: 'weights'")])
def test_what_a_policy_raises_is_told(name, said):
    with pytest.raises(InputError, match=said):
        load_policy(f"my_policies:{name}", SEEN, ACTED).act([Turn(0, 0, np.zeros(2))])


@pytest.mark.parametrize(
    ("space", "returned", "taken"),
    [
        (ACTED, np.array([2]), 2),
        (ACTED, True, 1),
        (spaces.Box(-1.0, 1.0, (2,)), [1, 0.5], np.array([1, 0.5], np.float32)),
        (spaces.Box(0.0, 9.0, (1,)), 4.0, np.array([4.0], np.float32)),
        (spaces.MultiBinary(2), [True, False], np.array([1, 0], np.int8)),
    ],
)
def test_actions_are_taken_in_the_forms_that_policies_return(space, returned, taken):
    action = checked_action(returned, space, "mine", Turn(0, 0, None))
    np.testing.assert_array_equal(action, taken)
    assert space.contains(action)


@pytest.mark.parametrize(
    ("space", "returned"),
    [
        (ACTED, 3), (ACTED, 1.0), (ACTED, None), (ACTED, "1"), (ACTED, [0, 1]), (ACTED, np.nan),
        (spaces.Box(-1.0, 1.0, (2,)), [0.0, 1.5]), (spaces.Box(-1.0, 1.0, (2,)), [np.nan, 0.0]),
        (spaces.Box(-1.0, 1.0, (2,)), [0.0]), (spaces.Box(0, 9, (1,), np.uint8), [0.5]),
        (spaces.Box(-1.0, 1.0, (2,)), [[1], [1, 2]]), (spaces.MultiDiscrete([2, 2]), [0, 2]),
    ],
)  # fmt: skip
def test_an_action_outside_of_the_space_is_refused(space, returned):
    with pytest.raises(InputError, match=r"--policy mine, game of seed 8, step 3: action .* is not in"):
        checked_action(returned, space, "mine", Turn(8, 3, None))


@pytest.mark.slow
def test_a_saved_policy_draws_by_seed_and_step_and_serves_its_own_spaces_alone(tmp_path):
    sb3 = pytest.importorskip("stable_baselines3", reason="needs the extra rl")
    import gymnasium as gym

    env = gym.make("CartPole-v1")
    sb3.PPO("MlpPolicy", env, n_steps=8, device="cpu").save("ppo")
    trusting = PolicyOptions(trust=True)
    policy = load_policy("sb3:PPO:ppo", env.observation_space, env.action_space, trusting)
    turns = [Turn(seed, step, np.zeros(4, np.float32)) for seed in range(20) for step in range(10)]
    actions = [int(action) for action in policy.act(turns)]
    assert actions[::-1] == [int(action) for action in policy.act(turns[::-1])]
    assert 40 < sum(actions) < 160  # an untrained policy hardly prefers either
    likeliest = load_policy("sb3:PPO:ppo", env.observation_space, env.action_space, PolicyOptions(True, True))
    assert len({int(action) for action in likeliest.act(turns)}) == 1
    assert likeliest.source != policy.source
    with pytest.raises(InputError, match=r"it was trained for actions Discrete\(2\); here are Discrete\(3\)"):
        load_policy("sb3:PPO:ppo", env.observation_space, ACTED, trusting)
    with pytest.raises(InputError, match="it was trained for observations"):
        load_policy("sb3:PPO:ppo", SEEN, env.action_space, trusting)
