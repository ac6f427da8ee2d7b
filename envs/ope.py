"""Finite worlds with linear features as Gymnasium environments: what makes ``sandtable/LinearMDP-v0``."""

from typing import Any

from sandtable.envs.adapter import ProcessEnv, ProcessVectorEnv
from sandtable.simulators.ope.linear_mdp import LinearMDP


def linear_mdp_env(render_mode: str | None = None, **world: Any) -> ProcessEnv:
    """Return a finite world as an environment; ``world`` are the arguments of ``LinearMDP``."""
    return ProcessEnv(LinearMDP(**world), render_mode)


def linear_mdp_vector_env(
    num_envs: int = 1, autoreset_mode: str | None = None, device: str | None = None, **world: Any
) -> ProcessVectorEnv:
    """Return a finite world as a vector environment; see ``linear_mdp_env`` and ``ProcessVectorEnv``."""
    return ProcessVectorEnv(LinearMDP(**world), num_envs, autoreset_mode, device)
