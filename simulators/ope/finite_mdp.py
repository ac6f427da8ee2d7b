"""FiniteMDP: a finite decision process with linear features, a target policy and data, as arrays; all of it exact."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple, Self

import numpy as np

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.diagnostics import Diagnostics, diagnose
from sandtable.simulators.ope.moments import Moments

RewardLaw = Literal["normal", "sign"]
_TOLERANCE = 1e-9  # of sums of probabilities, and of what counts as linear


class Exact(NamedTuple):
    """What an infinite log would tell.

    Attributes:
        moments: Of one transition from the data distribution.
        theta: [d], with which the features give the action values of the target policy; None where none do.
        value: Of the target policy from the initial distribution, not normalised by the discount.
        diagnostics: Which linear estimators these moments can serve.
    """

    moments: Moments
    theta: np.ndarray | None
    value: float
    diagnostics: Diagnostics


@dataclass(frozen=True)
class FiniteMDP:
    """S states, A actions and d features of the pairs, float64.

    The reward of action a in state s that leads to s' is ``pair_rewards[s, a] + arrival_rewards[s']`` and noise, normal
    or such that the reward is -1 or +1. Terminal states are indices like others; nothing follows them, their features
    and rewards are 0, and no data lies there.

    Attributes:
        name: Of the instance.
        features: phi, [S, A, d]; 0 in terminal states.
        transitions: P, [S, A, S]; each row sums to 1.
        pair_rewards: [S, A].
        terminal: bool [S].
        initial: Distribution of the first state, [S].
        target: pi, the policy to be evaluated, [S, A].
        data: mu, the distribution of logged pairs, [S, A]; it need not be one that a policy brings about.
        behaviour: The policy that acts in logged episodes, [S, A].
        discount: In [0, 1]; 1 only if the target policy ends every episode.
        theta: [d] with ``features @ theta`` the action values of the target policy; None where there is none, or where
            it is to be found (``parameters``).
        arrival_rewards: [S]; None: 0.
        reward_noise: Standard deviation of the reward given (s, a, s'), [S, A]; None: 0.
        reward_law: ``normal``; or ``sign``: where ``reward_noise`` is not 0, the reward is -1 or +1, with mean
            ``pair_rewards`` and, so, deviation ``sqrt(1 - mean^2)``.
        horizon: After how many steps a logged episode is truncated.

    Raises:
        InputError: An array has another shape, is not finite, or is no distribution.
    """

    name: str
    features: np.ndarray
    transitions: np.ndarray
    pair_rewards: np.ndarray
    terminal: np.ndarray
    initial: np.ndarray
    target: np.ndarray
    data: np.ndarray
    behaviour: np.ndarray
    discount: float
    theta: np.ndarray | None = None
    arrival_rewards: np.ndarray | None = None
    reward_noise: np.ndarray | None = None
    reward_law: RewardLaw = "normal"
    horizon: int = 100

    def __post_init__(self) -> None:
        object.__setattr__(self, "discount", checked_discount(self.discount, f"{self.name}: "))
        states, actions, d = np.shape(self.features)
        pairs = (states, actions)
        shapes = {"transitions": (*pairs, states), "pair_rewards": pairs, "initial": (states,), "target": pairs}
        shapes |= {"data": pairs, "behaviour": pairs, "arrival_rewards": (states,), "reward_noise": pairs}
        for name, shape in (shapes | {"features": (*pairs, d), "theta": (d,)}).items():
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _numbers(f"{self.name}: {name}", getattr(self, name), shape))
        for name, shape in (("arrival_rewards", (states,)), ("reward_noise", pairs)):
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.zeros(shape))
        object.__setattr__(self, "terminal", np.asarray(self.terminal, bool))
        if self.terminal.shape != (states,):
            raise InputError(f"{self.name}: terminal has shape {self.terminal.shape}; it must be ({states},)")
        check_distributions(f"{self.name}: data", self.data.ravel(), self.data)
        for name in ("transitions", "target", "behaviour", "initial"):
            check_distributions(f"{self.name}: {name}", getattr(self, name))
        self._check_terminal()
        if int(self.horizon) != self.horizon or self.horizon < 1:
            raise InputError(f"{self.name}: horizon is {self.horizon}; it must be a whole number, at least 1")
        self._check_noise()

    def _check_terminal(self) -> None:
        """Refuse features, rewards, data or starts in terminal states."""
        for name in ("features", "pair_rewards", "data", "initial"):
            array = getattr(self, name)
            held = self.terminal & np.any(array != 0, axis=tuple(range(1, array.ndim)))
            if held.any():
                state = int(np.argmax(held))
                raise InputError(f"{self.name}: {name} of state {state} must be 0: the state is terminal")

    def _check_noise(self) -> None:
        """Refuse noise that the law of the rewards does not allow."""
        if self.reward_law not in ("normal", "sign"):
            raise InputError(f"{self.name}: reward_law is {self.reward_law!r}; it must be 'normal' or 'sign'")
        if (self.noise < 0).any():
            raise InputError(f"{self.name}: reward_noise is a standard deviation and must not be negative")
        noisy = self.noise > 0
        square = self.pair_rewards**2 + self.noise**2
        if self.reward_law == "sign" and not np.allclose(square[noisy], 1.0, atol=_TOLERANCE):
            raise InputError(f"{self.name}: rewards of -1 or +1 with mean m have reward_noise sqrt(1 - m^2)")

    @property
    def states(self) -> int:
        """Return how many states there are, S, the terminal ones included."""
        return self.transitions.shape[0]

    @property
    def actions(self) -> int:
        """Return how many actions there are, A."""
        return self.transitions.shape[1]

    @property
    def arrival(self) -> np.ndarray:
        """Return the part of the reward that depends on the state arrived at, [S]."""
        return np.zeros(self.states) if self.arrival_rewards is None else self.arrival_rewards

    @property
    def noise(self) -> np.ndarray:
        """Return the standard deviation of the reward given (s, a, s'), [S, A]."""
        return np.zeros((self.states, self.actions)) if self.reward_noise is None else self.reward_noise

    @cached_property
    def rewards(self) -> np.ndarray:
        """Return the mean reward of each pair, [S, A]; 0 in terminal states."""
        return np.where(self.terminal[:, None], 0.0, self.pair_rewards + self.transitions @ self.arrival)

    @cached_property
    def state_features(self) -> np.ndarray:
        """Return the mean features of each state under the target policy, [S, d]."""
        return np.einsum("sa,sad->sd", self.target, self.features)

    def next_features(self) -> np.ndarray:
        """Return the mean features after each pair under the target policy, [S, A, d]; 0 in terminal states."""
        return np.where(self.terminal[:, None, None], 0.0, self.transitions @ self.state_features)

    @cached_property
    def _moments(self) -> Moments:
        d = self.features.shape[-1]
        phi, mu = self.features.reshape(-1, d), self.data.ravel()
        weighted = phi * mu[:, None]
        arrived = mu @ self.transitions.reshape(-1, self.states)
        after = (arrived[:, None] * self.target).ravel()  # of the next pair
        mean_square = self.pair_rewards**2 + 2 * self.pair_rewards * (self.transitions @ self.arrival)
        mean_square = mean_square + self.transitions @ self.arrival**2 + self.noise**2
        return Moments(
            weight=1.0,
            rows=0,
            covariance=weighted.T @ phi,
            cross_covariance=weighted.T @ self.next_features().reshape(-1, d),
            reward_moment=weighted.T @ self.rewards.ravel(),
            reward_square=np.asarray(mu @ mean_square.ravel()),
            initial_features=self.initial @ self.state_features,
            initial_weight=1.0,
            next_covariance=(phi * after[:, None]).T @ phi,
            next_features="mean",
            next_covariance_from="enumerated",
            next_reward_moment=mu @ self._next_rewards().reshape(-1, d),
        )

    def _next_rewards(self) -> np.ndarray:
        """Return the mean of phi' r after each pair, [S, A, d]: the reward may depend on the state arrived at."""
        paid = self.transitions @ (self.arrival[:, None] * self.state_features)
        return np.where(self.terminal[:, None, None], 0.0, paid + self.pair_rewards[..., None] * self.next_features())

    def moments(self) -> Moments:
        """Return the exact moments of one transition from the data distribution."""
        return self._moments

    def values(self, discount: float | None = None) -> np.ndarray:
        """Return the value of each state under the target policy, [S]; 0 in terminal states.

        Args:
            discount: In [0, 1]; None: the instance's own.

        Raises:
            InputError: The discount is out of range, or is 1 and an episode can go on for ever.
        """
        discount = checked_discount(self.discount if discount is None else discount)
        going = ~self.terminal
        chain = np.einsum("sa,sat->st", self.target, self.transitions)
        if discount == 1:
            self._check_proper(chain)
        rewards = np.einsum("sa,sa->s", self.target, self.rewards)
        values = np.zeros(self.states)
        system = np.eye(int(going.sum())) - discount * chain[np.ix_(going, going)]
        values[going] = np.linalg.solve(system, rewards[going])
        return values

    def _check_proper(self, chain: np.ndarray) -> None:
        """Refuse a target policy under which some state never leads to a terminal one."""
        ending = self.terminal.copy()
        for _ in range(self.states):
            reached = ending | (chain[:, ending] > 0).any(axis=1)
            if (reached == ending).all():
                break
            ending = reached
        if not ending.all():
            state = int(np.argmin(ending))
            raise InputError(
                f"{self.name}: discount 1, but from state {state} the target policy never ends the episode, "
                "so its value is not finite; take a discount below 1"
            )

    def action_values(self, discount: float | None = None) -> np.ndarray:
        """Return the value of each pair under the target policy, [S, A]; arguments and errors as for ``values``."""
        discount = checked_discount(self.discount if discount is None else discount)
        following = self.transitions @ self.values(discount)
        return np.where(self.terminal[:, None], 0.0, self.rewards + discount * following)

    def value(self, discount: float | None = None) -> float:
        """Return the value from the initial distribution; arguments and errors as for ``values``."""
        return float(self.initial @ self.values(discount))

    def parameters(self, discount: float | None = None) -> np.ndarray | None:
        """Return [d] with which the features give the action values of every pair; None where there is none.

        Of several, ``theta`` if it is one of them, else the shortest. Arguments and errors as for ``values``.
        """
        values = self.action_values(discount).ravel()
        phi = self.features.reshape(len(values), -1)
        shortest = np.linalg.lstsq(phi, values, rcond=None)[0]
        for theta in (self.theta, shortest):
            if theta is not None and np.abs(phi @ theta - values).max() <= _TOLERANCE * max(1.0, np.abs(values).max()):
                return theta
        return None

    def exact(self, discount: float | None = None) -> Exact:
        """Return what an infinite log would tell; arguments and errors as for ``values``."""
        discount = checked_discount(self.discount if discount is None else discount)
        return Exact(self.moments(), self.parameters(discount), self.value(discount), diagnose(self, discount))

    def with_data(self, data: Any) -> Self:
        """Return the same world with other data [S, A]; the behaviour policy is that of the data.

        In states without data it acts uniformly at random.

        Raises:
            InputError: ``data`` has another shape, is negative, does not sum to 1, or lies on terminal states.
        """
        data = _numbers(f"{self.name}: data", data, (self.states, self.actions))
        return replace(self, data=data, behaviour=policy_of(data))

    def with_noise(self, noise: float) -> Self:
        """Return the same world with normal noise of standard deviation ``noise`` on every reward."""
        deviation = np.where(self.terminal[:, None], 0.0, np.full((self.states, self.actions), float(noise)))
        return replace(self, reward_noise=deviation, reward_law="normal")


def policy_of(data: np.ndarray) -> np.ndarray:
    """Return the share of each action in each state, [S, A], of a distribution over pairs; uniform where it is 0."""
    mass = data.sum(axis=1, keepdims=True)
    return np.where(mass > 0, data / np.where(mass > 0, mass, 1.0), 1.0 / data.shape[1])


def checked_discount(discount: Any, where: str = "") -> float:
    """Return the discount, or refuse it; ``where`` begins the message."""
    if not isinstance(discount, int | float | np.number) or not 0 <= discount <= 1:
        raise InputError(f"{where}discount is {discount!r}; it must lie in [0, 1]")
    return float(discount)


def check_distributions(name: str, array: np.ndarray, shown: np.ndarray | None = None) -> None:
    """Refuse rows, along the last axis, that are no distributions; the message says where.

    Args:
        name: What it is, for the message.
        array: [..., k].
        shown: The array in the shape in which the user knows it.
    """
    negative = np.argwhere((array if shown is None else shown) < 0)
    if len(negative):
        where = ", ".join(str(int(i)) for i in negative[0])
        raise InputError(f"{name}[{where}] is negative; probabilities are not")
    total = array.sum(axis=-1)
    wrong = np.argwhere(np.abs(total - 1) > _TOLERANCE)
    if len(wrong):
        place = tuple(int(i) for i in wrong[0])
        at = f"[{', '.join(map(str, place))}]" if place else ""
        raise InputError(f"{name}{at} sums to {total[place]:.12g}; it must sum to 1")


def _numbers(name: str, array: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return finite float64 numbers of a shape, or refuse them."""
    try:
        array = np.asarray(array, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be numbers of shape {list(shape)}") from None
    if array.shape != shape:
        raise InputError(f"{name} has shape {list(array.shape)}; it must be {list(shape)}")
    if not np.isfinite(array).all():
        where = ", ".join(str(int(i)) for i in np.argwhere(~np.isfinite(array))[0])
        raise InputError(f"{name}[{where}] is not finite")
    return array
