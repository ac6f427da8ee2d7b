"""The engine: what of one game, or of the clock, could reach another.

The time at which a game began decides things in it (NetHack-LE/nle#129): a shopkeeper's name is taken from a list by
that time, divided by 257 seconds (NetHack 3.6, shknam.c: nameshk). With seeds (2, 2) there is a shop on the second
level; the mode for wizards gets there, and telepathy shows its keeper.
"""

import re
import time
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("nle", reason="needs the extra nethack")

from nle.nethack import NETHACKOPTIONS

from sandtable.envs.nethack.engine import Engine
from sandtable.envs.nethack.env import NetHackEnv
from sandtable.envs.nethack.settings import OBSERVATIONS

VALKYRIE = [*NETHACKOPTIONS, "role:Valkyrie", "race:human", "gender:female", "align:neutral", "playmode:debug"]
SHOP = (17, 8)  # row and column on the screen
WISH, LEVEL_TELEPORT = "\x17", "\x16"
DAY = 86_400


class Wizard:
    """The engine, driven by a wizard, who wishes for things and goes where he wants."""

    def __init__(self) -> None:
        settings = SimpleNamespace(character="val-hum-neu-fem", game_options=VALKYRIE, record=None)
        shown = ("tty_chars", "tty_cursor", "internal", "message")
        self.seen = {name: np.zeros(*OBSERVATIONS[name][:2]) for name in shown}
        self.engine = Engine(settings, self.seen)

    def press(self, keys: str) -> None:
        for key in keys:
            self.engine.press(ord(key))

    def settle(self) -> None:
        while self.seen["internal"][3]:
            self.press("\r")

    def letter_of(self, thing: str) -> str:
        self.press("i")
        letter = re.search(rf"(\w) - an? {thing}", self.seen["tty_chars"].tobytes().decode())[1]
        self.press("\x1b")
        return letter

    def shopkeeper(self, birthday: int | None = None) -> str:
        """Return what a look at the keeper of the shop tells; the game begins at the time given, or at the engine's."""
        self.engine.start(2, 2)
        if birthday is not None:
            assert self.engine._set_birthday(birthday)
        self.settle()
        for keys in (f"{WISH}blessed amulet of ESP\r", f"{WISH}blindfold\r"):
            self.press(keys)
            self.settle()
        for thing in (r"\w+ amulet", "blindfold"):
            self.press(f"P{self.letter_of(thing)}")
            self.settle()
        self.press(f"{LEVEL_TELEPORT}2\r")
        self.settle()
        self.press(";")
        for (less, more), way in zip(("kj", "hl"), np.array(SHOP) - self.seen["tty_cursor"].astype(int), strict=True):
            self.press((more if way > 0 else less) * abs(int(way)))
        self.press(".")
        return re.search(r"peaceful (\w+)", self.seen["message"].tobytes().decode())[1]


def test_the_time_at_which_a_game_began_names_the_shopkeeper_and_comes_of_the_seeds():
    """The third way in which games of plain nle differ: by the day on which they are played."""
    wizard, other = Wizard(), Wizard()
    assert wizard.shopkeeper(10**9) == "Kittamagh"
    assert wizard.shopkeeper(10**9 + 58 * DAY) != "Kittamagh"
    assert wizard.shopkeeper() == wizard.shopkeeper() == other.shopkeeper()
    wizard.engine.close()
    other.engine.close()


def test_nothing_of_an_earlier_game_stays_in_the_engine_s_folder():
    wizard = Wizard()
    wizard.shopkeeper()
    folder = wizard.engine._folder
    assert len(list(folder.iterdir())) > 6  # the first level, which it left
    (folder / "record").write_text("an earlier game")
    wizard.engine.start(1, 1)
    assert sorted(file.name for file in folder.iterdir()) == ["logfile", "nhdat", "perm", "record", "save", "xlogfile"]
    assert (folder / "record").stat().st_size == 0
    wizard.engine.close()
    assert not folder.exists()


def test_that_time_lasts_and_is_the_clock_s_in_plain_nle(games):
    began = {}
    for seed in (0, 1):
        env = NetHackEnv()
        env.reset(seed=seed)
        first = games.birthday(env.game.engine._game.dlpath)
        for action in games.actions_of(seed, 50, 23):
            env.step(action)
        assert games.birthday(env.game.engine._game.dlpath) == first
        assert env.reset(seed=seed)[1]["reproducible"]
        assert games.birthday(env.game.engine._game.dlpath) == first
        began[seed] = first
        env.close()
    assert began[0] != began[1]
    assert abs(games.first_screen_of_nle(True)[1] - time.time()) < 600


def test_an_engine_whose_beginning_cannot_be_set_is_not_reproducible(monkeypatch):
    monkeypatch.setattr(Engine, "_set_birthday", lambda engine, seconds: False)
    env = NetHackEnv()
    assert not env.reset(seed=0)[1]["reproducible"]
    env.close()
