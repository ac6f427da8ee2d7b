"""The benchmark of replicas trains the same problem on all sides."""

import pytest
import torch

from sandtable.benchmarks import replicas
from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.training import MLP, SGD, Supervised, fit


def test_rows_name_both_alternatives():
    rows = replicas.benchmark(quick=True)
    assert [row["alternative"].split()[0] for row in rows] == ["nn.Module", "torch.func.vmap"]
    assert [row["target"] for row in rows] == [9.0, 1.1]
    assert all(row["ours"] > 0 and 0 < row["fraction_of_limit"] < 1 for row in rows)


def test_operations_are_those_that_training_counts():
    network = MLP(1, replicas.N, [replicas.WIDTH], 1, key=0)
    objective = Supervised(SparseParity(replicas.N, replicas.K, loss="hinge"), replicas.BATCH)
    training = fit(network, objective, key=0, steps=1, optimizer=SGD(0.1))
    assert training.flops.total == replicas.flops_per_step()


def test_the_alternative_s_loss_is_the_task_s():
    task = SparseParity(replicas.N, replicas.K, subset=(0, 1, 2), loss="hinge")
    batch = task.sample(torch.arange(50))
    output = torch.randn(50, 1)
    expected = task.loss(output, batch).mean()
    assert replicas._hinge(output, batch.input).item() == pytest.approx(expected.item())
