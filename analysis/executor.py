"""How the runs of a sweep are spread: one after the other in this process, or over processes of this machine."""

import contextlib
import functools
import multiprocessing
import os
import pickle
import signal
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

PRELOADED = ["__main__", "sandtable.simulators.random"]
"""What the fork server imports, so that a process that it forks need not."""
THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Outcome:
    """What became of one call.

    Attributes:
        config: What the function was called with.
        value: What it returned; None if it failed.
        error: None, or the traceback of what it raised, or how its process ended.
    """

    config: Any
    value: Any = None
    error: str | None = None


class Executor(Protocol):
    """Calls a function on many configurations."""

    def map(self, function: Callable[[Any], Any], configs: Iterable[Any]) -> Generator[Outcome]:
        """Yield the outcome of each call in the order of ``configs``; a call that fails does not stop the others."""


@dataclass(frozen=True)
class InProcess:
    """One call after the other, here; each when its outcome is asked for."""

    def map(self, function: Callable[[Any], Any], configs: Iterable[Any]) -> Generator[Outcome]:
        """See ``Executor``."""
        return (_attempt(function, config) for config in configs)


@dataclass(frozen=True)
class ProcessPool:
    """Calls spread over processes of one thread each (``OMP_NUM_THREADS=1``).

    The processes come from a fork server, so they inherit no threads and no CUDA context; a script that uses the pool
    needs ``if __name__ == "__main__"``. A process that dies (out of memory, a crash) fails its own call alone and is
    replaced. Leaving the iteration early, by Ctrl-C or otherwise, ends the processes.

    Attributes:
        workers: How many processes, at least 1.
    """

    workers: int

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, not {self.workers}")

    def map(self, function: Callable[[Any], Any], configs: Iterable[Any]) -> Generator[Outcome]:
        """See ``Executor``; ``function``, configurations and values must pickle."""
        serve = functools.partial(_answer, function)
        waiting = deque(enumerate(configs))
        idle: list[Worker] = []
        busy: dict[Worker, tuple[int, Any]] = {}
        done: dict[int, Outcome] = {}
        turn = 0
        try:
            while waiting or busy:
                while waiting and len(busy) < self.workers:
                    worker = idle.pop() if idle else Worker(serve)
                    index, config = busy[worker] = waiting.popleft()
                    worker.connection.send(config)
                ready = wait([worker.connection for worker in busy])
                for worker in [worker for worker in busy if worker.connection in ready]:
                    index, config = busy.pop(worker)
                    try:
                        done[index] = worker.connection.recv()
                        idle.append(worker)
                    except (EOFError, ConnectionError):
                        done[index] = Outcome(config, error=f"the process of this run {worker.obituary()}")
                while turn in done:
                    yield done.pop(turn)
                    turn += 1
        finally:
            for worker in [*idle, *busy]:
                worker.stop()


class Worker:
    """A process of one thread that works for this one, and this end of the line to it.

    Args:
        serve: Called in the process with the other end of the line, until it returns; it must pickle.
    """

    def __init__(self, serve: Callable[[Connection], None]) -> None:
        start = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        context = multiprocessing.get_context(start)
        if start == "forkserver":
            context.set_forkserver_preload(PRELOADED)
        self.connection, theirs = context.Pipe()
        pickled = pickle.dumps(serve)
        self.process: BaseProcess = context.Process(target=_begin, args=(theirs, pickled))  # type: ignore[attr-defined]
        with _one_thread():  # the first process starts the fork server, which must have no threads, either
            self.process.start()
        theirs.close()

    def obituary(self) -> str:
        """Say how the process ended."""
        self.process.join()
        code = self.process.exitcode or 0
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"

    def stop(self, patience: float = 0.0) -> None:
        """End the process, whatever it is doing.

        Args:
            patience: Seconds in which it may end by itself, now that the line is closed.
        """
        self.connection.close()
        if patience:
            self.process.join(patience)
        self.process.terminate()
        self.process.join()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let processes that start meanwhile compute with one thread."""
    before = os.environ.get(THREADS)
    os.environ[THREADS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[THREADS]
        else:
            os.environ[THREADS] = before


def _begin(connection: Connection, pickled: bytes) -> None:
    """Serve at the other end of a line.

    What serves arrives pickled, because reading it imports what counts the threads: that must come second.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the parent decides
    os.environ[THREADS] = "1"
    pickle.loads(pickled)(connection)


def _answer(function: Callable[[Any], Any], connection: Connection) -> None:
    """Answer configurations with outcomes until the other end is closed."""
    while True:
        try:
            config = connection.recv()
        except EOFError:
            return
        outcome = _attempt(function, config)
        try:
            connection.send(outcome)
        except ConnectionError:  # whoever asked was killed
            return
        except (pickle.PicklingError, TypeError, AttributeError):
            connection.send(Outcome(config, error=traceback.format_exc()))


def _attempt(function: Callable[[Any], Any], config: Any) -> Outcome:
    try:
        return Outcome(config, function(config))
    except Exception:
        return Outcome(config, error=traceback.format_exc())
