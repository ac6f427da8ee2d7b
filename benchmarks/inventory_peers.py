"""Inventory simulators of others, each in a virtual environment of its own, beside ours on the nearest task."""

import itertools
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

import sandtable
from sandtable.benchmarks.timing import one_thread, timing
from sandtable.simulators.inventory.kernels.rollout import OrderUpTo, rollout_drawn
from sandtable.simulators.inventory.lost_sales import LostSales
from sandtable.simulators.random import fold_in, make_key

assert "sandtable/SerialInventory-v0" in sandtable.ENVIRONMENTS  # importing the package registers it
PROGRAMS = Path(__file__).resolve().parent / "peers"
TURNS = 7


class Peer:
    """A program that works when told to, and says how long it took.

    Attributes:
        greeting: What it said when it was ready.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.greeting = self._read()

    def rate(self, turn: int) -> float:
        """Return units a CPU-second of one turn of work."""
        units, seconds = self.answer(str(turn)).split()
        return float(units) / float(seconds)

    def answer(self, line: str) -> str:
        """Return the line with which the program answers one."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise OSError("the peer's program ended")
        return line.strip()


@contextmanager
def peer(requirement: str, program: str, *arguments: str) -> Iterator[Peer | None]:
    """Install a package into a new virtual environment and run a program of ``peers`` there; None where that fails."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / ("Scripts" if sys.platform == "win32" else "bin") / "python")
        installed = subprocess.run([python, "-m", "pip", "install", "--quiet", requirement], capture_output=True)
        if installed.returncode:
            yield None
            return
        process = subprocess.Popen(
            [python, str(PROGRAMS / program), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            yield Peer(process)
        except OSError:
            yield None
        finally:
            process.terminate()
            process.wait()


def benchmark(quick: bool = False) -> list[dict[str, Any]]:
    """Time ours and DynaPlex on Zipkin's lost-sales problem, and ours and gym-invmgmt on a serial system."""
    cases: list[tuple[str, str, str, str, Callable[[], Callable[[], float]]]] = [
        (
            "base-stock 25 capped at 7, lost sales, L = 4",
            "periods/s",
            "dynaplex==1.14.1",
            "dynaplex_lost_sales.py",
            _lost_sales,
        ),
        (
            "serial system, ours a vector of 4,096",
            "env-steps/s",
            "gym-invmgmt==0.2.1",
            "gym_invmgmt_serial.py",
            _serial,
        ),
    ]
    rows = []
    for case, unit, requirement, program, prepare in cases:
        ours = prepare()
        with peer(requirement, program) as other, one_thread():
            ours()  # what is compiled or cached
            rates, theirs = [], []
            for turn in range(1 if quick else TURNS):
                rates.append(ours())
                if other is not None:
                    theirs.append(other.rate(turn + 1))
            row = timing("inventory-peers", case, unit, (max(rates), max(theirs, default=None)), requirement)
        rows.append(row)
    return rows


def _lost_sales() -> Callable[[], float]:
    """Return a call that plays the rule on Zipkin's problem, demand drawn in the kernel, and returns periods/s."""
    world = LostSales(4, shortage=4.0, horizon=1_100)
    policy, turns = OrderUpTo(25.0, cap=7.0), itertools.count()

    def turn() -> float:
        keys = fold_in(make_key(next(turns)), np.arange(4_096))
        start = time.process_time()
        rollout_drawn(world, keys, policy)
        return len(keys) * world.horizon / (time.process_time() - start)

    return turn


def _serial() -> Callable[[], float]:
    """Return a call that plays episodes of the serial system with constant orders, and returns steps/s."""
    vector = gym.make_vec("sandtable/SerialInventory-v0", num_envs=4_096, horizon=100)
    vector.reset(seed=0)
    orders = np.full(vector.action_space.shape or (), 5.0, np.float32)

    def turn() -> float:
        start = time.process_time()
        for _ in range(101):  # an episode and its reset
            vector.step(orders)
        return vector.num_envs * 101 / (time.process_time() - start)

    return turn
