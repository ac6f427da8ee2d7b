"""Values cross as what they are, by exact type; any other bytes are refused with one error."""

import collections
import contextlib
import datetime
import enum
import itertools
import math
import signal
import struct
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandtable.simulators.language.sandbox import codec
from sandtable.simulators.language.sandbox.codec import CodecError, decode, encode

ZONES = st.one_of(
    st.none(),
    st.just(datetime.UTC),
    st.builds(lambda m: datetime.timezone(datetime.timedelta(minutes=m), "there"), st.integers(-1439, 1439)),
)
WHOLE = st.one_of(st.integers(), st.integers(-(1 << 4000), 1 << 4000))
KEYS = st.one_of(
    st.none(), st.booleans(), WHOLE, st.floats(allow_nan=False), st.text(), st.binary(), st.fractions(),
    st.decimals(allow_nan=False), st.dates(), st.times(timezones=ZONES), st.datetimes(timezones=ZONES),
    st.timedeltas(), st.sampled_from([int, str, dict, ValueError, type, object]),
    st.builds(range, st.integers(), st.integers(), st.integers(1)),
)  # fmt: skip
ATOMS = st.one_of(KEYS, st.floats(), st.complex_numbers(), st.decimals(allow_nan=True))


def containers(values):
    """Return a strategy of every container over these values."""
    pairs = st.dictionaries(KEYS, values, max_size=4)
    return st.one_of(
        st.lists(values), st.lists(values).map(tuple), pairs, pairs.map(OrderedDict), pairs.map(Counter),
        pairs.map(lambda one: defaultdict(list, one)), pairs.map(lambda one: defaultdict(None, one)),
        st.sets(KEYS, max_size=4), st.frozensets(KEYS, max_size=4),
        st.lists(values, max_size=4).map(deque), st.lists(values, max_size=4).map(lambda one: deque(one, 9)),
    )  # fmt: skip


def same(one, other):
    """Tell whether two values are the same, types, orders and bits of floats included."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other)
    if isinstance(one, complex):
        return same(one.real, other.real) and same(one.imag, other.imag)
    if isinstance(one, Decimal):
        return str(one) == str(other)
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, list | tuple | deque):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, datetime.time | datetime.datetime):
        return one == other and one.fold == other.fold and str(one.tzinfo) == str(other.tzinfo)
    return one == other


@settings(max_examples=60)
@given(st.recursive(ATOMS, containers, max_leaves=8))
def test_values_come_back_with_their_exact_types(value):
    assert same(decode(encode(value)), value)


def test_details_of_containers_come_back():
    assert decode(encode(deque([1, 2], 5))).maxlen == 5
    assert decode(encode(defaultdict(list, a=1))).default_factory is list
    assert decode(encode(defaultdict(lambda: 1, a=1))).default_factory is None  # foreign code does not cross
    assert list(decode(encode(OrderedDict(b=1, a=2)))) == ["b", "a"]


def test_strings_that_are_no_unicode_come_back():
    assert decode(encode("\ud83d\ude00 and \ud800")) == "\ud83d\ude00 and \ud800"


@pytest.mark.parametrize(
    "iterator",
    [
        (n for n in [1, 2]), map(int, "12"), filter(None, [1, 2]), iter([1, 2]), iter((1, 2)), iter({1: 0, 2: 0}),
        iter(range(1, 3)), reversed([2, 1]), reversed({2: 0, 1: 0}), iter({0: 1, 1: 2}.values()), iter(deque([1, 2])),
        iter([3, 2, 1].pop, 3), itertools.chain([1], [2]),
    ],
    ids=lambda one: type(one).__name__,
)  # fmt: skip
def test_iterators_cross_by_their_items(iterator):
    assert list(decode(encode(iterator))) == [1, 2]


def test_an_endless_iterator_is_cut_at_100_000_items():
    assert len(list(decode(encode(itertools.count())))) == 100_000


def test_a_zone_without_a_name_has_none_afterwards_and_utc_is_utc():
    assert decode(encode(datetime.UTC)) is datetime.UTC
    for zone in (datetime.timezone(datetime.timedelta(hours=1)), datetime.timezone(datetime.timedelta(0), "there")):
        assert repr(decode(encode(zone))) == repr(zone)


def test_groups_cross_with_their_members():
    groups = decode(encode(itertools.groupby([1, 2, 4, 3], key=lambda n: n % 2 == 0)))
    assert [(key, list(members)) for key, members in groups] == [(False, [1]), (True, [2, 4]), (False, [3])]


def test_what_an_iterator_raises_passes():
    with pytest.raises(IndexError):
        encode(iter([1, 2].pop, None))


class Numbers:
    """Handles for tests: every object is number 7."""

    def reference(self, value):
        return 7

    def referent(self, reference):
        return f"object {reference}"


class Whole(int):
    pass


class Text(str):
    pass


class Colour(enum.IntEnum):
    RED = 1


Point = collections.namedtuple("Point", "x y")


@pytest.mark.parametrize(
    "value",
    [Whole(1), Text("a"), Colour.RED, Point(1, 2), object(), len, Whole, {}.keys(), bytearray(b"a"), NotImplemented],
    ids=lambda one: type(one).__name__,
)
def test_anything_else_is_a_handle(value):
    assert decode(encode([value], Numbers()), Numbers()) == ["object 7"]
    with pytest.raises(CodecError, match="cannot be written"):
        encode([value])
    with pytest.raises(CodecError, match="no handles"):
        decode(encode([value], Numbers()))


def test_a_subclass_s_methods_are_never_called_by_the_writer():
    class Trap(list):
        def __iter__(self):
            raise AssertionError("called")

        __len__ = __reduce__ = __repr__ = __eq__ = __bool__ = __iter__

    assert decode(encode(Trap(), Numbers()), Numbers()) == "object 7"


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def test_the_depth_is_at_most_100():
    assert decode(encode(nested(100))) == nested(100)
    with pytest.raises(CodecError, match="deep"):
        encode(nested(101))
    deeper = struct.pack(">BI", codec._LIST, 1) + encode(nested(100))
    with pytest.raises(CodecError, match="deep"):
        decode(deeper)


def test_what_contains_itself_is_refused():
    narrow, wide = [], []
    narrow.append(narrow)
    wide.extend([wide] * 1000)
    for value in (narrow, wide):
        with pytest.raises(CodecError):
            encode(value)


def test_items_and_bytes_are_limited_for_writer_and_reader(monkeypatch):
    monkeypatch.setattr(codec, "MAX_ITEMS", 3)
    assert decode(encode([1, [2]])) == [1, [2]]
    with pytest.raises(CodecError, match="items"):
        encode([1, [2, 3]])
    monkeypatch.setattr(codec, "MAX_ITEMS", 9)
    four = encode([1, [2, 3]])
    monkeypatch.setattr(codec, "MAX_ITEMS", 3)
    with pytest.raises(CodecError, match="items"):
        decode(four)
    monkeypatch.setattr(codec, "MAX_BYTES", 20)
    with pytest.raises(CodecError, match="long"):
        encode("a" * 16)
    with pytest.raises(CodecError, match="long"):
        decode(bytes(21))


def test_a_promise_of_many_items_costs_nothing():
    with pytest.raises(CodecError):
        decode(struct.pack(">BI", codec._LIST, codec.MAX_ITEMS))
    with pytest.raises(CodecError):
        decode(struct.pack(">BI", codec._STR, 0xFFFFFFFF))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_value_or_one_error(data):
    value_or_error(data)


@settings(max_examples=60)
@given(st.recursive(ATOMS, containers, max_leaves=4).map(encode), st.data())
def test_bytes_that_were_a_value_are_a_value_or_one_error(data, draw):
    at = draw.draw(st.integers(0, len(data) - 1))
    value_or_error(data[:at] + draw.draw(st.binary(max_size=5)) + data[at + draw.draw(st.integers(0, 5)) :])


@given(st.lists(st.tuples(st.integers(0, 40), st.one_of(st.integers(0, 6), st.binary(max_size=9))), max_size=30))
def test_any_sequence_of_tags_is_a_value_or_one_error(parts):
    data = b""
    for tag, content in parts:
        data += struct.pack(">BI", tag, content) if isinstance(content, int) else (
            struct.pack(">BI", tag, len(content)) + content
        )  # fmt: skip
    value_or_error(data)


def value_or_error(data):
    with contextlib.suppress(CodecError):
        decode(data, Numbers())


@pytest.mark.parametrize(
    ("tag", "items"),
    [
        (codec._SET, [[]]), (codec._DICT, [[], 1]), (codec._DICT, [1]), (codec._RANGE, [0, 1, 0]),
        (codec._RANGE, [0, "1", 1]), (codec._FRACTION, [1, 0]), (codec._FRACTION, ["1e999999999", 1]),
        (codec._FRACTION, [1, 1 << 80_000]), (codec._DATE, [2001, 2, 29]), (codec._TIME, [24, 0, 0, 0, None, 0]),
        (codec._DATETIME, [1, 1, 1, 0, 0, 0, 0, 1, 0]), (codec._TIMEDELTA, [10**10, 0, 0]), (codec._DEFAULT, []),
        (codec._TIMEZONE, [datetime.timedelta(2), None]), (codec._DEQUE, [-1]), (codec._DEQUE, []),
    ],
)  # fmt: skip
def test_items_that_make_no_value_are_refused(tag, items):
    data = struct.pack(">BI", tag, len(items)) + b"".join(map(encode, items))
    with pytest.raises(CodecError):
        decode(data)


def test_only_builtin_classes_have_names():
    for name in (b"Popen", b"os.system", b"eval", b"__import__", b"", b"Fraction"):
        with pytest.raises(CodecError):
            decode(struct.pack(">BI", codec._CLASS, len(name)) + name)


class OutOfTime(BaseException):
    pass


@pytest.mark.parametrize("tag", [codec._DICT, codec._SET])
def test_a_signal_is_heard_while_keys_that_collide_are_read(tag):
    """Integers that are equal modulo 2**61 - 1 have one hash, so that n of them take n squared steps."""
    count = 30_000
    step = 1 if tag == codec._SET else 2
    keys = b"".join(encode(n * ((1 << 61) - 1)) + encode(None) * (step - 1) for n in range(1, count))
    data = struct.pack(">BI", tag, (count - 1) * step) + keys

    def stop(*_):
        raise OutOfTime

    before = signal.signal(signal.SIGPROF, stop)
    try:
        signal.setitimer(signal.ITIMER_PROF, 0.1)
        with pytest.raises(OutOfTime):
            decode(data)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def test_a_nan_stays_one():
    assert math.isnan(decode(encode([math.nan]))[0])
