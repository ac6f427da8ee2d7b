"""What learning from rewards has to do with supervised learning: two identities, in float64, all actions enumerated."""

import pytest
import torch

from sandtable.simulators.random import fold_in
from sandtable.simulators.tasks.group_operation import GroupOperation
from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.simulators.tasks.tabular import Tabular
from sandtable.training import MLP, Pathwise, Supervised, replica_keys

REPLICAS, ROWS = 2, 48
TASKS = {
    "parity": lambda **settings: SparseParity(12, 3, noise=0.2, samples=40, **settings),
    "group": lambda **settings: GroupOperation("S_3", **settings),
    "table": lambda **settings: Tabular("fair", **settings),
}


def network_for(task):
    return MLP(REPLICAS, task.inputs, [16], task.outputs, key=0, activation="tanh").double()


def gradient(value, network):
    each = torch.autograd.grad(value.sum(), list(network.parameters()), retain_graph=True)
    return torch.cat([one.flatten() for one in each])


@pytest.fixture(autouse=True)
def float64_inputs(monkeypatch):
    """Inputs are float32, exactly so; the networks here are float64."""
    for world in (SparseParity, GroupOperation, Tabular):
        encode = world.encode
        monkeypatch.setattr(world, "encode", lambda self, seen, encode=encode: encode(self, seen).double())


@pytest.mark.parametrize("loss", ["cross-entropy", "hinge", "square"])
@pytest.mark.parametrize("name", TASKS)
def test_gradient_through_the_full_label_reward_is_the_supervised_one(name, loss):
    if name == "group" and loss != "cross-entropy":
        pytest.skip("six classes have no hinge or square loss")
    task, key = TASKS[name](feedback="full", loss=loss), replica_keys(7, REPLICAS)
    network = network_for(task)
    through_the_world, _, _ = Pathwise(task, ROWS).loss(network, key, (), 0)
    batch = task.draw(fold_in(fold_in(key[:, None], torch.arange(ROWS)), 0))
    f = network(task.encode(batch.observation))
    y = 1 - 2 * batch.target
    written_out = {
        "cross-entropy": lambda: -f.log_softmax(-1).gather(-1, batch.target[..., None])[..., 0],
        "hinge": lambda: (1 - y * f[..., 0]).clamp(min=0),
        "square": lambda: (y - f[..., 0]) ** 2,
    }[loss]()
    found, expected = gradient(through_the_world, network), gradient(written_out.mean(-1), network)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["group", "table"])
def test_supervised_learning_is_the_pathwise_gradient_of_the_full_label_reward(name):
    task, key = TASKS[name](feedback="full"), replica_keys(7, REPLICAS)
    network = network_for(task)
    losses = [objective(task, ROWS).loss(network, key, (), 0)[0] for objective in (Supervised, Pathwise)]
    torch.testing.assert_close(*(gradient(loss, network) for loss in losses), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", TASKS)
def test_gradient_of_the_expected_reward_is_that_of_weighted_cross_entropy(name):
    """grad E[r] = -E[p(y|x) grad CE]: what the model already tells right pulls the most."""
    task = TASKS[name](feedback="bandit")
    network = network_for(task)
    state = task.reset(fold_in(replica_keys(3, REPLICAS)[:, None], torch.arange(ROWS)))
    logits = network(task.encode(task.observe(state)))
    actions = [torch.full(state.key.shape, action) for action in range(task.classes)]
    reward = torch.stack([task.step(state, action).reward for action in actions], -1)
    expected_reward = (logits.softmax(-1) * reward).sum(-1).mean(-1)
    batch = task.example(state)
    cross_entropy = task.loss(logits, batch)
    weight = logits.softmax(-1).gather(-1, batch.target[..., None])[..., 0].detach()
    found = gradient(expected_reward, network)
    torch.testing.assert_close(found, -gradient((weight * cross_entropy).mean(-1), network), rtol=1e-10, atol=1e-10)
    unweighted = gradient(cross_entropy.mean(-1), network)
    assert (found + unweighted).abs().max() > 1e-3  # the weights matter
