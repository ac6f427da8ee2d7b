"""The files of recorded games: where they go, and whether they are whole."""

import os
from pathlib import Path

from sandtable.simulators.errors import InputError

_END_OF_STREAM = 0x177245385090  # the last mark of a bzip2 stream, before 32 bits of checksum; bits, not bytes


class Recording:
    """A folder of games that ``nle.dataset`` indexes when it is one of several in a folder.

    The games of one environment are ``nle.<n>.<game>.ttyrec3.bz2`` and their list is ``nle.<n>.xlogfile``, with the
    first free n: environments may share a folder, and a folder may be used again.

    Args:
        folder: Made if it is not there.
        longest: Bytes that the engine can take of a path.

    Raises:
        InputError: The path is too long, or nothing can be written there.
    """

    def __init__(self, folder: str | os.PathLike[str], longest: int) -> None:
        self.folder = Path(folder).absolute()
        length = len(os.fsencode(self.folder))
        if length > longest:
            raise InputError(f"record '{self.folder.name[:40]}...': a path of {length} bytes; NetHack takes {longest}")
        self._number = self._games = 0

    @property
    def prefix(self) -> str:
        """What the names of this recording's files begin with."""
        return str(self.folder / f"nle.{self._number}.")

    @property
    def game(self) -> Path:
        """The file of the present game."""
        return Path(f"{self.prefix}{self._games - 1}.ttyrec3.bz2")

    @property
    def _lists(self) -> tuple[Path, Path]:
        """NetHack's other lists of games, high scores and a shorter xlogfile; it says on the screen which it misses.

        They are there while a game is played, and empty at its start, so that no earlier game is in them.
        """
        return Path(f"{self.prefix}record"), Path(f"{self.prefix}logfile")

    def next_game(self) -> Path:
        """Return the file of the next game."""
        if self._number == 0:
            self._take_number()
        self._games += 1
        for file in self._lists:
            file.touch()
        return self.game

    def finish(self) -> None:
        """Look whether the present game's file is whole.

        Raises:
            InputError: It is cut short; it is removed.
        """
        for file in self._lists:
            file.unlink(missing_ok=True)
        if not ends_as_bzip2(self.game):
            self.game.unlink(missing_ok=True)
            raise InputError(f"the recording {self.game} was cut short and removed: is the disk full?")

    def _take_number(self) -> None:
        """Take the first number that no other environment has, by making the file of it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            while True:
                self._number += 1
                try:
                    os.close(os.open(f"{self.prefix}xlogfile", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
                    return
                except FileExistsError:
                    continue
        except (OSError, ValueError) as error:
            self._number = 0
            reason = error.strerror if isinstance(error, OSError) else error
            raise InputError(f"record {str(self.folder)!r} cannot be written to: {reason}") from error


def ends_as_bzip2(path: Path) -> bool:
    """Return whether a file has the end of a bzip2 stream, which a file cut short lacks."""
    if not path.is_file() or path.stat().st_size < 14:
        return False
    with path.open("rb") as file:
        file.seek(-11, os.SEEK_END)
        tail = int.from_bytes(file.read(), "big")
    return any((tail >> (32 + pad)) & (2**48 - 1) == _END_OF_STREAM for pad in range(8))
