"""Supervised tasks as one-step Gymnasium environments: what makes ``sandtable/SparseParity-v0``."""

from typing import Any

from sandtable.envs.adapter import ProcessEnv, ProcessVectorEnv
from sandtable.simulators.tasks.sparse_parity import SparseParity


def sparse_parity_env(render_mode: str | None = None, **task: Any) -> ProcessEnv:
    """Return the sparse-parity task as an environment; ``task`` are the arguments of ``SparseParity``."""
    return ProcessEnv(SparseParity(**task), render_mode)


def sparse_parity_vector_env(
    num_envs: int = 1, autoreset_mode: str | None = None, device: str | None = None, **task: Any
) -> ProcessVectorEnv:
    """Return the sparse-parity task as a vector environment; see ``sparse_parity_env`` and ``ProcessVectorEnv``."""
    return ProcessVectorEnv(SparseParity(**task), num_envs, autoreset_mode, device)
