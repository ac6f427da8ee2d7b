import numpy as np
import pytest

from sandtable.analysis.data_kinds import ReadingOptions, examine
from sandtable.simulators.errors import InputError
from sandtable.simulators.nethack.import_games import import_games


def look(path, describe=True):
    return examine(str(path), describe, ReadingOptions())


def test_recordings_are_described_without_nle(write_game, ttyrec, tmp_path):
    write_game("games/0", ttyrec.played([104, 104, 106]), turns=3)
    write_game("games/1", ttyrec.played([0x80, 32]))
    found = look(tmp_path / "games")
    assert found["games"] == 2
    assert found["frames"] == 7
    assert found["ttyrec_versions"] == [3]
    assert found["with_xlogfile"] == 1
    assert found["distinct_keys"] == 3
    assert found["unknown_keys"] == 1
    assert found["most_frequent_keys"]["space"] == round(3 / 7, 4)
    assert found["frames_by_game"] == {"0": 4, "1": 3}
    assert len(found["warnings"]) == 2
    assert "key 0x80 is none of the keyboard's 118, the first of 1 such keys" in found["warnings"][1]
    assert look(tmp_path / "games", describe=False) == {"file": str(tmp_path / "games"), "warnings": found["warnings"]}


def test_a_broken_recording_is_refused(write_game, ttyrec):
    path = write_game("0", ttyrec.played([104, 106])[:-1])
    with pytest.raises(InputError, match="cut in two"):
        look(path)


@pytest.fixture
def cache(write_game, ttyrec, tmp_path):
    pytest.importorskip("nle")
    write_game("games/0", ttyrec.played([104, 104, 106]), turns=3)
    write_game("games/1", ttyrec.played([104, 106], over=False))
    import_games([tmp_path / "games"], tmp_path / "cache")
    return tmp_path / "cache"


def test_a_cache_is_described(cache):
    found = look(cache)
    assert found["games"] == 2
    assert found["complete"] == 1
    assert found["frames"] == 5
    assert found["roles"] == {"Mon": 1, "unknown": 1}
    assert found["pressed_by"] == {"unknown": 5}
    assert found["frames_by_game"] == {"0": 4, "1": 1}
    assert look(cache, describe=False) == {"file": str(cache), "warnings": []}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("key", 130, "key.npy: entry 1 is no key's number"),
        ("sent", 4, "sent.npy: entry 1 is none of 0 to 3"),
        ("cursor", 24, "cursor.npy: entry 1 is outside the screen"),
        ("position", 1920, "position.npy: entry 1 is outside the screen"),
        ("colour", 32, "colour.npy: entry 1 is no colour"),
        ("frame_offset", 10**6, "frame_offset.npy: entry 1 is fewer changed cells than none"),
    ],
)
def test_entries_that_no_game_has_are_told_by_file_and_place(cache, name, value, message):
    array = np.load(cache / f"{name}.npy")
    array[1] = value
    np.save(cache / f"{name}.npy", array)
    with pytest.raises(InputError, match=message):
        look(cache)


def test_a_cache_without_its_manifest_is_still_known_for_one(cache):
    (cache / "manifest.json").unlink()
    with pytest.raises(InputError, match="not a cache of games, it has no manifest"):
        look(cache)
