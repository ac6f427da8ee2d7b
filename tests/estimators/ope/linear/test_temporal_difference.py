import numpy as np
import pytest

from sandtable.estimators.ope.linear.lstd import LSTD
from sandtable.estimators.ope.linear.temporal_difference import ExpectedTD
from sandtable.simulators.ope.instances.catalogue import instance


@pytest.mark.parametrize("name", ["R1", "R1b", "R1c", "R4b", "R5"])
def test_the_limit_is_lstd_s_solution_and_is_reached(name):
    moments = instance(name).moments()
    expected = LSTD(0.9).fit(moments).params
    limit = ExpectedTD(0.9).fit(moments)
    assert limit.status == "ok"
    np.testing.assert_allclose(limit.params, expected, atol=1e-10)
    np.testing.assert_allclose(ExpectedTD(0.9, 5000).fit(moments).params, expected, atol=1e-8)


def test_td_may_converge_where_fqi_does_not_and_not_where_it_does():
    """R5 has symmetric part 0 and radius 1.8; in R3 TD needs many more steps; R6 serves neither."""
    assert ExpectedTD(0.9).fit(instance("R5").moments()).converged
    assert not ExpectedTD(0.9).fit(instance("R6").moments()).converged


def test_td_diverges_on_baird_s_star_as_published():
    """Baird (1995): from (1, 1, 1, 1, 1, 1, 10, 1) with step .01 the norm is 16.826 after 100 and 436.86 after 1,000.

    From 0 with the rewards that make these parameters' error the start: theta_t - theta = (I - step G)^t (-theta).
    """
    world = instance("baird")
    start = np.array([1.0, 1, 1, 1, 1, 1, 10, 1])
    exact = world.moments()
    moments = type(exact)(**{**vars(exact), "reward_moment": exact.system(0.99) @ -start})
    for iterations, norm in ((100, 16.826), (1000, 436.86)):
        found = ExpectedTD(0.99, iterations, step=0.01).fit(moments)
        assert np.linalg.norm(found.params + start) == pytest.approx(norm, rel=1e-4)
        assert found.status == "diverged"
    assert np.isnan(ExpectedTD(0.99).fit(exact).params).all()


def test_a_step_that_is_too_long_is_told():
    result = ExpectedTD(0.9, step=100.0).fit(instance("R1").moments())
    assert result.status == "diverged"
    assert "the step 100.0 is too long" in result.reason
    with pytest.raises(ValueError, match="step must be"):
        ExpectedTD(0.9, step=0.0)
