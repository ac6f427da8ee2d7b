"""Replicas keep apart: in their first weights, in their gradients, and to the last bit in their training."""

import pytest
import torch

from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.training import MLP, SGD, AdamW, Initialisation, ReplicatedLinear, Single, Supervised, fit, replica_keys


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trained(first, last, *, hidden, activation, batch, loss, adaptive):
    """Train replicas first .. last - 1 of 16, each with its own keys and its own hyperparameters."""
    keys, rates = replica_keys(3, 16)[first:last], torch.linspace(0.01, 0.1, 16)[first:last]
    if adaptive:
        optimizer = AdamW(rates / 10, betas=(torch.linspace(0.8, 0.9, 16)[first:last], 0.99))
    else:
        optimizer = SGD(rates, momentum=0.9, weight_decay=1e-3)
    network = MLP(last - first, 21, hidden, 1, keys, activation)
    task = SparseParity(21, 2, loss=loss)
    training = fit(network, Supervised(task, batch), key=keys, steps=50, optimizer=optimizer, clip=1.0, log_every=10)
    return network, [row["loss"] for row in training.history]


@pytest.mark.parametrize(
    "settings",
    [
        {"hidden": [100], "activation": "relu", "batch": 32, "loss": "hinge", "adaptive": False},
        {"hidden": [33, 18], "activation": "relu", "batch": 7, "loss": "hinge", "adaptive": True},
        {"hidden": [64, 3], "activation": "tanh", "batch": 32, "loss": "cross-entropy", "adaptive": True},
        {"hidden": [17, 1, 5], "activation": "tanh", "batch": 1, "loss": "square", "adaptive": False},
    ],
)
def test_replica_does_not_depend_on_its_neighbours(settings):
    everyone, losses = trained(0, 16, **settings)
    for first, last in [(5, 6), (4, 6), (1, 6), (15, 16)]:
        few, few_losses = trained(first, last, **settings)
        for (name, full), part in zip(everyone.named_parameters(), few.parameters(), strict=True):
            assert torch.equal(part, full[first:last]), name
        assert few_losses == [row[first:last] for row in losses]


@pytest.mark.parametrize("rows", [1, 7, 32])
@pytest.mark.parametrize("inputs", [1, 2, 7, 50])
@pytest.mark.parametrize("outputs", [1, 3, 17, 33, 100])
def test_layer_and_its_gradients_do_not_depend_on_neighbours(rows, inputs, outputs):
    keys = replica_keys(0, 16)
    generator = torch.Generator().manual_seed(0)
    x, g = torch.randn(16, rows, inputs, generator=generator), torch.randn(16, rows, outputs, generator=generator)

    def results(part):
        layer = ReplicatedLinear(len(keys[part]), inputs, outputs, keys[part])
        seen = x[part].clone().requires_grad_()
        y = layer(seen)
        return [y, *torch.autograd.grad(y, [seen, layer.weight, layer.bias], g[part])]

    full = results(slice(0, 16))
    for first, last in [(5, 6), (4, 6), (1, 6), (15, 16)]:
        for part, everyone in zip(results(slice(first, last)), full, strict=True):
            assert torch.equal(part, everyone[first:last])


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 4), (4, 1), (5, 7), (16, 16)])
def test_layer_is_an_affine_map_of_each_replica(inputs, outputs):
    layer = ReplicatedLinear(3, inputs, outputs, key=0)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(3, 5, inputs)
    torch.testing.assert_close(layer(x), torch.einsum("rbi,rio->rbo", x, layer.weight) + layer.bias)


def test_initial_weights_have_the_variance_of_he_and_lecun():
    network = MLP(4, 200, [300], 100, key=1)
    hidden, head = network.layers
    assert hidden.weight.var().item() == pytest.approx(2 / 200, rel=0.02)
    assert head.weight.var().item() == pytest.approx(1 / 300, rel=0.02)
    assert not hidden.bias.any()
    assert not head.bias.any()


def test_replicas_and_layers_start_differently():
    layers = [layer.weight for layer in MLP(2, 8, [8], 8, key=0).layers]
    assert len({tensor.flatten()[0].item() for layer in layers for tensor in layer}) == 4


def test_taken_replica_computes_what_it_did_among_the_others():
    network, x = MLP(3, 4, [16], 2, key=0), torch.randn(3, 5, 4)
    taken = network.take(1)
    assert taken.replicas == taken.layers[0].replicas == 1
    torch.testing.assert_close(taken(x[1:2]), network(x)[1:2])
    with pytest.raises(ValueError, match="replica must lie in"):
        network.take(3)


def test_selected_replicas_keep_their_order_and_their_widths():
    network, x = MLP(4, 4, [16], 2, key=0, widths=[4, 8, 16, 2]), torch.randn(4, 5, 4)
    selected = network.select([3, 1])
    assert selected.replicas == selected.layers[0].replicas == 2
    torch.testing.assert_close(selected(x[[3, 1]]), network(x)[[3, 1]])


def test_network_with_a_width_of_its_own_learns_as_one_of_that_width():
    """Units beyond the width give nothing and get no gradient; the first weights have the variance of the width."""
    wide = MLP(2, 10, [64], 1, key=0, widths=[16, 64])
    assert wide.layers[1].weight[0, :16].var().item() == pytest.approx(1 / 16, rel=0.6)
    narrow = MLP(1, 10, [16], 1, key=0)
    for own, masked in zip(narrow.layers, wide.layers, strict=True):
        own.weight.data = masked.weight.data[:1, : own.weight.shape[1], : own.weight.shape[2]].clone()
    task = SparseParity(10, 2, loss="square")
    for network in (wide, narrow):
        keys = replica_keys(3, 2)[: network.replicas]
        fit(network, Supervised(task, 32), key=keys, steps=30, optimizer=SGD(0.05, momentum=0.9))
    torch.testing.assert_close(wide.layers[0].weight[:1, :, :16], narrow.layers[0].weight)
    torch.testing.assert_close(wide.layers[1].weight[:1, :16], narrow.layers[1].weight)


def test_replicas_can_start_in_different_ways():
    kinds = [Initialisation("sign", nonzero=2), Initialisation("normal")]
    network = MLP(2, 30, [50], 1, key=0, initialisation=kinds)
    assert ((network.layers[0].weight[0] != 0).sum(0) == 2).all()
    assert (network.layers[0].weight[1] != 0).all()
    assert (network.layers[1].weight != 0).all()  # the last layer starts dense


def test_network_of_powers_without_biases_is_a_sum_of_powers_of_linear_forms():
    network, x = MLP(2, 6, [8], 3, key=0, activation="power-4", bias=False), torch.randn(2, 5, 6)
    first, last = (layer.weight for layer in network.layers)
    torch.testing.assert_close(network(x), torch.einsum("rbn,rnm->rbm", x, first).pow(4) @ last)
    assert [name for name, parameter in network.named_parameters() if parameter.requires_grad] == [
        "layers.0.weight",
        "layers.1.weight",
    ]


@pytest.mark.parametrize("batch_norm", [False, True])
def test_any_module_is_a_network_of_one_replica(batch_norm):
    torch.manual_seed(0)
    layers = [torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8) if batch_norm else torch.nn.Tanh(), torch.nn.Linear(8, 1)]
    module, x = torch.nn.Sequential(*layers), torch.randn(5, 4)
    expected = module(x)
    network = Single(module)
    assert torch.equal(network(x[None]), expected[None])
    assert all(parameter.shape[0] == 1 for parameter in network.parameters())
    objective = Supervised(SparseParity(4, 2, loss="hinge"), 64)
    training = fit(network, objective, key=0, steps=100, optimizer=AdamW(0.03), log_every=50)
    assert training.history[1]["loss"] < training.history[0]["loss"]


@pytest.mark.parametrize(
    "make",
    [
        lambda: MLP(0, 2, [4], 1, key=0),
        lambda: MLP(2, 2, [4], 1, key=0, activation="elu"),
        lambda: MLP(2, 2, [0], 1, key=0),
        lambda: MLP(2, 2, [4], 1, key=[1, 2, 3]),
        lambda: MLP(2, 2, [4], 1, key=0, activation="power-1"),
        lambda: MLP(2, 2, [4], 1, key=0, widths=[4]),
        lambda: MLP(2, 2, [4, 8], 1, key=0, widths=[4, 4]),
        lambda: MLP(2, 2, [4], 1, key=0, initialisation=[Initialisation()]),
    ],
)
def test_impossible_networks_are_refused(make):
    with pytest.raises(ValueError, match="must be"):
        make()
