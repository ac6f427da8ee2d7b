"""One copy of the engine's machine code and constants for all games of a process.

NetHack keeps its state in global variables, so nle loads a library of its own for each game, all copies of one file.
Their code is the same, but at other places of memory, and games that take turns push each other's out of the
processor's caches. Here the pages of every copy that nothing writes to are mapped from the file of the first one, at
the addresses where they are; the rest stays apart. Seen with 32 games in a process: 35 to 44 microseconds a step
instead of 58 to 70.
"""

import ctypes
import mmap
import os
from pathlib import Path
from typing import NamedTuple

_MAPS = Path("/proc/self/maps")
_MAP_FIXED = 0x10  # of Linux: in place of what is there


_RIGHTS = {"r-xp": mmap.PROT_READ | mmap.PROT_EXEC, "r--p": mmap.PROT_READ}


class _Pages(NamedTuple):
    """Pages of a library that are only read or run: their addresses, their place in the file, what may be done."""

    begin: int
    end: int
    offset: int
    rights: int

    @property
    def place(self) -> tuple[int, int]:
        """Where in the file they begin and end."""
        return self.offset, self.offset + self.end - self.begin


class SharedCode:
    """The code of the first library, for all later ones of the same content; without /proc it does nothing."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._content = b""
        self._places: set[tuple[int, int]] = set()  # of the file, which are in memory as they are there
        self._same: set[tuple[int, int]] = set()  # files that were found to have that content

    def share(self, library: int) -> bool:
        """Map the code of a loaded library from the first one's file, and return whether that was done.

        Args:
            library: Descriptor of the library's file. The code is mapped anew at each loading, so this is called after
                each.
        """
        if not _MAPS.is_file():
            return False
        if self._first is None:
            self._first, self._content = os.dup(library), _read(library)
            # what the loader has written to before it was closed to writing is each library's own
            read_only = _read_only(library)
            self._places = {p.place for p in read_only if _in_memory(p) == self._content[slice(*p.place)]}
        if os.path.sameopenfile(self._first, library) or not self._has_same_content(library):
            return False
        shared = [pages for pages in _read_only(library) if pages.place in self._places]
        return bool(shared) and all(_map(pages, self._first) for pages in shared)

    def _has_same_content(self, library: int) -> bool:
        """Return whether a library is a copy of the first one; a file is read once."""
        status = os.fstat(library)
        file = status.st_ino, status.st_ctime_ns
        if file not in self._same and _read(library) == self._content:
            self._same.add(file)
        return file in self._same


def _read_only(library: int) -> list[_Pages]:
    """Return the pages that are mapped from a library's file and that nothing may write to."""
    file, pages = str(os.fstat(library).st_ino), []
    for line in _MAPS.read_text(encoding="utf-8", errors="replace").splitlines():
        if file not in line:
            continue
        addresses, rights, offset, _, number, *_ = line.split(maxsplit=5)
        if number == file and rights in _RIGHTS:
            begin, end = (int(address, 16) for address in addresses.split("-"))
            pages.append(_Pages(begin, end, int(offset, 16), _RIGHTS[rights]))
    return pages


def _read(library: int) -> bytes:
    """Return the content of a file."""
    return os.pread(library, os.fstat(library).st_size, 0)


def _in_memory(pages: _Pages) -> bytes:
    """Return the content of pages as it is in memory."""
    return ctypes.string_at(pages.begin, pages.end - pages.begin)


def _map(pages: _Pages, file: int) -> bool:
    """Map pages from a file, at the addresses where they are; return whether the system did."""
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
    how = mmap.MAP_PRIVATE | _MAP_FIXED
    return libc.mmap(pages.begin, pages.end - pages.begin, pages.rights, how, file, pages.offset) == pages.begin
