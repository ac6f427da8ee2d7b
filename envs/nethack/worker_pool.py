"""Processes that wait for a message, work on shared memory, and answer by one byte.

Each worker is an interpreter of its own, so it inherits neither threads nor locks nor a GPU's context, and a script
needs no ``if __name__ == "__main__"``. Two pipes lead to it. A pipe that ends tells that the other side has gone: a
worker whose parent dies, however it dies, ends; a worker that dies is replaced, and its owner is told.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import weakref
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

from sandtable.simulators.errors import InputError

GO = b"\n"
"""The shortest message; every message is a line."""
_READY = b"."  # an answer: the worker has started, or has done what was asked
_FAILED = b"!"  # an answer: the worker gives up; a JSON object says why
_PATIENCE = 5000  # milliseconds that a worker has to clear up before it is killed
_BOOT = (
    "import json, sys; job = json.loads(sys.argv[1]); sys.path[:] = job['path'];"
    "from importlib import import_module; import_module(job['module']).main(job)"
)


class WorkerPool:
    """Workers that all run ``main(job)`` of one module.

    ``job`` is what was given here for that worker, and ``memory``, the descriptor of the shared memory. ``main`` calls
    ``serve``. Temporary files of a worker vanish with it, also if it was killed.

    Args:
        module: Where ``main`` is.
        jobs: What each worker is told, as JSON.
        memory: Descriptor of the shared memory; the pool closes it.

    Raises:
        InputError: A worker says that its input cannot be used.
        RuntimeError: A worker failed, or died, before it was ready.
    """

    def __init__(self, module: str, jobs: list[dict[str, Any]], memory: int) -> None:
        self._module, self._jobs, self._memory = module, jobs, memory
        self._workers: list[_Worker] = []
        self._finalizer = weakref.finalize(self, _end_all, self._workers, memory, os.getpid())
        try:
            for job in jobs:
                self._workers.append(_Worker(module, job, memory))
            for worker in self._workers:
                worker.await_start()
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> tuple[int, ...]:
        """Process numbers of the workers."""
        return tuple(worker.process.pid for worker in self._workers)

    def exchange(self, message: bytes) -> list[int]:
        """Send a message to all workers, wait for their answers, and return the indices of those that had died.

        Those were replaced by new ones, which know nothing of what was before. Whatever interrupts this, be it Ctrl-C,
        ends the workers, since what they do and what this side knows would no longer agree.

        Raises:
            InputError: A worker says that its input cannot be used.
            RuntimeError: A worker failed; a new one died before it was ready.
        """
        try:
            for worker in self._workers:
                worker.send(message)
            dead = [index for index, worker in enumerate(self._workers) if not worker.receive()]
            if dead:
                self._replace(dead)
        except BaseException:
            self.close()
            raise
        return dead

    def close(self) -> None:
        """End the workers and give back the memory; a second call does nothing."""
        self._finalizer()

    def _replace(self, dead: Iterable[int]) -> None:
        """Start new workers in the place of those that have died."""
        for index in dead:
            self._workers[index].end()
            self._workers[index] = _Worker(self._module, self._jobs[index], self._memory)
        for index in dead:
            self._workers[index].await_start()


class OwnProcess:
    """In the place of a ``WorkerPool``: this process does the work itself.

    Nothing has to be woken, and what ends the work ends this process.

    Args:
        start: As for ``serve``.
        memory: Descriptor of the shared memory; closed at the end.
    """

    pids: tuple[int, ...] = ()

    def __init__(self, start: Callable[[ExitStack], Callable[[bytes], None]], memory: int) -> None:
        with ExitStack() as stack:
            stack.callback(os.close, memory)
            self._work: Callable[[bytes], None] | None = start(stack)
            self._finalizer = weakref.finalize(self, stack.pop_all().close)

    def exchange(self, message: bytes) -> list[int]:
        """Do the work of a message; nobody has died."""
        assert self._work is not None, "closed"
        try:
            self._work(message)
        except BaseException:
            self.close()
            raise
        return []

    def close(self) -> None:
        """End the work; a second call does nothing."""
        self._finalizer()
        self._work = None  # which holds the arrays


def serve(job: dict[str, Any], start: Callable[[ExitStack], Callable[[bytes], None]]) -> None:
    """Be a worker: start, answer messages until there are no more, and clear up.

    Args:
        job: What ``main`` was given.
        start: Makes what does the work: it returns what to call with each message, a line. What it enters into the
            stack is left at the end.
    """
    requests, answers = job["requests"], job["answers"]
    try:
        with ExitStack() as stack:
            work = start(stack)
            os.write(answers, _READY)
            while message := os.read(requests, 4096):
                while not message.endswith(b"\n"):
                    message += os.read(requests, 4096)
                work(message)
                os.write(answers, _READY)
    except BrokenPipeError:  # the parent is gone
        pass
    except Exception as error:
        known = isinstance(error, InputError)
        failure = {"input": known, "message": str(error) if known else traceback.format_exc()}
        os.write(answers, _FAILED + json.dumps(failure).encode())
    finally:
        shutil.rmtree(job["folder"], ignore_errors=True)


class _Worker:
    """A process and this side's ends of the pipes to it."""

    def __init__(self, module: str, job: dict[str, Any], memory: int) -> None:
        self.folder = tempfile.mkdtemp(prefix="sandtable")
        (requests, write), (read, answers) = os.pipe(), os.pipe()
        self.requests, self.answers = open(write, "wb", 0), open(read, "rb", 0)  # noqa: SIM115
        job = job | {"memory": memory, "requests": requests, "answers": answers, "folder": self.folder}
        job |= {"module": module, "path": [entry for entry in sys.path if isinstance(entry, str)]}
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", _BOOT, json.dumps(job)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(memory, requests, answers),
                env=os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": self.folder},
                process_group=0,  # Ctrl-C reaches the processes of a terminal's group; this side decides
            )
        except BaseException:
            self.hang_up()
            self.answers.close()
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        finally:
            os.close(requests)
            os.close(answers)

    def send(self, message: bytes) -> None:
        """Send a message, a line; that nobody takes it is seen when nobody answers."""
        try:
            sent = self.requests.write(message)
            while sent < len(message):  # a pipe takes 64 KiB at once
                sent += self.requests.write(message[sent:])
        except BrokenPipeError:
            pass

    def receive(self) -> bool:
        """Wait for the answer; tell whether there was one, or raise what the worker failed of."""
        answer = self.answers.read(1)
        if answer != _FAILED:
            return answer == _READY
        failure = json.loads(self.answers.readall())
        raise InputError(failure["message"]) if failure["input"] else RuntimeError(failure["message"])

    def await_start(self) -> None:
        """Wait until the worker is ready."""
        if not self.receive():
            raise RuntimeError(f"a worker process {_obituary(self.process.wait())} before it was ready")

    def hang_up(self) -> None:
        """Tell the process that there is nothing more to do."""
        self.requests.close()

    def end(self) -> None:
        """End the process, gently if it listens, and remove what it left; a second call does nothing."""
        if self.answers.closed:
            return
        try:
            self.hang_up()
            listener = select.poll()
            listener.register(self.answers, 0)  # of all events, the end of the pipe alone
            listener.poll(_PATIENCE)
        finally:
            self.answers.close()
            self.process.kill()
            self.process.wait()
            shutil.rmtree(self.folder, ignore_errors=True)


def _end_all(workers: list[_Worker], memory: int, owner: int) -> None:
    """End the workers of this process; a fork of it only lets go of its own ends."""
    os.close(memory)
    for worker in workers:
        worker.hang_up()  # all, so that they clear up at the same time
    with ExitStack() as last:  # an interruption of one end does not keep the others from theirs
        for worker in workers:
            last.callback(worker.end if os.getpid() == owner else worker.answers.close)
    workers.clear()


def _obituary(code: int) -> str:
    """Say how a process ended."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
