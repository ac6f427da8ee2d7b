"""The benchmarks run, compare the same work, and tell what they measured. How fast it was is no test's business."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sandtable import cli
from sandtable.agents.inventory.order_up_to import BaseStock
from sandtable.benchmarks import gpu, hdpo, ppo
from sandtable.benchmarks.inventory import LEAD_TIME, replay_of
from sandtable.benchmarks.plain_lost_sales import PlainLostSales
from sandtable.benchmarks.timing import BENCHMARKS, find_benchmarks, rates_in_turns
from sandtable.simulators.arrays import positive
from sandtable.simulators.errors import InputError, MissingExtraError
from sandtable.simulators.inventory.kernels.rollout import OrderUpTo, rollout
from sandtable.simulators.inventory.lost_sales import LostSales
from sandtable.simulators.inventory.order_rules import OrderRules
from sandtable.simulators.inventory.world import inventory_position

FIELDS = ["benchmark", "case", "unit", "ours", "alternative", "alternative_rate", "ratio", "target", "limit"]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_every_benchmark_runs_and_gives_rows_of_one_shape(name):
    for row in find_benchmarks(name)[0](True):
        assert list(row) == [*FIELDS, "fraction_of_limit"]
        assert row["benchmark"] == name
        assert row["ours"] > 0
        if row["alternative_rate"]:
            assert row["ratio"] == pytest.approx(row["ours"] / row["alternative_rate"])
        if row["limit"]:
            assert 0 < row["fraction_of_limit"] < 1


def test_what_needs_an_extra_that_is_missing_is_left_out_unless_it_is_asked_for(monkeypatch, capsys):
    def lacking(quick):
        raise MissingExtraError("the NetHack environment", "nethack")

    monkeypatch.setattr("sandtable.benchmarks.timing.find_benchmarks", lambda name: [lacking, lambda quick: []])
    assert cli.main(["bench", "--json"]) == 0
    out, err = capsys.readouterr()
    assert out.strip() == "[]"
    assert "left out: the NetHack environment needs an optional dependency" in err
    assert cli.main(["bench", "nethack"]) == 2


def test_an_unknown_benchmark_is_refused():
    with pytest.raises(InputError, match="there are bandit, gpu, grade, inventory"):
        find_benchmarks("speed")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, which is measured")
def test_without_a_gpu_what_is_asked_of_one_is_not_measured():
    row = gpu.case("forward", 1e10, torch.device("cpu"))
    assert row.startswith("forward (1e+10 asked of a GPU: not measured, there is none)")
    with pytest.raises(ValueError, match="there is no CUDA device"):
        gpu.backprop_rate(torch.device("cuda"), 8, quick=True)


def test_bytes_of_learning_are_five_moves_of_each_activation():
    assert gpu.bytes_of_learning([10, 64, 64]) == 5 * 4 * 138
    rate, size = gpu.backprop_rate(torch.device("cpu"), 4, quick=True)
    assert rate > 0
    assert size > gpu.bytes_of_learning([47, 64, 64])


def test_perceptrons_on_parities_are_timed_at_a_small_size_without_a_gpu():
    rate, size = gpu.parity_rate(torch.device("cpu"), 4, quick=True)
    assert rate > 0
    assert size > 5 * 4 * 5201  # their parameters


@pytest.mark.slow
def test_rates_are_units_a_second_of_work():
    def work(times):
        return lambda: sum(range(1000 * times))

    ours, alternative = rates_in_turns(work(1), work(20), (1.0, 1.0), quick=False)
    assert 5 < ours / alternative < 80


def test_the_plain_environment_plays_the_same_lost_sales_problem():
    process = LostSales(horizon=60)
    state = process.reset(np.array([3]))
    plain = PlainLostSales(horizon=60, demand=state.paths.demand[:, 0].tolist())
    seen, _ = plain.reset()
    for t in range(60):
        np.testing.assert_array_equal(process.observe(state)[0], seen)
        order = BaseStock(25.0)(process.observe(state))
        step = process.step(state, order)
        seen, reward, _, truncated, _ = plain.step(order[0])
        assert (reward, truncated) == (step.reward[0], t == 59)
        state = step.state


def test_the_peer_simulates_the_same_stock():
    if hdpo.folder() is None:
        pytest.skip("the peer's sources are not there: SANDTABLE_PEERS names their folder")
    replay = replay_of(30)
    start = replay.reset(np.arange(30), product=np.arange(30))
    start = start._replace(rules=OrderRules())  # the peer knows no supplier's rules
    level = np.round(start.context.mean * (LEAD_TIME + 2))
    state, cost = start, 0.0
    for _ in range(replay.horizon):
        step = replay.step(state, positive(level - inventory_position(state.stock))[..., None])
        state, cost = step.state, cost + (step.info["on_hand"] + 4 * step.info["lost"]).sum()
    assert hdpo.base_stock_rollouts(start, level).forward().item() == pytest.approx(cost, rel=1e-5)


def test_operations_of_ppo_are_those_of_its_matrices():
    settings = ppo.CASES[0]
    hidden = 2 * 5 * 64 + 2 * 64 * 64
    assert ppo.flops_per_step(settings, 5) == 2 * (hidden + 2 * 64) * (1 + 3 * settings.epochs)


@pytest.mark.slow
def test_ppo_learns_as_stable_baselines3_does():
    pytest.importorskip("stable_baselines3", reason="needs the extra rl")
    # ten times the default rate and half the steps an update: a twentieth of the steps
    settings = replace(ppo.CASES[1], periods=64, batch=1024, learning_rate=3e-3)
    ours, theirs = ppo.learning_curves(settings, steps=120 * 64 * 64, seeds=4)
    assert ours.shape == theirs.shape == (4, 120)
    ends = []
    for part in (slice(0, 3), slice(100, 120)):
        means = np.stack([curve[:, part].mean(1) for curve in (ours, theirs)])
        error = (means.var(1, ddof=1).sum() / 4) ** 0.5
        assert abs(means[0].mean() - means[1].mean()) < 4 * error
        ends.append(means.mean())
    assert ends[1] > ends[0] + 10


def test_the_kernel_and_the_peer_play_the_same_lost_sales_task():
    pytest.importorskip("numba")
    if hdpo.folder() is None:
        pytest.skip("the peer's sources are not there: SANDTABLE_PEERS names their folder")
    world = LostSales(LEAD_TIME, horizon=40, whole_units=False)
    state = world.reset(np.arange(200))
    level = np.linspace(15.3, 30.7, 200).astype(np.float32)
    peer = hdpo.base_stock_rollouts(state, level)
    done = rollout(world, state, OrderUpTo(level), gradient=True)
    assert peer.forward().item() == pytest.approx(-done.reward.sum(), rel=1e-5)
    np.testing.assert_allclose(peer.gradient()[0].numpy(), -done.gradient.level, rtol=1e-4, atol=1e-3)
