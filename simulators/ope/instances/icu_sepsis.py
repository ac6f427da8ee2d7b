"""ICU-Sepsis: a finite world that was estimated from the records of intensive care (arXiv 2406.05646)."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sandtable.simulators.data_folder import data_folder
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.finite_mdp import FiniteMDP, check_distributions

POLICIES = ("random", "expert", "optimal")
_FILE = "icu_sepsis_dynamics.npz"
_SHAPES = {"tx_mat": "sat", "r_mat": "sat", "d_0": "s", "expert_policy": "sa", "state_cluster_centers": "sk"}
_TERMINAL = 3  # the last ones: death, survival, and what follows both


class _Dynamics(NamedTuple):
    """What the file holds.

    Attributes:
        transitions: [S, A, S].
        arrival: Reward by the state that is reached, [S].
        initial: [S].
        expert: The clinicians' policy, [S, A]; uniform in states where the file has none.
        centres: Mean of the 47 measurements of the patients in each state, [S, k].
    """

    transitions: np.ndarray
    arrival: np.ndarray
    initial: np.ndarray
    expert: np.ndarray
    centres: np.ndarray


def icu_sepsis(
    *, target: str = "expert", behaviour: str = "random", path: str | None = None, discount: float = 1.0
) -> FiniteMDP:
    """Return ICU-Sepsis (Choudhary, Gupta and Thomas 2024): 716 states, 25 treatments, reward 1 for survival.

    The states 713 (death), 714 (survival) and 715 are terminal. The policies: ``random`` treats uniformly at random,
    ``expert`` as the clinicians did (uniformly where the file's row is 0, which it is in the terminal states alone),
    and ``optimal`` maximises survival, found by policy iteration. The features, 47 standardised means of measurements
    of the state and 25 indicators of the treatment, do not make the value linear. The data is where the behaviour
    policy's steps are: the pairs' shares of the expected visits of its episodes.

    Args:
        target: One of the policies.
        behaviour: One of the policies.
        path: Of the file ``icu_sepsis_dynamics.npz`` of the ICU-Sepsis package; None: that in the folder of real data.
        discount: gamma.

    Raises:
        InputError: The file is missing or holds something else; there is no such policy.
    """
    for name, policy in (("target", target), ("behaviour", behaviour)):
        if policy not in POLICIES:
            raise InputError(f"icu-sepsis: {name} is {policy!r}; there are {', '.join(POLICIES)}")
    found = Path(path) if path is not None else _default_path()
    dynamics = _read(str(found))
    states, actions, _ = dynamics.transitions.shape
    terminal = np.arange(states) >= states - _TERMINAL
    policies = {"random": np.full((states, actions), 1 / actions), "expert": dynamics.expert}
    if "optimal" in (target, behaviour):
        policies["optimal"] = _optimal_policy(dynamics, terminal)
    acting = policies[behaviour]
    return FiniteMDP(
        name="icu-sepsis",
        features=_features(dynamics.centres, terminal, actions),
        transitions=dynamics.transitions,
        pair_rewards=np.zeros((states, actions)),
        arrival_rewards=dynamics.arrival,
        terminal=terminal,
        initial=dynamics.initial,
        target=policies[target],
        data=_visits(dynamics, terminal, acting),
        behaviour=acting,
        discount=discount,
        horizon=500,
    )


def _default_path() -> Path:
    folder = data_folder()
    if folder is None or not (folder / "ope" / _FILE).is_file():
        raise InputError(
            f"icu-sepsis: {_FILE} is not here; name it (path=...), or the folder that holds ope/{_FILE} in the "
            "environment variable SANDTABLE_DATA"
        )
    return folder / "ope" / _FILE


@lru_cache(maxsize=1)
def _read(path: str) -> _Dynamics:
    """Return what the file holds, checked."""
    try:
        with np.load(path, allow_pickle=False) as held:
            arrays = {name: held[name] for name in _SHAPES}
    except (OSError, KeyError, ValueError, EOFError) as error:
        raise InputError(f"{path}: holds no dynamics of ICU-Sepsis: {error}") from error
    sizes: dict[str, int] = {}
    for name, axes in _SHAPES.items():
        shape = arrays[name].shape
        if len(shape) != len(axes) or any(sizes.setdefault(*one) != one[1] for one in _sized(axes, shape)):
            raise InputError(f"{path}: {name} has shape {list(shape)}, which does not go with the other arrays")
    moves, rewards = arrays["tx_mat"], arrays["r_mat"]
    arrival = rewards[0, 0]
    if not (rewards[:-_TERMINAL] == arrival).all():
        raise InputError(f"{path}: r_mat must depend on the state that is reached alone")
    expert = arrays["expert_policy"]
    total = expert.sum(axis=1, keepdims=True)
    expert = np.where(total > 0, expert / np.where(total > 0, total, 1), 1 / expert.shape[1])
    for name, array in (("tx_mat", moves), ("d_0", arrays["d_0"]), ("expert_policy", expert)):
        check_distributions(f"{path}: {name}", array)
    return _Dynamics(moves, arrival, arrays["d_0"], expert, arrays["state_cluster_centers"])


def _sized(axes: str, shape: tuple[int, ...]) -> list[tuple[str, int]]:
    """Return (axis, size) of an array; s and t are both states."""
    return [("s" if axis == "t" else axis, size) for axis, size in zip(axes, shape, strict=True)]


def _features(centres: np.ndarray, terminal: np.ndarray, actions: int) -> np.ndarray:
    """Return standardised measurements of the state and indicators of the action, [S, A, k + A]; 0 where terminal."""
    patients = centres[~terminal]
    deviation = patients.std(axis=0)
    measured = (centres - patients.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    measured = np.broadcast_to(measured[:, None], (len(centres), actions, centres.shape[1]))
    treatment = np.broadcast_to(np.eye(actions), (len(centres), actions, actions))
    return np.where(terminal[:, None, None], 0.0, np.concatenate([measured, treatment], axis=2))


def _visits(dynamics: _Dynamics, terminal: np.ndarray, policy: np.ndarray) -> np.ndarray:
    """Return the pairs' shares of the expected visits of an episode, [S, A]."""
    going = np.flatnonzero(~terminal)
    chain = np.einsum("sa,sat->st", policy[going], dynamics.transitions[going])[:, going]
    visits = np.zeros(len(terminal))
    visits[going] = np.linalg.solve(np.eye(len(going)) - chain.T, dynamics.initial[going]).clip(0)
    return (visits / visits.sum())[:, None] * policy


def _optimal_policy(dynamics: _Dynamics, terminal: np.ndarray) -> np.ndarray:
    """Return the policy of the greatest probability of survival, [S, A], one-hot, by policy iteration."""
    going = np.flatnonzero(~terminal)
    moves = dynamics.transitions[going]
    rewards = moves @ dynamics.arrival
    policy = np.full(moves.shape[:2], 1 / moves.shape[1])
    value = np.zeros(len(terminal))
    while True:
        chain = np.einsum("sa,sat->st", policy, moves)[:, going]
        value[going] = np.linalg.solve(np.eye(len(going)) - chain, (policy * rewards).sum(axis=1))
        advantage = rewards + moves @ value - value[going, None]
        better = advantage.max(axis=1) > 1e-10  # what is less is rounding
        greedy = np.eye(moves.shape[1])[advantage.argmax(axis=1)]
        if not better.any():
            optimal = np.full((len(terminal), moves.shape[1]), 1 / moves.shape[1])
            optimal[going] = greedy
            return optimal
        policy = np.where(better[:, None], greedy, policy)
