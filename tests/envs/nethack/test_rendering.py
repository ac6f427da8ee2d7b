"""Pictures of the screen."""

import re

import numpy as np
import pytest

from sandtable.envs.nethack.rendering import CELL, screen_image, screen_text


def screen(text="", color=7):
    """Return a screen with a text in its second row, and the cursor after it."""
    chars, colors = np.full((24, 80), 32, np.uint8), np.zeros((24, 80), np.int8)
    chars[1, : len(text)], colors[1, : len(text)] = [ord(letter) for letter in text], color
    return chars, colors, np.array([1, len(text)], np.uint8)


def test_text_has_the_lines_of_the_screen_and_its_colours():
    lines = screen_text(*screen("dog", color=11)).split("\n")
    assert len(lines) == 24
    assert lines[0] == ""
    assert lines[1] == "\033[0;93mdog\033[0;30;4m \033[0m"
    plain = re.sub(r"\033\[[0-9;]*m", "", "\n".join(lines))
    assert plain.split() == ["dog"]


@pytest.mark.parametrize("color", range(32))
def test_every_colour_the_engine_uses_is_drawn(color):
    image = screen_image(*screen("@#", color))
    assert (image.shape, image.dtype) == ((384, 640, 3), np.uint8)
    cells = image[CELL[0] : 2 * CELL[0], : 2 * CELL[1]]
    assert len(np.unique(cells.reshape(-1, 3), axis=0)) > 2  # ink, paper, and what is between
    assert (";7m@#" in screen_text(*screen("@#", color))) == (color >= 16)


def test_letters_are_told_apart_and_stay_in_their_cells():
    letters = "".join(map(chr, range(33, 112)))
    row = screen_image(*screen(letters))[CELL[0] : 2 * CELL[0], :, 0]
    cells = {row[:, CELL[1] * i : CELL[1] * (i + 1)].tobytes() for i in range(len(letters))}
    assert len(cells) == len(letters)
    image = screen_image(*screen(letters))
    assert image[: CELL[0]].sum() == 0


def test_bytes_that_are_no_letters_are_blank():
    chars, colors, cursor = screen()
    chars[5, :4] = [0, 7, 127, 200]
    assert screen_image(chars, colors + np.int8(7), cursor)[80:96].sum() == 0
    assert "\x07" not in screen_text(chars, colors, cursor)
