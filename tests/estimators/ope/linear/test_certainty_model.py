import numpy as np
import pytest

from sandtable.estimators.ope.linear.certainty_model import CertaintyModel
from sandtable.estimators.ope.linear.fqi import FQI
from sandtable.estimators.ope.linear.lstd import LSTD
from sandtable.estimators.ope.linear.temporal_difference import ExpectedTD
from sandtable.estimators.ope.moments.accumulate import moments_of_log
from sandtable.simulators.ope.instances.catalogue import instance


@pytest.fixture
def table(log_of):
    """A log of 5 states seen at random, with noise; the last state ends an episode."""
    generator = np.random.default_rng(0)
    move = generator.dirichlet(np.ones(6), 5)  # to state 5: the end
    states, following, reward, lengths = [], [], [], []
    for _ in range(300):
        state, length = int(generator.integers(5)), 0
        while state < 5 and length < 20:
            states.append(state)
            state = int(generator.choice(6, p=move[state]))
            following.append(state)
            reward.append(states[-1] + generator.normal())
            length += 1
        lengths.append(length)
    phi = np.concatenate([np.eye(5), np.zeros((1, 5))])
    return log_of(lengths, phi[states], phi[following], reward, np.array(following) == 5)


def test_tabular_lstd_is_the_certainty_equivalent_model_and_the_fixed_point_of_fitted_q_evaluation(table):
    moments = moments_of_log(table)
    model = CertaintyModel(0.95).fit(moments)
    np.testing.assert_allclose(model.params, LSTD(0.95).fit(moments).params, rtol=1e-12)
    np.testing.assert_allclose(model.params, FQI(0.95).fit(moments).params, rtol=1e-12)
    np.testing.assert_allclose(model.params, FQI(0.95, 2000).fit(moments).params, rtol=1e-10)


def test_the_model_of_a_table_counts(table):
    model = CertaintyModel(0.95).fit(moments_of_log(table))
    state, following = table.features.argmax(axis=1), table.next_features
    for one in range(5):
        np.testing.assert_allclose(model.transition[one], following[state == one].mean(axis=0), atol=1e-12)
        assert model.reward[one] == pytest.approx(table.reward[state == one].mean())


def test_pairs_that_the_log_never_shows_have_value_zero_and_lower_the_rank(table):
    wider = table.with_(
        features=np.pad(table.features, ((0, 0), (0, 2))), next_features=np.pad(table.next_features, ((0, 0), (0, 2)))
    )
    model = CertaintyModel(0.95).fit(moments_of_log(wider))
    np.testing.assert_allclose(model.params, [*CertaintyModel(0.95).fit(moments_of_log(table)).params, 0.0, 0.0])
    assert model.rank == 5
    assert "rank 5 of 7" in model.reason
    assert model.status == "ok"  # nothing leads there


@pytest.mark.parametrize("estimator", [FQI(0.95), FQI(0.95, 10), CertaintyModel(0.95), ExpectedTD(0.95)])
def test_a_value_that_rests_on_pairs_that_the_log_never_shows_is_no_estimate(table, estimator):
    """One of the five states loses its rows, and still follows others."""
    hidden = table.features[:, 4] == 1
    lost = table.with_(weight=(~hidden).astype(float))
    result = estimator.fit(moments_of_log(lost))
    assert result.status == "singular"
    assert "features that no row shows" in result.reason
    assert result.rank == 4


def test_redundant_features_change_no_value(table):
    double = table.with_(
        features=np.tile(table.features, 2), next_features=np.tile(table.next_features, 2),
    )  # fmt: skip
    for estimator in (FQI(0.95), CertaintyModel(0.95), ExpectedTD(0.95), ExpectedTD(0.95, 2000, step=0.5)):
        result = estimator.fit(moments_of_log(double))
        assert result.status == "ok"
        assert result.value == pytest.approx(estimator.fit(moments_of_log(table)).value)


def test_a_model_whose_sum_diverges_says_so():
    result = CertaintyModel(0.9).fit(instance("R5").moments())
    assert not result.converged
    assert "spectral radius 1.8" in result.reason
    np.testing.assert_allclose(result.params, [1.0, 1.0])
