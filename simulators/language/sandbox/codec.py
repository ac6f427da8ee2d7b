"""Values between processes that do not trust each other: tag, length, value.

A value is a byte for its type, four bytes for its length, then its content: the bytes of an atom, or the items of a
container. Only exact types are written as they are: None, bool, int, float, complex, str, bytes, list, tuple, set,
frozenset, dict, deque, Counter, OrderedDict, defaultdict, range, Decimal, Fraction, the classes of `datetime`, builtin
classes, and iterators (their first 100,000 items). Whatever else there is, instances of subclasses included, stays
where it is, and a handle is written in its place. So no method of a foreign class ever runs in the process that reads.

Reading makes values of those types or raises `CodecError`; it imports nothing, calls nothing by name and evaluates
nothing. A reader's time and memory are bounded by `MAX_BYTES`, `MAX_ITEMS` and `MAX_DEPTH`, but for dictionaries and
sets whose keys collide: they are built item by item, so that the signal of a limit on CPU time is heard.

This module uses the standard library alone: processes load it that have no packages.
"""

import builtins
import collections
import datetime
import itertools
import struct
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Protocol

MAX_BYTES = 16 * 1024 * 1024
MAX_ITEMS = 2_000_000
MAX_DEPTH = 100
MAX_ITERATED = 100_000
MAX_FRACTION_BYTES = 8_192  # of a numerator or denominator: their greatest common divisor takes quadratic time

BUILTIN_CLASSES: dict[str, type] = {
    name: value for name, value in vars(builtins).items() if type(value) is type and value.__name__ == name
}
_CLASS_NAMES = {value: name for name, value in BUILTIN_CLASSES.items()}
_ITERATORS = {
    types.GeneratorType, map, filter, zip, enumerate, reversed, type(iter(int, 0)),
    *(value for value in vars(itertools).values() if isinstance(value, type)),
    *map(type, map(iter, ([], (), set(), {}, {}.values(), {}.items(), "", "\xe9", b"", range(0), range(1 << 80)))),
    type(iter(collections.deque())), type(reversed(collections.deque())), type(iter(collections.OrderedDict())),
    type(reversed([])), type(reversed({})), type(reversed({}.values())), type(reversed({}.items())),
}  # fmt: skip
_HEADER = struct.Struct(">BI")
_HANDLE_BYTES = 8


class CodecError(Exception):
    """Bytes that are no value, or a value that cannot be written within the limits."""


class Handles(Protocol):
    """What stays in a process, and what others call it: a number, or the name of a variable."""

    def reference(self, value: Any) -> int | str:
        """Return what to call a value that is not written; `CodecError` where it must not be spoken of."""

    def referent(self, reference: int | str) -> Any:
        """Return what a number or a name read stands for; `CodecError` where it is nothing."""


class _NoHandles:
    """Neither writes nor reads handles."""

    def reference(self, value: Any) -> int | str:
        raise CodecError(f"a value of type {type(value).__name__} cannot be written")

    def referent(self, reference: int | str) -> Any:
        raise CodecError("there are no handles here")


def encode(value: Any, handles: Handles | None = None) -> bytes:
    """Return a value as bytes.

    Iterators are used up, at most their first 100,000 items. Code of the value's own types runs only there, and its
    exceptions pass.

    Args:
        value: What to write.
        handles: What gives other objects numbers; None refuses them.

    Raises:
        CodecError: It is deeper than 100, longer than 16 MB or has more than 2,000,000 items (as a cyclic one has), or
            it holds what has no handle.
    """
    writer = _Writer(handles or _NoHandles())
    writer.write(value, MAX_DEPTH)
    return bytes(writer.out)


def decode(data: bytes, handles: Handles | None = None) -> Any:
    """Return the value that bytes stand for.

    Args:
        data: What was received; any bytes at all.
        handles: What numbers and names of handles stand for; None refuses them.

    Raises:
        CodecError: The bytes are no value, or the limits are passed, those of memory included. Nothing else is raised.
    """
    try:
        if len(data) > MAX_BYTES:
            raise CodecError("the message is too long")
        reader = _Reader(data, handles or _NoHandles())
        value = reader.read(MAX_DEPTH)
        if reader.at != len(data):
            raise CodecError("there are bytes after the value")
        return value
    except CodecError:
        raise
    except Exception as error:  # whatever a constructor has against its arguments
        raise CodecError(f"the bytes are no value: {type(error).__name__}") from None


class _Writer:
    """Writes one value."""

    def __init__(self, handles: Handles) -> None:
        self.out = bytearray()
        self.items = 0
        self.handles = handles

    def write(self, value: Any, depth: int) -> None:
        kind = type(value)
        atom = _ATOM_WRITERS.get(kind)
        if atom is not None:
            tag, content = atom
            self._atom(tag, content(value))
        elif kind in _ITEMS_OF:
            tag, items = _ITEMS_OF[kind]
            self._container(tag, items(value), depth)
        elif kind is type and value in _CLASS_NAMES:
            self._atom(_CLASS, _CLASS_NAMES[value].encode())
        elif kind in _ITERATORS:
            self._container(_ITERATOR, itertools.islice(value, MAX_ITERATED), depth)
        else:
            reference = self.handles.reference(value)
            if isinstance(reference, str):
                self._atom(_NAME, reference.encode("utf-8", "surrogatepass"))
            else:
                self._atom(_HANDLE, reference.to_bytes(_HANDLE_BYTES, "big"))

    def _atom(self, tag: int, content: bytes) -> None:
        if len(self.out) + len(content) + _HEADER.size > MAX_BYTES:
            raise CodecError("the value is too long")
        self.out += _HEADER.pack(tag, len(content))
        self.out += content

    def _container(self, tag: int, items: Iterable[Any], depth: int) -> None:
        """Write items one by one as they come: those of `itertools.groupby` are empty once the next has come."""
        if depth == 0:
            raise CodecError("the value is too deep")
        start = len(self.out)
        self._atom(tag, b"")
        length = 0
        for length, item in enumerate(items, 1):  # noqa: B007
            self.items += 1
            if self.items > MAX_ITEMS:
                raise CodecError("the value has too many items")
            self.write(item, depth - 1)
        _HEADER.pack_into(self.out, start, tag, length)


class _Reader:
    """Reads one value."""

    def __init__(self, data: bytes, handles: Handles) -> None:
        self.data = data
        self.at = 0
        self.items = MAX_ITEMS
        self.handles = handles

    def read(self, depth: int) -> Any:
        tag, length = _HEADER.unpack_from(self.data, self.at)
        self.at += _HEADER.size
        made_of_bytes = _ATOM_READERS.get(tag)
        if made_of_bytes is not None:
            return made_of_bytes(self._take(length))
        made_of_items = _CONTAINER_READERS.get(tag)
        if made_of_items is not None:
            self.items -= length
            if self.items < 0 or depth == 0:
                raise CodecError("the value is too deep or has too many items")
            return made_of_items([self.read(depth - 1) for _ in range(length)])
        if tag == _HANDLE:
            if length != _HANDLE_BYTES:
                raise CodecError("no handle is as long")
            return self.handles.referent(int.from_bytes(self._take(length), "big"))
        if tag == _NAME:
            return self.handles.referent(self._take(length).decode("utf-8", "surrogatepass"))
        raise CodecError("there is no such tag")

    def _take(self, length: int) -> bytes:
        start, self.at = self.at, self.at + length
        if self.at > len(self.data):
            raise CodecError("the value ends early")
        return self.data[start : self.at]


# Tags. They are written nowhere for longer than a message lasts, so their numbers mean nothing.
(
    _NONE, _BOOL, _INT, _FLOAT, _COMPLEX, _STR, _BYTES, _DECIMAL, _CLASS, _HANDLE, _NAME,
    _LIST, _TUPLE, _SET, _FROZENSET, _DICT, _DEQUE, _COUNTER, _ORDERED, _DEFAULT, _RANGE, _FRACTION,
    _DATE, _TIME, _DATETIME, _TIMEDELTA, _TIMEZONE, _ITERATOR,
) = range(1, 29)  # fmt: skip

_DOUBLE, _TWO_DOUBLES = struct.Struct(">d"), struct.Struct(">dd")


def _pairs(value: Mapping[Any, Any]) -> Iterator[Any]:
    return itertools.chain.from_iterable(value.items())


def _clock(value: Any) -> list[Any]:
    return [value.hour, value.minute, value.second, value.microsecond, value.tzinfo, value.fold]


def _days(value: datetime.date) -> list[Any]:
    return [value.year, value.month, value.day]


def _zone(value: datetime.timezone) -> tuple[Any, ...]:
    arguments: tuple[Any, ...] = value.__getinitargs__()  # type: ignore[attr-defined]  # without a name where it has none
    return arguments


_ATOM_WRITERS: dict[type, tuple[int, Callable[[Any], bytes]]] = {
    type(None): (_NONE, lambda value: b""),
    bool: (_BOOL, lambda value: b"\1" if value else b"\0"),
    int: (_INT, lambda value: value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)),
    float: (_FLOAT, _DOUBLE.pack),
    complex: (_COMPLEX, lambda value: _TWO_DOUBLES.pack(value.real, value.imag)),
    str: (_STR, lambda value: value.encode("utf-8", "surrogatepass")),
    bytes: (_BYTES, lambda value: value),
    Decimal: (_DECIMAL, lambda value: str(value).encode("ascii")),
}
_ITEMS_OF: dict[type, tuple[int, Callable[[Any], Iterable[Any]]]] = {
    list: (_LIST, lambda value: value),
    tuple: (_TUPLE, lambda value: value),
    set: (_SET, lambda value: value),
    frozenset: (_FROZENSET, lambda value: value),
    dict: (_DICT, _pairs),
    collections.deque: (_DEQUE, lambda value: [value.maxlen, *value]),
    collections.Counter: (_COUNTER, _pairs),
    collections.OrderedDict: (_ORDERED, _pairs),
    collections.defaultdict: (_DEFAULT, lambda value: [_factory(value.default_factory), *_pairs(value)]),
    range: (_RANGE, lambda value: [value.start, value.stop, value.step]),
    Fraction: (_FRACTION, lambda value: [value.numerator, value.denominator]),
    datetime.date: (_DATE, _days),
    datetime.time: (_TIME, _clock),
    datetime.datetime: (_DATETIME, lambda value: _days(value) + _clock(value)),
    datetime.timedelta: (_TIMEDELTA, lambda value: [value.days, value.seconds, value.microseconds]),
    datetime.timezone: (_TIMEZONE, _zone),
}


def _factory(value: Any) -> type | None:
    """Return a builtin class; None for anything else, for what makes a missing value must not be foreign."""
    return value if type(value) is type and value in _CLASS_NAMES else None


def _dict(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise CodecError("a key without value")
    # No dict(): between two steps of a comprehension, signals are heard.
    return {key: value for key, value in zip(items[::2], items[1::2], strict=True)}  # noqa: C416


def _set(items: list[Any]) -> set[Any]:
    return {item for item in items}  # noqa: C416


def _ordered(items: list[Any]) -> collections.OrderedDict[Any, Any]:
    made: collections.OrderedDict[Any, Any] = collections.OrderedDict()
    for key, value in _dict(items).items():
        made[key] = value
    return made


def _default(items: list[Any]) -> collections.defaultdict[Any, Any]:
    return collections.defaultdict(_factory(items[0]), _dict(items[1:]))


def _integers(items: Iterable[Any]) -> list[int]:
    whole = list(items)
    if not all(type(one) is int for one in whole):
        raise CodecError("a number must be an int here")
    return whole


def _range(items: list[Any]) -> range:
    start, stop, step = _integers(items)
    return range(start, stop, step)


def _fraction(items: list[Any]) -> Fraction:
    numerator, denominator = _integers(items)
    if max(numerator.bit_length(), denominator.bit_length()) > 8 * MAX_FRACTION_BYTES:
        raise CodecError("the fraction is too long")
    return Fraction(numerator, denominator)


def _date(items: list[Any]) -> datetime.date:
    return datetime.date(*_integers(items))


def _time(items: list[Any]) -> datetime.time:
    hour, minute, second, microsecond, fold = _integers([*items[:4], *items[5:]])
    return datetime.time(hour, minute, second, microsecond, items[4], fold=fold)


def _datetime(items: list[Any]) -> datetime.datetime:
    year, month, day, hour, minute, second, microsecond, fold = _integers([*items[:7], *items[8:]])
    return datetime.datetime(year, month, day, hour, minute, second, microsecond, items[7], fold=fold)


def _timedelta(items: list[Any]) -> datetime.timedelta:
    days, seconds, microseconds = _integers(items)
    return datetime.timedelta(days, seconds, microseconds)


def _timezone(items: list[Any]) -> datetime.timezone:
    return datetime.timezone(*items)


_ATOM_READERS: dict[int, Callable[[bytes], Any]] = {
    _NONE: lambda content: {b"": None}[content],
    _BOOL: lambda content: {b"\0": False, b"\1": True}[content],
    _INT: lambda content: int.from_bytes(content, "big", signed=True),
    _FLOAT: lambda content: _DOUBLE.unpack(content)[0],
    _COMPLEX: lambda content: complex(*_TWO_DOUBLES.unpack(content)),
    _STR: lambda content: content.decode("utf-8", "surrogatepass"),
    _BYTES: bytes,
    _DECIMAL: lambda content: Decimal(content.decode("ascii")),
    _CLASS: lambda content: BUILTIN_CLASSES[content.decode("ascii")],
}
_CONTAINER_READERS: dict[int, Callable[[list[Any]], Any]] = {
    _LIST: lambda items: items,
    _TUPLE: tuple,
    _SET: _set,
    _FROZENSET: lambda items: frozenset(_set(items)),
    _DICT: _dict,
    _DEQUE: lambda items: collections.deque(items[1:], items[0]),
    _COUNTER: lambda items: collections.Counter(_dict(items)),
    _ORDERED: _ordered,
    _DEFAULT: _default,
    _RANGE: _range,
    _FRACTION: _fraction,
    _DATE: _date,
    _TIME: _time,
    _DATETIME: _datetime,
    _TIMEDELTA: _timedelta,
    _TIMEZONE: _timezone,
    _ITERATOR: iter,
}
