"""A process that plays games for another one."""

import contextlib
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

from sandtable.agents.policy_spec import PolicyOptions, load_policy
from sandtable.analysis.play.environment import EnvironmentChoice
from sandtable.analysis.play.games import GameRow, Host, NobodyListensError, Reused, close_quietly, play
from sandtable.simulators.errors import InputError


class Pipe:
    """The line to the process that asks for games (see ``games.Line``): seeds come in, rows go out.

    Args:
        connection: This end of it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._seeds: deque[int] = deque()

    def seed(self, wait: bool) -> int | None:
        """Return the seed of the next game; None if there is none yet, unless told to wait."""
        self.look()
        if wait and not self._seeds:
            self._receive()
        return self._seeds.popleft() if self._seeds else None

    def look(self) -> None:
        """Take in what has arrived.

        Raises:
            NobodyListensError: The other end is closed.
        """
        while self._connection.poll():
            self._receive()

    def send(self, message: GameRow | Exception) -> None:
        """Tell how a game ended, or what makes it useless to go on."""
        try:
            self._connection.send(message)
        except OSError as error:
            raise NobodyListensError from error

    def _receive(self) -> None:
        try:
            self._seeds.append(self._connection.recv())
        except (EOFError, OSError) as error:
            raise NobodyListensError from error


@dataclass(frozen=True)
class Job:
    """What a process needs to play games; it pickles.

    Attributes:
        choice: The environment.
        policy: As the user named it.
        options: How the policy is loaded.
        host: Makes what provides the environments.
    """

    choice: EnvironmentChoice
    policy: str
    options: PolicyOptions
    host: Callable[[EnvironmentChoice], Host] = Reused


def serve(job: Job, seats: int, connection: Connection) -> None:
    """Play the games whose seeds come over a line, several at the same time, and send their rows back.

    What makes it useless to go on is sent as an exception.
    """
    sys.stdout = sys.stderr  # what a policy prints is not the command's output
    line = Pipe(connection)
    try:
        host = job.host(job.choice)
        env = job.choice.make()
        policy = load_policy(job.policy, env.observation_space, env.action_space, job.options)
        close_quietly(env)
        try:
            play(line, host, policy, job.policy, seats)
        finally:
            host.close()
    except NobodyListensError:
        return
    except InputError as error:
        _last_word(line, InputError(str(error)))
    except OSError as error:
        _last_word(line, OSError(error.errno, error.strerror, error.filename))


def _last_word(line: Pipe, error: Exception) -> None:
    with contextlib.suppress(NobodyListensError):
        line.send(error)
