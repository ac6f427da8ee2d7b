"""The choice among completions as a Gymnasium environment: what makes ``sandtable/CompletionBandit-v0``."""

from typing import Any

import numpy as np

from sandtable.envs.adapter import ProcessEnv, ProcessVectorEnv
from sandtable.simulators.language.completion_bandit import CompletionBandit


class CompletionBanditEnv(ProcessEnv):
    """A bandit over completions; ``action_masks`` tells agents that ask which actions there are."""

    process: CompletionBandit

    def action_masks(self) -> np.ndarray:
        """Tell which places hold a completion, bool [k]."""
        return np.array(self.process.mask(self._state)[0])


class CompletionBanditVectorEnv(ProcessVectorEnv):
    """A batch of bandits over completions."""

    process: CompletionBandit

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode in every row; of the options, ``completions`` may be named once for all rows, [k], or a row.

        See ``ProcessVectorEnv.reset``.
        """
        options = dict(options or {})
        named = options.get("completions")
        if named is not None and np.ndim(named) == 1:
            options["completions"] = np.broadcast_to(np.asarray(named), (self.num_envs, len(named)))
        elif named is not None:
            options["completions"] = np.asarray(named)
        if options.get("prompt_id") is not None and not isinstance(options["prompt_id"], str):
            options["prompt_id"] = np.asarray(options["prompt_id"], dtype=object)
        return super().reset(seed=seed, options=options)

    def action_masks(self) -> Any:
        """Tell which places of each row hold a completion, bool [num_envs, k]."""
        return self.process.mask(self._state)


def completion_bandit_env(render_mode: str | None = None, **bandit: Any) -> CompletionBanditEnv:
    """Return a bandit over completions as an environment; ``bandit`` are the arguments of ``CompletionBandit``."""
    return CompletionBanditEnv(CompletionBandit(**bandit), render_mode)


def completion_bandit_vector_env(
    num_envs: int = 1, autoreset_mode: str | None = None, device: str | None = None, **bandit: Any
) -> CompletionBanditVectorEnv:
    """Return bandits over completions as a vector environment; see ``completion_bandit_env``."""
    return CompletionBanditVectorEnv(CompletionBandit(**bandit), num_envs, autoreset_mode, device)
