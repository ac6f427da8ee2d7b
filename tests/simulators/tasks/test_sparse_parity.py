"""The sparse parity task: same bits in both libraries, right labels, fair coins."""

import numpy as np
import pytest
import torch

from sandtable.simulators.random import fold_in, make_key
from sandtable.simulators.tasks.sparse_parity import SparseParity


@pytest.mark.parametrize("n", [1, 8, 50, 64, 65, 130])
def test_numpy_and_torch_draw_the_same_bits(n):
    task = SparseParity(n, 1)
    keys = fold_in(make_key([3, 4])[:, None], np.arange(5))
    ours, theirs = task.sample(keys), task.sample(torch.from_numpy(keys))
    assert ours.input.shape == (2, 5, n)
    assert ours.target.shape == (2, 5)
    assert ours.input.dtype == ours.target.dtype == np.float32
    assert np.array_equal(ours.input, theirs.input.numpy())
    assert np.array_equal(ours.target, theirs.target.numpy())


@pytest.mark.parametrize("support", [None, (1, 5, 66)])
def test_target_is_the_product_of_the_support(support):
    batch = SparseParity(70, 3, support).sample(fold_in(make_key(0), np.arange(1000)))
    assert np.array_equal(batch.target, batch.input[:, list(support or (0, 1, 2))].prod(-1))


def test_coordinates_are_fair_and_independent():
    rows = 20_000
    batch = SparseParity(130, 2).sample(fold_in(make_key(1), np.arange(rows)))
    assert set(np.unique(batch.input)) == {-1.0, 1.0}
    doubt = 5 / np.sqrt(rows)
    assert np.abs(batch.input.mean(0)).max() < doubt
    correlation = batch.input.T @ batch.input / rows - np.eye(130)
    assert np.abs(correlation).max() < doubt
    assert np.abs(batch.target @ batch.input / rows).max() < doubt


def test_row_does_not_depend_on_its_batch():
    task, keys = SparseParity(70, 2), fold_in(make_key(1), np.arange(10))
    assert np.array_equal(task.sample(keys).input[7], task.sample(keys[7]).input)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [("hinge", [0, 0, 1, 3]), ("square", [4, 0, 1, 9]), ("logistic", np.log1p(np.exp([-3.0, -1, 0, 2])))],
)
def test_losses_follow_their_formulas(loss, expected):
    task = SparseParity(2, 1, loss=loss)
    batch = task.sample(fold_in(make_key(0), np.arange(4)))
    output = np.asarray([3.0, 1.0, 0.0, -2.0]) * batch.target
    for library in (np.asarray, torch.as_tensor):
        ours = task.loss(library(output[:, None]), batch._replace(target=library(batch.target)))
        assert np.asarray(ours) == pytest.approx(np.asarray(expected))
        accuracy = task.metrics(library(output[:, None]), batch._replace(target=library(batch.target)))["accuracy"]
        assert accuracy.tolist() == [1, 1, 0, 0]


def test_logistic_loss_is_finite_far_out():
    task = SparseParity(2, 1, loss="logistic")
    batch = task.sample(torch.arange(2))
    output = (torch.tensor([[1e4], [-1e4]]) * batch.target[:, None]).requires_grad_()
    loss = task.loss(output, batch)
    assert loss.tolist() == pytest.approx([0, 1e4])
    assert torch.autograd.grad(loss.sum(), output)[0].isfinite().all()


def test_observation_lies_in_its_space_and_the_reward_is_minus_the_loss():
    task = SparseParity(9, 2)
    state = task.reset(make_key([1, 2, 3]))
    observation = task.observe(state)
    assert all(row in task.observation_space for row in observation)
    step = task.step(state, np.zeros((3, 1), np.float32))
    assert step.reward.tolist() == [-1, -1, -1]
    assert step.terminated.all()


@pytest.mark.parametrize(
    "settings",
    [{"n": 3, "k": 4}, {"k": 0}, {"support": (0, 1, 50)}, {"support": (0, 0, 1)}, {"support": (1,)}, {"loss": "zero"}],
)
def test_impossible_tasks_are_refused(settings):
    with pytest.raises(ValueError, match="must"):
        SparseParity(**settings)
