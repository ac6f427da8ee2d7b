"""Games as a run of the store: what the command line calls."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sandtable.analysis.play.document import answer, document, games_csv
from sandtable.analysis.play.games import GameRow
from sandtable.analysis.play.play_report import play_report
from sandtable.analysis.play.prepared import Prepared
from sandtable.analysis.play.process import Job
from sandtable.analysis.play.settings import PlaySettings
from sandtable.analysis.play.workers import played
from sandtable.analysis.provenance import Recorder
from sandtable.analysis.report import render
from sandtable.analysis.store import Run, from_plain, to_plain, write_atomically
from sandtable.simulators.errors import InputError

REPORT, RESULTS, TABLE, PLAYED = "report.html", "results.json", "games.csv", "games.jsonl"
VERSION = 1
"""Enters the names of the runs: raise it when the games of the same settings come out differently."""


def check_settings(settings: PlaySettings) -> None:
    """Raise an ``InputError`` that names the first option that cannot be used."""
    if not 0 < settings.alpha < 1:
        raise InputError(f"--alpha: {settings.alpha:g} is not between 0 and 1")
    if settings.envs < 1:
        raise InputError(f"--envs: {settings.envs} is less than 1")


def identity(prepared: Prepared, settings: PlaySettings) -> dict[str, Any]:
    """Return what names a run: which games are played, but neither how they are spread nor how they are judged."""
    return {**prepared.identity(), "seed": settings.seed, "games": settings.games}


def run_play(
    run: Run,
    prepared: Prepared,
    settings: PlaySettings,
    progress: Callable[[int, int, dict[str, Any]], None] = lambda done, games, row: None,
) -> dict[str, Any]:
    """Play what is missing of the games, and write table, results and report into the run's folder.

    Every game is kept when it ends, so that a run that was killed goes on with the others.

    Args:
        run: Whose folder takes the files; it has been opened.
        prepared: The environment and the policy.
        settings: What the user decided.
        progress: Told how many games have ended, of how many.

    Returns:
        ``alpha``; ``document``: what ``sandtable play --json`` prints, with file names for paths; and ``answer``, a
        sentence.
    """
    recorder = Recorder()
    kept = PlayedGames(run.folder / PLAYED)
    seeds = [seed for seed in range(settings.seed, settings.seed + settings.games) if seed not in kept.rows]
    if seeds:
        kept.mend()
        progress(len(kept.rows), settings.games, {})
        job = Job(prepared.choice, prepared.policy, prepared.options)
        seats = settings.envs if prepared.batched else settings.workers  # turns among games empty the caches
        for row in played(job, seeds, seats, settings.workers):
            kept.append(row)
            progress(len(kept.rows), settings.games, {})
    rows = [kept.rows[seed] for seed in sorted(kept.rows)]
    told = document(settings, prepared, rows, TABLE, REPORT)
    said = answer(told, settings.alpha)
    run.write_text(TABLE, games_csv(rows))
    run.write_json(RESULTS, told)
    provenance = {"settings": asdict(settings), **recorder.finished()}
    run.write_text(REPORT, render(play_report(rows, told, said, settings.alpha, provenance)))
    return {"alpha": settings.alpha, "document": told, "answer": said}


class PlayedGames:
    """The games that have ended, by seed, and the file that keeps them: a line of JSON a game.

    Args:
        path: The file. A last line that was torn when the run was killed is left out, so that game is played again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[int, GameRow] = {}
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        for line in lines:
            try:
                row = GameRow(**from_plain(json.loads(line)))
            except (ValueError, TypeError):
                continue
            self.rows[row.seed] = row

    def mend(self) -> None:
        """Write the file anew, so that further lines do not follow a torn one."""
        write_atomically(self.path, "".join(_line(row) for row in self.rows.values()))

    def append(self, row: GameRow) -> None:
        """Keep a game."""
        line = _line(row).encode()
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            while line:
                line = line[os.write(file, line) :]
        finally:
            os.close(file)
        self.rows[row.seed] = row


def _line(row: GameRow) -> str:
    return json.dumps(to_plain(row), allow_nan=False) + "\n"
