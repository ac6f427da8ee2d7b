"""A small world of which every episode is known, with its probability."""

from typing import NamedTuple

import numpy as np
import pytest

from sandtable.simulators.ope.logged_steps import LoggedSteps


class EveryEpisode(NamedTuple):
    """All episodes of a world of 2 states and 2 actions that ends within 3 steps.

    Attributes:
        log: Each episode once, its weight the probability that the behaviour policy meets it: a weighted mean over
            episodes is an expectation.
        value: By discount, the target policy's exact value, from the Bellman equation.
        action_values: By discount, the target policy's Q by steps left and pair, [4, 2, 2].
    """

    log: LoggedSteps
    value: dict[float, float]
    action_values: dict[float, np.ndarray]


START = np.array([0.6, 0.4])
TARGET = np.array([[0.8, 0.2], [0.3, 0.7]])
BEHAVIOUR = np.array([[0.5, 0.5], [0.9, 0.1]])
MOVE = np.array([[[0.5, 0.3], [0.1, 0.6]], [[0.7, 0.1], [0.2, 0.5]]])  # the rest ends the episode
REWARD = np.array([[1.0, -2.0], [0.5, 3.0]])
HORIZON = 3


def _episodes(state, steps, probability):
    """Yield (probability, rows) of every episode from a state on; a row is (state, action, next state or -1)."""
    for action in range(2):
        taken = probability * BEHAVIOUR[state, action]
        yield taken * (1 - MOVE[state, action].sum()), [(state, action, -1)]
        for after in range(2):
            reached = taken * MOVE[state, action, after]
            if steps == 1:
                yield reached, [(state, action, -1)]
            else:
                for chance, rest in _episodes(after, steps - 1, reached):
                    yield chance, [(state, action, after), *rest]


@pytest.fixture(scope="session")
def every_episode():
    found = [one for state in range(2) for one in _episodes(state, HORIZON, START[state])]
    rows = [
        (number, step, state, action, after, chance)
        for number, (chance, steps) in enumerate(found)
        for step, (state, action, after) in enumerate(steps)
    ]
    episode, step, state, action, after, chance = (np.array(column) for column in zip(*rows, strict=True))
    terminated = np.append(episode[1:] != episode[:-1], True)
    following = np.where(terminated, 0, after)
    log = LoggedSteps(
        2,
        episode,
        step,
        action,
        REWARD[state, action],
        terminated,
        np.zeros(len(rows), dtype=bool),
        observation=state,
        next_observation=following,
        behaviour_probability=BEHAVIOUR[state, action],
        target_probability=TARGET[state],
        next_target_probability=TARGET[following],
        weight=chance,
    )
    action_values = {}
    for discount in (0.9, 1.0):
        left = [np.zeros((2, 2))]
        for _ in range(HORIZON):
            left.append(REWARD + discount * MOVE @ (TARGET * left[-1]).sum(axis=1))
        action_values[discount] = np.array(left)
    value = {discount: float(START @ (TARGET * q[-1]).sum(axis=1)) for discount, q in action_values.items()}
    return EveryEpisode(log, value, action_values)


@pytest.fixture(scope="session")
def draw_episodes(every_episode):
    """Return a function that draws a log of so many episodes, without weights, from a seed."""

    def draw(episodes, seed):
        log = every_episode.log
        chosen = np.random.default_rng(seed).choice(log.episodes, episodes, p=log.weight[log.first])
        length = (log.last - log.first + 1)[chosen]
        rows = np.concatenate([np.arange(log.first[one], log.last[one] + 1) for one in chosen])
        columns = ("step", "action", "reward", "terminated", "truncated", "observation", "next_observation")
        columns += ("behaviour_probability", "target_probability", "next_target_probability")
        taken = {name: getattr(log, name)[rows] for name in columns}
        return LoggedSteps(2, np.repeat(np.arange(episodes), length), **taken)

    return draw
