"""The architectures of arXiv 2207.08799: what they are at their solutions, and that each can be trained."""

import numpy as np
import pytest
import torch

from sandtable.agents.tasks.parity_networks import (
    ARCHITECTURES,
    NEURONS,
    ParityTransformer,
    ProductNetwork,
    SingleNeuron,
    transformer,
    zigzag,
)
from sandtable.simulators.errors import InputError
from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.training import PYTORCH, SGD, Supervised, fit, replica_keys


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", sorted(NEURONS))
def test_neuron_with_weight_one_on_the_subset_is_the_parity(name, k):
    """Section 3.1: the activations interpolate the parity at w = sum of the subset's unit vectors."""
    task = SparseParity(12, k, loss="square")
    network = SingleNeuron(1, 12, name, k, key=0)
    network.weight.data.zero_()[0, list(task.subset)] = 1
    network.bias.data.zero_()
    batch = task.sample(torch.arange(500))
    y = 1 - 2 * batch.target
    torch.testing.assert_close(network(batch.input[None])[0, :, 0], y.float(), atol=2e-5, rtol=0)


@pytest.mark.parametrize("k", [2, 3, 6])
def test_oscillating_polynomial_has_degree_k(k):
    z = torch.linspace(-k - 3, k + 3, 50, dtype=torch.float64)
    values = NEURONS["polynomial"](z, k).numpy()
    degree_k, less = (np.polynomial.Polynomial.fit(z.numpy(), values, degree) for degree in (k, k - 1))
    np.testing.assert_allclose(degree_k(z.numpy()), values, atol=1e-8)
    assert np.abs(less(z.numpy()) - values).max() > 0.1


def test_zigzag_goes_on_straight_where_the_infinite_one_turns():
    z = torch.tensor([-5.0, -4.0, 4.0, 5.0])
    assert zigzag(z, 3).tolist() == [-3.0, -2.0, 2.0, 3.0]
    assert NEURONS["infinite-zigzag"](z, 3).tolist() == [1.0, 0.0, 0.0, -1.0]


def test_product_of_the_subset_s_coordinates_is_the_parity():
    task = SparseParity(9, 3, subset=(0, 4, 8), loss="square")
    network = ProductNetwork(1, 9, 3, key=0, disjoint=True)
    batch = task.sample(torch.arange(200))
    network.weight.data.zero_()[0, [0, 4, 8], [0, 1, 2]] = 1
    torch.testing.assert_close(network(batch.input[None])[0, :, 0], (1 - 2 * batch.target).float())
    network.weight.data[0, 1, 2] = 5.0  # outside of the third block: not seen
    torch.testing.assert_close(network(batch.input[None])[0, :, 0], (1 - 2 * batch.target).float())
    with pytest.raises(InputError, match="do not make 4 equal blocks"):
        ProductNetwork(1, 9, 4, key=0, disjoint=True)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_architecture_trains_and_its_operations_are_known(name):
    network = ARCHITECTURES[name].make(2, 10, 3, 0, PYTORCH)
    before = [parameter.clone() for parameter in network.parameters() if parameter.requires_grad]
    training = fit(network, Supervised(SparseParity(10, 3, loss="square"), 16), key=0, steps=3, optimizer=SGD(1e-4))
    after = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert training.flops.total > 0


@pytest.mark.parametrize("name", ["ii", "vii", "xiv", "xv"])
def test_replicas_start_from_keys_of_their_own(name):
    keys = replica_keys(3, 4)
    together = ARCHITECTURES[name].make(4, 10, 3, keys, PYTORCH)
    alone = ARCHITECTURES[name].make(1, 10, 3, keys[2:3], PYTORCH)
    for many, one in zip(together.parameters(), alone.parameters(), strict=True):
        assert torch.equal(many[2:3], one)


def test_transformer_reads_which_bits_are_set_where():
    module = ParityTransformer(6, 16, 2, 4)
    module.start(torch.tensor(0))
    x = torch.ones(3, 6)
    x[1, 2] = x[2, 4] = -1
    outputs = module(x)[:, 0]
    assert len(set(outputs.tolist())) == 3


def test_stacked_transformers_are_the_modules_one_by_one():
    network, x = transformer(3, 6, key=0, width=16, heads=2, head_width=4), torch.randn(3, 5, 6)
    keys = replica_keys(0, 3)
    for replica in range(3):
        module = ParityTransformer(6, 16, 2, 4)
        module.start(keys[replica])
        torch.testing.assert_close(network(x)[replica], module(x[replica]))
