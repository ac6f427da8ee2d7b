"""Games played to their end: one process's share of them."""

import dataclasses
import time
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import gymnasium as gym
import numpy as np

from sandtable.agents.policy_spec import Policy, Turn, checked_action
from sandtable.analysis.play.environment import EnvironmentChoice
from sandtable.simulators.errors import InputError
from sandtable.simulators.user_function import on_one_line

LOST = "lost"
MEASURES = ("score", "turns", "depth", "experience_level")
"""What an environment may tell of a game in its ``info``."""
LOOKS = 64
"""Steps after which a process that plays looks whether anybody is still interested."""


@dataclass(frozen=True)
class GameRow:
    """How a game ended.

    Attributes:
        seed: Of the game.
        end: ``terminated``, ``truncated``, ``step_limit``; what the environment calls it; or ``lost``: the game could
            not be played to its end.
        score, turns, depth, experience_level: What the environment told last; None where it tells no such thing.
        total: Sum of the rewards; None for a game that was lost.
        length: Steps; None for a game that was lost.
        reproducible: Whether the environment says that the seed decides everything; None where it says nothing.
        reason: Why a game was lost.
        cpu_seconds: What the process used since the last game that it finished.
    """

    seed: int
    end: str
    score: float | None = None
    turns: float | None = None
    depth: float | None = None
    experience_level: float | None = None
    total: float | None = None
    length: int | None = None
    reproducible: bool | None = None
    reason: str = ""
    cpu_seconds: float = 0.0

    @property
    def lost(self) -> bool:
        """Whether the game is in no mean."""
        return self.end == LOST


class Host(Protocol):
    """Provides the environments in which games are played."""

    def begin(self, seed: int) -> gym.Env[Any, Any]:
        """Return an environment for a game."""

    def end(self, env: gym.Env[Any, Any], row: GameRow) -> None:
        """Take an environment back."""

    def close(self) -> None:
        """Close all of them, also those in which a game is under way."""


class Reused:
    """Plays one game after the other in the same environments; see ``Host``.

    Args:
        choice: Which environment.
    """

    def __init__(self, choice: EnvironmentChoice) -> None:
        self.choice = choice
        self.idle: list[gym.Env[Any, Any]] = []
        self.busy: list[gym.Env[Any, Any]] = []

    def begin(self, seed: int) -> gym.Env[Any, Any]:
        """See ``Host``."""
        env = self.idle.pop() if self.idle else self.choice.make()
        self.busy.append(env)
        return env

    def end(self, env: gym.Env[Any, Any], row: GameRow) -> None:
        """See ``Host``; one that lost a game is not used again."""
        self.busy = [one for one in self.busy if one is not env]
        if row.lost:
            close_quietly(env)
        else:
            self.idle.append(env)

    def close(self) -> None:
        """See ``Host``."""
        for env in (*self.idle, *self.busy):
            close_quietly(env)


def close_quietly(env: gym.Env[Any, Any]) -> None:
    """Close an environment, however broken it is."""
    try:
        env.close()
    except Exception:
        return


@dataclass(slots=True)
class Seat:
    """A game under way.

    Attributes:
        env: Where it is played.
        turn: What the policy sees of it.
        total: Sum of the rewards so far.
        info: What the environment told last.
    """

    env: gym.Env[Any, Any]
    turn: Turn
    total: float = 0.0
    info: dict[str, Any] = field(default_factory=dict)


class NobodyListensError(Exception):
    """The process that asked for the games is gone."""


class Line(Protocol):
    """The line to who asks for games; each of these may raise ``NobodyListensError``."""

    def seed(self, wait: bool) -> int | None:
        """Return the seed of the next game; None if there is none yet, unless told to wait."""

    def look(self) -> None:
        """See whether somebody is still at the other end."""

    def send(self, row: GameRow) -> None:
        """Tell how a game ended."""


def play(line: Line, host: Host, policy: Policy, name: str, seats: int) -> NoReturn:
    """Play games for as long as somebody asks for them.

    Args:
        line: Where seeds come from and rows go to.
        host: Provides the environments.
        policy: Acts.
        name: What the policy is called.
        seats: How many games are under way at the same time, at most.

    Raises:
        NobodyListensError: The other end of the line is closed.
        InputError: The policy fails, or an environment finds something that the user can put right.
    """
    tally = _Tally(line, host)
    taken: list[Seat] = []
    steps = 0
    while True:
        while len(taken) < seats and (seed := line.seed(wait=not taken)) is not None:
            seat = tally.begin(seed)
            if seat is not None:
                taken.append(seat)
        if not taken:  # the one that was to begin was lost
            continue
        actions = policy.act([seat.turn for seat in taken])
        going = []
        for seat, action in zip(taken, actions, strict=True):
            usable = checked_action(action, seat.env.action_space, name, seat.turn)
            if not tally.step(seat, usable):
                going.append(seat)
        taken = going
        steps += 1
        if steps % LOOKS == 0:
            line.look()


class _Tally:
    """Moves games on, and sends the row of each that ended."""

    def __init__(self, line: Line, host: Host) -> None:
        self.line, self.host = line, host
        self._cpu = time.process_time()

    def begin(self, seed: int) -> Seat | None:
        """Start a game; None if it is lost before it began."""
        env = self.host.begin(seed)
        seat = Seat(env, Turn(seed, 0, None))
        try:
            seat.turn.observation, seat.info = env.reset(seed=seed)
        except InputError:
            raise
        except Exception as error:
            self._lost(seat, error)
            return None
        return seat

    def step(self, seat: Seat, action: Any) -> bool:
        """Act in a game; return whether that ended it."""
        turn = seat.turn
        try:
            turn.observation, reward, terminated, truncated, seat.info = seat.env.step(action)
        except InputError:
            raise
        except Exception as error:
            self._lost(seat, error)
            return True
        turn.step += 1
        seat.total += float(reward)
        if terminated or truncated:
            self._send(seat, ended(seat, bool(terminated)))
            return True
        return False

    def _lost(self, seat: Seat, error: Exception) -> None:
        self._send(seat, GameRow(seat.turn.seed, LOST, reason=f"the environment raised {on_one_line(error)}"))

    def _send(self, seat: Seat, row: GameRow) -> None:
        self.host.end(seat.env, row)
        now = time.process_time()
        self.line.send(dataclasses.replace(row, cpu_seconds=now - self._cpu))
        self._cpu = now


def ended(seat: Seat, terminated: bool) -> GameRow:
    """Return how a game ended."""
    turn, info = seat.turn, seat.info
    limit = None if seat.env.spec is None else seat.env.spec.max_episode_steps
    cut = "step_limit" if turn.step == limit else "truncated"
    end = info.get("end") or ("terminated" if terminated else cut)
    if end == LOST:
        return GameRow(turn.seed, LOST, reason="the environment lost it")
    score, turns, depth, level = (_number(info.get(name)) for name in MEASURES)
    reproducible = info.get("reproducible")
    return GameRow(
        seed=turn.seed,
        end=str(end),
        score=score,
        turns=turns,
        depth=depth,
        experience_level=level,
        total=seat.total,
        length=turn.step,
        reproducible=None if reproducible is None else bool(reproducible),
    )


def _number(value: Any) -> float | None:
    """Return one number of the environment's; None if it is none."""
    numbers = np.asarray(value)
    return float(numbers.reshape(())) if numbers.size == 1 and numbers.dtype.kind in "iubf" else None
