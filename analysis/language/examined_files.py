"""What is in files of completions, of tasks, and in folders of features, for ``sandtable data``."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from sandtable.simulators.language.completions import CompletionsFile, Prompt
from sandtable.simulators.language.completions_file import ALIGNED, read_completions
from sandtable.simulators.language.features_folder import Features, features_path, read_features
from sandtable.simulators.language.splits import assign_splits, normalised
from sandtable.simulators.language.tasks_file import read_tasks

MOST = 5


def examined_completions(path: str, describe: bool) -> dict[str, Any]:
    """Return what a file of completions holds; its features, where they lie beside it, are checked, too.

    Raises:
        InputError: The file or its features cannot be used, or a prompt is in two splits.
    """
    file = read_completions(path)
    splits = assign_splits(file.prompts, path=file.path)
    beside = features_path(path)
    features = None
    if beside.is_dir():
        features = read_features(beside, file.prompts)
        features.require_finite()
    told: dict[str, Any] = {"kind": "completions", "warnings": _warnings(file)}
    if not describe:
        return told
    sizes = [len(one) for one in file]
    return told | {
        "format": file.source,
        "prompts": len(file),
        "completions": file.size,
        "completions_a_prompt": [min(sizes), max(sizes)],
        "distinct": sum(len(set(one.completions)) for one in file),
        "characters": _range(len(text) for one in file for text in one.completions),
        "known": {name: _known(file, name) for name in ALIGNED if _known(file, name)},
        "reward": _reward(file),
        "verdicts": dict(Counter(one for prompt in file for one in prompt.verdicts or () if one is not None)),
        "greedy": sum(one.greedy is not None for one in file),
        "preferences": sum(len(one.preferences) for one in file),
        "splits": {name: splits.count(name) for name in dict.fromkeys(splits)},
        "splits_from": "file" if all(one.split is not None for one in file) else "hash",
        "groups": len({one.group for one in file if one.group is not None}),
        "other_fields": sorted({name for one in file for name in one.others}),
        "features": None if features is None else _of_features(features),
    }


def examined_tasks(path: str, describe: bool) -> dict[str, Any]:
    """Return what a file of tasks holds.

    Raises:
        InputError: The file cannot be used.
    """
    file = read_tasks(path)
    seen = Counter(normalised(task.prompt) for task in file)
    twice = [task.task_id for task in file if seen[normalised(task.prompt)] > 1]
    warnings = [f"{len(twice)} of {len(file)} tasks ask what another one asks, too: {_some(twice)}"] if twice else []
    told: dict[str, Any] = {"kind": "tasks", "warnings": warnings}
    if not describe:
        return told
    return told | {
        "format": file.source,
        "tasks": len(file),
        "kinds": dict(Counter(task.kind for task in file)),
        "first": file.tasks[0].task_id,
        "last": file.tasks[-1].task_id,
        **{f"with_{name}": sum(bool(getattr(task, name)) for task in file)
           for name in ("helpers", "setup", "visible_tests", "reference")},
    }  # fmt: skip


def examined_features(path: str, describe: bool) -> dict[str, Any]:
    """Return what a folder of features holds.

    Raises:
        InputError: The folder cannot be used, or a number is not finite.
    """
    features = read_features(path)
    features.require_finite()
    told: dict[str, Any] = {"kind": "features", "warnings": []}
    return told | _of_features(features) if describe else told


def _of_features(features: Features) -> dict[str, Any]:
    return {
        "model": features.model, "layers": list(features.layers), "rows": features.rows, "d": features.d,
        "dtype": features.dtype, "token_position": features.token_position,
    }  # fmt: skip


def _warnings(file: CompletionsFile) -> list[str]:
    told = []
    sizes = Counter(len(one) for one in file)
    if len(sizes) > 1:
        told.append(f"prompts have {min(sizes)} to {max(sizes)} completions")
    seen = Counter(normalised(one.prompt) for one in file if one.prompt.strip())
    rewarded = any(one.rewards is not None for one in file)
    findings: dict[str, Callable[[Prompt], bool]] = {
        "have only completions that are the same": lambda one: len(one) > 1 and len(set(one.completions)) == 1,
        "have empty completions": lambda one: not all(text.strip() for text in one.completions),
        "lack rewards": lambda one: rewarded and (one.rewards is None or None in one.rewards),
        "have completions that ended because the model might not go on": lambda one: "length" in (one.finish or ()),
        "are also there under another id, and share its split": lambda one: seen[normalised(one.prompt)] > 1,
    }
    for words, holds in findings.items():
        ids = [one.prompt_id for one in file if holds(one)]
        if ids:
            told.append(f"{len(ids)} of {len(file)} prompts {words}: {_some(ids)}")
    return told


def _known(file: CompletionsFile, name: str) -> int:
    return sum(value is not None for one in file for value in getattr(one, name) or ())


def _reward(file: CompletionsFile) -> dict[str, float] | None:
    rewards = [value for one in file for value in one.rewards or () if value is not None]
    if not rewards:
        return None
    return {"mean": sum(rewards) / len(rewards), "min": min(rewards), "max": max(rewards)}


def _range(numbers: Any) -> list[int]:
    every = list(numbers)
    return [min(every), max(every)]


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:MOST]) + (f" and {len(ids) - MOST} more" if len(ids) > MOST else "")
