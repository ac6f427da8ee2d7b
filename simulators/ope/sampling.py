"""Logs that are drawn from a finite world: independent transitions, or whole episodes of its behaviour policy."""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.alias import alias_tables
from sandtable.simulators.ope.finite_mdp import FiniteMDP, policy_of
from sandtable.simulators.ope.logged_steps import LoggedSteps
from sandtable.simulators.random import bits, categorical, fold_in, make_key

if TYPE_CHECKING:
    from sandtable.simulators.ope.linear_mdp import LinearMDP

Mode = Literal["iid", "episodes"]
_PAIR, _ACTION = 0x70616972, 0x616374696F6E  # streams


def sampled(process: "LinearMDP", n: int, key: Any, mode: Mode) -> LoggedSteps:
    """Draw a log; see ``LinearMDP.sample``."""
    if mode not in ("iid", "episodes"):
        raise InputError(f"mode is {mode!r}; it must be 'iid' or 'episodes'")
    if int(n) != n or n < 1:
        raise InputError(f"n is {n}; it must be a whole number, at least 1")
    keys = fold_in(make_key(key), np.arange(int(n)))
    return _transitions(process, keys) if mode == "iid" else _episodes(process, keys)


def _transitions(process: "LinearMDP", keys: np.ndarray) -> LoggedSteps:
    """Return one independent transition a key, its pair from the data distribution."""
    mdp = process.mdp
    mu = mdp.data.ravel()
    pairs = np.flatnonzero(mu)
    cumulative = np.cumsum(mu[pairs])[:-1]  # a draw beyond the last but one is the last: never a pair without data
    pair = pairs[categorical(fold_in(keys, _PAIR), 0, cumulative)]
    state, action = np.divmod(pair, mdp.actions)
    step = process.step(process.reset(keys)._replace(position=state), action)
    rows = np.arange(len(keys))
    log = _log(mdp, state, action, step.reward, step.state.position, policy_of(mdp.data))
    terminated = step.terminated
    start = (mdp.initial @ mdp.state_features)[None]
    return log.with_(
        episode=rows, terminated=terminated, truncated=~terminated, initial_features=start, independent=True
    )


def _episodes(process: "LinearMDP", keys: np.ndarray) -> LoggedSteps:
    """Return one episode a key, by the behaviour policy."""
    mdp = process.mdp
    policy = alias_tables(mdp.behaviour)
    state = process.reset(keys)
    start = state.position
    actions, rows = fold_in(state.moves, _ACTION), np.arange(len(keys))
    kept = []
    for t in range(process.horizon):
        action = policy.draw(bits(actions, t), state.position)
        step = process.step(state, action)
        kept.append((rows, np.full(len(rows), t), state.position, action, step.reward, step.state.position,
                     step.terminated, step.truncated))  # fmt: skip
        going = np.flatnonzero(~step.terminated)
        if not len(going):
            break
        rows, actions = rows[going], actions[going]
        state = step.state._replace(
            key=step.state.key[going], position=step.state.position[going], moves=step.state.moves[going]
        )
    columns = [np.concatenate(column) for column in zip(*kept, strict=True)]
    order = np.lexsort((columns[1], columns[0]))  # by episode, then by step
    episode, steps, position, action, reward, following, terminated, truncated = (one[order] for one in columns)
    log = _log(mdp, position, action, reward, following, mdp.behaviour)
    features = mdp.state_features[start]
    return log.with_(
        episode=episode, step=steps, terminated=terminated, truncated=truncated, initial_features=features
    )


def _log(
    mdp: FiniteMDP, state: np.ndarray, action: np.ndarray, reward: np.ndarray, following: np.ndarray, policy: np.ndarray
) -> LoggedSteps:
    """Return the rows with their features and probabilities, as independent draws that are not yet marked as such."""
    zero = np.zeros(len(state), np.int64)
    return LoggedSteps(
        actions=mdp.actions,
        episode=zero,
        step=zero,
        action=action,
        reward=reward,
        terminated=zero > 0,
        truncated=zero > 0,
        observation=state,
        next_observation=following,
        behaviour_probability=policy[state, action],
        target_probability=mdp.target[state],
        next_target_probability=np.where(mdp.terminal[following, None], 0.0, mdp.target[following]),
        features=mdp.features[state, action],
        next_features=mdp.state_features[following],
    )
