"""The policy that a log is to evaluate: its probabilities come from the log's columns, or from a function of one's own.

A function takes observations as the log holds them, integers [n] or floats [n, ..], and returns probabilities [n, K].
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sandtable.agents.saved_stable_baselines import load_saved
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.logged_steps import LoggedSteps
from sandtable.simulators.user_function import load_function, on_one_line, source_of

SUM_TOLERANCE = 1e-5
"""How far from 1 a function's probabilities may sum: what float32 and a soft-max leave."""


@dataclass(frozen=True)
class TargetPolicy:
    """A target policy.

    Attributes:
        name: As the user gave it.
        function: Of observations [n, ..] to probabilities [n, K]; None: the log's own columns.
        source: What it does, as text: two policies of the same text are the same.
    """

    name: str
    function: Callable[[np.ndarray], Any] | None
    source: str

    def probabilities(self, observation: np.ndarray, log: LoggedSteps) -> np.ndarray:
        """Return pi(a | observation), float64 [n, K].

        Args:
            observation: [n, ..].
            log: For messages: row i of the observations is row i of the log, or follows it.

        Raises:
            InputError: The function fails, or what it returns are no probabilities of K actions.
        """
        assert self.function is not None
        given = observation.copy()  # the function may write into it
        try:
            returned = self.function(given)
            returned = np.asarray(returned.detach().cpu() if hasattr(returned, "detach") else returned, np.float64)
        except Exception as error:
            raise InputError(f"--target {self.name}: it raised {on_one_line(error)}") from error
        if returned.ndim != 2 or len(returned) != len(observation):
            raise InputError(
                f"--target {self.name}: it returned shape {list(returned.shape)} for {len(observation)} observations; "
                f"return probabilities, of shape [{len(observation)}, actions]"
            )
        valid = np.isfinite(returned).all(axis=1) & (returned >= 0).all(axis=1)
        valid &= np.abs(returned.sum(axis=1) - 1) <= SUM_TOLERANCE
        if not valid.all():
            row = int(np.argmin(valid))
            shown = ", ".join(f"{value:.6g}" for value in returned[row][:8])
            place = f"row {row if log.rows is None else log.rows[row]} of {log.source or 'the log'}"
            raise InputError(
                f"--target {self.name}, {place}: it returned [{shown}], which are no probabilities that sum to 1"
            )
        return returned / returned.sum(axis=1, keepdims=True)


def load_target(spec: str, *, trust: bool = False) -> TargetPolicy:
    """Return the policy that ``--target`` names.

    Args:
        spec: ``columns``, ``uniform``, ``module:function``, or ``sb3:ALGO:FILE``, a policy saved by Stable-Baselines3.
        trust: Whether FILE may be loaded: that unpickles it, which runs whatever it holds.

    Raises:
        InputError: There is no such function or file, or the file is not trusted.
        MissingExtraError: Stable-Baselines3 is not installed.
    """
    if spec in ("columns", "uniform"):
        return TargetPolicy(spec, None, spec)
    if spec.startswith("sb3:"):
        return _stable_baselines(spec, trust)
    function = load_function(spec, "--target")
    if inspect.isclass(function):
        raise InputError(f"--target {spec}: this is a class; name a function of observations")
    return TargetPolicy(spec, function, source_of(function, spec))


def with_target(log: LoggedSteps, policy: TargetPolicy) -> LoggedSteps:
    """Return the log with the policy's probabilities at every observation, and at what followed.

    Raises:
        InputError: The log has no observations for a function, or an action that the policy does not know.
    """
    if policy.name == "columns":
        return log
    if policy.name == "uniform":
        everywhere = np.full((len(log), log.actions), 1.0 / log.actions)
        return log.with_(target_probability=everywhere, next_target_probability=_until_the_end(log, everywhere.copy()))
    if log.observation is None:
        raise InputError(
            f"--target {policy.name}: {log.source or 'the log'} holds no observations; log state or observation_0 .., "
            "or the probabilities themselves"
        )
    now = policy.probabilities(log.observation, log)
    if now.shape[1] < log.actions:
        known, row = now.shape[1], int(np.argmax(log.action >= now.shape[1]))
        raise InputError(
            f"--target {policy.name}: it returned probabilities of {known} actions, and the log has {log.actions}; row "
            f"{row if log.rows is None else log.rows[row]} holds action {log.action[row]}"
        )
    following = None
    if log.next_observation is not None:
        following = _until_the_end(log, policy.probabilities(log.next_observation, log))
    return log.with_(actions=now.shape[1], target_probability=now, next_target_probability=following)


def _until_the_end(log: LoggedSteps, probabilities: np.ndarray) -> np.ndarray:
    """Return probabilities at the next observations, 0 after a termination; changes them in place."""
    probabilities[log.terminated] = 0.0
    return probabilities


def _stable_baselines(spec: str, trust: bool) -> TargetPolicy:
    """Load a policy of Stable-Baselines3."""
    saved = load_saved(spec, "--target", trust=trust)
    count = getattr(saved.model.action_space, "n", None)
    if count is None:
        raise InputError(f"--target {spec}: its action space is {saved.model.action_space}; a Discrete one is needed")
    return TargetPolicy(spec, _StableBaselines(saved.model, int(count)), saved.digest)


@dataclass(frozen=True)
class _StableBaselines:
    """A loaded model as a function of observations; DQN acts greedily."""

    model: Any
    actions: int

    def __call__(self, observation: np.ndarray) -> np.ndarray:
        import torch

        space = self.model.observation_space
        shaped = observation.reshape(len(observation), *space.shape).astype(space.dtype)
        policy = self.model.policy
        if not hasattr(policy, "get_distribution"):
            chosen, _ = self.model.predict(shaped, deterministic=True)
            return np.eye(self.actions)[np.asarray(chosen).reshape(-1)]
        with torch.no_grad():
            tensor, _ = policy.obs_to_tensor(shaped)
            return policy.get_distribution(tensor).distribution.probs.double().cpu().numpy()
