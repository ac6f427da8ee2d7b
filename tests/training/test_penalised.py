"""Whole sets of examples, penalties, and any modules as replicas."""

import pytest
import torch
from torch import nn

from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.training import MLP, SGD, AdamW, FullBatch, NeuronNorm, Penalised, Stacked, Validation, fit, replica_keys

TASK = SparseParity(6, 2, samples=40, loss="square")
KEY = replica_keys(0, 2)


def mlp(**settings):
    return MLP(2, 6, [8], 1, key=0, activation="power-2", **settings)


def test_full_batch_is_the_mean_over_the_data_set():
    network, examples = mlp(), TASK.dataset("cpu")
    loss, metrics, _ = FullBatch(TASK, examples).loss(network, KEY, (), 0)
    output = network(examples.input.expand(2, -1, -1))
    expected = (output[..., 0] - (1 - 2 * examples.target)).square().mean(-1)
    torch.testing.assert_close(loss, expected)
    assert set(metrics) == {"accuracy"}


def test_replicas_may_have_sets_of_their_own():
    network, examples = mlp(), TASK.dataset("cpu")
    halves = type(examples)(examples.input.unflatten(0, (2, 20)), examples.target.unflatten(0, (2, 20)))
    loss, _, _ = FullBatch(TASK, halves, shared=False).loss(network, KEY, (), 0)
    whole, _, _ = FullBatch(TASK, examples).loss(network, KEY, (), 0)
    assert not torch.allclose(loss, whole)


@pytest.mark.parametrize("order", [2, 3, 5])
def test_norm_of_neurons_joins_the_weights_into_and_out_of_each(order):
    network = mlp(bias=False)
    first, last = (layer.weight for layer in network.layers)
    expected = [
        sum(torch.cat([first[r, :, i], last[r, i]]).norm() ** order for i in range(8)) for r in range(2)
    ]
    torch.testing.assert_close(NeuronNorm(order)(network), torch.stack(expected))


def test_unit_without_weights_has_no_gradient():
    network = mlp(bias=False)
    for layer in network.layers:
        layer.weight.data.zero_()
    NeuronNorm(3)(network).sum().backward()
    assert not network.layers[0].weight.grad.any()


@pytest.mark.parametrize("weight", [0.01, [0.0, 0.5]])
def test_penalty_is_added_to_loss_and_gradient(weight):
    network = mlp(bias=False)
    objective = Penalised(FullBatch(TASK, TASK.dataset("cpu")), NeuronNorm(3), weight)
    loss, metrics, _ = objective.loss(network, KEY, (), 0)
    torch.testing.assert_close(loss, metrics["data_loss"] + torch.as_tensor(weight) * metrics["penalty"])
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    expected = torch.autograd.grad(loss.sum(), trained)
    gradients, by_hand, told, _ = objective.gradient(network, KEY, (), 0)
    torch.testing.assert_close(by_hand, loss.detach())
    torch.testing.assert_close(told["penalty"], metrics["penalty"].detach())
    for one, other in zip(gradients.values(), expected, strict=True):
        torch.testing.assert_close(one, other)


def test_penalised_training_ends_with_smaller_weights():
    networks = [mlp(bias=False), mlp(bias=False)]
    for network, weight in zip(networks, (0.0, 0.1), strict=True):
        objective = Penalised(FullBatch(TASK, TASK.dataset("cpu")), NeuronNorm(2), weight)
        fit(network, objective, key=0, steps=200, optimizer=AdamW(1e-2, weight_decay=0.0))
    free, held = (NeuronNorm(2)(network) for network in networks)
    assert (held < free).all()


def test_any_modules_are_replicas_by_torch_func():
    torch.manual_seed(0)
    modules = [nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 1)) for _ in range(3)]
    network, x = Stacked(modules), torch.randn(3, 5, 6)
    for replica, module in enumerate(modules):
        torch.testing.assert_close(network(x)[replica], module(x[replica]))
        torch.testing.assert_close(network.take(replica)(x[replica : replica + 1])[0], module(x[replica]))
    objective = FullBatch(TASK, TASK.dataset("cpu"))
    training = fit(network, objective, key=0, steps=5, optimizer=SGD([0.0, 0.1, 0.1]))
    assert training.flops.forward == 3 * 2 * 40 * (6 * 8 + 8)
    torch.testing.assert_close(network.take(0)(x[:1])[0], modules[0](x[0]))


def test_modules_of_different_shapes_are_no_replicas():
    with pytest.raises(ValueError, match="same names and shapes"):
        Stacked([nn.Linear(3, 1), nn.Linear(4, 1)])


def test_replicas_that_are_left_keep_their_own_penalties_and_examples():
    """The first replica explodes and is dropped: the second one ends as it would alone."""
    examples = TASK.dataset("cpu")
    x, y = examples.input.unflatten(0, (2, 20)), examples.target.unflatten(0, (2, 20))

    def trained(network, rate, weight, x, y):
        own = FullBatch(TASK, type(examples)(x, y), shared=False)
        objective = Penalised(own, NeuronNorm(3), weight)
        judge = Validation(objective, 5, diverged="stop")
        return fit(network, objective, key=0, steps=60, optimizer=SGD(rate), validate=judge, log_every=5)

    network = mlp()
    alone = network.take(1)
    both = trained(network, [1e6, 0.01], [0.5, 0.01], x, y)
    trained(alone, 0.01, [0.01], x[1:], y[1:])
    assert both.diverged.tolist() == [True, False]
    for found, expected in zip(network.take(1).parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(found, expected)
    assert not torch.equal(alone.layers[0].weight, mlp().take(1).layers[0].weight)
