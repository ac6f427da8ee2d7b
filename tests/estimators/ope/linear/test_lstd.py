import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.sandbox.regression.gmm import IV2SLS

from sandtable.estimators.ope.linear.intervals import hc0, with_covariance
from sandtable.estimators.ope.linear.lstd import LSTD, RankWarning, instrument_qr
from sandtable.estimators.ope.moments.accumulate import moments_of_log, moments_of_rows
from sandtable.simulators.ope.instances.catalogue import instance
from sandtable.simulators.ope.linear_mdp import LinearMDP


def test_lstd_is_two_stage_least_squares(noisy_log):
    """statsmodels' IV2SLS with instruments phi and regressors phi - discount phi': params and standard errors."""
    log = noisy_log()
    theirs = IV2SLS(log.reward, log.features - 0.9 * log.next_features, instrument=log.features).fit()
    ours = with_covariance(LSTD(0.9).fit(log), log, "homoskedastic")
    np.testing.assert_allclose(ours.params, theirs.params, atol=1e-10)
    freedom = np.sqrt(len(log) / (len(log) - 5))  # theirs divides the squared residuals by n - d
    np.testing.assert_allclose(ours.bse * freedom, theirs.bse, rtol=1e-10)
    ends = ours.params[:, None] + np.outer(ours.bse, [-1.959964, 1.959964])
    np.testing.assert_allclose(ours.conf_int(), ends, atol=1e-6)


@pytest.mark.parametrize("name", ["R1", "R1b", "R1c", "R2", "R2b", "R3", "R4", "R4b", "R5", "R6"])
def test_lstd_is_exact_in_every_regime_that_is_invertible(name):
    world = instance(name)
    result = LSTD(world.discount).fit(world.moments())
    np.testing.assert_allclose(result.params, world.theta, atol=1e-10)
    assert result.value == pytest.approx(world.value(), abs=1e-10)
    assert result.status == "ok"


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("R5", None, [[0.11792, 0.0], [0.0, 0.11792]]),
        ("R1b", None, [[3.3493, 3.7288], [3.7288, 6.2394]]),
        ("R3", [[0.9], [0.1]], [[202.78, 225.0], [225.0, 250.0]]),
    ],
)
def test_the_covariance_of_the_parameters_is_the_asymptotic_one(expected_log, name, data, expected):
    """n Cov of LSTD with reward noise of deviation .5, from G^-1 E e^2 phi phi^T G^-T of the finite world."""
    world = instance(name)
    world = world if data is None else world.with_data(data)
    log = expected_log(world, 0.5)
    result = with_covariance(LSTD(0.9).fit(log), log)
    np.testing.assert_allclose(result.params, world.theta, atol=1e-10)
    np.testing.assert_allclose(result.cov * len(log), expected, rtol=5e-5, atol=5e-5)


def test_boyan_s_chain_from_logged_episodes(boyan_episodes):
    """Boyan (2002): (-24, -16, -8, 0), although the log holds features (0, 0, 0, 1) of the terminal state."""
    log = boyan_episodes()
    assert log.next_features[log.terminated].any()
    np.testing.assert_allclose(LSTD(1.0).fit(log).params, [-24.0, -16.0, -8.0, 0.0], atol=1e-10)


def test_features_of_a_terminal_state_that_are_not_zeroed_spoil_boyan_s_chain(boyan_episodes):
    """With them the system has rank 3 and its least-norm solution is (-12, -4, 4, 12)."""
    log = boyan_episodes()
    blind = moments_of_rows(log.features, log.next_features, log.reward, weight=log.weight)
    with pytest.warns(RankWarning, match="rank 3 of 4"):
        result = LSTD(1.0).fit(blind)
    assert result.status == "singular"
    np.testing.assert_allclose(result.params, [-12.0, -4.0, 4.0, 12.0], atol=1e-9)


def test_a_truncated_chain_is_bootstrapped(boyan_episodes):
    """Cut after two steps from every state, Boyan's chain keeps its values; taken as ends, the cuts change them."""
    log = boyan_episodes(steps=2)
    assert log.truncated.sum() > 5
    np.testing.assert_allclose(LSTD(1.0).fit(log).params, [-24.0, -16.0, -8.0, 0.0], atol=1e-10)
    as_ends = log.with_(terminated=log.terminated | log.truncated, truncated=np.zeros(len(log), dtype=bool))
    assert np.abs(LSTD(1.0).fit(as_ends).params - [-24.0, -16.0, -8.0, 0.0]).max() > 5


def test_two_steps_to_a_terminal_state(log_of):
    """A chain of two states with reward 1 at its end, discount .9: (.9, 1).

    MushroomRL's LSPI (5c3834d7) gives (.2289, .2543): it keeps the features of the terminal state.
    """
    log = log_of([2] * 50, np.tile(np.eye(2), (50, 1)), np.tile([[0, 1], [1, 0]], (50, 1)), [0, 1] * 50, [0, 1] * 50)
    np.testing.assert_allclose(LSTD(0.9).fit(log).params, [0.9, 1.0], atol=1e-12)


def test_the_value_of_a_skewed_bandit_is_its_mean(log_of):
    """Reward 10 with probability .1: the mean. d3rlpy 2.8.1's DiscreteFQE gives .122: it fits a Huber loss."""
    generator = np.random.default_rng(0)
    arm = generator.integers(0, 2, 4000)
    reward = 10.0 * (generator.uniform(size=4000) < 0.1)
    log = log_of(np.ones(4000, dtype=int), np.eye(2)[arm], np.zeros((4000, 2)), reward, np.ones(4000))
    np.testing.assert_allclose(LSTD(0.99).fit(log).params, [reward[arm == 0].mean(), reward[arm == 1].mean()])


def test_two_worlds_that_share_their_moments_cannot_be_told_apart():
    """R7 with theta 1 and -5 (arXiv 2011.01075): the same data, and values that differ."""
    one, other = (instance("R7", theta=[theta]) for theta in (1.0, -5.0))
    with pytest.warns(RankWarning):
        results = [LSTD(0.9).fit(world.moments()) for world in (one, other)]
    assert results[0].params == results[1].params == 0.0
    assert results[0].rank == 0
    assert results[0].status == "singular"
    assert one.values()[0] != other.values()[0]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), discount=st.floats(0, 1), n=st.integers(20, 300))
def test_the_value_does_not_depend_on_the_basis(noisy_log, seed, discount, n):
    log = noisy_log(n=n, seed=seed)
    change = np.random.default_rng(seed).normal(size=(5, 5)) + 3 * np.eye(5)
    changed = log.with_(features=log.features @ change, next_features=log.next_features @ change)
    one, other = LSTD(discount).fit(log), LSTD(discount).fit(changed)
    digits = 1e-13 * one.condition * other.condition * np.linalg.cond(change)
    np.testing.assert_allclose(change @ other.params, one.params, rtol=digits, atol=digits * np.abs(one.params).max())
    estimates = hc0(one, log).se, hc0(other, changed).se
    assert estimates[0] == pytest.approx(estimates[1], rel=max(digits, 1e-8))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), factor=st.floats(0.01, 100), shift=st.floats(-5, 5))
def test_scaled_rewards_scale_the_value_and_rewards_of_a_function_of_features_add_it(noisy_log, seed, factor, shift):
    log = noisy_log(seed=seed, n=200)
    potential = shift * np.arange(5.0)
    more = log.reward * factor + (log.features - 0.9 * log.next_features) @ potential
    found = LSTD(0.9).fit(log.with_(reward=more)).params
    np.testing.assert_allclose(found, factor * LSTD(0.9).fit(log).params + potential, rtol=1e-8, atol=1e-8)


def test_the_ridge_means_the_same_for_any_number_of_noisy_log(noisy_log):
    log = noisy_log()
    once, tenfold = moments_of_log(log), moments_of_log(log).scaled(10.0)
    np.testing.assert_allclose(LSTD(0.9, 0.3).fit(once).params, LSTD(0.9, 0.3).fit(tenfold).params, rtol=1e-12)
    mean = once.mean()
    expected = np.linalg.solve(mean.system(0.9) + 0.3 * np.eye(5), mean.reward_moment)
    np.testing.assert_allclose(LSTD(0.9, 0.3).fit(once).params, expected, rtol=1e-12)


@pytest.mark.parametrize("ridge", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_form_by_qr_gives_the_same_solution(noisy_log, ridge, weighted):
    log = noisy_log()
    if weighted:
        log = log.with_(weight=np.random.default_rng(3).uniform(size=len(log)))
    by_rows, by_moments = LSTD(0.9, ridge, "qr").fit(log), LSTD(0.9, ridge).fit(log)
    np.testing.assert_allclose(by_rows.params, by_moments.params, rtol=1e-10)
    np.testing.assert_allclose(by_rows.value, by_moments.value, rtol=1e-10)


def random_fourier(log_of, n=4000, count=256, seed=0):
    """Random Fourier features of 4-dimensional data that are almost dependent."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 4))
    after = 0.9 * x + 0.3 * generator.normal(size=(n, 4))
    frequency, phase = generator.normal(size=(4, count)) / 2, generator.uniform(0, 2 * np.pi, count)
    reward = np.sin(x[:, 0]) + 0.1 * generator.normal(size=n)
    return log_of([n], np.cos(x @ frequency + phase), np.cos(after @ frequency + phase), reward, np.zeros(n))


def test_qr_does_not_square_the_condition_number(log_of):
    log = random_fourier(log_of)
    by_rows, by_moments = LSTD(0.9, 0.0, "qr").fit(log), LSTD(0.9).fit(log)
    assert by_moments.condition > 1e3 * by_rows.condition
    predicted = by_rows.predict(log.features), by_moments.predict(log.features)
    assert np.abs(predicted[0] - predicted[1]).max() < 1e-5 * np.abs(predicted[0]).max()


def test_qr_goes_on_where_moments_have_no_digit_left(log_of):
    """With features of condition number 1e9 the moments' is 1e18: only QR finds the parameters again."""
    generator = np.random.default_rng(4)
    base = generator.normal(size=(3000, 3))
    mix = np.array([[1.0, 1.0, 0.0], [0.0, 1e-9, 0.0], [0.0, 0.0, 1.0]])  # two columns that almost agree
    following = 0.5 * base
    truth = np.array([1.0, 2.0, 3.0])
    phi, ahead = base @ mix, following @ mix
    log = log_of([3000], phi, ahead, (phi - 0.9 * ahead) @ truth, np.zeros(3000))
    np.testing.assert_allclose(LSTD(0.9, 0.0, "qr").fit(log).params, truth, rtol=1e-5)
    lost = LSTD(0.9).fit(log)
    assert np.abs(lost.params - truth).max() > 0.1
    assert "few digits are right; solver 'qr'" in lost.reason or lost.status == "singular"


def test_the_triangle_does_not_depend_on_the_chunks(noisy_log, monkeypatch):
    log = noisy_log(n=300)
    whole = instrument_qr(log)
    monkeypatch.setattr("sandtable.estimators.ope.linear.lstd.chunk_rows", lambda d: 1)
    for one, other in zip(instrument_qr(log), whole, strict=True):
        np.testing.assert_allclose(np.abs(one), np.abs(other), atol=1e-11)  # rows are unique up to their sign


@pytest.mark.parametrize(("n", "d"), [(200, 5), (5000, 60)])
def test_features_that_depend_on_each_other_lower_the_rank_and_keep_the_value(noisy_log, n, d):
    log = noisy_log(n, d)
    more = np.concatenate([np.eye(d), np.random.default_rng(0).normal(size=(d, 2)), np.zeros((d, 1))], axis=1)
    with pytest.warns(RankWarning, match=f"rank {d} of {d + 3}"):
        result = LSTD(0.9).fit(log.with_(features=log.features @ more, next_features=log.next_features @ more))
    alone = LSTD(0.9).fit(log)
    assert result.rank == d
    assert result.status == "singular"
    assert result.value == pytest.approx(alone.value, rel=1e-9)
    np.testing.assert_allclose(more @ result.params, alone.params, rtol=1e-8, atol=1e-8)


def test_many_moments_are_fitted_as_each_alone():
    worlds = [instance("R1b").with_data(data) for data in ([[0.2], [0.3], [0.5]], [[0.6], [0.3], [0.1]])]
    exact = [world.moments() for world in worlds]
    many = LSTD(0.9).fit(
        type(exact[0])(
            **{
                name: np.stack([np.asarray(getattr(one, name)) for one in exact])
                if isinstance(getattr(exact[0], name), np.ndarray | float)
                else getattr(exact[0], name)
                for name in type(exact[0]).__dataclass_fields__
            }
        )
    )
    for index, one in enumerate(exact):
        alone = LSTD(0.9).fit(one)
        np.testing.assert_allclose(many.params[index], alone.params, rtol=1e-12)
        assert many.value[index] == pytest.approx(alone.value)


def test_the_error_falls_with_the_root_of_the_number_of_noisy_log():
    world = LinearMDP("R1b", noise=0.5)

    def error(n):
        return np.mean([np.abs(LSTD(0.9).fit(world.sample(n, key)).params - [1, -1]).max() for key in range(40)])

    sizes = np.array([100, 1000, 10_000])
    errors = [error(n) for n in sizes]
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert -0.65 < slope < -0.4


def test_what_cannot_be_done_is_refused(noisy_log):
    with pytest.raises(ValueError, match="discount must lie"):
        LSTD(1.1)
    with pytest.raises(ValueError, match="ridge must be"):
        LSTD(0.9, -1.0)
    with pytest.raises(ValueError, match="solver must be"):
        LSTD(0.9, solver="cholesky")
    with pytest.raises(ValueError, match="works on rows"):
        LSTD(0.9, solver="qr").fit(moments_of_log(noisy_log()))
    with pytest.raises(ValueError, match="there is no covariance yet"):
        LSTD(0.9).fit(noisy_log()).conf_int()


def test_the_summary_tells_what_could_have_gone_wrong(noisy_log):
    log = noisy_log()
    result = LSTD(0.9).fit(log)
    assert "rank 5 of 5, condition number" in result.summary()
    assert "std. error" in with_covariance(result, log).summary()
