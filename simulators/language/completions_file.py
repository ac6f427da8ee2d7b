"""Files of completions: ``sandtable.completions/1``, and those of others that can be brought into its form.

``sandtable.completions/1`` is JSON Lines, UTF-8, a prompt a line: ``prompt_id``, ``prompt``, ``completions``, and what
``Prompt`` lists beside them. Lists that are aligned with the completions are as long as these, null where something is
not known. ``greedy`` holds the same names in the singular. Fields that are not known here are kept.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from sandtable.simulators.language.completions import SPLITS, CompletionsFile, Greedy, Prompt
from sandtable.simulators.language.foreign_completions import read_codet, read_model_solutions, read_rows
from sandtable.simulators.language.json_lines import (
    JsonLine,
    as_count,
    as_kept,
    as_number,
    as_text,
    first_fields,
    one_of,
    read_lines,
    require_unique,
    shown,
    write_lines,
)
from sandtable.simulators.language.tasks import TasksFile

SCHEMA = "sandtable.completions/1"

ALIGNED: dict[str, Callable[[JsonLine, str, Any], Any]] = {
    "rewards": as_number, "verdicts": as_text, "logprobs": as_number, "sampling_logprobs": as_number,
    "tokens": as_count, "finish": one_of("stop", "length"), "answers": as_text, "visible": one_of(0, 1),
    "signatures": as_text,
}  # fmt: skip
"""What is aligned with the completions, and how a member is taken."""

SINGULAR = {
    "reward": "rewards", "verdict": "verdicts", "logprob": "logprobs", "sampling_logprob": "sampling_logprobs",
    "tokens": "tokens", "finish": "finish", "answer": "answers", "visible": "visible", "signature": "signatures",
}  # fmt: skip
_KNOWN = {one.name for one in fields(Prompt)} - {"others", "line"}


def read_completions(path: str | Path, tasks: TasksFile | None = None) -> CompletionsFile:
    """Read completions (JSON Lines, UTF-8; also .gz).

    The lines are ``sandtable.completions/1``; or ``{task_id, completion}``, one a line, as for HumanEval; or CodeT's
    ``{prompt, samples}``, beside which ``HumanEval_for_code_generation.jsonl`` must lie; or GSM8K's
    ``example_model_solutions.jsonl``.

    Args:
        path: The file.
        tasks: What the completions are held to; rows of ``{task_id, completion}`` take their prompts from it.

    Raises:
        InputError: What is wrong, with line and field.
    """
    path, lines = Path(path), list(read_lines(path))
    source = completions_source(lines[0].fields)
    if source == "rows":
        prompts = read_rows(lines, tasks)
    elif source == "codet":
        prompts = read_codet(lines)
    elif source == "gsm8k":
        prompts = read_model_solutions(lines)
    else:
        prompts = [_prompt(line) for line in lines]
        require_unique(lines, [one.prompt_id for one in prompts], "prompt_id")
    return CompletionsFile(path, source or "sandtable", tuple(prompts))


def completions_source(names: Mapping[str, Any]) -> str | None:
    """Return what a file of completions is, by the fields of its first line; None where it is none."""
    needed = {
        "sandtable": {"prompt_id", "completions"},
        "rows": {"task_id", "completion"},
        "codet": {"prompt", "samples"},
        "gsm8k": {"question", "ground_truth"},
    }
    return next((source for source, needs in needed.items() if needs <= set(names)), None)


def is_completions(path: str | Path) -> bool:
    """Tell whether a file holds completions, from its first line."""
    names = first_fields(path)
    return names is not None and completions_source(names) is not None


def write_completions(path: str | Path, prompts: Iterable[Prompt]) -> None:
    """Write ``sandtable.completions/1``, atomically; what is None is left out.

    Raises:
        OSError: The file could not be written; nothing half-written is left.
    """
    write_lines(path, (to_fields(prompt) for prompt in prompts))


def to_fields(prompt: Prompt) -> dict[str, Any]:
    """Return the line of a prompt as JSON has it."""
    told: dict[str, Any] = {}
    for name in [one.name for one in fields(Prompt) if one.name in _KNOWN]:
        value = getattr(prompt, name)
        if name == "greedy" and value is not None:
            known = {one.name: getattr(value, one.name) for one in fields(Greedy) if one.name != "others"}
            value = {key: one for key, one in known.items() if one is not None} | dict(value.others)
        if value is not None and (name != "preferences" or value):
            told[name] = value
    return told | dict(prompt.others)


def _prompt(line: JsonLine) -> Prompt:
    if "completions" not in line.fields:
        line.fail("completions", "it is missing")
    completions = line.rows("completions", None, as_text)
    if not completions:
        line.fail("completions", "it is empty; leave the prompt out")
    if None in completions:
        line.fail(f"completions[{completions.index(None)}]", "it must be a string, not null")
    n = len(completions)
    aligned: dict[str, Any] = {name: line.rows(name, n, take) for name, take in ALIGNED.items() if line.has(name)}
    named: dict[str, Any] = {name: line.name(name) for name in ("group", "task_id") if line.has(name)}
    prompt = Prompt(
        prompt_id=line.name("prompt_id"),
        prompt=line.text("prompt"),
        completions=tuple(one for one in completions if one is not None),
        greedy=line.optional("greedy", _greedy),
        split=line.optional("split", one_of(*SPLITS)),
        source=line.optional("source", _source),
        others={name: as_kept(line, name, value) for name, value in line.fields.items() if name not in _KNOWN},
        line=line.number,
        **aligned,
        **named,
    )
    return replace(prompt, preferences=_preferences(line, n)) if line.has("preferences") else prompt


def _greedy(line: JsonLine, field: str, value: Any) -> Greedy:
    if not isinstance(value, dict):
        line.fail(field, f"it must be an object, not {shown(value)}")
    if not isinstance(value.get("completion"), str):
        line.fail(f"{field}.completion", "it must be a string")
    told = {
        name: ALIGNED[plural](line, f"{field}.{name}", value[name])
        for name, plural in SINGULAR.items()
        if value.get(name) is not None
    }
    others = {
        name: as_kept(line, f"{field}.{name}", one)
        for name, one in value.items()
        if name not in SINGULAR and name != "completion"
    }
    return Greedy(value["completion"], others=others, **told)


def _source(line: JsonLine, field: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        line.fail(field, f"it must be an object, not {shown(value)}")
    return {name: as_kept(line, f"{field}.{name}", one) for name, one in value.items()}


def _preferences(line: JsonLine, n: int) -> tuple[tuple[int, int], ...]:
    pairs = []
    for i, pair in enumerate(line.rows("preferences", None, lambda line, field, value: value)):
        field = f"preferences[{i}]"
        if not isinstance(pair, list) or len(pair) != 2:
            line.fail(field, f"it must be [winner, loser], not {shown(pair)}")
        winner, loser = (as_count(line, field, one) for one in pair)
        if max(winner, loser) >= n or winner == loser:
            line.fail(field, f"it must name two of the {n} completions, counted from 0, not {shown(pair)}")
        pairs.append((winner, loser))
    return tuple(pairs)
