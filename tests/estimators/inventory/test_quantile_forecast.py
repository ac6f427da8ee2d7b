"""Quantile regression finds known quantiles, and learns from the past alone."""

import numpy as np
import pytest
from scipy import optimize, sparse, stats

from sandtable.estimators.inventory.quantile_forecast import (
    FEATURES,
    MOST_ROWS,
    QuantileRegression,
    demand_scale,
    forecast_features,
    past_examples,
)

QUANTILES = (0.1, 0.5, 0.9)


def line(rows, seed):
    """Return x, and y = 1 + 2 x + (1 + x) e with e standard normal: its q-quantile is (1 + z) + (2 + z) x."""
    generator = np.random.default_rng(seed)
    x = generator.uniform(0, 2, rows)
    return np.stack([np.ones(rows), x], axis=1), 1 + 2 * x + (1 + x) * generator.standard_normal(rows)


@pytest.mark.parametrize("quantile", QUANTILES)
def test_known_quantiles_are_found_within_their_standard_errors(quantile):
    features, target = line(20_000, seed=3)
    fit = QuantileRegression(quantile).fit(target, features)
    z = stats.norm.ppf(quantile)
    assert fit.converged
    assert fit.rank == 2
    assert np.abs(fit.params - [1 + z, 2 + z]).max() < 0.12
    assert (np.abs(fit.params - [1 + z, 2 + z]) < 4 * fit.bse).all()
    assert np.mean(target <= fit.predict(features)[:, 0]) == pytest.approx(quantile, abs=2e-3)


@pytest.mark.parametrize("quantile", QUANTILES)
def test_the_loss_is_that_of_the_exact_linear_program(quantile):
    features, target = line(400, seed=8)
    rows = len(target)
    cost = np.concatenate([np.zeros(2), np.full(rows, quantile), np.full(rows, 1 - quantile)])
    equal = sparse.hstack([sparse.csr_matrix(features), sparse.eye(rows), -sparse.eye(rows)])
    bounds = [(None, None)] * 2 + [(0, None)] * (2 * rows)
    exact = optimize.linprog(cost, A_eq=equal, b_eq=target, bounds=bounds, method="highs")
    residual = target - QuantileRegression(quantile).fit(target, features).predict(features)[:, 0]
    loss = np.where(residual > 0, quantile * residual, (quantile - 1) * residual).sum()
    assert exact.fun * (1 - 1e-9) <= loss <= exact.fun * (1 + 1e-4)


def test_standard_errors_of_independent_groups_are_those_of_independent_examples():
    features, target = line(5_000, seed=1)
    alone = QuantileRegression(0.5).fit(target, features)
    grouped = QuantileRegression(0.5).fit(target, features, np.arange(5_000))
    spread = [QuantileRegression(0.5).fit(*line(5_000, seed)[::-1]).params for seed in range(200)]
    assert grouped.bse == pytest.approx(np.std(spread, axis=0), rel=0.2)
    assert (grouped.params == alone.params).all()
    # ten copies of every example tell no more than one: the errors of groups say so
    copied = QuantileRegression(0.5).fit(
        np.repeat(target, 10), np.repeat(features, 10, axis=0), np.repeat(np.arange(5_000), 10)
    )
    assert copied.bse == pytest.approx(grouped.bse, rel=0.25)


def test_intervals_are_symmetric_and_the_summary_tells_the_names():
    features, target = line(500, seed=2)
    fit = QuantileRegression(0.5).fit(target, features, names=("constant", "slope"))
    assert fit.conf_int().mean(axis=1) == pytest.approx(fit.params)
    assert np.diff(fit.conf_int(0.1)).ravel() == pytest.approx(2 * 1.6448536 * fit.bse)
    assert "slope" in fit.summary()
    assert not QuantileRegression(0.5, iterations=2).fit(target, features).converged


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": np.ones(4)}, "shapes"),
        ({"target": np.array([1.0, np.nan, 1, 1, 1])}, "finite"),
        ({"features": np.ones((5, 5))}, "too few"),
        ({"groups": np.zeros(3, int)}, "groups"),
        ({"names": ("one", "two")}, "names"),
    ],
)
def test_bad_examples_are_refused(change, message):
    arguments = {"target": np.arange(5.0), "features": np.ones((5, 1)), **change}
    with pytest.raises(ValueError, match=message):
        QuantileRegression(0.5).fit(**arguments)


@pytest.mark.parametrize("quantile", [0.0, 1.0, -0.1, np.nan])
def test_quantiles_outside_zero_and_one_are_refused(quantile):
    with pytest.raises(ValueError, match="quantile"):
        QuantileRegression(quantile)


@pytest.fixture
def demand():
    return np.random.default_rng(5).poisson([0.3, 4.0, 30.0], (60, 3)).astype(float)


def test_an_example_is_the_demand_of_lead_time_and_review_after_what_was_known(demand):
    known = np.ones(demand.shape, dtype=bool)
    lead_time = np.array([0.0, 2.0, 1.5])
    examples = past_examples(demand, known, lead_time, window=16)
    assert examples.features.shape[1] == len(FEATURES)
    of_second = examples.group == 1
    assert of_second.sum() == 60 - 1 - 2  # not the first period, of which nothing is known, nor the last two
    period, row = 20, np.flatnonzero(of_second)[20 - 1]
    past = demand[:period, 1]
    scale = 0.5 * (past[-16:].mean() + past.mean())
    assert examples.target[row] == pytest.approx(demand[20:23, 1].sum() / (3 * scale))
    deviation = past.std(ddof=1) / (scale * 3**0.5)
    expected = [1, past[-1] / scale, past[-4:].mean() / scale, past[-8:].mean() / scale, past.mean() / scale, deviation]
    assert examples.features[row] == pytest.approx([*expected, (3 * scale) ** -0.5])
    fraction = np.flatnonzero(examples.group == 2)[19]
    scale = 0.5 * (demand[4:20, 2].mean() + demand[:20, 2].mean())
    assert examples.target[fraction] == pytest.approx((demand[20:22, 2].sum() + 0.5 * demand[22, 2]) / (2.5 * scale))


def test_the_features_of_a_period_do_not_change_with_later_demand(demand):
    known = np.ones(demand.shape, dtype=bool)
    lead_time, calendar = np.full(3, 2.0), np.random.default_rng(0).normal(size=(60, 4))
    before = past_examples(demand, known, lead_time, 16, calendar)
    later = demand.copy()
    later[30:] = 5 * later[30:] + 100
    after = past_examples(later, known, lead_time, 16, calendar)
    early = np.arange(len(before.target)) < 30 * 3 - 3  # in the order of periods, from the second on
    assert (before.features[early] == after.features[early]).all()
    whole = np.arange(len(before.target)) < 27 * 3  # those whose demand ended before period 30, too
    assert (before.target[whole] == after.target[whole]).all()
    assert not (before.target == after.target).all()


def test_unknown_demand_teaches_nothing(demand):
    known = np.ones(demand.shape, dtype=bool)
    known[25] = False
    hidden = demand.copy()
    hidden[25] = 1e6
    one, other = (past_examples(table, known, np.full(3, 1.0), 16) for table in (demand, hidden))
    assert (one.features == other.features).all()
    assert (one.target == other.target).all()
    assert len(one.target) == 3 * (60 - 1 - 1 - 2)
    assert len(past_examples(demand, np.zeros_like(known), np.full(3, 1.0), 16).target) == 0


def test_features_do_not_change_with_the_unit_of_demand(demand):
    def observation(unit):
        return {
            "past_demand": unit * demand[:16].T,
            "demand_known": np.ones((3, 16)),
            "mean": unit * demand.mean(axis=0)[:, None] + unit,
            "deviation": unit * demand.std(axis=0)[:, None],
            "lead_time": np.full((3, 1), 2.0),
        }

    one, ten = (forecast_features(observation(unit), seasonal=False) for unit in (1.0, 10.0))
    assert one[:, :-1] == pytest.approx(ten[:, :-1])
    assert one[:, -1] == pytest.approx(ten[:, -1] * 10**0.5)  # rarity counts units
    assert demand_scale(observation(10.0)) == pytest.approx(10 * demand_scale(observation(1.0)))


def test_of_many_examples_a_part_is_kept():
    demand = np.random.default_rng(0).poisson(2.0, (120, 300)).astype(float)
    examples = past_examples(demand, np.ones(demand.shape, bool), np.full(300, 1.0), 16)
    assert len(examples.target) == MOST_ROWS
    assert len(np.unique(examples.group)) == 300
