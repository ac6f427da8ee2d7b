"""The verdict: what a log can tell, in words, and how sure that is.

Which regime the moments of a log are in is an estimate too. Episodes are resampled, and the spectral radius (below 1
FQI converges) and the smallest singular value (above 0 LSTD is consistent) are worked out for each resample; where an
interval holds its threshold, the verdict is "undetermined". Intervals are percentiles: basic intervals reflect the long
upper tail of the radius to the wrong side (``docs/regimes.md`` has the coverage that was measured). The smallest
singular value carries the sign of ``det(I - A)`` relative to the log's own: a resample on the other side of a singular
system counts as negative, without which no interval would ever hold 0.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from sandtable.estimators.ope.linear.intervals import bootstrap_moments
from sandtable.estimators.ope.linear.linearity import LinearityCheck, check_linearity
from sandtable.estimators.ope.moments.accumulate import moments_of_log
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.diagnostics import TOLERANCE, Diagnostics, diagnose
from sandtable.simulators.ope.logged_steps import LoggedSteps
from sandtable.simulators.ope.moments import Moments, NextFeatures
from sandtable.simulators.ope.whitening import OUTSIDE, unseen_variance, whitening

FEWEST = 10
"""Episodes below which resamples of them say nothing: all is then undetermined."""
FQI = Literal["converges", "diverges", "undetermined"]
LSTD = Literal["consistent", "inconsistent", "undetermined"]


@dataclass(frozen=True)
class Verdict:
    """What a log can tell.

    Attributes:
        diagnostics: Of the log's moments with the ridge; but where they are singular without it, so is the regime, and
            where they leave the value at the starts open without it, the coverage is infinite.
        fqi: Whether FQI converges, whatever the reward.
        lstd: Whether LSTD is consistent, and with it any estimator that sees these moments alone.
        spectral_radius_ci: Ends of the interval of the spectral radius; NaN with fewer than 10 episodes.
        smallest_singular_value_ci: Ends of that of the smallest singular value of I - A, >= 0.
        regime_certain: No interval holds its threshold, or all resamples are singular.
        alpha: One minus the confidence of the intervals.
        episodes: How many were resampled.
        ridge: That of the diagnostics.
        linearity: The check of the assumption; None where it could not be made.
        linearity_reason: Why not.
    """

    diagnostics: Diagnostics
    fqi: FQI
    lstd: LSTD
    spectral_radius_ci: tuple[float, float]
    smallest_singular_value_ci: tuple[float, float]
    regime_certain: bool
    alpha: float
    episodes: int
    ridge: float = 0.0
    linearity: LinearityCheck | None = None
    linearity_reason: str = field(default="", repr=False)

    @property
    def sentence(self) -> str:
        """Return the verdict in one sentence: FQI, then LSTD."""
        if self.lstd == "inconsistent":
            hidden = self.diagnostics.conditions["invertible"] == 1
            how = "but for the ridge" if hidden else f"(smallest singular value {self._smallest()})"
            return "No estimator that sees these moments alone is consistent, not even with infinite data: " + (
                f"the system is singular {how}."
            )
        return f"{self._of_fqi()}; {self._of_lstd()}."

    @property
    def starts_left(self) -> bool:
        """Say whether the log leaves the value at the starts open, as their features leave what its rows span."""
        return self.diagnostics.coverage is not None and bool(np.isinf(self.diagnostics.coverage))

    @property
    def assumption(self) -> str:
        """Return what is assumed, and what the log says of it."""
        assumed = "All of this is said assuming that the value is linear in these features."
        if self.linearity is None:
            return f"{assumed} That was not checked ({self.linearity_reason})."
        return f"{assumed} {self.linearity.sentence(self.alpha)}"

    @property
    def sentences(self) -> tuple[str, str, str]:
        """Return the verdict, the regime and the assumption, a sentence or two each."""
        why = "a threshold lies within its sampling error" if self.episodes >= FEWEST else "it is of too few episodes"
        certain = "" if self.regime_certain else f", but {why}"
        regime = self.diagnostics.regime
        of = "The" if not self.ridge else "Without the ridge the" if regime == "singular" else "With the ridge the"
        return self.sentence, f"{of} moments are in the regime “{regime}”{certain}.", self.assumption

    def summary(self) -> str:
        """Return all that is to be said, as text."""
        return "\n".join(self.sentences)

    def _of_fqi(self) -> str:
        told = self.diagnostics
        radius = f"spectral radius {_interval(told.spectral_radius, self.spectral_radius_ci)}"
        if self.fqi == "diverges":
            return f"FQI diverges here for almost every reward ({radius})"
        if self.fqi == "undetermined":
            return f"Whether FQI converges here is undetermined ({radius})"
        return f"FQI converges here ({radius}; {told.iterations:,} iterations to a millionth of the first error)"

    def _of_lstd(self) -> str:
        if self.lstd == "consistent" and self.starts_left:
            return (
                "LSTD is consistent in the span of the log's features, but those of the starts leave it: the value at "
                "these starts is not determined by the log"
            )
        if self.lstd == "consistent":
            return "LSTD is consistent"
        return f"whether LSTD is consistent is undetermined (smallest singular value {self._smallest()})"

    def _smallest(self) -> str:
        return _interval(self.diagnostics.smallest_singular_value, self.smallest_singular_value_ci)


def verdict(
    log: LoggedSteps,
    discount: float,
    *,
    ridge: float = 0.0,
    alpha: float = 0.05,
    replicates: int = 200,
    seed: int = 0,
    next_taken: NextFeatures = "mean",
    next_covariance: np.ndarray | None = None,
    extra_features: np.ndarray | None = None,
    resampled: Moments | None = None,
) -> Verdict:
    """Return what a log with features can tell.

    Args:
        log: With features.
        discount: In [0, 1].
        ridge: Added to the diagonal of the mean covariance, as the estimators do; it can change the verdict on FQI
            either way. It adds no information: what is singular without it is not consistent with it.
        alpha: One minus the confidence, in (0, 1).
        replicates: Resamples of the episodes, >= 2.
        seed: Of the resampling, and of the check.
        next_taken: As of ``moments_of_log``; so is ``next_covariance``.
        next_covariance: See there.
        extra_features: For the check of linearity, [n, k]; None: squares of the log's own.
        resampled: What ``bootstrap_moments`` gave for this log, to spare the work; None: it is done here.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie strictly between 0 and 1, not {alpha}")
    moments = moments_of_log(log, next_taken=next_taken, next_covariance=next_covariance)
    told = diagnose(_with_ridge(moments, ridge), discount)
    if resampled is None:
        resampled = bootstrap_moments(log, replicates, seed, next_taken)
    weight = np.broadcast_to(np.asarray(resampled.weight), resampled.covariance.shape[:-2])
    resampled = replace(resampled, weight=np.where(weight > 0, weight, 1.0))
    radii, signed = spectra(_with_ridge(resampled, ridge), discount)
    _, own = spectra(_with_ridge(moments, ridge), discount)
    signed = signed * (np.sign(own) or 1.0)
    ends = [alpha / 2, 1 - alpha / 2]
    low, high = (float(end) for end in np.quantile(radii, ends))
    least, most = (float(end) for end in np.quantile(signed, ends))
    if log.episodes < FEWEST:
        low = high = least = most = float("nan")  # no comparison with these holds
    fqi: FQI = "diverges" if low > 1 + TOLERANCE else "converges" if high < 1 - TOLERANCE else "undetermined"
    if told.conditions["invertible"] == -1 and max(abs(least), abs(most)) <= TOLERANCE:
        lstd: LSTD = "inconsistent"
    else:
        lstd = "consistent" if told.conditions["invertible"] == 1 and least > TOLERANCE else "undetermined"
    if ridge:
        bare = diagnose(moments, discount)
        if bare.conditions["invertible"] == -1:
            smallest = np.quantile(np.abs(spectra(resampled.mean(), discount)[1]), ends[1])
            lstd = "inconsistent" if log.episodes >= FEWEST and smallest <= TOLERANCE else "undetermined"
            told = replace(told, regime="singular")
        if bare.coverage is not None and np.isinf(bare.coverage):
            told = replace(told, coverage=bare.coverage)
    if told.conditions["stable"] != {"diverges": -1, "converges": 1}.get(fqi):
        fqi = "undetermined"
    check, reason = None, ""
    try:
        check = check_linearity(log, discount, extra_features=extra_features, seed=seed)
    except InputError as error:
        reason = str(error)
    return Verdict(
        diagnostics=told,
        fqi=fqi,
        lstd=lstd,
        spectral_radius_ci=(low, high),
        smallest_singular_value_ci=(float(np.maximum(least, 0.0)), float(np.maximum(most, 0.0))),
        regime_certain=lstd == "inconsistent" or "undetermined" not in (fqi, lstd),
        alpha=alpha,
        episodes=log.episodes,
        ridge=ridge,
        linearity=check,
        linearity_reason=reason,
    )


def spectra(moments: Moments, discount: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the spectral radius of A, and the smallest singular value of I - A times the sign of det(I - A).

    Args:
        moments: With any batch shape.
        discount: In [0, 1].

    Returns:
        Two arrays [*batch]; 0 for the second where next features leave what the data show.
    """
    mean, d = moments.mean(), moments.features
    cross = discount * mean.cross_covariance
    basis = whitening(mean.covariance, unseen_variance(mean.covariance, cross))
    matrix = basis.matrix @ cross @ np.swapaxes(basis.matrix, -1, -2)
    radius = np.abs(np.linalg.eigvals(matrix)).max(-1)
    # rows beyond the rank are 0; on the diagonal of I - A they get what is no smallest singular value
    beyond = np.arange(d) >= basis.rank[..., None]
    norm = np.linalg.norm(matrix, axis=(-2, -1))
    system = np.eye(d) - matrix + np.eye(d) * np.where(beyond, 1.0 + norm[..., None], 0.0)[..., None]
    smallest = np.linalg.svd(system, compute_uv=False)[..., -1] * np.linalg.slogdet(system)[0]
    leaving = np.abs(basis.matrix @ cross @ np.swapaxes(basis.hidden, -1, -2)).max((-2, -1)) > OUTSIDE
    return radius, np.where(leaving | (basis.rank == 0), 0.0, smallest)


def _with_ridge(moments: Moments, ridge: float) -> Moments:
    """Return mean moments with the ridge in the covariance."""
    if not 0 <= ridge < np.inf:
        raise ValueError(f"ridge must be finite and at least 0, not {ridge}")
    mean = moments.mean()
    return replace(mean, covariance=mean.covariance + ridge * np.eye(moments.features))


def _interval(value: float, ends: tuple[float, float]) -> str:
    return f"{value:.3g}" + (f" [{ends[0]:.3g}, {ends[1]:.3g}]" if ends[0] == ends[0] else ", of too few episodes")
