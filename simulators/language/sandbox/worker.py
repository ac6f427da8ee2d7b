"""The process of a program: it runs it, then answers calls until nobody asks.

All that it knows is the program. It is not trusted with anything: a program can walk its frames, replace its builtins
and write to its descriptors, and gains only what an honest answer would have given it, since nothing counts but what
the judge reads from the channel and compares by itself.

This module uses the standard library alone: processes load it that have no packages.
"""

import os
import sys
import types
from typing import Any

from sandtable.simulators.language.sandbox.channel import (
    CALL_KEEPING,
    EXCEPTIONS,
    ITERATE,
    NOT_LOADED,
    NOT_SENDABLE,
    RAISED,
    VALUE,
    Channel,
    ChannelError,
    PeerGoneError,
)
from sandtable.simulators.language.sandbox.codec import CodecError, decode, encode
from sandtable.simulators.language.sandbox.jobs import WorkerJob, decode_worker_job, read_job, seed_randomness
from sandtable.simulators.language.sandbox.streams import discard_streams

_OUT_OF_MEMORY = encode((MemoryError, ()))


def main(job_fd: int, channel_fd: int) -> None:
    """Run the program of a job and serve its calls; the process ends here.

    Args:
        job_fd: Descriptor from which the job is read, and which is then closed.
        channel_fd: Descriptor of the channel to the judge.
    """
    try:
        discard_streams()
        serve(decode_worker_job(read_job(job_fd)), Channel(channel_fd))
    finally:
        os._exit(0)  # no handler of the program's, no flush, no waiting for its threads


class _Kept:
    """An object that is written as a handle, even where it could be written as a value."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Objects:
    """What stayed in the worker: objects by number, and the variables of the program by name."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._kept: list[Any] = []
        self._namespace = namespace

    def reference(self, value: Any) -> int | str:
        """Return a number for an object, which then lives as long as the worker."""
        self._kept.append(value.value if type(value) is _Kept else value)
        return len(self._kept) - 1

    def referent(self, reference: int | str) -> Any:
        """Return the object of that number, or what the program binds to that name now."""
        if isinstance(reference, int):
            return self._kept[reference]
        if reference not in self._namespace:
            raise CodecError(f"the program does not define {reference}")
        return self._namespace[reference]


def serve(job: WorkerJob, channel: Channel) -> None:
    """Run a program, then answer one call after the other until the judge is gone.

    A program that raises answers every call with its exception: that it was no program is a verdict, too.
    """
    seed_randomness(job.seed)
    module = types.ModuleType("_completion")
    sys.modules[module.__name__] = module  # where dataclasses look
    objects = Objects(vars(module))
    failure: bytes | None = None
    try:
        for name, source in (("<program>", job.program), ("<setup>", job.setup)):
            if source:
                exec(compile(source, name, "exec", dont_inherit=True, optimize=0), vars(module))
    except BaseException as error:  # SystemExit and KeyboardInterrupt are nothing special in a completion
        failure = _exception(error)
        vars(module).clear()  # if memory ran out, this is where it is
    while True:
        try:
            number, kind, content = channel.receive()
            answer = (NOT_LOADED, failure) if failure is not None else _answer(kind, content, objects)
            channel.send(number, *answer)
        except (PeerGoneError, ChannelError):
            return


def _answer(kind: int, content: bytes, objects: Objects) -> tuple[int, bytes]:
    """Return kind and content of the answer to a call."""
    try:
        try:
            called, arguments, named = decode(content, objects)
        except CodecError as error:
            raise NameError(str(error)) from None
        if kind == ITERATE:
            return VALUE, encode(_iterator(called), objects)
        value = called(*arguments, **named)
        return VALUE, encode(_Kept(value) if kind == CALL_KEEPING else value, objects)
    except CodecError:
        return NOT_SENDABLE, b""
    except BaseException as error:
        return RAISED, _exception(error)


def _iterator(value: Any) -> Any:
    """Return what a value yields as an iterator of an exact type."""
    yield from value


def _exception(error: BaseException) -> bytes:
    """Return class and arguments of an exception as bytes; (None, ()) for what is none of `EXCEPTIONS`."""
    kind = next((one for one in EXCEPTIONS if type(error) is one), None)  # by identity: a foreign class may not hash
    if kind is MemoryError:
        return _OUT_OF_MEMORY
    try:
        return encode((kind, error.args if kind else ()))
    except BaseException:
        return encode((kind, ()))
