"""What should be known before the numbers of a grading are believed."""

import ast
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from sandtable.analysis.language.results import Graded
from sandtable.simulators.language.tasks_file import parsed

_RUN_CODE = {"eval", "exec", "pickle", "marshal", "shelve"}


class GradeWarning(NamedTuple):
    """A finding: a code to look for, and a sentence."""

    code: str
    message: str


def warnings_of(found: Graded) -> list[GradeWarning]:
    """Return what was found in the files and verdicts, the gravest first."""
    told = [
        _unsafe(found), _forgeable(found), _judge_errors(found), _disagreements(found), _other_prompts(found),
        _few_completions(found), _one_group(found), _missing_tasks(found), _walls(found), _near_limit(found),
        _duplicates(found), _empty(found), _truncated(found), _no_answer(found),
    ]  # fmt: skip
    return [one for one in told if one is not None]


def named(ids: Sequence[str], most: int = 5) -> str:
    """Return the first of some ids, and how many more there are."""
    shown = ", ".join(ids[:most])
    return shown if len(ids) <= most else f"{shown} and {len(ids) - most:,} more"


def _unsafe(found: Graded) -> GradeWarning | None:
    if not found.sandbox or found.sandbox.get("backend") in ("landlock", "bubblewrap"):
        return None
    return GradeWarning(
        "not_confined", "programs ran with limits alone, files and network open to them; their verdicts can be forged"
    )


def _forgeable(found: Graded) -> GradeWarning | None:
    """Tell of tests that run what they are given: an answer of the program, if it is one, is then run by the judge."""
    python = {task.task_id: task for task in found.grading.tasks if task.kind == "python"}
    running = [name for name, task in python.items() if _spoken(f"{task.helpers}\n{task.tests}") & _RUN_CODE]
    if not running:
        return None
    return GradeWarning(
        "tests_run_code",
        f"the tests of {len(running):,} of {len(python):,} tasks use eval, exec or pickle ({named(running)}): where "
        "they do so with what a program answered, its verdict can be forged",
    )


def _spoken(source: str) -> set[str]:
    """Return the variables and modules that a source names."""
    names: set[str] = set()
    for one in ast.walk(parsed(source)):
        if isinstance(one, ast.Name):
            names.add(one.id)
        elif isinstance(one, ast.Import):
            names |= {alias.name for alias in one.names}
        elif isinstance(one, ast.ImportFrom):
            names.add(one.module or "")
    return names


def _judge_errors(found: Graded) -> GradeWarning | None:
    wrong = {prompt.prompt_id: None for prompt, _, one in found.places() if one.status == "judge_error"}
    if not wrong:
        return None
    return GradeWarning(
        "judge_error",
        f"{_of(found, found.counts['judge_error'])} could not be judged, because the tests themselves raised or ran "
        f"too long ({named(list(wrong))}); they count as not passed",
    )


def _disagreements(found: Graded) -> GradeWarning | None:
    if not found.disagreements:
        return None
    places = [f"{one[0]}[{one[1]}]" for one in found.disagreements]
    return GradeWarning(
        "rewards_differ",
        f"{len(places):,} of {found.compared:,} verdicts are not what the file's rewards say: {named(places)}",
    )


def _other_prompts(found: Graded) -> GradeWarning | None:
    pairs = zip(found.grading.file, found.grading.tasks, strict=True)
    other = [prompt.prompt_id for prompt, task in pairs if prompt.prompt.strip() != task.prompt.strip()]
    if not other:
        return None
    return GradeWarning(
        "prompt_differs",
        f"{len(other):,} of {len(found.prompts):,} prompts are not their tasks' ({named(other)}); programs begin with "
        "what was prompted",
    )


def _few_completions(found: Graded) -> GradeWarning | None:
    most = found.pass_at[-1]
    if not most.left_out:
        return None
    return GradeWarning(
        "few_completions",
        f"{most.left_out:,} of {len(found.prompts):,} prompts have fewer than {most.k} completions and are left out of "
        f"pass@{most.k}; see how many each k is of",
    )


def _one_group(found: Graded) -> GradeWarning | None:
    groups = {i if one.group is None else one.group for i, one in enumerate(found.prompts)}
    if len(groups) > 1:
        return None
    return GradeWarning("one_prompt", "there is only one prompt (or group of them), so there is no standard error")


def _missing_tasks(found: Graded) -> GradeWarning | None:
    missing = list(found.grading.unused)
    if not missing:
        return None
    return GradeWarning(
        "missing_tasks",
        f"{len(missing):,} of {len(missing) + len({task.task_id for task in found.grading.tasks}):,} tasks have no "
        f"completions ({named(missing)}); pass@k is of the others",
    )


def _walls(found: Graded) -> GradeWarning | None:
    if not found.counts["wall"]:
        return None
    return GradeWarning(
        "wall",
        f"{_of(found, found.counts['wall'])} were given up after {found.settings.wall:g} seconds of the clock, which "
        "depends on how busy the machine is",
    )


def _near_limit(found: Graded) -> GradeWarning | None:
    if not found.near_limit:
        return None
    places = [f"{one.prompt_id}[{one.index}]" for one in found.near_limit]
    return GradeWarning(
        "near_limit",
        f"{_of(found, len(places))} passed with over half of the {found.settings.cpu:g} CPU-seconds "
        f"({named(places)}); on a slower machine they may not",
    )


def _duplicates(found: Graded) -> GradeWarning | None:
    alike = [
        prompt.prompt_id
        for prompt, keys in zip(found.prompts, found.grading.keys, strict=True)
        if len(keys) > 1 and len(set(keys)) == 1
    ]
    if not alike:
        return None
    return GradeWarning(
        "duplicates",
        f"all completions are the same in {len(alike):,} of {len(found.prompts):,} prompts ({named(alike)}): they are "
        "no samples",
    )


def _empty(found: Graded) -> GradeWarning | None:
    empty = Counter(prompt.prompt_id for prompt in found.prompts for one in prompt.completions if not one.strip())
    if not empty:
        return None
    return GradeWarning("empty", f"{_of(found, sum(empty.values()))} are empty ({named(list(empty))})")


def _truncated(found: Graded) -> GradeWarning | None:
    cut = sum((one.finish or ()).count("length") for one in found.prompts)
    if not cut:
        return None
    return GradeWarning("truncated", f"{_of(found, cut)} ended because the model might not go on, not at a stop")


def _no_answer(found: Graded) -> GradeWarning | None:
    kinds = [task.kind for task in found.grading.tasks]
    none = [
        prompt.prompt_id
        for prompt, kind in zip(found.prompts, kinds, strict=True)
        for one in prompt.answers or ()
        if kind == "number" and one is None
    ]
    if not none:
        return None
    return GradeWarning("no_answer", f"{_of(found, len(none))} hold no number ({named(list(dict.fromkeys(none)))})")


def _of(found: Graded, number: int) -> str:
    return f"{number:,} of {int(found.n.sum()):,} completions"
