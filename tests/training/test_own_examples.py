"""Minibatches of data sets that replicas have for themselves."""

import pytest
import torch

from sandtable.simulators.decision_process import Batch
from sandtable.simulators.random import fold_in
from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.training import MLP, SGD, FullBatch, OwnExamples, fit, replica_keys

TASK = SparseParity(6, 2, loss="hinge")


def sets(replicas, samples):
    return TASK.sample(fold_in(replica_keys(3, replicas)[:, None], torch.arange(samples)))


def test_a_batch_holds_only_the_replica_s_own_examples():
    own = OwnExamples(TASK, 64, sets(3, 5))
    drawn = own._examples(replica_keys(0, 3))
    assert drawn.input.shape == (3, 64, 6)
    for replica in range(3):
        pairs = {(*x.tolist(), int(y)) for x, y in zip(*(part[replica] for part in drawn), strict=True)}
        held = {(*x.tolist(), int(y)) for x, y in zip(*(part[replica] for part in own.examples), strict=True)}
        assert pairs == held  # all of five, in 64 draws


def test_with_one_example_it_is_the_full_batch():
    examples = sets(2, 1)
    networks = [MLP(2, 6, [8], 1, 0) for _ in range(2)]
    own = fit(networks[0], OwnExamples(TASK, 4, examples), key=1, steps=5, optimizer=SGD(0.1))
    full = fit(networks[1], FullBatch(TASK, examples, shared=False), key=1, steps=5, optimizer=SGD(0.1))
    for one, other in zip(own.network.parameters(), full.network.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_replica_learns_as_if_it_were_alone():
    examples, keys = sets(3, 20), replica_keys(7, 3)
    together = fit(MLP(3, 6, [8], 1, keys), OwnExamples(TASK, 4, examples), key=keys, steps=20, optimizer=SGD(0.1))
    alone = OwnExamples(TASK, 4, examples).select([1])
    single = fit(MLP(1, 6, [8], 1, keys[1:2]), alone, key=keys[1:2], steps=20, optimizer=SGD(0.1))
    for one, other in zip(together.select(1).parameters(), single.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_sets_without_examples_or_of_two_sizes_are_refused():
    x, target = sets(2, 4)
    with pytest.raises(ValueError, match="examples must be"):
        OwnExamples(TASK, 4, Batch(x[:, :0], target[:, :0]))
    with pytest.raises(ValueError, match="examples must be"):
        OwnExamples(TASK, 4, Batch(x, target[:1]))
