from dataclasses import replace

import numpy as np
import pytest
from statsmodels.sandbox.regression.gmm import IV2SLS

from sandtable.estimators.ope.linear.bellman_residual import BellmanResidual
from sandtable.estimators.ope.linear.certainty_model import CertaintyModel
from sandtable.estimators.ope.linear.fqi import FQI
from sandtable.estimators.ope.linear.intervals import (
    bootstrap_moments,
    cluster,
    episode_bootstrap,
    hc0,
    influences,
    one_step_bootstrap,
    with_covariance,
)
from sandtable.estimators.ope.linear.lstd import LSTD
from sandtable.estimators.ope.linear.minimax_weights import MinimaxWeights
from sandtable.estimators.ope.linear.temporal_difference import ExpectedTD
from sandtable.estimators.ope.moments.accumulate import moments_of_log, moments_of_rows
from sandtable.simulators.ope.finite_mdp import FiniteMDP
from sandtable.simulators.ope.linear_mdp import LinearMDP


@pytest.fixture(scope="session")
def episodes(log_of):
    """60 episodes of lengths 1 to 8, every second one truncated, with weights."""
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 9, 60)
    n = int(lengths.sum())
    ended = np.zeros(n)
    ended[np.cumsum(lengths)[::2] - 1] = 1
    phi = generator.normal(size=(n, 3)) + 1
    after = 0.6 * phi + 0.5 * generator.normal(size=(n, 3))
    reward = phi @ np.arange(3) + generator.normal(size=n)
    return log_of(lengths, phi, after, reward, ended, weight=generator.uniform(0.5, 2, n))


def without(log, row):
    """Return a log whose row has almost no weight, and how much it lost."""
    weight = log.weight.copy()
    step = 1e-6 * weight[row]
    weight[row] -= step
    return log.with_(weight=weight), step


@pytest.mark.parametrize(
    "estimator", [LSTD(0.9), LSTD(0.9, 0.1), FQI(0.9, 1), FQI(0.9, 5, 0.1), FQI(0.9), ExpectedTD(0.9, 30, step=0.1)]
)
def test_influences_are_the_derivatives_of_the_value_by_the_weights(episodes, estimator):
    result = estimator.fit(moments_of_log(episodes))
    found = influences(result, episodes).rows
    # a weight also divides the mean moments; of an iterate from 0 that is no matter of scale alone
    total = episodes.weight.sum()
    for row in (0, 7, 100):
        changed, step = without(episodes, row)
        kept = moments_of_log(changed)
        moved = (result.value - estimator.fit(kept).value) / step * episodes.weight[row]
        scale = found.sum() * episodes.weight[row] / total  # what is left of the sum with a ridge, or before the limit
        assert moved == pytest.approx(found[row] - scale, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("estimator", [FQI(0.9), CertaintyModel(0.9)])
def test_influences_hold_where_the_log_never_shows_a_pair(log_of, estimator):
    """Pair 3 is never logged but follows others: regressions of least norm give it the value 0."""
    generator = np.random.default_rng(0)
    pair, following = generator.integers(0, 3, 80), generator.integers(0, 4, 80)
    log = log_of(np.full(8, 10), np.eye(4)[pair], np.eye(4)[following], generator.normal(size=80), np.zeros(80))
    log = log.with_(weight=np.ones(80), initial_features=np.array([[0.2, 0.3, 0.4, 0.1]]))
    result = estimator.fit(moments_of_log(log))
    assert result.rank == 3
    assert result.params[3] == pytest.approx(0.0, abs=1e-12)
    for row in (0, 41):
        changed, step = without(log, row)
        moved = (result.value - estimator.fit(moments_of_log(changed)).value) / step
        assert moved == pytest.approx(influences(result, log).rows[row], rel=1e-4)


def test_hc0_is_the_delta_method_of_white_s_covariance(episodes):
    """With exact initial features: h^T Cov h, Cov as statsmodels' IV2SLS gives its residuals, made HC0 by hand."""
    log = episodes.with_(weight=None, initial_features=np.array([[1.0, 0.5, -1.0]]))
    ahead = np.where(log.terminated[:, None], 0.0, log.next_features)
    theirs = IV2SLS(log.reward, log.features - 0.9 * ahead, instrument=log.features).fit()
    bread = np.linalg.inv(log.features.T @ (log.features - 0.9 * ahead))
    meat = (log.features * theirs.resid[:, None] ** 2).T @ log.features
    cov = bread @ meat @ bread.T
    result = with_covariance(LSTD(0.9).fit(log), log)
    np.testing.assert_allclose(result.cov, cov, rtol=1e-10)
    start = log.initial_features[0]
    assert hc0(result, log).se == pytest.approx(np.sqrt(start @ cov @ start), rel=1e-10)
    assert hc0(result, log).interval == "hc0"


def test_cluster_covariance_sums_episodes_first(episodes):
    log = episodes.with_(initial_features=np.array([[1.0, 0.5, -1.0]]))
    result = with_covariance(LSTD(0.9).fit(log), log, "cluster")
    start = log.initial_features[0]
    expected = np.sqrt(start @ result.cov @ start)
    assert cluster(result, log).se == pytest.approx(expected, rel=1e-9)


def test_the_form_by_qr_has_the_same_intervals(episodes):
    by_rows, by_moments = LSTD(0.9, 0.1, "qr").fit(episodes), LSTD(0.9, 0.1).fit(episodes)
    assert hc0(by_rows, episodes).se == pytest.approx(hc0(by_moments, episodes).se, rel=1e-9)
    found, expected = (with_covariance(one, episodes, "cluster").cov for one in (by_rows, by_moments))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_an_episode_a_row_makes_cluster_hc0(episodes):
    log = episodes.with_(
        episode=np.arange(len(episodes)), initial_features=np.ones((1, 3)), independent=True, weight=None
    )
    result = LSTD(0.9).fit(log)
    n = len(log)
    assert cluster(result, log).se == pytest.approx(hc0(result, log).se * np.sqrt(n / (n - 1)), rel=1e-9)


def test_the_starts_of_the_log_widen_the_interval_and_given_ones_do_not(episodes):
    drawn = LSTD(0.9).fit(episodes)
    exact = episodes.with_(initial_features=moments_of_log(episodes).initial_mean[None])
    known = LSTD(0.9).fit(exact)
    assert known.value == pytest.approx(drawn.value)
    assert hc0(drawn, episodes).se > hc0(known, exact).se
    spread = np.var(episodes.features[episodes.first] @ drawn.params) / episodes.episodes
    assert hc0(drawn, episodes).se ** 2 - hc0(known, exact).se ** 2 == pytest.approx(spread, rel=1e-9)
    sample = episodes.with_(initial_features=episodes.features[episodes.first][:50])  # fifty starts from elsewhere
    result = LSTD(0.9).fit(sample)
    assert not influences(result, sample).of_episodes
    alone = sample.with_(initial_features=moments_of_log(sample).initial_mean[None])
    for interval in (hc0, cluster, one_step_bootstrap):
        assert interval(result, sample).se > interval(LSTD(0.9).fit(alone), alone).se
    assert episode_bootstrap(LSTD(0.9), sample).se > episode_bootstrap(LSTD(0.9), alone).se


def test_the_bootstrap_of_moments_is_that_of_episodes_drawn_one_by_one(episodes, monkeypatch):
    from sandtable.estimators.ope.linear import intervals

    whole = bootstrap_moments(episodes, replicates=4, seed=3)
    monkeypatch.setattr(intervals, "BLOCK_BYTES", 8 * 3 * 9 * 7)  # blocks of 7 episodes
    np.testing.assert_allclose(bootstrap_moments(episodes, replicates=4, seed=3).covariance, whole.covariance)
    for b in range(4):
        chosen = intervals._drawn(3, intervals._EPISODES, b, 60)
        rows = np.concatenate([np.flatnonzero(episodes.episode == one) for one in chosen])
        ahead = np.where(episodes.terminated[:, None], 0.0, episodes.next_features)
        expected = moments_of_rows(
            episodes.features[rows],
            ahead[rows],
            episodes.reward[rows],
            weight=episodes.weight[rows],
            initial_features=episodes.features[episodes.first][chosen],
        )
        np.testing.assert_allclose(whole.cross_covariance[b], expected.cross_covariance, atol=1e-10)
        np.testing.assert_allclose(whole.initial_mean[b], expected.initial_mean)


def test_bootstraps_agree_with_the_sandwich_and_repeat_themselves(episodes):
    result = LSTD(0.9).fit(episodes)
    expected = cluster(result, episodes).se
    refit = episode_bootstrap(LSTD(0.9), episodes, 400)
    assert refit.se == pytest.approx(expected, rel=0.3)
    assert one_step_bootstrap(result, episodes, 400).se == pytest.approx(expected, rel=0.15)
    assert refit.value == result.value
    np.testing.assert_array_equal(refit.replicates[:5], episode_bootstrap(LSTD(0.9), episodes, 5).replicates)


@pytest.mark.parametrize("estimator", [FQI(0.9), FQI(0.9, 20), MinimaxWeights(0.9), ExpectedTD(0.9)])
def test_every_estimator_has_the_intervals(episodes, estimator):
    result = estimator.fit(moments_of_log(episodes))
    reference = LSTD(0.9).fit(moments_of_log(episodes))
    assert cluster(result, episodes).se == pytest.approx(cluster(reference, episodes).se, rel=0.2)
    assert np.isfinite(episode_bootstrap(estimator, episodes, 20).conf_int()).all()


def test_bellman_residuals_have_the_episode_bootstrap_alone(episodes):
    estimator = BellmanResidual(0.9)
    assert episode_bootstrap(estimator, episodes, 20, next_taken="drawn").se > 0
    result = estimator.fit(moments_of_log(episodes, next_taken="drawn"))
    with pytest.raises(ValueError, match="the episode bootstrap serves it"):
        hc0(result, episodes)
    with pytest.raises(ValueError, match="no solution of one linear system"):
        with_covariance(result, episodes)


def test_resamples_that_tell_nothing_are_left_out_and_counted(log_of):
    phi = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    log = log_of([1, 1, 1], phi, np.zeros((3, 2)), [1.0, 2.0, 3.0], [1, 1, 1])
    estimate = episode_bootstrap(LSTD(0.9), log, 50)
    assert "resamples have a singular system" in estimate.reason
    weighted = log.with_(weight=np.array([0.0, 1.0, 0.0]))
    with pytest.warns(UserWarning, match="rank 1 of 2"):
        assert "resamples have no value" in episode_bootstrap(LSTD(0.9), weighted, 50).reason


def test_one_episode_has_no_cluster_interval(noisy_log):
    log = noisy_log()
    assert np.isnan(cluster(LSTD(0.9).fit(log), log).se)
    with pytest.raises(ValueError, match="replicates must be"):
        bootstrap_moments(log, 1)
    with pytest.raises(ValueError, match="cov_type must be"):
        with_covariance(LSTD(0.9).fit(log), log, "hc3")


def coverage(process, n, mode, interval, replications=200):
    """Return the share of logs whose interval at 95 % holds the exact value."""
    truth, held = process.exact().value, 0
    for key in range(replications):
        log = process.sample(n, key, mode)
        low, high = interval(LSTD(process.mdp.discount).fit(log), log).conf_int()
        held += low <= truth <= high
    return held / replications


@pytest.mark.parametrize("name", ["R1b", "R5"])
def test_hc0_covers_independent_rows(name):
    """200 logs of 1,000 rows: a binomial with p = .95 lies in [.90, .99] with probability .996."""
    assert 0.90 <= coverage(LinearMDP(name, noise=0.5), 1000, "iid", hc0) <= 0.99


def six_states() -> FiniteMDP:
    """Six states and two actions, every pair a feature, an end with probability .1: episodes are about ten steps."""
    generator = np.random.default_rng(1)
    transitions = np.zeros((7, 2, 7))
    transitions[:6, :, :6] = 0.9 * generator.dirichlet(np.ones(6), (6, 2))
    transitions[:6, :, 6], transitions[6, :, 6] = 0.1, 1.0
    rewards = np.zeros((7, 2))
    rewards[:6] = generator.normal(size=(6, 2))
    features = np.zeros((7, 2, 12))
    features[:6] = np.eye(12).reshape(6, 2, 12)
    target = np.tile([0.8, 0.2], (7, 1))
    data = np.zeros((7, 2))
    data[:6] = 1 / 12
    return FiniteMDP(
        "six states", features, transitions, rewards, np.arange(7) == 6, np.append(np.full(6, 1 / 6), 0.0), target,
        data, np.full((7, 2), 0.5), 0.95, reward_noise=np.where(np.arange(7)[:, None] < 6, 1.0, 0.0) * np.ones(2),
    )  # fmt: skip


def test_cluster_covers_episodes_and_the_spread_of_starts_alone_does_not():
    """100 logs of 100 episodes. SCOPE-RL's interval of the direct method resamples V(s0) alone, and covers little."""
    process = LinearMDP(six_states())

    def of_starts_alone(result, log):
        values = log.initial_features @ result.params
        return replace(result.estimate(), se=values.std() / np.sqrt(len(values)), interval="cluster")

    assert coverage(process, 100, "episodes", cluster, 100) >= 0.88
    assert coverage(process, 100, "episodes", of_starts_alone, 100) < 0.6


def test_intervals_narrow_with_the_root_of_the_number_of_rows():
    """SCOPE-RL's Hoeffding interval grows with it: [-13, 14] for 100 rows and [-135, 136] for 10,000."""
    world = LinearMDP("R1b", noise=0.5)
    widths = [np.ptp(hc0(LSTD(0.9).fit(log), log).conf_int()) for log in (world.sample(n, 0) for n in (100, 10_000))]
    assert widths[0] / widths[1] == pytest.approx(10, rel=0.4)
