"""Percentile intervals of any law: the whole procedure is run again on resampled runs.

For Approach 2 that means new parabolas and vertices, for Approach 1 a new envelope: what least squares on the vertices
takes for given is drawn anew. Approach 3 has a faster way of its own (``bootstrap``).
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from sandtable.estimators.scaling.bootstrap import FEW_CLUSTERS, BootstrapInterval, cluster_index
from sandtable.estimators.scaling.law_result import LawResult
from sandtable.simulators import random
from sandtable.simulators.scaling.runs import Finding, Runs


def with_percentiles(
    fit: Callable[[Runs], LawResult],
    runs: Runs,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    clusters: Any = None,
    strata: Any = None,
) -> LawResult:
    """Return the law of the runs, with percentile intervals from refits.

    Args:
        fit: The procedure, for example ``IsoFlop().fit``.
        runs: What it is fitted to.
        level: In (0, 1).
        resamples: Refits, > 0.
        seed: Of the resampling.
        clusters: What is resampled whole: a label for each row, [n] (the runs of curves, seeds); rows one by one by
            default.
        strata: Within what is resampled: a label for each row, [n] (budgets); all rows together by default. A cluster
            belongs to the stratum of its first row.

    Returns:
        The law. A refit that raises, or whose parameters are not finite, has failed; above 5 % of such the ends are
        NaN.
    """
    if not (0 < level < 1 and resamples > 0):
        raise ValueError(f"level must lie in (0, 1) and resamples be positive, not {level} and {resamples}")
    result, refits = fit(runs), []
    for rows in resampled_rows(len(runs), resamples, seed, clusters, strata):
        try:
            params = fit(runs.select(rows)).params.reindex(result.params.index).to_numpy(float)
        except ValueError:  # too few sizes or budgets were drawn
            continue
        if np.isfinite(params).all():
            refits.append(params)
    interval = BootstrapInterval(
        method="percentile",
        level=level,
        resamples=resamples,
        failed=resamples - len(refits),
        estimate=result.params.to_numpy(float),
        refits=np.reshape(refits, (-1, len(result.params))),
        jackknife=np.empty((0, len(result.params))),
    )
    count = int(cluster_index(clusters, len(runs)).max()) + 1
    warnings = result.warnings
    if count < FEW_CLUSTERS:
        message = f"{count} clusters are resampled; with fewer than {FEW_CLUSTERS} the intervals are too narrow"
        warnings = (*warnings, Finding("few_budgets", message))
    return replace(result, interval=interval, warnings=warnings)


def resampled_rows(count: int, resamples: int, seed: int, clusters: Any, strata: Any) -> Iterator[np.ndarray]:
    """Yield the rows of each resample, int64; a cluster's rows stay together and in their order."""
    index = cluster_index(clusters, count)
    members = [np.flatnonzero(index == one) for one in range(int(index.max()) + 1)]
    labels = cluster_index(np.zeros(count, np.int64) if strata is None else strata, count)
    stratum = labels[[rows[0] for rows in members]]
    groups = [np.flatnonzero(stratum == one) for one in np.unique(stratum)]
    sizes = np.concatenate([np.full(len(group), len(group)) for group in groups])
    starts = np.concatenate([np.full(len(group), start) for group, start in zip(groups, _starts(groups), strict=True)])
    ordered = np.concatenate(groups)
    for resample in range(resamples):
        key = random.fold_in(random.make_key(seed), resample)
        uniforms = random.uniform(key, np.arange(len(ordered)))
        drawn = ordered[starts + np.floor(uniforms * sizes).astype(np.int64)]
        yield np.concatenate([members[one] for one in drawn])


def _starts(groups: list[np.ndarray]) -> np.ndarray:
    """Return where each group begins in their concatenation."""
    return np.concatenate([[0], np.cumsum([len(group) for group in groups])[:-1]])
