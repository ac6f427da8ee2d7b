"""Steps a second on a GPU: of the inventory worlds with a fixed policy, and of what learns in them and on parities.

Without a GPU the same code runs at a small size on one core of the CPU; what is asked of a GPU is then not measured,
and the rows say so.
"""

import itertools
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import torch

from sandtable.agents.inventory.direct_backprop import DirectBackprop, OrderUpToNetwork, features
from sandtable.agents.ppo import PPO
from sandtable.benchmarks.inventory import PERIODS, bytes_per_step, replay_of, total_reward
from sandtable.benchmarks.replicas import BATCH, RATE, WIDTH, K, N
from sandtable.benchmarks.timing import one_thread, rates_in_turns, timing
from sandtable.simulators.inventory.lost_sales import LostSales
from sandtable.simulators.inventory.replay import InventoryReplay
from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.training.graph import captured
from sandtable.training.initialisation import PYTORCH
from sandtable.training.loop import fit
from sandtable.training.networks import MLP
from sandtable.training.objectives import Pathwise, Supervised
from sandtable.training.optimizers import SGD, AdamW
from sandtable.training.progress import Progress

FIXED_ASKED, LEARNING_ASKED, PPO_ASKED, PARITY_ASKED = 1e10, 3e8, 1e7, 1e7
"""Steps a second on one H200."""
WINDOW = 16


def benchmark(quick: bool = False) -> list[dict[str, Any]]:
    """Time a base-stock policy, forward, and whole trainings: DirectBackprop's, PPO's, and perceptrons on parities."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    on_gpu = device.type == "cuda"
    bandwidth = device_bandwidth(quick) if on_gpu else None
    rows = []
    for name, unit, asked, measure, units in (
        ("forward, fixed policy", "product-steps/s", FIXED_ASKED, fixed_policy_rate, 262_144 if on_gpu else 2_000),
        ("learning, DirectBackprop", "product-steps/s", LEARNING_ASKED, backprop_rate, 65_536 if on_gpu else 512),
        ("learning, PPO on lost sales", "env-steps/s", PPO_ASKED, ppo_rate, 32_768 if on_gpu else 128),
        ("learning, perceptrons on parities", "model-steps/s", PARITY_ASKED, parity_rate, 4_096 if on_gpu else 64),
    ):
        rate, size = measure(device, units // 8 if quick else units, quick)
        limit = bandwidth / size if bandwidth else None
        rows.append(timing("gpu", case(name, asked, device), unit, (rate, None), "none", None, limit))
    return rows


def case(name: str, asked: float, device: torch.device) -> str:
    """Return what a row is called: what was asked, and whether this machine could measure it."""
    if device.type == "cuda":
        return f"{name} ({asked:.0e} asked); {torch.cuda.get_device_name(device)}"
    return f"{name} ({asked:.0e} asked of a GPU: not measured, there is none); a small size on one core of the CPU"


def fixed_policy_rate(device: torch.device, products: int, quick: bool) -> tuple[float, float]:
    """Return product-steps a second of a base-stock policy over a year, and the bytes of one."""
    replay = replay_of(products)
    keys = torch.arange(products, device=device)
    state = replay.reset(keys, product=keys)
    level = state.context.mean * 6
    size, work = bytes_per_step(state), float(products * PERIODS)
    total = torch.zeros((), dtype=level.dtype, device=device)

    def play() -> None:
        with torch.no_grad():
            total.copy_(total_reward(replay, state, level))

    if device.type == "cuda":
        return work / _seconds_on_gpu(_warm_and_captured(play), quick), size
    return rates_in_turns(play, None, (work, 0.0), quick)[0], size


def backprop_rate(device: torch.device, batch: int, quick: bool) -> tuple[float, float]:
    """Return product-steps a second of training DirectBackprop's network, and the bytes of one.

    On a GPU training runs in the mode ``graph``.
    """
    agent = DirectBackprop(batch=batch)
    panel = replay_of(500).panel
    last = panel.periods - agent.horizon
    world = InventoryReplay(panel, agent.horizon, starts=(0, last), window=WINDOW, initial_spread=0.8)
    network = OrderUpToNetwork(agent.seeds, WINDOW, agent.hidden, key=0)
    one = world.reset(torch.arange(1))
    seen = features(world.observe(one)).shape[-1]
    size = bytes_of_learning([seen, *agent.hidden]) + 2 * bytes_per_step(one)

    def train(steps: int, every: int, progress: Progress) -> None:
        fit(
            network, Pathwise(world, agent.batch), key=0, steps=steps, optimizer=AdamW(agent.learning_rate),
            clip=agent.clip, log_every=every, device=device, progress=progress,
            mode="graph" if device.type == "cuda" else "eager",
        )  # fmt: skip

    return _rate_of_training(train, float(agent.seeds * agent.batch * agent.horizon), device, quick), size


def ppo_rate(device: torch.device, environments: int, quick: bool) -> tuple[float, float]:
    """Return environment-steps a second of PPO on lost sales, updates included, and the bytes of one."""
    agent = PPO(environments=environments, periods=32, batch=environments * 4, epochs=4)
    world = LostSales(horizon=100)
    seen = gym.spaces.flatdim(world.observation_space)
    size = 2 * (agent.epochs * bytes_of_learning([seen, *agent.hidden]) + 2 * 4.0 * sum(agent.hidden))

    def train(steps: int, every: int, progress: Progress) -> None:
        samples = steps * environments * agent.periods
        agent.learn(world, key=0, steps=samples, log_every=every, device=device, progress=progress)

    return _rate_of_training(train, float(environments * agent.periods), device, quick), size


def parity_rate(device: torch.device, models: int, quick: bool) -> tuple[float, float]:
    """Return model-steps a second of training perceptrons of width 100 on parities of 3 of 50 bits, and bytes of one.

    The bytes: parameters are read forward and by the update, their gradient is written and read, and they are written.
    """
    network = MLP(models, N, [WIDTH], 1, key=0, initialisation=PYTORCH)
    objective = Supervised(SparseParity(N, K, loss="hinge"), BATCH)
    parameters = sum(parameter[0].numel() for parameter in network.parameters())
    size = 5 * 4.0 * parameters + BATCH * bytes_of_learning([N, WIDTH])

    def train(steps: int, every: int, progress: Progress) -> None:
        fit(
            network, objective, key=0, steps=steps, optimizer=SGD(RATE), log_every=every, device=device,
            progress=progress, mode="graph" if device.type == "cuda" else "eager",
        )  # fmt: skip

    return _rate_of_training(train, float(models), device, quick), size


def _rate_of_training(
    train: Callable[[int, int, Progress], None], units: float, device: torch.device, quick: bool
) -> float:
    """Return units a second from the time between rows of metrics, the best of them; the first row warms up.

    Args:
        train: Takes the steps of a training, those between rows, and what to call after each row.
        units: Of a step of the training.
        device: Of the training; on a CPU, CPU-seconds of one thread count.
        quick: Two rows of one step instead of four of five.
    """
    clock: Callable[[], float] = time.perf_counter if device.type == "cuda" else time.process_time
    marks: list[float] = []
    every, rows = (1, 2) if quick else (5, 4)
    with one_thread():
        train(every * rows, every, lambda step, steps, row: marks.append(clock()))
    return every * units / min(after - before for before, after in itertools.pairwise(marks))


def bytes_of_learning(widths: list[int]) -> float:
    """Return the bytes of a row through a network if each pass that needs an activation, of float32, moved it once.

    It is written and read forward; backward it is read, and its gradient written and read.
    """
    return 5 * 4.0 * sum(widths)


def device_bandwidth(quick: bool = False) -> float:
    """Return bytes a second that the GPU reads and writes, measured by copying an array far beyond its cache."""
    source = torch.ones((64 if quick else 512) * 2**20, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.nbytes / _seconds_on_gpu(lambda: target.copy_(source), quick)


def _warm_and_captured(work: Callable[[], None]) -> Callable[[], Any]:
    """Do the work on a stream of its own, as a capture asks, then capture it."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    return captured(work)


def _seconds_on_gpu(work: Callable[[], Any], quick: bool) -> float:
    """Return the seconds of a call, by the device's clock; the best of several turns."""
    work()
    calls, best = (2, float("inf")) if quick else (10, float("inf"))
    for _ in range(2 if quick else 7):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(calls):
            work()
        end.record()
        end.synchronize()
        best = min(best, start.elapsed_time(end) / 1e3 / calls)
    return best
