"""Recorded games in a cache (see ``cache``), and batches of them for training."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from sandtable.simulators.arrays import Array
from sandtable.simulators.errors import InputError, require_name
from sandtable.simulators.nethack.cache import LAYER_QUITS, map_arrays, read_manifest, require_agreement
from sandtable.simulators.nethack.cells import KEY_FRAME, rebuild
from sandtable.simulators.nethack.keyboard import KEYS, UNKNOWN_KEY
from sandtable.simulators.nethack.screens import COLUMNS, ROWS
from sandtable.simulators.random import bits, fold_in, make_key

_FIRST = 1  # stream of the games with which rows begin; rows' own streams are children of stream 0


class Batch(NamedTuple):
    """What B rows played in T consecutive frames. The arrays are the caller's own.

    Attributes:
        chars: uint8 [B, T, 24, 80].
        colours: uint8 [B, T, 24, 80], in [0, 32): 16 more where the cell is shown in reverse.
        cursor: uint8 [B, T, 2], row and column.
        previous_key: The key before, uint8 [B, T], in [0, 118); 118 at a game's start, and where that key is unknown.
        key: The key that answers the frame, uint8 [B, T], in [0, 118); 255 where it is unknown.
        score: In the game, when the frame was shown, int32 [B, T]; 0 when the game is over.
        mask: bool [B, T], whether the key is to be imitated: it is known, and it does not only quit the game.
        episode_start: bool [B, T], whether the frame is its game's first.
        game: The game's place in the cache, int32 [B, T].
        frame: The frame's place in its game, int32 [B, T].
    """

    chars: np.ndarray
    colours: np.ndarray
    cursor: np.ndarray
    previous_key: np.ndarray
    key: np.ndarray
    score: np.ndarray
    mask: np.ndarray
    episode_start: np.ndarray
    game: np.ndarray
    frame: np.ndarray


@dataclass(frozen=True)
class Games:
    """Games of a cache, all of them or some.

    Attributes:
        folder: The cache.
        manifest: What ``manifest.json`` holds.
        chosen: Places in the cache of the games that count here, ascending.
    """

    folder: Path
    manifest: dict[str, Any]
    chosen: tuple[int, ...]

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Return all games of a cache; its arrays stay on the disk.

        Raises:
            InputError: The folder is no cache, or its arrays disagree with its manifest.
        """
        folder = Path(folder)
        manifest = read_manifest(folder)
        games = cls(folder, manifest, tuple(range(len(manifest["games"]))))
        require_agreement(folder, manifest, games.arrays)
        return games

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of the cache, of all its games, mapped into memory; see ``cache``."""
        return map_arrays(self.folder)

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: not the arrays, which another process maps for itself."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def ids(self) -> tuple[str, ...]:
        """The names of the games."""
        return tuple(self.manifest["games"][one]["id"] for one in self.chosen)

    @property
    def frames(self) -> int:
        """How many frames the games have together."""
        return int(self._lengths.sum())

    @cached_property
    def _lengths(self) -> np.ndarray:
        return np.diff(self.arrays["game_offset"])[list(self.chosen)]

    def select(self, ids: Iterable[str | int]) -> Self:
        """Return the games of these names.

        Raises:
            InputError: A name is not among them, or comes twice, or there is none.
        """
        wanted = [str(one) for one in ids]
        place = dict(zip(self.ids, self.chosen, strict=True))
        for one in wanted:
            require_name("game", one, place)
        if not wanted:
            raise InputError(f"{self.folder}: no game is named")
        if len(set(wanted)) < len(wanted):
            raise InputError(f"game {max(wanted, key=wanted.count)!r} is named twice")
        return type(self)(self.folder, self.manifest, tuple(sorted(place[one] for one in wanted)))

    def split(self, key: Array | int, fraction: float) -> tuple[Self, Self]:
        """Return two sets of games, drawn at random: a fraction of them, and the others.

        Args:
            key: Of the draw: a seed, or what ``make_key`` returns.
            fraction: Of the games in the first set, in (0, 1), rounded such that neither is empty.

        Raises:
            InputError: There are fewer than two games.
            ValueError: ``fraction`` is not in (0, 1).
        """
        if not 0 < fraction < 1:
            raise ValueError(f"fraction must lie between 0 and 1, not {fraction}")
        count = len(self.chosen)
        if count < 2:
            raise InputError(f"{self.folder}: {count} game cannot be split; import more")
        first = min(max(1, round(fraction * count)), count - 1)
        order = [self.chosen[one] for one in _shuffled(make_key(key), count)]
        return tuple(  # type: ignore[return-value]
            type(self)(self.folder, self.manifest, tuple(sorted(part))) for part in (order[:first], order[first:])
        )

    def key_sequences(self) -> list[np.ndarray]:
        """Return the keys of each game, uint8 [T], 255 where one is unknown."""
        offset = self.arrays["game_offset"]
        return [np.array(self.arrays["key"][offset[one] : offset[one + 1]]) for one in self.chosen]

    def screens(self, game: str | int, start: int = 0, stop: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return what frames of a game showed.

        Args:
            game: Its name.
            start: The first frame.
            stop: The frame after the last one; None: to the game's end.

        Returns:
            Characters and colours, each uint8 [T, 24, 80].

        Raises:
            InputError: There is no such game, or the cache is damaged.
            ValueError: The game has no such frames.
        """
        require_name("game", str(game), self.ids)
        place = self.chosen[self.ids.index(str(game))]
        first, end = self.arrays["game_offset"][place : place + 2].tolist()
        stop = end - first if stop is None else stop
        if not 0 <= start <= stop <= end - first:
            raise ValueError(f"frames {start} to {stop} of game {game}: it has {end - first}")
        planes = np.empty((2, stop - start, ROWS, COLUMNS), np.uint8)
        if stop > start:
            self._rebuild(first, start, planes[0], planes[1])
        return planes[0], planes[1]

    def _rebuild(self, first: int, start: int, chars: np.ndarray, colours: np.ndarray) -> None:
        """Write the screens of a game that begins at ``first`` in the cache, from its frame ``start`` on."""
        from_key_frame = start // KEY_FRAME * KEY_FRAME
        offsets = self.arrays["frame_offset"][first + from_key_frame : first + start + len(chars) + 1]
        try:
            rebuild(offsets, (self.arrays["position"], self.arrays["character"], self.arrays["colour"]), chars, colours)
        except InputError as error:
            raise InputError(f"{self.folder}: {error}") from None

    def batches(self, key: Array | int, rows: int, length: int, start: int = 0) -> Iterator[Batch]:
        """Yield batches without end. Batch t depends on (key, t) alone, so training goes on at any ``start``.

        A row plays whole games, one after the other, each once before any comes again, in an order of its own. Rows
        begin with different games as long as there are enough. A row does not depend on how many there are.

        Args:
            key: Of the order of the games: a seed, or what ``make_key`` returns.
            rows: B, at least 1.
            length: T, at least 1.
            start: The first batch.

        Raises:
            ValueError: A number is out of its range.
        """
        for name, number, least in (("rows", rows, 1), ("length", length, 1), ("start", start, 0)):
            if number < least:
                raise ValueError(f"{name} must be at least {least}, not {number}")
        return self._batches(make_key(key), rows, length, start)

    def _batches(self, key: Array, rows: int, length: int, start: int) -> Iterator[Batch]:
        orders = [_Order(key, row, self._lengths) for row in range(rows)]
        while True:
            yield self._batch([order.stretches(start * length, length) for order in orders], length)
            start += 1

    def _batch(self, rows: list[list[tuple[int, int, int]]], length: int) -> Batch:
        """Return a batch of stretches of games, each (place among the chosen, first frame, frames)."""
        shape = (len(rows), length)
        chars, colours = (np.empty((*shape, ROWS, COLUMNS), np.uint8) for _ in range(2))
        game, frame = np.empty(shape, np.int32), np.empty(shape, np.int32)
        index = np.empty(shape, np.int64)
        offset = self.arrays["game_offset"]
        for row, stretches in enumerate(rows):
            at = 0
            for one, begin, count in stretches:
                place, part = self.chosen[one], slice(at, at + count)
                first = int(offset[place])
                self._rebuild(first, begin, chars[row, part], colours[row, part])
                game[row, part] = place
                frame[row, part] = np.arange(begin, begin + count)
                index[row, part] = np.arange(first + begin, first + begin + count)
                at += count
        episode_start = frame == 0
        key, previous = self.arrays["key"][index], self.arrays["key"][index - 1]
        previous[episode_start | (previous == UNKNOWN_KEY)] = KEYS
        mask = (key != UNKNOWN_KEY) & (self.arrays["sent"][index] != LAYER_QUITS)
        cursor, score = self.arrays["cursor"][index], self.arrays["score"][index]
        return Batch(chars, colours, cursor, previous, key, score, mask, episode_start, game, frame)


class _Order:
    """The games that a row plays, one after the other."""

    def __init__(self, key: Array, row: int, lengths: np.ndarray) -> None:
        self.key, self.row, self.lengths = key, row, lengths
        self.total = int(lengths.sum())
        self.epoch = -1
        self.order, self.ends = np.zeros(0, np.int64), np.zeros(0, np.int64)

    def stretches(self, position: int, length: int) -> list[tuple[int, int, int]]:
        """Return what the row plays in ``length`` frames: (game, first frame, frames)."""
        found = []
        while length > 0:
            epoch, within = divmod(position, self.total)
            if epoch != self.epoch:
                self._begin(epoch)
            turn = int(np.searchsorted(self.ends, within, side="right"))
            game = int(self.order[turn])
            left = int(self.ends[turn]) - within
            count = min(left, length)
            found.append((game, int(self.lengths[game]) - left, count))
            position, length = position + count, length - count
        return found

    def _begin(self, epoch: int) -> None:
        """Draw the order in which all games are played for the ``epoch``-th time."""
        games = len(self.lengths)
        order = _shuffled(fold_in(fold_in(fold_in(self.key, 0), self.row), epoch), games)
        if epoch == 0:
            group, place = divmod(self.row, games)
            first = _shuffled(fold_in(fold_in(self.key, _FIRST), group), games)[place]
            order = np.concatenate([[first], order[order != first]])
        self.epoch, self.order, self.ends = epoch, order, np.cumsum(self.lengths[order])


def _shuffled(key: Array, count: int) -> np.ndarray:
    """Return 0 .. count - 1 in a random order, int64 [count]."""
    return np.argsort(bits(np.asarray(key), np.arange(count)), kind="stable")
