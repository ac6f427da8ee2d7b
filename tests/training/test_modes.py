"""The modes of the loop do the same steps."""

import math
import os
import signal

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sandtable.agents.actor_critic import ActorCritic
from sandtable.agents.inventory.direct_backprop import OrderUpToNetwork
from sandtable.benchmarks.inventory import replay_of
from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.lost_sales import LostSales
from sandtable.simulators.inventory.replay import InventoryReplay
from sandtable.simulators.random import fold_in
from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.training import (
    MLP,
    SGD,
    AdamW,
    Checkpoints,
    ImportanceWeighted,
    Objective,
    Pathwise,
    Rollouts,
    Single,
    Supervised,
    Validation,
    cosine,
    distribution_for,
    fit,
)
from sandtable.training import loop as loop_module
from sandtable.training.checkpoint import flatten
from sandtable.training.graph import GraphRunner, interruptible
from sandtable.training.keys import replica_keys
from sandtable.training.step import Runner, Stepper
from sandtable.training.validation import start_stopping

TASK = SparseParity(10, 2, loss="hinge")
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device on this machine")


class Collecting(Objective):
    """Supervised learning on two batches that are collected first; carries the batches, and how often it collected."""

    updates = 2

    def start(self, network, key):
        return {"examples": self.drawn(key, torch.zeros_like(key)), "count": torch.zeros_like(key)}

    def drawn(self, key, count):
        rows = fold_in(key[:, None], torch.arange(16, device=key.device))
        return TASK.sample(fold_in(rows, count[:, None]))

    def collect(self, network, key, carry):
        return {"examples": self.drawn(key, carry["count"]), "count": carry["count"] + 1}

    def loss(self, network, key, carry, update):
        loss = TASK.loss(network(carry["examples"].input), carry["examples"]).mean(-1)
        return loss, {"collected": carry["count"].double()}, carry


def normalised():
    torch.manual_seed(0)
    layers = torch.nn.Linear(10, 8), torch.nn.BatchNorm1d(8, momentum=0.01), torch.nn.ReLU(), torch.nn.Linear(8, 1)
    return Single(torch.nn.Sequential(*layers))


def inventory(horizon=7):
    return Pathwise(InventoryReplay(replay_of(20).panel, horizon, starts=(52, 60), window=16), 8)


def parity(**settings):
    steps = {"key": 1, "steps": 20, "optimizer": AdamW(1e-2), "clip": 1.0, "schedule": cosine(20), "log_every": 6}
    return fit(MLP(2, 10, [16], 1, key=0), Supervised(TASK, 16), **{**steps, **settings})


def assert_same_training(one, other, tolerance=0.0):
    """Compare two trainings; the first may have dropped replicas that stopped, of which its rows then tell nothing."""
    assert len(one.history) == len(other.history)
    for ours, theirs in zip(one.history, other.history, strict=True):
        assert list(ours) == list(theirs)
        for name in ours.keys() - {"step"}:
            known = [(a, b) for a, b in zip(ours[name], theirs[name], strict=True) if not math.isnan(a)]
            assert known
            for a, b in known:
                assert a == pytest.approx(b, rel=tolerance, abs=tolerance)
    theirs = other.network.state_dict()
    for name, tensor in one.network.state_dict().items():
        torch.testing.assert_close(tensor, theirs[name], rtol=tolerance, atol=tolerance, check_device=False)


@pytest.fixture
def graph_without_capture(monkeypatch):
    """Let mode graph run on a CPU: its cycle in tensors that stay, done by Python instead of by a CUDA graph."""
    monkeypatch.setattr(loop_module, "_mode", lambda mode, device: mode or "eager")
    made = []

    def runner(stepper, mode, backend, log_every):
        assert mode in ("graph", "eager")
        if mode == "eager":
            return Runner(stepper)
        made.append(GraphRunner(stepper, log_every, record=lambda cycle: cycle))
        return made[-1]

    monkeypatch.setattr(loop_module, "_runner", runner)
    return made


@pytest.mark.parametrize(
    ("make", "objective", "settings"),
    [
        (lambda: MLP(2, 10, [16], 1, key=0), Supervised(TASK, 16), {"clip": 1.0, "schedule": cosine(20, warmup=3)}),
        (lambda: MLP(2, 10, [16], 1, key=0), Collecting(), {"optimizer": SGD([0.1, 0.01], momentum=0.9)}),
        (normalised, Supervised(TASK, 16), {"validate": Validation(Supervised(TASK, 64), every=4, patience=2)}),
        (lambda: MLP(2, 10, [16], 1, key=0), Supervised(TASK, 16), {"optimizer": AdamW([0.0, 1e-2]),
            "validate": Validation(Supervised(TASK, 64), every=2, patience=2)}),
        (lambda: OrderUpToNetwork(2, 16, (16,), 0), inventory(), {"steps": 6}),
    ],
)  # fmt: skip
def test_steps_in_tensors_that_stay_are_the_eager_ones_to_the_bit(graph_without_capture, make, objective, settings):
    settings = {"key": 1, "steps": 20, "optimizer": AdamW(1e-2), "log_every": 6, **settings}
    eager = fit(make(), objective, mode="eager", **settings)
    graph = fit(make(), objective, mode="graph", **settings)
    assert_same_training(eager, graph)
    assert graph.flops == eager.flops
    assert torch.equal(graph.best_step, eager.best_step)
    assert torch.equal(graph.stopped, eager.stopped)
    assert len(graph_without_capture) == 1


def test_the_tensors_of_a_graph_stay_where_they_are():
    network, keys = MLP(2, 10, [16], 1, key=0), replica_keys(0, 2)
    objective = Supervised(TASK, 16)
    slots = dict(network.named_parameters())
    stepper = Stepper(network, slots, objective, AdamW(0.1), cosine(9), None, keys, objective.loss)
    runner = GraphRunner(stepper, 4, record=lambda cycle: cycle)
    state = stepper.start(lambda parameters: None)
    places, losses = set(), []
    for _ in range(9):
        state, measures = runner.advance(state)
        places.add(tuple(tensor.data_ptr() for tensor in flatten(state).values()))
        losses.append(measures["loss"])
    assert len(places) == 1
    assert int(state.step) == 9
    assert [loss.data_ptr() for loss in losses[:5]] == [loss.data_ptr() for loss in losses[4:]]  # a ring of four
    assert len({loss.data_ptr() for loss in losses}) == 4
    assert {name: slot.data_ptr() for name, slot in slots.items()} == {
        name: tensor.data_ptr() for name, tensor in state.parameters.items()
    }


class ReadsBack(TorchDispatchMode):
    """Keeps the names of operations for whose result the host would wait for a device."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique_dim", "_unique2"):
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("objective", [Supervised(TASK, 16), Collecting()])
@pytest.mark.parametrize("validated", [False, True])
def test_a_cycle_reads_no_number_back(objective, validated):
    network, keys = MLP(2, 10, [16], 1, key=0), replica_keys(0, 2)
    threshold = torch.ones(2, dtype=torch.float64)
    slots = dict(network.named_parameters())
    stepper = Stepper(network, slots, objective, AdamW(0.1), cosine(9), threshold, keys, objective.loss)
    runner = GraphRunner(stepper, 4, record=lambda cycle: cycle)
    state = stepper.start(lambda parameters: start_stopping(parameters, 2, "cpu") if validated else None)
    state, _ = runner.advance(state)  # makes the tensors that stay
    with ReadsBack() as reads:
        for _ in range(5):
            state, _ = runner.advance(state)
    assert reads.seen == []
    with ReadsBack() as reads:
        assert int(state.step) == 6
    assert reads.seen == ["_local_scalar_dense"]


def test_a_graph_is_interrupted_between_steps_and_resumes_to_the_same_bits(graph_without_capture, tmp_path):
    def train(folder, interrupted_at=0):
        def progress(step, steps, row):
            if step == interrupted_at:
                os.kill(os.getpid(), signal.SIGINT)

        return parity(mode="graph", checkpoint=Checkpoints(tmp_path / folder, 1000), progress=progress)

    whole = train("whole")
    with pytest.raises(KeyboardInterrupt):
        train("parts", interrupted_at=12)
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["step-00000012"]
    assert_same_training(whole, train("parts"))


def test_a_graph_that_was_stopped_within_a_step_keeps_the_last_checkpoint(graph_without_capture, tmp_path):
    def failing(step, steps, row):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        parity(mode="graph", checkpoint=Checkpoints(tmp_path / "parts", 4), progress=failing)
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["step-00000004"]
    whole = parity(mode="graph")
    assert_same_training(whole, parity(mode="graph", checkpoint=Checkpoints(tmp_path / "parts", 4)))


def test_a_second_interruption_is_not_put_off():
    before = signal.getsignal(signal.SIGINT)
    seen = []
    with interruptible(at_once=False) as check:
        check()
        os.kill(os.getpid(), signal.SIGINT)
        seen.append("the first one is put off")
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            check()
    assert len(seen) == 1
    assert signal.getsignal(signal.SIGINT) is before


def test_a_step_that_changes_its_tensors_is_refused(graph_without_capture):
    class Growing(Supervised):
        def start(self, network, key):
            return {"seen": torch.zeros(len(key), 1)}

        def loss(self, network, key, carry, update):
            loss, metrics, _ = super().loss(network, key, (), update)
            return loss, metrics, {"seen": torch.cat([carry["seen"], loss[:, None]], -1)}

    with pytest.raises(ValueError, match=r"a step changes carry\.seen; use mode='eager'"):
        fit(MLP(2, 10, [8], 1, key=0), Growing(TASK, 8), key=0, steps=3, optimizer=SGD(0.1), mode="graph")


def test_a_mode_without_its_device_is_one_clear_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="mode 'graph' needs a CUDA device, and the device is 'cpu': there is none"):
        parity(mode="graph")
    with pytest.raises(ValueError, match="device 'cuda': there is no CUDA device on this machine"):
        parity(device="cuda")
    with pytest.raises(ValueError, match="mode must be one of eager, graph, compile, scan, not 'fast'"):
        parity(mode="fast")


def test_a_checkpoint_is_continued_in_the_mode_that_made_it(tmp_path):
    parity(checkpoint=Checkpoints(tmp_path, 4))
    with pytest.raises(InputError, match="another mode"):
        parity(checkpoint=Checkpoints(tmp_path, 4), mode="compile", backend="eager")


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_compiled_steps_are_the_eager_ones(backend):
    torch.compiler.reset()
    assert_same_training(parity(), parity(mode="compile", backend=backend), tolerance=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled_rollouts_are_the_eager_ones_to_rounding(backend):
    """1e-3 after six updates in float32 by AdamW, which makes much of the signs of small gradients."""
    torch.compiler.reset()
    settings = {"key": 1, "steps": 6, "optimizer": AdamW(1e-2), "clip": 1.0, "log_every": 2}
    eager, compiled = (
        fit(OrderUpToNetwork(2, 16, (16, 16), 0), inventory(), mode=mode, backend=backend, **settings)
        for mode in ("eager", "compile")
    )
    assert max(eager.history[0]["gradient_norm"]) > 0
    assert_same_training(eager, compiled, tolerance=1e-3)


@needs_cuda
@pytest.mark.parametrize("make", [lambda: Supervised(TASK, 64), Collecting, inventory])
def test_a_cuda_graph_trains_as_eager_steps_do(make):
    settings = {"key": 1, "steps": 20, "optimizer": AdamW(1e-2), "log_every": 6, "device": "cuda"}
    networks = {inventory: lambda: OrderUpToNetwork(2, 16, (16,), 0)}
    network = networks.get(make, lambda: MLP(2, 10, [16], 1, key=0))
    eager, graph = (fit(network(), make(), mode=mode, **settings) for mode in ("eager", "graph"))
    assert_same_training(eager, graph, tolerance=1e-4)


@needs_cuda
def test_a_cuda_graph_waits_for_the_device_nowhere():
    """From the first row on every wait but that for a row's numbers is an error."""

    def strict(step, steps, row):
        torch.cuda.set_sync_debug_mode("error")

    try:
        training = fit(
            MLP(2, 10, [16], 1, key=0), Supervised(TASK, 64), key=1, steps=60, optimizer=AdamW(1e-2), clip=1.0,
            schedule=cosine(60), log_every=10, device="cuda", progress=strict,
        )  # fmt: skip
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert [row["step"] for row in training.history] == list(range(10, 61, 10))


def policy_gradient(**settings):
    """Train PPO's objective and network: two replicas, four minibatches in each of two epochs, clipped gradients."""
    world = LostSales(lead_time=2, horizon=6)
    policy = distribution_for(world.action_space)
    objective = ImportanceWeighted(Rollouts(world, 8, 8), policy, epochs=2, batch=16)
    network = ActorCritic(2, world.observation_space, policy, (16,), 0)
    steps = {"key": 3, "steps": 5, "optimizer": AdamW([1e-3, 3e-3]), "clip": 0.5, "log_every": 2}
    return fit(network, objective, **{**steps, "schedule": cosine(5), **settings})


@pytest.mark.slow
def test_a_scan_over_the_updates_does_the_eager_steps():
    assert_same_training(policy_gradient(), policy_gradient(mode="scan", backend="aot_eager"), tolerance=1e-5)


@pytest.mark.slow
def test_a_compiled_scan_does_the_eager_steps():
    assert_same_training(policy_gradient(), policy_gradient(mode="scan"), tolerance=1e-4)


def test_a_scan_of_updates_that_are_not_taken_apart_is_refused_and_the_way_out_named():
    with pytest.raises(ValueError, match="cannot do the updates of Supervised with this network; use mode='eager'"):
        parity(mode="scan")


def test_without_a_scan_in_torch_a_warning_says_so_and_steps_are_eager(monkeypatch):
    monkeypatch.setattr(loop_module, "find_scan", lambda: None)
    with pytest.warns(UserWarning, match="this torch has no scan; steps are eager"):
        scanned = policy_gradient(mode="scan")
    assert_same_training(policy_gradient(), scanned)
