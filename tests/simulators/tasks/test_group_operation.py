"""A group's operation as a task: every pair, its product, one-hot inputs."""

import itertools

import numpy as np
import pytest
import torch

from sandtable.simulators.errors import InputError
from sandtable.simulators.random import fold_in, make_key
from sandtable.simulators.tasks.group_operation import GroupOperation

KLEIN = [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]


def test_the_task_of_z_n_is_modular_addition():
    shown = GroupOperation("Z_23").draw(fold_in(make_key(0), np.arange(500)))
    assert np.array_equal(shown.target, shown.observation.sum(-1) % 23)
    assert np.array_equal(shown.index, shown.observation @ [23, 1])


def test_permutations_are_in_lexicographic_order_and_b_acts_first():
    task = GroupOperation("S_4")
    permutations = list(itertools.permutations(range(4)))
    shown = task.draw(fold_in(make_key(1), np.arange(200)))
    for (a, b), product in zip(shown.observation, shown.target, strict=True):
        assert permutations[product] == tuple(permutations[a][permutations[b][x]] for x in range(4))


def test_a_table_of_one_s_own_is_a_task():
    task = GroupOperation(KLEIN)
    assert task.size == 16
    assert np.array_equal(task.dataset().target.reshape(4, 4), KLEIN)


@pytest.mark.parametrize("group", ["D_5", "S_3", KLEIN])
def test_numpy_and_torch_draw_the_same_bits(group):
    task = GroupOperation(group)
    keys = fold_in(make_key([3, 4])[:, None], np.arange(9))
    for some, others in zip(task.draw(keys), task.draw(torch.from_numpy(keys)), strict=True):
        assert np.array_equal(some, others.numpy())
    some, others = task.sample(keys), task.sample(torch.from_numpy(keys))
    assert some.input.dtype == np.float32
    assert np.array_equal(some.input, others.input.numpy())


def test_networks_are_fed_both_elements_one_hot():
    task = GroupOperation("D_5")
    every = task.dataset()
    assert every.input.shape == (100, 20)
    pairs = np.stack([every.input[:, :10].argmax(-1), every.input[:, 10:].argmax(-1)], -1)
    assert np.array_equal(pairs, list(itertools.product(range(10), repeat=2)))
    assert (every.input.sum(-1) == 2).all()
    assert np.array_equal(task.group.table[pairs[:, 0], pairs[:, 1]], every.target)


def test_pairs_are_drawn_equally_often():
    index = GroupOperation("S_3").draw(fold_in(make_key(0), np.arange(36_000))).index
    assert np.abs(np.bincount(index, minlength=36) / 1000 - 1).max() < 5 / np.sqrt(1000)


def test_who_knows_the_table_earns_one():
    task = GroupOperation("D_5")
    state = task.reset(make_key(np.arange(100)))
    seen = task.observe(state)
    assert task.step(state, task.group.table[seen[:, 0], seen[:, 1]]).reward.mean() == task.optimal_reward == 1.0


def test_what_is_no_group_is_refused():
    with pytest.raises(InputError, match="not known"):
        GroupOperation("T_3")
    with pytest.raises(InputError, match="closure fails"):
        GroupOperation([[0, 1], [1, 2]])
    with pytest.raises(InputError, match="two classes"):
        GroupOperation("Z_1")
