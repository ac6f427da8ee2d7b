import errno
import hashlib
import json
import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from sandtable.analysis.store import RunStore, canonical_json, from_plain, to_plain, write_atomically


@dataclass(frozen=True)
class Config:
    panel: str
    rate: float = 0.1
    seeds: tuple[int, ...] = (0, 1)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_name_of_a_run_is_pinned(tmp_path: Path) -> None:
    run = RunStore(tmp_path).run("retail", Config("embedded"))
    assert canonical_json(Config("embedded")) == '{"panel":"embedded","rate":0.1,"seeds":[0,1]}'
    assert run.folder == tmp_path / "retail" / "afd2b39ed4e2"


def test_the_name_of_a_run_is_the_hash_of_its_config_file(tmp_path: Path) -> None:
    run = RunStore(tmp_path).run("retail", Config("embedded"))
    run.open({})
    assert hashlib.sha256((run.folder / "config.json").read_bytes()).hexdigest().startswith(run.folder.name)


def test_settings_and_version_and_nothing_else_name_a_run(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    run = store.run("retail", Config("embedded"))
    assert run == store.run("retail", {"seeds": [0, 1], "rate": 0.1, "panel": "embedded"})
    assert run.folder != store.run("retail", Config("embedded"), version=2).folder
    assert run.folder != store.run("retail", Config("embedded", rate=0.2)).folder


def test_numbers_that_json_lacks_come_back() -> None:
    values = {"a": [math.nan, math.inf, -math.inf, 1.5], "b": np.float64("nan")}
    text = json.dumps(to_plain(values), allow_nan=False)
    back = from_plain(json.loads(text))
    assert math.isnan(back["a"][0])
    assert back["a"][1:] == [math.inf, -math.inf, 1.5]
    assert math.isnan(back["b"])


def test_arrays_and_numpy_scalars_become_lists_and_numbers() -> None:
    assert to_plain({"x": np.arange(2), "n": np.int64(3), "f": np.float32(0.5)}) == {"x": [0, 1], "n": 3, "f": 0.5}


@pytest.mark.parametrize("value", [{1: "a"}, {"a": {2, 3}}, {"a": object()}])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        to_plain(value)


def test_a_run_is_finished_with_its_result_only(tmp_path: Path) -> None:
    run = RunStore(tmp_path).run("retail", Config("embedded"))
    assert not run.finished
    run.open({"started": "then"})
    run.write_text("report.html", "<p>")
    assert not run.finished
    with pytest.raises(FileNotFoundError, match="not finished"):
        run.result()
    run.finish({"profit": 3.5}, {"started": "then", "wall_seconds": 1.0})
    assert run.finished
    assert run.result() == {"profit": 3.5}
    assert files(run.folder) == {"config.json", "provenance.json", "report.html", "result.json"}


def test_a_killed_run_continues_in_its_folder_and_keeps_its_attempts(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.run("retail", Config("embedded")).open({"cpus": 1})
    run = store.run("retail", Config("embedded"))
    run.fail("Traceback")
    run.open({"cpus": 2})
    run.finish([{"x": 1}, {"x": 2}], {"cpus": 2, "wall_seconds": 1.0})
    assert run.attempts() == [{"cpus": 1}, {"cpus": 2, "wall_seconds": 1.0}]
    assert "error.txt" not in files(run.folder)
    assert [run.config for run in store.finished("retail")] == [run.config]


def test_a_run_tells_its_status_at_most_once_a_second_until_it_ends(tmp_path: Path) -> None:
    run = RunStore(tmp_path).run("study", Config("embedded"))
    assert run.status() is None
    tell = run.progress()
    tell(10, 1000, {"loss": [0.5]})
    tell(20, 1000, {"loss": [0.4]})
    assert run.status() == "step 10 of 1,000, loss 0.5"
    run.fail("stopped")
    assert run.status() is None


def test_a_corrupt_result_counts_as_unfinished_and_says_so(tmp_path: Path) -> None:
    run = RunStore(tmp_path).run("retail", Config("embedded"))
    run.open({})
    for text in ("", '{"profit": 3', "3"):
        (run.folder / "result.json").write_text(text)
        with pytest.warns(RuntimeWarning, match="counts as unfinished"):
            assert not run.finished
    run.finish({"profit": 1.0})
    assert run.result() == {"profit": 1.0}


def test_folders_of_two_machines_merge_by_copying(tmp_path: Path) -> None:
    for machine, panel in (("one", "embedded"), ("two", "uci")):
        run = RunStore(tmp_path / machine).run("retail", Config(panel))
        run.open({})
        run.finish({"profit": 1.0})
    shutil.copytree(tmp_path / "two", tmp_path / "one", dirs_exist_ok=True)
    merged = RunStore(tmp_path / "one")
    assert {run.config["panel"] for run in merged.finished("retail")} == {"embedded", "uci"}
    assert merged.run("retail", Config("uci")).finished


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "result.json"
    write_atomically(path, "old")

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="disk is full") as caught:
        write_atomically(path, "new")
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(path)
    assert path.read_text() == "old"
    assert files(tmp_path) == {"result.json"}


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "result.json", "new")
    assert files(tmp_path) == set()


def test_a_torn_last_line_of_the_metrics_is_left_out(tmp_path: Path) -> None:
    run = RunStore(tmp_path).run("retail", Config("embedded"))
    assert run.metrics() == []
    run.open({})
    (run.folder / "metrics.jsonl").write_text('{"step": 1}\n{"step": 2}\n{"step": 3, "lo')
    assert run.metrics() == [{"step": 1}, {"step": 2}]


def test_a_torn_line_in_the_middle_is_left_out_with_a_warning(tmp_path: Path) -> None:
    run = RunStore(tmp_path).run("retail", Config("embedded"))
    run.open({})
    (run.folder / "metrics.jsonl").write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.warns(RuntimeWarning, match="line 2"):
        assert run.metrics() == [{"step": 1}, {"step": 3}]


@pytest.mark.parametrize("name", ["result.json", "../escape.txt", "sub/file.txt", "", ".."])
def test_artefacts_cannot_take_the_place_of_other_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="name must be"):
        RunStore(tmp_path).run("retail", Config("embedded")).write_text(name, "")


def test_json_artefacts_are_json(tmp_path: Path) -> None:
    path = RunStore(tmp_path).run("retail", Config("embedded")).write_json("orders.json", {"a": np.float64("inf")})
    assert json.loads(path.read_text()) == {"a": "Infinity"}
