"""Rows of metrics survive a writer that was killed."""

import json

import pytest
import torch

from sandtable.simulators.errors import InputError
from sandtable.training import History, JsonLines
from sandtable.training.checkpoint import flatten


def test_rows_are_lines_of_json(tmp_path):
    sink = JsonLines(tmp_path / "new" / "metrics.jsonl")
    sink.write(2, {"loss": [0.1, float("nan")]})
    sink.write(4, {"loss": [1e-17, 3.0], "accuracy": [1.0, float("-inf")]})
    assert [json.loads(line) for line in sink.path.read_text().splitlines()] == [
        {"step": 2, "loss": [0.1, None]},
        {"step": 4, "loss": [1e-17, 3.0], "accuracy": [1.0, None]},
    ]


@pytest.mark.parametrize("torn", ["", '{"step": 6, "lo', "\x00\x00"])
def test_later_rows_and_a_torn_line_are_dropped(tmp_path, torn):
    sink = JsonLines(tmp_path / "metrics.jsonl")
    for step in (2, 4, 6):
        sink.write(step, {"loss": [0.5]})
    with open(sink.path, "a") as file:
        file.write(torn)
    sink.truncate(4)
    assert [json.loads(line)["step"] for line in sink.path.read_text().splitlines()] == [2, 4]
    assert list(tmp_path.iterdir()) == [sink.path]


def test_nothing_is_written_where_nothing_is_dropped(tmp_path):
    sink = JsonLines(tmp_path / "metrics.jsonl")
    sink.truncate(3)
    assert not sink.path.exists()
    sink.write(2, {"loss": [0.5]})
    before = sink.path.stat().st_ino
    sink.truncate(2)
    assert sink.path.stat().st_ino == before


def test_file_of_something_else_is_refused_and_kept(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\nhello\n{"step": 2}\n')
    with pytest.raises(InputError, match=r"metrics\.jsonl, line 2"):
        JsonLines(path).truncate(0)
    assert "hello" in path.read_text()


def test_history_survives_as_tensors():
    history = History()
    history.write(2, {"loss": [0.1, 0.2]})
    history.write(3, {"loss": [0.3, 0.4], "validation_loss": [1.0, 2.0]})
    history.write(5, {"loss": [0.5, 0.6]})
    flat = flatten(history.tensors(), "history")
    assert all(isinstance(tensor, torch.Tensor) for tensor in flat.values())
    assert History.of_tensors(flat, "history").rows == history.rows
    history.truncate(3)
    assert [row["step"] for row in history.rows] == [2, 3]
    assert History.of_tensors({}, "history").rows == []
