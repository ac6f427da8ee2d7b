"""Training with PPO on the lost-sales problem: ours beside Stable-Baselines3's, at the same hyperparameters."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from sandtable.agents.ppo import PPO
from sandtable.benchmarks.plain_lost_sales import PlainLostSales
from sandtable.benchmarks.timing import matrix_product_rate, rates_in_turns, timing
from sandtable.envs.adapter import ProcessVectorEnv
from sandtable.simulators.inventory.lost_sales import LostSales
from sandtable.training.keys import replica_keys
from sandtable.training.scanned import ScannedStepper, find_scan
from sandtable.training.schedules import constant
from sandtable.training.step import Stepper

LEAD_TIME, HORIZON = 4, 100
CASES = (
    PPO(environments=8, periods=256, batch=64, epochs=10),
    PPO(environments=64, periods=128, batch=2048, epochs=4),
)
"""The settings that are timed; what they do not name is Stable-Baselines3's default."""
ASKED = 2.0
"""Least ratio asked for, over Stable-Baselines3 on its own vectorisation."""


def benchmark(quick: bool = False) -> list[dict[str, Any]]:
    """Time whole trainings: rollouts, resets, advantages and all updates.

    Stable-Baselines3 is run twice, on plain Python environments in its ``DummyVecEnv``, and on ours, vectorised, by
    ``to_sb3``. Where it is not installed, ours is timed alone. Ours is timed in the default mode beside both, and in
    the mode ``scan``, when that is compiled, beside the first.
    """
    rows = []
    world = LostSales(LEAD_TIME, horizon=HORIZON)
    limit = matrix_product_rate(quick=quick)
    for settings in CASES:
        collection = settings.environments * settings.periods
        case = f"{settings.environments} environments, batch {settings.batch:,}"
        ours = _ours(settings, world, collection)
        bound = limit / flops_per_step(settings, LEAD_TIME + 1)
        work = (float(collection), float(collection))
        plain = "SB3, DummyVecEnv, plain Python", _stable_baselines(settings, native=False)
        native = "SB3, our vector environment", _stable_baselines(settings, native=True)
        rounds = [(case, ours, plain, ASKED), (case, ours, native, None)]
        if scanned := _scanned(settings, world):
            rounds.append((f"{case}, mode scan", scanned, plain, None))
        for told, own, (name, peer), asked in rounds:
            rates = rates_in_turns(own, peer, work, quick)
            rows.append(timing("ppo", told, "steps/s", rates, name, asked, bound))
    return rows


def _ours(settings: PPO, world: LostSales, collection: int) -> Callable[[], Any]:
    """Return a call that trains for one collection, from the start."""
    return lambda: settings.learn(world, key=0, steps=collection)


def _scanned(settings: PPO, world: LostSales) -> Callable[[], Any] | None:
    """Return a call that goes on training for a collection in the mode ``scan``; None where torch has no scan.

    The first call compiles.
    """
    import torch

    scan = find_scan()
    if scan is None:
        return None
    objective, keys = settings.objective(world), replica_keys(0, settings.replicas)
    network = settings.network(world, keys)
    threshold = torch.full((settings.replicas,), settings.largest_gradient)
    slots, optimizer = dict(network.named_parameters()), settings.optimizer()
    stepper = Stepper(network, slots, objective, optimizer, constant, threshold, keys, objective.loss)
    runner, state = ScannedStepper(stepper, "inductor", scan), [stepper.start(lambda parameters: None)]

    def collection() -> None:
        state[0], _ = runner.advance(state[0])

    return collection


def _stable_baselines(settings: PPO, native: bool) -> Callable[[], Any] | None:
    """Return a call that trains Stable-Baselines3's PPO for one collection; None if it is not installed."""
    try:
        from stable_baselines3.common.vec_env import DummyVecEnv
    except ImportError:
        return None
    from sandtable.agents.stable_baselines import to_sb3

    number = settings.environments
    env: Any
    if native:
        env = to_sb3(ProcessVectorEnv(LostSales(LEAD_TIME, horizon=HORIZON), number, "SameStep"))
    else:
        env = DummyVecEnv([lambda: PlainLostSales(LEAD_TIME, horizon=HORIZON)] * number)
    model = stable_baselines_ppo(settings, env, seed=0)
    return lambda: model.learn(number * settings.periods, reset_num_timesteps=False)


def stable_baselines_ppo(settings: PPO, env: Any, seed: int) -> Any:
    """Return Stable-Baselines3's PPO with the hyperparameters of ours, on a CPU."""
    import stable_baselines3

    rate: Any = settings.learning_rate
    return stable_baselines3.PPO(
        "MlpPolicy",
        env,
        learning_rate=rate,
        n_steps=settings.periods,
        batch_size=settings.batch,
        n_epochs=settings.epochs,
        gamma=settings.discount,
        gae_lambda=settings.trace,
        clip_range=settings.clip,
        normalize_advantage=settings.normalise_advantages,
        ent_coef=settings.entropy_weight,
        vf_coef=settings.value_weight,
        max_grad_norm=settings.largest_gradient,
        policy_kwargs={"net_arch": list(settings.hidden)},
        seed=seed,
        device="cpu",
    )


def learning_curves(settings: PPO, steps: int, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean reward a step of every collection of our PPO and of Stable-Baselines3's, [seeds, collections].

    Args:
        settings: Of both.
        steps: Steps of the world a seed.
        seeds: How many: of ours, replicas in one call; of Stable-Baselines3, one run after the other.
    """
    from stable_baselines3.common.callbacks import BaseCallback

    from sandtable.agents.stable_baselines import to_sb3

    class Rewards(BaseCallback):
        def __init__(self) -> None:
            super().__init__()
            self.means: list[float] = []

        def _on_step(self) -> bool:
            self.means.append(float(np.mean(self.locals["rewards"])))
            return True

    world = LostSales(LEAD_TIME, horizon=HORIZON)
    learned = replace(settings, replicas=seeds).learn(world, key=0, steps=steps)
    ours = np.array([row["reward"] for row in learned.training.history]).T
    theirs = []
    for seed in range(seeds):
        rewards = Rewards()
        env = to_sb3(ProcessVectorEnv(world, settings.environments, "SameStep"))
        stable_baselines_ppo(settings, env, seed).learn(steps, callback=rewards)
        theirs.append(np.reshape(rewards.means, (-1, settings.periods)).mean(1))
    return ours, np.array(theirs)


def flops_per_step(settings: PPO, inputs: int) -> float:
    """Return the operations of matrix products per step of the world: one rollout, and three passes an epoch."""
    widths = (inputs, *settings.hidden)
    hidden = sum(2 * before * after for before, after in pairwise(widths))
    both = 2 * (hidden + 2 * widths[-1])  # actor and critic, with an output of one each
    return float(both * (1 + 3 * settings.epochs))
