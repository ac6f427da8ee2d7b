"""One NetHack, driven key by key: nle's engine with what would let two runs of the same game differ taken out of it.

Four things are in the way of a game's being a function of its seeds and keys (seen with nle 1.3.0): the seeds serve the
next reset only; the date decides the moon, the hour and Friday the 13th; the time at which the game began names
shopkeepers and picks ants (NetHack-LE/nle#129); the list of high scores keeps earlier games. All are set before a game
or right after its start, and the engine's folder is swept of whatever else earlier games left there.
"""

import ctypes
import errno
import os
import weakref
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from sandtable.envs.nethack.recording import Recording
from sandtable.envs.nethack.settings import NetHackSettings
from sandtable.simulators.errors import InputError, MissingExtraError

LONGEST_PATH = 400
"""Bytes of a path that the engine can take: its own limit is 512, with the name of a file."""

_KEPT = ("nhdat", "perm", "record", "logfile", "xlogfile", "save")
_YEAR_2000, _FIFTY_YEARS = 946_684_800, 50 * 365 * 86_400


def load_nle() -> Any:
    """Return the module ``nle.nethack``.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        from nle import nethack
    except ImportError as error:
        raise MissingExtraError("the NetHack environment", "nethack") from error
    return nethack


def library_path() -> str:
    """Return the path of the engine's library, of which every game loads a copy."""
    load_nle()
    from nle.nethack.nethack import DLPATH

    return str(DLPATH)


class Engine:
    """An engine that writes what it shows into given arrays.

    Args:
        settings: ``character``, ``game_options`` and ``record`` matter here.
        buffers: By the names of ``OBSERVATIONS``, arrays in which the engine writes, C-contiguous: of its own, or rows
            of larger ones. They are written to from ``start`` to ``close``.
    """

    def __init__(self, settings: NetHackSettings, buffers: dict[str, np.ndarray]) -> None:
        self._nle = load_nle()
        self.settings, self.buffers = settings, buffers
        self.recording = Recording(settings.record, LONGEST_PATH) if settings.record is not None else None
        self.reproducible = False
        self._game: Any = None  # nle's object: it ends the game when it is collected
        self._raw: Any = None
        self._character = ""

    def start(self, core: int, disp: int, level_seed: int | None = None, character: str | None = None) -> None:
        """Begin a game; an earlier one is left where it was.

        Args:
            core: Seed of the game's own random numbers, in [0, 2**64).
            disp: Seed of those that only the display uses.
            level_seed: Seed of the levels' layout; None: they come from ``core``.
            character: Instead of the settings'.

        Raises:
            InputError: The engine cannot start: a full disk, too long a path, or options it does not take.
        """
        character = character or self.settings.character
        if self._game is None or character != self._character or self.recording is not None:
            self.close()
            self._open(character)
        for array in self.buffers.values():
            array.fill(0)
        self._raw.set_initial_seeds(core, disp, False, level_seed)
        try:
            self._sweep()
            self._raw.reset(*(() if self.recording is None else (str(self.recording.game),)))
        except (OSError, RuntimeError) as error:
            self.close()
            raise InputError(f"NetHack does not start: {error}; look at game_options and the disk") from error
        self.reproducible = self._set_birthday(_YEAR_2000 + core % _FIFTY_YEARS)

    def press(self, byte: int) -> bool:
        """Press a key; return whether the game is over."""
        self._raw.step(byte)
        return self._raw.done()

    def shows_game(self) -> bool:
        """Return whether the arrays show a game; before it begins and after it ended they are zero."""
        return bool(self._raw.in_normal_game())

    def how_done(self) -> int:
        """Return how the game ended, as NetHack numbers it (0: died, 15: ascended); only after it did."""
        return int(self._raw.how_done())

    @property
    def library(self) -> int:
        """Descriptor of the file of the library that ``start`` has loaded."""
        return int(self._game._dl.fileno())

    def close(self) -> None:
        """End the engine; ``start`` opens it again.

        Raises:
            InputError: The recording of the game is cut short, as by a full disk; it is removed.
        """
        game, self._game, self._raw = self._game, None, None
        if game is not None:
            self._finalizer()
            if self.recording is not None:
                self.recording.finish()

    def _open(self, character: str) -> None:
        """Load the engine."""
        options = self.settings.game_options
        files: dict[str, Any] = {"ttyrec": None}
        if self.recording is not None:
            files = {"ttyrec": str(self.recording.next_game()), "scoreprefix": self.recording.prefix}
        try:
            self._game = self._nle.Nethack(
                observation_keys=(),
                playername=f"Agent-{character}",
                options=None if options is None else list(options),
                fix_moon_phase=True,
                **files,
            )
        except OSError as error:
            advice = "; a game holds two files open: raise the limit (ulimit -n)" if error.errno == errno.EMFILE else ""
            raise InputError(f"NetHack cannot be opened: {error}{advice}") from error
        except ValueError as error:  # a C++ length_error
            raise InputError(f"NetHack cannot be opened: {error}; use fewer game_options") from error
        self._finalizer = weakref.finalize(self, self._game.close)
        self._raw = self._game._pynethack
        self._folder = Path(self._game._vardir)
        if len(os.fsencode(self._folder)) > LONGEST_PATH:
            self.close()
            raise InputError(f"the temporary folder '{str(self._folder)[:40]}...' is too long for NetHack: set TMPDIR")
        self._raw.set_buffers(**self.buffers)
        self._character = character

    def _sweep(self) -> None:
        """Remove what earlier games left in the engine's folder: high scores, levels, saved games."""
        for path in (*self._folder.iterdir(), *(self._folder / "save").iterdir()):
            if path.name not in _KEPT:
                path.unlink()
        for name in ("record", "logfile"):
            os.truncate(self._folder / name, 0)

    def _set_birthday(self, seconds: int) -> bool:
        """Write the time at which the game began; return whether the engine has such a time.

        The library is looked up without loading it, and let go at once: a handle that is held would keep the old game
        in memory through the next reset, and the next one would go on in it.
        """
        libc = _loader()
        handle = libc.dlopen(self._game.dlpath.encode(), os.RTLD_NOLOAD | os.RTLD_LAZY)
        if not handle:
            return False
        try:
            address = libc.dlsym(handle, b"ubirthday")
            if not address:
                return False
            ctypes.c_int64.from_address(address).value = seconds
            return True
        finally:
            libc.dlclose(handle)


@lru_cache(maxsize=1)
def _loader() -> ctypes.CDLL:
    """Return the C library, with the types of what it looks libraries up by."""
    libc = ctypes.CDLL(None)
    libc.dlopen.restype = libc.dlsym.restype = ctypes.c_void_p
    libc.dlopen.argtypes = (ctypes.c_char_p, ctypes.c_int)
    libc.dlsym.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
    libc.dlclose.argtypes = (ctypes.c_void_p,)
    return libc
