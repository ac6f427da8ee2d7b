"""What the one loop promises."""

import math
from dataclasses import dataclass, replace

import pytest
import torch

from sandtable.simulators.random import fold_in
from sandtable.simulators.tasks.sparse_parity import SparseParity
from sandtable.training import (
    MLP,
    PYTORCH,
    SGD,
    AdamW,
    Checkpoints,
    Diverged,
    JsonLines,
    Objective,
    Single,
    Supervised,
    Validation,
    bar,
    constant,
    cosine,
    fit,
    replica_keys,
)
from sandtable.training.checkpoint import flatten
from sandtable.training.progress import slowest
from sandtable.training.step import Stepper
from sandtable.training.validation import start_stopping

TASK = SparseParity(10, 2, loss="hinge")


def parameters_of(network):
    return {name: parameter.detach().clone() for name, parameter in network.named_parameters()}


def assert_equal(some, others):
    for name, tensor in some.items():
        assert torch.equal(tensor, others[name]), name


@dataclass(frozen=True)
class Counted(Objective):
    """Supervised learning that carries how many collections and updates there were, and the last loss."""

    updates: int = 2

    def start(self, network, key):
        zeros = torch.zeros_like(key)
        return {"collected": zeros, "updated": zeros, "memory": zeros.float(), "nothing": ()}

    def collect(self, network, key, carry):
        assert not torch.is_grad_enabled()
        return {**carry, "collected": carry["collected"] + 1}

    def loss(self, network, key, carry, update):
        loss, metrics, _ = Supervised(TASK, 16).loss(network, fold_in(key, update), (), 0)
        loss = loss + 0.1 * carry["memory"]
        carry = {**carry, "updated": carry["updated"] + 1, "memory": loss}
        return loss, {**metrics, "collected": carry["collected"].double(), "updated": carry["updated"].double()}, carry


def test_parity_is_learned():
    objective = Supervised(SparseParity(30, 2, loss="hinge"), batch=32)
    training = fit(MLP(4, 30, [64], 1, key=0), objective, key=1, steps=1500, optimizer=SGD(0.1), log_every=100)
    assert min(training.history[-1]["accuracy"]) > 0.95
    assert max(training.history[0]["accuracy"]) < 0.7
    assert training.steps == 1500
    assert training.best_step.tolist() == [1500] * 4
    assert training.best_score.tolist() == training.history[-1]["loss"]


def test_replica_with_rate_zero_does_not_move():
    network = MLP(3, 10, [16], 1, key=0)
    before = parameters_of(network)
    fit(network, Supervised(TASK, 16), key=0, steps=20, optimizer=AdamW([1e-2, 0.0, 1e-3]))
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter[1], before[name][1])
        assert not torch.equal(parameter[0], before[name][0])
        assert not torch.equal(parameter[2], before[name][2])


def test_same_key_gives_the_same_bits_and_another_key_does_not():
    networks = [MLP(2, 10, [16], 1, key=0) for _ in range(3)]
    for network, key in zip(networks, (5, replica_keys(5, 2).numpy(), 6), strict=True):
        fit(network, Supervised(TASK, 16), key=key, steps=5, optimizer=SGD(0.1))
    first, same, other = map(parameters_of, networks)
    assert_equal(first, same)
    assert not torch.equal(first["layers.0.weight"], other["layers.0.weight"])


def test_rows_are_means_over_the_steps_since_the_row_before():
    def losses(log_every):
        network = MLP(2, 10, [16], 1, key=0)
        training = fit(network, Supervised(TASK, 16), key=0, steps=10, optimizer=SGD(0.1), log_every=log_every)
        return [row["step"] for row in training.history], torch.tensor([row["loss"] for row in training.history])

    (_, each), (steps, means) = losses(1), losses(4)
    assert steps == [4, 8, 10]
    torch.testing.assert_close(means, torch.stack([each[:4].mean(0), each[4:8].mean(0), each[8:].mean(0)]))


def test_clipping_bounds_the_step_and_reports_the_norm():
    network = MLP(2, 10, [16], 1, key=0)
    before = parameters_of(network)
    training = fit(network, Supervised(TASK, 16), key=0, steps=1, optimizer=SGD(1.0), clip=[1e-3, 1e-2])
    squares = [(p.detach() - before[name]).square().flatten(1).sum(-1) for name, p in network.named_parameters()]
    moved = sum(squares).sqrt()
    assert moved.tolist() == pytest.approx([1e-3, 1e-2], rel=2e-3)
    assert min(training.history[0]["gradient_norm"]) > 0.1


def test_schedule_ends_the_movement():
    networks = [MLP(1, 10, [16], 1, key=0) for _ in range(2)]
    for network, steps in zip(networks, (20, 25), strict=True):
        fit(network, Supervised(TASK, 16), key=0, steps=steps, optimizer=SGD(0.1), schedule=cosine(20, warmup=2))
    assert_equal(*map(parameters_of, networks))


def test_carry_is_collected_once_and_updated_often():
    training = fit(MLP(1, 10, [16], 1, key=0), Counted(updates=3), key=0, steps=4, optimizer=SGD(0.1), log_every=1)
    assert [row["collected"] for row in training.history] == [[1], [2], [3], [4]]
    assert [row["updated"] for row in training.history] == [[2], [5], [8], [11]]


def stopped_early(rates, **settings):
    """Train with a validation that rates of zero never improve."""
    network = MLP(len(rates), 10, [32], 1, key=replica_keys(0, 3)[: len(rates)])
    validate = Validation(Supervised(TASK, 256), every=5, patience=3, key=replica_keys(9, 3)[: len(rates)])
    key = replica_keys(1, 3)[: len(rates)]
    settings = {"steps": 100, "log_every": 50, **settings}
    return fit(network, Supervised(TASK, 32), key=key, optimizer=SGD(rates), validate=validate, **settings)


def test_stopped_replica_ends_and_the_others_go_on():
    training = stopped_early([0.0, 0.02])
    assert training.steps == 100
    assert training.stopped.tolist() == [True, False]
    assert training.best_step[0] == 5
    judged = [row for row in training.history if "validation_loss" in row]
    assert [row["step"] for row in judged] == list(range(5, 101, 5))


def test_parameters_and_moments_of_a_stopped_replica_are_frozen():
    network, keys = MLP(2, 10, [16], 1, key=0), replica_keys(0, 2)
    slots = dict(network.named_parameters())
    stepper = Stepper(network, slots, Supervised(TASK, 16), AdamW(0.1), constant, None, keys, Supervised(TASK, 16).loss)
    start = stepper.start(lambda parameters: start_stopping(parameters, 2, "cpu"))
    first, _ = stepper.advance(start)
    stopping = first.stopping._replace(stopped=torch.tensor([True, False]))
    second, _ = stepper.advance(first._replace(stopping=stopping))
    for field in ("parameters", "optimizer"):
        before, after = flatten(getattr(first, field)), flatten(getattr(second, field))
        for name, tensor in after.items():
            assert torch.equal(tensor[0], before[name][0]), name
        assert any(not torch.equal(tensor[1], before[name][1]) for name, tensor in after.items())


def test_best_parameters_are_kept():
    training = stopped_early([0.0, 0.1, 3.0])
    judged = [row for row in training.history if "validation_loss" in row]
    assert training.best_score.tolist() == [min(row["validation_loss"][r] for row in judged) for r in range(3)]
    loss, _, _ = Supervised(TASK, 256).loss(training.network, replica_keys(9, 3), (), 0)
    assert loss.double().tolist() == training.best_score.tolist()
    assert torch.equal(training.select(2).layers[0].weight, training.network.layers[0].weight[2:])


def test_training_ends_when_all_replicas_are_stopped():
    training = stopped_early([0.0, 0.0])
    assert training.steps == 20
    assert training.stopped.all()


def test_validation_metric_is_chosen_by_name():
    settings = {"key": 0, "steps": 4, "optimizer": SGD(0.1)}
    objective = Supervised(TASK, 16)
    training = fit(
        MLP(2, 10, [8], 1, key=0), objective, validate=Validation(objective, 2, 1, metric="accuracy"), **settings
    )
    assert training.best_score.tolist() == [
        min(accuracies) for accuracies in zip(*(row["validation_accuracy"] for row in training.history), strict=True)
    ]
    with pytest.raises(ValueError, match="metric must be one of accuracy, loss"):
        fit(MLP(2, 10, [8], 1, key=0), objective, validate=Validation(objective, 2, 1, metric="return"), **settings)


@pytest.mark.parametrize("log_every", [1, 7, 100])
def test_divergence_names_the_step_and_the_replica(log_every):
    task = SparseParity(10, 2, loss="square")

    def train(**settings):
        optimizer = SGD([0.01, 1e9, 0.01])
        network = MLP(3, 10, [16], 1, key=0)
        fit(network, Supervised(task, 16), key=0, steps=50, optimizer=optimizer, **settings)

    with pytest.raises(Diverged, match="replica 1 diverged at step") as first:
        train(log_every=1)
    with pytest.raises(Diverged) as later:
        train(log_every=log_every)
    assert (later.value.step, later.value.replica) == (first.value.step, 1)


def interrupted_at(monkeypatch, update):
    """Let the keyboard interrupt the loss of one update, counted over the whole training."""
    loss = Counted.loss

    def failing(self, network, key, carry, index):
        if int(carry["updated"][0]) == update:
            raise KeyboardInterrupt
        return loss(self, network, key, carry, index)

    monkeypatch.setattr(Counted, "loss", failing)


def test_interruption_makes_a_checkpoint_and_resumes_to_the_same_bits(tmp_path, monkeypatch):
    def train(folder):
        settings = {"optimizer": AdamW(1e-2), "clip": 1.0, "schedule": cosine(40), "log_every": 7}
        validate = Validation(Supervised(TASK, 64), every=10, patience=3)
        checkpoint = Checkpoints(folder, every=1000)
        network = MLP(2, 10, [16], 1, key=0)
        return fit(network, Counted(), key=3, steps=40, checkpoint=checkpoint, validate=validate, **settings)

    whole = train(tmp_path / "whole")
    for update in (0, 1, 25, 26, 79):  # the second update of a step is lost with its first
        with monkeypatch.context() as patch:
            interrupted_at(patch, update)
            with pytest.raises(KeyboardInterrupt):
                train(tmp_path / "parts")
        (folder,) = (tmp_path / "parts").iterdir()
        assert folder.name == f"step-{update // 2:08d}"
    resumed = train(tmp_path / "parts")
    again = train(tmp_path / "parts")
    for training in (resumed, again):
        assert training.history == whole.history
        assert training.steps == whole.steps
        assert torch.equal(training.best_score, whole.best_score)
        assert torch.equal(training.best_step, whole.best_step)
        assert_equal(parameters_of(training.network), parameters_of(whole.network))


def test_interruption_between_a_row_and_the_next_step_loses_and_repeats_nothing(tmp_path):
    def train(folder, interrupted_at=0):
        def progress(step, steps, row):
            if step == interrupted_at:
                raise KeyboardInterrupt

        torch.manual_seed(0)
        layers = torch.nn.Linear(10, 8), torch.nn.BatchNorm1d(8, momentum=0.01), torch.nn.ReLU(), torch.nn.Linear(8, 1)
        network, metrics = Single(torch.nn.Sequential(*layers)), JsonLines(folder / "metrics.jsonl")
        settings = {"optimizer": SGD(0.1, momentum=0.9), "log_every": 7, "metrics": metrics, "progress": progress}
        checkpoint = Checkpoints(folder / "checkpoints", every=4)
        return fit(network, Supervised(TASK, 32), key=0, steps=30, checkpoint=checkpoint, **settings)

    whole = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", interrupted_at=14)
    resumed = train(tmp_path / "parts")
    assert resumed.history == whole.history
    assert_equal(resumed.network.state_dict(), whole.network.state_dict())
    assert (tmp_path / "parts/metrics.jsonl").read_bytes() == (tmp_path / "whole/metrics.jsonl").read_bytes()


def test_progress_is_told_of_every_row(capsys):
    seen = []
    settings = {"key": 0, "steps": 10, "optimizer": SGD(0.1), "log_every": 4}
    training = fit(
        MLP(1, 10, [8], 1, key=0), Supervised(TASK, 8), progress=lambda *arguments: seen.append(arguments), **settings
    )
    assert seen == [(row["step"], 10, row) for row in training.history]
    with bar("parity") as progress:
        fit(MLP(1, 10, [8], 1, key=0), Supervised(TASK, 8), progress=progress, **settings)
    assert capsys.readouterr().err == ""  # not a terminal


def test_the_slowest_replica_is_the_one_that_is_furthest_behind():
    row = {"loss": [0.3, 0.9, 0.5], "validation_accuracy": [1.0, 0.8, 0.6]}
    assert slowest(row) == "3 of 3 replicas; the slowest, 2: accuracy 0.6"
    assert slowest({"loss": row["loss"]}) == "3 of 3 replicas; the slowest, 1: loss 0.9"
    assert slowest({"loss": [0.3, math.nan, 0.5]}) == "2 of 3 replicas; the slowest, 2: loss 0.5"
    assert slowest({"loss": [0.25]}) == "loss 0.25"


@pytest.mark.parametrize("settings", [{"steps": 0}, {"log_every": 0}, {"key": [1, 2, 3]}, {"clip": -1.0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match="must"):
        fit(MLP(2, 10, [8], 1, key=0), Supervised(TASK, 8), **{"key": 0, "steps": 1, "optimizer": SGD(0.1), **settings})


class TestReplicasThatStop:
    """Replicas that are done are dropped on the way, which the others cannot tell."""

    RATES = (0.1, 0.003, 0.2, 0.05, 0.1, 0.002, 0.15, 0.3)
    GOAL = Validation(Supervised(SparseParity(10, 2, loss="hinge"), 256), every=20, metric="-accuracy", goal=-1.0)

    def train(self, replicas, steps=300, **settings):
        keys = replica_keys(5, 8)[replicas]
        network = MLP(len(keys), 10, [32], 1, keys, initialisation=PYTORCH)
        validate = replace(settings.pop("validate", self.GOAL), key=keys)
        optimizer = SGD(torch.tensor(self.RATES)[replicas], momentum=0.5)
        task = SparseParity(10, 2, loss="hinge")
        settings = {"log_every": 50, "key": keys, "steps": steps, "optimizer": optimizer} | settings
        return fit(network, Supervised(task, 16), validate=validate, **settings)

    def test_a_replica_stops_when_it_reaches_the_goal(self):
        training = self.train(slice(0, 8))
        assert 4 <= training.stopped.sum() < 8
        assert (training.best_score[training.stopped] == -1).all()
        assert (training.best_score[~training.stopped] > -1).all()
        assert not training.diverged.any()

    def test_dropped_replicas_change_nothing_for_the_others(self):
        together, alone = self.train(slice(0, 8)), [self.train(slice(r, r + 1)) for r in range(8)]
        for replica, one in enumerate(alone):
            assert together.best_step[replica] == one.best_step[0]
            assert together.stopped[replica] == one.stopped[0]
            for ours, theirs in zip(together.select(replica).parameters(), one.network.parameters(), strict=True):
                assert torch.equal(ours, theirs)

    def test_rows_hold_no_number_for_replicas_that_were_dropped(self):
        training = self.train(slice(0, 8))
        first, last = training.history[0]["loss"], training.history[-1]["loss"]
        assert not any(math.isnan(loss) for loss in first)
        assert [not math.isnan(loss) for loss in last] == (~training.stopped).tolist()

    def test_training_resumes_to_the_same_bits_after_some_were_dropped(self, tmp_path):
        whole = self.train(slice(0, 8))
        checkpoint = Checkpoints(tmp_path, every=30)

        def interrupt(step, *_):
            if step == 200:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.train(slice(0, 8), checkpoint=checkpoint, progress=interrupt)
        resumed = self.train(slice(0, 8), checkpoint=checkpoint)
        assert repr(resumed.history) == repr(whole.history)
        assert torch.equal(resumed.best_step, whole.best_step)
        for ours, theirs in zip(resumed.network.parameters(), whole.network.parameters(), strict=True):
            assert torch.equal(ours, theirs)

    def test_replica_that_explodes_stops_alone_if_asked(self):
        network = MLP(2, 10, [16], 1, key=0, activation="power-4", initialisation=PYTORCH)
        validate = Validation(Supervised(TASK, 64), every=10, diverged="stop")
        settings = {"key": 0, "steps": 60, "optimizer": SGD([1e-5, 10.0]), "log_every": 5}
        training = fit(network, Supervised(SparseParity(10, 4, loss="square"), 32), validate=validate, **settings)
        assert training.diverged.tolist() == training.stopped.tolist() == [False, True]
        assert training.steps == 60
        assert all(parameter.isfinite().all() for parameter in training.network.parameters())
        with pytest.raises(Diverged, match="replica 1 diverged"):
            fit(
                MLP(2, 10, [16], 1, key=0, activation="power-4", initialisation=PYTORCH),
                Supervised(SparseParity(10, 4, loss="square"), 32),
                validate=replace(validate, diverged="raise"),
                **settings,
            )

    def test_replica_that_explodes_after_others_were_dropped_is_named_by_its_own_number(self):
        keys, rates = replica_keys(5, 8), torch.tensor(self.RATES) * torch.tensor([1, 0, 1, 0, 1, 1e-3, 1, 0])
        network = MLP(8, 10, [32], 1, keys, initialisation=PYTORCH)
        task = Supervised(SparseParity(10, 2, loss="hinge"), 16)
        settings = {"log_every": 50, "schedule": lambda step: 1.0 + 1e15 * (step >= 200).double()}
        settings |= {"validate": replace(self.GOAL, key=keys), "optimizer": SGD(rates, momentum=0.5)}
        with pytest.raises(Diverged, match="replica 5 diverged"):
            fit(network, task, key=keys, steps=400, **settings)
