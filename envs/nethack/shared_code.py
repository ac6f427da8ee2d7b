"""One copy of the engine's machine code and constants for all games of this machine.

NetHack keeps its state in global variables, so nle loads a library of its own for each game, all copies of one file.
Their code is the same, but at other places of memory, and games that take turns push each other's out of the
processor's caches. Here the pages of every copy that nothing writes to are mapped from the file that was copied, at the
addresses where they are; the rest stays apart. Seen with 32 games in a process: 35 to 44 microseconds a step instead of
58 to 70.
"""

import ctypes
import mmap
import os
from pathlib import Path
from typing import Any, NamedTuple

_MAPS = Path("/proc/self/maps")
_RIGHTS = {"r-xp": mmap.PROT_READ | mmap.PROT_EXEC, "r--p": mmap.PROT_READ}
_MAP_FIXED, _RTLD_DI_LINKMAP = 0x10, 2  # of Linux: in place of what is there; where a library was loaded


class _Pages(NamedTuple):
    """Pages of a library that are only read or run.

    Attributes:
        place: Where they are in memory, counted from where the library was loaded.
        size: Bytes.
        offset: Where they are in the file.
        rights: What may be done with them, as ``mmap`` has it.
    """

    place: int
    size: int
    offset: int
    rights: int


class SharedCode:
    """The code of a library's file, for all loaded copies of it; where there is no /proc it does nothing.

    Args:
        original: Path of the file.
    """

    def __init__(self, original: str) -> None:
        self._works = _MAPS.is_file()
        self._original = os.open(original, os.O_RDONLY) if self._works else -1
        self._content = _read(self._original) if self._works else b""
        self._pages: list[_Pages] | None = None
        self._copies: set[tuple[int, int]] = set()  # files that were found to have the original's content

    def share(self, library: int) -> bool:
        """Map the code of a loaded copy from the original, and return whether that was done.

        Args:
            library: Descriptor of the copy's file. Its code is mapped anew at each loading, so this is called after
                each.
        """
        if not self._works or not self._is_copy(library):
            return False
        base = _loaded_at(library)
        if base is None:
            return False
        if self._pages is None:
            self._pages = _unchanged_pages(library, base)
        return bool(self._pages) and all(_map(base, pages, self._original) for pages in self._pages)

    def close(self) -> None:
        """Let go of the file; what is mapped stays."""
        if self._works:
            os.close(self._original)
            self._works = False

    def _is_copy(self, library: int) -> bool:
        """Return whether a file has the original's content; each is read once."""
        status = os.fstat(library)
        file = status.st_ino, status.st_ctime_ns
        if file not in self._copies and _read(library) == self._content:
            self._copies.add(file)
        return file in self._copies


def _loaded_at(library: int) -> int | None:
    """Return the address at which a library is loaded, None if it is not; it is looked up without loading it."""
    libc = _libc()
    handle = libc.dlopen(f"/proc/self/fd/{library}".encode(), os.RTLD_NOLOAD | os.RTLD_LAZY)
    if not handle:
        return None
    try:
        link = ctypes.c_void_p()
        failed = libc.dlinfo(handle, _RTLD_DI_LINKMAP, ctypes.byref(link))
        return None if failed or not link.value else ctypes.c_size_t.from_address(link.value).value
    finally:
        libc.dlclose(handle)


def _unchanged_pages(library: int, base: int) -> list[_Pages]:
    """Return the pages of a loaded library that nothing may write to, and that are as they are in the file.

    The loader has written to some pages before it closed them to writing; those are each copy's own.
    """
    content, file, found = _read(library), str(os.fstat(library).st_ino), []
    for line in _MAPS.read_text(encoding="utf-8", errors="replace").splitlines():
        addresses, rights, offset, _, number, *_ = line.split(maxsplit=5)
        if number == file and rights in _RIGHTS:
            begin, end = (int(address, 16) for address in addresses.split("-"))
            pages = _Pages(begin - base, end - begin, int(offset, 16), _RIGHTS[rights])
            if ctypes.string_at(begin, pages.size) == content[pages.offset : pages.offset + pages.size]:
                found.append(pages)
    return found


def _map(base: int, pages: _Pages, file: int) -> bool:
    """Map pages of a library from another file, at the addresses where they are; return whether the system did."""
    how, address = mmap.MAP_PRIVATE | _MAP_FIXED, base + pages.place
    return bool(_libc().mmap(address, pages.size, pages.rights, how, file, pages.offset) == address)


def _read(file: int) -> bytes:
    """Return the content of a file."""
    return os.pread(file, os.fstat(file).st_size, 0)


def _libc() -> Any:
    """Return the system's library, told of the functions that are called here."""
    libc = ctypes.CDLL(None)
    libc.dlopen.restype, libc.dlopen.argtypes = ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_int)
    libc.dlinfo.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    libc.dlclose.argtypes = (ctypes.c_void_p,)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
    return libc
