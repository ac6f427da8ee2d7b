"""Frames as the cells that changed: how screens become a list of cells, and cells become screens again.

A screen has 1,920 cells, of which from one frame to the next few change. A game's frames 0, 256, 512, ... are key
frames: they tell what is on an otherwise blank screen (spaces of colour 0), so that whoever wants frame t starts at the
last key frame before it. Every other frame tells the cells in which it differs from the frame before.
"""

from itertools import pairwise

import numpy as np

from sandtable.simulators import compilation
from sandtable.simulators.errors import InputError

CELLS = 24 * 80
KEY_FRAME = 256
"""Frames from one key frame to the next."""
BLANK, NO_COLOUR = ord(" "), 0


class Changes:
    """Finds the cells that change; it keeps its memory from one block to the next.

    Attributes:
        position: Of each changed cell, row * 80 + column, uint16, room for a block.
        character: What is there now, uint8.
        colour: In which colour, uint8.
    """

    def __init__(self) -> None:
        room = KEY_FRAME * CELLS + 1
        self.position = np.empty(room, np.uint16)
        self.character = np.empty(room, np.uint8)
        self.colour = np.empty(room, np.uint8)

    def find(self, chars: np.ndarray, colours: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the changed cells of a key frame and the frames after it.

        Args:
            chars: uint8 [T, 24, 80], T at most 256.
            colours: int8 [T, 24, 80], not negative.

        Returns:
            How many cells change in each frame, int64 [T]; and of all of them position, character and colour, valid
            until the next call.
        """
        flat = chars.reshape(-1, CELLS), colours.reshape(-1, CELLS).view(np.uint8)
        if not compilation.AVAILABLE:
            return _changes(*flat)
        counts = np.empty(len(chars), np.int64)
        words = [plane.view(np.uint64) for plane in flat]
        total = _find(flat[0], flat[1], words[0], words[1], counts, self.position, self.character, self.colour)
        return counts, self.position[:total], self.character[:total], self.colour[:total]


def _changes(chars: np.ndarray, colours: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """``Changes.find`` as an array program."""
    differs = np.empty(chars.shape, bool)
    differs[0] = (chars[0] != BLANK) | (colours[0] != NO_COLOUR)
    np.not_equal(chars[1:], chars[:-1], out=differs[1:])
    differs[1:] |= colours[1:] != colours[:-1]
    frame, position = np.nonzero(differs)
    counts = np.bincount(frame, minlength=len(chars))
    return counts, position.astype(np.uint16), chars[frame, position], colours[frame, position]


@compilation.compiled
def _find(
    chars: np.ndarray,
    colours: np.ndarray,
    chars_8: np.ndarray,
    colours_8: np.ndarray,
    counts: np.ndarray,
    position: np.ndarray,
    character: np.ndarray,
    colour: np.ndarray,
) -> int:
    """``Changes.find``, eight cells at a time as long as they are the same; a cell that stays is written over."""
    total = 0
    for cell in range(chars.shape[1]):
        position[total] = cell
        character[total] = chars[0, cell]
        colour[total] = colours[0, cell]
        total += (chars[0, cell] != 32) | (colours[0, cell] != 0)
    counts[0] = total
    for frame in range(1, chars.shape[0]):
        first = total
        for word in range(chars_8.shape[1]):
            same = chars_8[frame, word] == chars_8[frame - 1, word]
            if same and colours_8[frame, word] == colours_8[frame - 1, word]:
                continue
            for cell in range(8 * word, 8 * word + 8):
                position[total] = cell
                character[total] = chars[frame, cell]
                colour[total] = colours[frame, cell]
                differs = chars[frame, cell] != chars[frame - 1, cell]
                total += differs | (colours[frame, cell] != colours[frame - 1, cell])
        counts[frame] = total - first
    return total


def rebuild(
    offsets: np.ndarray, cells: tuple[np.ndarray, np.ndarray, np.ndarray], chars: np.ndarray, colours: np.ndarray
) -> None:
    """Write the screens of consecutive frames of a game.

    Args:
        offsets: Where the cells of a frame begin, int64 [before + T + 1], of the frames from the last key frame on.
        cells: Position, character and colour of the cells of all frames.
        chars: uint8 [T, 24, 80]; is overwritten with the last T of these frames.
        colours: uint8 [T, 24, 80]; likewise.

    Raises:
        InputError: A cell lies outside the screen, or there are fewer cells than the frames have: the data is damaged.
    """
    flat = chars.reshape(-1, CELLS), colours.reshape(-1, CELLS)
    sound = bool((np.diff(offsets) >= 0).all() and offsets[0] >= 0 and offsets[-1] <= len(cells[0]))
    if sound and compilation.AVAILABLE:
        sound = _rebuild(offsets, *cells, *flat, *(plane.view(np.uint64) for plane in flat))
    elif sound:
        sound = rebuild_plainly(offsets, *cells, *flat)
    if not sound:
        raise InputError("the changed cells are damaged: import the recordings again")


def rebuild_plainly(
    offsets: np.ndarray,
    position: np.ndarray,
    character: np.ndarray,
    colour: np.ndarray,
    chars: np.ndarray,
    colours: np.ndarray,
) -> bool:
    """``rebuild`` as an array program; the screens are [T, 1920]. Return whether all cells lie on the screen."""
    start = offsets[0]
    part = slice(start, offsets[-1])
    place, char, hue = position[part].astype(np.intp), character[part], colour[part]
    if len(place) and place.max() >= CELLS:
        return False
    bounds = (offsets - start).tolist()
    first = len(bounds) - 1 - len(chars)
    for frame, (begin, end) in enumerate(pairwise(bounds)):
        shown = max(0, frame - first)
        if frame % KEY_FRAME == 0:
            chars[shown], colours[shown] = BLANK, NO_COLOUR
        elif shown:
            chars[shown], colours[shown] = chars[shown - 1], colours[shown - 1]
        chars[shown][place[begin:end]] = char[begin:end]
        colours[shown][place[begin:end]] = hue[begin:end]
    return True


@compilation.compiled
def _rebuild(
    offsets: np.ndarray,
    position: np.ndarray,
    character: np.ndarray,
    colour: np.ndarray,
    chars: np.ndarray,
    colours: np.ndarray,
    chars_8: np.ndarray,
    colours_8: np.ndarray,
) -> bool:
    """``rebuild_plainly``, cell by cell; the frame before is copied eight cells at a time."""
    first = len(offsets) - 1 - chars.shape[0]
    for frame in range(len(offsets) - 1):
        shown = max(0, frame - first)
        if frame % 256 == 0:
            chars[shown, :] = 32
            colours[shown, :] = 0
        elif shown > 0:
            for word in range(chars_8.shape[1]):
                chars_8[shown, word] = chars_8[shown - 1, word]
                colours_8[shown, word] = colours_8[shown - 1, word]
        for cell in range(offsets[frame], offsets[frame + 1]):
            place = position[cell]
            if place >= 1920:
                return False
            chars[shown, place] = character[cell]
            colours[shown, place] = colour[cell]
    return True
