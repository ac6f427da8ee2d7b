"""How a few bytes are put at the end of a bz2 file without reading what it holds.

A bz2 file is a row of blocks, each complete in itself and not aligned to bytes, and a mark of the end with a checksum
of the blocks' checksums. So a block can be put before that mark. Who reads the file and meets the appended bytes has
read all that came before: every block passed its checksum, and nothing was cut off.
"""

import bz2

_BLOCK = 0x314159265359
_END = 0x177245385090
_CHECKSUM_BITS, _MARK_BITS = 32, 48
_TAIL = (_CHECKSUM_BITS + _MARK_BITS) // 8 + 1


def appended(compressed: bytes, more: bytes) -> bytes | None:
    """Return the bz2 file of the same content with ``more`` behind it.

    Args:
        compressed: A bz2 file of one stream.
        more: At most 100 kB, as one block.

    Returns:
        The file; None where ``compressed`` does not end as a bz2 file must: it was cut, or bytes follow its end.
    """
    end = _end_of_blocks(compressed)
    if end is None or not compressed.startswith(b"BZh"):
        return None
    checksum = _bits(compressed, end + _MARK_BITS, _CHECKSUM_BITS)
    addition = bz2.compress(more, 1)
    last = _end_of_blocks(addition)
    if last is None or _bits(addition, 32, _MARK_BITS) != _BLOCK or len(more) > 100_000:
        raise ValueError(f"more must have 1 to 100,000 bytes, not {len(more)}")
    length = last - 32
    checksum = ((checksum << 1) & 0xFFFFFFFF | checksum >> 31) ^ _bits(addition, 32 + _MARK_BITS, _CHECKSUM_BITS)
    whole, partial = divmod(end, 8)
    tail = _bits(compressed, 8 * whole, partial) << length | _bits(addition, 32, length)
    tail = (tail << _MARK_BITS | _END) << _CHECKSUM_BITS | checksum
    bits = partial + length + _MARK_BITS + _CHECKSUM_BITS
    return compressed[:whole] + (tail << -bits % 8).to_bytes((bits + 7) // 8, "big")


def _end_of_blocks(compressed: bytes) -> int | None:
    """Return the bit at which the mark of the end begins, if the file ends with one and its checksum."""
    tail = int.from_bytes(compressed[-_TAIL:], "big")
    for padding in range(8):
        if tail >> (padding + _CHECKSUM_BITS) & (1 << _MARK_BITS) - 1 == _END and not tail & (1 << padding) - 1:
            return 8 * len(compressed) - padding - _CHECKSUM_BITS - _MARK_BITS
    return None


def _bits(content: bytes, first: int, count: int) -> int:
    """Return ``count`` bits from bit ``first`` on, as a number."""
    start, stop = first // 8, (first + count + 7) // 8
    return int.from_bytes(content[start:stop], "big") >> (8 * stop - first - count) & (1 << count) - 1
