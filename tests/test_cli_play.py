"""What a user types to play and record games, and what comes of it: files and a document, or one line."""

import contextlib
import csv
import io
import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from sandtable.cli import main

KEYS = [
    "schema", "env", "arguments", "policy", "games", "lost", "seeds", "score", "return", "length", "turns", "depth",
    "end", "reproducible", "steps", "steps_per_cpu_second", "versions", "games_file", "warnings", "report",
]  # fmt: skip
SUMMARY = ["mean", "se", "ci", "median", "median_ci", "q10", "q90", "max"]
COLUMNS = "seed,score,return,length,turns,depth,experience_level,end"


class Said(NamedTuple):
    code: int
    out: str
    err: str


def sandtable(*arguments: object) -> Said:
    """Run a command in this process."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main([str(argument) for argument in arguments])
    return Said(code, out.getvalue(), err.getvalue())


def played(*arguments: object, code: int = 0) -> dict:
    said = sandtable("play", *arguments, "--json")
    assert (said.code, said.err) == (code, "")
    assert said.out.count("\n") == 1
    return json.loads(said.out)


def rows(document: dict) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(document["games_file"]).open()))


def codes(document: dict) -> set[str]:
    return {one["code"] for one in document["warnings"]}


def test_the_document_has_every_key_and_is_what_the_table_of_games_says(worlds):
    arguments = ("--env", "worlds:Telling-v0", "--policy", "worlds:Alternating", "--games", "30", "--seed", "5")
    told = played(*arguments)
    assert list(told) == KEYS
    table = rows(told)
    assert Path(told["games_file"]).read_text().splitlines()[0] == COLUMNS
    assert [int(row["seed"]) for row in table] == list(range(5, 35))
    assert told["seeds"] == [5, 34]
    for name in ("score", "return", "length", "turns", "depth"):
        values = np.array([float(row[name]) for row in table])
        assert list(told[name]) == SUMMARY
        assert told[name]["mean"] == pytest.approx(values.mean())
        assert told[name]["median"] == pytest.approx(np.median(values))
        assert told[name]["se"] == pytest.approx(values.std(ddof=1) / 30**0.5)
        assert told[name]["ci"][0] <= told[name]["mean"] <= told[name]["ci"][1]
    assert told["steps"] == sum(int(row["length"]) for row in table)
    assert told["steps_per_cpu_second"] > 0
    assert told["end"] == {"terminated": 30, "lost": 0}
    assert told["reproducible"] is False
    assert codes(told) == {"not_reproducible"}
    assert told["versions"]["nle"] is None
    assert told["versions"]["gymnasium"]
    assert "<svg" in Path(told["report"]).read_text()


def test_the_games_do_not_depend_on_envs_and_workers_and_are_not_played_twice(worlds):
    told = [
        played("--env", "CartPole-v1", "--policy", "random", "--games", "25", "--runs", f"{envs}", "--envs", envs,
               "--workers", workers)
        for envs, workers in ((1, 1), (7, 3))
    ]  # fmt: skip
    assert Path(told[0]["games_file"]).read_bytes() == Path(told[1]["games_file"]).read_bytes()
    files = {path: path.stat().st_mtime_ns for path in Path("1").rglob("*")}
    again = ("--env", "CartPole-v1", "--policy", "random", "--games", "25", "--runs", "1")
    assert played(*again) == told[0]
    assert {path: path.stat().st_mtime_ns for path in Path("1").rglob("*")} == files
    wider = played(*again, "--alpha", ".001")
    assert wider["report"] == told[0]["report"]
    assert wider["return"]["ci"][0] < told[0]["return"]["ci"][0]
    assert wider["steps_per_cpu_second"] == told[0]["steps_per_cpu_second"]  # nothing was played


def test_lost_games_are_in_no_mean_and_a_warning(worlds):
    """Of seeds 0 to 7 the environment loses one, raises in one, and ends its process in one."""
    told = played("--env", "worlds:Crashing-v0", "--policy", "random", "--games", "8", "--workers", "1")
    table = rows(told)
    assert [int(row["seed"]) for row in table if row["end"] == "lost"] == [1, 2, 4]
    assert {row["return"] for row in table if row["end"] == "lost"} == {""}
    assert (told["games"], told["lost"], told["end"]["lost"]) == (8, 3, 3)
    kept = [float(row["return"]) for row in table if row["end"] != "lost"]
    assert told["return"]["mean"] == pytest.approx(np.mean(kept))
    assert told["steps"] == sum(int(row["length"]) for row in table if row["length"])
    message = next(one["message"] for one in told["warnings"] if one["code"] == "lost_games")
    for part in ("3 of 8 games", "seeds 1, 2, 4", "RuntimeError: no such level", "its process ended with exit code 3"):
        assert part in message


def test_where_every_game_is_lost_there_is_no_mean_but_a_report(worlds):
    told = played("--env", "worlds:Crashing-v0", "--policy", "random", "--seed", "1", "--games", "2", code=1)
    assert (told["games"], told["lost"], told["return"], told["steps"]) == (2, 2, None, 0)
    assert told["end"] == {"terminated": 0, "lost": 2}
    assert "No game of 2 was played to its end." in Path(told["report"]).read_text()


def test_the_words_end_with_answer_games_and_report(worlds):
    said = sandtable("play", "--env", "worlds:Lengths-v0", "--policy", "random", "--games", "4", "--workers", "1")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[-1].startswith("report: runs/play/")
    assert lines[-2].startswith("games: runs/play/")
    assert any(line.startswith("Mean return ") and "of random in 4 games" in line for line in lines)
    assert any(line.startswith("warning: few_games: 4 games") for line in lines)


def test_a_run_that_was_killed_goes_on_with_the_games_that_are_missing(worlds):
    Path("slow.py").write_text("import time\ndef policy(observation):\n    time.sleep(0.002)\n    return 0\n")
    arguments = ["--env", "worlds:Lengths-v0", "--policy", "slow:policy", "--games", "12", "--workers", "1"]
    process = subprocess.Popen([sys.executable, "-m", "sandtable.cli", "play", *arguments], stderr=subprocess.DEVNULL)
    while not any(path.read_text().count("\n") >= 2 for path in Path("runs").glob("play/*/games.jsonl")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    (file,) = Path("runs").glob("play/*/games.jsonl")
    kept = file.read_text().splitlines()
    assert 2 <= len(kept) < 12
    with file.open("a") as torn:
        torn.write('{"seed": 1')
    told = played(*arguments)
    assert set(kept) <= set(file.read_text().splitlines())
    assert Path(told["games_file"]).read_bytes() == Path(
        played(*arguments, "--runs", "others")["games_file"]
    ).read_bytes()  # fmt: skip


@pytest.mark.slow
def test_an_interrupted_run_says_so_and_leaves_no_process(worlds):
    Path("slow.py").write_text("import time\ndef policy(observation):\n    time.sleep(0.01)\n    return 0\n")
    arguments = ["--env", "worlds:Lengths-v0", "--policy", "slow:policy", "--games", "50"]
    process = subprocess.Popen(
        [sys.executable, "-m", "sandtable.cli", "play", *arguments], stderr=subprocess.PIPE, text=True
    )
    while not list(Path("runs").glob("play/*/games.jsonl")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)  # standard error closes when the last process that has it has ended
    assert process.returncode == 130
    assert said == "sandtable: interrupted; the same command goes on where it stopped\n"


@pytest.mark.slow
def test_a_saved_policy_plays_the_same_games_at_any_width(worlds):
    sb3 = pytest.importorskip("stable_baselines3", reason="needs the extra rl")
    sb3.PPO("MlpPolicy", "CartPole-v1", n_steps=64, device="cpu").save("ppo")
    told = [
        played("--env", "CartPole-v1", "--policy", "sb3:PPO:ppo.zip", "--trust", "--games", "12", "--envs", envs,
               "--workers", "1", "--runs", f"{envs}")
        for envs in (1, 8)
    ]  # fmt: skip
    assert Path(told[0]["games_file"]).read_text() == Path(told[1]["games_file"]).read_text()
    assert "pass --trust" in sandtable("play", "--env", "CartPole-v1", "--policy", "sb3:PPO:ppo").err


def refused(*arguments: str, command: tuple[str, ...] = ("play",)) -> str:
    """Return the one line with which a command refuses its input, after making sure that it left nothing behind."""
    said = sandtable(*command, *arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.count("\n") == 1
    assert not Path("runs").exists()
    return said.err.removeprefix("sandtable: ").strip()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--policy random", "--env"),
        ("--env CartPole-v1 --policy rndom", "--policy rndom: write random, module:function"),
        ("--env CartPole-v1 --policy worlds:absent", "has no function absent"),
        ("--env CartPoel-v1 --policy random", "doesn't exist"),
        ("--env CartPole-v1 --policy random --set speed=3", "--set speed: CartPole-v1 has no such argument"),
        ("--env CartPole-v1 --policy random --set speed", "it must be ARGUMENT=VALUE"),
        ("--env CartPole-v1 --policy random --games 0", "--games: 0 is less than 1"),
        ("--env CartPole-v1 --policy random --envs 0", "--envs: 0 is less than 1"),
        ("--env CartPole-v1 --policy random --workers 0", "--workers: 0 is less than 1"),
        ("--env CartPole-v1 --policy random --max-steps 0", "--max-steps: 0 is less than 1"),
        ("--env CartPole-v1 --policy random --alpha 2", "--alpha: 2 is not between 0 and 1"),
        ("--env worlds:Picky-v0 --policy random --set hardness=4", "hardness must be 1, 2 or 3"),
        ("--env CartPole-v1 --policy random --seed -1", "--seed: -1 is less than 0"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(worlds, arguments, said):
    assert said in refused(*arguments.split())


def test_what_goes_wrong_in_a_game_is_one_line(worlds):
    for policy, env, wrong in (
        ("worlds:beyond", "worlds:Lengths-v0", "step 2: action 2 is not in Discrete(2)"),
        ("random", "worlds:Dying-v0", "no game can be played: of each of the first 3 tried alone, its process ended"),
    ):
        said = sandtable("play", "--env", env, "--policy", policy, "--games", "5", "--workers", "1")
        assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
        assert wrong in said.err


@contextlib.contextmanager
def full_disk(size: int):
    """Let no file of this process and its children grow beyond a size, which looks like a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_one_line_and_the_games_that_were_kept_stay(worlds):
    arguments = ("--env", "worlds:Lengths-v0", "--policy", "random", "--games", "40", "--workers", "1")
    with full_disk(4000):
        said = sandtable("play", *arguments)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert "the disk is full" in said.err
    (file,) = Path("runs").glob("play/*/games.jsonl")
    assert 1 < file.read_text().count("\n") < 40
    assert played(*arguments)["games"] == 40
