"""A checkpoint is there as a whole, or not at all; and it is not taken for that of another training."""

import json
from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sandtable.simulators.errors import InputError
from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.training import MLP, SGD, AdamW, Checkpoints, Supervised, cosine, fit
from sandtable.training.checkpoint import flatten, load, save, unflatten
from sandtable.training.configuration import describe


class Pair(NamedTuple):
    left: object
    right: object


NAMES = st.text("abc", min_size=1, max_size=2)


def containers(inner):
    return st.dictionaries(NAMES, inner, max_size=3) | st.tuples(inner, inner) | st.builds(Pair, inner, inner)


TREES = st.recursive(st.integers(0, 3).map(torch.arange) | st.none() | st.just(()), containers, max_leaves=8)


def same(some, other):
    if isinstance(some, torch.Tensor):
        return torch.equal(some, other)
    if isinstance(some, dict):
        return list(some) == list(other) and all(same(some[name], other[name]) for name in some)
    if isinstance(some, tuple):
        return type(some) is type(other) and all(map(same, some, other))
    return some is other is None


@given(TREES)
def test_tree_survives_flattening(tree):
    flat = flatten(tree, "state")
    assert all(isinstance(tensor, torch.Tensor) for tensor in flat.values())
    assert same(unflatten(tree, flat, "state"), tree)


def test_names_are_dotted_and_unique():
    tensor = torch.zeros(1)
    assert list(flatten({"a": Pair((tensor, tensor), {"b.c": tensor})})) == ["a.left.0", "a.left.1", "a.right.b.c"]
    with pytest.raises(ValueError, match=r"two tensors are called a\.b"):
        flatten({"a": {"b": tensor}, "a.b": tensor})
    with pytest.raises(TypeError, match="not list"):
        flatten({"a": [tensor]})


def test_checkpoint_loads_as_it_was_saved(tmp_path):
    tensors = {"a.b": torch.randn(3), "step": torch.tensor(7)}
    path = save(tmp_path / "new", 7, tensors, {"note": [1, "x"]})
    assert path.name == "step-00000007"
    loaded, manifest = load(tmp_path / "new")
    assert manifest == {"note": [1, "x"]}
    assert same(loaded, tensors)


def test_newest_checkpoint_replaces_older_ones_and_leftovers(tmp_path):
    assert load(tmp_path / "nowhere") is None
    for step in (1, 9, 100_000_000):
        (tmp_path / "partial-00000005").mkdir()
        save(tmp_path, step, {"step": torch.tensor(step)}, {})
        assert [path.name for path in tmp_path.iterdir()] == [f"step-{step:08d}"]
    (tmp_path / "partial-00000005").mkdir()
    (tmp_path / "step-00000009").mkdir()  # half removed
    tensors, _ = load(tmp_path)
    assert tensors["step"] == 100_000_000
    assert [path.name for path in tmp_path.iterdir()] == ["step-100000000"]


def test_damaged_checkpoint_is_named(tmp_path):
    path = save(tmp_path, 3, {"a": torch.zeros(1)}, {})
    (path / "tensors.pt").write_bytes(b"PK")
    with pytest.raises(InputError, match="step-00000003: not a readable checkpoint"):
        load(tmp_path)


def train(folder, n=10, key=0, **settings):
    settings = {"steps": 4, "optimizer": SGD(0.1), "schedule": cosine(10), "log_every": 2, **settings}
    network = MLP(2, n, [8], 1, key=0, activation=settings.pop("activation", "relu"))
    objective = Supervised(SparseParity(n, settings.pop("k", 2), loss="hinge"), settings.pop("batch", 8))
    return fit(network, objective, key=key, checkpoint=Checkpoints(folder, every=2), **settings)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"key": 1}, "key"),
        ({"steps": 5}, "steps"),
        ({"optimizer": AdamW(0.1)}, "optimizer"),
        ({"optimizer": SGD([0.1, 0.2])}, "optimizer"),
        ({"schedule": cosine(11)}, "schedule"),
        ({"clip": 1.0}, "clip"),
        ({"k": 3}, "objective"),
        ({"batch": 9}, "objective"),
        ({"activation": "tanh"}, "network"),
        ({"n": 11}, "network, objective, shapes"),
    ],
)
def test_checkpoint_of_another_configuration_is_refused(tmp_path, changed, named):
    train(tmp_path)
    with pytest.raises(InputError, match=f"made with another {named};"):
        train(tmp_path, **changed)


def test_finished_training_is_not_run_again(tmp_path):
    first = train(tmp_path)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    second = train(tmp_path)
    assert second.history == first.history
    assert torch.equal(second.network.layers[0].weight, first.network.layers[0].weight)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == files


def test_description_is_json_and_tells_settings_apart():
    arrays = [torch.arange(1000), torch.arange(1000) + 1]
    descriptions = [
        describe({"a": array, "type": int, "objective": Supervised(SparseParity(5, 2), 3)}) for array in arrays
    ]
    assert descriptions[0] != descriptions[1]
    assert json.loads(json.dumps(descriptions)) == descriptions
    assert describe(Supervised(SparseParity(5, 2), 3)) == describe(Supervised(SparseParity(5, 2), 3))
