"""What a user decides about grading. Light to import: the command line builds its help from it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class GradeSettings:
    r"""Settings of grading.

    Attributes:
        tasks: What the completions are held to: JSON Lines (also .gz) of sandtable.tasks/1, HumanEval, MBPP or GSM8K.
        stop: Where completions are cut: at the first of the stop strings of humaneval or mbpp, at a string of your own
            (\n is a line's end), or nowhere (none).
        cpu: Seconds of CPU time that a program may take; these decide.
        memory: MiB that a program may take.
        wall: Seconds after which a program is given up, whatever it does; only a guard.
        jobs: Programs that run side by side.
        packages: Installed packages that programs may import besides the standard library.
        out: File for the completions with their verdicts; by default one in the run's folder.
        seed: Of the module random within programs.
        allow_unsafe: Run programs even where this machine cannot confine them. They may do anything that you may.
    """

    tasks: Path
    stop: str = "none"
    cpu: float = 3.0
    memory: int = 512
    wall: float = 30.0
    jobs: int = 2
    packages: tuple[str, ...] = ()
    out: Path | None = None
    seed: int = 0
    allow_unsafe: bool = False
