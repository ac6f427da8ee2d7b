"""What a judge says of programs, and of whatever else comes over its channel."""

import os
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandtable.simulators.language.sandbox import codec
from sandtable.simulators.language.sandbox.channel import EXCEPTIONS, NOT_LOADED, NOT_SENDABLE, RAISED, VALUE
from sandtable.simulators.language.sandbox.codec import encode
from sandtable.simulators.language.sandbox.jobs import VERDICTS, encode_judge_job
from sandtable.simulators.language.sandbox.judge import judge, main

DOUBLE = "def f(x):\n    return 2 * x\n"
TEST = "assert f(4) == 8"
NO_CLASS = "try:\n    f(1)\nexcept Exception as e:\n    assert type(e).__name__ == 'WorkerError'\n"


def message(number, kind, content=b""):
    return struct.pack(">IBI", number, kind, len(content)) + content


def test_a_right_program_passes(graded):
    assert graded(DOUBLE, TEST) == "passed"


def test_a_wrong_answer_fails(graded):
    assert graded("def f(x):\n    return x\n", TEST) == "failed"


@pytest.mark.parametrize("program", ["def f(x):\n    raise ValueError\n", "def f(:\n", "1 / 0", "g = 1", "", "f = 3"])
def test_a_program_that_raises_or_is_none_is_an_error(graded, program):
    assert graded(program, TEST) == "error"


def test_memory_that_ran_out_is_told_from_other_errors(graded):
    assert graded("def f(x):\n    raise MemoryError\n", TEST) == "memory"
    assert graded("raise MemoryError", TEST) == "memory"


def test_an_answer_of_the_wrong_type_that_the_tests_cannot_work_with_fails(graded):
    assert graded("def f(x):\n    return None\n", "assert f(4)[0] < 8") == "failed"


@pytest.mark.parametrize("answer", ["unknown", "import nothing", ")(", "1 / 0"])
def test_what_an_answer_brings_about_is_not_the_tests_fault(graded, answer):
    program = f"def f(x):\n    return {answer!r}\n"
    assert graded(program, "assert eval(f(3)) == 8") == graded(program, "exec(f(3))\nassert False") == "failed"
    deep = "def f(x):\n    for _ in range(100):\n        x = [x]\n    return x\n"
    assert graded(deep, "f([f(1)])") == "failed"


@pytest.mark.parametrize(
    "tests",
    [
        "assert unknown(f(4)) == 8", "assert f(", "import nothing_at_all", "raise SystemExit", "",
        "assert f(object()) == 8", "assert True", "assert 1 == 2", "assert f(f(4), f) == unknown",
    ],
)  # fmt: skip
def test_tests_that_are_broken_or_test_nothing_are_the_judge_s_fault(graded, tests):
    assert graded("def f(*x):\n    return 1\n", tests) == "judge_error"


@pytest.mark.parametrize("error", ["ValueError", "ZeroDivisionError", "KeyError", "RuntimeError", "UnicodeDecodeError"])
def test_builtin_exceptions_are_raised_again(graded, error):
    made = f"{error}('utf-8', b'', 0, 1, 'why')" if error == "UnicodeDecodeError" else f"{error}('why', 3)"
    program = f"def f(x):\n    raise {made}\n"
    tests = f"try:\n    f(1)\nexcept {error} as e:\n    assert e.args[-1] in (3, 'why')\nelse:\n    assert False"
    assert graded(program, tests) == "passed"
    assert graded(program, "try:\n    f(1)\nexcept OSError:\n    pass") == "error"


@pytest.mark.parametrize("raised", ["AssertionError", "SystemExit", "KeyboardInterrupt", "StopIteration", "Own"])
def test_all_else_is_one_class_of_error(graded, raised):
    program = f"class Own(ValueError):\n    pass\ndef f(x):\n    raise {raised}\n"
    assert graded(program, "assert f(1)") == "error"
    caught = f"try:\n    f(1)\nexcept ({raised if raised != 'Own' else 'ValueError'}):\n    pass"
    assert graded(program, caught) == "error"
    assert graded(program, NO_CLASS) == "passed"


def test_a_program_cannot_end_a_loop_of_the_tests(graded):
    program = "def f(x):\n    raise StopIteration\n"
    assert graded(program, "for got, right in zip(map(f, [1, 2]), [2, 4]):\n    assert got == right\nf(1)") == "error"


def test_tests_that_catch_everything_hide_no_program_that_is_none(graded):
    assert graded("1 / 0", "try:\n    assert f(1) == 2\nexcept BaseException:\n    pass") == "error"


def test_names_mean_the_entry_point_then_helpers_then_the_judge_s_own(graded):
    assert graded("def sum(a, b):\n    return a + b", "assert sum(10, 15) == 25", entry_point="sum") == "passed"
    lying = "def f(x):\n    return 1\nset = len = abs = check = lambda x: 1\nclass math:\n    pi = 1\n"
    assert graded(lying, "assert f(1) == len([1, 2])") == "failed"
    assert graded(lying, "assert f(1) == abs(-5)") == "failed"
    assert graded(lying, "assert f(1) == math.pi") == "failed"
    assert graded(lying, "f(1)\nassert check(1) == 1") == "judge_error"
    helper = "def check(x):\n    return x + 1\n"
    assert graded(lying, "assert f(1) == check(0)", helpers=helper, names=("check", "len")) == "passed"
    assert graded(lying, "assert f(1) == check(1)", helpers=helper, names=("check", "len")) == "failed"
    assert graded(lying, "assert f(1) == len('ab')", names=("check", "len", "math")) == "failed"


def test_the_entry_point_is_no_builtin_function(graded):
    assert graded("def total(a, b):\n    return a + b", "assert sum([10, 15]) == 25", entry_point="sum") == "error"


PAIR = "class Pair:\n    def __init__(self, a):\n        self.a = a\ndef f(pair):\n    return pair.a\n"


def test_names_of_setup_and_reference_are_handles_that_can_go_back(graded):
    assert graded(PAIR, "assert f(Pair(3)) == 3", names=("Pair",)) == "passed"
    assert graded(PAIR, "assert f(root) == 4", setup="root = Pair(2)\nroot.a = 4", names=("root",)) == "passed"
    assert graded("def f(x):\n    return x\n", "assert f(Pair(3)) == 3", names=("Pair",)) == "error"


@pytest.mark.parametrize(
    "test", ["f(1) == right", "f(1) == make(1)", "right == make(2)", "[make(1)] == [make(1)]", "right"]
)
def test_what_a_name_of_the_setup_stands_for_is_never_compared(graded, test):
    program = "def f(x):\n    return 1\nmake = f\n"
    assert graded(program, f"f(1)\nassert {test}", setup="right = 1", names=("right", "make")) == "failed"


def test_a_handle_equals_nothing_and_is_neither_true_nor_false(graded):
    program = "class All:\n    __eq__ = lambda *_: True\n    __ne__ = lambda *_: False\n    __hash__ = lambda _: 0\n"
    program += "ONE = All()\ndef f(x):\n    return ONE\n"
    for wrong in ("f(1) == f(1)", "[f(1)] == [f(1)]", "f(1) in [1, f(1)]", "f(1)", "not f(1)", "f(1) is f(1)"):
        assert graded(program, f"assert {wrong}") == "failed", wrong
    assert graded(program, "assert f(1) != 1") == "passed"


def test_a_handle_can_be_called_iterated_over_and_passed_back(graded):
    program = "def f(x):\n    return (lambda y: x + y) if type(x) is int else x() if callable(x) else {3: 1}.keys()\n"
    assert graded(program, "assert f(1)(2) == 3") == "passed"
    assert graded(program, "assert list(f('')) == [3] and 3 in f('')") == "passed"
    assert graded("def f(x=None):\n    return 5 if x else f\n", "assert f(f()) == 5") == "passed"
    assert graded("def f(x):\n    return lambda: 1 / 0\n", "list(f(1))") == "error"


def test_subclasses_and_booleans_are_what_they_are(graded):
    program = "class Int(int):\n    __eq__ = lambda *_: True\ndef f(x):\n    return Int(x) if x < 5 else True\n"
    assert graded(program, "assert f(4) == 4") == "failed"
    assert graded(program, "assert f(7) is True and type(f(7)) is bool") == "passed"


def test_an_argument_is_passed_by_value(graded):
    program = "def f(x):\n    x.append(1)\n    return x\n"
    assert graded(program, "a = [0]\nassert f(a) == [0, 1] and a == [0]") == "passed"


def test_iterators_come_by_their_items(graded):
    assert graded("def f(x):\n    yield from range(x)\n", "assert list(f(3)) == [0, 1, 2]") == "passed"
    assert graded("import itertools\nf = itertools.count\n", "assert next(f(3)) == 3") == "passed"


@pytest.mark.parametrize("value", ["nested", "[a] * 2", "'a' * (16 << 20)"])
def test_a_value_beyond_the_limits_is_an_error(graded, value):
    program = "nested = []\nfor _ in range(200):\n    nested = [nested]\na = []\na.append(a)\n"
    assert graded(f"{program}def f():\n    return {value}\n", "f()") == "error"


def test_the_worker_s_word_counts_only_as_the_answer_to_a_call(answered):
    right = message(1, VALUE, encode(8))
    assert answered(TEST, right) == "passed"
    assert answered(TEST + "\nassert f(4) == 8", right * 2) == "error"  # the second is an answer to the first call
    assert answered(TEST, b"") == answered(TEST, right[:-1]) == "crash"
    assert answered(TEST, message(0, VALUE, encode(8))) == "error"
    assert answered("assert True", right) == "judge_error"


@pytest.mark.parametrize("kind", [0, 1, 2, NOT_SENDABLE, RAISED, NOT_LOADED, 255])
def test_an_answer_of_another_kind_is_an_error(answered, kind):
    for content in (b"", encode(8), encode((8, 8)), encode((AssertionError, ())), encode((SystemExit, ())), b"\1"):
        assert answered(TEST, message(1, kind, content)) == "error"
        assert answered(f"try:\n    {TEST}\nexcept AssertionError:\n    pass", message(1, kind, content)) == "error"


def test_a_handle_is_no_exception_and_no_iterator(answered):
    handle = struct.pack(">BIQ", codec._HANDLE, 8, 0)
    pair = struct.pack(">BI", codec._TUPLE, 2) + encode(SyntaxError)
    arguments = struct.pack(">BI", codec._TUPLE, 2) + encode("") + handle
    for content in (handle, pair + handle, pair + arguments):
        assert answered(TEST, message(1, RAISED, content) + message(2, VALUE, handle)) == "error"
    for content in (handle, encode(1), encode([1])):
        sent = message(1, VALUE, handle) + message(2, VALUE, content)
        assert answered("try:\n    list(f())\nexcept Exception:\n    pass", sent) == "error"
    sent = message(1, VALUE, handle) + message(2, VALUE, encode(iter([1])))
    assert answered("assert list(f()) == [1]", sent) == "passed"


def test_only_exceptions_of_the_list_are_raised(answered):
    for kind in (StopIteration, StopAsyncIteration, AssertionError, GeneratorExit, KeyboardInterrupt, int, object):
        assert kind not in EXCEPTIONS
        assert answered(NO_CLASS, message(1, RAISED, encode((kind, ())))) == "passed"
    tests = "try:\n    f()\nexcept OSError as e:\n    assert type(e) is OSError"
    assert answered(tests, message(1, RAISED, encode((OSError, (2, "no file"))))) == "passed"


@given(st.binary(max_size=300))
def test_arbitrary_bytes_never_pass(answered, sent):
    assert answered("assert f() == 'unguessable 7193'", sent) in ("crash", "error")


@settings(max_examples=50)
@given(st.integers(0, 20), st.one_of(st.binary(max_size=60), st.lists(st.integers()).map(encode)))
def test_arbitrary_answers_never_pass(answered, kind, content):
    tests = "try:\n    got = f()\nexcept Exception:\n    got = None\nassert got == 'unguessable 7193'"
    assert answered(tests, message(1, kind, content)) in ("error", "failed", "memory")


def test_a_worker_that_sends_a_value_where_it_was_to_keep_it_is_an_error(answered):
    sent = message(1, VALUE, encode(1)) + message(2, VALUE, encode(1))
    for tests in ("assert make(2) == f(1)", "try:\n    make(2)\nexcept Exception:\n    pass\nassert f(1) == 1"):
        assert answered(tests, sent, names=("make",)) == "error"
    assert answered("assert f(1) == f(2)", sent, names=("make",)) == "passed"


def test_a_handle_has_one_length_and_no_name(answered):
    for length in (0, 1, 7, 9, 300):
        assert answered("f()", message(1, VALUE, struct.pack(">BI", codec._HANDLE, length) + bytes(length))) == "error"
    name = struct.pack(">BI", codec._NAME, 1) + b"f"
    assert answered("f()", message(1, VALUE, name)) == "error"


@pytest.mark.parametrize("job", [b"", b"nonsense", encode_judge_job("assert f(", "f"), encode_judge_job("f()", "f")])
def test_a_judge_s_process_sends_one_byte_whatever_happens(monkeypatch, job):
    """Its end is replaced, for it would end this process; what it does to signals and streams is undone."""
    for name in ("discard_streams", "signal.signal"):
        monkeypatch.setattr(f"sandtable.simulators.language.sandbox.judge.{name}", lambda *_: None)
    monkeypatch.setattr(os, "_exit", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    (job_end, job_in), (verdict_end, verdict_in) = os.pipe(), os.pipe()
    os.write(job_in, job)
    os.close(job_in)
    closed = os.open(os.devnull, os.O_RDONLY)
    with pytest.raises(KeyboardInterrupt):
        main(job_end, closed, verdict_in)
    os.close(verdict_in)
    said = os.read(verdict_end, 9)
    os.close(verdict_end)
    os.close(closed)
    assert [VERDICTS[byte - 1] for byte in said] == ["crash" if job == encode_judge_job("f()", "f") else "judge_error"]


def test_what_wears_the_judge_out_after_a_call_is_the_program_s_doing(monkeypatch):
    """A verdict that cannot be made is one of memory, and before any call it is the tests' fault."""
    ends = []
    monkeypatch.setattr(f"{judge.__module__}._end", lambda _, verdict: ends.append(verdict))
    monkeypatch.setattr(f"{judge.__module__}.discard_streams", lambda: None)
    monkeypatch.setattr(f"{judge.__module__}.signal.signal", lambda *_: None)
    for calls in (0, 1):

        def fails(_, program, calls=calls):
            program.calls = calls
            raise MemoryError

        monkeypatch.setattr(f"{judge.__module__}.judge", fails)
        reading, writing = os.pipe()
        os.write(writing, encode_judge_job("f()", "f"))
        os.close(writing)
        with pytest.raises(MemoryError):
            main(reading, -1, -1)
    assert ends == ["judge_error", "memory"]


def test_what_a_handle_is_and_a_copy_of_it_are_the_program_s_too(graded):
    program = "class Own:\n    __call__ = lambda self: 5\ndef f(x):\n    return Own()\n"
    assert graded(program, "f(type(f(1)))") == "failed"
    copied = "import copy\nassert copy.deepcopy(f(1))() == 5\nassert f(2)() == 5 and copy.deepcopy([f(1)]) != [f(1)]"
    assert graded(program, copied) == "passed"


def test_what_the_tests_can_reach_of_a_program_is_a_handle(graded):
    assert graded(DOUBLE, "assert f(1) == 2\nf.__globals__") == "failed"
