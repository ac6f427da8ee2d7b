"""A target policy comes from columns, a rule, a function or a saved model; what is none is refused by name."""

import sys

import numpy as np
import pytest

from sandtable.agents.ope.target_policy import load_target, with_target
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.logged_steps import LoggedSteps

FUNCTIONS = """
import numpy as np

def even(state): return np.full((len(state), 2), 0.5)
def three(state): return np.full((len(state), 3), 1 / 3)
def one(state): return np.ones((len(state), 1))
def numbers(state): return np.ones(len(state))
def more(state): return np.full((len(state), 2), 0.6)
def negative(state): return np.stack([np.full(len(state), 1.5), np.full(len(state), -0.5)], axis=1)
def late(state): return np.where((state == 7)[:, None], np.nan, 0.5) * np.ones(2)
def fall(state): raise KeyError("state")
def vandal(state):
    state[:] = 0
    return np.full((len(state), 2), 0.5)
class Kind: pass
"""


@pytest.fixture
def log():
    return LoggedSteps(
        actions=2, episode=np.array([0, 0, 1]), step=np.array([0, 1, 0]), action=np.array([0, 1, 1]),
        reward=np.ones(3), terminated=np.array([False, True, False]), truncated=np.array([False, False, True]),
        observation=np.array([5, 6, 7]), next_observation=np.array([6, 6, 8]), rows=np.array([2, 3, 4]),
        source="log.csv",
    )  # fmt: skip


@pytest.fixture
def functions(tmp_path, monkeypatch):
    """A module of policies in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "own_target.py").write_text(FUNCTIONS)
    sys.modules.pop("own_target", None)
    yield
    sys.modules.pop("own_target", None)


def test_columns_leave_the_log_as_it_is(log):
    assert with_target(log, load_target("columns")) is log


def test_uniform_is_uniform_and_nothing_follows_a_termination(log):
    made = with_target(log, load_target("uniform"))
    assert made.target_probability.tolist() == [[0.5, 0.5]] * 3
    assert made.next_target_probability.tolist() == [[0.5, 0.5], [0, 0], [0.5, 0.5]]


def test_a_function_is_asked_at_each_observation_and_at_what_followed(log, functions):
    made = with_target(log, load_target("own_target:three"))
    assert made.actions == 3
    assert np.allclose(made.target_probability, 1 / 3)
    assert made.next_target_probability[1].tolist() == [0, 0, 0]
    assert "np.full((len(state), 3)" in load_target("own_target:three").source


def test_a_function_may_write_into_what_it_is_given(log, functions):
    with_target(log, load_target("own_target:vandal"))
    assert log.observation.tolist() == [5, 6, 7]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("one", "it returned probabilities of 1 actions, and the log has 2; row 3 holds action 1"),
        ("numbers", "it returned shape [3] for 3 observations; return probabilities, of shape [3, actions]"),
        ("more", "row 2 of log.csv: it returned [0.6, 0.6], which are no probabilities that sum to 1"),
        ("negative", "it returned [1.5, -0.5], which are no"),
        ("late", "row 4 of log.csv: it returned [nan, nan]"),
        ("fall", "--target own_target:fall: it raised KeyError: 'state'"),
    ],
)
def test_what_returns_no_probabilities_is_refused(log, functions, name, said):
    with pytest.raises(InputError) as raised:
        with_target(log, load_target(f"own_target:{name}"))
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("nosuchmodule:policy", "--target nosuchmodule:policy: there is no module nosuchmodule"),
        ("own_target:absent", "own_target has no function absent"),
        ("own_target:Kind", "this is a class; name a function of observations"),
        ("greedy", "--target greedy: write it as module:function"),
        ("sb3:PPO", "write it as sb3:ALGO:FILE"),
        ("sb3:PPO:absent.zip", "there is no file absent.zip"),
        ("sb3:PPO:own_target.py", "unpickles it, which runs whatever code it holds; pass --trust"),
    ],
)
def test_a_name_that_names_no_policy_is_refused(functions, spec, said):
    with pytest.raises(InputError) as raised:
        load_target(spec)
    assert said in str(raised.value)


def test_a_function_needs_observations(log, functions):
    with pytest.raises(InputError, match=r"log\.csv holds no observations; log state"):
        with_target(log.with_(observation=None), load_target("own_target:even"))


def test_a_saved_model_of_stable_baselines3_is_a_policy(log, functions):
    pytest.importorskip("stable_baselines3", reason="needs the extra rl")
    import gymnasium as gym
    from stable_baselines3 import DQN, PPO

    class Walk(gym.Env):
        observation_space, action_space = gym.spaces.Box(-9, 9, (1,)), gym.spaces.Discrete(2)

        def reset(self, seed=None, options=None):
            return np.zeros(1, np.float32), {}

    PPO("MlpPolicy", Walk(), seed=0).save("walker.zip")
    DQN("MlpPolicy", Walk(), seed=0, buffer_size=10).save("greedy.zip")
    seen = log.with_(observation=np.array([[5.0], [6], [7]]), next_observation=np.array([[6.0], [6], [8]]))
    soft = with_target(seen, load_target("sb3:PPO:walker.zip", trust=True)).target_probability
    assert ((soft > 0.2) & (soft < 0.8)).all()
    greedy = with_target(seen, load_target("sb3:DQN:greedy.zip", trust=True)).target_probability
    assert np.isin(greedy, [0, 1]).all()
    with pytest.raises(InputError, match="has no algorithm PPPO"):
        load_target("sb3:PPPO:walker.zip", trust=True)
    with pytest.raises(InputError, match="cannot be loaded as PPO"):
        load_target("sb3:PPO:own_target.py", trust=True)
