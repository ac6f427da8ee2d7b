"""A log made ready for evaluation: the target policy's probabilities, the behaviour policy's, features and moments."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from sandtable.agents.ope.target_policy import TargetPolicy, load_target, with_target
from sandtable.analysis.ope.settings import EvaluateSettings
from sandtable.estimators.ope.features import Featured, FeatureMap, load_features, with_features
from sandtable.estimators.ope.moments.accumulate import moments_of_log
from sandtable.estimators.ope.weighting.behaviour_policy import BehaviourPolicy
from sandtable.estimators.ope.weighting.importance_weights import why_unweighted
from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.logged_steps import LoggedSteps
from sandtable.simulators.ope.moments import Moments


@dataclass(frozen=True)
class Prepared:
    """What all estimators work on.

    Attributes:
        log: The log with both policies' probabilities, where they are known, and with features.
        featured: The same with what goes with the features.
        moments: Of the rows, weighted as the kind of value needs it; None where the log serves weighting alone.
        features: What the features are called; empty where there are none.
        initial: Whether the features at the starts were given or come from the log's first steps.
        warnings: What was assumed on the way, a sentence each.
        reason: Why there are no moments; empty where there are.
    """

    log: LoggedSteps
    featured: Featured
    moments: Moments | None
    features: str
    initial: Literal["log", "given"]
    warnings: tuple[str, ...]
    reason: str = ""

    @property
    def features_count(self) -> int:
        """Return how many features there are; 0 where there are no moments."""
        return 0 if self.moments is None else self.moments.features

    @property
    def known_moments(self) -> Moments:
        """Return the moments.

        Raises:
            ValueError: There are none.
        """
        if self.moments is None:
            raise ValueError(f"moments: {self.reason}")
        return self.moments


def check_settings(settings: EvaluateSettings) -> None:
    """Refuse settings that are out of range.

    Raises:
        InputError: With the option and what it may be.
    """
    for option, value, allowed, good in (
        ("--discount", settings.discount, "in [0, 1]", 0 <= settings.discount <= 1),
        ("--ridge", settings.ridge, "finite and at least 0", 0 <= settings.ridge < np.inf),
        ("--iterations", settings.iterations, "at least 1", settings.iterations is None or settings.iterations >= 1),
        ("--alpha", settings.alpha, "in (0, 1)", 0 < settings.alpha < 1),
        ("--bootstrap", settings.bootstrap, "at least 20", settings.bootstrap >= 20),
        ("--fqe-steps", settings.fqe_steps, "0 or at least 100", settings.fqe_steps == 0 or settings.fqe_steps >= 100),
        ("--seed", settings.seed, "0 or more", settings.seed >= 0),
        ("--value", settings.value, "q or v", settings.value in ("q", "v")),
        ("--behaviour", settings.behaviour, "logged or estimate", settings.behaviour in ("logged", "estimate")),
    ):
        if not good:
            raise InputError(f"{option}: {value} is not {allowed}")


def feature_map(log: LoggedSteps, settings: EvaluateSettings) -> FeatureMap:
    """Return the features that were asked for, or those that the log suggests.

    Raises:
        InputError: None were asked for, and the log suggests none.
    """
    if settings.features is not None:
        return load_features(settings.features)
    if log.features is not None:
        return load_features("columns")
    if log.observation is not None and log.observation.dtype.kind in "iu":
        return load_features("tabular")
    held = "observations that are no states" if log.observation is not None else "neither features nor observations"
    raise InputError(
        f"{log.source or 'the log'}: it holds {held}; say what the value is linear in, for example with --features "
        "rff:100:1" + ("" if log.observation is not None else ", and log what that needs")
    )


def prepare(log: LoggedSteps, settings: EvaluateSettings, target: TargetPolicy | None = None) -> Prepared:
    """Return a log made ready.

    Args:
        log: As its reader returned it.
        settings: What the user decided.
        target: The policy that ``settings.target`` names, where it was loaded before.

    Raises:
        InputError: A setting is out of range, or the log does not serve any estimator as they ask.
    """
    check_settings(settings)
    log = with_target(log, load_target(settings.target, trust=settings.trust) if target is None else target)
    told = list(log.warnings)
    log, warnings = _of_one_action(log)
    told += warnings
    if settings.behaviour == "estimate":
        log, warning = _with_behaviour(log, settings)
        told.append(warning)
    if reason := why_weighting_alone(log, settings):
        return Prepared(log, Featured(log, "drawn"), None, "", "log", tuple(told), reason)
    chosen = feature_map(log, settings)
    log, warnings = _without_unknown(log, chosen)
    told += warnings
    given = chosen.name == "columns" and log.initial_features is not None
    featured = with_features(log, chosen, settings.value, settings.seed)
    told += featured.warnings
    moments = moments_of_log(
        featured.weighted, next_taken=featured.next_taken, next_covariance=featured.next_covariance
    )
    if moments.next_covariance is not None and moments.next_reward_moment is None:
        moments = replace(moments, next_reward_moment=_next_reward_moment(featured.weighted))
    if not moments.covariance.any():
        raise InputError(f"{log.source or 'the log'}: all features are 0; name others")
    return Prepared(featured.log, featured, moments, chosen.name, "given" if given else "log", tuple(told))


def why_weighting_alone(log: LoggedSteps, settings: EvaluateSettings) -> str:
    """Return why no value is fitted to a log that weighting serves, in one sentence; empty where one is.

    What neither serves is left to the features, which say what they lack.

    Args:
        log: With the policies' probabilities, where they are known.
        settings: What the user decided.

    Raises:
        InputError: A probability is none, or the target's do not sum to 1.
    """
    own = settings.features == "columns" or (settings.features is None and log.features is not None)
    if settings.features is None and log.features is None and log.observation is None:
        reason = "the log holds neither states nor features, and a value is fitted to them"
    elif settings.value == "v":
        return ""
    elif own:
        if settings.features is not None or log.next_features is not None or log.actions == 1:
            return ""
        reason = (
            "the log holds no next_feature_0 .., the mean features after the step under the target policy, and values "
            "of pairs need them; log them, or use --value v"
        )
    elif log.target_probability is not None and log.target_probability.ndim == 1:
        reason = (
            "the target policy's probability is known of the logged actions alone, and values of pairs need that of "
            "every action; use --value v, log target_probability_0 .., or pass --target"
        )
    else:
        return ""
    return "" if why_unweighted(log) else reason


def _of_one_action(log: LoggedSteps) -> tuple[LoggedSteps, list[str]]:
    """Return a log of one action with its probabilities, which can only be 1, and what is to be known of that."""
    if log.actions > 1:
        return log, []
    ones, known = np.ones(len(log)), log.target_probability is not None
    after = np.where(log.terminated, 0.0, 1.0)[:, None]
    target = log.target_probability if known else ones[:, None]
    behaviour = ones if log.behaviour_probability is None else log.behaviour_probability
    filled = log.with_(
        target_probability=target, behaviour_probability=behaviour, next_target_probability=after
    )
    told = "the log shows one action and no probabilities: both policies are taken to have no other"
    return filled, [] if known else [told]


def _without_unknown(log: LoggedSteps, features: FeatureMap) -> tuple[LoggedSteps, list[str]]:
    """Return the log without next probabilities that are not known everywhere, where the features do not need them."""
    following = log.next_target_probability
    if following is None or features.name != "columns":
        return log, []
    unknown = np.isnan(following).any(axis=1) & ~log.terminated
    if not unknown.any():
        return log, []
    told = (
        f"next_target_probability is not known after {int(unknown.sum())} truncated rows, so what needs it does not run"
    )
    return log.with_(next_target_probability=None), [told]


def _with_behaviour(log: LoggedSteps, settings: EvaluateSettings) -> tuple[LoggedSteps, str]:
    """Return the log with the behaviour policy's probabilities as they are estimated from it."""
    estimate = BehaviourPolicy(seed=settings.seed).fit(log)
    return log.with_(behaviour_probability=estimate.probability), estimate.summary()


def _next_reward_moment(log: LoggedSteps) -> np.ndarray:
    """Return the sum of phi' r, [d]: of enumerated next actions it is that of their mean."""
    assert log.next_features is not None
    weight = log.reward * ~log.terminated
    return np.asarray((weight if log.weight is None else weight * log.weight) @ log.next_features)
