"""Feedback and losses, the same for every task."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from sandtable.simulators.errors import InputError
from sandtable.simulators.random import fold_in, make_key
from sandtable.simulators.tasks.classification import cross_entropy
from sandtable.simulators.tasks.group_operation import GroupOperation
from sandtable.simulators.tasks.sparse_parity import SparseParity

LIBRARIES = [np.asarray, torch.as_tensor]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("loss", "expected"),
    [("hinge", [0, 0, 1, 3]), ("square", [4, 0, 1, 9]), ("cross-entropy", np.log1p(np.exp([-3.0, -1, 0, 2])))],
)
def test_losses_of_one_output_follow_their_formulas(loss, expected, library):
    task = SparseParity(2, 1, loss=loss)
    batch = task.sample(fold_in(make_key(0), np.arange(4)))
    output = library((np.asarray([3.0, 1.0, 0.0, -2.0]) * (1 - 2 * batch.target))[:, None])
    batch = batch._replace(target=library(batch.target))
    assert np.asarray(task.loss(output, batch)) == pytest.approx(np.asarray(expected), rel=1e-15)
    assert task.metrics(output, batch)["accuracy"].tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("task", [SparseParity(4, 2), GroupOperation("S_3")])
def test_cross_entropy_is_minus_the_log_probability_of_the_target(task, library):
    batch = task.sample(fold_in(make_key(0), np.arange(50)))
    logits = np.random.default_rng(0).normal(size=(50, task.classes))
    probability = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = -np.log(probability[np.arange(50), batch.target])
    batch = batch._replace(target=library(batch.target))
    np.testing.assert_allclose(task.loss(library(logits), batch), expected, rtol=1e-13)
    np.testing.assert_allclose(cross_entropy(library(logits), batch.target), expected, rtol=1e-13)
    right = logits.argmax(-1) == np.asarray(batch.target)
    assert np.array_equal(task.metrics(library(logits), batch)["accuracy"], right)


@pytest.mark.parametrize("task", [SparseParity(2, 1), GroupOperation("Z_3")])
def test_cross_entropy_and_its_gradient_are_finite_far_out_and_right_at_zero(task):
    batch = task.sample(torch.arange(40))
    far = (1e4 * torch.nn.functional.one_hot(torch.arange(40) % task.classes, task.classes)).float().requires_grad_()
    loss = task.loss(far, batch)
    assert set(loss.tolist()) <= {0.0, 1e4}
    assert torch.autograd.grad(loss.sum(), far)[0].isfinite().all()
    zero = torch.zeros(40, task.classes, requires_grad=True)
    (gradient,) = torch.autograd.grad(task.loss(zero, batch).sum(), zero)
    chosen = torch.nn.functional.one_hot(batch.target, task.classes)
    torch.testing.assert_close(gradient, 1 / task.classes - chosen.float())


@pytest.mark.parametrize(
    ("task", "space", "outputs"),
    [
        (SparseParity(9, 2), gym.spaces.Discrete(2), 2),
        (SparseParity(9, 2, feedback="full"), gym.spaces.Box(-10, 10, (2,)), 2),
        (SparseParity(9, 2, feedback="full", loss="hinge"), gym.spaces.Box(-10, 10, (1,)), 1),
        (SparseParity(9, 2, feedback="full", loss="square"), gym.spaces.Box(-10, 10, (1,)), 1),
        (GroupOperation("D_5"), gym.spaces.Discrete(10), 10),
        (GroupOperation("Z_2", feedback="full", loss="hinge"), gym.spaces.Box(-10, 10, (1,)), 1),
        (GroupOperation("S_4", feedback="full"), gym.spaces.Box(-10, 10, (24,)), 24),
    ],
)
def test_actions_are_a_class_or_outputs_and_what_they_earn_follows(task, space, outputs):
    assert task.action_space == space
    assert task.outputs == outputs
    state = task.reset(make_key(np.arange(30)))
    assert all(row in task.observation_space for row in task.observe(state))
    batch = task.example(state)
    if task.feedback == "bandit":
        action = np.arange(30) % task.classes
        expected = (action == batch.target).astype(float)
    else:
        action = np.random.default_rng(0).normal(size=(30, outputs)).astype(np.float32)
        expected = -task.loss(action, batch)
    step = task.step(state, action)
    assert np.array_equal(step.reward, expected)
    assert step.reward.dtype == np.float32
    assert step.terminated.all()
    assert not step.truncated.any()


def test_losses_of_one_output_need_two_classes():
    with pytest.raises(InputError, match="loss 'square' is for two classes and there are 24; use 'cross-entropy'"):
        GroupOperation("S_4", loss="square")


@pytest.mark.parametrize(
    ("task", "outputs"),
    [
        (SparseParity(6, 2, loss="hinge"), 1),
        (SparseParity(6, 2, loss="square"), 1),
        (SparseParity(6, 2, loss="cross-entropy"), 1),
        (SparseParity(6, 2, loss="cross-entropy"), 2),
        (GroupOperation("Z_5"), 5),
    ],
)
def test_gradient_of_the_loss_is_that_of_automatic_differentiation(task, outputs):
    batch = task.sample(torch.arange(200))
    output = 3 * torch.randn(200, outputs, dtype=torch.float64)
    output[:4] = 0.0
    output.requires_grad_()
    (expected,) = torch.autograd.grad(task.loss(output, batch).sum(), output)
    torch.testing.assert_close(task.loss_gradient(output.detach(), batch), expected)
    array = task.loss_gradient(output.detach().numpy(), type(batch)(*(part.numpy() for part in batch)))
    np.testing.assert_allclose(array, expected.numpy(), atol=1e-12)
