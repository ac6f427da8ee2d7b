"""Grading as a run of the store: what the command line calls."""

import hashlib
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sandtable.analysis.language.grade_document import answer, document
from sandtable.analysis.language.grade_report import grade_report
from sandtable.analysis.language.results import GradeCost, Graded
from sandtable.analysis.language.settings import GradeSettings
from sandtable.analysis.language.verdict_log import KeptVerdict, read_verdicts, verdict_log
from sandtable.analysis.provenance import Recorder
from sandtable.analysis.report import render
from sandtable.analysis.store import Run
from sandtable.simulators.csv_file import require_file
from sandtable.simulators.errors import InputError
from sandtable.simulators.language.completions_file import read_completions, write_completions
from sandtable.simulators.language.foreign_completions import CODET_PROMPTS
from sandtable.simulators.language.grading import Grading, Piece, assemble, graded, job_of, judge_here
from sandtable.simulators.language.processor_time import processor_seconds
from sandtable.simulators.language.sandbox.grader import Sandbox
from sandtable.simulators.language.stop_rules import stop_rule
from sandtable.simulators.language.tasks_file import read_tasks

GRADED, REPORT, VERDICTS, RESULTS = "graded.jsonl", "report.html", "verdicts.jsonl", "results.json"
VERSION = 1
"""Enters the names of the runs: raise it when what is computed of the same files changes."""

Progress = Callable[[int, int], None]
"""Called with how many verdicts there are, and how many there will be."""


def identity(path: str, settings: GradeSettings) -> dict[str, Any]:
    """Return what names a run: the files' contents, and the settings that a verdict can depend on.

    How many programs run side by side, and where the outcome goes, is none of these.

    Raises:
        InputError: A setting or a file cannot be used.
    """
    check_settings(path, settings)
    files = {"completions": Path(path), "tasks": settings.tasks}
    beside = Path(path).parent / CODET_PROMPTS
    if beside.is_file():
        files["prompts"] = beside
    named = {name: value for name, value in asdict(settings).items() if name not in ("jobs", "out", "tasks")}
    return {
        **named,
        "packages": sorted(settings.packages),
        "files": {name: _digest(file) for name, file in files.items()},
        "completions": Path(path).name,
        "tasks": settings.tasks.name,
        "python": platform.python_version(),
    }


def check_settings(path: str, settings: GradeSettings) -> None:
    """Raise an ``InputError`` that names the first option that cannot be used."""
    require_file(Path(path), "a JSON Lines file of completions")
    require_file(settings.tasks, "a JSON Lines file of tasks")
    if not 0 < settings.cpu <= 3600:
        raise InputError(f"--cpu: {settings.cpu:g} is not between 0 and 3600 seconds")
    if settings.wall < settings.cpu:
        raise InputError(f"--wall: {settings.wall:g} seconds are less than the {settings.cpu:g} of --cpu")
    if not settings.wall <= 86_400:
        raise InputError(f"--wall: {settings.wall:g} is more than a day")
    if settings.jobs < 1:
        raise InputError(f"--jobs: {settings.jobs} is less than 1")
    stop_rule(settings.stop)
    if settings.out is not None:
        if settings.out.is_dir():
            raise InputError(f"--out {settings.out}: this is a folder; name a file")
        for file in (Path(path), settings.tasks):
            if settings.out.exists() and settings.out.samefile(file):
                raise InputError(f"--out {settings.out}: this is a file that is read; name another one")


def load(path: str, settings: GradeSettings) -> Grading:
    """Read both files and bring them together.

    Raises:
        InputError: What is wrong in them, with line and field.
    """
    tasks = read_tasks(settings.tasks)
    return assemble(read_completions(path, tasks), tasks, stop_rule(settings.stop))


def run_grade(
    run: Run,
    grading: Grading,
    settings: GradeSettings,
    begin: Callable[[], None] = lambda: None,
    progress: Progress = lambda done, total: None,
) -> dict[str, Any]:
    """Grade completions and write verdicts, report and results into the run's folder.

    Verdicts are kept as they come: where the folder holds some of an attempt that was interrupted, these are not sought
    again. A machine that cannot confine programs is told before anything runs or is written.

    Args:
        run: Whose folder takes the files.
        grading: What is graded.
        settings: What the user decided.
        begin: Called when it is known that programs can be confined, before anything is written.
        progress: Told how many verdicts there are.

    Returns:
        ``document``: what ``sandtable grade --json`` prints, with file names for the paths, and ``answer``, a sentence.
    """
    recorder = Recorder()
    kept = read_verdicts(run.folder / VERDICTS)
    kept = {key: kept[key] for key in grading.pieces if key in kept}
    missing = [piece for key, piece in grading.pieces.items() if key not in kept]
    with _sandbox(grading, settings) as sandbox, _cost() as spent:
        begin()
        with verdict_log(run.folder / VERDICTS) as log:
            progress(len(kept), len(grading.pieces))
            for verdict in _verdicts(missing, sandbox, settings):
                log.add(verdict)
                kept[verdict.key] = verdict
                progress(len(kept), len(grading.pieces))
        description = {} if sandbox is None else dict(sandbox.description)
        if sandbox is not None:
            sandbox.close()  # the server's time is known when it has ended
        cost = GradeCost(len(missing), *spent())
    prompts = graded(grading, {key: one.status for key, one in kept.items()})
    found = Graded(grading, tuple(prompts), kept, settings, description, cost)
    write_completions(run.folder / GRADED, prompts)
    told = document(found, GRADED, REPORT)
    provenance = {
        "completions": grading.file.path.name, "tasks": settings.tasks.name, "settings": _shown(settings),
        **recorder.finished(),
    }  # fmt: skip
    run.write_json(RESULTS, told)
    run.write_text(REPORT, render(grade_report(found, told, provenance)))
    return {"document": told, "answer": answer(found, told)}


def write_out(run: Run, settings: GradeSettings) -> Path:
    """Return where the graded completions are; where the user named a file, they are copied to it."""
    if settings.out is None:
        return run.folder / GRADED
    write_completions(settings.out, read_completions(run.folder / GRADED))
    return settings.out


@contextmanager
def _sandbox(grading: Grading, settings: GradeSettings) -> Iterator[Sandbox | None]:
    """Yield a sandbox, ready, where there are programs; else None."""
    if all(judge_here(piece) is not None for piece in grading.pieces.values()):
        yield None
        return
    with Sandbox(
        cpu=settings.cpu, memory=settings.memory, wall=settings.wall, jobs=settings.jobs, packages=settings.packages,
        allow_unsafe=settings.allow_unsafe,
    ) as sandbox:  # fmt: skip
        yield sandbox


def _verdicts(pieces: list[Piece], sandbox: Sandbox | None, settings: GradeSettings) -> Iterator[KeptVerdict]:
    """Yield the verdict of each piece: first of those that need no sandbox."""
    programs = []
    for piece in pieces:
        status = judge_here(piece)
        if status is None:
            programs.append(piece)
        else:
            yield KeptVerdict(piece.key, status)
    if not programs:
        return
    assert sandbox is not None
    verdicts = sandbox.grade(job_of(piece, settings.seed) for piece in programs)
    for piece, verdict in zip(programs, verdicts, strict=True):
        yield KeptVerdict(piece.key, verdict.status, round(verdict.cpu_seconds, 6), round(verdict.wall_seconds, 6))


@contextmanager
def _cost() -> Iterator[Callable[[], tuple[float, float]]]:
    """Yield what returns seconds since then: of CPU time, this process's and its ended children's, and of the clock."""
    cpu, wall = processor_seconds(), time.perf_counter()
    yield lambda: (processor_seconds() - cpu, time.perf_counter() - wall)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shown(settings: GradeSettings) -> dict[str, Any]:
    """Return the settings without the folders of this machine."""
    return asdict(settings) | {
        "tasks": settings.tasks.name, "out": None if settings.out is None else settings.out.name
    }  # fmt: skip
