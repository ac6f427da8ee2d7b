"""Completions of prompts: what a language model answered, and what is known of each answer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Greedy:
    """The completion that a model gives at temperature 0, and what is known of it; see ``Prompt`` for the names."""

    completion: str
    reward: float | None = None
    verdict: str | None = None
    logprob: float | None = None
    sampling_logprob: float | None = None
    tokens: int | None = None
    finish: str | None = None
    answer: str | None = None
    visible: int | None = None
    signature: str | None = None
    others: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Prompt:
    """A prompt and its n completions. What is aligned with them is None as a whole, or None where it is not known.

    Attributes:
        prompt_id: Its name.
        prompt: What was asked.
        completions: [n] strings, in the order in which they were drawn.
        rewards: [n], finite.
        verdicts: [n] words of a grader, such as ``passed``.
        logprobs: [n] nats: log-probability of the whole completion, at temperature 1 and untruncated.
        sampling_logprobs: [n] nats: log-probability under the distribution from which it was drawn, the propensity.
        tokens: [n] counts.
        finish: [n] ``stop`` or ``length``.
        answers: [n] final answers in one form, so that equal answers are equal strings.
        visible: [n] 1 where the completion passes the examples that the prompt shows, else 0.
        signatures: [n] hashes of what a program returns on the inputs that the prompt shows.
        greedy: The completion at temperature 0.
        preferences: Pairs (winner, loser) of indices.
        split: ``train``, ``validation`` or ``test``.
        group: Prompts of one group share a split, and are resampled together.
        task_id: What the completions are held to.
        source: Where they come from: model, revision, temperature, top_p, max_tokens, stop, seed.
        others: Fields of the line that are not ours, as JSON has them.
        line: Of the file, from 1; 0 where the prompt is of no file.
    """

    prompt_id: str
    prompt: str
    completions: tuple[str, ...]
    rewards: tuple[float | None, ...] | None = None
    verdicts: tuple[str | None, ...] | None = None
    logprobs: tuple[float | None, ...] | None = None
    sampling_logprobs: tuple[float | None, ...] | None = None
    tokens: tuple[int | None, ...] | None = None
    finish: tuple[str | None, ...] | None = None
    answers: tuple[str | None, ...] | None = None
    visible: tuple[int | None, ...] | None = None
    signatures: tuple[str | None, ...] | None = None
    greedy: Greedy | None = None
    preferences: tuple[tuple[int, int], ...] = ()
    split: Split | None = None
    group: str | None = None
    task_id: str | None = None
    source: Mapping[str, Any] | None = None
    others: Mapping[str, Any] = field(default_factory=dict)
    line: int = 0

    def __len__(self) -> int:
        return len(self.completions)


@dataclass(frozen=True)
class CompletionsFile:
    """The prompts of a file, with their completions.

    Attributes:
        path: The file.
        source: What its lines are: ``sandtable``, ``rows`` ({task_id, completion}), ``codet`` or ``gsm8k``.
        prompts: In the order of the file; no two have the same id.
    """

    path: Path
    source: str
    prompts: tuple[Prompt, ...]

    def __len__(self) -> int:
        return len(self.prompts)

    def __iter__(self) -> Iterator[Prompt]:
        return iter(self.prompts)

    @property
    def size(self) -> int:
        """How many completions there are."""
        return sum(len(one) for one in self.prompts)
