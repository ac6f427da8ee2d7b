"""A game of our own, recorded and imported, shows what the engine shows when the same keys are pressed again."""

import json

import numpy as np
import pytest

from sandtable.cli import main
from sandtable.simulators.nethack.games import Games

pytest.importorskip("nle")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("games")
    played = ["--env", "sandtable/NetHackScore-v0", "--policy", "random", "--games", "2", "--workers", "1"]
    assert main(["data", "record", str(folder / "games"), *played, "--max-steps", "300", "--json"]) == 0
    assert main(["data", "import", str(folder / "games"), str(folder / "cache"), "--workers", "1", "--json"]) == 0
    return folder


def test_screens_are_the_engine_s_key_by_key(recorded):
    from sandtable.envs.nethack.engine import Engine
    from sandtable.envs.nethack.settings import NetHackSettings

    games = Games.open(recorded / "cache")
    keyboard = games.manifest["keys"]
    screen = {
        "tty_chars": np.zeros((24, 80), np.uint8),
        "tty_colors": np.zeros((24, 80), np.int8),
        "tty_cursor": np.zeros(2, np.uint8),
    }
    for place, id_ in enumerate(games.ids):
        account = json.loads((recorded / "games" / id_ / "game.json").read_text())
        settings = NetHackSettings(**account["arguments"])
        engine = Engine(settings, screen)
        engine.start(*account["nethack_seeds"])
        chars, colours = games.screens(id_)
        first = games.arrays["game_offset"][place]
        over = False
        for t, key in enumerate(games.key_sequences()[place]):
            assert not over
            for ours, theirs in ((chars[t], "tty_chars"), (colours[t], "tty_colors")):
                np.testing.assert_array_equal(ours, screen[theirs])
            np.testing.assert_array_equal(games.arrays["cursor"][first + t], screen["tty_cursor"])
            over = engine.press(keyboard[key])
        assert over
        engine.close()


def test_who_pressed_a_key_is_known(recorded):
    games = Games.open(recorded / "cache")
    for place, id_ in enumerate(games.ids):
        account = json.loads((recorded / "games" / id_ / "game.json").read_text())
        first, end = games.arrays["game_offset"][place : place + 2]
        told = games.arrays["sent"][first:end]
        assert [[t, kind] for t, kind in enumerate(told.tolist()) if kind] == account["sent"]
        assert set(told.tolist()) <= {0, 1, 2}
        assert (told == 0).sum() == account["length"]
        batch = next(games.select([id_]).batches(0, 1, int(end - first)))
        np.testing.assert_array_equal(batch.mask[0], told != 2)
