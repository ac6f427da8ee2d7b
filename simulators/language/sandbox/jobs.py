"""What a worker and a judge are told, as bytes: written by the grader, read after the fork by the process itself.

The two know different things. A worker gets a program and what runs after it; a judge gets the tests. Neither format
has a place for what is the other's.

This module uses the standard library alone: processes load it that have no packages.
"""

import hashlib
import os
import random
import sys
from dataclasses import dataclass
from typing import Any

from sandtable.simulators.language.sandbox.codec import CodecError, decode, encode

# What a judge sends, as one byte: 1 is the first.
VERDICTS = ("passed", "failed", "error", "memory", "cpu", "crash", "judge_error")

_PART = 1 << 16


@dataclass(frozen=True)
class WorkerJob:
    """What a worker is told.

    Attributes:
        program: Source: prompt and completion.
        setup: Source that runs after it, in the same namespace.
        seed: Of the module `random`.
    """

    program: str
    setup: str
    seed: int


@dataclass(frozen=True)
class JudgeJob:
    """What a judge is told.

    Attributes:
        tests: Source that raises where the program is wrong.
        entry_point: The function of the program that they call.
        helpers: Source that runs in the judge before them: functions that the prompt gives, imports.
        names: What else they may speak of in the worker: what the setup or the reference binds.
        seed: What the judge's own randomness is made of, together with the tests.
    """

    tests: str
    entry_point: str
    helpers: str
    names: tuple[str, ...]
    seed: int

    @property
    def own_seed(self) -> int:
        """A seed that a program cannot guess, since it does not know the tests; so it cannot draw their inputs, too."""
        known = f"{self.seed}\n{self.tests}".encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.sha256(known).digest()[:8], "big")


def encode_worker_job(program: str, setup: str = "", seed: int = 0) -> bytes:
    """Return a worker's job as bytes; `CodecError` if it is longer than 16 MB. Strings and integers may be numpy's."""
    return encode((str(program), str(setup), int(seed)))


def decode_worker_job(data: bytes) -> WorkerJob:
    """Return the job that bytes stand for; `CodecError` if they are none."""
    return WorkerJob(*_fields(data, (str, str, int)))


def encode_judge_job(
    tests: str, entry_point: str, helpers: str = "", names: tuple[str, ...] = (), seed: int = 0
) -> bytes:
    """Return a judge's job as bytes; `CodecError` if it is longer than 16 MB. Strings and integers may be numpy's."""
    return encode((str(tests), str(entry_point), str(helpers), tuple(map(str, names)), int(seed)))


def decode_judge_job(data: bytes) -> JudgeJob:
    """Return the job that bytes stand for; `CodecError` if they are none."""
    return JudgeJob(*_fields(data, (str, str, str, tuple, int)))


def seed_randomness(seed: int) -> None:
    """Seed the module `random`, and numpy's where that has been imported."""
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)


def read_job(descriptor: int) -> bytes:
    """Return all that a descriptor holds, and close it."""
    parts = []
    while part := os.read(descriptor, _PART):
        parts.append(part)
    os.close(descriptor)
    return b"".join(parts)


def _fields(data: bytes, types: tuple[type, ...]) -> Any:
    values = decode(data)
    if type(values) is not tuple or tuple(map(type, values)) != types:
        raise CodecError("the bytes are no job")
    return values
