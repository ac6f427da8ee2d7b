"""A log as a Minari dataset, read through the package ``minari`` (extra ``minari``)."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from sandtable.simulators.errors import InputError, MissingExtraError
from sandtable.simulators.ope.log_npz import rows_of_arrays
from sandtable.simulators.ope.log_rows import LogRows


def read_minari_log(name: str) -> LogRows:
    """Return the episodes of a dataset; rows are counted from 0 through all of them.

    The action space must be Discrete; observations are those of a Discrete space, or of a Box. The behaviour policy's
    probability of the logged action is read from ``infos["behaviour_probability"]``, where it is; an info more than
    there are steps is the one of the reset, which comes first.

    Args:
        name: ``minari:ID`` for a dataset in Minari's own folder, or the directory of a dataset.

    Raises:
        InputError: There is no such dataset, or it does not fit.
        MissingExtraError: The package is not installed.
    """
    dataset = _open(name)
    if not isinstance(dataset.action_space, gym.spaces.Discrete):
        raise InputError(f"{name}: the action space is {dataset.action_space}; a Discrete one is needed")
    if not isinstance(dataset.observation_space, gym.spaces.Discrete | gym.spaces.Box):
        raise InputError(f"{name}: the observation space is {dataset.observation_space}; Discrete or Box is needed")
    parts: dict[str, list[np.ndarray]] = {}
    for number, episode in enumerate(dataset):
        for field, array in _arrays(name, number, episode, dataset).items():
            parts.setdefault(field, []).append(array)
    if not parts:
        raise InputError(f"{name}: the dataset has no episodes")
    some = [field for field, arrays in parts.items() if len(arrays) != len(parts["episode"])]
    if some:
        raise InputError(f"{name}: infos['{some[0]}'] is in some episodes and not in others; log it in all, or in none")
    raw = {field: np.concatenate(arrays) for field, arrays in parts.items()}
    return rows_of_arrays(name, raw, actions=int(dataset.action_space.n))


def minari_folder(name: str) -> Path:
    """Return the folder of a dataset.

    Raises:
        InputError: There is no such dataset.
        MissingExtraError: The package is not installed.
    """
    return Path(_open(name).storage.data_path)


def _open(name: str) -> Any:
    """Return the dataset."""
    try:
        import minari
    except ImportError as error:
        raise MissingExtraError(f"{name}: reading Minari datasets", "minari") from error
    try:
        if name.startswith("minari:"):
            return minari.load_dataset(name.removeprefix("minari:"))
        folder = Path(name)
        return minari.MinariDataset(folder / "data" if (folder / "data").is_dir() else folder)
    except FileNotFoundError as error:
        identity = name.removeprefix("minari:")
        raise InputError(
            f"{name}: there is no such dataset in Minari's folder; fetch it with: minari download {identity}"
        ) from error
    except (ValueError, AssertionError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{name}: this is no Minari dataset ({' '.join(str(error).split())})") from error
    except ImportError as error:
        raise MissingExtraError(f"{name}: reading this dataset", "minari") from error


def _arrays(name: str, number: int, episode: Any, dataset: Any) -> dict[str, np.ndarray]:
    """Return the arrays of one episode, a row a step."""
    steps = len(episode.rewards)
    observations = np.asarray(episode.observations)
    if len(observations) != steps + 1:
        raise InputError(
            f"{name}, episode {number}: {len(observations)} observations for {steps} steps; one more is needed"
        )
    start = int(getattr(dataset.observation_space, "start", 0))
    if start:
        observations = observations - start
    arrays = {
        "episode": np.full(steps, number),
        "step": np.arange(steps),
        "action": np.asarray(episode.actions).reshape(steps) - int(dataset.action_space.start),
        "reward": np.asarray(episode.rewards, dtype=np.float64),
        "terminated": np.asarray(episode.terminations),
        "truncated": np.asarray(episode.truncations) & ~np.asarray(episode.terminations, dtype=bool),
        "observation": observations[:-1],
        "next_observation": observations[1:],
    }
    logged = (episode.infos or {}).get("behaviour_probability")
    if logged is not None:
        logged = np.asarray(logged, dtype=np.float64).reshape(-1)
        if len(logged) not in (steps, steps + 1):
            raise InputError(
                f"{name}, episode {number}: infos['behaviour_probability'] has {len(logged)} values for {steps} steps"
            )
        arrays["behaviour_probability"] = logged[-steps:]
    return arrays
