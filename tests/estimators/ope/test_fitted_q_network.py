"""Networks fitted by the shared loop find what the closed forms do, and say when they have not got there."""

import numpy as np
import pytest

from sandtable.estimators.ope.fitted_q_network import FittedQNetwork
from sandtable.estimators.ope.linear.lstd import LSTD
from sandtable.estimators.ope.weighting.doubly_robust import DoublyRobust
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.logged_steps import LoggedSteps

TABLE = {"hidden": (), "batch": None, "replicas": 2, "learning_rate": 0.05, "target_every": 10}


def chain_log(episodes=60, length=4, ends="terminated"):
    """Return episodes on a ring of 3 states: action 0 stays, action 1 goes on, the reward is the state."""
    generator = np.random.default_rng(0)
    rows = episodes * length
    action, state = generator.integers(2, size=(episodes, length)), np.zeros((episodes, length + 1), dtype=int)
    state[:, 0] = generator.integers(3, size=episodes)
    for step in range(length):
        state[:, step + 1] = (state[:, step] + action[:, step]) % 3
    last = np.tile(np.arange(length) == length - 1, episodes)
    target = np.array([[0.3, 0.7], [0.6, 0.4], [0.5, 0.5]])
    here, after = state[:, :-1].reshape(-1), state[:, 1:].reshape(-1)
    return LoggedSteps(
        2,
        np.repeat(np.arange(episodes), length),
        np.tile(np.arange(length), episodes),
        action.reshape(-1),
        here.astype(float),
        last if ends == "terminated" else np.zeros(rows, dtype=bool),
        np.zeros(rows, dtype=bool) if ends == "terminated" else last,
        observation=here,
        next_observation=after,
        behaviour_probability=np.full(rows, 0.5),
        target_probability=target[here],
        next_target_probability=target[after],
    )


def lstd_value(log, discount):
    """Return what LSTD with one feature a pair says of the log's starts."""
    count = int(log.observation.max()) + 1

    def pairs(state, probability):
        return (np.eye(count)[state][:, :, None] * probability[:, None, :]).reshape(len(state), -1)

    featured = log.with_(
        features=pairs(log.observation, np.eye(2)[log.action]),
        next_features=pairs(log.next_observation, log.next_target_probability),
        initial_features=pairs(log.observation, log.target_probability)[log.first],
    )
    return float(LSTD(discount).fit(featured).value)


@pytest.mark.parametrize(("ends", "discount"), [("terminated", 0.8), ("terminated", 1.0), ("truncated", 0.8)])
def test_a_table_finds_the_fixed_point_of_lstd(ends, discount):
    """Within one part in ten thousand, wherever episodes end: terminations are worth 0, truncations go on."""
    log = chain_log(ends=ends)
    estimate = FittedQNetwork(discount, steps=800, **TABLE).fit(log)
    assert estimate.status == "ok"
    assert estimate.value == pytest.approx(lstd_value(log, discount), rel=1e-4)


def test_terminations_and_truncations_are_worth_different_things():
    ended, cut = (lstd_value(chain_log(ends=ends), 0.8) for ends in ("terminated", "truncated"))
    assert cut > 1.2 * ended


def test_a_skewed_reward_is_fitted_by_its_mean():
    """d3rlpy 2.8.1 fits DiscreteFQE by the Huber loss and returns Q = (.122, .081) here instead of (1.055, 1.030).

    A bandit whose reward is 10 with probability .1 and else 0; 2,000 samples an action with these means.
    """
    rewards = np.zeros((2, 2000))
    rewards[0, :211], rewards[1, :206] = 10.0, 10.0
    n = rewards.size
    once = np.zeros(n, dtype=bool)
    log = LoggedSteps(
        2,
        np.arange(n),
        np.zeros(n, dtype=int),
        np.repeat([0, 1], 2000),
        rewards.reshape(-1),
        ~once,
        once,
        observation=np.zeros((n, 1)),
        next_observation=np.zeros((n, 1)),
        target_probability=np.full((n, 2), 0.5),
        next_target_probability=np.full((n, 2), 0.5),
    )
    networks = FittedQNetwork(0.99, hidden=(16,), replicas=1, steps=400, batch=None, learning_rate=0.01).train(log)
    assert networks.predict(np.zeros((1, 1)))[0] == pytest.approx([1.055, 1.030], abs=1e-3)


def test_replicas_differ_by_their_seeds_alone_and_repeat_themselves():
    log = chain_log().with_(observation=chain_log().observation[:, None].astype(float))
    log = log.with_(next_observation=log.next_observation[:, None].astype(float))
    settings = {"hidden": (8,), "steps": 200, "batch": 32}
    one, two = (FittedQNetwork(0.8, replicas=2, **settings).train(log) for _ in range(2))
    alone = FittedQNetwork(0.8, replicas=1, **settings).train(log)
    assert np.array_equal(one.values, two.values)
    assert one.values[0] != one.values[1]
    assert one.values[0] == pytest.approx(alone.values[0], rel=1e-6)


def test_a_training_that_was_too_short_says_so():
    estimate = FittedQNetwork(0.95, **{**TABLE, "target_every": 50}, steps=200).fit(chain_log(ends="truncated"))
    assert estimate.status == "not converged"
    assert "still to go" in estimate.reason
    assert estimate.interval == "none"


def test_a_slow_training_is_no_converged_one():
    """So few iterations that the value hardly leaves its start: standing still is not having arrived."""
    log = chain_log(ends="truncated")
    estimate = FittedQNetwork(0.99, hidden=(), steps=100, batch=None, learning_rate=1e-4).fit(log)
    assert abs(estimate.value) < 0.2 * lstd_value(log, 0.99)
    assert estimate.status == "not converged"


def test_a_training_that_explodes_is_diverged():
    with np.errstate(all="ignore"):
        estimate = FittedQNetwork(0.8, steps=100, learning_rate=1e38, batch=None).fit(chain_log())
    assert (estimate.status, np.isnan(estimate.value)) == ("diverged", True)
    assert "diverged at step" in estimate.reason


def test_rows_that_weigh_nothing_are_not_learned_from():
    log = chain_log()
    odd = log.episode % 2 == 1
    spoiled = log.with_(reward=np.where(odd, 100.0, log.reward), weight=np.where(odd, 0.0, 1.0))
    kept = ~odd
    columns = ("step", "action", "reward", "terminated", "truncated", "observation", "next_observation")
    columns += ("target_probability", "next_target_probability")
    alone = LoggedSteps(2, log.episode[kept] // 2, **{name: getattr(log, name)[kept] for name in columns})
    estimate = FittedQNetwork(0.8, steps=800, **TABLE).fit(spoiled)
    assert estimate.value == pytest.approx(lstd_value(alone, 0.8), rel=1e-4)


def test_the_networks_serve_doubly_robust_estimation():
    log = chain_log()
    networks = FittedQNetwork(0.8, steps=800, **TABLE).train(log)
    values = networks.action_values(log)
    assert values.v[log.first].mean() == pytest.approx(networks.values.mean(), rel=1e-5)
    estimate = DoublyRobust(0.8).fit(log, values)
    assert abs(estimate.value - lstd_value(log, 0.8)) < 4 * estimate.se


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"independent": True}, "no start"),
        ({"observation": None}, "no observations"),
        ({"next_target_probability": None}, "no next_target_probability of every action"),
        ({"target_probability": np.full(240, 0.5)}, "no target_probability of every action"),
        ({"next_target_probability": np.full((240, 2), np.nan)}, "not known in 180 rows"),
        ({"observation": np.full(240, -1)}, "negative number"),
        ({"observation": np.full(240, np.nan), "next_observation": np.zeros(240)}, "not finite"),
        ({"weight": np.zeros(240)}, "weights of all starts are 0"),
    ],
)  # fmt: skip
def test_what_the_log_cannot_serve_is_not_run_and_says_why(changed, reason):
    estimate = FittedQNetwork(0.8).fit(chain_log().with_(**changed))
    assert estimate.status == "not run"
    assert reason in estimate.reason


def test_bad_numbers_are_refused():
    with pytest.raises(InputError, match="reward is inf"):
        FittedQNetwork(0.8).fit(chain_log().with_(reward=np.full(240, np.inf)))
    with pytest.raises(InputError, match="must sum to 1"):
        FittedQNetwork(0.8).fit(chain_log().with_(target_probability=np.full((240, 2), 0.4)))
    for settings in ({"discount": 2.0}, {"discount": 0.9, "steps": 5}, {"discount": 0.9, "batch": 0}):
        with pytest.raises(ValueError, match=next(reversed(settings))):
            FittedQNetwork(**settings)
