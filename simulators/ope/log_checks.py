"""What a log must be, whatever file it came from: one place that checks it, fills in what follows from it, or refuses.

Episodes are whole and in order, each ends with a mark, and every number means what its name says. What can be filled in
one way only is filled in (the next observation is that of the row that follows) or mended with a warning; everything
else is refused with the row, the column and what to do.
"""

from typing import Literal

import numpy as np

from sandtable.simulators.errors import InputError
from sandtable.simulators.ope.log_rows import LogRows
from sandtable.simulators.ope.logged_steps import LoggedSteps

Unfinished = Literal["truncated", "terminated"]

SUM_TOLERANCE = 1e-5
"""How far from 1 the probabilities of a row may sum: what five decimal places leave."""


def checked(log: LogRows, unfinished: Unfinished | None = None) -> LoggedSteps:
    """Return the log, after making sure that it is one.

    Args:
        log: What the file holds.
        unfinished: What the end of an episode without a mark is taken for; None refuses it.

    Raises:
        InputError: The log cannot be used; the message names the row and the column and says what to do.
    """
    if not len(log):
        raise InputError(f"{log.file}: the log has no rows")
    episode = _episodes(log)
    first = np.flatnonzero(np.diff(episode, prepend=-1))
    _check_steps(log, episode, first)
    follows = np.append(np.diff(episode) == 0, False)
    _check_probabilities(log)
    _check_observations(log)
    _follow(log, "next_observation", "observation", follows)
    _follow(log, "next_target_probability", "target_probability", follows)
    terminated, truncated = _ends(log, episode, follows, unfinished)
    if unfinished == "truncated":
        kept = _without_open_ends(log, episode, terminated, truncated)
        episode, terminated, truncated = episode[kept], terminated[kept], truncated[kept]
        log.take(kept)
        episode = np.cumsum(np.diff(episode, prepend=episode[:1]) != 0) if len(episode) else episode
        if not len(log):
            raise InputError(f"{log.file}: no episode has two rows, so none can be cut short; log the next state")
    return _steps(log, episode.astype(np.int64), terminated, truncated)


def _episodes(log: LogRows) -> np.ndarray:
    """Return the number of each row's episode, int64 [n], 0, 1, ... in the order of the file."""
    names = log.fields["episode"]
    if names.dtype.kind == "f":
        log.refuse(~np.isfinite(names), "episode", "names no episode; every row needs one")
    else:
        log.refuse(names == "", "episode", "names no episode; every row needs one")
    starts = np.append(True, names[1:] != names[:-1])
    _, codes = np.unique(names[starts], return_inverse=True)
    again = np.ones(len(codes), bool)
    again[np.unique(codes, return_index=True)[1]] = False
    wrong = np.zeros(len(log), bool)
    wrong[np.flatnonzero(starts)[again]] = True
    log.refuse(wrong, "episode", "occurs again after another episode; put the rows of an episode together")
    return np.cumsum(starts) - 1


def _check_steps(log: LogRows, episode: np.ndarray, first: np.ndarray) -> None:
    """Refuse steps that are missing or out of order; those that count from 1 are counted from 0."""
    step = log.whole("step", "number of a step")
    if len(first) and (step[first] == 1).all():
        log.warnings.append("steps are counted from 1 in the file")
        step = step - 1
    expected = np.arange(len(log)) - first[episode]
    wrong = step != expected
    if wrong.any():
        row = int(np.argmax(wrong))
        log.refuse(
            wrong, "step",
            f"where step {log.text(log.fields['step'][row] - step[row] + expected[row])} of episode "
            f"{log.text(log.fields['episode'][row])} is due: a step is missing, there twice, or out of order; "
            "put the rows of an episode in the order of its steps, without gaps",
        )  # fmt: skip


def _ends(
    log: LogRows, episode: np.ndarray, follows: np.ndarray, unfinished: Unfinished | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the marks of the ends, bool [n] each: one of both at the last row of every episode, none elsewhere."""
    terminated, truncated = log.flag("terminated"), log.flag("truncated")
    log.refuse(terminated & truncated, "truncated", "and terminated is 1 too; keep the one that is true")
    for name, mark in (("terminated", terminated), ("truncated", truncated)):
        log.refuse(mark & follows, name, "and the next row goes on with the same episode; give it another name")
    open_end = ~follows & ~terminated & ~truncated
    if open_end.any() and unfinished is None:
        row = int(np.argmax(open_end))
        raise InputError(
            f"{log.place(row)}: episode {log.text(log.fields['episode'][row])} ends here, and neither terminated nor "
            f"truncated is 1 ({int(open_end.sum())} of {episode[-1] + 1} episodes); mark the end, or pass --unfinished "
            "truncated (the log stopped) or --unfinished terminated (the world ended)"
        )
    if unfinished == "terminated":
        terminated = terminated | open_end
    elif unfinished == "truncated":
        truncated = truncated | open_end
    if open_end.any():
        log.warnings.append(f"{int(open_end.sum())} episodes without a mark at their end were taken for {unfinished}")
    return terminated, truncated


def _without_open_ends(
    log: LogRows, episode: np.ndarray, terminated: np.ndarray, truncated: np.ndarray
) -> np.ndarray:  # fmt: skip
    """Return which rows to keep: a last row whose next observation nobody knows serves as that of the row before.

    The row before is marked as truncated, in place.
    """
    known = _known(log, "next_observation") | _known(log, "next_features")
    if log.get("observation") is None and log.get("next_features") is None:
        return np.ones(len(log), bool)
    unmarked = truncated & ~log.flag("truncated")
    dropped = unmarked & ~known
    before = np.append(dropped[1:] & (np.diff(episode) == 0), False)
    truncated |= before
    if dropped.any():
        log.warnings.append(
            f"the last row of {int(dropped.sum())} unfinished episodes was left out: what followed it is not known"
        )
    return ~dropped


def _known(log: LogRows, name: str) -> np.ndarray:
    """Return where a field is not blank, bool [n]."""
    values = log.get(name)
    if values is None:
        return np.zeros(len(log), bool)
    return ~np.isnan(values.reshape(len(values), -1)).any(axis=1)


def _follow(log: LogRows, name: str, source: str, follows: np.ndarray) -> None:
    """Fill a field's blanks with another's values in the row that follows; what differs from them is told."""
    values, following = log.get(name), log.get(source)
    if following is None or (source == "target_probability" and following.ndim == 1):
        return
    shifted = np.roll(following, -1, axis=0)
    shifted[~follows] = np.nan
    if values is None:
        log.fields[name] = shifted
        if source in log.columns:
            log.columns[name] = [f"next_{column}" for column in log.columns[source]]
        return
    if values.shape != following.shape:
        raise InputError(
            f"{log.file}: {name} has shape {list(values.shape[1:])} a row, and {source} {list(following.shape[1:])}"
        )
    blank = ~_known(log, name)
    differs = follows & ~blank & (np.abs(values - shifted) > 1e-6).reshape(len(values), -1).any(axis=1)
    if differs.any():
        log.warnings.append(
            f"{name} differs from {source} in the row that follows in {int(differs.sum())} rows (first: row "
            f"{log.rows[np.argmax(differs)]}); {name} was used"
        )
    values[blank] = shifted[blank]


def _check_probabilities(log: LogRows) -> None:
    """Refuse what are no probabilities."""
    behaviour = log.get("behaviour_probability")
    if behaviour is not None:
        log.refuse(np.isnan(behaviour), "behaviour_probability", "is blank; fill it in for every row, or for none")
        log.refuse(~((behaviour >= 0) & (behaviour <= 1)), "behaviour_probability", "is no probability, in [0, 1]")
        zero = behaviour == 0
        if zero.any():
            log.warnings.append(
                f"behaviour_probability is 0 in {int(zero.sum())} rows (first: row {log.rows[np.argmax(zero)]}), and "
                "yet their actions were taken; estimators that divide by it do not run"
            )
    for name in ("target_probability", "next_target_probability"):
        values = log.get(name)
        if values is None:
            continue
        blank = np.isnan(values)
        if name == "target_probability":
            log.refuse(blank, name, "is blank; fill it in for every row, or for none")
        else:
            log.refuse(blank & ~blank.all(axis=-1, keepdims=True), name, "is blank, and other actions' are not")
        log.refuse(~blank & ~((values >= 0) & (values <= 1)), name, "is no probability, in [0, 1]")
        if values.ndim == 2:
            total = values.sum(axis=1)
            wrong = np.abs(total - 1) > SUM_TOLERANCE
            if name != "target_probability":  # after a termination they are without meaning
                ended = log.get("terminated")
                wrong &= ended != 1 if ended is not None else True
            if wrong.any():
                row = int(np.argmax(wrong))
                raise InputError(
                    f"{log.place(row)}, {log.noun}s {log.column(name)} ..: the target policy's probabilities sum to "
                    f"{total[row]:.6g}, not to 1; correct them, or write more digits"
                )
            log.fields[name] = values / np.where(total > 0, total, 1.0)[:, None]  # what rounding left


def _check_observations(log: LogRows) -> None:
    """Refuse observations that are blank or infinite, and states that are no whole numbers."""
    for name in ("observation", "next_observation"):
        values = log.get(name)
        if values is None:
            continue
        blank = np.isnan(values)
        if name == "observation":
            log.refuse(blank, name, "is blank; every row needs it")
        else:
            rows = blank.reshape(len(values), -1)
            log.refuse(rows.any(axis=1) & ~rows.all(axis=1), name, "is blank in part")
        log.refuse(np.isinf(values), name, "is infinite")
        if log.discrete:
            log.refuse(~blank & ((values < 0) | (values != np.floor(values))), name, "is no state: 0, 1, 2, ...")


def _steps(log: LogRows, episode: np.ndarray, terminated: np.ndarray, truncated: np.ndarray) -> LoggedSteps:
    """Check the fields that remain, and return them all."""
    reward = log.fields["reward"]
    log.refuse(~np.isfinite(reward), "reward", "is no finite number; correct it, or leave the episode out")
    action = log.whole("action", "number of an action")
    target = log.get("target_probability")
    actions = target.shape[1] if target is not None and target.ndim == 2 else log.actions
    if actions is not None:
        log.refuse(
            action >= actions, "action", f"is outside the table of {actions} actions, 0 to {actions - 1}; correct it"
        )
    next_target = log.get("next_target_probability")
    if next_target is not None:
        next_target[terminated] = 0.0
    weight = log.get("weight")
    if weight is not None:
        log.refuse(~((weight >= 0) & np.isfinite(weight)), "weight", "is no weight, 0 or more and finite")
        if not weight.any():
            raise InputError(f"{log.file}, {log.noun} weight: all weights are 0; leave the {log.noun} out")
    features, next_features = _features(log, terminated)
    first = np.flatnonzero(np.diff(episode, prepend=-1))
    initial = log.get("initial_features")
    single = len(first) == len(log) and bool(truncated.any())
    return LoggedSteps(
        actions=int(actions if actions is not None else action.max() + 1),
        episode=episode,
        step=(np.arange(len(log)) - first[episode]).astype(np.int64),
        action=action,
        reward=reward,
        terminated=terminated,
        truncated=truncated,
        observation=_observation(log, "observation"),
        next_observation=_next_observation(log, terminated, truncated),
        behaviour_probability=log.get("behaviour_probability"),
        target_probability=target,
        next_target_probability=next_target,
        features=features,
        next_features=next_features,
        initial_features=initial,
        weight=weight,
        names=np.array([log.text(name) for name in log.fields["episode"][first]]),
        rows=log.rows,
        independent=single and initial is not None,
        source=log.file,
        warnings=tuple(log.warnings),
    )


def _observation(log: LogRows, name: str) -> np.ndarray | None:
    values = log.get(name)
    return values.astype(np.int64) if values is not None and log.discrete else values


def _next_observation(log: LogRows, terminated: np.ndarray, truncated: np.ndarray) -> np.ndarray | None:
    """Return what was seen after each row, the row's own observation after a termination, where there is nothing.

    None where features after a truncation are given and the observation is not.
    """
    values = log.get("next_observation")
    if values is None:
        return None
    unknown = truncated & ~_known(log, "next_observation")
    if unknown.any():
        if log.get("next_features") is not None:
            return None
        column = "next_state" if log.discrete and log.noun == "column" else log.column("next_observation")
        raise InputError(
            f"{log.place(int(np.argmax(unknown)))}, {log.noun} {column}: it is blank, and truncated is 1: what was "
            "seen after the last step is needed to go on from there; fill it in"
        )
    values[terminated] = log.fields["observation"][terminated]
    return _observation(log, "next_observation")


def _features(log: LogRows, terminated: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the features of the file, those after a termination as zeros."""
    features, following, initial = (log.get(name) for name in ("features", "next_features", "initial_features"))
    if features is None:
        for name, values in (("next_features", following), ("initial_features", initial)):
            if values is not None:
                raise InputError(f"{log.file}: {log.noun} {log.column(name)} is there, and the features of the rows "
                                 "are not; give both or neither")  # fmt: skip
        return None, None
    log.refuse(~np.isfinite(features), "features", "is no finite number")
    if initial is not None and not (np.isfinite(initial).all() and len(initial)):
        raise InputError(f"{log.file}, {log.noun} initial_features: it is empty or holds no finite number; correct it")
    for name, values in (("next_features", following), ("initial_features", initial)):
        if values is not None and values.shape[1] != features.shape[1]:
            raise InputError(f"{log.file}: {name} has {values.shape[1]} columns, and features {features.shape[1]}")
    if following is not None:
        kept = np.nan_to_num(following[terminated], posinf=1.0, neginf=1.0).any(axis=1)
        if kept.any():
            log.warnings.append(
                f"features after {int(kept.sum())} terminations were not 0; nothing follows a termination, so they "
                "were set to 0"
            )
        following[terminated] = 0.0
        log.refuse(~np.isfinite(following), "next_features", "is blank or infinite, and the episode goes on after it")
    return features, following
