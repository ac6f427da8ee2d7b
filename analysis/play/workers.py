"""Games spread over processes; a process that dies takes none with it but the one that killed it."""

import functools
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import wait

from sandtable.analysis.executor import Worker
from sandtable.analysis.play.games import LOST, GameRow
from sandtable.analysis.play.process import Job, serve
from sandtable.simulators.errors import InputError

PATIENCE = 5.0
"""Seconds that a process has to put its environments away when it is no longer needed."""
HOPELESS = 3
"""Games lost one after the other, before any was played, after which no more are tried."""


def played(job: Job, seeds: Sequence[int], seats: int, workers: int) -> Iterator[GameRow]:
    """Play games and yield their rows as they end.

    The games of a process that dies are played again, each alone in a process of its own; one whose process dies
    once more is lost. So which games are lost does not depend on which were played side by side.

    Args:
        job: What is played.
        seeds: Of the games.
        seats: Games under way at the same time, in all processes together.
        workers: Processes.

    Raises:
        InputError: The policy fails, or no game can be played at all.
        OSError: A file could not be written.
    """
    crew = _Crew(job)
    try:
        count = max(1, min(workers, len(seeds)))
        yield from crew.play(deque(seeds), count, max(1, seats // count))
        yield from crew.play_alone(workers)
    finally:
        crew.dismiss()


class _Crew:
    """The processes, and the games that each has in hand."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.hands: dict[Worker, list[int]] = {}
        self.suspects: deque[int] = deque()

    def play(self, seeds: deque[int], workers: int, seats: int) -> Iterator[GameRow]:
        """Yield the rows of games played side by side; the games of processes that died become suspects."""
        while seeds or self.hands:
            while seeds and len(self.hands) < workers:
                self._hire(seats, [seeds.popleft() for _ in range(min(seats, len(seeds)))])
            for worker in self._ready():
                message = self._message(worker)
                if message is None:
                    self.suspects += self.hands.pop(worker)
                    worker.obituary()
                    continue
                yield message
                if seeds:
                    self._deal(worker, seeds.popleft())
                elif not self.hands[worker]:
                    self._release(worker)

    def play_alone(self, workers: int) -> Iterator[GameRow]:
        """Yield the rows of the suspects, each played in a process of its own."""
        seeds, self.suspects = self.suspects, deque()
        survived = lost = 0
        while seeds or self.hands:
            while seeds and len(self.hands) < workers:
                self._hire(1, [seeds.popleft()])
            for worker in self._ready():
                message = self._message(worker)
                if message is not None:
                    survived += 1
                    yield message
                    self._release(worker)
                    continue
                (seed,) = self.hands.pop(worker)
                reason = f"its process {worker.obituary()}"
                lost += 1
                if lost >= HOPELESS and not survived and seeds:
                    raise InputError(f"no game can be played: of each of the first {lost} tried alone, {reason}")
                yield GameRow(seed, LOST, reason=reason)

    def dismiss(self) -> None:
        """End all processes, after they have put their environments away."""
        for worker in self.hands:
            worker.connection.close()  # of all first, so that they end side by side
        for worker in self.hands:
            worker.stop(PATIENCE)
        self.hands = {}

    def _hire(self, seats: int, seeds: list[int]) -> None:
        worker = Worker(functools.partial(serve, self.job, seats))
        self.hands[worker] = []
        for seed in seeds:
            self._deal(worker, seed)

    def _deal(self, worker: Worker, seed: int) -> None:
        self.hands[worker].append(seed)
        try:
            worker.connection.send(seed)
        except OSError:
            return  # it died: that is seen when its rows are waited for

    def _release(self, worker: Worker) -> None:
        del self.hands[worker]
        worker.stop(PATIENCE)

    def _ready(self) -> list[Worker]:
        """Wait for messages, or deaths; return whose."""
        ready = wait([worker.connection for worker in self.hands])
        return [worker for worker in self.hands if worker.connection in ready]

    def _message(self, worker: Worker) -> GameRow | None:
        """Return the row of a game that ended, or None if the process is dead.

        Raises:
            InputError, OSError: What the process could not go on with.
        """
        try:
            message = worker.connection.recv()
        except (EOFError, OSError):
            return None
        if isinstance(message, Exception):
            raise message
        self.hands[worker].remove(message.seed)
        return message
