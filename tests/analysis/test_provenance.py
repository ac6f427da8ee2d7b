import json
import platform
import socket
import sys
from pathlib import Path

import pytest

from sandtable.analysis import provenance


def test_the_record_names_versions_platform_and_cost() -> None:
    recorder = provenance.Recorder()
    record = recorder.finished()
    assert record["packages"]["numpy"]
    assert record["python"] == platform.python_version()
    assert record["wall_seconds"] >= 0
    assert record["peak_memory_mib"] is None or record["peak_memory_mib"] > 1
    assert record["started"].endswith("+00:00")
    assert recorder.started.items() <= record.items()


def test_neither_host_nor_absolute_paths_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/home/someone/bin/sandtable", "backtest", "/srv/secret/sales.csv"])
    text = json.dumps(provenance.Recorder().finished())
    assert '["sandtable", "backtest", "sales.csv"]' in text
    for private in (socket.gethostname(), str(Path.home()), "secret", str(Path(__file__).parents[2])):
        assert f"{private}/" not in text
        assert f'"{private}"' not in text


def test_paths_after_options_are_cut_too() -> None:
    arguments = ["--runs=/a/b/runs", "--rate=0.1", r"C:\data\x.csv", "data/x.csv", "a=/b/c"]
    assert provenance.strip_paths(arguments) == ["--runs=runs", "--rate=0.1", "x.csv", "data/x.csv", "a=/b/c"]


def test_outside_a_checkout_there_is_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    assert provenance.checkout_state.__wrapped__() == (None, None)


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert provenance.checkout_state.__wrapped__() == (None, None)
