"""Features: written whole, mapped, and refused where they are another file's."""

import json
from dataclasses import replace

import numpy as np
import pytest

from sandtable.simulators.errors import InputError
from sandtable.simulators.language.completions import Prompt
from sandtable.simulators.language.features_folder import digest, features_path, read_features, write_features

PROMPTS = [Prompt("a", "p", ("x", "y")), Prompt("b", "q", ("z\ud800",))]
LAYERS = {"first": np.arange(6, dtype=np.float32).reshape(3, 2), "last": np.ones((3, 2), np.float32)}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "own.features"
    write_features(path, PROMPTS, LAYERS, model="m")
    return path


def test_layers_are_mapped_rows_in_the_order_of_the_file(folder):
    features = read_features(folder, PROMPTS)
    assert (features.model, features.layers, features.d, features.rows) == ("m", ("first", "last"), 2, 3)
    assert (features.dtype, features.token_position) == ("float32", "last")
    assert isinstance(features.layer("first"), np.memmap)
    assert features.layer("first").tolist() == LAYERS["first"].tolist()
    assert features.layer().tolist() == LAYERS["last"].tolist()
    assert {one.name for one in folder.iterdir()} == {"manifest.json", "first.npy", "last.npy"}
    features.require_finite()


def test_they_belong_to_ids_and_texts_alone(folder):
    read_features(folder, [replace(one, rewards=(1.0,) * len(one)) for one in PROMPTS])
    for other in (PROMPTS[::-1], PROMPTS[:1], [replace(PROMPTS[0], prompt_id="c"), PROMPTS[1]]):
        with pytest.raises(InputError, match=r"manifest.json, field sha256: these are features of another file"):
            read_features(folder, other)
    assert digest([Prompt("a", "p", ("x", "y"))]) != digest([Prompt("a", "p", ("xy",))])


def test_they_lie_beside_their_completions():
    assert features_path("runs/own.jsonl.gz").name == features_path("runs/own.jsonl").name == "own.features"


def test_writing_again_replaces_them_and_nothing_else(folder, tmp_path):
    write_features(folder, PROMPTS, {"only": LAYERS["last"]}, model="n")
    assert read_features(folder).layers == ("only",)
    assert [one.name for one in tmp_path.iterdir()] == ["own.features"]
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="something else than features"):
        write_features(tmp_path / "other", PROMPTS, LAYERS, model="m")


@pytest.mark.parametrize(
    "layers",
    [
        {}, {"a": np.ones((2, 2))}, {"a": np.ones(3)}, {"a": np.ones((3, 2), int)}, {"../a": np.ones((3, 2))},
        {"a": np.ones((3, 2)), "b": np.ones((3, 3))}, {"a": np.ones((3, 0))},
    ],
)  # fmt: skip
def test_arrays_of_another_shape_are_refused(tmp_path, layers):
    with pytest.raises(ValueError, match="layers must"):
        write_features(tmp_path / "x.features", PROMPTS, layers, model="m")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"schema": "other/1"}, "field schema: it must be sandtable.features/1"),
        ({"layers": ["../../etc"]}, "field layers"),
        ({"layers": ["first", "first"]}, "field layers: a layer is listed twice"),
        ({"layers": ["absent"]}, "absent.npy: there is no such file"),
        ({"d": "2"}, 'field d: it must be a int, not "2"'),
        ({"d": 3}, r"first.npy: it holds float32 \[3, 2\], where the manifest says float32 \[3, 3\]"),
        ({"dtype": "object"}, "field dtype"),
        ({"sha256": "0"}, "field sha256: it must be 64"),
        ({"rows": 0}, "fields d and rows"),
        ({"model": None}, "field model"),
    ],
)
def test_a_wrong_manifest_is_told_by_its_field(folder, change, what):
    manifest = folder / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | change))
    with pytest.raises(InputError, match=what):
        read_features(folder)


def test_files_that_are_no_arrays_are_refused(folder):
    (folder / "first.npy").write_bytes(b"\x80\x04pickle")
    with pytest.raises(InputError, match=r"first.npy: the file is no array that can be read"):
        read_features(folder)
    np.save(folder / "first.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"first.npy: the file is no array"):
        read_features(folder)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="this is no JSON"):
        read_features(folder)
    with pytest.raises(InputError, match="there is no such file; name a folder"):
        read_features(folder / "absent")


def test_numbers_that_are_not_finite_are_told_by_their_row(tmp_path):
    wrong = np.ones((3, 2))
    wrong[1, 1] = np.nan
    features = write_features(tmp_path / "x.features", PROMPTS, {"a": wrong}, model="m")
    with pytest.raises(InputError, match=r"a.npy, row 1: a number is not finite"):
        features.require_finite()
    with pytest.raises(InputError, match="layer 'b': there are a"):
        features.layer("b")
