"""Offline parities: how neurons start, whose data they have, when they know their examples, and what is refused."""

import pytest
import torch

from sandtable.analysis.store import RunStore
from sandtable.analysis.tasks.frontier_experiments import DENSE, OfflineParity
from sandtable.analysis.tasks.frontier_training import last_of, own_sets, sparse_perceptron, train_offline
from sandtable.simulators.errors import InputError
from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.training import MLP, PYTORCH, replica_keys


def trained(tmp_path, **settings):
    experiment = OfflineParity("try", **{"n": 10, "k": 2, "seeds": 2, "steps": 300, "every": 50, **settings})
    return train_offline(experiment, RunStore(tmp_path).run("study", experiment))


def test_neurons_start_with_as_many_weights_as_they_are_to_have():
    keys = replica_keys(0, 3)
    network = sparse_perceptron(keys, 12, 40, 1, [DENSE, 2, 5])
    weight = network.layers[0].weight
    assert (weight[0] != 0).all()
    for replica, count in ((1, 2), (2, 5)):
        assert ((weight[replica] != 0).sum(0) == count).all()
        torch.testing.assert_close(weight[replica].abs().amax(0), torch.full((40,), count**-0.5))


def test_only_the_first_weights_of_sparse_networks_differ_from_dense_ones():
    keys = replica_keys(0, 2)
    dense, sparse = MLP(2, 12, [8], 1, keys, initialisation=PYTORCH), sparse_perceptron(keys, 12, 8, 1, [DENSE, 2])
    for (name, one), other in zip(dense.named_parameters(), sparse.parameters(), strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1]) == (name != "layers.0.weight")


def test_more_data_of_a_seed_begin_with_its_fewer_data():
    task, keys = SparseParity(10, 2), replica_keys(0, 2)
    few, many = own_sets(task, keys, 5), own_sets(task, keys, 9)
    assert torch.equal(few.input, many.input[:, :5])
    assert not torch.equal(many.input[0], many.input[1])


def test_what_a_seed_brings_does_not_depend_on_the_others(tmp_path):
    alone, both = trained(tmp_path, samples=60, width=16, seeds=1), trained(tmp_path, samples=60, width=16)
    for one, other in zip(alone, both, strict=True):
        assert one["times"] == other["times"][:1]
        assert one["test_errors"] == other["test_errors"][:1]


def test_enough_examples_are_learned_and_too_few_are_known_by_heart(tmp_path):
    for enough in trained(tmp_path, samples=300, width=30):
        assert enough["share"] == 1
        assert max(enough["test_errors"]) <= 0.01
        assert len(enough["delays"]) == 2
    for few in trained(tmp_path, samples=8, width=30):
        assert (few["share"], few["times"], few["delays"]) == (0, [300, 300], [])
        assert few["train_converged"] == [True, True]
        assert max(few["train_times"]) <= 150
        assert min(few["test_errors"]) > 0.2


def test_weights_that_explode_stop_nobody(tmp_path):
    wild = trained(tmp_path, samples=50, width=8, rate=1e30)
    assert all(row["diverged"] == 2 and row["share"] == 0 for row in wild)


def test_the_last_number_before_a_replica_was_dropped_counts():
    assert last_of([0.5, 0.7, float("nan")]) == 0.7


def test_what_cannot_be_is_named(tmp_path):
    with pytest.raises(InputError, match=r"k = 11: the subset must have between 1 and n = 10"):
        trained(tmp_path, samples=50, width=8, k=11)
    with pytest.raises(InputError, match="sparsities: 11 is not between 1 and the 10 inputs"):
        trained(tmp_path, samples=50, width=8, sparsities=(11,))
    with pytest.raises(InputError, match="samples = 0"):
        trained(tmp_path, samples=0, width=8)
    with pytest.raises(InputError, match="width = 1000000000, with 4 replicas needs"):
        trained(tmp_path, samples=50, width=10**9)
    with pytest.raises(InputError, match="samples = 1000000000000, with 4 replicas needs"):
        trained(tmp_path, samples=10**12, width=8)
