"""Completions as others publish them: rows of ``{task_id, completion}``, CodeT's samples, GSM8K's model solutions."""

from collections.abc import Sequence
from pathlib import Path

from sandtable.simulators.errors import InputError
from sandtable.simulators.language.completions import Prompt
from sandtable.simulators.language.json_lines import JsonLine, as_text, shown
from sandtable.simulators.language.tasks import TasksFile
from sandtable.simulators.language.tasks_file import read_tasks

CODET_PROMPTS = "HumanEval_for_code_generation.jsonl"


def read_rows(lines: Sequence[JsonLine], tasks: TasksFile | None) -> list[Prompt]:
    """Return the prompts of rows ``{task_id, completion}``, in the order in which their tasks first appear.

    Args:
        lines: The rows; a prompt's completions need not stand together.
        tasks: Where the prompts are; without it the prompts are "".

    Raises:
        InputError: A row lacks a field, or names an unknown task.
    """
    drawn: dict[str, list[str]] = {}
    first: dict[str, int] = {}
    for line in lines:
        number = line.fields.get("task_id")
        task_id = str(number) if isinstance(number, int) and not isinstance(number, bool) else line.name("task_id")
        drawn.setdefault(task_id, []).append(line.text("completion"))
        first.setdefault(task_id, line.number)
    prompts = []
    for task_id, completions in drawn.items():
        task = tasks.find(task_id) if tasks is not None else None
        if tasks is not None and task is None:
            raise unknown_task(lines[0].path, first[task_id], "task_id", task_id, tasks)
        prompt, name = ("", task_id) if task is None else (task.prompt, task.task_id)
        prompts.append(Prompt(name, prompt, tuple(completions), task_id=name, line=first[task_id]))
    return prompts


def unknown_task(path: Path, line: int, field: str, task_id: str, tasks: TasksFile) -> InputError:
    """Return the error that says that a task is not in the file of tasks."""
    return InputError(
        f"{path}, line {line}, field {field}: there is no task {shown(task_id)} in {tasks.path}, which has "
        f"{tasks.tasks[0].task_id} to {tasks.tasks[-1].task_id}; name the file that the completions are of"
    )


def read_codet(lines: Sequence[JsonLine]) -> list[Prompt]:
    """Return CodeT's samples (arXiv 2207.10397): ``{prompt, samples}``, in an order of their own.

    Their prompts are HumanEval's without its examples; which is which is told by a file that lies beside.

    Raises:
        InputError: That file is not there, or it lacks a prompt.
    """
    path = lines[0].path
    beside = path.parent / CODET_PROMPTS
    if not beside.is_file():
        raise InputError(f"{path}: {CODET_PROMPTS}, which tells the tasks of these prompts, must lie beside it")
    tasks = read_tasks(beside)
    prompts: list[Prompt] = []
    seen: dict[str, int] = {}
    for line in lines:
        prompt = line.text("prompt")
        task = tasks.find_prompt(prompt)
        if task is None:
            line.fail("prompt", f"{beside} has no such prompt")
        if task.task_id in seen:
            line.fail("prompt", f"it is also on line {seen[task.task_id]}")
        seen[task.task_id] = line.number
        completions = _strings(line, "samples")
        prompts.append(Prompt(task.task_id, prompt, completions, task_id=task.task_id, line=line.number))
    return prompts


def read_model_solutions(lines: Sequence[JsonLine]) -> list[Prompt]:
    """Return GSM8K's ``example_model_solutions.jsonl``: one solution of each of several models to each question.

    The completions are in the order of the models, which ``others["models"]`` names; ``rewards`` is ``is_correct``.
    """
    prompts = []
    for number, line in enumerate(lines):
        models = [name for name, value in line.fields.items() if isinstance(value, dict)]
        if not models:
            line.fail("question", "the line holds no solution of a model")
        solutions, rewards = [], []
        for model in models:
            solution, correct = line.fields[model].get("solution"), line.fields[model].get("is_correct")
            solutions.append(as_text(line, f"{model}.solution", solution))
            if correct is not None and not isinstance(correct, bool):
                line.fail(f"{model}.is_correct", f"it must be true, false or null, not {shown(correct)}")
            rewards.append(None if correct is None else float(correct))
        prompts.append(
            Prompt(
                f"GSM8K/test/{number}", line.text("question"), tuple(solutions), rewards=tuple(rewards),
                others={"models": models}, line=line.number,
            )
        )  # fmt: skip
    return prompts


def _strings(line: JsonLine, name: str) -> tuple[str, ...]:
    """Return a list of at least one string."""
    values = line.rows(name, None, as_text)
    if not values or None in values:
        line.fail(name, "it must be a list of strings")
    return tuple(one for one in values if one is not None)
