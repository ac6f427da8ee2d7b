"""The alternative to a native vector environment of a bandit over completions: one as a plain Gymnasium environment."""

from typing import Any

import gymnasium as gym
import numpy as np


class PlainBandit(gym.Env[dict[str, np.ndarray], np.int64]):
    """The bandit of ``CompletionBandit`` with the action ``index``, one instance.

    Args:
        embeddings: float32 [prompts, completions, d].
        rewards: float32 [prompts, completions].
        k: Completions shown.
    """

    def __init__(self, embeddings: np.ndarray, rewards: np.ndarray, k: int = 8) -> None:
        self.embeddings, self.rewards, self.k = embeddings, rewards, k
        space = gym.spaces.Box(-np.inf, np.inf, (k, embeddings.shape[-1]), np.float32)
        self.observation_space = gym.spaces.Dict({"embeddings": space, "mask": gym.spaces.MultiBinary(k)})
        self.action_space = gym.spaces.Discrete(k)
        self.mask = np.ones(k, np.int8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Draw a prompt, and k of its completions without replacement."""
        super().reset(seed=seed)
        self.prompt = int(self.np_random.integers(len(self.embeddings)))
        self.shown = self.np_random.choice(self.embeddings.shape[1], self.k, replace=False)
        self.seen = {"embeddings": self.embeddings[self.prompt, self.shown], "mask": self.mask}
        return self.seen, {}

    def step(self, action: np.int64) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Pay the reward of the choice."""
        chosen = int(self.shown[action])
        told = {"invalid": False, "prompt": self.prompt, "completion": chosen}
        return self.seen, float(self.rewards[self.prompt, chosen]), True, False, told
