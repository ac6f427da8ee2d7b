"""Bad recordings: each is refused with one sentence that says what is wrong and where."""

import bz2
from pathlib import Path

import numpy as np
import pytest

from sandtable.simulators.errors import InputError
from sandtable.simulators.nethack.keyboard import CANONICAL_BYTES, KEY_OF_BYTE
from sandtable.simulators.nethack.ttyrec import (
    decompressed,
    first_unknown_key,
    read_keys,
    require_keys,
    require_sound,
    without_strategy,
)


def test_keys_are_read_without_screens(write_game, ttyrec):
    keys = [ord(key) for key in "hjkl.s"]
    assert read_keys(write_game("0", ttyrec.played(keys))).tolist() == KEY_OF_BYTE[[*keys, 32]].tolist()


def test_the_last_record_of_a_file_does_not_count(write_game, ttyrec):
    """nle's converter (1.3.0) drops it."""
    assert len(read_keys(write_game("0", ttyrec.played([104] * 9, over=False)))) == 8


def test_strategies_of_a_bot_are_left_out(write_game, ttyrec):
    steps = [ttyrec.step(104, 5, "x") for _ in range(4)]
    mixed = b"".join(step + ttyrec.record(3, b"\x01\0\0\0") for step in steps)
    path = write_game("0", mixed, version=4)
    assert without_strategy(mixed, path) == b"".join(steps)
    assert len(read_keys(path)) == 4


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("game.ttyrec.bz2", "a ttyrec1 holds no keys, so there is nothing to imitate"),
        ("nle.1.0.ttyrec2.bz2", "a ttyrec2 is not read, as it holds no scores"),
        ("nle.1.0.ttyrec5.bz2", "a ttyrec5 is not read"),
        ("nle.1.0.ttyrec3", "no recording; the name of one ends with .ttyrec3.bz2"),
    ],
)
def test_recordings_without_keys_and_scores_are_refused(name, message):
    with pytest.raises(InputError, match=f"{name}: {message}"):
        require_keys(Path(name))


def test_truncated_and_corrupt_files_are_told_apart(tmp_path, ttyrec):
    path = tmp_path / "nle.1.0.ttyrec3.bz2"
    whole = bz2.compress(np.random.default_rng(0).bytes(20_000))
    for content, message in (
        (b"", "the file is empty"),
        (whole[:-9], "truncated bz2, ends after"),
        (whole[:9_000] + bytes(300) + whole[9_300:], "corrupt bz2, at about byte"),
        (b"This is a text file.", "corrupt bz2, at about byte 0 of 20"),
        (whole + whole, f"{len(whole):,} bytes follow the end of the bz2 stream"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            decompressed(path)


def test_what_is_no_record_is_told_by_its_place(write_game, ttyrec):
    content = ttyrec.played([104, 106, 107])
    first = len(ttyrec.step(104, 5, "\x1b[24;1HDlvl:1 T:1 \x1b[2;1H\x1b[31m@\x1b[m"))
    for broken, message in (
        (content[:-1], "is cut in two; the recording broke off there"),
        (content[:first] + content[first : first + 7], f"the record at byte {first:,} is cut in two"),
        (content[:first] + ttyrec.record(3, b"\0\0\0\0"), f"byte {first:,}: a record of channel 3, as ttyrec4 has"),
        (content[:first] + ttyrec.record(7, b"\0"), f"byte {first:,}: no record of a ttyrec3 .channel 7, 1 bytes"),
        (content[:first] + ttyrec.record(1, b"ab"), f"byte {first:,}: no record of a ttyrec3 .channel 1, 2 bytes"),
        (content[:first] + ttyrec.record(0, b""), f"byte {first:,}: no record of a ttyrec3 .channel 0, 0 bytes"),
        (content[:first] + ttyrec.record(1, b"h"), f"byte {first:,}: keys and scores do not take turns"),
        (ttyrec.record(0, b"hello"), "no key is recorded"),
    ):
        with pytest.raises(InputError, match=message):
            require_sound(write_game("0", broken), 3)


def test_a_key_outside_the_keyboard_is_told_by_file_offset_and_byte(write_game, ttyrec):
    assert first_unknown_key(write_game("0", ttyrec.played(CANONICAL_BYTES)), 3) is None
    content = ttyrec.played([104, 0x00, 104])
    path = write_game("1", content)
    offset = content.index(ttyrec.record(1, b"\0", 1)) + 13
    assert first_unknown_key(path, 3) == f"{path}: byte {offset:,}: key 0x00"
    assert read_keys(path).tolist()[1] == 255
