"""Batches are games from end to end, and depend on nothing but key and number."""

import json
import pickle
import shutil

import numpy as np
import pytest

from sandtable.simulators.errors import InputError
from sandtable.simulators.nethack.games import Games
from sandtable.simulators.nethack.import_games import import_games
from sandtable.simulators.random import make_key

pytest.importorskip("nle")
LENGTHS = (300, 4, 19, 41, 600)


@pytest.fixture
def cache(write_game, ttyrec, tmp_path):
    random = np.random.default_rng(0)
    for game, length in enumerate(LENGTHS):
        write_game(f"games/{game}", ttyrec.played(random.choice([104, 106, 107, 108, 115], length - 1).tolist()))
    import_games([tmp_path / "games"], tmp_path / "cache")
    return tmp_path / "cache"


def test_a_row_plays_whole_games_one_after_the_other(cache):
    games = Games.open(cache)
    batches = games.batches(7, rows=3, length=50)
    seen = [next(batches) for _ in range(2 * sum(LENGTHS) // 50)]
    for row in range(3):
        game = np.concatenate([batch.game[row] for batch in seen])
        frame = np.concatenate([batch.frame[row] for batch in seen])
        start = np.concatenate([batch.episode_start[row] for batch in seen])
        assert start[0]
        assert (start == (frame == 0)).all()
        assert (frame[1:][~start[1:]] == frame[:-1][~start[1:]] + 1).all()
        ends = np.flatnonzero(start[1:])
        assert (frame[ends] + 1 == np.array(LENGTHS)[game[ends]]).all()
        played = game[start].tolist()
        assert sorted(played[:5]) == [0, 1, 2, 3, 4]  # each once before any comes again
        assert sorted(played[5:10]) == [0, 1, 2, 3, 4]


def test_every_field_is_that_of_the_game_s_frame(cache):
    games = Games.open(cache)
    arrays, offset = games.arrays, games.arrays["game_offset"]
    for batch in (batch for batch, _ in zip(games.batches(3, 4, 37), range(12), strict=False)):
        index = offset[batch.game] + batch.frame
        for name in ("key", "score", "cursor"):
            np.testing.assert_array_equal(getattr(batch, name), arrays[name][index])
        before = np.where(batch.episode_start, 118, arrays["key"][index - 1])
        np.testing.assert_array_equal(batch.previous_key, before)
        for row in range(4):
            for t in range(37):
                chars, colours = games.screens(str(batch.game[row, t]), batch.frame[row, t], batch.frame[row, t] + 1)
                np.testing.assert_array_equal(batch.chars[row, t], chars[0])
                np.testing.assert_array_equal(batch.colours[row, t], colours[0])


def test_batch_t_is_a_function_of_key_and_t(cache):
    games = Games.open(cache)
    straight = [next(batches) for batches in [games.batches(1, 4, 100)] for _ in range(30)]
    for t in (0, 1, 17, 29):
        for one, other in zip(next(Games.open(cache).batches(make_key(1), 4, 100, start=t)), straight[t], strict=True):
            np.testing.assert_array_equal(one, other)
    other_key = next(games.batches(2, 4, 100, start=17))
    assert (other_key.game != straight[17].game).any()


def test_a_row_does_not_depend_on_how_many_there_are(cache):
    games = Games.open(cache)
    few, many = next(games.batches(1, 2, 80, start=3)), next(games.batches(1, 9, 80, start=3))
    for one, other in zip(few, many, strict=True):
        np.testing.assert_array_equal(one, other[:2])


def test_rows_begin_with_different_games_as_long_as_there_are_enough(cache):
    for key in range(20):
        first = next(Games.open(cache).batches(key, 10, 1)).game[:, 0].tolist()
        assert sorted(first[:5]) == sorted(first[5:]) == [0, 1, 2, 3, 4]


def test_arrays_are_the_caller_s_own(cache):
    batches = Games.open(cache).batches(0, 2, 20)
    first = next(batches)
    kept = [np.array(field) for field in first]
    second = next(batches)
    for one, other, copy in zip(first, second, kept, strict=True):
        assert one.flags.writeable
        assert not np.shares_memory(one, other)
        np.testing.assert_array_equal(one, copy)
    types = {name: (field.dtype.name, field.shape[2:]) for name, field in first._asdict().items()}
    assert types == {
        "chars": ("uint8", (24, 80)), "colours": ("uint8", (24, 80)), "cursor": ("uint8", (2,)),
        "previous_key": ("uint8", ()), "key": ("uint8", ()), "score": ("int32", ()), "mask": ("bool", ()),
        "episode_start": ("bool", ()), "game": ("int32", ()), "frame": ("int32", ()),
    }  # fmt: skip


def test_games_are_selected_and_split_by_game(cache):
    games = Games.open(cache)
    assert games.ids == ("0", "1", "2", "3", "4")
    assert games.frames == sum(LENGTHS)
    some = games.select(["4", 1])
    assert some.ids == ("1", "4")
    assert some.frames == 604
    assert set(next(some.batches(0, 4, 700)).game.ravel().tolist()) == {1, 4}
    assert [len(one) for one in some.key_sequences()] == [4, 600]
    for key in range(10):
        one, other = games.split(key, 0.6)
        assert len(one.ids) == 3
        assert sorted(one.ids + other.ids) == list(games.ids)
    assert games.split(3, 0.6)[0].ids == games.split(3, 0.6)[0].ids
    assert [len(part.ids) for part in games.split(0, 0.01)] == [1, 4]
    assert [len(part.ids) for part in games.split(0, 0.99)] == [4, 1]
    with pytest.raises(InputError, match="game 'five': there are 0, 1, 2, 3, 4"):
        games.select(["five"])
    with pytest.raises(InputError, match="no game is named"):
        games.select([])
    with pytest.raises(InputError, match="game '1' is named twice"):
        games.select(["1", 1])
    with pytest.raises(InputError, match="1 game cannot be split"):
        games.select(["1"]).split(0, 0.5)


def test_another_process_maps_the_arrays_for_itself(cache):
    games = Games.open(cache).select(["0", "4"])
    pickled = pickle.dumps(games)
    assert len(pickled) < 5_000
    for one, other in zip(next(pickle.loads(pickled).batches(0, 2, 9)), next(games.batches(0, 2, 9)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_numbers_out_of_range_are_refused(cache):
    games = Games.open(cache)
    for arguments, message in (
        ((0, 0, 5), "rows must be at least 1"),
        ((0, 5, 0), "length must be at least 1"),
        ((0, 5, 5, -1), "start must be at least 0"),
    ):
        with pytest.raises(ValueError, match=message):
            games.batches(*arguments)
    for fraction in (0, 1, -0.5, float("nan")):
        with pytest.raises(ValueError, match="fraction must lie between 0 and 1"):
            games.split(0, fraction)
    with pytest.raises(ValueError, match="frames 0 to 5 of game 1: it has 4"):
        games.screens("1", 0, 5)


def damaged(cache, name, change):
    array = np.load(cache / f"{name}.npy")
    np.save(cache / f"{name}.npy", change(array))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda cache: (cache / "manifest.json").unlink(), "not a cache of games, it has no manifest.json"),
        (lambda cache: (cache / "manifest.json").write_text("{"), "not a manifest of schema sandtable.nethack-cache/1"),
        (lambda cache: (cache / "score.npy").unlink(), "score.npy: the file is missing"),
        (lambda cache: (cache / "key.npy").write_bytes((cache / "key.npy").read_bytes()[:200]), "key.npy: truncated"),
        (lambda cache: damaged(cache, "time", lambda a: a.astype(np.int32)), "time.npy: int32 instead of int64"),
        (lambda cache: damaged(cache, "sent", lambda a: a[1:]), r"sent.npy: shape \[963\] instead of \[964\]"),
        (lambda cache: damaged(cache, "game_offset", lambda a: a + 1), "the games are longer or shorter than in"),
        (lambda cache: damaged(cache, "frame_offset", lambda a: a + 1), "changed cells, but"),
        (lambda cache: damaged(cache, "colour", lambda a: a[1:]), "colour.npy: shape"),
    ],
)
def test_a_cache_that_disagrees_with_its_manifest_is_refused(cache, damage, message):
    damage(cache)
    with pytest.raises(InputError, match=message):
        Games.open(cache)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda manifest: manifest.update(frames=963), "the games have 964 frames, not 963"),
        (lambda manifest: manifest["games"][0].update(frames=301), "the games have 965 frames, not 964"),
        (lambda manifest: manifest["keys"].pop(), "other keys than the keyboard's 118"),
        (lambda manifest: manifest.update(schema="other/1"), "not a manifest of schema sandtable.nethack-cache/1"),
        (lambda manifest: manifest["games"][0].pop("sha256"), "something is missing in the manifest"),
    ],
)
def test_a_manifest_that_disagrees_with_the_arrays_is_refused(cache, change, message):
    manifest = json.loads((cache / "manifest.json").read_text())
    change(manifest)
    (cache / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=message):
        Games.open(cache)


def test_damaged_cells_are_told_when_they_are_met(cache):
    damaged(cache, "position", lambda a: np.where(np.arange(len(a)) == 5, 1920, a).astype(np.uint16))
    with pytest.raises(InputError, match="the changed cells are damaged"):
        Games.open(cache).screens("0")
    shutil.rmtree(cache)
