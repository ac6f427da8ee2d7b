"""Workers answer, are replaced when they die, and leave nothing behind. A trivial trade stands in for games."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from sandtable.envs.nethack.shared_memory import Field, create_memory, map_arrays
from sandtable.envs.nethack.worker_pool import GO, WorkerPool
from sandtable.simulators.errors import InputError

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="processes are looked up in /proc")
FIELDS = [Field("numbers", (4,), "int64"), Field("letters", (3, 5), "uint8")]
TRADE = """
import json, os, signal, tempfile
from sandtable.envs.nethack.shared_memory import Field, map_arrays
from sandtable.envs.nethack.worker_pool import serve
from sandtable.simulators.errors import InputError

def main(job):
    def start(stack):
        if job.get("refuse"):
            raise InputError("no such trade")
        if job.get("die"):
            os.kill(os.getpid(), signal.SIGKILL)
        numbers = map_arrays(job["memory"], [Field(*field) for field in job["fields"]])["numbers"]
        tempfile.mkdtemp()
        def work(message):
            if message != b"\\n":
                order = json.loads(message)
                if order.get("fail") == job["row"]:
                    raise ZeroDivisionError("one by nothing")
                if order.get("die") == job["row"]:
                    os._exit(3)
            numbers[job["row"]] += 1
        return work
    serve(job, start)
"""


@pytest.fixture
def pool(tmp_path, monkeypatch):
    """Return a function that makes a pool of workers which count their messages, and the counts."""
    (tmp_path / "trade_of_counting.py").write_text(TRADE)
    monkeypatch.syspath_prepend(str(tmp_path))
    pools = []

    def make(workers=2, **job):
        memory = create_memory(FIELDS)
        numbers = map_arrays(memory, FIELDS)["numbers"]
        jobs = [{"row": row, "fields": FIELDS} | job for row in range(workers)]
        pools.append(WorkerPool("trade_of_counting", jobs, memory))
        return pools[-1], numbers

    yield make
    for one in pools:
        one.close()


def descriptors():
    return sorted(os.listdir("/proc/self/fd"))


def running(pid):
    """Tell whether a process runs; one that has ended and that its parent has not asked for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_arrays_of_a_block_do_not_overlap():
    memory = create_memory(FIELDS)
    one, other = map_arrays(memory, FIELDS), map_arrays(memory, FIELDS)
    os.close(memory)
    one["numbers"][:], one["letters"][:] = -1, 7
    np.testing.assert_array_equal(other["numbers"], [-1] * 4)
    np.testing.assert_array_equal(other["letters"], np.full((3, 5), 7))


def test_all_workers_work_on_a_message(pool):
    workers, numbers = pool()
    assert workers.exchange(GO) == []
    assert workers.exchange(b'{"to": "%s"}\n' % (b"all" * 50_000)) == []
    np.testing.assert_array_equal(numbers, [2, 2, 0, 0])


@pytest.mark.parametrize("how", ["killed while it waits", "dies at work"])
def test_a_worker_that_dies_is_replaced_and_the_others_do_not_notice(pool, how):
    workers, numbers = pool()
    first, second = workers.pids
    if how == "killed while it waits":
        os.kill(first, signal.SIGKILL)
        assert workers.exchange(GO) == [0]
    else:
        assert workers.exchange(b'{"die": 0}\n') == [0]
    assert workers.pids[0] != first
    assert workers.pids[1] == second
    assert workers.exchange(GO) == []
    np.testing.assert_array_equal(numbers, [1, 2, 0, 0])


def test_what_a_worker_fails_of_is_said_and_ends_all(pool):
    before = descriptors()
    with pytest.raises(InputError, match="no such trade"):
        pool(1, refuse=True)
    with pytest.raises(RuntimeError, match="killed by SIGKILL before it was ready"):
        pool(1, die=True)
    workers = pool()[0]
    pids = workers.pids
    with pytest.raises(RuntimeError, match="ZeroDivisionError: one by nothing"):
        workers.exchange(b'{"fail": 0}\n')
    assert not any(map(running, pids))
    assert descriptors() == before


def test_nothing_outlives_a_pool(pool, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = descriptors()
    workers = pool()[0]
    pids = workers.pids
    os.kill(pids[0], signal.SIGKILL)
    workers.exchange(GO)
    pids += workers.pids
    assert len(list(tmp_path.glob("sandtable*/*"))) == 2
    workers.close()
    workers.close()
    assert not any(map(running, pids))
    assert not list(tmp_path.glob("sandtable*"))
    assert descriptors() == before
