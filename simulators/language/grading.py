"""What is graded: completions are brought to their tasks, cut, and made into programs, of which each runs once.

``assemble`` makes a ``Grading`` of a file of completions and one of tasks. Its ``pieces`` are the distinct pairs of a
task and a text: ``judge_here`` gives the verdict of those that are no programs, the others are for the sandbox. A
piece's key depends on nothing but its task and its text, so verdicts can be kept by it.
"""

import ast
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

from sandtable.simulators.language.completions import CompletionsFile, Greedy, Prompt
from sandtable.simulators.language.foreign_completions import unknown_task
from sandtable.simulators.language.json_lines import is_unicode
from sandtable.simulators.language.number_answers import final_number, same_number
from sandtable.simulators.language.sandbox.grader import Job, Status
from sandtable.simulators.language.stop_rules import StopRule
from sandtable.simulators.language.tasks import Task, TasksFile
from sandtable.simulators.language.tasks_file import NO_PYTHON, parsed


@dataclass(frozen=True)
class Piece:
    """What gets one verdict: a task and a text, which for a task of kind python is the program.

    Attributes:
        key: SHA-256 of both.
        task: What the text is held to.
        text: Prompt and completion for python, else the completion; cut by the stop rule.
    """

    key: str
    task: Task
    text: str


@dataclass(frozen=True)
class Grading:
    """Completions and what they are held to.

    Attributes:
        file: The completions.
        tasks: The task of each prompt.
        keys: By prompt, the key of each completion's piece.
        greedy: By prompt, the key of the greedy completion's piece, None where there is none.
        pieces: The distinct pieces by key, in the order in which they first appear.
        cut: How many completions the stop rule made shorter.
        unused: Ids of the tasks that have no completions.
    """

    file: CompletionsFile
    tasks: tuple[Task, ...]
    keys: tuple[tuple[str, ...], ...]
    greedy: tuple[str | None, ...]
    pieces: Mapping[str, Piece]
    cut: int
    unused: tuple[str, ...]

    @property
    def distinct(self) -> int:
        """How many distinct pieces the completions are, the greedy ones left aside."""
        return len({key for keys in self.keys for key in keys})


def assemble(file: CompletionsFile, tasks: TasksFile, rule: StopRule) -> Grading:
    """Bring completions to their tasks, cut them, and find the distinct pieces.

    A prompt's task is the one that its ``task_id`` names, else the one with its ``prompt_id``, else the one that asks
    the same. Programs begin with the prompt from which the completions were drawn, which is the file's own.

    Raises:
        InputError: A prompt has no task among these.
    """
    pieces: dict[str, Piece] = {}
    found: list[Task] = []
    keys: list[tuple[str, ...]] = []
    greedy: list[str | None] = []
    cut = 0
    digests: dict[str, str] = {}
    for prompt in file:
        task = task_of(prompt, file, tasks)
        found.append(task)
        digest = digests.setdefault(task.task_id, _digest(json.dumps(asdict(task), sort_keys=True)))
        texts = [rule.cut(one) for one in prompt.completions]
        cut += sum(len(text) < len(whole) for text, whole in zip(texts, prompt.completions, strict=True))
        if prompt.greedy is not None:
            texts.append(rule.cut(prompt.greedy.completion))
        own = []
        for text in texts:
            whole = prompt.prompt + text if task.kind == "python" else text
            key = _digest(json.dumps([digest, whole]))
            own.append(key)
            if key not in pieces:
                pieces[key] = Piece(key, task, whole)
        keys.append(tuple(own[: len(prompt)]))
        greedy.append(own[-1] if prompt.greedy is not None else None)
    unused = tuple(task.task_id for task in tasks if task.task_id not in digests)
    return Grading(file, tuple(found), tuple(keys), tuple(greedy), pieces, cut, unused)


def task_of(prompt: Prompt, file: CompletionsFile, tasks: TasksFile) -> Task:
    """Return the task of a prompt; see ``assemble``.

    Raises:
        InputError: It has none among these.
    """
    if prompt.task_id is not None:
        task = tasks.find(prompt.task_id)
        if task is None:
            raise unknown_task(file.path, prompt.line, "task_id", prompt.task_id, tasks)
        return task
    task = tasks.find(prompt.prompt_id) or tasks.find_prompt(prompt.prompt)
    if task is None:
        raise unknown_task(file.path, prompt.line, "prompt_id", prompt.prompt_id, tasks)
    return task


def judge_here(piece: Piece) -> Status | None:
    """Return the verdict of a piece that needs no sandbox: nothing of it runs. None for a program.

    A number is right if it is equal to the answer as a fraction; a text, if it is equal but for spaces around it. A
    program that holds half of a surrogate pair is no text, so it is an ``error`` without being run.
    """
    answer = piece.task.answer or ""
    if piece.task.kind == "number":
        return "passed" if same_number(piece.text, answer) else "failed"
    if piece.task.kind == "text":
        return "passed" if piece.text.strip() == answer.strip() else "failed"
    return None if is_unicode(piece.text) else "error"


def job_of(piece: Piece, seed: int = 0) -> Job:
    """Return what the sandbox takes of a program."""
    task = piece.task
    return Job(
        piece.text, task.tests, task.entry_point, setup=task.setup, helpers=imports_of_setup(task) + task.helpers,
        names=names_in_tests(task), seed=seed,
    )  # fmt: skip


@lru_cache(maxsize=1024)
def names_in_tests(task: Task) -> tuple[str, ...]:
    """Return what tests speak of besides the entry point that setup or reference bind, such as a class of the solution.

    Nothing else that a program defines has a meaning in tests.
    """
    bound = _bound(task.setup) | _bound(task.reference or "")
    return tuple(sorted((_spoken(task.tests) & bound) - {task.entry_point}))


@lru_cache(maxsize=1024)
def imports_of_setup(task: Task) -> str:
    """Return the imports of a setup whose names tests or helpers speak of, as source, a line each; "" without any.

    The setup runs with the program, and a module cannot come from there; so the judge has its own.
    """
    spoken = (_spoken(task.tests) | _spoken(task.helpers)) - _bound(task.setup)
    lines = []
    for statement in parsed(task.setup).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            names = [one for one in statement.names if one.name == "*" or _name_of(one) in spoken]
            statement.names = names
            lines += [f"{ast.unparse(statement)}\n"] if names else []
    return "".join(lines)


def _name_of(imported: ast.alias) -> str:
    return imported.asname or imported.name.split(".")[0]


def _spoken(source: str) -> set[str]:
    return {one.id for one in ast.walk(parsed(source)) if isinstance(one, ast.Name)}


def _bound(source: str) -> set[str]:
    """Return the names that a source binds at its top; none where it is no Python, but the rest of a prompt."""
    try:
        body = parsed(source).body
    except NO_PYTHON:
        return set()
    names: set[str] = set()
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(statement.name)
        elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names |= {one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}
    return names


def answer_of(piece: Piece) -> str | None:
    """Return what a piece answers, in one form: a number as a fraction in lowest terms; None for programs."""
    if piece.task.kind == "number":
        number = final_number(piece.text)
        return None if number is None else str(number)
    return piece.text.strip() if piece.task.kind == "text" else None


def graded(grading: Grading, verdicts: Mapping[str, str]) -> list[Prompt]:
    """Return the prompts with what was found: verdicts, rewards of 1 (passed) and 0, and the answers of words.

    Rewards that a file had, where they are others, are kept as its field ``rewards_given``.

    Args:
        grading: What was graded.
        verdicts: Statuses by key, of every piece.
    """
    told = []
    for prompt, task, keys, greedy in zip(grading.file, grading.tasks, grading.keys, grading.greedy, strict=True):
        statuses = tuple(verdicts[key] for key in keys)
        rewards = tuple(1.0 if status == "passed" else 0.0 for status in statuses)
        fields: dict[str, Any] = {"verdicts": statuses, "rewards": rewards, "task_id": task.task_id}
        if task.kind != "python":
            fields["answers"] = tuple(answer_of(grading.pieces[key]) for key in keys)
        if prompt.greedy is not None and greedy is not None:
            fields["greedy"] = _with_verdict(prompt.greedy, verdicts[greedy])
        if prompt.rewards is not None and prompt.rewards != rewards:
            fields["others"] = {**prompt.others, "rewards_given": list(prompt.rewards)}
        told.append(replace(prompt, **fields))
    return told


def _with_verdict(greedy: Greedy, status: str) -> Greedy:
    return replace(greedy, verdict=status, reward=1.0 if status == "passed" else 0.0)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()
