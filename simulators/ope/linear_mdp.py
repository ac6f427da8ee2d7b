"""LinearMDP: a finite world with linear features as a decision process, and as a source of logs."""

from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from sandtable.simulators.arrays import Array, like, namespace, tree_map
from sandtable.simulators.decision_process import DecisionProcess, Step
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.alias import AliasTables, alias_tables, look_up
from sandtable.simulators.ope.finite_mdp import Exact, FiniteMDP
from sandtable.simulators.ope.instances.catalogue import description, parameters_of
from sandtable.simulators.ope.instances.catalogue import instance as build
from sandtable.simulators.ope.logged_steps import LoggedSteps
from sandtable.simulators.ope.moments import Moments
from sandtable.simulators.ope.sampling import Mode, sampled
from sandtable.simulators.random import bits, fold_in, normal, uniform

_START, _MOVE, _REWARD = 0x7374617274, 0x6D6F7665, 0x726577617264  # streams


class LinearState(NamedTuple):
    """Where each row is.

    Attributes:
        key: int64 [*batch].
        episode: int64 [] or [*batch].
        t: int64 [] while all rows are in the same step, else [*batch].
        position: int64 [*batch], the state of the finite world.
        moves: int64 [*batch], the stream of the episode's transitions.
    """

    key: Array
    episode: Array
    t: Array
    position: Array
    moves: Array


class _Tables(NamedTuple):
    """The world as flat arrays on one device; pairs are numbered ``s * A + a``."""

    start: AliasTables
    move: AliasTables
    rewards: Array  # [S A]
    arrival: Array  # [S]
    noise: Array  # [S A]
    terminal: Array  # bool [S]


class LinearMDP(DecisionProcess):
    """A finite Markov decision process whose pairs (s, a) have features phi(s, a).

    Seen: the state, a number. To be chosen: an action, a number. Then the world moves to s' with probability
    P(s' | s, a) and pays a reward. Entering a terminal state terminates the episode; the horizon truncates it. Each
    instance has a target policy, a data distribution over pairs, and the exact value of the one for judging what is
    estimated from the other.

    Args:
        instance: Name of an instance (``instances/catalogue.py``), or a ``FiniteMDP`` of one's own.
        data: Distribution over pairs of logged transitions, [S][A]; None: that of the instance. Given, it also sets the
            behaviour policy of logged episodes: its own shares of actions, uniform in states without data.
        horizon: Steps in an episode, and stages of an instance that has them; None: that of the instance.
        noise: Standard deviation of normal noise on every reward; None: what the instance has.
        **parameters: Those of the instance.

    Attributes:
        observation_space: Discrete(S).
        action_space: Discrete(A).
        mdp: The arrays.

    Raises:
        InputError: There is no such instance or parameter, or a value is out of its range.
    """

    def __init__(
        self,
        instance: str | FiniteMDP = "R1",
        data: Any = None,
        *,
        horizon: int | None = None,
        noise: float | None = None,
        **parameters: Any,
    ) -> None:
        if isinstance(instance, FiniteMDP) and parameters:
            raise InputError(f"a FiniteMDP takes no parameters, not {sorted(parameters)}")
        if not isinstance(instance, FiniteMDP) and horizon is not None and "horizon" in parameters_of(instance):
            parameters["horizon"] = horizon
        mdp = instance if isinstance(instance, FiniteMDP) else build(instance, **parameters)
        mdp = mdp if data is None else mdp.with_data(data)
        self._instance = None if isinstance(instance, FiniteMDP) else instance
        self.mdp = mdp if noise is None else mdp.with_noise(noise)
        self.horizon = mdp.horizon if horizon is None else horizon
        if int(self.horizon) != self.horizon or self.horizon < 1:
            raise InputError(f"horizon is {self.horizon}; it must be a whole number, at least 1")
        self.observation_space: gym.Space[Any] = gym.spaces.Discrete(mdp.states)
        self.action_space: gym.Space[Any] = gym.spaces.Discrete(mdp.actions)
        moves = mdp.transitions.reshape(-1, mdp.states)
        flat = (self.mdp.pair_rewards.ravel(), self.mdp.arrival, self.mdp.noise.ravel(), self.mdp.terminal)
        self._tables = _Tables(alias_tables(mdp.initial[None]), alias_tables(moves), *flat)
        self._moved: dict[str, _Tables] = {}
        self._pays_on_arrival, self._noisy = bool(self.mdp.arrival.any()), bool(self.mdp.noise.any())

    def __getstate__(self) -> dict[str, Any]:
        """Leave the moved copies behind when pickled."""
        return {**self.__dict__, "_moved": {}}

    def _on(self, key: Array) -> _Tables:
        """Return the tables on the library and device of ``key``, moved once."""
        if isinstance(key, np.ndarray):
            return self._tables
        device = str(key.device)
        if device not in self._moved:
            self._moved[device] = tree_map(lambda array: like(key, array), self._tables)
        return self._moved[device]

    def reset(self, key: Array, *, episode: Any = 0, state: Any = None, **options: Any) -> LinearState:
        """Start an episode a row; see ``DecisionProcess.reset``.

        Args:
            key: As there.
            episode: As there.
            state: Where to start, an int or [*batch], in [0, S); None: drawn from the initial distribution.
            **options: There are no others.

        Raises:
            ValueError: There is no such state, or an option that is not known.
        """
        if options:
            raise ValueError(f"LinearMDP takes the reset option 'state' alone, not {sorted(options)}")
        xp = namespace(key)
        stream = fold_in(key, episode)
        zero = xp.zeros((), dtype=xp.int64, device=key.device)
        if state is None:
            position = self._on(key).start.draw(bits(stream, _START), xp.zeros_like(key))
        else:
            position = xp.zeros_like(key) + like(key, self._checked_start(state))
        episode = zero + episode if isinstance(episode, int) else episode
        return LinearState(key, episode, zero, position, fold_in(stream, _MOVE))

    def _checked_start(self, state: Any) -> np.ndarray:
        """Return the states to start in, or refuse them."""
        start = np.asarray(state)
        if start.dtype.kind not in "iu" or (start < 0).any() or (start >= self.mdp.states).any():
            raise ValueError(f"state must be whole numbers in [0, {self.mdp.states}), not {state}")
        if self.mdp.terminal[start].any():
            raise ValueError(f"state must not be terminal; {np.flatnonzero(self.mdp.terminal).tolist()} are")
        return start.astype(np.int64)

    def observe(self, state: LinearState) -> Array:
        """Return the state's number, int64 [*batch]."""
        return state.position

    def step(self, state: LinearState, action: Array) -> Step:
        """Act once; ``action`` is int64 [*batch], in [0, A). The reward is float64; there is no info."""
        tables = self._on(state.key)
        pair = state.position * self.mdp.actions + action
        position = tables.move.draw(bits(state.moves, state.t), pair)
        reward = self._reward(tables, state, pair, position)
        terminated = look_up(tables.terminal, position)
        t = state.t + 1
        truncated = (t >= self.horizon) & ~terminated
        return Step(state._replace(t=t, position=position), reward, terminated, truncated, {})

    def _reward(self, tables: _Tables, state: LinearState, pair: Array, position: Array) -> Array:
        """Return the reward of each row, [*batch]."""
        reward = look_up(tables.rewards, pair)
        if self._pays_on_arrival:
            reward = reward + look_up(tables.arrival, position)
        if not self._noisy:
            return reward
        deviation, stream = look_up(tables.noise, pair), fold_in(state.moves, _REWARD)
        if self.mdp.reward_law == "normal":
            return reward + deviation * normal(stream, state.t)
        xp = namespace(reward)
        sign = xp.where(2 * uniform(stream, state.t) < 1 + reward, 1.0, -1.0)
        return xp.where(deviation > 0, sign, reward)

    def card(self) -> str:
        """Return the rules of the world, and what the instance is."""
        return super().card() if self._instance is None else f"{super().card()}\n\n{description(self._instance)}"

    def features(self) -> np.ndarray:
        """Return phi, [S, A, d]."""
        return self.mdp.features

    def transitions(self) -> np.ndarray:
        """Return P, [S, A, S]."""
        return self.mdp.transitions

    def rewards(self) -> np.ndarray:
        """Return the mean reward of each pair, [S, A]."""
        return self.mdp.rewards

    def target(self) -> np.ndarray:
        """Return the policy to be evaluated, [S, A]."""
        return self.mdp.target

    def data(self) -> np.ndarray:
        """Return the distribution of logged pairs, [S, A]."""
        return self.mdp.data

    def moments(self) -> Moments:
        """Return the exact moments of one transition from the data distribution."""
        return self.mdp.moments()

    def exact(self, discount: float | None = None) -> Exact:
        """Return exact moments, parameters, value and diagnostics; see ``FiniteMDP.exact``."""
        return self.mdp.exact(discount)

    def sample(self, n: int, key: Any, mode: Mode = "iid") -> LoggedSteps:
        """Draw a log.

        Args:
            n: How many: transitions (``iid``) or episodes (``episodes``), at least 1.
            key: A seed, or a key [].
            mode: ``iid``: independent transitions, the pair from the data distribution and the next state from P; such
                rows are parts of no episode. ``episodes``: episodes of the behaviour policy from the initial
                distribution, each to its end or, truncated, to the horizon; episode i is that of key
                ``fold_in(key, i)``.

        Returns:
            The log with features, both policies' probabilities and the features of starts: in ``iid`` their exact mean,
            [1, d]; in ``episodes`` those of each episode's first state. ``behaviour_probability`` is the data's share
            of the action in the state, or the behaviour policy's.

        Raises:
            InputError: ``n`` is less than 1, or the mode is another.
        """
        return sampled(self, n, key, mode)
