"""Tasks to be answered in text, by split, and the sandbox in which completions of them are graded."""

import string
import weakref
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from sandtable.simulators.errors import InputError, require_name
from sandtable.simulators.language.completions import SPLITS, Prompt
from sandtable.simulators.language.grading import Piece, job_of, judge_here
from sandtable.simulators.language.list_functions import list_functions
from sandtable.simulators.language.sandbox.grader import Sandbox
from sandtable.simulators.language.splits import assign_splits
from sandtable.simulators.language.stop_rules import stop_rule
from sandtable.simulators.language.tasks import Task
from sandtable.simulators.language.tasks_file import read_tasks
from sandtable.simulators.random import fold_in, integers

_STOPS = {"lists": "mbpp", "humaneval": "humaneval", "mbpp": "mbpp"}
_TASK = 0x7461736B  # the stream of the tasks, of an episode's key


class TextTasks:
    """The tasks of a split, and the sandbox in which completions of them are graded.

    Args:
        source: ``"lists"``, generated tasks (``list_functions``), or a file of tasks as ``read_tasks`` takes it.
        split: ``"train"``, ``"validation"`` or ``"test"``: 60/20/20 by a hash of ``data_seed`` and the task's id.
        stop: Where a completion ends: a rule or string of ``stop_rule``; ``"auto"``: that of the source.
        cpu: CPU-seconds that a program may use.
        jobs: Programs that run at a time.
        max_length: Of prompts and completions, in characters.
        tasks: How many are generated.
        vague: Share of vague clauses of those.
        data_seed: Of those, and of the splits.

    Attributes:
        tasks: Of the split.
        max_length: As above.
        characters: Printable ASCII, and what else occurs in a prompt. A completion with others is graded, too.

    Raises:
        InputError: The file or an argument cannot be used, no task is in the split, or this machine cannot confine
            programs.
    """

    def __init__(
        self,
        source: str = "lists",
        split: str = "train",
        stop: str = "auto",
        cpu: float = 3.0,
        jobs: int = 2,
        max_length: int = 65536,
        tasks: int = 1000,
        vague: float = 0.6,
        data_seed: int = 0,
    ) -> None:
        require_name("split", split, SPLITS)
        every, kind = _tasks(source, tasks, vague, data_seed)
        prompts = [Prompt(task.task_id, task.prompt, (), line=line) for line, task in enumerate(every, 1)]
        splits = assign_splits(prompts, data_seed, source)
        self.tasks = tuple(task for task, own in zip(every, splits, strict=True) if own == split)
        if not self.tasks:
            raise InputError(f"source {source}: none of {len(every)} tasks is in the {split} split")
        longest = max(self.tasks, key=lambda task: len(task.prompt))
        if len(longest.prompt) > max_length:
            length = len(longest.prompt)
            raise InputError(f"max_length = {max_length}: the prompt of {longest.task_id} has {length} characters")
        self.rule = stop_rule(_STOPS.get(kind, "none") if stop == "auto" else stop)
        self.max_length = max_length
        self.characters = "".join(sorted(set(string.printable).union(*(task.prompt for task in self.tasks))))
        self._places = {task.task_id: place for place, task in enumerate(self.tasks)}
        self._cpu, self._jobs = cpu, jobs
        self._sandbox: Sandbox | None = None
        if any(task.kind == "python" for task in self.tasks):
            Sandbox(cpu=cpu, jobs=jobs)  # refuses where this machine cannot confine programs

    def drawn(self, key: np.ndarray, episode: np.ndarray, task_id: Any = None) -> np.ndarray:
        """Return the places of the tasks of rows' episodes, int64 [rows]; where ids are named, theirs.

        Raises:
            InputError: There is no task of that id in the split.
        """
        if task_id is None:
            return np.asarray(integers(fold_in(fold_in(key, episode), _TASK), 0, len(self.tasks)))
        named = [task_id] * len(key) if isinstance(task_id, str) else list(task_id)
        unknown = [one for one in named if one not in self._places]
        if unknown or len(named) != len(key):
            told = f"{unknown[0]!r}: the split has no such task" if unknown else f"{len(named)} for {len(key)} rows"
            raise InputError(f"task_id {told}")
        return np.array([self._places[one] for one in named])

    def statuses(self, places: Sequence[int] | np.ndarray, completions: Sequence[str]) -> list[str]:
        """Return the sandbox's word on completions of tasks, such as ``passed``; the same program runs once.

        Raises:
            ValueError: A completion is no text, or longer than ``max_length``.
        """
        pieces = []
        for place, completion in zip(places, completions, strict=True):
            if not isinstance(completion, str) or len(completion) > self.max_length:
                kind = f"{len(completion)} characters" if isinstance(completion, str) else type(completion).__name__
                raise ValueError(f"action must be a text of at most {self.max_length} characters, not {kind}")
            task = self.tasks[place]
            text = self.rule.cut(str(completion))
            pieces.append(Piece("", task, task.prompt + text if task.kind == "python" else text))
        told: dict[tuple[str, str], str | None] = {(one.task.task_id, one.text): judge_here(one) for one in pieces}
        programs = {(one.task.task_id, one.text): one for one in pieces}
        programs = {key: one for key, one in programs.items() if told[key] is None}
        if programs:
            verdicts = self._opened().grade(job_of(one) for one in programs.values())
            told |= {key: verdict.status for key, verdict in zip(programs, verdicts, strict=True)}
        return [str(told[one.task.task_id, one.text]) for one in pieces]

    def _opened(self) -> Sandbox:
        """Return the sandbox, open: it starts with the first program, and ends with this object if nobody closes it."""
        if self._sandbox is None:
            self._sandbox = Sandbox(cpu=self._cpu, jobs=self._jobs)
            weakref.finalize(self, self._sandbox.close)
        return self._sandbox.__enter__()  # starts its server, and another where that has ended

    def close(self) -> None:
        """End the sandbox."""
        if self._sandbox is not None:
            self._sandbox.close()
        self._sandbox = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave the sandbox behind when pickled."""
        return {**self.__dict__, "_sandbox": None}


def _tasks(source: str, tasks: int, vague: float, seed: int) -> tuple[tuple[Task, ...], str]:
    """Return the tasks of a source, and what kind of source it is."""
    if source == "lists":
        return _generated(tasks, vague, seed), source
    found = read_tasks(source)
    return found.tasks, found.source


_generated = lru_cache(maxsize=4)(list_functions)  # the environments of a process share them
