"""What a completion is held to: a task, and the tasks of a file, found by their ids."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

Kind = Literal["python", "number", "text"]
KINDS: tuple[Kind, ...] = ("python", "number", "text")


@dataclass(frozen=True)
class Task:
    """A task: what is asked, and how an answer is judged.

    Attributes:
        task_id: Its name.
        kind: ``python``: the prompt and a completion are a program, which is run and tested. ``number``: the
            completion ends with a number. ``text``: the completion is the answer.
        prompt: What is asked.
        entry_point: Of python: the function that the tests call.
        helpers: Of python: source of functions of the prompt that tests call, too.
        setup: Of python: source that runs after the program and before the tests.
        tests: Of python: source, which raises where a program is wrong.
        visible_tests: Of python: those of the tests that the prompt shows.
        answer: Of number and text: what is right.
        reference: A completion that is right, None where there is none.
    """

    task_id: str
    kind: Kind
    prompt: str
    entry_point: str = ""
    helpers: str = ""
    setup: str = ""
    tests: str = ""
    visible_tests: str = ""
    answer: str | None = None
    reference: str | None = None


@dataclass(frozen=True)
class TasksFile:
    """The tasks of a file.

    Attributes:
        path: The file.
        source: What its lines are: ``sandtable``, ``humaneval``, ``mbpp`` or ``gsm8k``.
        tasks: In the order of the file; no two have the same id.
    """

    path: Path
    source: str
    tasks: tuple[Task, ...]

    def __len__(self) -> int:
        return len(self.tasks)

    def __iter__(self) -> Iterator[Task]:
        return iter(self.tasks)

    def find(self, task_id: str) -> Task | None:
        """Return the task of that id, or None. ``MBPP/11`` is also found as ``11`` and as ``Mbpp/11``."""
        return self._by_id.get(task_id) or self._by_id.get(folded(task_id))

    def find_prompt(self, prompt: str) -> Task | None:
        """Return the one task that asks exactly this, or None."""
        return self._by_prompt.get(prompt)

    @cached_property
    def _by_id(self) -> dict[str, Task]:
        return {folded(task.task_id): task for task in self.tasks} | {task.task_id: task for task in self.tasks}

    @cached_property
    def _by_prompt(self) -> dict[str, Task | None]:
        found: dict[str, Task | None] = {}
        for task in self.tasks:
            found[task.prompt] = None if task.prompt in found else task
        return found


def folded(task_id: str) -> str:
    """Return an id in small letters, without the set's name before the number of a problem of MBPP."""
    return re.sub(r"^mbpp/(?=\d+$)", "", task_id.strip().lower())

