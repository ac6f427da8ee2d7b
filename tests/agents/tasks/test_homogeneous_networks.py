"""Networks of margins: how they start, and the table without one-hot products."""

import numpy as np
import pytest
import torch

from sandtable.agents.tasks.homogeneous_networks import PairNetwork, PowerNetwork, whole_cube, whole_table
from sandtable.analysis.tasks.margins import group_network_margin, parity_network_margin
from sandtable.simulators.tasks.group_operation import GroupOperation
from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.training import SGD, FullBatch, NeuronNorm, Penalised, fit, replica_keys

TASK = GroupOperation("S_3", feedback="full")
KEY = replica_keys(0, 2)


def pairs(activation="power-2"):
    return PairNetwork(2, 6, 10, key=0, activation=activation, variance=1 / 6).double()


@pytest.mark.parametrize("activation", ["power-2", "relu"])
def test_table_is_that_of_one_hot_inputs(activation):
    network, examples = pairs(activation), TASK.dataset("cpu")
    one_hot, table = FullBatch(TASK, examples), FullBatch(TASK, whole_table(TASK))
    expected, _, _ = one_hot.loss(network, KEY, (), 0)
    assert expected.dtype == torch.float64
    torch.testing.assert_close(table.loss(network, KEY, (), 0)[0], expected)
    slow, fast = one_hot.gradient(network, KEY, (), 0)[0], table.gradient(network, KEY, (), 0)[0]
    assert slow.keys() == fast.keys()
    for name, gradient in slow.items():
        torch.testing.assert_close(fast[name], gradient)


@pytest.mark.parametrize("activation", ["power-2", "relu"])
def test_gradient_by_hand_is_the_differentiated_one(activation):
    network, objective = pairs(activation), FullBatch(TASK, whole_table(TASK))
    loss, _, _ = objective.loss(network, KEY, (), 0)
    trained = {name: one for name, one in network.named_parameters() if one.requires_grad}
    found = objective.gradient(network, KEY, (), 0)[0]
    for name, gradient in zip(trained, torch.autograd.grad(loss.sum(), [*trained.values()]), strict=True):
        torch.testing.assert_close(found[name], gradient)


def test_all_weights_start_with_one_variance():
    network = PairNetwork(2, 50, 400, key=3, activation="power-2", variance=[1 / 50, 1.0])
    for weights in network.weights():
        assert weights.shape == (2, 400, 50)
        np.testing.assert_allclose(weights.var((1, 2)), [1 / 50, 1.0], rtol=0.05)


def test_weights_are_those_of_the_margins():
    """The least margin of ``margins.py`` is that of the network's own outputs."""
    network, target = pairs(), whole_table(TASK).target
    right = torch.nn.functional.one_hot(target, 6).bool()
    output = network(torch.zeros(2, 0))
    margin = torch.where(right, output, 0).sum(-1) - torch.where(right, -torch.inf, output).amax(-1)
    found = group_network_margin(*network.weights(), TASK.group)
    np.testing.assert_allclose(found.least, margin.amin(-1).detach(), rtol=1e-12)
    np.testing.assert_allclose(found.norm**3, NeuronNorm(3)(network).detach(), rtol=1e-12)


def test_power_network_is_that_of_the_parity_margin():
    task = SparseParity(5, 3, subset=(0, 2, 4), loss="cross-entropy")
    network = PowerNetwork(1, 5, 3, 7, key=0, variance=0.1).double()
    examples = whole_cube(task)
    assert len(examples.input.unique(dim=0)) == 32
    output = network(examples.input[None])[0]
    margin = (output[:, 0] - output[:, 1]) * (1 - 2 * examples.target)
    found = parity_network_margin(*network.weights(), task.subset)
    np.testing.assert_allclose(found.least, margin.min().item(), rtol=1e-12)


def test_replicas_are_trained_as_alone():
    settings = {"key": 0, "steps": 30, "optimizer": SGD(0.1)}
    examples, both = whole_table(TASK), pairs()
    alone = both.take(1)
    fit(both, Penalised(FullBatch(TASK, examples), NeuronNorm(3), [1e-4, 1e-2]), **settings)
    fit(alone, Penalised(FullBatch(TASK, examples), NeuronNorm(3), 1e-2), **settings)
    torch.testing.assert_close(both.inner[1:], alone.inner)


def test_operations_are_those_of_the_products_alone():
    training = fit(pairs(), FullBatch(TASK, whole_table(TASK)), key=0, steps=1, optimizer=SGD(0.1))
    product = 2 * 2 * 36 * 10 * 6
    assert (training.flops.forward, training.flops.backward) == (product, 2 * product)
