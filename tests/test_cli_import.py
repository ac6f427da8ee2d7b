"""sandtable data import: recordings in, a cache out; what is wrong is one line, and nothing is left half-written."""

import bz2
import json
import struct
import subprocess
import sys

import pytest

from sandtable.cli import main
from sandtable.simulators.nethack.games import Games

pytest.importorskip("nle")


def game(keys):
    """The content of a ttyrec3 with a turn for each key."""
    content = b""
    for t, key in enumerate(keys):
        for channel, payload in ((0, b"\x1b[H%d" % t), (2, struct.pack("<i", t)), (1, bytes([key]))):
            content += struct.pack("<iiiB", t, 0, len(payload), channel) + payload
    return content + struct.pack("<iiiB", len(keys), 0, 4, 2) + struct.pack("<i", 0)


@pytest.fixture
def games(tmp_path):
    for name, keys in (("0", [104, 106]), ("1", [107, 108, 115])):
        path = tmp_path / f"games/{name}/nle.5.0.ttyrec3.bz2"
        path.parent.mkdir(parents=True)
        path.write_bytes(bz2.compress(game(keys)))
    return tmp_path / "games"


def test_games_are_imported_by_worker_processes(games, tmp_path, capsys):
    cache = tmp_path / "cache"
    assert main(["data", "import", str(games / "0"), str(games / "1"), str(cache), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["games"] == 2
    assert told["frames"] == 5
    assert told["cache"] == str(cache)
    assert [warning.split(": ")[1][:21] for warning in told["warnings"]] == ["no nle.5.xlogfile besi"[:21]] * 2
    assert Games.open(cache).ids == ("0", "1")
    assert main(["data", "describe", str(cache), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 5
    assert main(["data", "check", str(games), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["warnings"]) == 2


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda content: bz2.compress(content)[:-15], "truncated bz2, ends after"),
        (lambda content: bz2.compress(content[:-2]), "is cut in two; the recording broke off there"),
        (lambda content: bz2.compress(content.replace(b"k", b"\x80")), "key 0x80 is none of the keyboard's 118"),
    ],
)
def test_a_bad_recording_is_one_line_and_exit_code_2(games, tmp_path, capfd, damage, line):
    (games / "1/nle.5.0.ttyrec3.bz2").write_bytes(damage(game([107, 108, 115])))
    assert main(["data", "import", str(games / "1"), str(tmp_path / "cache")]) == 2
    told = capfd.readouterr()
    assert told.out == ""
    assert line in told.err
    assert len(told.err.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == [games]


def test_wrong_arguments_are_refused(games, tmp_path, capfd):
    for arguments, line in (
        ([str(tmp_path / "cache")], "SOURCE... OUT: name at least one recording or folder"),
        ([str(games), str(tmp_path / "cache"), "--workers", "0"], "--workers 0: at least 1 process must decode"),
        ([str(tmp_path / "nowhere"), str(tmp_path / "cache")], "there is no such file or folder"),
    ):
        assert main(["data", "import", *arguments]) == 2
        assert line in capfd.readouterr().err
    assert sorted(tmp_path.iterdir()) == [games]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="sets a limit of Linux")
def test_a_file_that_cannot_be_written_to_its_end_is_one_line(games, tmp_path):
    """A limit of 1 kB on files stands for a full disk."""
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "from sandtable.cli import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024)); sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "data", "import", str(games), str(tmp_path / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "the disk is full; free some space and run the same command again" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "cache").exists()
    assert list(tmp_path.glob("cache.partial/*")) == []
