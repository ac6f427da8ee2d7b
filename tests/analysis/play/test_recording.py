"""Recorded games: whole or not there, readable by nle.dataset, the same after any number of kills."""

import bz2
import contextlib
import io
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from sandtable.cli import main

pytest.importorskip("nle", reason="needs the extra nethack")
SCORE = ("--env", "sandtable/NetHackScore-v0", "--policy", "random")
SHORT = (*SCORE, "--max-steps", "120", "--workers", "1")


class Said(NamedTuple):
    code: int
    out: str
    err: str


def sandtable(*arguments: object) -> Said:
    """Run a command in this process."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main([str(argument) for argument in arguments])
    return Said(code, out.getvalue(), err.getvalue())


def recorded(*arguments: object) -> dict:
    said = sandtable("data", "record", *arguments, "--json")
    assert (said.code, said.err) == (0, "")
    return json.loads(said.out)


def records(folder: Path) -> list[tuple[int, bytes]]:
    """Return channel and content of a game's records, up to the last key, without their times.

    A record is int32 sec, usec, length, then uint8 channel. What is on the screen after the last key is in no frame; it
    names the folder in which the game was played.
    """
    (file,) = folder.glob("*.ttyrec3.bz2")
    content, place, found = bz2.decompress(file.read_bytes()), 0, []
    while place < len(content):
        length, channel = struct.unpack_from("<iB", content, place + 8)
        found.append((channel, content[place + 13 : place + 13 + length]))
        place += 13 + length
    while found[-1][0] != 1:
        found.pop()
    return found


def games(out: Path) -> dict[str, tuple]:
    """Return what is in a folder of games, but for times of the clock."""
    assert not list(out.glob(".*"))
    return {
        place.name: (records(place), json.loads((place / "game.json").read_text()), sorted(os.listdir(place)))
        for place in out.iterdir()
    }


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_game_json_tells_what_was_played_and_which_keys_were_not_the_policy_s(folder):
    told = recorded("out", *SHORT, "--games", "2", "--seed", "7", "--set", "penalty_step=0")
    assert told["schema"] == "sandtable.recording/1"
    assert (told["games"], told["recorded"], told["seeds"], told["lost"]) == (2, 2, [7, 8], [])
    assert not Path("runs").exists()
    for seed, (parts, game, names) in games(Path("out")).items():
        assert len(names) == 3
        assert game["schema"] == "sandtable.nethack-game/1"
        assert game["arguments"] == {"penalty_step": 0, "max_episode_steps": 120}
        assert (game["environment"], game["policy"], str(game["seed"])) == (SCORE[1], "random", seed)
        assert len(game["nethack_seeds"]) == 2
        assert (game["end"], game["length"], game["versions"]["nle"]) == ("step_limit", 120, told["versions"]["nle"])
        keys = [content[0] for channel, content in parts if channel == 1]
        assert len(keys) == game["length"] + len(game["sent"])
        assert {kind for _, kind in game["sent"]} <= {1, 2}
        quitting = [position for position, kind in game["sent"] if kind == 2]
        assert quitting == list(range(quitting[0], len(keys)))
        assert (0xF1, ord("y")) in [(keys[at], keys[at + 1]) for at in quitting[:-1]]
        assert all(keys[position] in (0x20, 0x1B) for position, kind in game["sent"] if kind == 1)


def test_nle_dataset_indexes_the_games(folder):
    """It finds each game's xlogfile row beside its ttyrec, and as many frames as keys were pressed."""
    from nle import dataset
    from nle.dataset import db

    recorded("out", *SHORT, "--games", "3")
    kept = games(Path("out"))
    db.create("games.db")
    with contextlib.redirect_stdout(io.StringIO()):
        dataset.add_nledata_directory("out", "mine", "games.db")
    read = dataset.TtyrecDataset("mine", batch_size=1, seq_length=32, dbfilename="games.db", loop_forever=False)
    frames = dict.fromkeys((1, 2, 3), 0)
    for batch in read:
        for number in frames:
            frames[number] += int((batch["gameids"] == number).sum())
    with db.connect("games.db") as connection:
        points = dict(connection.execute("select gameid, points from games"))
        seeds = {number: path.split("/")[-2] for path, number in connection.execute("select path, gameid from ttyrecs")}
    assert len(points) == 3
    for number, seed in seeds.items():
        game = kept[seed][1]
        assert points[number] == game["score"]
        assert frames[number] == game["length"] + len(game["sent"])


def test_the_recorded_games_are_those_that_are_played_and_told_of_in_nethack_s_terms(folder):
    recorded("out", *SHORT, "--games", "2")
    told = json.loads(sandtable("play", *SHORT, "--games", "2", "--json").out)
    assert told["end"] == {"death": 0, "ascended": 0, "quit": 0, "step_limit": 2, "no_progress": 0, "lost": 0}
    assert told["reproducible"] is True
    assert told["versions"]["nethack"] == "3.6.7"
    assert told["depth"]["mean"] == 1
    assert 0 < told["turns"]["mean"] <= 120
    lines = Path(told["games_file"]).read_text().splitlines()[1:]
    for line, (_, game, _) in zip(lines, (games(Path("out"))[seed] for seed in "01"), strict=True):
        seed, score, total, length, *_, end = line.split(",")
        assert (int(seed), float(score), float(total), int(length), end) == (
            game["seed"], game["score"], game["return"], game["length"], game["end"],
        )  # fmt: skip


def test_games_that_are_there_are_not_played_again_and_those_without_game_json_are(folder):
    recorded("out", *SHORT, "--games", "3")
    kept = games(Path("out"))
    times = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*")}
    assert recorded("out", *SHORT, "--games", "3")["recorded"] == 0
    assert {path: path.stat().st_mtime_ns for path in Path("out").rglob("*")} == times
    Path("out/1/game.json").unlink()
    assert recorded("out", *SHORT, "--games", "3")["recorded"] == 1
    assert games(Path("out")) == kept


def refused(*arguments: object) -> str:
    said = sandtable("data", "record", *arguments)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    return said.err


def test_what_cannot_be_recorded_is_refused_in_one_line(folder):
    assert "it cannot record its games" in refused("out", "--env", "CartPole-v1", "--policy", "random")
    assert "--set record: sandtable data record OUT records games" in refused("out", *SCORE, "--set", "record=here")
    assert "is too long for NetHack" in refused(Path(*["x" * 140] * 3), *SHORT, "--games", "1")
    assert not os.listdir(folder)
    Path("file").touch()
    assert "this is a file; name a folder" in refused("file", *SHORT)


def test_a_folder_with_other_games_or_things_is_left_alone(folder):
    recorded("out", *SHORT, "--games", "1")
    told = refused("out", *SCORE, "--max-steps", "50", "--games", "2")
    assert "out/0/game.json: it was recorded with arguments {'max_episode_steps': 120}, not {'max_episode" in told
    Path("out/1").mkdir()
    Path("out/1/letter.txt").touch()
    Path("out/0/game.json").unlink()
    assert "letter.txt is no part of a recorded game" in refused("out", *SHORT, "--games", "2")
    assert sorted(path.name for path in Path("out").rglob("*")) == [
        "0", "1", "letter.txt", "nle.1.0.ttyrec3.bz2", "nle.1.xlogfile",
    ]  # fmt: skip
    Path("out/0/game.json").write_text("{")
    assert "out/0/game.json: it cannot be read" in refused("out", *SHORT, "--games", "1")


KILLING = """
import os, random, sys, time
from pathlib import Path
import sandtable.analysis.play.recording, sandtable.agents.random_policy, sandtable.envs.nethack.env
from sandtable.cli import main

kills, seed, *arguments = sys.argv[1:]
chance, out = random.Random(int(seed)), Path(arguments[0])
here = lambda: len(list(out.glob("[0-9]*")))
for kill in range(int(kills)):
    before = here()
    child = os.fork()
    if child == 0:
        os._exit(main(["data", "record", *arguments]))
    while here() == before:
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "it ended before it was killed"
        time.sleep(0.002)
    time.sleep(chance.uniform(0, 0.12))
    os.kill(child, 9)
    os.waitpid(child, 0)
"""


def killed(kills: int, *arguments: str) -> None:
    """Record, and kill the process with all it does, at some moment after each first new game of an attempt."""
    done = subprocess.run([sys.executable, "-c", KILLING, str(kills), "1", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("kills", "workers"), [(1, 2), pytest.param(20, 1, marks=pytest.mark.slow)])
def test_kills_leave_no_trace_in_the_games(folder, kills, workers):
    arguments = (*SCORE, "--max-steps", "800", "--games", str(8 * kills + 4), "--workers", str(workers))
    killed(kills, "killed", *arguments)
    assert len(list(Path("killed").glob("[0-9]*"))) >= kills
    recorded("killed", *arguments)
    recorded("whole", *arguments)
    assert games(Path("killed")) == games(Path("whole"))


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_leaves_no_half_of_a_game(folder):
    command = [sys.executable, "-m", "sandtable.cli", "data", "record", "disk", *SCORE, "--games", "8"]
    script = 'mount -t tmpfs -o size=64k tmpfs disk && "$@"; code=$?; ls -A disk; exit $code'
    Path("disk").mkdir()
    try:
        subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "disk"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs a small disk, and here none can be mounted")
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script, "-", *command], capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "disk" in done.stderr
    assert "full" in done.stderr
    assert all(name.isdigit() for name in done.stdout.split())
