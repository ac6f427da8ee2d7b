"""Perceptrons against forests: what each learner is given, files of one's own, and what is refused."""

import sys

import numpy as np
import pytest

from sandtable.analysis.store import RunStore
from sandtable.analysis.tasks.frontier_experiments import TableContest
from sandtable.analysis.tasks.table_contest import FOREST, PERCEPTRON, draw_rows, hold_contest
from sandtable.simulators.errors import InputError, MissingExtraError

SMALL = {"widths": (4, 32), "seeds": 2, "steps": 150, "trees": 20, "leaves": (1, 5), "samples": 200}


def held(tmp_path, **settings):
    experiment = TableContest(**{**SMALL, **settings})
    return hold_contest(experiment, RunStore(tmp_path).run("study", experiment))


def test_seeds_draw_rows_of_their_own_and_more_rows_hold_the_fewer():
    few, many = (draw_rows(TableContest(samples=samples, seeds=2), 50) for samples in (10, 50))
    assert few.shape == (2, 10)
    assert np.array_equal(few, many[:, :10])
    assert not np.array_equal(few[0], few[1])
    assert np.array_equal(np.sort(many, axis=1), np.tile(np.arange(50), (2, 1)))


def test_a_file_of_one_s_own_is_held_like_the_bundled_tables(tmp_path):
    """The class is a step of one of four columns: all learners find it."""
    pytest.importorskip("sklearn")
    numbers = np.random.default_rng(0).normal(size=(600, 4))
    lines = ["a,b,c,d,label", *(f"{','.join(map(str, x))},{'yes' if x[2] > 0 else 'no'}" for x in numbers)]
    path = tmp_path / "steps.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    told = held(tmp_path, data=str(path), target="label")
    assert [row["learner"] for row in told] == [PERCEPTRON] * 4 + [FOREST]
    assert [(row["width"], row["sparsity"]) for row in told[:4]] == [(4, 0), (4, 2), (32, 0), (32, 2)]
    assert {row["rows"] for row in told} == {200}
    assert all(len(row["accuracies"]) == 2 for row in told)
    assert told[-1]["accuracy"] > 0.95
    assert min(row["accuracy"] for row in told[2:4]) > 0.9
    with pytest.raises(InputError, match=r"steps.csv: target column 'lable'.*label"):
        held(tmp_path, data=str(path), target="lable")


def test_more_rows_than_there_are_is_refused(tmp_path):
    pytest.importorskip("sklearn")
    with pytest.raises(InputError, match=r"samples = 99999: the training split of fair has \d+ rows"):
        held(tmp_path, data="fair", samples=99_999)


def test_without_scikit_learn_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    with pytest.raises(MissingExtraError, match=r"the random forest needs .* pip install 'sandtable\[tabular\]'"):
        held(tmp_path, data="fair")
