"""Optimisers agree with torch's, replica by replica."""

import pytest
import torch

from sandtable.training import SGD, AdamW, constant, cosine, linear
from sandtable.training.clipping import clip_by_norm

REPLICAS = 3
SETTINGS = [
    (SGD, torch.optim.SGD, {"learning_rate": [0.1, 0.01, 0.0], "momentum": [0.9, 0.0, 0.5], "weight_decay": 0.01}),
    (SGD, torch.optim.SGD, {"learning_rate": 0.1}),
    (
        AdamW,
        torch.optim.AdamW,
        {
            "learning_rate": [0.1, 0.01, 0.0],
            "betas": ([0.9, 0.5, 0.0], [0.99, 0.9, 0.999]),
            "weight_decay": [0, 0.1, 1],
        },
    ),
    (AdamW, torch.optim.AdamW, {"learning_rate": 0.01, "eps": 1e-3}),
]


def of_replica(setting, replica):
    """Return the setting of one replica: of each number of a pair, of a list, or of all."""
    if isinstance(setting, tuple):
        return tuple(of_replica(one, replica) for one in setting)
    return setting[replica] if isinstance(setting, list) else setting


@pytest.mark.parametrize(("ours", "theirs", "settings"), SETTINGS)
def test_update_matches_torch_for_each_replica(ours, theirs, settings):
    generator = torch.Generator().manual_seed(0)
    parameters = {
        name: torch.randn(REPLICAS, *shape, generator=generator) for name, shape in [("w", (4, 5)), ("b", (5,))]
    }
    gradients = [{name: torch.randn(p.shape, generator=generator) for name, p in parameters.items()} for _ in range(30)]
    optimizer, moved = ours(**settings), parameters
    state = optimizer.start(parameters)
    for gradient in gradients:
        moved, state = optimizer.update(moved, gradient, state, torch.tensor(0.5).double())
    for replica in range(REPLICAS):
        expected = [parameters[name][replica].clone().requires_grad_() for name in "wb"]
        own = {name: of_replica(setting, replica) for name, setting in settings.items()}
        peer = theirs(expected, lr=own.pop("learning_rate") / 2, **own)
        for gradient in gradients:
            for name, parameter in zip("wb", expected, strict=True):
                parameter.grad = gradient[name][replica]
            peer.step()
        for name, parameter in zip("wb", expected, strict=True):
            torch.testing.assert_close(moved[name][replica], parameter.detach(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "optimizer", [SGD(-0.1), SGD(float("nan")), SGD(0.1, momentum=1.0), SGD([0.1, 0.2]), AdamW(0.1, betas=(0.9, 1.0))]
)
def test_hyperparameters_out_of_range_are_refused(optimizer):
    with pytest.raises(ValueError, match="must"):
        optimizer.start({"w": torch.zeros(REPLICAS, 2)})


def test_clipping_matches_torch_for_each_replica():
    gradients = {"w": torch.randn(REPLICAS, 4, 5), "b": torch.randn(REPLICAS, 5)}
    thresholds = torch.tensor([0.1, 2.0, 100.0])
    clipped, norms = clip_by_norm(gradients, thresholds)
    for replica, threshold in enumerate(thresholds):
        peers = [torch.zeros_like(gradient[replica]).requires_grad_() for gradient in gradients.values()]
        for peer, gradient in zip(peers, gradients.values(), strict=True):
            peer.grad = gradient[replica].clone()
        norm = torch.nn.utils.clip_grad_norm_(peers, threshold.item())
        torch.testing.assert_close(norms[replica], norm)
        for peer, gradient in zip(peers, clipped.values(), strict=True):
            torch.testing.assert_close(gradient[replica], peer.grad)


def test_schedules_rise_and_fall():
    steps = torch.tensor([0, 4, 9, 10, 60, 110, 200])
    assert constant(steps).tolist() == [1] * 7
    for schedule in (linear(110, warmup=10), cosine(110, warmup=10)):
        assert schedule(steps).tolist() == pytest.approx([0.1, 0.5, 1, 1, 0.5, 0, 0])
    assert cosine(100)(torch.tensor(25)).item() == pytest.approx((1 + 0.5**0.5) / 2)
    assert linear(100)(torch.tensor(25)).item() == pytest.approx(0.75)


def test_warmup_beyond_the_end_is_refused():
    with pytest.raises(ValueError, match="warmup"):
        cosine(10, warmup=10)
