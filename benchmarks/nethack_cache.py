"""Recorded NetHack games: from a cache to frames, batches, and the import, beside nle's own dataset and converter.

The games are real ones of the AutoAscend bot where they lie in the data folder, random play otherwise. Each call of
either side goes through all frames of the same games, each screen whole: characters and colours. The limit is the rate
at which memory could take the frames and give the changed cells that they are made of.
"""

import contextlib
import io
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sandtable.benchmarks.timing import memory_bandwidth, rates_in_turns, timing
from sandtable.simulators import compilation
from sandtable.simulators.data_folder import data_folder
from sandtable.simulators.nethack.cache import ARRAYS
from sandtable.simulators.nethack.cells import KEY_FRAME, rebuild
from sandtable.simulators.nethack.games import Games
from sandtable.simulators.nethack.import_games import import_games
from sandtable.simulators.nethack.screens import COLUMNS, ROWS

REAL, REAL_QUICK = ("1", "2", "4", "21"), ("2",)
"""Games of AutoAscend, 38,051 frames and 712."""
LENGTH = 80
"""Frames of a row of a batch."""
ROWS_OF_BATCH = 32
ASKED_OF_FRAMES, ASKED_OF_IMPORT = 15.0, 0.85
BUFFER = 16_384
"""Frames that are written before the memory is used again: 63 MB, beyond the caches."""
FRAME_BYTES = 2 * ROWS * COLUMNS


def benchmark(quick: bool = False) -> list[dict[str, Any]]:
    """Return the rows: frames with and without numba, whole batches, the import."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        what, sources = recordings(folder / "games", quick)
        import_games([sources], folder / "cache")
        games = Games.open(folder / "cache")
        frames = float(games.frames)
        stored = sum((games.folder / f"{one}.npy").stat().st_size for one in ARRAYS) / frames
        limit = memory_bandwidth(quick) / (FRAME_BYTES + stored)
        dataset = Dataset(sources, folder, len(games.ids))
        made = np.empty((2, min(BUFFER, games.frames + KEY_FRAME), ROWS, COLUMNS), np.uint8)
        case = f"{games.frames:,} frames of {what}, {stored:.0f} bytes each in the cache"
        rows = []
        for compiled, asked in ((True, 200_000), (False, 40_000)):
            if compiled and not compilation.AVAILABLE:
                continue
            rates = with_numba(compiled, lambda: all_frames(games, made), dataset.all_frames, frames, quick)
            title = f"{case}; to dense frames with {'numba' if compiled else 'numpy alone'} ({asked:,} asked)"
            target = ASKED_OF_FRAMES if compiled else None
            rows.append(timing("nethack-cache", title, "frames/s", rates, "nle TtyrecDataset", target, limit))
        count = max(1, games.frames // (ROWS_OF_BATCH * LENGTH))
        work = (float(count * ROWS_OF_BATCH * LENGTH), frames)
        rates = rates_in_turns(lambda: batches(games, count), dataset.all_frames, work, quick)
        title = f"{case}; batches of {ROWS_OF_BATCH} x {LENGTH}, new arrays (100,000 asked)"
        rows.append(timing("nethack-cache", title, "frames/s", rates, "nle TtyrecDataset", None, limit))
        work = (frames, frames)
        rates = rates_in_turns(lambda: imported(sources, folder / "again"), lambda: converted(sources), work, quick)
        title = f"{games.frames:,} frames of {what}; import"
        rows.append(timing("nethack-cache", title, "frames/s", rates, "nle Converter alone", ASKED_OF_IMPORT))
    return rows


def recordings(folder: Path, quick: bool) -> tuple[str, Path]:
    """Put recorded games into a folder, each in one of its own; return what they are, and the folder."""
    data = data_folder()
    if data is None or not (data / "nethack" / "autoascend").is_dir():
        return "random play", random_games(folder, 2 if quick else 16)
    for one in REAL_QUICK if quick else REAL:
        shutil.copytree(data / "nethack" / "autoascend" / one, folder / one)
    return "AutoAscend", folder


def random_games(folder: Path, games: int) -> Path:
    """Record games of random keys by nle itself; return the folder."""
    from nle.env.tasks import NetHackScore

    random = np.random.default_rng(0)
    for game in range(games):
        home = folder / str(game)
        home.mkdir(parents=True)
        kept = {"savedir": str(home), "save_ttyrec_every": 1, "observation_keys": ("blstats",)}
        env = NetHackScore(max_episode_steps=1000, **kept)
        env.reset()
        ended = False
        while not ended:
            _, _, terminated, truncated, _ = env.step(int(random.integers(env.action_space.n)))
            ended = terminated or truncated
        env.close()
    return folder


class Dataset:
    """nle's own dataset of the same games, as its users set it up."""

    def __init__(self, sources: Path, folder: Path, games: int) -> None:
        from nle import dataset

        database = str(folder / "ttyrecs.db")
        dataset.db.create(database)
        with contextlib.redirect_stdout(io.StringIO()):  # it tells what it does
            dataset.add_nledata_directory(str(sources), "games", database)
        rows = min(games, ROWS_OF_BATCH)
        self.batches = dataset.TtyrecDataset("games", rows, LENGTH, dbfilename=database, shuffle=False)

    def all_frames(self) -> int:
        """Go through all frames once; return how many there were."""
        return sum(int(np.count_nonzero(batch["gameids"])) for batch in self.batches)


Call = Callable[[], Any]


def with_numba(compiled: bool, ours: Call, theirs: Call, frames: float, quick: bool) -> tuple[float, float | None]:
    """Return the rates of both sides, ours with the compiled kernels or without."""
    before = compilation.AVAILABLE
    compilation.AVAILABLE = compiled
    try:
        return rates_in_turns(ours, theirs, (frames, frames), quick)
    finally:
        compilation.AVAILABLE = before


def all_frames(games: Games, made: np.ndarray) -> int:
    """Make all frames once, in memory that is used again when it is full; return how many there were."""
    arrays, at, total = games.arrays, 0, 0
    cells = arrays["position"], arrays["character"], arrays["colour"]
    for first, end in itertools.pairwise(arrays["game_offset"].tolist()):
        for start in range(first, end, KEY_FRAME):
            count = min(KEY_FRAME, end - start)
            at = 0 if at + count > made.shape[1] else at
            offsets = arrays["frame_offset"][start : start + count + 1]
            rebuild(offsets, cells, made[0, at : at + count], made[1, at : at + count])
            at, total = at + count, total + count
    return total


def batches(games: Games, count: int) -> None:
    """Make batches, each in arrays of its own."""
    for _ in itertools.islice(games.batches(0, ROWS_OF_BATCH, LENGTH), count):
        pass


def imported(sources: Path, cache: Path) -> None:
    """Import the games, in this process."""
    import_games([sources], cache)
    shutil.rmtree(cache)


def converted(sources: Path) -> int:
    """Decode the games by nle's converter and keep nothing; return how many frames there were."""
    return sum(frames for path in sources.rglob("*.ttyrec3.bz2") for frames in converted_blocks(path))


def converted_blocks(path: Path) -> Iterator[int]:
    """Yield the sizes of the blocks of a game."""
    from nle.dataset import Converter

    block = (
        np.empty((KEY_FRAME, ROWS, COLUMNS), np.uint8),
        np.empty((KEY_FRAME, ROWS, COLUMNS), np.int8),
        np.empty((KEY_FRAME, 2), np.int16),
        np.empty(KEY_FRAME, np.int64),
        np.empty(KEY_FRAME, np.uint8),
        np.empty(KEY_FRAME, np.int32),
    )
    converter, left = Converter(ROWS, COLUMNS, 3), 0
    converter.load_ttyrec(str(path))
    while not left:
        left = converter.convert(*block)
        yield KEY_FRAME - left
