"""What grading found."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from sandtable.analysis.language.settings import GradeSettings
from sandtable.analysis.language.verdict_log import KeptVerdict
from sandtable.estimators.language.pass_at_k import PassAtK, PassAtKResult, usual_ks
from sandtable.simulators.language.completions import Prompt
from sandtable.simulators.language.grading import Grading
from sandtable.simulators.language.sandbox.grader import STATUSES


class GradeCost(NamedTuple):
    """What an attempt cost.

    Attributes:
        verdicts: How many it sought; those of earlier attempts are not among them.
        cpu_seconds: Of all processes.
        wall_seconds: Of the clock.
    """

    verdicts: int
    cpu_seconds: float
    wall_seconds: float


@dataclass(frozen=True)
class Place:
    """A completion: its prompt's id, its place among the prompt's, from 0, and the CPU time of its program."""

    prompt_id: str
    index: int
    cpu_seconds: float


@dataclass(frozen=True)
class Graded:
    """Completions and their verdicts.

    Attributes:
        grading: What was graded.
        prompts: With verdicts, in the order of the file.
        verdicts: By key of their pieces.
        settings: What the user decided.
        sandbox: What confined the programs; empty where nothing ran.
        cost: Of the last attempt.
    """

    grading: Grading
    prompts: tuple[Prompt, ...]
    verdicts: Mapping[str, KeptVerdict]
    settings: GradeSettings
    sandbox: Mapping[str, Any]
    cost: GradeCost

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many completions have each status."""
        found = Counter(status for prompt in self.prompts for status in prompt.verdicts or ())
        return {status: found[status] for status in STATUSES}

    @cached_property
    def n(self) -> np.ndarray:
        """How many completions each prompt has, [P]."""
        return np.array([len(one) for one in self.prompts])

    @cached_property
    def passed(self) -> np.ndarray:
        """How many of them passed, [P]."""
        return np.array([(one.verdicts or ()).count("passed") for one in self.prompts])

    @cached_property
    def pass_at(self) -> list[PassAtKResult]:
        """pass@k for the usual k, up to the most completions of a prompt."""
        groups = [one.group for one in self.prompts]
        return [PassAtK(k).fit(self.n, self.passed, groups) for k in usual_ks(int(self.n.min()), int(self.n.max()))]

    def places(self) -> Iterator[tuple[Prompt, int, KeptVerdict]]:
        """Yield each completion: its prompt, its place there, and its verdict."""
        for prompt, keys in zip(self.prompts, self.grading.keys, strict=True):
            for index, key in enumerate(keys):
                yield prompt, index, self.verdicts[key]

    @cached_property
    def near_limit(self) -> list[Place]:
        """Completions that passed with over half of the CPU time that they may take: elsewhere they may not."""
        return [
            Place(prompt.prompt_id, index, one.cpu_seconds)
            for prompt, index, one in self.places()
            if one.status == "passed" and one.cpu_seconds > self.settings.cpu / 2
        ]

    @cached_property
    def disagreements(self) -> list[tuple[str, int, float, str | None]]:
        """Completions whose verdict is not what the file's reward of 0 or 1 says: id, index, reward, status."""
        return [
            (before.prompt_id, index, reward, status)
            for before, after in zip(self.grading.file, self.prompts, strict=True)
            for index, (reward, status) in enumerate(zip(before.rewards or (), after.verdicts or (), strict=False))
            if reward in (0.0, 1.0) and (reward == 1.0) != (status == "passed")
        ]

    @property
    def compared(self) -> int:
        """How many completions had a reward of 0 or 1 in the file."""
        return sum(reward in (0.0, 1.0) for one in self.grading.file for reward in one.rewards or ())
