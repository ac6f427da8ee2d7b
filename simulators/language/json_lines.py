"""JSON Lines, the form of every file of language: read line by line, refused with line and field, written atomically.

Lines are numbered from 1; blank ones are skipped. A value is checked where it is taken out of its line, so that what is
wrong is told with its place.
"""

import gzip
import json
import math
import os
import secrets
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from sandtable.simulators.csv_file import require_file
from sandtable.simulators.errors import InputError

T = TypeVar("T")
_DEPTH = 100  # of values that are kept
_BROKEN = (OSError, EOFError, zlib.error)


@dataclass(frozen=True)
class JsonLine:
    """A line of a file: an object, whose fields are taken out with what they must be.

    Attributes:
        path: The file.
        number: Of the line.
        fields: Names and values, as JSON has them.
    """

    path: Path
    number: int
    fields: Mapping[str, Any]

    def fail(self, field: str, problem: str) -> NoReturn:
        """Raise an ``InputError`` that names file, line and field."""
        raise InputError(f"{self.path}, line {self.number}, field {field}: {problem}")

    def has(self, name: str) -> bool:
        """Tell whether a field is there and not null."""
        return self.fields.get(name) is not None

    def text(self, name: str) -> str:
        """Return a field that must be a string."""
        if name not in self.fields:
            self.fail(name, "it is missing")
        value = self.fields[name]
        if not isinstance(value, str):
            self.fail(name, f"it must be a string, not {shown(value)}")
        return value

    def name(self, name: str) -> str:
        """Return a field that must be a string by which things are told apart: not empty, and text to every reader."""
        value = self.text(name)
        if not value.strip():
            self.fail(name, "it is empty")
        if not is_unicode(value):
            self.fail(name, "it holds half of a surrogate pair, which is no character")
        if "\0" in value:
            self.fail(name, "it holds the character NUL")
        return value

    def optional(self, name: str, take: "Callable[[JsonLine, str, Any], T]") -> T | None:
        """Return a field through ``take``, or None where it is missing or null."""
        return take(self, name, self.fields[name]) if self.has(name) else None

    def rows(self, name: str, length: int | None, take: "Callable[[JsonLine, str, Any], T]") -> tuple[T | None, ...]:
        """Return a list whose members are null or go through ``take``.

        Args:
            name: Of the field.
            length: How many members it must have; None: any.
            take: Takes the line, the name of the member and its value, and returns what is made of it.
        """
        value = self.fields[name]
        if not isinstance(value, list):
            self.fail(name, f"it must be a list, not {shown(value)}")
        if length is not None and len(value) != length:
            self.fail(name, f"it has {len(value)} values for {length} completions")
        return tuple(None if one is None else take(self, f"{name}[{i}]", one) for i, one in enumerate(value))


def as_text(line: JsonLine, field: str, value: Any) -> str:
    """Return a value that must be a string."""
    if not isinstance(value, str):
        line.fail(field, f"it must be a string, not {shown(value)}")
    return value


def as_number(line: JsonLine, field: str, value: Any) -> float:
    """Return a value that must be a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        line.fail(field, f"it must be a number or null, not {shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        line.fail(field, f"it must be finite or null, not {shown(value)}")
    return number


def as_count(line: JsonLine, field: str, value: Any) -> int:
    """Return a value that must be an integer of at least 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        line.fail(field, f"it must be an integer of at least 0, or null, not {shown(value)}")
    return value


def one_of(*choices: Any) -> Callable[[JsonLine, str, Any], Any]:
    """Return what takes a value that must be one of the choices."""

    def take(line: JsonLine, field: str, value: Any) -> Any:
        if isinstance(value, list | dict) or value not in choices:
            named = ", ".join(str(one) for one in choices)
            line.fail(field, f"it must be one of {named}, or null, not {shown(value)}")
        return choices[choices.index(value)]

    return take


def as_kept(line: JsonLine, field: str, value: Any) -> Any:
    """Return a value that is only kept: anything that can be written again, so no number that JSON lacks."""
    level: list[Any] = [value]
    for _ in range(_DEPTH):
        if any(isinstance(one, float) and not math.isfinite(one) for one in level):
            line.fail(field, "it holds a number that is not finite, which JSON lacks")
        inner = [list(one.values()) if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [one for values in inner for one in values]
        if not level:
            return value
    line.fail(field, f"lists or objects are nested more than {_DEPTH} deep")


def shown(value: Any) -> str:
    """Return a value for a message: its JSON, cut where it is long."""
    try:
        text = json.dumps(value)
    except RecursionError:  # what could just be read
        return "something nested deeply"
    return text if len(text) <= 60 else f"{text[:57]}..."


def is_unicode(text: str) -> bool:
    """Tell whether a string is a sequence of characters; half of a surrogate pair, which JSON can hold, is none."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_lines(path: str | Path) -> Iterator[JsonLine]:
    """Yield the lines of a JSON Lines file (UTF-8; also .gz).

    Raises:
        InputError: There is no such file, it is empty or cannot be decompressed, or a line is no JSON object.
    """
    path = Path(path)
    require_file(path, "a JSON Lines file")
    opener: Callable[..., Any] = gzip.open if path.suffix.lower() == ".gz" else open
    lines = 0
    try:
        with opener(path, "rb") as file:
            for number, raw in enumerate(file, start=1):
                if raw.strip():
                    lines += 1
                    yield JsonLine(path, number, _parsed(path, number, raw))
    except _BROKEN as error:
        raise InputError(f"{path}: the file cannot be read or decompressed ({error})") from error
    if not lines:
        raise InputError(f"{path}: the file is empty")


def first_fields(path: str | Path) -> Mapping[str, Any] | None:
    """Return the fields of the first line of a file, None where it is no JSON Lines file; raise nothing."""
    try:
        return next(iter(read_lines(path))).fields
    except InputError:
        return None


def _parsed(path: Path, number: int, raw: bytes) -> Mapping[str, Any]:
    where = f"{path}, line {number}"
    try:
        value = json.loads(raw.decode("utf-8-sig" if number == 1 else "utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: the text is not UTF-8; save the file as UTF-8") from error
    except RecursionError as error:
        raise InputError(f"{where}: lists or objects are nested too deeply") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{where}, column {error.colno}: this is no JSON ({error.msg})") from error
    except ValueError as error:  # an integer of more digits than Python takes
        raise InputError(f"{where}: this is no JSON that can be read ({error})") from error
    if not isinstance(value, dict):
        raise InputError(f"{where}: a line must hold an object, not {shown(value)}")
    return value


def write_lines(path: str | Path, objects: Iterable[Mapping[str, Any]]) -> None:
    """Write a JSON Lines file: readers see the old file or the whole new one.

    Raises:
        OSError: The file could not be written; nothing half-written is left.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("x", encoding="ascii", newline="\n") as file:
            for one in objects:
                # ASCII holds every string, half of a surrogate pair too
                file.write(json.dumps(one, allow_nan=False, separators=(",", ":")) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def require_unique(lines: Sequence[JsonLine], ids: Sequence[str], field: str) -> None:
    """Raise an ``InputError`` at the second line that has the id of an earlier one."""
    first: dict[str, int] = {}
    for line, one in zip(lines, ids, strict=True):
        if one in first:
            line.fail(field, f"{shown(one)} is also on line {first[one]}")
        first[one] = line.number
