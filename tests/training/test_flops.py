"""Operations by formula are those that torch counts, where it counts; what has no formula is named."""

from dataclasses import dataclass

import gymnasium as gym
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sandtable.agents.actor_critic import ActorCritic
from sandtable.agents.inventory.direct_backprop import OrderUpToNetwork
from sandtable.benchmarks.inventory import replay_of
from sandtable.simulators.inventory.replay import InventoryReplay
from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.training import MLP, SGD, Checkpoints, JsonLines, Objective, Pathwise, Single, Supervised, fit
from sandtable.training.flops import Flops, counting
from sandtable.training.networks import Replicated, ReplicatedLinear
from sandtable.training.objectives import Categorical


@dataclass(frozen=True)
class Mean(Objective):
    """The mean output of standard normal inputs; with two updates a step, and a pass without gradients before."""

    shape: tuple[int, ...]
    updates: int = 2

    def collect(self, network, key, carry):
        network(torch.ones(self.shape))
        return carry

    def loss(self, network, key, carry, update):
        return network(torch.ones(self.shape)).flatten(1).mean(-1), {}, carry


def counted_by_torch(network, objective):
    """Return the operations of a step, forward and backward together, as torch counts them."""
    key = torch.arange(network.replicas)
    with FlopCounterMode(display=False) as counter:
        with torch.no_grad():
            carry = objective.collect(network, key, objective.start(network, key))
        for update in range(objective.updates):
            loss, _, carry = objective.loss(network, key, carry, update)
            torch.autograd.grad(loss.sum(), list(network.parameters()), allow_unused=True)
    return counter.get_total_flops()


def counted_in_training(network, objective, steps=1):
    return fit(network, objective, key=0, steps=steps, optimizer=SGD(0.0)).flops


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (MLP(1, 16, [32], 16, key=0), (1, 48, 16)),
        (MLP(3, 16, [32, 64], 16, key=0), (3, 16, 16)),
        (MLP(2, 16, [], 32, key=0, activation="tanh"), (2, 32, 16)),
        (Single(nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.LayerNorm(5), nn.Linear(5, 3))), (1, 11, 7)),
        (Single(nn.Linear(64, 128)), (1, 32, 64)),
        (Single(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Flatten(), nn.Linear(800, 4))), (1, 2, 3, 10, 10)),
        (Single(nn.Sequential(nn.Conv1d(4, 8, 3), nn.ReLU(), nn.Conv1d(8, 6, 2))), (1, 5, 4, 9)),
    ],
)
def test_a_step_counts_what_torch_counts(network, shape):
    flops = counted_in_training(network, Mean(shape))
    assert flops.unknown == ()
    assert flops.total == counted_by_torch(network, Mean(shape))
    assert flops.backward > 0


def test_known_sizes_count_as_published():
    """Linear 64 to 128 for 32 rows: 524,288; a convolution 3 to 8 of 3 x 3 on two images of 10 x 10: 86,400."""
    for module, shape, forward in (
        (nn.Linear(64, 128), (32, 64), 524_288),
        (nn.Conv2d(3, 8, 3, padding=1), (2, 3, 10, 10), 86_400),
    ):
        with counting(module) as count:
            module(torch.zeros(shape, requires_grad=True))
        assert count.flops == Flops(forward, 2 * forward)
        with counting(module) as count, torch.no_grad():
            module(torch.zeros(shape))
        assert count.flops == Flops(forward, 0)


def test_each_output_of_a_grouped_convolution_sees_its_group_alone():
    """Forward only: torch 2.13 counts the gradient of its weights as if there were one group."""
    module, x = nn.Conv1d(4, 8, 3, groups=2), torch.ones(5, 4, 9)
    with FlopCounterMode(display=False) as counter, counting(module) as count:
        module(x)
    assert count.flops.forward == counter.get_total_flops() == 2 * (5 * 8 * 7) * (2 * 3)


def test_the_pathwise_gradient_counts_a_call_a_period():
    """A head of one output is a product and a sum, which torch does not count.

    The first period's stock does not depend on the network, so that its features need no gradient.
    """
    world = InventoryReplay(replay_of(20).panel, 5, starts=(52, 60), window=16)
    network, objective = OrderUpToNetwork(2, 16, (32, 32), 0), Pathwise(world, 16)
    rows = 2 * 16 * 5
    first, second, head = (2 * rows * size for size in (47 * 32, 32 * 32, 32))
    flops = counted_in_training(network, objective)
    assert flops == Flops(first + second + head, first + first * 4 // 5 + 2 * second + 2 * head)
    assert counted_by_torch(network, objective) == flops.total - 3 * head


def test_an_unknown_module_is_named_instead_of_counted_as_nothing():
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.head = nn.LSTM(4, 8, batch_first=True), nn.Linear(8, 1)

        def forward(self, x):
            return self.head(self.cell(x)[0])

    training = fit(Single(Recurrent()), Mean((1, 3, 5, 4)), key=0, steps=2, optimizer=SGD(0.0))
    assert training.flops.unknown == ("module.cell (LSTM)",)
    assert training.flops.total is None
    assert training.flops.forward > 0  # the head's
    assert "flops" not in training.history[-1]


def test_parameters_that_are_used_without_a_call_are_named():
    class Direct(Replicated):
        def __init__(self):
            super().__init__(1)
            self.inner = ReplicatedLinear(1, 16, 16, key=0)

        def forward(self, x):
            return x @ self.inner.weight

    assert counted_in_training(Direct(), Mean((1, 16, 16))).unknown == ("inner (ReplicatedLinear)",)


def test_a_module_may_tell_its_own():
    class Own(Replicated):
        def __init__(self):
            super().__init__(1)
            self.weight = nn.Parameter(torch.ones(1, 16, 16))

        def forward(self, x):
            return x @ self.weight

        def flops(self, x):
            forward = 2 * x.shape[1] * 16 * 16
            return forward, forward

    network, objective = Own(), Mean((1, 32, 16))
    assert counted_in_training(network, objective).total == counted_by_torch(network, objective)


def test_an_actor_critic_counts_what_torch_counts():
    """The critic's head has one output: a product and a sum, which torch does not count."""
    network = ActorCritic(2, gym.spaces.Box(-1, 1, (16,)), Categorical(32), hidden=(16, 16))
    x = torch.ones(2, 48, 16)
    with FlopCounterMode(display=False) as counter, counting(network) as count:
        logits, value = network(x)
        torch.autograd.grad(logits.sum() + value.sum(), [network.flat])
    head = 2 * 2 * 48 * 16
    assert count.flops.unknown == ()
    assert count.flops.total - 3 * head == counter.get_total_flops()


def test_rows_and_checkpoints_tell_what_was_spent(tmp_path):
    def train(steps, folder="kept"):
        settings = {"log_every": 2, "checkpoint": Checkpoints(tmp_path / folder, 2)}
        settings["metrics"] = JsonLines(tmp_path / folder / "metrics.jsonl")
        network = MLP(2, 10, [16], 1, key=0)
        objective = Supervised(SparseParity(10, 2, loss="hinge"), 8)
        return fit(network, objective, key=0, steps=steps, optimizer=SGD(0.1), **settings)

    training = train(6)
    forward = 2 * 2 * 8 * (10 * 16 + 16)
    assert training.flops == Flops(forward, forward + 2 * 2 * 8 * 16)
    assert [row["flops"] for row in training.history] == [[step * training.flops.total / 2] * 2 for step in (2, 4, 6)]
    assert '"flops"' in (tmp_path / "kept/metrics.jsonl").read_text()
    again = train(6)  # finished: nothing is left to count
    assert again.flops == training.flops
    assert again.history == training.history
