"""Many games of NetHack as one vector environment: many in each worker process, on shared memory."""

import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from sandtable.envs.adapter import find_autoreset_mode, masked
from sandtable.envs.nethack.engine import load_nle
from sandtable.envs.nethack.game import ENDS, MEASURES, nethack_seeds
from sandtable.envs.nethack.settings import NetHackSettings, Restart, restart
from sandtable.envs.nethack.shared_memory import create_memory, map_arrays
from sandtable.envs.nethack.worker import DONE, END, REPRODUCIBLE, START, TERMINATED, TRUNCATED, WAIT, Games, layout
from sandtable.envs.nethack.worker_pool import GO, OwnProcess, WorkerPool
from sandtable.simulators.errors import InputError
from sandtable.simulators.memory import require_memory

_BYTES_A_GAME = 4_500_000  # measured: 3.2 MB of the engine's library, 1.3 MB of its game
_GAMES_A_WORKER = 8  # at least, if there are so many and nobody says otherwise
_FILES_A_WORKER = 32  # of the interpreter, the pipes, and what is open for a moment
_ATTEMPTS = 3  # to begin games on new workers, before the games are to blame


class NetHackVectorEnv(VectorEnv[dict[str, np.ndarray], Any, np.ndarray]):
    """Games of NetHack in rows; row i is ``NetHackEnv`` with seed s + i, episode by episode.

    ``reset`` takes ``seed=None`` (the next episode of every row), an int, or a list with one or None a row. Of its
    ``options``, ``reset_mask`` [num_envs] resets those rows alone; ``nethack_seeds``, ``level_seed`` and ``character``
    are those of ``NetHackEnv.reset``: one for all rows, or a list with one or None a row.

    ``info`` holds what ``NetHackEnv`` tells, as arrays with one entry a row, and Gymnasium's masks ``_name`` of the
    rows that have one. ``end`` is None but for episodes that ended in this step; these have ``episode_return`` and
    ``episode_length``, too. Under SAME_STEP their last observation and info are ``final_obs``, batched like any
    observation, and ``final_info``; the other entries, except ``end`` and the totals, are of the new episode.

    A worker that dies is replaced. Its games end truncated, with ``end`` "lost" and the screen they had come to; the
    others go on as if nothing had happened. Ctrl-C while games are played closes the environment.

    Args:
        num_envs: Rows, at least 1.
        workers: Processes; by default one for every eight games, but no more than there are processors for this
            process: to wake a process costs what some steps cost. With 0 this process plays the games itself, which is
            quickest for a few, but where an engine crashes, it goes as well. The rows do not depend on it.
        copy: Whether observations are arrays of their own. Without, they are views of memory that the next step
            overwrites.
        autoreset_mode: What becomes of a row whose episode ended: a ``gymnasium.vector.AutoresetMode`` or its value.
        arguments: Those of ``NetHackSettings``, except ``render_mode``.

    Raises:
        InputError: An argument cannot be; the games need more memory than is left, or more open files than a process
            may have.
        MissingExtraError: nle is not installed.
    """

    def __init__(
        self,
        num_envs: int = 1,
        workers: int | None = None,
        copy: bool = True,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        **arguments: Any,
    ) -> None:
        self.closed = True  # there is nothing to close yet
        arguments = {name: one.item() if isinstance(one, np.generic) else one for name, one in arguments.items()}
        if arguments.get("record") is not None:  # workers have no other folder, wherever they are started
            arguments |= {"record": str(Path(arguments["record"]).absolute())}
        self.settings = NetHackSettings(**arguments)
        if self.settings.render_mode is not None:
            raise InputError("render_mode: a vector environment shows nothing; use an environment of one game")
        load_nle()
        self.num_envs, self.copy = _count("num_envs", num_envs), bool(copy)
        self.autoreset_mode = find_autoreset_mode(autoreset_mode)
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        most = min(_processors(), -(-self.num_envs // _GAMES_A_WORKER)) if workers is None else workers
        workers = min(self.num_envs, _count("workers", most, least=0))
        parts = max(1, workers)
        bounds = [self.num_envs * part // parts for part in range(parts + 1)]
        self._shares = [slice(*ends) for ends in pairwise(bounds)]
        self._require_room()
        self.single_observation_space = self.settings.observation_space()
        self.single_action_space = self.settings.action_space()
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._bytes_of_actions = np.array(self.settings.keys, np.int16)
        self._seeds: list[int] = []
        self._episodes = np.zeros(self.num_envs, np.int64)
        self._live = np.zeros(self.num_envs, bool)  # a game goes on
        self._lost = np.zeros(self.num_envs, bool)  # a game was lost, which the next step will tell
        self._arrays: dict[str, np.ndarray] = {}
        self._shown: dict[str, np.ndarray] = {}
        fields = layout(self.settings, self.num_envs)
        memory = create_memory(fields)
        job = {"arguments": arguments, "num_envs": self.num_envs}
        jobs = [job | {"rows": [share.start, share.stop]} for share in self._shares]
        self._pool: WorkerPool | OwnProcess  # from here on the memory is the pool's
        if workers:
            self._pool = WorkerPool("sandtable.envs.nethack.worker", jobs, memory)
        else:
            self._pool = OwnProcess(lambda stack: Games(jobs[0] | {"memory": os.dup(memory)}, stack).follow, memory)
        self.closed = False
        self._arrays = map_arrays(memory, fields)
        self._shown = {name: self._arrays[name] for name in self.settings.names}

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """Process numbers of the workers, each of which plays a block of neighbouring rows, in this order."""
        return self._pool.pids

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Start an episode in every row, or in those of ``options["reset_mask"]``; see the class.

        Raises:
            gymnasium.error.ClosedEnvironmentError: The environment is closed.
            ValueError: ``seed`` has another length than ``num_envs``; ``reset_mask`` is no boolean array [num_envs],
                holds no row, or leaves rows out that were never reset.
            InputError: An option cannot be; the engine does not start.
        """
        self._require_open()
        options = dict(options or {})
        mask = self._checked_mask(options.pop("reset_mask", None))
        asked = self._asked(options)
        if isinstance(seed, int | np.integer):
            super().reset(seed=int(seed))
            seed = [int(seed) + row for row in range(self.num_envs)]
        self._reseed(seed, mask)
        self._start(mask, asked)
        return self._observation(self.copy), masked(self._known(), mask)

    def step(self, actions: Any) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Press a key in every row.

        Args:
            actions: Numbers of keys, [num_envs], each in [0, ``single_action_space.n``).

        Returns:
            The observations, the reward (float64), terminated and truncated (bool), each [num_envs], and the info.

        Raises:
            gymnasium.error.ClosedEnvironmentError: The environment is closed.
            gymnasium.error.ResetNeeded: There was no ``reset``; or autoreset is disabled and an episode has ended.
            ValueError: The actions have another shape.
            InputError: One of them cannot be; a recording was cut short.
        """
        self._require_open()
        if not self._seeds:
            raise ResetNeeded("call reset before step")
        orders = self._keys(actions)
        if np.count_nonzero(self._live) < self.num_envs:
            self._account_for_others(orders)
        self._carry_out(orders)
        reward, (terminated, truncated) = self._arrays["reward"].copy(), self._arrays["flags"][:END].astype(bool)
        ended = terminated | truncated
        self._live = ~ended
        info = masked(self._known(), np.ones(self.num_envs, bool))
        if np.count_nonzero(ended):
            info |= self._end_of_episodes(ended, info)
        return self._observation(self.copy), reward, terminated, truncated, info

    def close_extras(self, **kwargs: Any) -> None:
        """End the workers and give the memory back."""
        self._pool.close()
        self._arrays, self._shown = {}, {}

    def __reduce__(self) -> Any:
        """Refuse to be copied: games that are being played cannot be."""
        raise TypeError("games of NetHack that are being played cannot be copied; make another and reset it")

    def _observation(self, copy: bool) -> dict[str, np.ndarray]:
        """Return what is seen, [num_envs, ...]."""
        return {name: array.copy() if copy else array for name, array in self._shown.items()}

    def _known(self) -> dict[str, np.ndarray]:
        """Return what is known of the games, an entry a row."""
        known: dict[str, np.ndarray] = dict(zip(MEASURES, self._arrays["measures"].copy(), strict=True))
        known["reproducible"] = self._arrays["flags"][REPRODUCIBLE].astype(bool)
        known["nethack_seeds"] = self._arrays["seeds"].copy()
        known["end"] = np.empty(self.num_envs, object)
        return known

    def _end_of_episodes(self, ended: np.ndarray, info: dict[str, Any]) -> dict[str, Any]:
        """Return what the info of a step has besides if episodes ended; under SAME_STEP start the next ones."""
        info["end"][ended] = [ENDS[number] for number in self._arrays["flags"][END, ended]]
        totals = {"episode_return": self._arrays["total"].copy(), "episode_length": self._arrays["steps"].copy()}
        if self.autoreset_mode is not AutoresetMode.SAME_STEP:
            return masked(totals, ended)
        known = {name: value for name, value in info.items() if not name.startswith("_")}
        finals = {"final_obs": self._observation(copy=True), "final_info": masked(known | totals, ended)}
        self._advance(ended)
        self._start(ended)
        return self._known() | {"end": info["end"]} | masked(totals | finals, ended)

    def _account_for_others(self, orders: np.ndarray) -> None:
        """Change the orders of rows in which no game goes on: an episode ended there, or a game was lost."""
        ended = ~(self._live | self._lost)
        if ended.any() and self.autoreset_mode is AutoresetMode.DISABLED:
            raise ResetNeeded("an episode ended: reset it, options={'reset_mask': terminated | truncated}")
        orders[ended] = START  # under NEXT_STEP these rows start anew instead
        self._advance(ended)
        orders[self._lost] = WAIT
        self._arrays["flags"][DONE, self._lost] = False
        self._record_loss(self._lost)
        self._lost = np.zeros(self.num_envs, bool)

    def _start(self, mask: np.ndarray, asked: list[Restart] | None = None) -> None:
        """Start the episodes of the rows of ``mask``, as asked."""
        special = {}
        for row, wish in enumerate(asked or ()):
            if mask[row] and wish.seeds is not None:
                self._arrays["seeds"][row] = wish.seeds
            if mask[row] and wish[1:] != (None, None):
                special[row] = wish[1:]
        self._carry_out(np.where(mask, START, WAIT), json.dumps(special).encode() + b"\n" if special else GO)
        self._live |= mask
        self._lost &= ~mask

    def _carry_out(self, orders: np.ndarray, message: bytes = GO) -> None:
        """Let the workers carry out an order a row, and account for the games that are lost with a worker."""
        flags = self._arrays["flags"]
        for _ in range(_ATTEMPTS):
            self._arrays["order"][:] = orders
            flags[DONE] = False
            try:
                dead = self._pool.exchange(message)
            except BaseException:
                self.close()
                raise
            if not dead:
                return
            orphaned = np.zeros(self.num_envs, bool)
            for worker in dead:
                orphaned[self._shares[worker]] = True
            over = flags[DONE] & (flags[TERMINATED] | flags[TRUNCATED])
            self._record_loss(orphaned & (orders >= 0) & (over == 0))
            self._lost |= orphaned & (orders == WAIT) & self._live
            self._live &= ~self._lost
            orders = np.where(orphaned & (orders == START), START, WAIT)  # nothing was played there yet: once more
            if (orders == WAIT).all():
                return
        self.close()
        raise RuntimeError(f"worker processes died {_ATTEMPTS} times in a row while they began games")

    def _record_loss(self, rows: np.ndarray) -> None:
        """Write as the result of rows that their games were lost; a step that was done before still counts."""
        flags = self._arrays["flags"]
        self._arrays["reward"][rows & (flags[DONE] == 0)] = 0.0
        flags[TERMINATED, rows], flags[TRUNCATED, rows], flags[END, rows] = False, True, ENDS.index("lost")

    def _advance(self, mask: np.ndarray) -> None:
        """Turn the rows of ``mask`` to their next episode."""
        self._episodes[mask] += 1
        for row in np.flatnonzero(mask).tolist():
            self._arrays["seeds"][row] = nethack_seeds(self._seeds[row], int(self._episodes[row]))

    def _reseed(self, seed: list[int | None] | None, mask: np.ndarray) -> None:
        """Turn the rows of ``mask`` to the first episode of their seed where one is given, else to their next one."""
        if seed is not None and len(seed) != self.num_envs:
            raise ValueError(f"seed has {len(seed)} entries; there are {self.num_envs} sub-environments")
        if not self._seeds:
            self._seeds = self.np_random.integers(2**63 - 1, size=self.num_envs).tolist()
            self._episodes[:] = -1
        for row, given in enumerate(seed or ()):
            if mask[row] and given is not None:
                self._seeds[row], self._episodes[row] = int(given), -1
        self._advance(mask)

    def _keys(self, actions: Any) -> np.ndarray:
        """Return the bytes of actions, [num_envs], or refuse them."""
        actions, number = np.asarray(actions), len(self._bytes_of_actions)
        if actions.shape != (self.num_envs,):
            raise ValueError(f"action has shape {list(actions.shape)}; it must be {[self.num_envs]}")
        if actions.dtype.kind not in "iu":
            raise InputError(f"action is of type {actions.dtype}; it must be whole numbers in [0, {number})")
        wrong = actions.astype(np.uint64) >= number  # as which negative numbers are large
        if np.count_nonzero(wrong):
            row = int(np.argmax(wrong))
            raise InputError(f"action is {actions[row]} in row {row}; it must lie in [0, {number})")
        return self._bytes_of_actions[actions]

    def _checked_mask(self, mask: Any) -> np.ndarray:
        """Return the rows to reset, or refuse them."""
        mask = np.ones(self.num_envs, bool) if mask is None else np.asarray(mask)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ValueError(f"reset_mask must be booleans of shape [{self.num_envs}], at least one of them true")
        if not self._seeds and not mask.all():
            raise ValueError("reset_mask leaves rows out that were never reset; reset all of them first")
        return mask

    def _asked(self, options: dict[str, Any]) -> list[Restart] | None:
        """Return what the options of a reset ask of each row; None if there are none."""
        if not options:
            return None
        rows: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for name, value in options.items():
            one_each = isinstance(value, list | tuple | np.ndarray)
            if name == "nethack_seeds":  # of one row it is a list, too
                one_each = one_each and any(entry is None or np.ndim(entry) for entry in value)
            if one_each and len(value) != self.num_envs:
                raise InputError(f"option {name} has {len(value)} entries; there are {self.num_envs} rows")
            for row, given in enumerate(rows):
                given[name] = value[row] if one_each else value
        return [restart(given) for given in rows]

    def _require_open(self) -> None:
        """Raise if the environment is closed."""
        if self.closed:
            raise ClosedEnvironmentError("the environment is closed; make another")

    def _require_room(self) -> None:
        """Raise if there is too little memory, or if a worker may not have all files open that its games need."""
        bytes_a_row = sum(field.nbytes for field in layout(self.settings, 1))
        bytes_a_game = _BYTES_A_GAME + 4 * bytes_a_row  # shared, copied, and the bounds of the space
        require_memory(self.num_envs * bytes_a_game, f"num_envs = {self.num_envs}", "ask for fewer games")
        files = 2 if self.settings.record is None else 3
        most = max(share.stop - share.start for share in self._shares)
        needed, limit = _FILES_A_WORKER + files * most, _most_open_files()
        if needed > limit:
            raise InputError(
                f"num_envs = {self.num_envs} in {len(self._shares)} workers: {most} games in a process hold "
                f"{needed} files open, {files} each, and the limit is {limit}: raise it (ulimit -n {needed}), "
                "or ask for fewer games or more workers"
            )


def _count(name: str, value: Any, least: int = 1) -> int:
    """Return a whole number, or refuse it."""
    number = isinstance(value, int | float | np.integer) and not isinstance(value, bool)
    if not number or value < least or value != int(value):
        raise ValueError(f"{name} must be a whole number, at least {least}, not {value!r}")
    return int(value)


def _processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _most_open_files() -> float:
    """Return how many files a process may have open."""
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return float("inf") if limit == resource.RLIM_INFINITY else limit
