"""pass@k against its definition, and its interval against what it promises."""

import math
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from sandtable.estimators.language.pass_at_k import PassAtK, pass_at_k, usual_ks


def test_it_is_the_share_of_subsets_with_a_right_one():
    for n in range(1, 7):
        for c in range(n + 1):
            for k in range(1, n + 1):
                subsets = list(combinations([1] * c + [0] * (n - c), k))
                share = float(Fraction(sum(any(one) for one in subsets), len(subsets)))
                assert pass_at_k([n], [c], k)[0] == share


def test_it_is_exact_where_binomials_overflow():
    for n, c, k in ((200, 3, 100), (1000, 10, 500), (2000, 1, 1000)):
        exact = 1 - Fraction(math.comb(n - c, k), math.comb(n, k))
        assert pass_at_k([n], [c], k)[0] == float(exact)


def test_it_is_unbiased():
    """The mean over c ~ Binomial(n, p) is 1 - (1 - p)^k (arXiv 2107.03374, appendix A); the plug-in's is less."""
    n, k, p = 10, 4, 0.3
    c = np.arange(n + 1)
    weights = stats.binom.pmf(c, n, p)
    assert weights @ pass_at_k(np.full(n + 1, n), c, k) == pytest.approx(1 - (1 - p) ** k, abs=1e-14)
    assert weights @ (1 - (1 - c / n) ** k) < 1 - (1 - p) ** k - 0.01


def test_prompts_with_fewer_completions_are_counted_and_left_out():
    result = PassAtK(5).fit([10, 4, 5], [1, 4, 0])
    assert (result.prompts, result.left_out) == (2, 1)
    assert result.estimate == (0.5 + 0.0) / 2
    none = PassAtK(11).fit([10, 4, 5], [1, 4, 0])
    assert (none.prompts, none.left_out) == (0, 3)
    assert math.isnan(none.estimate)


def test_the_standard_error_is_that_of_the_mean_over_prompts():
    generator = np.random.default_rng(0)
    c = generator.integers(0, 11, 30)
    result = PassAtK(1).fit(np.full(30, 10), c)
    assert result.estimate == pytest.approx(np.mean(c / 10))
    assert result.se == pytest.approx(stats.sem(c / 10))


def test_prompts_of_one_group_count_as_one():
    """Copies of every prompt tell nothing new: doubled prompts in groups of two have the error of the prompts alone."""
    c = np.random.default_rng(1).integers(0, 11, 20)
    alone = PassAtK(1).fit(np.full(20, 10), c)
    doubled = PassAtK(1).fit(np.full(40, 10), np.repeat(c, 2), [f"g{i // 2}" for i in range(40)])
    assert doubled.se == pytest.approx(alone.se)
    assert doubled.ci == pytest.approx(alone.ci)
    assert PassAtK(1).fit(np.full(40, 10), np.repeat(c, 2)).se < 0.8 * alone.se


def test_one_prompt_has_no_standard_error():
    result = PassAtK(1).fit([6], [3])
    assert result.estimate == 0.5
    assert math.isnan(result.se)
    assert all(map(math.isnan, result.ci))


def test_where_all_agree_the_interval_is_that_of_as_many_trials():
    low, high = PassAtK(1).fit(np.full(164, 1), np.full(164, 1)).ci
    t = stats.t.ppf(0.975, 163)
    assert low == pytest.approx(1 / (1 + t**2 / 164))  # Wilson's at p = 1
    assert high == 1
    assert PassAtK(1).fit(np.full(9, 7), np.zeros(9, int)).ci[0] == 0


@pytest.mark.parametrize(("share", "prompts"), [(0.5, 10), (0.1, 40), (0.95, 164)])
def test_intervals_hold_the_truth_as_often_as_they_say(share, prompts):
    """20 completions a prompt, ease beta(4 share, 4 (1 - share)), 2,000 times: 95%, but for four standard errors."""
    generator = np.random.default_rng(0)
    ease = generator.beta(4 * share, 4 * (1 - share), (2000, prompts))
    results = [PassAtK(1).fit(np.full(prompts, 20), generator.binomial(20, one)) for one in ease]
    covered = np.mean([one.ci[0] <= share <= one.ci[1] for one in results])
    assert covered == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 2000))
    assert all(0 <= one.ci[0] <= one.estimate <= one.ci[1] <= 1 for one in results)


def test_what_cannot_be_is_refused():
    for n, c in (([3], [4]), ([3], [-1]), ([3, 3], [1])):
        with pytest.raises(ValueError, match="n and c"):
            pass_at_k(n, c, 1)
    with pytest.raises(ValueError, match="k must"):
        PassAtK(0)
    with pytest.raises(ValueError, match="level must"):
        PassAtK(1, level=1.0)


def test_the_usual_k():
    assert usual_ks(100, 100) == [1, 2, 5, 10, 20, 50, 100]
    assert usual_ks(4, 6) == [1, 2, 4, 5]
    assert usual_ks(1, 1) == [1]
