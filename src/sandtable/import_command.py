"""The command ``sandtable data import``: recorded games become a cache of frames."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from sandtable.output import Output, print_json, say

if TYPE_CHECKING:
    from sandtable.simulators.nethack.import_games import Job

DEFAULT_OUTPUT = Output()
# one list, as argparse gives all paths before the first option to it, and none to an argument behind
Paths = Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE... OUT")]


def import_recordings(
    paths: Paths,
    workers: int = 2,
    unknown_keys: Literal["error", "mask"] = "error",
    output: Output = DEFAULT_OUTPUT,
) -> int:
    """Decode recorded NetHack games (ttyrec3, ttyrec4) into a folder from which training reads them quickly.

    It can be interrupted; the same command goes on where it stopped.

    Args:
        paths: Recordings, or folders of them at any depth; and last, the folder to be made.
        workers: How many processes decode.
        unknown_keys: What to do with a byte that is none of the keyboard's 118: refuse it, or mask it.
        output: Where results go.
    """
    from sandtable.simulators.errors import InputError
    from sandtable.simulators.nethack.import_games import import_games

    if workers < 1:
        raise InputError(f"--workers {workers}: at least 1 process must decode")
    if len(paths) < 2:
        raise InputError("SOURCE... OUT: name at least one recording or folder, and last the folder to be made")
    *sources, out = paths
    with _bar() as progress:
        manifest, warnings = import_games(sources, out, unknown_keys, _over_processes(workers), progress)
    games = manifest["games"]
    if output.json:
        figures = {"games": len(games), "complete": sum(game["complete"] for game in games)}
        print_json({"cache": str(out), **figures, "frames": manifest["frames"], "warnings": warnings})
        return 0
    for warning in warnings:
        print(f"sandtable: {warning}", file=sys.stderr)
    say(output, f"{len(games):,} game{'s' * (len(games) != 1)}, {manifest['frames']:,} frames: {out}")
    return 0


def _over_processes(workers: int) -> Callable[[Callable[["Job"], str | None], Iterable["Job"]], Iterator[str | None]]:
    """Return what spreads the decoding of games over processes: one that the decoder kills is told by its file."""
    from sandtable.analysis.executor import ProcessPool

    def spread(decode: Callable[["Job"], str | None], jobs: Iterable["Job"]) -> Iterator[str | None]:
        for outcome in ProcessPool(workers).map(decode, jobs):
            if outcome.error is None:
                yield outcome.value
            elif outcome.error.startswith("the process"):
                path = outcome.config.recording.path
                yield f"{path}: nle's converter broke down: {outcome.error}; leave the file out"
            else:
                yield outcome.error.strip().splitlines()[-1]

    return spread


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """Show a bar of games on a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, games: None
        return
    from sandtable.training.progress import bar

    with bar("games") as progress:
        yield lambda done, games: progress(done, games, {})
