import gymnasium as gym
import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

from sandtable.simulators.arrays import namespace
from sandtable.simulators.decision_process import Batch, DecisionProcess, Task
from sandtable.simulators.random import make_key, uniform


class Halving(Task):
    """Seen: a vector of three. To be said: half of it."""

    observation_space = gym.spaces.Box(0, 1, (3,))
    action_space = gym.spaces.Box(0, 1, (3,))

    def sample(self, key):
        x = uniform(key[..., None], namespace(key).arange(3))
        return Batch(x, x / 2)

    def loss(self, output, batch):
        return namespace(output).sum((output - batch.target) ** 2, axis=-1)

    def metrics(self, output, batch):
        return {"bias": namespace(output).mean(output - batch.target, axis=-1)}


class Silent(Halving):
    def metrics(self, output, batch):
        return Task.metrics(self, output, batch)


KEYS = [make_key(np.arange(4)), make_key(np.arange(6)).reshape(2, 3), torch.arange(4), torch.arange(6).reshape(2, 3)]


@pytest.mark.parametrize("key", KEYS, ids=["numpy", "numpy replicas", "torch", "torch replicas"])
def test_task_is_one_step_whose_reward_is_minus_the_loss(key):
    task = Halving()
    state = task.reset(key)
    seen = task.observe(state)
    assert seen.shape == (*key.shape, 3)
    assert state.example.input.shape == state.example.target.shape == (3, *key.shape)
    step = task.step(state, seen)
    assert_array_equal(np.asarray(step.reward), -np.asarray(((seen / 2) ** 2).sum(-1)))
    assert step.terminated.shape == key.shape
    assert step.terminated.all()
    assert not step.truncated.any()
    assert (int(state.t), int(step.state.t), task.horizon) == (0, 1, 1)
    np.testing.assert_allclose(np.asarray(step.info["bias"]), np.asarray(seen / 2).mean(-1), rtol=1e-12)


@pytest.mark.parametrize("episode", [3, np.full(4, 3), np.asarray([3, 3, 3, 0])])
def test_example_of_a_row_is_that_of_its_key_and_episode(episode):
    task, key = Halving(), make_key(np.arange(4))
    state = task.reset(key, episode=episode)
    assert_array_equal(state.episode, np.zeros(4, int) + episode)
    same = task.observe(state) == task.observe(task.reset(key, episode=3))
    assert_array_equal(same.all(axis=1), state.episode == 3)


def test_gradient_of_the_reward_is_minus_that_of_the_loss():
    task = Halving()
    state = task.reset(torch.arange(5))
    prediction = torch.zeros(5, 3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(task.step(state, prediction).reward.sum(), prediction)
    assert_array_equal(gradient.numpy(), 2 * task.observe(state).numpy() / 2)


def test_task_has_no_metrics_of_its_own_accord():
    state = Silent().reset(make_key(np.arange(2)))
    assert Silent().step(state, Silent().observe(state)).info == {}


def test_card_is_the_rules_in_words():
    assert Halving().card() == "Seen: a vector of three. To be said: half of it."
    assert Silent().card() == "Silent"


def test_process_without_its_methods_cannot_be_made():
    with pytest.raises(TypeError, match=r"abstract methods.*observe.*reset.*step"):
        DecisionProcess()
