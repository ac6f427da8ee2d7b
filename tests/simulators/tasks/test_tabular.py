"""Rows of a table as a task: the split, the scale, the rows that are drawn."""

import numpy as np
import pytest
import torch
from scipy.stats import norm, rankdata

from sandtable.simulators.errors import InputError
from sandtable.simulators.random import fold_in, make_key
from sandtable.simulators.tasks.tabular import Tabular, normal_scores


@pytest.fixture
def file_of(tmp_path):
    def write(rows, name="table.csv"):
        path = tmp_path / name
        path.write_text("x,y,kind\n" + "".join(f"{x},{y},{kind}\n" for x, y, kind in rows), encoding="utf-8")
        return str(path)

    return write


def rows_of(count, classes=2, seed=0):
    generator = np.random.default_rng(seed)
    return [(round(x, 3), round(y, 3), f"k{i % classes}") for i, (x, y) in enumerate(generator.normal(size=(count, 2)))]


def test_the_splits_share_the_rows_and_a_row_s_split_does_not_depend_on_the_others(file_of):
    rows = rows_of(2000)
    train, test = (Tabular(file_of(rows), "kind", split=split) for split in ("train", "test"))
    assert sorted([*train.rows, *test.rows]) == list(range(2000))
    assert abs(test.size / 2000 - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 2000)
    fewer = Tabular(file_of(rows[:500]), "kind", split="test")
    assert np.array_equal(fewer.rows, test.rows[test.rows < 500])
    other = Tabular(file_of(rows), "kind", split="test", data_seed=1)
    assert not np.array_equal(other.rows, test.rows)


def test_inputs_are_normal_scores_on_the_training_rows_scale(file_of):
    rows = rows_of(400)
    values = np.array([row[:2] for row in rows])
    path = file_of(rows)
    train, test = (Tabular(path, "kind", split=split) for split in ("train", "test"))
    n = train.size
    expected = norm.ppf((rankdata(values[train.rows], axis=0) - 0.5) / n)  # mean ranks of ties, from 1
    np.testing.assert_allclose(train.dataset().input, expected, rtol=1e-6, atol=1e-6)
    seen = test.dataset().input
    assert all(row in test.observation_space for row in seen)
    below = (values[train.rows] < values[test.rows][:, None]).sum(1)
    expected = norm.ppf(np.clip(below / n, 0.5 / n, 1 - 0.5 / n))
    distinct = ~(values[train.rows] == values[test.rows][:, None]).any(1)
    np.testing.assert_allclose(seen[distinct], expected[distinct], rtol=1e-5, atol=1e-6)


def test_outliers_are_bounded_and_a_constant_column_is_zero():
    train = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0], [4.0, 5.0]])
    scores = normal_scores(np.array([[-1e9, 5.0], [2.5, 5.0], [1e9, 5.0]]), train)
    np.testing.assert_allclose(scores, [[norm.ppf(1 / 8), 0], [0, 0], [norm.ppf(7 / 8), 0]], atol=1e-15)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("data", ["fair", "randhie"])
def test_numpy_and_torch_draw_the_same_bits_and_info_names_the_row(data, split):
    task = Tabular(data, split=split)
    keys = fold_in(make_key([3, 4])[:, None], np.arange(50))
    ours, theirs = task.draw(keys), task.draw(torch.from_numpy(keys))
    for some, others in zip(ours, theirs, strict=True):
        assert np.array_equal(some, others.numpy())
    assert np.isin(ours.index, task.rows).all()
    place = np.searchsorted(task.rows, ours.index)
    assert np.array_equal(task.dataset().input[place], ours.observation)
    assert np.array_equal(task.dataset().target[place], ours.target)
    assert task.encode(ours.observation) is ours.observation


def test_rows_are_drawn_equally_often(file_of):
    task = Tabular(file_of(rows_of(60, classes=3)), "kind")
    index = task.draw(fold_in(make_key(0), np.arange(1000 * task.size))).index
    assert np.abs(np.bincount(index)[task.rows] / 1000 - 1).max() < 5 / np.sqrt(1000)
    assert task.class_names == ("k0", "k1", "k2")
    assert task.action_space.n == 3


def test_the_best_rule_tells_the_most_frequent_class_of_equal_rows(file_of):
    rows = [(1, 1, "a"), (1, 1, "a"), (1, 1, "b"), (2, 1, "b")] * 200
    task = Tabular(file_of(rows), "kind")
    every = task.dataset()
    first = every.input[:, 0] == every.input[:, 0].min()
    right = (every.target[first] == 0).sum() + (~first).sum()
    assert task.optimal_reward == right / task.size
    state = task.reset(fold_in(make_key(0), np.arange(20_000)))
    told = (task.observe(state)[:, 0] > every.input[:, 0].min()).astype(int)
    best = task.optimal_reward
    assert abs(task.step(state, told).reward.mean() - best) < 5 * np.sqrt(best * (1 - best) / 20_000)
    assert Tabular(file_of(rows_of(100), "distinct.csv"), "kind").optimal_reward == 1.0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"split": "tests"}, r"split 'tests': there are train, test; is it test\?"),
        ({"test_fraction": 1.0}, "test_fraction = 1.0: it must lie between 0 and 1"),
        ({"test_fraction": 1e-9, "split": "test"}, "the test split has 0 of 8 rows and fewer than two classes"),
        ({"test_fraction": 1 - 1e-9, "split": "test"}, "the test split has 8 of 8 rows"),
        ({"data": "fair", "target": "children", "loss": "hinge"}, "for two classes and there are 6"),
    ],
)
def test_what_cannot_be_a_task_is_refused(file_of, settings, said):
    with pytest.raises(InputError, match=said):
        Tabular(**{"data": file_of(rows_of(8)), "target": "kind", **settings})
