"""LoggedSteps: logged experience as arrays, one row a step, whatever it was read from or drawn from."""

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np

_OF_ANOTHER_LENGTH = (
    "actions", "initial_features", "initial_weight", "names", "independent", "source", "warnings",
)  # fmt: skip


@dataclass(frozen=True)
class LoggedSteps:
    """n rows of E episodes, in the order of episodes and of steps within each.

    Every row knows whether the world ended (``terminated``) or the log did (``truncated``); a log that has passed its
    reader has one of both at the last row of each episode and neither elsewhere. After a termination nothing follows;
    after a truncation the next observation is bootstrapped from.

    Attributes:
        actions: How many actions there are, K >= 1.
        episode: int64 [n], 0 .. E - 1, ascending.
        step: int64 [n], 0, 1, ... within each episode.
        action: int64 [n], in [0, K).
        reward: float64 [n], finite.
        terminated: bool [n].
        truncated: bool [n].
        observation: [n] of integers, the states of a finite world, or float64 [n, k]; None where it was not logged.
        next_observation: As ``observation``; what a terminated row holds is without meaning.
        behaviour_probability: float64 [n] in [0, 1], of the logged action; 0 only where the log says so of an action
            that was yet taken. None where it was not logged.
        target_probability: float64 [n, K] of every action, or [n] of the logged one alone; None where it is not known.
        next_target_probability: float64 [n, K] at the next observation, 0 after a termination and NaN where a row's is
            not known; None where none is.
        features: float64 [n, d] of the logged pair (of the state, for state values); None where they are to be made.
        next_features: float64 [n, d], the mean under the target policy, 0 after a termination; None as above.
        initial_features: float64 [m, d], the mean under the target policy at m starts; None: those of the log's own
            first steps.
        initial_weight: float64 [E], >= 0, how often each episode's start counts; None: all 1. ``weight`` does not tell
            it, which may hold ratios of policies.
        weight: float64 [n], >= 0; None: all 1.
        names: The episodes' names in the log, [E]; None: their numbers.
        rows: Where each row stands in the file, [n], for messages; None: its number.
        independent: The rows are independent draws of transitions, not parts of episodes: each is an episode of one
            step that is no start.
        source: The file that it was read from, for messages; empty where there is none.
        warnings: What its reader assumed or mended, a sentence each.
    """

    actions: int
    episode: np.ndarray
    step: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    observation: np.ndarray | None = None
    next_observation: np.ndarray | None = None
    behaviour_probability: np.ndarray | None = None
    target_probability: np.ndarray | None = None
    next_target_probability: np.ndarray | None = None
    features: np.ndarray | None = None
    next_features: np.ndarray | None = None
    initial_features: np.ndarray | None = None
    initial_weight: np.ndarray | None = None
    weight: np.ndarray | None = None
    names: np.ndarray | None = None
    rows: np.ndarray | None = None
    independent: bool = False
    source: str = ""
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field in fields(self):
            array = getattr(self, field.name)
            a_row_each = field.name not in _OF_ANOTHER_LENGTH
            if a_row_each and array is not None and len(array) != len(self.episode):
                raise ValueError(f"{field.name} has {len(array)} rows, and episode has {len(self.episode)}")

    def __len__(self) -> int:
        return len(self.episode)

    @property
    def episodes(self) -> int:
        """Return how many episodes there are, E."""
        return int(self.episode[-1]) + 1 if len(self) else 0

    @property
    def first(self) -> np.ndarray:
        """Return the index of each episode's first row, int64 [E]."""
        return np.flatnonzero(np.diff(self.episode, prepend=-1))

    @property
    def last(self) -> np.ndarray:
        """Return the index of each episode's last row, int64 [E]."""
        return np.append(self.first[1:], len(self)) - 1

    def with_(self, **changed: Any) -> Self:
        """Return the same log with other arrays, for example the features that were made of its observations."""
        return replace(self, **changed)
