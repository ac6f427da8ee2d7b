import json
import shutil

import pytest

from sandtable.simulators.errors import InputError
from sandtable.simulators.nethack.cache import is_cache
from sandtable.simulators.nethack.sources import find_recordings, is_source, natural


def test_games_are_named_by_their_folders_and_sorted_by_number(write_game, ttyrec, tmp_path):
    for number in (10, 2, 1):
        write_game(f"games/{number}", ttyrec.played([104] * number), turns=number)
    found, warnings = find_recordings([tmp_path / "games"])
    assert [one.id for one in found] == ["1", "2", "10"]
    assert [one.account.turns for one in found] == [1, 2, 10]
    assert warnings == []


def test_several_games_of_a_folder_are_named_by_folder_and_file(write_game, ttyrec, tmp_path):
    """The layout of the NetHack Learning Dataset: a folder a process, with all its games and one xlogfile."""
    paths = [write_game("run", ttyrec.played([104] * n), name=f"nle.7.{n}") for n in (1, 2)]
    lines = [f"role=Val\trace=Dwa\tpoints={n}\tturns={n}\tttyrecname={path.name}\n" for n, path in enumerate(paths)]
    (tmp_path / "run" / "nle.7.xlogfile").write_text("".join(lines))
    found, _ = find_recordings([tmp_path])
    assert [one.id for one in found] == ["run/nle.7.1", "run/nle.7.2"]
    assert [one.account.points for one in found] == [0, 1]


def test_games_of_the_same_name_keep_their_paths(write_game, ttyrec, tmp_path):
    one, other = write_game("a/0", ttyrec.played([104])), write_game("b/0", ttyrec.played([106]))
    found, _ = find_recordings([tmp_path / "a", tmp_path / "b"])
    assert [game.id for game in found] == [str(one), str(other)]


def test_one_game_under_two_names_is_one(write_game, ttyrec, tmp_path):
    path = write_game("1", ttyrec.played([104, 106]), turns=2)
    shutil.copytree(path.parent, tmp_path / "2")
    found, warnings = find_recordings([tmp_path, path])
    assert [one.id for one in found] == ["1"]
    assert warnings == [f"{tmp_path / '2' / path.name}: the same game as {path}; it is taken once"]


@pytest.mark.parametrize(
    ("content", "warning"),
    [
        (None, "no nle.7.xlogfile beside it"),
        ("", "the file is empty"),
        ("role=Mon\tttyrecname=other\n", "the file has no line of nle.7.0.ttyrec3.bz2"),
        ("role=Mon\tttyrecname=nle.7.0.ttyrec3.bz2\n", "the line of nle.7.0.ttyrec3.bz2 cannot be read"),
    ],
)
def test_a_game_without_an_account_is_a_game_with_a_warning(write_game, ttyrec, content, warning):
    path = write_game("0", ttyrec.played([104]))
    if content is not None:
        (path.parent / "nle.7.xlogfile").write_text(content)
    (one,), (told,) = find_recordings([path])
    assert one.account is None
    assert warning in told
    assert told.endswith("role, race, score and turns are unknown")


def test_keys_that_a_layer_sent_are_read_from_game_json(write_game, ttyrec):
    path = write_game("0", ttyrec.played([104, 32]))
    account = {"schema": "sandtable.nethack-game/1", "sent": [[1, 1], [2, 2]]}
    (path.parent / "game.json").write_text(json.dumps(account))
    assert find_recordings([path])[0][0].sent == ((1, 1), (2, 2))
    for broken, message in (
        ("{", "not the account of a recorded game"),
        ("[]", "not the account of a recorded game"),
        (json.dumps({"schema": "sandtable.nethack-game/9"}), "schema 'sandtable.nethack-game/9' instead of"),
        (json.dumps(account | {"sent": [[0, 7]]}), "'sent' must hold pairs of a position and 1 or 2"),
    ):
        (path.parent / "game.json").write_text(broken)
        with pytest.raises(InputError, match=message):
            find_recordings([path])


def test_what_is_no_source_is_refused(write_game, ttyrec, tmp_path):
    (tmp_path / "empty").mkdir()
    write_game("mixed", ttyrec.played([104]))
    write_game("mixed", ttyrec.played([106]), version=4)
    write_game("old", ttyrec.played([104]), version="")
    for source, message in (
        ("nowhere", "nowhere: there is no such file or folder"),
        ("empty", "no recorded game is in it"),
        ("mixed", r"mixed versions: .*ttyrec3.bz2 is ttyrec3, .*ttyrec4.bz2 is ttyrec4"),
        ("old", "a ttyrec1 holds no keys, so there is nothing to imitate"),
    ):
        with pytest.raises(InputError, match=message):
            find_recordings([tmp_path / source])


def test_sources_and_caches_are_recognised(write_game, ttyrec, tmp_path):
    path = write_game("games/0", ttyrec.played([104]))
    assert is_source(path)
    assert is_source(tmp_path / "games")
    assert not is_source(tmp_path / "nowhere")
    assert not is_cache(tmp_path / "games")
    (tmp_path / "manifest.json").write_text('{"schema": "sandtable.nethack-cache/1"}')
    assert is_cache(tmp_path)


def test_names_are_sorted_by_the_numbers_in_them():
    assert sorted(["a10", "a9", "b", "10", "9"], key=natural) == ["9", "10", "a9", "a10", "b"]
