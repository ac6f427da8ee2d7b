"""Screens are nle's own, and what nle passes over in silence is told."""

import bz2

import numpy as np
import pytest

from sandtable.simulators.errors import InputError
from sandtable.simulators.nethack.screens import Screens, read_screens
from sandtable.simulators.nethack.ttyrec import read_keys

pytest.importorskip("nle")


def converted(path, version, frames=64, size=(24, 80)):
    """What nle's converter alone gives."""
    from nle.dataset import Converter

    converter = Converter(*size, version)
    converter.load_ttyrec(str(path))
    blocks = []
    while True:
        block = Screens(
            np.zeros((frames, *size), np.uint8),
            np.zeros((frames, *size), np.int8),
            np.zeros((frames, 2), np.int16),
            np.zeros(frames, np.int64),
            np.zeros(frames, np.uint8),
            np.zeros(frames, np.int32),
        )
        left = converter.convert(*block)
        blocks.append([field[: frames - left] for field in block])
        if left:
            return Screens(*(np.concatenate(fields) for fields in zip(*blocks, strict=True)))


def read(path, version, frames=256, size=(24, 80)):
    blocks = [[np.array(field) for field in block] for block in read_screens(path, version, frames, size)]
    return Screens(*(np.concatenate(fields) for fields in zip(*blocks, strict=True)))


def lines(screen):
    return [bytes(row).decode("latin-1").rstrip() for row in screen]


def told(path):
    return [line.rstrip() for line in path.read_text(encoding="utf-8").splitlines()]


def test_nle_s_own_ttyrec3_decodes_to_its_text_its_keys_and_its_scores(wheel):
    """The fixture of nle's tests, ``test_converter.py``: the 44th frame, actions and scores (filled up with zeros)."""
    screens = read(wheel / "nle.2783801.0.ttyrec3.bz2", 3)
    keys, scores = (
        [int(one) for one in line.split()] for line in told(wheel / "nle.2783801.0.actions.scores.txt")
    )
    text = told(wheel / "nle.2783801.0.frame.44.txt")
    assert lines(screens.chars[43])[: len(text)] == text
    assert screens.key.tolist() == keys[: len(screens.key)]
    assert screens.score.tolist() == scores[: len(screens.score)]
    assert keys[len(screens.key) :] == [0]


def test_nle_s_own_ttyrec2_decodes_to_its_text(wheel):
    """The fixture of nle's tests, ``test_converter.py``: the 150th frame."""
    screens = read(wheel / "nle.2734875.0.ttyrec2.bz2", 2)
    text = told(wheel / "nle.2734875.0.frame.150.txt")
    assert lines(screens.chars[149])[: len(text)] == text


@pytest.mark.parametrize("name", ["2009-02-05.10_33_51", "2012-02-16.21_09_51", "2017-07-28.18_44_17"])
def test_games_of_people_decode_to_their_texts(wheel, name):
    """The ttyrec1 of nle's tests, ``test_converter.py``: IBM and DEC graphics, shifted sets; the tenth frame."""
    screens = next(read_screens(wheel / f"{name}.ttyrec.bz2", 1, 256, (25, 120)))
    text = told(wheel / f"{name}.frame.10.txt")
    assert lines(screens.chars[9])[: len(text)] == text


@pytest.mark.parametrize("frames", [7, 64, 256])
@pytest.mark.parametrize(
    ("name", "version"), [("nle.2783801.0.ttyrec3", 3), ("nle.2734875.0.ttyrec2", 2), ("2020-10-03.17_27_10.ttyrec", 1)]
)
def test_screens_equal_the_converter_s_whatever_the_blocks(wheel, name, version, frames):
    path = wheel / f"{name}.bz2"
    for ours, theirs in zip(read(path, version, frames), converted(path, version), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("count", [6, 7, 8, 13, 14, 15])
@pytest.mark.parametrize("over", [True, False])
def test_recordings_that_end_at_the_edge_of_a_block_lose_and_gain_nothing(write_game, ttyrec, count, over):
    path = write_game("0", ttyrec.played([104 + t % 4 for t in range(count)], over))
    ours = read(path, 3, frames=7)
    assert len(ours.key) == (count + 1 if over else count - 1)
    for one, other in zip(ours, converted(path, 3), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_ttyrec4_shows_what_its_ttyrec3_shows(write_game, ttyrec):
    steps = [ttyrec.step(104, score, chr(65 + score), score) for score in range(20)]
    three = write_game("3", b"".join(steps) + ttyrec.record(0, b"end"))
    strategy = ttyrec.record(3, b"\x05\0\0\0")
    four = write_game("4", b"".join(strategy + step for step in steps) + ttyrec.record(0, b"end"), version=4)
    for one, other in zip(read(three, 3), read(four, 4), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_broken_file_is_never_taken_for_a_shorter_one(write_game, ttyrec):
    """Cut anywhere, or with any byte changed: an error, or the frames that the whole file has."""
    content = ttyrec.played([104 + t % 4 for t in range(400)])
    path = write_game("0", content)
    whole, frames = path.read_bytes(), len(read(path, 3).key)
    places = np.random.default_rng(1).integers(0, len(whole), 60).tolist()
    broken = [whole[:place] for place in places[:20]]
    broken += [whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :] for place in places]
    broken += [bz2.compress(content[: len(content) * place // 60]) for place in range(60)]
    refused = 0
    for one in broken:
        path.write_bytes(one)
        try:
            found = sum(len(block.key) for block in read_screens(path, 3))
        except InputError:
            refused += 1
            continue
        assert found == frames or found == len(read_keys(path))
    assert refused >= 100
