"""The records of a ttyrec, the recording of a terminal: what is in a file, byte by byte, and what is wrong with it.

A record is three little-endian int32, seconds, microseconds and length, in ttyrec2 and later a byte that names the
channel, and then the payload; the file is compressed by bz2. On channel 0 is what the game printed, on 1 a key that was
pressed, on 2 (from ttyrec3 on) the score in the game as int32, on 3 (ttyrec4) a number that a bot put there. For each
key the order is 0 (any number of times), 2, 1: the key is the answer to the screen as it then was.
"""

import bz2
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sandtable.simulators.errors import InputError
from sandtable.simulators.nethack.keyboard import KEY_OF_BYTE, UNKNOWN_KEY

PRINTED, KEY, SCORE, STRATEGY = range(4)
HEADER = struct.Struct("<iiiB")
_NAME = re.compile(r"\.ttyrec(\d*)\.bz2$")
_LENGTHS = {KEY: 1, SCORE: 4, STRATEGY: 4}
_STEP = 2**12  # bytes that are decompressed at a time


class Record(NamedTuple):
    """A record of a ttyrec.

    Attributes:
        offset: Where it begins in the decompressed file.
        channel: What it tells.
        payload: Where its payload begins.
        end: Where the next record begins.
    """

    offset: int
    channel: int
    payload: int
    end: int


def version_of(path: Path) -> int | None:
    """Return the version that a file's name tells, 1 where it has no number; None if it is no ttyrec."""
    found = _NAME.search(path.name)
    return int(found[1] or 1) if found else None


def require_keys(path: Path) -> int:
    """Return the version of a recording that has keys and scores: 3 or 4.

    Raises:
        InputError: The file has another name.
    """
    version = version_of(path)
    if version is None:
        raise InputError(f"{path}: no recording; the name of one ends with .ttyrec3.bz2 or .ttyrec4.bz2")
    if version == 1:
        raise InputError(f"{path}: a ttyrec1 holds no keys, so there is nothing to imitate; give ttyrec3 or ttyrec4")
    if version not in (3, 4):
        raise InputError(f"{path}: a ttyrec{version} is not read, as it holds no scores; give ttyrec3 or ttyrec4")
    return version


def decompressed(path: Path) -> bytes:
    """Return the content of a bz2 file.

    Raises:
        InputError: It is truncated or corrupt, or something follows its end.
    """
    compressed = path.read_bytes()
    if not compressed:
        raise InputError(f"{path}: the file is empty; leave it out")
    reader, content, start = bz2.BZ2Decompressor(), bytearray(), 0
    while start < len(compressed) and not reader.eof:
        try:
            content += reader.decompress(compressed[start : start + _STEP])
        except OSError:
            where = f"at about byte {start:,} of {len(compressed):,}"
            raise InputError(f"{path}: corrupt bz2, {where}; get the file again, or leave it out") from None
        start += _STEP
    if not reader.eof:
        message = f"truncated bz2, ends after {len(content):,} bytes of the recording"
        raise InputError(f"{path}: {message}; get the file again, or leave it out")
    surplus = len(reader.unused_data) + max(0, len(compressed) - start)
    if surplus:
        raise InputError(f"{path}: {surplus:,} bytes follow the end of the bz2 stream; compress it as one stream")
    return bytes(content)


def records(content: bytes, path: Path, version: int) -> Iterator[Record]:
    """Yield the records of a decompressed ttyrec2, 3 or 4.

    Raises:
        InputError: A record is cut in two, or is none.
    """
    at, size = 0, len(content)
    while at < size:
        if at + HEADER.size > size:
            raise InputError(f"{path}: the record at byte {at:,} is cut in two; the recording broke off there")
        _, _, length, channel = HEADER.unpack_from(content, at)
        if channel == STRATEGY and version < 4:
            raise InputError(f"{path}: byte {at:,}: a record of channel 3, as ttyrec4 has; name it .ttyrec4.bz2")
        if channel > version - 1 or length < 1 or length != _LENGTHS.get(channel, length):
            raise InputError(f"{path}: byte {at:,}: no record of a ttyrec{version} (channel {channel}, {length} bytes)")
        end = at + HEADER.size + length
        if end > size:
            raise InputError(f"{path}: the record at byte {at:,} is cut in two; the recording broke off there")
        yield Record(at, channel, at + HEADER.size, end)
        at = end


def without_strategy(content: bytes, path: Path) -> bytes:
    """Return the ttyrec3 of a decompressed ttyrec4: without the records of channel 3.

    Raises:
        InputError: See ``records``.
    """
    kept, start, end = bytearray(), 0, 0
    for record in records(content, path, version=4):
        if record.channel == STRATEGY:
            kept += content[start : record.offset]
            start = record.end
        end = record.end
    return bytes(kept + content[start:end])


def read_keys(path: Path) -> np.ndarray:
    """Return the keys of a recording alone: without its screens, so several times as fast, and without nle.

    As with nle's converter, the last record of a file does not count.

    Args:
        path: A ttyrec3 or ttyrec4.

    Returns:
        The numbers of the keys, uint8 [T], in [0, 118); 255 for a byte that is no key.

    Raises:
        InputError: The file cannot be used; see ``require_keys``, ``decompressed`` and ``records``.
    """
    version = require_keys(path)
    return keys_of(decompressed(path), path, version)


def keys_of(content: bytes, path: Path, version: int) -> np.ndarray:
    """Return what ``read_keys`` does, from the decompressed content of a file.

    Raises:
        InputError: See ``records``.
    """
    places = [record.payload for record in records(content, path, version) if record.channel == KEY]
    if places and places[-1] + 1 == len(content):
        places.pop()
    return KEY_OF_BYTE[np.frombuffer(content, np.uint8)[places]] if places else np.zeros(0, np.uint8)


def require_sound(path: Path, version: int) -> bytes:
    """Return the content of a recording that is whole: each key has a score before it, and there is a key.

    Raises:
        InputError: What is wrong with it, and where.
    """
    content = decompressed(path)
    scores = keys = 0
    for record in records(content, path, version):
        scores += record.channel == SCORE
        keys += record.channel == KEY
        if version > 2 and not keys <= scores <= keys + 1:
            raise InputError(f"{path}: byte {record.offset:,}: keys and scores do not take turns; leave the file out")
    if not keys:
        raise InputError(f"{path}: no key is recorded; leave the file out")
    return content


def first_unknown_key(path: Path, version: int) -> str | None:
    """Return where the first byte is that is no key of the keyboard, in words; None if there is none."""
    content = decompressed(path)
    for record in records(content, path, version):
        if record.channel == KEY and KEY_OF_BYTE[content[record.payload]] == UNKNOWN_KEY:
            return f"{path}: byte {record.payload:,}: key 0x{content[record.payload]:02x}"
    return None
