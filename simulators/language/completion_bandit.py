"""The choice among completions of a language model as a decision process of one step."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import gymnasium as gym
import numpy as np

from sandtable.simulators.arrays import Array, Constant, like, namespace
from sandtable.simulators.decision_process import DecisionProcess, Step
from sandtable.simulators.errors import InputError, require_name
from sandtable.simulators.language.bandit_data import BanditData, expected_best, read_bandit, synthetic_completions
from sandtable.simulators.language.completions import SPLITS
from sandtable.simulators.random import fold_in, integers, uniform

Action = Literal["index", "weights"]
"""Whether one completion is chosen, or a probability for each."""

Scale = Literal["given", "win-rate"]
"""Whether a completion earns its reward, or how often it would be preferred to the others that are shown."""

_PROMPT, _COMPLETION = 0x70726F6D7074, 0x636F6D706C  # streams of an episode's key
_BOUND = np.finfo(np.float32).max  # of what is seen: any finite number


class BanditState(NamedTuple):
    """The state of a bandit over completions.

    Attributes:
        key: int64 [*batch].
        episode: int64 [*batch].
        t: int64, []; 0 before the choice, 1 after it.
        prompt: int64 [*batch], which prompt of the data.
        completion: int64 [k, *batch], which completions of the prompt are shown; -1 where there are too few.
    """

    key: Array
    episode: Array
    t: Array
    prompt: Array
    completion: Array


class CompletionBandit(DecisionProcess):
    """Choose one of k completions of a prompt, as the Q-probe does (Li et al., arXiv 2402.14688).

    A prompt is drawn, each of the split equally likely, and k of its completions without replacement. Seen: an
    embedding of each completion, a mask of those that are there (a prompt may have fewer than k; the last places are
    then empty), and the completions' log-probabilities where the data has all of them. Chosen: one of them, or a weight
    for each. Earned: the chosen completion's reward, or the mean reward under the weights, normalised over the
    completions that are there. So with ``"weights"`` the reward is differentiable, and its gradient is that of the
    policy which draws a completion by these weights. The episode terminates.

    An empty place, or weights without any on a completion that is there, earn the least reward of the data, and
    ``info`` says ``invalid``. ``info`` also tells the ``prompt`` (its place in the data, from 0) and the ``completion``
    that was chosen (its place among the prompt's; -1 for weights and empty places), and with ``reveal`` the ``rewards``
    [k] of all that was shown, 0 in empty places.

    ``rewards="win-rate"`` takes the data's rewards as scores s of the Bradley-Terry model: a completion earns the mean
    of ``sigmoid(s_i - s_j)`` over the others that are shown, and 1/2 where there is no other. Where a prompt of a file
    has preferences and no rewards, its scores are inferred from them (``bradley_terry_scores``).

    Options of reset: ``prompt_id``, a text, and ``completions``, up to k places among the prompt's completions; or an
    array that has them for each row.

    Args:
        source: A completions file (``sandtable.completions/1``) with its features beside it; ``"synthetic"``, see
            ``synthetic_completions``; or data of one's own.
        k: Completions shown, at least 1.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        layer: Which layer of a file's features is seen; None for the last.
        action: ``"index"`` or ``"weights"``.
        reveal: Whether ``info`` tells all rewards.
        rewards: ``"given"`` or ``"win-rate"``.
        prompts: Of the synthetic data, as are the following.
        dim: d.
        gap: What coordinate 0 of an embedding is worth.
        offset: How much the ease of prompts varies.
        completions: Of each prompt.
        data_seed: Of the synthetic data, and of the splits of a file that has none.

    Attributes:
        observation_space: A dictionary: ``embeddings`` float32 [k, d], ``mask`` int8 [k], and perhaps ``logprobs``
            float32 [k]; 0 in empty places.
        action_space: A place in [0, k), or weights in [0, 1], [k].
        data: What is drawn from.
        size: Prompts in the split.
        least: The least reward of the data; 0 of win rates.

    Raises:
        InputError: An argument is out of its range, the file cannot be used, or no prompt is in the split.
    """

    horizon = 1

    def __init__(
        self,
        source: str | Path | BanditData = "synthetic",
        k: int = 8,
        split: str = "train",
        layer: int | str | None = None,
        action: str = "index",
        reveal: bool = False,
        rewards: str = "given",
        prompts: int = 256,
        dim: int = 16,
        gap: float = 1.0,
        offset: float = 3.0,
        completions: int = 64,
        data_seed: int = 0,
    ) -> None:
        require_name("split", split, SPLITS)
        require_name("action", action, get_args(Action))
        require_name("rewards", rewards, get_args(Scale))
        if k < 1 or k != int(k):
            raise InputError(f"k = {k}: it must be a whole number, at least 1")
        if isinstance(source, BanditData):
            self.data = source
        elif source == "synthetic":
            if layer is not None:
                raise InputError(f"layer = {layer!r}: the synthetic source has no layers; leave it out")
            self.data = synthetic_completions(prompts, completions, dim, gap, offset, data_seed)
        else:
            self.data = read_bandit(source, layer, data_seed, scores=rewards == "win-rate")
        self.k, self.split, self.action, self.reveal, self.rewards = k, split, action, reveal, rewards
        chosen = np.flatnonzero(self.data.split == SPLITS.index(split))
        if not len(chosen):
            named = "data" if isinstance(source, BanditData) else f"source {source}"
            raise InputError(f"{named}: none of {len(self.data.count)} prompts is in the {split} split")
        self.size = len(chosen)
        self.least = 0.0 if rewards == "win-rate" else float(self.data.rewards.min())
        self._ids = {prompt_id: place for place, prompt_id in enumerate(self.data.prompt_ids)}
        self._prompts, self._count, self._first = Constant(chosen), Constant(self.data.count), Constant(self.data.first)
        self._embeddings, self._rewards = Constant(self.data.embeddings), Constant(self.data.rewards)
        self._logprobs = None if self.data.logprobs is None else Constant(self.data.logprobs)
        spaces: dict[str, gym.Space[Any]] = {
            "embeddings": gym.spaces.Box(-_BOUND, _BOUND, (k, self.data.embeddings.shape[1]), np.float32),
            "mask": gym.spaces.MultiBinary(k),
        }
        if self._logprobs is not None:
            spaces["logprobs"] = gym.spaces.Box(-_BOUND, _BOUND, (k,), np.float32)
        self.observation_space = gym.spaces.Dict(spaces)
        self.action_space: gym.Space[Any] = (
            gym.spaces.Discrete(k) if action == "index" else gym.spaces.Box(0.0, 1.0, (k,), np.float32)
        )

    @property
    def base_reward(self) -> float:
        """The mean reward of a choice at random, over the split's prompts."""
        return self._mean(self.data.rewards, 1) if self.rewards == "given" else 0.5

    @property
    def oracle_reward(self) -> float | None:
        """The mean reward of a choice that knows the rewards: of 0/1 rewards, pass@k; None for win rates."""
        return self._mean(self.data.rewards, self.k) if self.rewards == "given" else None

    @property
    def optimal_reward(self) -> float | None:
        """The mean reward of a choice that knows the law of the rewards, but not the rewards; None if nobody does.

        It is the largest that can be expected of a rule which sees what is shown, for the split's completions.
        """
        if self.data.probability is None or self.rewards != "given":
            return None
        return self._mean(self.data.probability, self.k)

    def _mean(self, values: np.ndarray, k: int) -> float:
        """Return the mean over the split's prompts of the expected largest of k of a prompt's values."""
        parts = np.split(values, self.data.first[1:])
        return float(np.mean([expected_best(parts[prompt], k) for prompt in self._prompts.values]))

    def reset(
        self,
        key: Array,
        *,
        episode: Any = 0,
        prompt_id: str | Sequence[str] | np.ndarray | None = None,
        completions: Sequence[int] | np.ndarray | None = None,
        **options: Any,
    ) -> BanditState:
        """Draw prompts and completions, where the options do not name them; see the class.

        Raises:
            InputError: No prompt of the split has that id, a prompt has no such completion, or one is named twice.
            ValueError: There is another option.
        """
        if options:
            raise ValueError(f"options of reset are prompt_id and completions, not {', '.join(options)}")
        xp = namespace(key)
        own = fold_in(key, episode)
        if prompt_id is None:
            place = integers(fold_in(own, _PROMPT), 0, self.size)
            prompt = _taken(self._prompts.on(key), place)
        else:
            found = self._found(prompt_id)
            if found.shape not in ((), tuple(key.shape)):
                raise InputError(f"prompt_id has shape {list(found.shape)}; there are {list(key.shape)} rows")
            prompt = xp.zeros_like(key) + like(key, found)
        if completions is None:
            completion = self._drawn(own, prompt)
        else:
            completion = like(key, self._named(np.asarray(_on_host(prompt)), completions))
        t = xp.zeros((), dtype=xp.int64, device=key.device)
        return BanditState(key, xp.zeros_like(key) + episode, t, prompt, completion)

    def _drawn(self, own: Array, prompt: Array) -> Array:
        """Draw k completions of each prompt without replacement, [k, *batch]; -1 beyond those that it has.

        It is the start of a shuffle (Fisher and Yates; Durstenfeld, CACM 7(7), 1964) in which place j is swapped with
        one of j .. count - 1. What lies there after the swaps before is told by these, the latest first; so nothing
        has to be moved, and the work does not depend on how many completions there are.
        """
        xp = namespace(own)
        column = (self.k, *(1 for _ in own.shape))
        place = xp.reshape(xp.arange(self.k, device=own.device), column)
        left = _taken(self._count.on(own), prompt)[None] - place
        draw = uniform(fold_in(own, _COMPLETION)[None], place)
        swap = place + xp.astype(xp.floor(draw * xp.clip(left, min=1)), xp.int64)
        chosen = swap
        for earlier in range(self.k - 2, -1, -1):
            moved = (chosen == swap[earlier]) & (place > earlier)
            chosen = xp.where(moved, earlier, chosen)
        return xp.where(left > 0, chosen, xp.full_like(chosen, -1))

    def _found(self, prompt_id: Any) -> np.ndarray:
        """Return the places of prompts with these ids, [] or [*batch]."""
        named = np.asarray(prompt_id, dtype=object)
        unknown = [one for one in named.flat if one not in self._ids]
        if unknown:
            raise InputError(f"prompt_id {unknown[0]!r}: there is none among the {len(self._ids)} prompts")
        places = np.array([self._ids[one] for one in named.flat], np.int64).reshape(named.shape)
        other = self.data.split[places] != SPLITS.index(self.split)
        if other.any():
            wrong = places[other].flat[0]
            where = SPLITS[self.data.split[wrong]]
            raise InputError(f"prompt_id {self.data.prompt_ids[wrong]!r}: it is in the {where} split, not {self.split}")
        return places

    def _named(self, prompt: np.ndarray, completions: Any) -> np.ndarray:
        """Return the places of named completions, [k, *batch], or refuse them."""
        named = np.asarray(completions)
        if named.dtype.kind not in "iu" or named.ndim < 1 or not 1 <= named.shape[-1] <= self.k:
            raise InputError(f"completions must be 1 to {self.k} whole numbers a row, not {completions!r}")
        if named.ndim > 1 and named.shape[:-1] != prompt.shape:
            raise InputError(f"completions has shape {list(named.shape)}; there are {list(prompt.shape)} rows")
        named = np.broadcast_to(named, (*prompt.shape, named.shape[-1]))
        count = self.data.count[prompt][..., None]
        wrong = (named < 0) | (named >= count)
        if wrong.any():
            at = tuple(np.argwhere(wrong)[0])
            most = int(count[at[:-1]][0])
            raise InputError(f"completions: {named[at]} is none of the prompt's, which are 0 to {most - 1}")
        ordered = np.sort(named, -1)
        if (ordered[..., 1:] == ordered[..., :-1]).any():
            raise InputError(f"completions: one is named twice in {completions!r}")
        filled = np.full((*prompt.shape, self.k), -1, np.int64)
        filled[..., : named.shape[-1]] = named
        return np.ascontiguousarray(np.moveaxis(filled, -1, 0))

    def mask(self, state: BanditState) -> Array:
        """Tell which places hold a completion, bool [*batch, k]."""
        return _rows_first(state.completion) >= 0

    def observe(self, state: BanditState) -> dict[str, Array]:
        """Return what is seen; see the class."""
        xp = namespace(state.key)
        mask, rows = self._shown(state)
        embeddings = xp.astype(_taken(self._embeddings.on(state.key), rows), xp.float32, copy=False)
        seen = {"embeddings": _blanked(embeddings, mask[..., None]), "mask": xp.astype(mask, xp.int8)}
        if self._logprobs is not None:
            seen["logprobs"] = _blanked(_taken(self._logprobs.on(state.key), rows), mask)
        return seen

    def step(self, state: BanditState, action: Array) -> Step:
        """Earn the reward of the choice; the episode terminates."""
        xp = namespace(state.key)
        mask, rows = self._shown(state)
        rewards = self._earned(_taken(self._rewards.on(state.key), rows), mask)
        if self.action == "index":
            place = action[..., None]
            reward = xp.take_along_axis(rewards, place, axis=-1)[..., 0]
            valid = xp.take_along_axis(mask, place, axis=-1)[..., 0]
            completion = xp.take_along_axis(_rows_first(state.completion), place, axis=-1)[..., 0]
        else:
            weights = xp.clip(action, min=0) * xp.astype(mask, action.dtype)
            total = xp.sum(weights, axis=-1)
            valid = total > 0
            reward = xp.sum(weights * rewards, axis=-1) / xp.where(valid, total, xp.ones_like(total))
            completion = xp.zeros_like(state.key) - 1
        reward = xp.where(valid, reward, xp.zeros_like(reward) + self.least)
        info = {"invalid": ~valid, "prompt": state.prompt, "completion": completion}
        if self.reveal:
            info["rewards"] = _blanked(rewards, mask)
        ended = xp.ones(state.key.shape, dtype=xp.bool, device=state.key.device)
        return Step(state._replace(t=state.t + 1), reward, ended, ~ended, info)

    def _earned(self, scores: Array, mask: Array) -> Array:
        """Return what each completion that is shown earns, [*batch, k]; anything in empty places."""
        if self.rewards == "given":
            return scores
        xp = namespace(scores)
        difference = scores[..., :, None] - scores[..., None, :]
        wins = 0.5 * (1 + xp.tanh(difference / 2))  # the logistic function, which overflows nowhere
        others = xp.astype(mask, scores.dtype)[..., None, :] * like(scores, 1 - np.eye(self.k), "float32")
        rivals = xp.sum(others, axis=-1)
        return xp.where(rivals > 0, xp.sum(wins * others, axis=-1) / xp.clip(rivals, min=1), 0.5)

    def _shown(self, state: BanditState) -> tuple[Array, Array]:
        """Return which places hold a completion, and the rows of the data in them, [*batch, k]; 0 in empty ones."""
        completion = _rows_first(state.completion)
        mask = completion >= 0
        rows = completion + _taken(self._first.on(state.key), state.prompt)[..., None]
        return mask, _blanked(rows, mask)


def _taken(values: Array, index: Array) -> Array:
    """Return ``values`` [N, ...] at ``index`` [*batch], [*batch, ...]."""
    xp = namespace(index)
    return xp.reshape(xp.take(values, xp.reshape(index, (-1,)), axis=0), (*index.shape, *values.shape[1:]))


def _blanked(values: Array, mask: Array) -> Array:
    """Return values with 0 where the mask does not hold."""
    if isinstance(mask, np.ndarray) and mask.all():  # a tensor is not asked: a device would have to be waited for
        return values
    xp = namespace(values)
    return xp.where(mask, values, xp.zeros_like(values))


def _rows_first(array: Array) -> Array:
    """Return an array [k, *batch] as [*batch, k]."""
    return namespace(array).moveaxis(array, 0, -1)


def _on_host(array: Array) -> Array:
    """Return an array that numpy can read."""
    return array.cpu() if hasattr(array, "cpu") else array
