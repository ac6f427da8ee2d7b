"""Real games: 19 of the AutoAscend bot, from github.com/upiterbarg/hihack, data/toy_hihack."""

import os

import numpy as np
import pytest

from sandtable.simulators.nethack.games import Games
from sandtable.simulators.nethack.import_games import import_games
from sandtable.simulators.nethack.sources import find_recordings

FRAMES = {
    "0": 54147, "1": 8992, "2": 712, "3": 12779, "4": 9237, "5": 22673, "6": 35349, "10": 22794, "11": 44042,
    "12": 93887, "13": 27290, "14": 28360, "15": 30050, "16": 44715, "17": 25530, "18": 30897, "19": 14519,
    "20": 62990, "21": 19110,
}  # fmt: skip
COMPLETE = {"0", "2", "4", "10", "12", "14", "16", "18"}


def test_all_games_are_found_also_one_with_an_empty_xlogfile(autoascend):
    """nle.dataset indexes 18 of them: game 20's xlogfile is empty."""
    found, warnings = find_recordings([autoascend["0"].parents[1]])
    assert [one.id for one in found] == list(FRAMES)
    assert [one.id for one in found if one.account is None] == ["20"]
    assert len(warnings) == 1
    assert warnings[0].endswith("20/nle.349189.xlogfile: the file is empty; role, race, score and turns are unknown")


def blocks_of(path):
    """What nle's converter alone gives, block by block."""
    from nle.dataset import Converter

    frames, converter, left = 1000, Converter(24, 80, 3), 0
    converter.load_ttyrec(str(path))
    block = [
        np.zeros((frames, 24, 80), np.uint8), np.zeros((frames, 24, 80), np.int8), np.zeros((frames, 2), np.int16),
        np.zeros(frames, np.int64), np.zeros(frames, np.uint8), np.zeros(frames, np.int32),
    ]  # fmt: skip
    while not left:
        left = converter.convert(*block)
        yield [field[: frames - left] for field in block]


def compared(games, id_, path):
    """Hold a game of a cache to the converter, array by array; return how many frames it has."""
    start, place = 0, games.ids.index(id_)
    offset = int(games.arrays["game_offset"][place])
    keyboard = np.array(games.manifest["keys"])
    for chars, colours, cursor, time, key, score in blocks_of(path):
        stop = start + len(key)
        ours = slice(offset + start, offset + stop)
        for one, other in zip(games.screens(id_, start, stop), (chars, colours), strict=True):
            assert np.array_equal(one, other)
        for name, other in (("cursor", cursor), ("time", time), ("score", score)):
            assert np.array_equal(games.arrays[name][ours], other)
        assert np.array_equal(keyboard[games.arrays["key"][ours]], key)
        start = stop
    assert start == games.manifest["games"][place]["frames"]
    return start


ALL = pytest.mark.skipif("SANDTABLE_ALL_GAMES" not in os.environ, reason="set SANDTABLE_ALL_GAMES: 80 CPU-seconds")


@pytest.mark.slow
@pytest.mark.parametrize("ids", [["1", "2", "4", "20"], pytest.param(list(FRAMES), marks=ALL, id="all")])
def test_every_frame_equals_nle_s_converter(autoascend, tmp_path, ids):
    """588,073 frames in all; of each game the number that nle 1.3.0 gives, and whether it goes to its end."""
    pytest.importorskip("nle")
    manifest, _ = import_games([autoascend[one] for one in ids], tmp_path / "cache")
    games = Games.open(tmp_path / "cache")
    assert {one: compared(games, one, autoascend[one]) for one in ids} == {one: FRAMES[one] for one in ids}
    assert {game["id"] for game in manifest["games"] if game["complete"]} == COMPLETE & set(ids)
    if len(ids) == len(FRAMES):
        assert games.frames == 588_073
        assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) / games.frames <= 650
