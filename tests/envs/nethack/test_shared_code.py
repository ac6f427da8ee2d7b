"""Games whose code is shared play as they would with their own, and only what is the same is shared."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nle", reason="needs the extra nethack")
from sandtable.envs.nethack.engine import library_path
from sandtable.envs.nethack.game import Game, nethack_seeds
from sandtable.envs.nethack.settings import NetHackSettings
from sandtable.envs.nethack.shared_code import SharedCode

pytestmark = pytest.mark.skipif(not Path("/proc/self/maps").is_file(), reason="memory is looked up in /proc")


def mapped_code(library):
    """Return the addresses of code that this process has mapped from a file."""
    lines = (line.split() for line in Path("/proc/self/maps").read_text().splitlines())
    return [words[0] for words in lines if words[1] == "r-xp" and words[4] == str(os.fstat(library).st_ino)]


def played(code, episodes=3, steps=60):
    """Return all screens and rewards of two games that take turns; their code is shared if ``code`` is there."""
    screens = np.zeros((2, 24, 80), np.uint8)
    games = [Game(NetHackSettings(), {"tty_chars": screen}) for screen in screens]
    keys, seen, mapped = np.random.default_rng(0), [], []
    for episode in range(episodes):
        for row, game in enumerate(games):
            game.start(nethack_seeds(row, episode))
            if code is not None:
                code.share(game.engine.library)
        mapped.append([len(mapped_code(game.engine.library)) for game in games])
        for byte in keys.choice(games[0].settings.keys, steps):
            seen.append([game.step(byte)[0] for game in games if game.live])
            seen.append(screens.copy())
    for game in games:
        game.close()
    return seen, mapped


def test_games_of_shared_code_are_those_of_their_own():
    (alone, own), (together, shared) = played(None), played(SharedCode(library_path()))
    assert own == [[1, 1]] * 3
    assert shared == [[0, 0]] * 3
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a, b)


def test_code_of_another_content_is_left_alone(tmp_path):
    other = tmp_path / "other.so"
    shutil.copy(library_path(), other)
    with other.open("ab") as file:
        file.write(b"x")
    code, game = SharedCode(str(other)), Game(NetHackSettings(), {})
    game.start((1, 2))
    assert not code.share(game.engine.library)
    assert len(mapped_code(game.engine.library)) == 1
    code.close()
    game.close()
