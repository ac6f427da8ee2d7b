"""Off-policy evaluation of CartPole: error and time of ours beside those of d3rlpy's fitted Q evaluation.

The target pushes to the side to which the pole leans; the behaviour policy does so half of the time and else pushes at
random. The truth is the mean discounted return of the target's own episodes.
"""

import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from sandtable.benchmarks.inventory_peers import peer
from sandtable.benchmarks.timing import one_thread, timing
from sandtable.estimators.ope.features import load_features, with_features
from sandtable.estimators.ope.fitted_q_network import FittedQNetwork
from sandtable.estimators.ope.linear.lstd import LSTD
from sandtable.simulators.ope.logged_steps import LoggedSteps

PEER, PROGRAM = "d3rlpy==2.8.1", "d3rlpy_fqe.py"
DISCOUNT, LONGEST = 0.99, 500
LEAN = 2  # which entry of the observation is the pole's angle
ROWS, EPISODES = 50_000, 1_500
FEATURES, RIDGE = "rff:200:1", 1e-6
STEPS, PEER_STEPS, PEER_RATE = 40_000, 10_000, 1e-4  # the peer's own learning rate


class Answer(NamedTuple):
    """An estimate, the CPU-seconds that it took, and what it says of itself."""

    value: float
    seconds: float
    status: str = ""


def benchmark(quick: bool = False) -> list[dict[str, Any]]:
    """Evaluate the target by LSTD, by our networks and by the peer's, on one log; quick leaves the peer out.

    The peer's environment takes several GB; made anew, it is not part of the time.
    """
    log = cartpole_log(2_000 if quick else ROWS)
    truth, error = cartpole_value(50 if quick else EPISODES)
    with tempfile.TemporaryDirectory() as folder, one_thread():
        names = ("episode", "observation", "action", "reward", "terminated", "truncated")
        path = Path(folder) / "log.npz"
        np.savez(path, **{name: getattr(log, name) for name in names})
        with nullcontext() if quick else peer(PEER, PROGRAM, str(path)) as other:
            steps = 200 if quick else STEPS
            ours = {f"LSTD, {FEATURES}": linear(log), f"a network, {steps:,} steps": networks(log, steps)}
            theirs = None
            if other is not None:
                _, seconds, value = other.answer(f"{PEER_STEPS} {PEER_RATE} huber").split()
                theirs = Answer(float(value), float(seconds))
    rows = []
    for name, answer in ours.items():
        case = f"CartPole, {len(log):,} rows, truth {truth:.2f} +- {error:.2f}: {name}, {_off(answer, truth)}"
        if theirs is not None:
            case += f"; peer, {PEER_STEPS:,} steps, {_off(theirs, truth)}"
        rates = 1 / answer.seconds, None if theirs is None else 1 / theirs.seconds
        rows.append(timing("ope-peers", case, "evaluations/s", rates, f"{PEER} DiscreteFQE"))
    return rows


def cartpole_log(rows: int) -> LoggedSteps:
    """Return a log of the behaviour policy, of which the last episode may be cut."""
    env, generator = gym.make("CartPole-v1").unwrapped, np.random.default_rng(0)
    observation, _ = env.reset(seed=0)
    episode, step, held = 0, 0, []
    for row in range(rows):
        best = int(observation[LEAN] > 0)
        action = best if generator.random() < 0.5 else int(generator.integers(2))
        following, reward, terminated, _, _ = env.step(action)
        truncated = not terminated and (step == LONGEST - 1 or row == rows - 1)
        held.append((episode, step, action, reward, terminated, truncated, observation, following))
        observation, step = following, step + 1
        if terminated or truncated:
            observation, _ = env.reset()
            episode, step = episode + 1, 0
    columns = [np.array(column) for column in zip(*held, strict=True)]
    episodes, steps, actions, rewards, ended, cut, before, after = columns
    leaning = before[:, LEAN] > 0
    return LoggedSteps(
        2,
        episodes,
        steps,
        actions,
        rewards,
        ended,
        cut,
        observation=before,
        next_observation=after,
        behaviour_probability=np.where(actions == leaning, 0.75, 0.25),
        target_probability=np.stack([~leaning, leaning], axis=1).astype(np.float64),
        next_target_probability=np.stack([after[:, LEAN] <= 0, after[:, LEAN] > 0], axis=1).astype(np.float64),
    )


def cartpole_value(episodes: int) -> tuple[float, float]:
    """Return the mean discounted return of the target policy, and its standard error."""
    env, returns = gym.make("CartPole-v1").unwrapped, []
    for episode in range(episodes):
        observation, _ = env.reset(seed=1 if episode == 0 else None)
        total, factor = 0.0, 1.0
        for _ in range(LONGEST):
            observation, reward, terminated, _, _ = env.step(int(observation[LEAN] > 0))
            total, factor = total + factor * float(reward), factor * DISCOUNT
            if terminated:
                break
        returns.append(total)
    return float(np.mean(returns)), float(np.std(returns, ddof=1) / np.sqrt(episodes))


def linear(log: LoggedSteps) -> Answer:
    """Return what LSTD with random Fourier features says, the making of the features included."""
    start = time.process_time()
    featured = with_features(log, load_features(FEATURES)).log
    value = LSTD(DISCOUNT, ridge=RIDGE).fit(featured).value
    return Answer(float(np.asarray(value)), time.process_time() - start)


def networks(log: LoggedSteps, steps: int) -> Answer:
    """Return what one network of 64-64 says."""
    start = time.process_time()
    estimate = FittedQNetwork(DISCOUNT, replicas=1, steps=steps).fit(log)
    return Answer(estimate.value, time.process_time() - start, "" if estimate.status == "ok" else estimate.status)


def _off(answer: Answer, truth: float) -> str:
    """Return the error and the time, as text."""
    told = f" ({answer.status})" if answer.status else ""
    return f"error {answer.value - truth:+.2f}{told} in {answer.seconds:.3g} s"
