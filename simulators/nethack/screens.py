"""What a recording showed, frame by frame: nle's converter plays it on its terminal.

The converter ends in silence whether a file is whole or broken. So it is given a copy with two more records at the
end; who meets the first of them has read all that came before, at no cost. Where it is not met, the file is read once
more by hand, to say what is wrong and where.
"""

import bz2
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sandtable.simulators.errors import InputError, MissingExtraError
from sandtable.simulators.nethack.bzip2_append import appended
from sandtable.simulators.nethack.ttyrec import HEADER, KEY, decompressed, require_sound, without_strategy

ROWS, COLUMNS = 24, 80
_END = (-1, -2)
"""When the two records that are added are said to be from, in seconds since 1970: no game was recorded then."""
_UNSET = -(2**31)
"""A score that no game has."""


class Screens(NamedTuple):
    """Consecutive frames of a recording. The arrays are used again for later ones.

    Attributes:
        chars: uint8 [T, rows, columns].
        colours: int8 [T, rows, columns], in [0, 32).
        cursor: int16 [T, 2], row and column.
        time: int64 [T], microseconds since 1970.
        key: The byte of the key that was pressed then, uint8 [T]; 0 in a ttyrec1, which has none.
        score: int32 [T]; 0 in a ttyrec1 and a ttyrec2, which have none.
    """

    chars: np.ndarray
    colours: np.ndarray
    cursor: np.ndarray
    time: np.ndarray
    key: np.ndarray
    score: np.ndarray


def read_screens(
    path: Path, version: int, frames: int = 256, size: tuple[int, int] = (ROWS, COLUMNS)
) -> Iterator[Screens]:
    """Yield the frames of a recording, those that nle's converter gives: the last record of a file does not count.

    Args:
        path: A ttyrec, compressed by bz2.
        version: 1 to 4.
        frames: How many to yield at a time; the last block is shorter.
        size: Rows and columns of the terminal.

    Raises:
        InputError: The file is not whole; blocks that were read before may have been yielded.
        MissingExtraError: nle is not installed.
    """
    converter = _loaded(path, version, size)
    blocks = [_empty(frames, size) for _ in range(2)]
    held: Screens | None = None  # a block is known to be whole when the next one has begun
    count, turn = 0, 0
    while True:
        block, room = blocks[turn]
        turn = 1 - turn
        room.fill(_UNSET)
        try:
            found = frames - converter.convert(*block)
        except RuntimeError:
            found = 0
        end = int(np.argmax(block.time[:found] == _END[0] * 10**6)) if found else 0
        ended = found > 0 and block.time[end] == _END[0] * 10**6
        whole = end if ended else found
        scored = version < 3 or ((room[:whole] != _UNSET).all() and room[found] == _UNSET)
        if not scored or (found < frames and not ended):
            raise _unsound(path, version, count + whole)
        if version < 3:
            block.score[:whole] = 0
        if ended:
            yield from _last(held, block, end, version)
            return
        if held is not None:
            yield held
        held = block
        count += found


def _last(held: Screens | None, block: Screens, end: int, version: int) -> Iterator[Screens]:
    """Yield what is left when the added records were met at ``end`` of a block, after a full one or none.

    A frame whose record is the last of the file is left out, as it is by the converter where nothing is added.
    """
    before = Screens(*(field[-1] for field in held)) if held and end == 0 else Screens(*(f[end - 1] for f in block))
    unchanged = all(np.array_equal(before[one], block[one][end]) for one in range(3))
    scored = version > 2 and block.score[end] != _UNSET
    surplus = version == 1 or (unchanged and not scored)
    if held is not None:
        yield Screens(*(field[:-1] for field in held)) if end == 0 and surplus else held
    kept = max(0, end - 1) if surplus else end
    if kept:
        yield Screens(*(field[:kept] for field in block))


def _empty(frames: int, size: tuple[int, int]) -> tuple[Screens, np.ndarray]:
    """Return room for a block, and its scores with more room behind: the converter minds no bounds there."""
    scores = np.empty(2 * frames + 2, np.int32)
    block = Screens(
        np.empty((frames, *size), np.uint8),
        np.empty((frames, *size), np.int8),
        np.empty((frames, 2), np.int16),
        np.zeros(frames, np.int64),
        np.zeros(frames, np.uint8),
        scores[:frames],
    )
    return block, scores


def _loaded(path: Path, version: int, size: tuple[int, int]) -> Any:
    """Return nle's converter with a copy of the file in it that has the two more records."""
    try:
        from nle.dataset import Converter
    except ImportError:
        raise MissingExtraError("reading recorded games", "nethack") from None
    header = HEADER.size - (version == 1)
    end = b"".join(HEADER.pack(second, 0, 1, KEY)[:header] + b"\0" for second in _END)
    if version == 4:
        copy: bytes | None = bz2.compress(without_strategy(decompressed(path), path) + end, 1)
    else:
        copy = appended(path.read_bytes(), end)
    if copy is None:
        raise _unsound(path, version, 0)
    converter = Converter(*size, min(version, 3))
    with tempfile.NamedTemporaryFile(suffix=".bz2") as file:
        file.write(copy)
        file.flush()
        converter.load_ttyrec(file.name)
    return converter


def _unsound(path: Path, version: int, frames: int) -> InputError:
    """Return what is wrong with a file that was not read to its end."""
    try:
        if version == 1:
            decompressed(path)
        else:
            require_sound(path, version)
    except InputError as error:
        return error
    return InputError(f"{path}: nle's converter cannot read it beyond frame {frames:,}; leave the file out")
