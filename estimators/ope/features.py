"""Features for a log: its own columns, tables of states, random Fourier features, or a function of one's own.

For action values (``q``) a pair (s, a) has the features x(s) of its state in the block of its action and 0 elsewhere;
what follows is the mean over the target policy's actions. For state values (``v``) a state has x(s), what follows is
x(s'), and rows are weighted by rho = pi(a | s) / b(a | s): with the weighted sums of phi (phi - discount phi')^T and of
phi r the same estimators find the value of states under the target policy. The whole sample is weighted, not the next
features alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from sandtable.estimators.ope.moments.accumulate import next_covariance_of_blocks
from sandtable.estimators.ope.weighting.importance_weights import logged_target_probability, row_name
from sandtable.simulators.errors import InputError
from sandtable.simulators.memory import require_memory
from sandtable.simulators.ope.logged_steps import LoggedSteps
from sandtable.simulators.ope.moments import NextFeatures
from sandtable.simulators.random import fold_in, make_key, normal, uniform
from sandtable.simulators.user_function import load_function, on_one_line, source_of

ValueOf = Literal["q", "v"]
MOST_FEATURES = 2000
"""Beyond it decompositions take hours, and so would the diagnostics of every resample."""
MOST_UNSEEN = 0.01
"""Share of what follows that a table may miss before its system counts as singular."""
_FREQUENCIES, _PHASES = 0x667265, 0x706861  # streams


class Featured(NamedTuple):
    """A log with features, and what goes with them.

    Attributes:
        log: With ``features``, ``next_features`` and, where starts are known, ``initial_features``.
        ratio: rho of each row, [n], where the features are of states; None where they are of pairs.
        next_taken: Whether its next features are means under the target policy, or of what was drawn.
        next_covariance: Of enumerated next actions, [d, d]; None where they were drawn or are not known.
        warnings: What was assumed, a sentence each.
    """

    log: LoggedSteps
    next_taken: NextFeatures
    next_covariance: np.ndarray | None = None
    warnings: tuple[str, ...] = ()
    ratio: np.ndarray | None = None

    @property
    def weighted(self) -> LoggedSteps:
        """Return the log with rho in its weights: what moments are made of."""
        if self.ratio is None:
            return self.log
        return self.log.with_(weight=self.ratio if self.log.weight is None else self.log.weight * self.ratio)


@dataclass(frozen=True)
class FeatureMap:
    """How observations become features.

    Attributes:
        name: As the user gave it.
        function: A user's function of observations, [n, ..] to [n, k]; None for what is built in.
        source: What it does, as text: two maps of the same text are the same.
        count: Of random Fourier features.
        bandwidth: Of random Fourier features: how far observations, in standard deviations, are alike.
    """

    name: str
    function: Callable[[np.ndarray], Any] | None = None
    source: str = ""
    count: int = 0
    bandwidth: float = 1.0


def load_features(spec: str) -> FeatureMap:
    """Return what ``--features`` names.

    Args:
        spec: ``columns``, ``tabular``, ``rff:COUNT:BANDWIDTH``, or ``module:function``.

    Raises:
        InputError: It names nothing.
    """
    if spec in ("columns", "tabular"):
        return FeatureMap(spec, source=spec)
    if spec == "rff" or spec.startswith("rff:"):
        _, _, rest = spec.partition(":")
        count, _, bandwidth = rest.partition(":")
        try:
            found = FeatureMap(spec, source=spec, count=int(count), bandwidth=float(bandwidth))
        except ValueError:
            raise InputError(f"--features {spec}: write it as rff:COUNT:BANDWIDTH, for example rff:100:1") from None
        if found.count < 1 or not 0 < found.bandwidth < np.inf:
            raise InputError(f"--features {spec}: the count must be at least 1 and the bandwidth positive")
        return found
    function = load_function(spec, "--features")
    return FeatureMap(spec, function, source_of(function, spec))


def with_features(log: LoggedSteps, features: FeatureMap, value: ValueOf = "q", seed: int = 0) -> Featured:
    """Return the log with features.

    Args:
        log: With the target policy's probabilities, where the features need them.
        features: Which.
        value: ``q``: of pairs; ``v``: of states, with rho as weights.
        seed: Of random Fourier features.

    Raises:
        InputError: The log lacks what the features need.
    """
    ratio = None if value == "q" else _ratio(log)
    counted = np.ones(len(log), bool) if log.weight is None else log.weight > 0
    if ratio is not None:
        counted &= ratio > 0
    if not counted.any():
        raise InputError(
            f"{log.source or 'the log'}: the target policy takes none of the logged actions: for --value v nothing is "
            "left; use --value q"
        )
    if log.weight is not None and not log.independent:
        starting = log.weight[log.first]
        if not starting.any():
            raise InputError(f"{log.source or 'the log'}: the weights of all starts are 0, so no value can be told")
        log = log.with_(initial_weight=starting)
    made = _columns(log, value) if features.name == "columns" else _made(log, features, value, seed, counted)
    return made._replace(ratio=ratio)


def _ratio(log: LoggedSteps) -> np.ndarray:
    """Return rho of each row, [n]."""
    target = logged_target_probability(log)
    if log.actions == 1 and (target is None or log.behaviour_probability is None):
        return np.ones(len(log))
    if target is None or log.behaviour_probability is None:
        missing = "target_probability" if target is None else "behaviour_probability"
        remedy = "pass --target" if target is None else "pass --behaviour estimate"
        raise InputError(
            f"{log.source or 'the log'}: --value v weights rows by the policies' probabilities, and {missing} is not "
            f"known; log it, {remedy}, or use --value q"
        )
    zero = (log.behaviour_probability == 0) & (target > 0)
    if zero.any():
        raise InputError(
            f"{row_name(log, int(np.argmax(zero)))}: behaviour_probability is 0, so the weight of --value v is "
            "infinite; correct it, pass --behaviour estimate, or use --value q"
        )
    return np.divide(target, log.behaviour_probability, out=np.zeros(len(log)), where=target > 0)


def _columns(log: LoggedSteps, value: ValueOf) -> Featured:
    """Return the log with the features that it came with."""
    phi, following, name = log.features, log.next_features, log.source or "the log"
    if phi is None:
        raise InputError(
            f"{name}: --features columns needs the features in the log (feature_0 .. and next_feature_0 .., or the "
            "arrays features and next_features); name other features, for example tabular or rff:100:1"
        )
    drawn = value == "v" or log.actions == 1
    if following is None:
        if not drawn:
            raise InputError(
                f"{name}: --features columns needs next_feature_0 .. (or the array next_features) too: the mean "
                "features after the step under the target policy"
            )
        following = np.roll(phi, -1, axis=0)
        following[log.terminated] = 0.0
        if log.truncated.any():
            row = row_name(log, int(np.argmax(log.truncated)))
            raise InputError(f"{row}: truncated is 1, so what follows is needed; give next_feature_0 ..")
    made, warnings = log.with_(next_features=following), []
    if log.initial_features is None and not log.independent and not drawn:
        start, warning = _starts_of_pairs(log)
        made, warnings = made.with_(initial_features=start), [warning]
    return Featured(made, "drawn" if drawn else "mean", None, tuple(warnings))


def _starts_of_pairs(log: LoggedSteps) -> tuple[np.ndarray, str]:
    """Return features of the starts under the target policy, [E, d], where only those of logged pairs are known."""
    assert log.features is not None
    phi, target = log.features[log.first], logged_target_probability(log)
    if target is None or log.behaviour_probability is None or (log.behaviour_probability[log.first] == 0).any():
        return phi, (
            "the features at the starts are those of the logged first actions, not means under the target policy, so "
            "the value is that of taking the logged action first; give initial_features (npz) or both policies' "
            "probabilities"
        )
    ratio = target[log.first] / log.behaviour_probability[log.first]
    return ratio[:, None] * phi, (
        "the mean features at the starts are those of the logged first actions, weighted by the ratio of the policies"
    )


def _made(log: LoggedSteps, features: FeatureMap, value: ValueOf, seed: int, counted: np.ndarray) -> Featured:
    """Return the log with features of its observations; ``counted`` tells which rows have a weight, bool [n]."""
    name = log.source or "the log"
    if log.observation is None or log.next_observation is None:
        lacking = "observations" if log.observation is None else "observations after truncated rows"
        raise InputError(f"{name}: --features {features.name} needs {lacking}; log state or observation_0 .., or use "
                         "--features columns")  # fmt: skip
    if log.independent:
        raise InputError(
            f"{name}: the rows are independent draws, and their starts are known in the log's own features alone; use "
            "--features columns"
        )
    if value == "q":
        _require_target(log, features)
    if features.name == "tabular":
        return _tabular(log, value, counted)
    now, following = _of_states(log, features, seed)
    following[log.terminated] = 0.0
    blocks = log.actions if value == "q" else 1
    _require_room(log, blocks * now.shape[1], features.name)
    if value == "v":
        made = log.with_(features=now, next_features=following, initial_features=now[log.first])
        return Featured(made, "drawn")
    target, next_target = log.target_probability, log.next_target_probability
    assert target is not None
    assert next_target is not None
    made = log.with_(
        features=_blocks(now, np.eye(blocks)[log.action]),
        next_features=_blocks(following, np.where(log.terminated[:, None], 0.0, next_target)),
        initial_features=_blocks(now[log.first], target[log.first]),
    )
    covariance = next_covariance_of_blocks(following, next_target, log.weight, log.terminated)
    return Featured(made, "mean", covariance)


def _require_target(log: LoggedSteps, features: FeatureMap) -> None:
    """Refuse a log that does not tell every action's probability wherever a mean is taken over them."""
    name = log.source or "the log"
    if log.target_probability is None or log.target_probability.ndim == 1:
        raise InputError(
            f"{name}: --features {features.name} needs the target policy's probabilities of every action; log "
            "target_probability_0 .., pass --target, or use --value v with the logged action's alone"
        )
    if log.next_target_probability is None:
        raise InputError(f"{name}: --features {features.name} needs next_target_probability_0 ..; log them, or pass "
                         "--target")  # fmt: skip
    unknown = np.isnan(log.next_target_probability).any(axis=1) & ~log.terminated
    if unknown.any():
        raise InputError(
            f"{row_name(log, int(np.argmax(unknown)))}: next_target_probability_0 .. is blank, and truncated is 1: the "
            "target policy's probabilities at the next state are needed; fill them in, or pass --target"
        )


def _require_room(log: LoggedSteps, count: int, name: str) -> None:
    """Refuse features that are too many for the memory, or for matrices of their number squared to be decomposed."""
    if count > MOST_FEATURES:
        raise InputError(
            f"{log.source or 'the log'}: --features {name} makes {count:,} features, and more than {MOST_FEATURES:,} "
            "take hours; name fewer, for example rff:200:1, or use --value v, which has one block for all actions"
        )
    require_memory(
        3 * 8 * len(log) * count, f"--features {name}: {count:,} features of {len(log):,} rows",
        "use fewer features, fewer rows, or --value v",
    )  # fmt: skip


def _blocks(states: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return features of states [n, k] in a block an action, each times its action's share [n, K]: [n, K k]."""
    return (share[:, :, None] * states[:, None, :]).reshape(len(states), -1)


def _tabular(log: LoggedSteps, value: ValueOf, counted: np.ndarray) -> Featured:
    """Return the log with an indicator of each state, or pair, that the log shows in a row that counts.

    Others have no feature, and so the value 0. Where the target policy goes on to them often, they share one that no
    row shows: then the system is singular, as it should be, since the log does not tell what they are worth.
    """
    assert log.observation is not None
    assert log.next_observation is not None
    if log.observation.dtype.kind not in "iu":
        raise InputError(
            f"{log.source or 'the log'}: --features tabular needs states, whole numbers, in the column state; these "
            "are observations; use rff:100:1 or a function"
        )
    actions = log.actions if value == "q" else 1
    pair = log.observation * actions + (log.action if value == "q" else 0)
    keys = np.unique(pair[counted])
    _require_room(log, len(keys), "tabular")
    features = np.zeros((len(log), len(keys)))
    place = np.minimum(np.searchsorted(keys, pair), len(keys) - 1)
    features[np.arange(len(log)), place] = keys[place] == pair
    share = np.ones((len(log), 1)) if value == "v" else log.target_probability
    next_share = np.ones((len(log), 1)) if value == "v" else log.next_target_probability
    assert share is not None
    assert next_share is not None
    next_share = np.where(log.terminated[:, None], 0.0, next_share)
    following, unseen = _indicators(log.next_observation, next_share, keys)
    initial, unseen_start = _indicators(log.observation[log.first], share[log.first], keys)
    warnings, most = [], max(float(unseen[counted].mean()), float(unseen_start.mean()))
    if most > 0:
        what = "states" if value == "v" else "pairs of state and action"
        warnings.append(
            f"{most:.2%} of the target policy's next steps or starts are {what} that the log never shows under it: "
            + ("their value is taken as 0" if most <= MOST_UNSEEN else "what they are worth, nothing in the log tells")
        )
    if most > MOST_UNSEEN:
        features = np.column_stack([features, np.zeros(len(log))])
        following, initial = np.column_stack([following, unseen]), np.column_stack([initial, unseen_start])
    made = log.with_(features=features, next_features=following, initial_features=initial)
    if value == "v":
        return Featured(made, "drawn", None, tuple(warnings))
    weight = 1.0 if log.weight is None else log.weight[:, None]
    mass = (following * weight).sum(axis=0)  # one-hot: the outer product of an indicator is its diagonal
    return Featured(made, "mean", np.diag(mass), tuple(warnings))


def _indicators(state: np.ndarray, share: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean indicators [n, d] of pairs with shares [n, K], and the share of pairs not in ``keys``, [n]."""
    actions = share.shape[1]
    pairs = state[:, None] * actions + np.arange(actions)
    place = np.minimum(np.searchsorted(keys, pairs), len(keys) - 1)
    known = keys[place] == pairs
    found = np.zeros((len(state), len(keys)))
    rows = np.broadcast_to(np.arange(len(state))[:, None], pairs.shape)
    found[rows[known], place[known]] = share[known]
    return found, np.where(known, 0.0, share).sum(axis=1)


def _of_states(log: LoggedSteps, features: FeatureMap, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features of the observations and of what followed, [n, k] each."""
    assert log.observation is not None
    assert log.next_observation is not None
    if features.function is not None:
        return _called(features, log.observation, log), _called(features, log.next_observation, log)
    now = log.observation.reshape(len(log), -1).astype(np.float64)
    following = log.next_observation.reshape(len(log), -1).astype(np.float64)
    mean, deviation = now.mean(axis=0), now.std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    key, k = make_key(seed), now.shape[1]
    counters = np.arange(features.count * k)
    frequency = normal(fold_in(key, _FREQUENCIES), counters).reshape(k, features.count) / features.bandwidth
    phase = 2 * np.pi * uniform(fold_in(key, _PHASES), np.arange(features.count))
    now, following = (
        np.sqrt(2 / features.count) * np.cos((one - mean) / deviation @ frequency + phase) for one in (now, following)
    )
    return now, following


def _called(features: FeatureMap, observation: np.ndarray, log: LoggedSteps) -> np.ndarray:
    """Return what the user's function makes of observations, float64 [n, k]."""
    assert features.function is not None
    try:
        returned = features.function(observation.copy())
        made = np.array(returned.detach().cpu() if hasattr(returned, "detach") else returned, dtype=np.float64)
    except Exception as error:
        raise InputError(f"--features {features.name}: it raised {on_one_line(error)}") from error
    n = len(observation)
    if made.ndim != 2 or len(made) != n or not made.shape[1]:
        raise InputError(
            f"--features {features.name}: it returned shape {list(made.shape)} for {n} observations; return numbers of "
            f"shape [{n}, features]"
        )
    finite = np.isfinite(made).all(axis=1)
    if not finite.all():
        row = row_name(log, int(np.argmin(finite)))
        raise InputError(f"--features {features.name}, {row}: it returned a number that is not finite")
    return made
