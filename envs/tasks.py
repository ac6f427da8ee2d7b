"""Supervised tasks as one-step Gymnasium environments: what makes ``sandtable/SparseParity-v0`` and its kin.

All arguments are numbers, texts and lists of them, so that an ``EnvSpec`` can be written as JSON.
"""

from typing import Any

from sandtable.envs.adapter import ProcessEnv, ProcessVectorEnv
from sandtable.simulators.tasks.group_operation import GroupOperation
from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.simulators.tasks.tabular import Tabular


def sparse_parity_env(render_mode: str | None = None, **task: Any) -> ProcessEnv:
    """Return the sparse-parity task as an environment; ``task`` are the arguments of ``SparseParity``."""
    return ProcessEnv(SparseParity(**task), render_mode)


def sparse_parity_vector_env(
    num_envs: int = 1, autoreset_mode: str | None = None, device: str | None = None, **task: Any
) -> ProcessVectorEnv:
    """Return the sparse-parity task as a vector environment; see ``sparse_parity_env`` and ``ProcessVectorEnv``."""
    return ProcessVectorEnv(SparseParity(**task), num_envs, autoreset_mode, device)


def group_operation_env(render_mode: str | None = None, **task: Any) -> ProcessEnv:
    """Return a group's operation as an environment; ``task`` are the arguments of ``GroupOperation``."""
    return ProcessEnv(GroupOperation(**task), render_mode)


def group_operation_vector_env(
    num_envs: int = 1, autoreset_mode: str | None = None, device: str | None = None, **task: Any
) -> ProcessVectorEnv:
    """Return a group's operation as a vector environment; see ``group_operation_env`` and ``ProcessVectorEnv``."""
    return ProcessVectorEnv(GroupOperation(**task), num_envs, autoreset_mode, device)


def tabular_env(render_mode: str | None = None, **task: Any) -> ProcessEnv:
    """Return the rows of a table as an environment; ``task`` are the arguments of ``Tabular``."""
    return ProcessEnv(Tabular(**task), render_mode)


def tabular_vector_env(
    num_envs: int = 1, autoreset_mode: str | None = None, device: str | None = None, **task: Any
) -> ProcessVectorEnv:
    """Return the rows of a table as a vector environment; see ``tabular_env`` and ``ProcessVectorEnv``."""
    return ProcessVectorEnv(Tabular(**task), num_envs, autoreset_mode, device)
