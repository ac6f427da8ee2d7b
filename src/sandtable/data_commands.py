"""The commands of ``sandtable data``: look into files, bring data in."""

from collections.abc import Callable
from pathlib import Path

import tyro

from sandtable.analysis.data_kinds import ReadingOptions
from sandtable.analysis.play.settings import GameSettings
from sandtable.import_command import import_recordings
from sandtable.output import Output, print_json

DEFAULT_OUTPUT = Output()
DataPath = tyro.conf.Positional[str]
AS_READ = ReadingOptions()


def check(path: DataPath, options: ReadingOptions = AS_READ, output: Output = DEFAULT_OUTPUT) -> int:
    """Read data and list what was mended or left out; what cannot be used is refused.

    Args:
        path: The file or folder. What kind of data it is, is told by its content.
        options: How ambiguous data is read.
        output: Where results go.
    """
    return examined(path, False, options, output)


def describe(path: DataPath, options: ReadingOptions = AS_READ, output: Output = DEFAULT_OUTPUT) -> int:
    """Say what is in data, after the same checks.

    Args:
        path: The file or folder. What kind of data it is, is told by its content.
        options: How ambiguous data is read.
        output: Where results go.
    """
    return examined(path, True, options, output)


def record(out: DataPath, settings: GameSettings, output: Output = DEFAULT_OUTPUT) -> int:
    """Play games and record them: screens, keys and scores, a folder a game. What is there is not played again.

    Args:
        out: The folder; the game of seed 3 goes to its folder 3.
        settings: Which games are played.
        output: Where results go.
    """
    from sandtable.analysis.play.prepared import prepare
    from sandtable.analysis.play.recording import record as record_games
    from sandtable.training.progress import bar

    prepared = prepare(settings)
    with bar("games") as progress:
        document = record_games(Path(out), prepared, settings, progress)
    if output.json:
        print_json(document)
    else:
        for game in document["lost"]:
            print(f"lost: seed {game['seed']}: {game['reason']}")
        count = document["games"]
        print(f"{count:,} game{'s' * (count != 1)}, {document['recorded']:,} recorded now: {document['folder']}")
    return 1 if document["lost"] else 0


def examined(path: str, describe: bool, options: ReadingOptions, output: Output) -> int:
    """Print what ``check`` or ``describe`` finds."""
    from sandtable.analysis.data_kinds import examine

    document = examine(path, describe, options)
    if output.json:
        print_json(document)
        return 0
    for key, value in document.items():
        print(f"{key}: {value}")
    return 0


DATA_COMMANDS: dict[str, Callable[..., int]] = {
    "check": check,
    "describe": describe,
    "import": import_recordings,
    "record": record,
}
