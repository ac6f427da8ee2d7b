"""Splits of prompts into training, validation and test, such that no prompt is in two of them under another name.

Samples of one prompt are never split: what is learned of a prompt from some of them is known of the others.
"""

import hashlib
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from sandtable.simulators.errors import InputError
from sandtable.simulators.language.completions import SPLITS, Prompt, Split

SHARES = (0.6, 0.2, 0.2)
"""Of training, validation and test."""


def assign_splits(prompts: Sequence[Prompt], seed: int = 0, path: str | Path = "completions") -> tuple[Split, ...]:
    """Return the split of each prompt: the file's own, or else one by a hash.

    Prompts that share a group, or whose text is the same but for case and spaces, are one: where the file tells the
    split of one of them, the others have it, too. The rest are assigned 60/20/20 by a hash of seed and the least of
    their ids (or groups), so that a prompt keeps its split when others are added, which share neither group nor text
    with it, or their order changes.

    Args:
        prompts: The prompts.
        seed: Of the hash.
        path: Of their file, for messages.

    Raises:
        InputError: The file puts prompts of one group, or one text, into two splits.
    """
    splits: list[Split] = ["train"] * len(prompts)
    for members in _components(prompts):
        told = {prompts[i].split: i for i in reversed(members) if prompts[i].split is not None}
        if len(told) > 1:
            (one, first), (other, second) = sorted(told.items(), key=lambda item: item[1])[:2]
            a, b = prompts[first], prompts[second]
            shared = "group" if a.group is not None and a.group == b.group else "prompt"
            raise InputError(
                f"{path}, line {b.line}, field split: {b.prompt_id} is in {other}, and {a.prompt_id} on line {a.line}, "
                f"of the same {shared}, in {one}; put them into one split"
            )
        split = next(iter(told)) if told else _hashed(min(_name(prompts[i]) for i in members), seed)
        for i in members:
            assert split is not None
            splits[i] = split
    return tuple(splits)


def normalised(prompt: str) -> str:
    """Return a prompt without what makes it no other: case, how many spaces there are, how an accent is encoded."""
    return " ".join(unicodedata.normalize("NFC", prompt).split()).casefold()


def _components(prompts: Sequence[Prompt]) -> list[list[int]]:
    """Return the prompts that belong together, through any chain of shared groups and texts."""
    parent = list(range(len(prompts)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    first: dict[tuple[str, str], int] = {}
    for i, prompt in enumerate(prompts):
        shared = [("prompt", normalised(prompt.prompt))] if prompt.prompt.strip() else []
        if prompt.group is not None:
            shared.append(("group", prompt.group))
        for key in shared:
            a, b = sorted((root(first.setdefault(key, i)), root(i)))
            parent[b] = a
    members: dict[int, list[int]] = {}
    for i in range(len(prompts)):
        members.setdefault(root(i), []).append(i)
    return list(members.values())


def _name(prompt: Prompt) -> str:
    return prompt.prompt_id if prompt.group is None else prompt.group


def _hashed(name: str, seed: int) -> Split:
    digest = hashlib.sha256(f"{seed}\0{name}".encode()).digest()
    place, reached = int.from_bytes(digest[:7]) / 2**56, 0.0
    for split, share in zip(SPLITS, SHARES, strict=True):
        reached += share
        if place < reached:
            return split
    return SPLITS[-1]
