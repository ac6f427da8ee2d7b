"""Results read like those of statsmodels, and intervals of what follows from the parameters agree with theirs."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sandtable.estimators.scaling.law_result import LawResult, WaldInterval, gradient_of
from sandtable.estimators.scaling.log_line import LinesOptimum
from sandtable.simulators.scaling.runs import Finding


def result(**changes):
    params = pd.Series({"N_exponent": 0.5, "N_coefficient": 2.0})
    cov = np.array([[0.01, 0.0], [0.0, 0.04]])
    settings = {
        "law": "approach2",
        "params": params,
        "cov": cov,
        "objective": "ls-log",
        "objective_sum": 0.25,
        "fitted": np.zeros(4),
        "residuals": np.full(4, 0.25),
        "rows": np.arange(2, 6),
        "interval": WaldInterval(params.to_numpy(), cov, 2, (False, True)),
        "optimum_function": LinesOptimum(("parameters",)),
    }
    return LawResult(**settings | changes)


def test_parameters_errors_and_intervals_go_by_name():
    law = result()
    assert law.names == ("N_exponent", "N_coefficient")
    assert law.bse["N_coefficient"] == pytest.approx(0.2)
    quantile = stats.t.ppf(0.975, 2)
    assert law.conf_int().loc["N_exponent"].tolist() == pytest.approx([0.5 - 0.1 * quantile, 0.5 + 0.1 * quantile])
    factor = np.exp(0.1 * stats.t.ppf(0.95, 2))
    assert law.conf_int(alpha=0.1).loc["N_coefficient"].tolist() == pytest.approx([2 / factor, 2 * factor])


def test_an_optimum_s_interval_is_the_delta_method_in_logs():
    law = result()
    ends = law.optimum_interval([1e4])["parameters"][0]
    half = stats.t.ppf(0.975, 2) * np.sqrt((np.log(1e4) * 0.1) ** 2 + 0.1**2)
    assert ends.tolist() == pytest.approx([200 / np.exp(half), 200 * np.exp(half)])


def test_without_an_interval_the_ends_are_not_known():
    law = result(interval=None)
    assert law.conf_int().isna().all(axis=None)
    assert np.isnan(law.optimum_interval(1e4)["parameters"]).all()
    assert law.with_interval(result().interval).conf_int().notna().all(axis=None)


def test_the_summary_says_what_was_found():
    law = result(warnings=(Finding("few_budgets", "two budgets"),), statistics={"durbin_watson": 1.5}, converged=False)
    text = law.summary()
    for words in ("approach2: 4 observations", "NOT converged", "N_exponent", "durbin_watson: 1.5", "few_budgets: two"):
        assert words in text


def test_what_a_law_does_not_know_is_refused():
    with pytest.raises(ValueError, match="predicts no response"):
        result().predict(1.0)
    with pytest.raises(ValueError, match="knows no compute-optimal size"):
        result(optimum_function=None).optimum(1.0)
    with pytest.raises(ValueError, match="alpha must lie strictly between"):
        result().conf_int(alpha=1)


def test_gradients_are_those_of_the_function():
    def function(params):
        return np.array([params[0] ** 2 * params[1], np.exp(params[1])])

    gradient = gradient_of(function, np.array([3.0, 1e-3]))
    assert gradient == pytest.approx(np.array([[6e-3, 9.0], [0.0, np.exp(1e-3)]]), rel=1e-8)
