"""The pathwise gradient of the expected return: through the simulator itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import torch
from torch import Tensor, nn

from sandtable.simulators.decision_process import DecisionProcess
from sandtable.training.objectives.objective import Carry, Metrics, Objective, row_keys


@dataclass(frozen=True)
class Pathwise(Objective):
    """Minus the expected return, differentiated through a differentiable process (Madeka et al., arXiv 2210.03137).

    Every step starts ``batch`` episodes a replica, plays them with the network as a policy, and averages
    ``sum_t discount^t reward_t``. Nothing counts after the end of an episode.

    Attributes:
        process: A world whose step is differentiable in the action.
        batch: Episodes a step and replica, at least 1.
        horizon: Steps of an episode that are played; None, or more than the process has, for the whole of it.
        discount: In [0, 1].
        reset_options: What ``process.reset`` is told about the start.
    """

    process: DecisionProcess
    batch: int
    horizon: int | None = None
    discount: float = 1.0
    reset_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"batch must be at least 1, not {self.batch}")
        if self.horizon is not None and self.horizon < 1:
            raise ValueError(f"horizon must be at least 1, not {self.horizon}")
        if not 0 <= self.discount <= 1:
            raise ValueError(f"discount must lie in [0, 1], not {self.discount}")
        if not isinstance(self.process.action_space, gym.spaces.Box):
            raise ValueError(
                f"process must have actions to differentiate in, a Box, not {self.process.action_space}; "
                "a task has them with feedback='full'"
            )

    def loss(self, network: nn.Module, key: Tensor, carry: Carry, update: int) -> tuple[Tensor, Metrics, Carry]:
        """Return minus the mean return, [R]; the metric ``return`` is the mean discounted return.

        The network maps what ``process.encode`` makes of the observations of rows [R, batch], an array or a dict of
        arrays, to actions [R, batch, *action_space.shape].
        """
        state = self.process.reset(row_keys(key, self.batch), **self.reset_options)
        alive = torch.ones(len(key), self.batch, dtype=torch.bool, device=key.device)
        total: Tensor | float = 0.0
        for t in range(min(self.horizon or self.process.horizon, self.process.horizon)):
            step = self.process.step(state, network(self.process.encode(self.process.observe(state))))
            total = total + torch.where(alive, step.reward, 0) * self.discount**t
            alive = alive & ~(step.terminated | step.truncated)
            state = step.state
        value = torch.as_tensor(total).mean(-1)
        return -value, {"return": value}, carry
