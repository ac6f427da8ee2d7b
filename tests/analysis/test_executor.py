import math
import operator
import os
import signal
import threading
import time
from functools import partial

import pytest

from sandtable.analysis.executor import Executor, InProcess, ProcessPool

EXECUTORS = [InProcess(), ProcessPool(2)]


@pytest.mark.parametrize("executor", EXECUTORS, ids=["in process", "pool"])
def test_outcomes_come_in_the_order_of_the_configurations(executor: Executor) -> None:
    outcomes = list(executor.map(abs, range(-7, 0)))
    assert [outcome.config for outcome in outcomes] == list(range(-7, 0))
    assert [outcome.value for outcome in outcomes] == [7, 6, 5, 4, 3, 2, 1]
    assert all(outcome.error is None for outcome in outcomes)


@pytest.mark.parametrize("executor", EXECUTORS, ids=["in process", "pool"])
def test_a_call_that_fails_does_not_stop_the_others(executor: Executor) -> None:
    first, second, third = executor.map(math.sqrt, [4, -1, 9])
    assert (first.value, second.value, third.value) == (2, None, 3)
    assert second.error is not None
    assert second.error.startswith("Traceback")
    assert "ValueError" in second.error


@pytest.mark.parametrize("executor", EXECUTORS, ids=["in process", "pool"])
def test_nothing_to_do_is_done_at_once(executor: Executor) -> None:
    assert list(executor.map(abs, [])) == []


def test_a_slow_call_does_not_change_the_order() -> None:
    assert [outcome.config for outcome in ProcessPool(2).map(time.sleep, [0.4, 0.0, 0.1, 0.0])] == [0.4, 0.0, 0.1, 0.0]


def test_a_process_that_ends_fails_its_own_call_alone() -> None:
    outcomes = list(ProcessPool(1).map(os._exit, [3, 4]))
    assert [outcome.error for outcome in outcomes] == [
        f"the process of this run ended with exit code {code}" for code in (3, 4)
    ]


def test_a_process_that_is_killed_says_by_what() -> None:
    (outcome,) = ProcessPool(1).map(signal.raise_signal, [signal.SIGKILL])
    assert outcome.error == "the process of this run was killed by SIGKILL"


def test_workers_use_one_thread_each() -> None:
    (outcome,) = ProcessPool(1).map(os.getenv, ["OMP_NUM_THREADS"])
    assert outcome.value == "1"


def test_a_value_that_does_not_pickle_is_a_failure() -> None:
    outcomes = list(ProcessPool(1).map(memoryview, [b"x", b"y"]))
    assert all("pickle" in str(outcome.error) for outcome in outcomes)


def test_an_interrupt_ends_the_processes() -> None:
    threading.Timer(0.8, partial(os.kill, os.getpid(), signal.SIGINT)).start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(ProcessPool(2).map(time.sleep, [60, 60, 60]))
    assert time.monotonic() - begin < 20


def test_leaving_early_ends_the_processes() -> None:
    begin = time.monotonic()
    outcomes = ProcessPool(2).map(operator.methodcaller("__class__"), [0, 1, 2])
    assert next(outcomes).config == 0
    outcomes.close()
    assert time.monotonic() - begin < 20


def test_a_pool_needs_a_worker() -> None:
    with pytest.raises(ValueError, match="workers"):
        ProcessPool(0)
