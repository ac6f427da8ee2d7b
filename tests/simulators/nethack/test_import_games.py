"""The cache is what its format says, and the same whatever happened on the way to it."""

import bz2
import errno
import hashlib
import json
import shutil
import sys

import numpy as np
import pytest

from sandtable.simulators.errors import InputError, MissingExtraError
from sandtable.simulators.nethack import import_games as module
from sandtable.simulators.nethack.games import Games
from sandtable.simulators.nethack.import_games import decode, import_games
from sandtable.simulators.nethack.keyboard import CANONICAL_BYTES, KEY_OF_BYTE
from sandtable.simulators.nethack.screens import read_screens

pytest.importorskip("nle")


@pytest.fixture
def games(write_game, ttyrec, tmp_path):
    """Three games, the last one cut off."""
    write_game("games/0", ttyrec.played([104 + t % 4 for t in range(300)]), turns=300)
    write_game("games/1", ttyrec.played([32, 115, 27]), turns=3)
    write_game("games/2", ttyrec.played([106, 107] * 10, over=False), turns=30)
    return tmp_path / "games"


def content_of(cache):
    return {path.name: path.read_bytes() for path in sorted(cache.iterdir())}


def test_the_cache_is_of_the_documented_format(games, tmp_path):
    manifest, warnings = import_games([games], tmp_path / "cache")
    assert json.loads((tmp_path / "cache/manifest.json").read_text()) == manifest
    assert warnings == []
    assert manifest["schema"] == "sandtable.nethack-cache/1"
    assert manifest["keys"] == list(CANONICAL_BYTES)
    assert manifest["frames"] == 301 + 4 + 19
    assert [game["frames"] for game in manifest["games"]] == [301, 4, 19]
    assert [game["complete"] for game in manifest["games"]] == [True, True, False]
    path = games / "1/nle.7.0.ttyrec3.bz2"
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    account = {"role": "Mon", "race": "Hum", "score": 17, "turns": 3}
    rest = {"id": "1", "source": str(path), "sha256": sha256, "frames": 4, "complete": True}
    assert manifest["games"][1] == rest | account
    arrays = {path.stem: np.load(path, mmap_mode="r") for path in (tmp_path / "cache").glob("*.npy")}
    cells = len(arrays["position"])
    shapes = {name: (array.dtype, array.shape) for name, array in arrays.items()}
    assert shapes == {
        "game_offset": (np.int64, (4,)), "frame_offset": (np.int64, (325,)),
        "position": (np.uint16, (cells,)), "character": (np.uint8, (cells,)), "colour": (np.uint8, (cells,)),
        "cursor": (np.uint8, (324, 2)), "key": (np.uint8, (324,)), "score": (np.int32, (324,)),
        "time": (np.int64, (324,)), "sent": (np.uint8, (324,)),
    }  # fmt: skip
    assert arrays["key"][301:305].tolist() == KEY_OF_BYTE[[32, 115, 27, 32]].tolist()
    assert arrays["score"][301:305].tolist() == [5, 5, 5, 0]
    assert arrays["time"][301:305].tolist() == [0, 10**6, 2 * 10**6, 3 * 10**6]


def test_all_frames_of_a_game_come_back(games, tmp_path):
    import_games([games], tmp_path / "cache")
    chars, colours = Games.open(tmp_path / "cache").screens("0")
    start = 0
    for block in read_screens(games / "0/nle.7.0.ttyrec3.bz2", 3):
        stop = start + len(block.key)
        np.testing.assert_array_equal(chars[start:stop], block.chars)
        np.testing.assert_array_equal(colours[start:stop], block.colours)
        start = stop
    assert start == len(chars)


@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_an_import_that_was_cut_goes_on_to_the_same_bytes(games, tmp_path, monkeypatch, cut):
    import_games([games], tmp_path / "whole")
    decoded = []

    def cut_short(job):
        if len(decoded) == cut:
            raise KeyboardInterrupt
        decoded.append(job)
        return decode(job)

    def cut_while_put_together(*given):
        (tmp_path / "cache.partial/cache").mkdir()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "decode", cut_short)
        patch.setattr(module, "assemble", cut_while_put_together)
        with pytest.raises(KeyboardInterrupt):
            import_games([games], tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
    assert len(list((tmp_path / "cache.partial").glob("*"))) == cut
    again = []
    import_games([games], tmp_path / "cache", spread=lambda f, jobs: (again.append(job) or f(job) for job in jobs))
    assert len(again) == 3 - cut
    assert content_of(tmp_path / "cache") == content_of(tmp_path / "whole")
    assert not (tmp_path / "cache.partial").exists()


def test_an_import_that_is_there_is_not_done_again_and_another_is_refused(games, tmp_path):
    manifest, _ = import_games([games], tmp_path / "cache")

    def nothing_to_do(function, jobs):
        raise AssertionError("decoded again")

    assert import_games([games], tmp_path / "cache", spread=nothing_to_do)[0] == manifest
    with pytest.raises(InputError, match="a cache of other games is there already"):
        import_games([games / "0"], tmp_path / "cache")
    with pytest.raises(InputError, match="something else is there already"):
        import_games([games], games)


def test_the_order_of_the_sources_does_not_matter(games, tmp_path):
    import_games([games / "2", games / "1", games / "0"], tmp_path / "one")
    import_games([games], tmp_path / "other")
    assert content_of(tmp_path / "one") == content_of(tmp_path / "other")


def test_unknown_keys_are_refused_by_their_place_or_masked(write_game, ttyrec, tmp_path):
    path = write_game("games/0", ttyrec.played([104, 0x80, 106]))
    with pytest.raises(InputError, match=rf"{path.name}: byte 153: key 0x80 is none of the keyboard's 118"):
        import_games([path], tmp_path / "cache")
    assert sorted(tmp_path.iterdir()) == [tmp_path / "games"]
    import_games([path], tmp_path / "cache", unknown_keys="mask")
    batch = next(Games.open(tmp_path / "cache").batches(0, 1, 4))
    assert batch.key[0].tolist() == [*KEY_OF_BYTE[[104, 0x80, 106, 32]]]
    assert batch.mask[0].tolist() == [True, False, True, True]
    assert batch.previous_key[0].tolist() == [118, KEY_OF_BYTE[104], 118, KEY_OF_BYTE[106]]


def test_broken_recordings_leave_nothing_half_written(games, tmp_path):
    path = games / "1/nle.7.0.ttyrec3.bz2"
    whole = path.read_bytes()
    for broken, message in (
        (whole[:-20], "truncated bz2"),
        (whole[:60] + bytes(9) + whole[69:], "corrupt bz2"),
        (bz2.compress(bz2.decompress(whole)[:50]), "cut in two"),
        (bz2.compress(b""), "no key is recorded"),
    ):
        path.write_bytes(broken)
        with pytest.raises(InputError, match=message):
            import_games([games / "1"], tmp_path / "cache")
        assert sorted(tmp_path.iterdir()) == [games]
    path.write_bytes(whole)


def test_a_full_disk_is_told_and_leaves_no_half_written_part(games, tmp_path, monkeypatch):
    def full(file, **arrays):
        file.write(b"a beginning")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module.np, "savez", full)
        with pytest.raises(InputError, match="the disk is full; free some space and run the same command again"):
            import_games([games], tmp_path / "cache")
    assert sorted(tmp_path.iterdir()) == [games]


def test_without_nle_the_extra_is_named(games, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sandtable\[nethack\]'"):
        import_games([games], tmp_path / "cache")
    monkeypatch.setitem(sys.modules, "nle.dataset", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sandtable\[nethack\]'"):
        list(read_screens(games / "0/nle.7.0.ttyrec3.bz2", 3))


def test_who_pressed_a_key_is_what_game_json_says(games, tmp_path):
    sent = {"schema": "sandtable.nethack-game/1", "sent": [[1, 1], [3, 2], [99, 2]]}
    (games / "1/game.json").write_text(json.dumps(sent))
    import_games([games / "1"], tmp_path / "cache")
    opened = Games.open(tmp_path / "cache")
    assert opened.arrays["sent"].tolist() == [0, 1, 0, 2]
    assert next(opened.batches(0, 1, 4)).mask[0].tolist() == [True, True, True, False]


def test_a_ttyrec4_gives_the_frames_of_its_ttyrec3(write_game, ttyrec, tmp_path):
    steps = [ttyrec.step(104, n, chr(65 + n), n) for n in range(20)]
    strategy = ttyrec.record(3, b"\x05\0\0\0")
    write_game("3", b"".join(steps) + ttyrec.record(0, b"end"))
    write_game("4", b"".join(strategy + step for step in steps) + ttyrec.record(0, b"end"), version=4)
    one, other = (import_games([tmp_path / name], tmp_path / f"cache{name}")[0] for name in "34")
    assert one["frames"] == other["frames"] == 20
    three, four = (content_of(tmp_path / f"cache{name}") for name in "34")
    assert {name for name in three if three[name] != four[name]} == {"manifest.json"}


def test_games_without_numba_give_the_same_cache(games, tmp_path, monkeypatch):
    import_games([games], tmp_path / "compiled")
    monkeypatch.setattr(module.Changes.find.__globals__["compilation"], "AVAILABLE", False)
    import_games([games], tmp_path / "plain")
    assert content_of(tmp_path / "compiled") == content_of(tmp_path / "plain")
    shutil.rmtree(tmp_path / "plain")
