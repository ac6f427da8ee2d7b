"""The process of the tests: it asks a worker for answers, compares them by itself, and sends one byte.

It holds tests and expected values; the worker holds the program. Between the two go only values of `codec`'s exact
types, so whatever is compared here is compared by Python's own code. A function of the program is called through a
`Remote`, which also stands for objects that stayed in the worker: it equals nothing.

The tests are foreign as well (they come from a file that somebody made), so this process is confined like the worker.

What a name in tests means, in this order: the entry point; functions of the prompt (`helpers`); builtins and standard
modules of this process; what the setup or the reference binds (`names`), which is in the worker. A program can define
whatever else it likes (`set`, `len`, `math`, `check`): none of it is looked up, so nothing is compared with what a
program made up.

Arguments are passed by value: what a call does to a list is not seen here, unless the list is the worker's own (a name
that the setup binds).

This module uses the standard library alone: processes load it that have no packages.
"""

import builtins
import importlib
import os
import signal
import sys
import types
from collections.abc import Iterator
from typing import Any, NoReturn

from sandtable.simulators.language.sandbox.channel import (
    CALL,
    CALL_KEEPING,
    EXCEPTIONS,
    ITERATE,
    NOT_LOADED,
    RAISED,
    VALUE,
    Channel,
    ChannelError,
    PeerGoneError,
)
from sandtable.simulators.language.sandbox.codec import CodecError, decode, encode
from sandtable.simulators.language.sandbox.jobs import VERDICTS, JudgeJob, decode_judge_job, read_job, seed_randomness
from sandtable.simulators.language.sandbox.streams import discard_streams

# Modules that tests may speak of without importing them; they are imported here, which is before the fork.
STANDARD_MODULES = (
    "array", "bisect", "cmath", "collections", "copy", "datetime", "decimal", "fractions", "functools", "hashlib",
    "heapq", "itertools", "json", "math", "numbers", "operator", "os", "random", "re", "statistics", "string", "sys",
    "time", "typing",
)  # fmt: skip
_MODULES = {name: importlib.import_module(name) for name in STANDARD_MODULES}
_HELPERS, _TESTS = "<helpers>", "<tests>"
_ITERATOR: type[Iterator[Any]] = type(iter([]))


def main(job_fd: int, channel_fd: int, verdict_fd: int) -> NoReturn:
    """Judge one program; the process ends here.

    The soft limit on CPU time, if the kernel signals it, is a verdict too: `cpu` once the worker has been called, for
    then it chooses what this process works on, otherwise `judge_error`. So it is with memory that runs out while a
    verdict is made.

    Args:
        job_fd: Descriptor from which the job is read, and which is then closed.
        channel_fd: Descriptor of the channel to the worker.
        verdict_fd: Descriptor to which one byte is written: 1 + its place in `VERDICTS`.
    """
    program, verdict = Program(Channel(channel_fd)), None
    try:
        discard_streams()
        signal.signal(signal.SIGXCPU, lambda *_: _end(verdict_fd, "cpu" if program.calls else "judge_error"))
        verdict = judge(decode_judge_job(read_job(job_fd)), program)
    finally:
        _end(verdict_fd, verdict or ("memory" if program.calls else "judge_error"))


def _end(verdict_fd: int, verdict: str) -> NoReturn:
    try:
        os.write(verdict_fd, bytes([1 + VERDICTS.index(verdict)]))
    finally:
        os._exit(0)


class WorkerError(Exception):
    """What a program raised that is none of `EXCEPTIONS`."""


class ArgumentError(CodecError):
    """An argument that is no value, such as a function of the tests."""


class Program:
    """The program in the worker: calls go out one at a time, and only the answer to the last one is read.

    Args:
        channel: To the worker.

    Attributes:
        calls: How many calls went out. From the first on, the program decides what this process works on.
        verdict: Known before the tests end: the worker is gone, sends what is no answer, or its program could not be
            loaded. Tests that catch every exception do not change it.
        raised: The last exception that came from the program.
    """

    def __init__(self, channel: Channel) -> None:
        self.calls = 0
        self.verdict: str | None = None
        self.raised: BaseException | None = None
        self._channel = channel

    def ask(self, kind: int, called: "Remote", arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Return the worker's answer, or raise the program's exception.

        Raises:
            ArgumentError: An argument is no value.
            CodecError: The arguments are beyond the limits of a message.
        """
        content = encode((called, arguments, named), self)
        if self.verdict is not None:
            raise self.failed(self.verdict)
        self.calls += 1
        try:
            self._channel.send(self.calls, kind, content)
            number, answer, content = self._channel.receive()
            if number != self.calls:
                raise ChannelError("an answer to another call")
            value = decode(content, self if answer == VALUE else None)
        except PeerGoneError:
            raise self.failed("crash") from None
        except (ChannelError, CodecError):
            raise self.failed("error") from None
        if answer == VALUE:
            return value
        if answer in (RAISED, NOT_LOADED):
            self.raised = _exception(value)
            if answer == NOT_LOADED:
                self.verdict = "memory" if type(self.raised) is MemoryError else "error"
            raise self.raised
        raise self.failed("error")

    def failed(self, verdict: str) -> WorkerError:
        """Set the verdict, and return an exception that ends the tests."""
        self.verdict = verdict
        self.raised = ended = WorkerError(verdict)
        return ended

    def reference(self, value: Any) -> int | str:
        """Return what the worker calls an object of its own."""
        if type(value) is Remote:
            return value._reference
        if value is Remote:  # tests have it from a handle, so the program has brought it here
            raise CodecError("what a handle is cannot be passed")
        raise ArgumentError(f"an argument of type {type(value).__name__} cannot be passed")

    def referent(self, reference: int | str) -> "Remote":
        """Return a new handle: not even the same object of the worker is the same here."""
        if isinstance(reference, str):
            raise CodecError("the worker speaks of a name")
        return Remote(self, reference)


class Remote:
    """Something in the worker: an object that stayed there, or what a name means there.

    It can be passed back, called and iterated over. It equals nothing, is neither true nor false, and shows no
    attributes.

    Args:
        program: Where it is.
        reference: Its number or name.
        keeps: Whether what it returns stays in the worker as well. So it is with names of the setup and the reference:
            only answers of the entry point, and of what that returned, ever become values here.
    """

    __slots__ = ("_keeps", "_program", "_reference")

    def __init__(self, program: Program, reference: int | str, keeps: bool = False) -> None:
        self._program = program
        self._reference = reference
        self._keeps = keeps

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Return what the worker returns, or raise what it raises; see `Program.ask`."""
        if not self._keeps:
            return self._program.ask(CALL, self, arguments, named)
        kept = self._program.ask(CALL_KEEPING, self, arguments, named)
        if type(kept) is not Remote:  # the worker was not asked for a value
            raise self._program.failed("error")
        kept._keeps = True
        return kept

    def __iter__(self) -> Iterator[Any]:
        if self._keeps:
            raise TypeError("what a name of the setup stands for is not read")
        items = self._program.ask(ITERATE, self, (), {})
        if type(items) is not _ITERATOR:
            raise self._program.failed("error")
        return items

    def __eq__(self, other: object) -> bool:
        return False

    def __ne__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return id(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Remote":
        return self  # what it belongs to is one conversation

    def __bool__(self) -> bool:
        raise TypeError("an object of the program is neither true nor false")


def judge(job: JudgeJob, program: Program) -> str:
    """Run tests against a program and return the verdict, one of `VERDICTS`.

    `passed`: the tests ended, and the worker has answered. `failed`: an assertion does not hold, or the tests could not
    work with an answer. `error`: an exception of the program ended the tests, or an answer was no value. `judge_error`:
    it is the tests' own fault, whatever the program does.
    """
    verdict = _run(job, program)
    return program.verdict or verdict


def _run(job: JudgeJob, program: Program) -> str:
    seed_randomness(job.own_seed)
    module = types.ModuleType("_tests")
    sys.modules[module.__name__] = module  # where dataclasses look
    namespace = vars(module)
    namespace.update(_MODULES)
    try:
        if job.helpers:
            _execute(job.helpers, _HELPERS, namespace)
        for name in job.names:
            if name not in namespace and not hasattr(builtins, name):
                namespace[name] = Remote(program, name, keeps=True)
        namespace[job.entry_point] = Remote(program, job.entry_point)
        _execute(job.tests, _TESTS, namespace)
    except BaseException as error:
        return _verdict(error, program)
    return "passed" if program.calls else "judge_error"


def _execute(source: str, name: str, namespace: dict[str, Any]) -> None:
    exec(compile(source, name, "exec", dont_inherit=True, optimize=0), namespace)


def _verdict(error: BaseException, program: Program) -> str:
    """Return what an exception that ended the tests says."""
    kind = type(error)
    if error is program.raised:
        return "memory" if kind is MemoryError else "error"
    if not program.calls or kind is ArgumentError or not isinstance(error, Exception):
        return "judge_error"
    if kind in (NameError, ImportError, ModuleNotFoundError) and _raised_by_tests(error):
        return "judge_error"
    return "memory" if kind is MemoryError else "failed"


def _raised_by_tests(error: BaseException) -> bool:
    """Tell whether a line of the tests raised an exception, rather than what they call, such as `eval` of an answer."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename in (_HELPERS, _TESTS)


def _exception(value: Any) -> Exception:
    """Return the exception that a worker's answer describes."""
    try:
        kind, arguments = value
        if kind in EXCEPTIONS:
            made = kind(*arguments)
            return made if type(made) is kind else kind()
    except Exception:  # arguments that the class does not take, or no such description at all
        pass
    return WorkerError()
