"""Arrays that several processes see: one block of memory behind a descriptor, laid out by a table of fields.

The block has no name in any folder, so nothing is left of it when the last process that maps it has gone.
"""

import mmap
import os
import tempfile
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

_ALIGNMENT = 64


class Field(NamedTuple):
    """An array of the block.

    Attributes:
        name: What it is called.
        shape: Its shape.
        dtype: Its element type.
    """

    name: str
    shape: tuple[int, ...]
    dtype: DTypeLike

    @property
    def nbytes(self) -> int:
        """The size of it."""
        return np.dtype(self.dtype).itemsize * int(np.prod(self.shape))


def create_memory(fields: list[Field]) -> int:
    """Return the descriptor of a block of zeros for the fields; once they are mapped it may be closed."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("sandtable")
    else:  # a file that has lost its name does the same
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    try:
        os.ftruncate(descriptor, _places(fields)[1])
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def map_arrays(descriptor: int, fields: list[Field]) -> dict[str, np.ndarray]:
    """Return the block's arrays by name; the memory is given back when the last of them is."""
    places, size = _places(fields)
    block = mmap.mmap(descriptor, size)
    return {field.name: np.ndarray(field.shape, field.dtype, block, places[field.name]) for field in fields}


def _places(fields: list[Field]) -> tuple[dict[str, int], int]:
    """Return where each array begins, by name, and the size of all, in bytes."""
    places, end = {}, 0
    for field in fields:
        places[field.name] = end
        end += -(-field.nbytes // _ALIGNMENT) * _ALIGNMENT
    return places, max(end, _ALIGNMENT)
