"""Where runs live: one folder a run, named by the hash of its settings.

    root/<study>/<12 hexadecimal digits>/
        config.json       settings and version of the study, canonical; the digits are the start of this file's SHA-256
        provenance.json   the attempts at the run: what they ran on, when, and what they cost
        metrics.jsonl     what training logged, a line a record
        status.txt        how far training is, renewed every second or so; gone when the run has ended
        error.txt         the traceback of the last attempt, if it failed
        result.json       what came out; written last, by an atomic rename: with it the run is finished

So a sweep that was killed resumes where it stopped, a run that is there is not run again, and folders from several
machines merge by copying. There are no locks: two processes on the same run do the same work, and the last one wins.
"""

import errno
import hashlib
import json
import math
import os
import secrets
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandtable.training.progress import Progress

CONFIG, PROVENANCE, METRICS, STATUS, ERROR, RESULT = (
    "config.json",
    "provenance.json",
    "metrics.jsonl",
    "status.txt",
    "error.txt",
    "result.json",
)

_OWN = (CONFIG, PROVENANCE, METRICS, STATUS, ERROR, RESULT)

NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""How a number that JSON lacks is written: as a string, with the names that protocol buffers use in their JSON."""


def to_plain(value: Any) -> Any:
    """Return ``value`` as JSON knows it.

    Dataclasses become objects, tuples and arrays lists, numbers of numpy and torch Python's; NaN and the infinities
    become the strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"``, so that every file is JSON to every reader.

    Raises:
        TypeError: A value of another type, for example a set, or a key that is no string.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if math.isnan(value):
            return "NaN"
        return float(value) if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"keys must be strings, not {key!r}")
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return to_plain(value.tolist())
    raise TypeError(f"a {type(value).__name__} cannot be stored as JSON: {value!r}")


def from_plain(value: Any) -> Any:
    """Undo ``to_plain`` for numbers: the three strings that stand for NaN and the infinities become floats again."""
    if isinstance(value, str):
        return NOT_FINITE.get(value, value)
    if isinstance(value, dict):
        return {key: from_plain(item) for key, item in value.items()}
    return [from_plain(item) for item in value] if isinstance(value, list) else value


def canonical_json(value: Any) -> str:
    """Return the one JSON text of ``value``: sorted keys, no spaces, ASCII, floats as ``repr`` writes them.

    ``1`` and ``1.0`` are different texts, so different runs. See ``to_plain`` for what may be in it.
    """
    return json.dumps(to_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write text (in UTF-8) or bytes to ``path`` such that every reader sees the old file or the whole new one.

    Raises:
        OSError: The file could not be written; the old one, if any, is untouched and nothing half-written is left.
    """
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException as error:
        unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            message = "the disk is full, so this file was not written; free some space and run the same command again"
            raise OSError(error.errno, message, str(path)) from error
        raise


@dataclass(frozen=True)
class Run:
    """One run of a study and its folder, which need not exist yet.

    Attributes:
        folder: Where its files are.
        config: The settings as JSON knows them (see ``to_plain``).
        version: The version of the study.
    """

    folder: Path
    config: Mapping[str, Any]
    version: int

    @property
    def finished(self) -> bool:
        """Whether there is a result that can be read; one that cannot is told by a warning."""
        return self._read_result() is not None

    def result(self) -> Any:
        """Return what ``finish`` was given.

        Raises:
            FileNotFoundError: The run is not finished.
        """
        result = self._read_result()
        if result is None:
            raise FileNotFoundError(errno.ENOENT, "the run is not finished", str(self.folder / RESULT))
        return result

    def open(self, provenance: Mapping[str, Any]) -> None:
        """Begin the run, or continue it: write its settings, add an attempt, and forget the error of the last one."""
        write_atomically(self.folder / CONFIG, _identity(self.config, self.version))
        self._write_attempts([*self.attempts(), provenance])
        (self.folder / ERROR).unlink(missing_ok=True)
        self.clear_status()

    def finish(
        self, result: Mapping[str, Any] | Sequence[Mapping[str, Any]], provenance: Mapping[str, Any] | None = None
    ) -> None:
        """Store the result; from here on the run is finished.

        Args:
            result: Metrics by name, or one such mapping a row of the study's table.
            provenance: What replaces the record of this attempt, now that its cost is known.
        """
        if provenance is not None:
            self._write_attempts([*self.attempts()[:-1], provenance])
        write_atomically(self.folder / RESULT, _readable(result))
        self.clear_status()

    def fail(self, error: str) -> None:
        """Keep the traceback of an attempt that failed."""
        write_atomically(self.folder / ERROR, error)
        self.clear_status()

    def progress(self) -> "Progress":
        """Return what ``fit`` takes as ``progress``: it writes how far the slowest replica is, at most once a second.

        The folder is the one thing that who watches a sweep shares with its processes, wherever these are.
        """
        from sandtable.training.progress import slowest

        told = -math.inf

        def tell(step: int, steps: int, row: dict[str, Any]) -> None:
            nonlocal told
            if time.monotonic() >= told + 1:
                told = time.monotonic()
                write_atomically(self.folder / STATUS, f"step {step:,} of {steps:,}, {slowest(row)}")

        return tell

    def clear_status(self) -> None:
        """Forget how far the run is, or was when it was killed."""
        (self.folder / STATUS).unlink(missing_ok=True)

    def status(self) -> str | None:
        """Return how far the run is, as ``progress`` wrote it last; None if it is not being trained."""
        try:
            return (self.folder / STATUS).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def write_text(self, name: str, text: str) -> Path:
        """Write an artefact in UTF-8, as ``write_bytes`` does."""
        return self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, content: bytes) -> Path:
        """Write an artefact beside the result, atomically, and return its path.

        Raises:
            ValueError: ``name`` is no plain file name, or that of one of the store's own files.
        """
        if Path(name).name != name or not name.strip(".") or name in _OWN:
            raise ValueError(f"name must be a plain file name that the store does not use itself, not {name!r}")
        write_atomically(self.folder / name, content)
        return self.folder / name

    def write_json(self, name: str, value: Any) -> Path:
        """Write an artefact as JSON (see ``to_plain``), as ``write_text`` does."""
        return self.write_text(name, _readable(value))

    def metrics(self) -> list[dict[str, Any]]:
        """Return the records of ``metrics.jsonl``, [] where there are none.

        A last line that was torn when the run was killed is left out. So is one elsewhere, with a warning.
        """
        path = self.folder / METRICS
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        records = []
        for number, line in enumerate(lines, start=1):
            try:
                records.append(from_plain(json.loads(line)))
            except json.JSONDecodeError:
                if number < len(lines):
                    warnings.warn(f"{path}, line {number}: not JSON, left out", RuntimeWarning, stacklevel=2)
        return records

    def attempts(self) -> list[dict[str, Any]]:
        """Return the provenance of each attempt, oldest first; [] where there is none or it cannot be read."""
        try:
            attempts = json.loads((self.folder / PROVENANCE).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return []
        return attempts if isinstance(attempts, list) else []

    def _write_attempts(self, attempts: Sequence[Mapping[str, Any]]) -> None:
        write_atomically(self.folder / PROVENANCE, _readable(attempts))

    def _read_result(self) -> Any:
        path = self.folder / RESULT
        try:
            result = from_plain(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except ValueError:
            result = None
        if not isinstance(result, dict | list):
            warnings.warn(f"{path} cannot be read; the run counts as unfinished", RuntimeWarning, stacklevel=4)
            return None
        return result


@dataclass(frozen=True)
class RunStore:
    """A folder of runs.

    Attributes:
        root: The folder; made when the first run begins.
    """

    root: Path

    def run(self, study: str, config: Any, version: int = 1) -> Run:
        """Return the run of ``study`` with these settings, begun or not.

        Args:
            study: Name of the study, which is the name of a folder.
            config: A dataclass or a mapping that ``to_plain`` takes.
            version: Version of the study; another version is another run.
        """
        plain = to_plain(config)
        if not isinstance(plain, dict):
            raise TypeError(f"config must be a dataclass or a mapping, not {config!r}")
        digits = hashlib.sha256(_identity(plain, version).encode()).hexdigest()[:12]
        return Run(self.root / study / digits, plain, version)

    def finished(self, study: str) -> list[Run]:
        """Return the finished runs of ``study``, of all versions, in the order of their folders' names."""
        runs = []
        for path in sorted((self.root / study).glob(f"*/{CONFIG}")):
            identity = json.loads(path.read_text(encoding="utf-8"))
            run = Run(path.parent, identity["config"], identity["version"])
            if run.finished:
                runs.append(run)
        return runs


def _identity(config: Mapping[str, Any], version: int) -> str:
    """Return the text that names a run: its hash is the folder's name."""
    return canonical_json({"config": config, "version": version})


def _readable(value: Any) -> str:
    return json.dumps(to_plain(value), indent=1, allow_nan=False, ensure_ascii=False) + "\n"
