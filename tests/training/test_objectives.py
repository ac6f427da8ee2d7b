"""Supervised learning is the pathwise gradient of a world of one step; and the gradient goes through longer worlds."""

from typing import NamedTuple

import gymnasium as gym
import pytest
import torch

from sandtable.simulators.decision_process import Batch, DecisionProcess, Step
from sandtable.simulators.random import uniform
from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.training import MLP, SGD, AdamW, FullBatch, Pathwise, Replicated, Supervised, fit, replica_keys


class TankState(NamedTuple):
    key: torch.Tensor
    t: torch.Tensor
    level: torch.Tensor


class Tank(DecisionProcess):
    """A level that should stay at 1: it starts in [0, 1), takes the inflow, and loses half. It breaks above 5."""

    observation_space = gym.spaces.Dict(level=gym.spaces.Box(-10, 10, (1,)), age=gym.spaces.Box(0, 1, (1,)))
    action_space = gym.spaces.Box(-10, 10, (1,))
    horizon = 4

    def reset(self, key, *, episode=0, offset=0.0):
        return TankState(key, torch.zeros((), dtype=torch.int64), uniform(key, 0).float() + offset)

    def observe(self, state):
        age = torch.ones_like(state.level) * state.t / self.horizon
        return {"level": state.level[..., None], "age": age[..., None]}

    def step(self, state, action):
        level = state.level / 2 + action[..., 0]
        t = state.t + 1
        ended = level > 5
        truncated = (t == self.horizon).expand(level.shape) & ~ended
        return Step(state._replace(t=t, level=level), -((level - 1) ** 2), ended, truncated, {})


class Valve(Replicated):
    """A policy on a dict of observations."""

    def __init__(self, replicas, key):
        super().__init__(replicas)
        self.body = MLP(replicas, 2, [16], 1, key, activation="tanh")

    def forward(self, observation):
        return self.body(torch.cat([observation["level"], observation["age"]], -1))


class Constant(Replicated):
    """Always the same inflow."""

    def __init__(self, inflow):
        super().__init__(len(inflow))
        self.inflow = torch.nn.Parameter(torch.tensor(inflow)[:, None])

    def forward(self, observation):
        return self.inflow[:, None].expand(*observation["level"].shape)


@pytest.mark.parametrize("loss", ["hinge", "square", "cross-entropy"])
def test_supervised_and_pathwise_have_the_same_gradient_on_a_task(loss):
    task, key = SparseParity(10, 2, feedback="full", loss=loss), replica_keys(7, 3)
    network = MLP(3, 10, [16], task.outputs, key=0)
    gradients = []
    for objective in (Supervised(task, 32), Pathwise(task, 32)):
        values, _, _ = objective.loss(network, key, (), 0)
        gradients.append([values, *torch.autograd.grad(values.sum(), list(network.parameters()))])
    for supervised, pathwise in zip(*gradients, strict=True):
        assert torch.equal(supervised, pathwise)


def test_policy_on_a_dict_of_observations_learns_to_hold_the_level():
    objective = Pathwise(Tank(), 32, reset_options={"offset": 0.5})
    training = fit(Valve(2, key=0), objective, key=1, steps=300, optimizer=AdamW(0.01), log_every=50)
    assert min(training.history[-1]["return"]) > -0.01
    assert max(training.history[0]["return"]) < -0.1


def test_return_is_discounted_and_cut_at_the_horizon():
    network, key = Constant([0.0, 1.0]), replica_keys(0, 2)
    whole, _, _ = Pathwise(Tank(), 8).loss(network, key, (), 0)
    longer, _, _ = Pathwise(Tank(), 8, horizon=9).loss(network, key, (), 0)
    first, _, _ = Pathwise(Tank(), 8, horizon=1).loss(network, key, (), 0)
    two, metrics, _ = Pathwise(Tank(), 8, horizon=2, discount=0.5).loss(network, key, (), 0)
    both, _, _ = Pathwise(Tank(), 8, horizon=2).loss(network, key, (), 0)
    assert torch.equal(whole, longer)
    torch.testing.assert_close(two, first + (both - first) / 2)
    assert torch.equal(metrics["return"], -two)


def test_nothing_counts_after_the_end_of_an_episode():
    network, key = Constant([9.0]), replica_keys(0, 1)  # the first inflow breaks the tank
    whole, _, _ = Pathwise(Tank(), 8).loss(network, key, (), 0)
    first, _, _ = Pathwise(Tank(), 8, horizon=1).loss(network, key, (), 0)
    assert torch.equal(whole, first)


def test_pathwise_gradient_matches_finite_differences():
    key, objective = replica_keys(0, 3), Pathwise(Tank(), 8, discount=0.9)
    network = Constant([0.2, 0.6, 1.1]).double()
    loss, _, _ = objective.loss(network, key, (), 0)
    (gradient,) = torch.autograd.grad(loss.sum(), list(network.parameters()))
    shifted = [objective.loss(Constant([0.2 + d, 0.6 + d, 1.1 + d]).double(), key, (), 0)[0] for d in (1e-3, -1e-3)]
    torch.testing.assert_close(gradient[:, 0], ((shifted[0] - shifted[1]) / 2e-3).double(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Supervised(SparseParity(), 0),
        lambda: Pathwise(Tank(), 0),
        lambda: Pathwise(SparseParity(), 1),
        lambda: Pathwise(Tank(), 1, horizon=0),
        lambda: Pathwise(Tank(), 1, discount=1.1),
    ],
)
def test_settings_out_of_range_are_refused(make):
    with pytest.raises(ValueError, match="must"):
        make()


def test_network_whose_parameters_lack_replicas_is_refused():
    network = Constant([0.0, 1.0])
    network.scale = torch.nn.Parameter(torch.ones(3))
    with pytest.raises(ValueError, match="scale must lead with 2 replicas"):
        fit(network, Pathwise(Tank(), 1), key=0, steps=1, optimizer=SGD(0.1))


@pytest.mark.parametrize("activation", ["relu", "tanh", "power-3"])
@pytest.mark.parametrize("settings", [{}, {"widths": [3, 16, 5]}, {"bias": False}])
def test_gradient_by_hand_is_that_of_automatic_differentiation(activation, settings):
    network = MLP(3, 10, [16, 16], 1, key=0, activation=activation, **settings).double()
    task = SparseParity(10, 2, samples=20, loss="square")
    x, target = task.dataset("cpu")
    objective, key = FullBatch(task, Batch(x.double(), target)), replica_keys(7, 3)
    loss, _, _ = objective.loss(network, key, (), 0)
    trained = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    expected = dict(zip(trained, torch.autograd.grad(loss.sum(), list(trained.values())), strict=True))
    gradients, by_hand, _, _ = objective.gradient(network, key, (), 0)
    assert gradients.keys() == trained.keys()
    torch.testing.assert_close(by_hand, loss.detach())
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name])
