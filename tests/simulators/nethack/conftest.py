import bz2
import struct
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from sandtable.simulators.data_folder import data_folder


def record(channel, payload, second=0):
    """A record of a ttyrec."""
    return struct.pack("<iiiB", second, 0, len(payload), channel) + payload


def step(key, score, text="", second=0):
    """What a ttyrec3 holds of one key: what the game printed, the score, the key."""
    printed = record(0, text.encode("latin-1"), second) if text else b""
    return printed + record(2, struct.pack("<i", score), second) + record(1, bytes([key]), second)


def played(keys, over=True):
    """The content of a short ttyrec3: a turn a key, and if it is over, a last key at the final score 0."""
    steps = b""
    for t, key in enumerate(keys):
        steps += step(key, 5, f"\x1b[24;1HDlvl:1 T:{t + 1} \x1b[{t % 20 + 2};{t % 70 + 1}H\x1b[{31 + t % 6}m@\x1b[m", t)
    if not over:
        return steps
    return steps + step(32, 0, "\x1b[H\x1b[2JYou die...", len(keys)) + record(0, b"\x1b[2J")


def xlog(name, turns, role="Mon"):
    """A line of an xlogfile."""
    fields = {"version": "3.6.7", "points": 17, "role": role, "race": "Hum", "turns": turns, "ttyrecname": name}
    return "\t".join(f"{field}={value}" for field, value in fields.items()) + "\n"


@pytest.fixture(scope="session")
def ttyrec():
    """Makes ttyrecs by hand."""
    return SimpleNamespace(record=record, step=step, played=played)


@pytest.fixture
def write_game(tmp_path):
    """Writes a game into a folder of its own, and returns the recording."""

    def write(folder, content, turns=None, version=3, name="nle.7.0"):
        path = tmp_path / folder / f"{name}.ttyrec{version}.bz2"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bz2.compress(content))
        if turns is not None:
            (path.parent / "nle.7.xlogfile").write_text(xlog(path.name, turns), encoding="latin-1")
        return path

    return write


@pytest.fixture(scope="session")
def wheel():
    """The recordings that come with nle."""
    pytest.importorskip("nle")
    return Path(find_spec("nle").origin).parent / "tests"


@pytest.fixture(scope="session")
def autoascend():
    """Games of the AutoAscend bot, by name."""
    folder = data_folder()
    if folder is None or not (folder / "nethack" / "autoascend").is_dir():
        pytest.skip("needs recorded games: data folder nethack/autoascend")
    return {path.parent.name: path for path in sorted((folder / "nethack" / "autoascend").glob("*/*.ttyrec3.bz2"))}
