"""What ``sandtable data`` says of completions, tasks and features."""

import json

import numpy as np
import pytest

from sandtable.analysis.data_kinds import ReadingOptions, examine
from sandtable.simulators.errors import InputError
from sandtable.simulators.language.completions_file import read_completions
from sandtable.simulators.language.features_folder import write_features

LINES = [
    {"prompt_id": "a", "prompt": "1+1?", "completions": ["2", "2", "2"], "rewards": [1, 1, None], "note": 1},
    {"prompt_id": "b", "prompt": "1+2?", "completions": ["3", ""], "finish": ["stop", "length"], "group": "g"},
    {"prompt_id": "c", "prompt": " 1+1?", "completions": ["4"], "greedy": {"completion": "2"}},
]


@pytest.fixture
def write(tmp_path):
    def write(*lines, name="own.jsonl"):
        (tmp_path / name).write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
        return str(tmp_path / name)

    return write


def told(path, describe=True):
    return examine(path, describe, ReadingOptions())


def test_completions_are_described_and_what_is_odd_is_told(write):
    found = told(write(*LINES))
    assert (found["kind"], found["format"]) == ("completions", "sandtable")
    assert (found["prompts"], found["completions"]) == (3, 6)
    assert found["completions_a_prompt"] == [1, 3]
    assert found["distinct"] == 4
    assert found["known"] == {"rewards": 2, "finish": 2}
    assert found["reward"] == {"mean": 1.0, "min": 1.0, "max": 1.0}
    assert (found["greedy"], found["groups"], found["other_fields"], found["features"]) == (1, 1, ["note"], None)
    assert sum(found["splits"].values()) == 3
    words = " ".join(found["warnings"])
    for odd in (
        "prompts have 1 to 3 completions", "1 of 3 prompts have only completions that are the same: a",
        "1 of 3 prompts have empty completions: b", "3 of 3 prompts lack rewards: a, b, c",
        "1 of 3 prompts have completions that ended because the model might not go on: b",
        "2 of 3 prompts are also there under another id, and share its split: a, c",
    ):  # fmt: skip
        assert odd in words
    assert list(told(write(*LINES), describe=False)) == ["file", "kind", "warnings"]


def test_a_prompt_in_two_splits_is_refused(write):
    lines = [LINES[0] | {"split": "train"}, LINES[2] | {"split": "test"}]
    with pytest.raises(InputError, match=r"own.jsonl, line 2, field split: c is in test, and a on line 1"):
        told(write(*lines), describe=False)


def test_features_are_checked_with_their_completions_and_alone(write, tmp_path):
    path = write(*LINES)
    folder = tmp_path / "own.features"
    write_features(folder, read_completions(path).prompts, {"1": np.zeros((6, 2), np.float32)}, model="m")
    assert told(path)["features"] == {
        "model": "m", "layers": ["1"], "rows": 6, "d": 2, "dtype": "float32", "token_position": "last",
    }  # fmt: skip
    assert told(str(folder), describe=False) == {"file": str(folder), "kind": "features", "warnings": []}
    assert told(str(folder))["rows"] == 6
    write(*LINES[:2])
    with pytest.raises(InputError, match="field sha256: these are features of another file: 6 rows, for 5 completions"):
        told(path)
    (folder / "manifest.json").unlink()
    with pytest.raises(InputError, match=r"manifest.json: there is no such file"):
        told(str(folder))


def test_tasks_are_described(write):
    found = told(write(
        {"task_id": "a", "kind": "number", "prompt": "1+1?", "answer": "2"},
        {"task_id": "b", "kind": "text", "prompt": "1+1?", "answer": "two", "reference": "two"},
    ))  # fmt: skip
    assert (found["kind"], found["format"], found["tasks"]) == ("tasks", "sandtable", 2)
    assert found["kinds"] == {"number": 1, "text": 1}
    assert found["with_reference"] == 1
    assert found["warnings"] == ["2 of 2 tasks ask what another one asks, too: a, b"]


@pytest.mark.parametrize("text", ['{"prompt_id": ', '{"colour": 1}', "[1]"])
def test_what_is_neither_is_refused_by_its_line(tmp_path, text):
    (tmp_path / "own.jsonl").write_text(text)
    with pytest.raises(InputError, match="line 1"):
        told(str(tmp_path / "own.jsonl"))
