"""What a bandit over completions draws from: prompts, their completions' features, and what each completion earns."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from scipy.special import expit, ndtr

from sandtable.simulators.errors import InputError
from sandtable.simulators.language.bradley_terry import bradley_terry_scores
from sandtable.simulators.language.completions import SPLITS, Prompt, Split
from sandtable.simulators.language.completions_file import read_completions
from sandtable.simulators.language.features_folder import features_path, read_features
from sandtable.simulators.language.splits import assign_splits
from sandtable.simulators.memory import require_memory
from sandtable.simulators.random import fold_in, make_key, normal, uniform

_BLOCK = 65_536  # rows that are looked at together
_LARGEST = float(np.finfo(np.float32).max)
_EASE, _EMBEDDING, _REWARD = 0x65617365, 0x656D626564, 0x726577617264  # streams of a prompt, or of a completion


@dataclass(frozen=True)
class BanditData:
    """N completions of P prompts; those of a prompt stand together, in the order of the prompts.

    Attributes:
        prompt_ids: P texts, each once.
        count: int64 [P], how many completions a prompt has, at least 1.
        split: int64 [P], a place in ``SPLITS``.
        embeddings: Floats [N, d], perhaps in a file.
        rewards: float32 [N], finite.
        logprobs: float32 [N], nats; None where one is not known.
        probability: float64 [N], the chance that a completion's reward is 1, given what is seen of it; None where
            nobody knows the law of the rewards.
    """

    prompt_ids: tuple[str, ...]
    count: np.ndarray
    split: np.ndarray
    embeddings: np.ndarray
    rewards: np.ndarray
    logprobs: np.ndarray | None = None
    probability: np.ndarray | None = None

    @property
    def first(self) -> np.ndarray:
        """The row of each prompt's first completion, int64 [P]."""
        return np.cumsum(self.count) - self.count


def synthetic_completions(
    prompts: int = 256, completions: int = 64, dim: int = 16, gap: float = 1.0, offset: float = 3.0, seed: int = 0
) -> BanditData:
    """Draw completions whose best choice is known.

    Prompt p has an ease ``z_p ~ N(0, 1)``. The embedding of a completion is N(0, I), with ``offset z_p`` added to
    coordinate 1; its reward is 1 with probability ``sigmoid(offset z_p + gap * coordinate 0)``, else 0. So coordinate 0
    tells the completions of a prompt apart, and coordinate 1 the prompts, as the embeddings of a language model mostly
    tell which prompts are easy. Prompt p and its draws depend on the seed and p alone.

    Args:
        prompts: P, at least 1.
        completions: Of each prompt, at least 1.
        dim: d, at least 2.
        gap: What coordinate 0 is worth, in log-odds.
        offset: How much the ease of the prompts varies, in log-odds.
        seed: Of all draws.

    Raises:
        InputError: An argument is out of its range, or the embeddings do not fit into memory.
    """
    for name, value, least in (("prompts", prompts, 1), ("completions", completions, 1), ("dim", dim, 2)):
        if value < least or value != int(value):
            raise InputError(f"{name} = {value}: it must be a whole number, at least {least}")
    if not np.isfinite([gap, offset]).all():
        raise InputError(f"gap = {gap}, offset = {offset}: both must be finite")
    rows = prompts * completions
    require_memory(32 * rows * dim, f"prompts = {prompts}, completions = {completions}, dim = {dim}", "ask for fewer")
    key, prompt = make_key(int(seed)), np.arange(prompts)
    own = fold_in(key, prompt)
    named = [Prompt(f"synthetic/{p}", f"synthetic/{p}", ()) for p in prompt]
    completion = fold_in(own[:, None], np.arange(completions)).reshape(-1)
    ease = offset * np.repeat(normal(fold_in(own, _EASE), 0), completions)
    embeddings = normal(fold_in(completion, _EMBEDDING)[:, None], np.arange(dim))
    probability = expit(ease + gap * embeddings[:, 0])
    embeddings[:, 1] += ease
    return BanditData(
        prompt_ids=tuple(one.prompt_id for one in named),
        count=np.full(prompts, completions),
        split=_places(assign_splits(named, seed)),
        embeddings=embeddings.astype(np.float32),
        rewards=(uniform(fold_in(completion, _REWARD), 0) < probability).astype(np.float32),
        probability=probability,
    )


def read_bandit(path: str | Path, layer: int | str | None = None, seed: int = 0, scores: bool = False) -> BanditData:
    """Read completions with their rewards, and the features beside their file.

    Args:
        path: A file of completions; its features are in ``NAME.features``.
        layer: Of the features; None for the last.
        seed: Of the splits, where the file has none.
        scores: Whether preferences will do where a prompt has no rewards: the scores of the Bradley-Terry model
            are then inferred from them.

    Raises:
        InputError: The file or the features cannot be used, or the reward of a completion is missing.
    """
    found = read_completions(path)
    features = read_features(features_path(path), found.prompts)
    name = features.layers[-1] if layer is None else str(layer)
    features.layer(name)
    # copied where it is written to, which nobody does: torch warns of memory that cannot be written to
    embeddings = np.load(features.path / f"{name}.npy", mmap_mode="c", allow_pickle=False)
    for start in range(0, len(embeddings), _BLOCK):
        with np.errstate(over="ignore"):
            wrong = ~np.isfinite(embeddings[start : start + _BLOCK].astype(np.float32)).all(-1)
        if wrong.any():
            row = start + int(np.argmax(wrong))
            problem = "a number is not finite in single precision; extract the layer again"
            raise InputError(f"{features.path / name}.npy, row {row}: {problem}")
    for prompt in found:
        _require_single("logprobs", prompt, path)
    logprobs = [one for prompt in found for one in prompt.logprobs or [None]]
    return BanditData(
        prompt_ids=tuple(prompt.prompt_id for prompt in found),
        count=np.array([len(prompt) for prompt in found]),
        split=_places(assign_splits(found.prompts, seed, path)),
        embeddings=embeddings,
        rewards=np.concatenate([_rewards(prompt, path, scores) for prompt in found]),
        logprobs=None if None in logprobs else np.array(logprobs, np.float32),
    )


def _rewards(prompt: Prompt, path: str | Path, scores: bool) -> np.ndarray:
    """Return the rewards of a prompt's completions, float32 [n], or refuse it."""

    def fail(field: str, problem: str) -> NoReturn:
        raise InputError(f"{path}, line {prompt.line}, field {field}: {problem}")

    if prompt.rewards is None and scores and prompt.preferences:
        return bradley_terry_scores(len(prompt), prompt.preferences).astype(np.float32)
    if prompt.rewards is None:
        preferred = 'rewards="win-rate" takes the preferences'
        graded = "`sandtable grade` writes the rewards of programs and numbers"
        fail("rewards", f"it is missing; {preferred if prompt.preferences else graded}")
    if None in prompt.rewards:
        fail(f"rewards[{prompt.rewards.index(None)}]", "it is null; leave the completion out")
    _require_single("rewards", prompt, path)
    return np.array(prompt.rewards, np.float32)


def _require_single(field: str, prompt: Prompt, path: str | Path) -> None:
    """Raise an ``InputError`` at the first number of a field that is beyond single precision."""
    for place, one in enumerate(getattr(prompt, field) or ()):
        if one is not None and abs(one) > _LARGEST:
            where = f"{path}, line {prompt.line}, field {field}[{place}]"
            raise InputError(f"{where}: {one} is beyond single precision")


def _places(splits: Sequence[Split]) -> np.ndarray:
    """Return the places of splits in ``SPLITS``, int64."""
    return np.array([SPLITS.index(split) for split in splits])


def synthetic_optimum(k: int, gap: float = 1.0, offset: float = 3.0) -> float:
    """Return the largest expected reward of a choice among k fresh synthetic completions of a fresh prompt.

    The best choice is that of the largest coordinate 0, so it is ``E[sigmoid(offset z + gap M)]``, where z is standard
    normal and M the largest of k standard normals (the least where the gap is negative), whose density is
    ``k phi(m) Phi(m)^(k - 1)``. With k = 1, or without a gap, it is what any choice earns. The trapezoidal rule is
    exact to 1e-12 here, as the integrand is smooth and vanishes at both ends.

    Args:
        k: Completions shown, at least 1.
        gap: As in ``synthetic_completions``.
        offset: As there.
    """
    grid = np.linspace(-12, 12, 1201)
    density = np.exp(-grid**2 / 2) / np.sqrt(2 * np.pi) * (grid[1] - grid[0])
    largest = k * density * ndtr(grid) ** (k - 1)
    return float(density @ expit(offset * grid[:, None] + abs(gap) * grid) @ largest)


def expected_best(values: np.ndarray, k: int) -> float:
    """Return the expectation of the largest of k values drawn without replacement, or of all if there are fewer.

    The j-th smallest of n is the largest of the draw in ``C(j - 1, k - 1)`` of ``C(n, k)`` cases. With rewards 0 and 1
    this is the unbiased estimate of pass@k (Chen et al., arXiv 2107.03374, equation 1).

    Args:
        values: [n], n at least 1.
        k: At least 1.
    """
    ascending = np.sort(np.asarray(values, np.float64))
    k = min(k, len(ascending))
    share, total = k / len(ascending), 0.0  # C(n - 1, k - 1) / C(n, k)
    for j in range(len(ascending), k - 1, -1):
        total += share * ascending[j - 1]
        share *= (j - k) / (j - 1) if j > 1 else 0.0
    return float(total)
