"""Games played for their tale: what must be the same wherever, whenever and after whatever they are played.

``python play_games.py JSON`` plays in a process of its own and prints what it saw as JSON.
"""

import ctypes
import hashlib
import json
import os
import sys

import gymnasium as gym
import numpy as np

import sandtable
from sandtable.envs.nethack.game import MEASURES, nethack_seeds

SCORE, CHALLENGE = "sandtable/NetHackScore-v0", "sandtable/NetHackChallenge-v0"
TOLD = (*MEASURES, "end", "nethack_seeds", "reproducible")
assert {SCORE, CHALLENGE} <= set(sandtable.ENVIRONMENTS)


class Tale:
    """A digest of all that an environment shows: observations, rewards, flags, and what ``info`` tells."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def saw(self, observation, info) -> None:
        """Add the first screen of an episode."""
        for name in sorted(observation):
            self._hash.update(np.ascontiguousarray(observation[name]).tobytes())
        told = {name: info[name] for name in TOLD}
        told["nethack_seeds"] = [int(seed) for seed in told["nethack_seeds"]]
        told |= {name: int(told[name]) for name in (*MEASURES, "reproducible")}
        self._hash.update(json.dumps(told).encode())

    def stepped(self, observation, reward, terminated, truncated, info) -> None:
        """Add a step."""
        self._hash.update(repr((float(reward), bool(terminated), bool(truncated))).encode())
        self.saw(observation, info)

    @property
    def digest(self) -> str:
        """The tale so far, in 16 letters."""
        return self._hash.hexdigest()[:16]


def actions_of(seed: int, steps: int, count: int) -> np.ndarray:
    """Return the numbers of the random keys of a seed, [steps], among ``count`` actions."""
    return np.random.default_rng(seed).integers(count, size=steps)


def play(env: gym.Env, seed: int, actions: np.ndarray) -> str:
    """Return the digest of the episodes of a seed, one after another, under the given actions."""
    tale = Tale()
    tale.saw(*env.reset(seed=seed))
    for action in actions:
        step = env.step(int(action))
        tale.stepped(*step)
        if step[2] or step[3]:
            tale.saw(*env.reset())
    return tale.digest


def play_all(seeds: list[int], steps: int, before: int = 0) -> dict[str, list[str]]:
    """Return, for each environment, the digests of seeds, all on one instance that has played ``before`` games."""
    digests = {}
    for name in (SCORE, CHALLENGE):
        env = gym.make(name, observation="all", disable_env_checker=True)
        count = env.action_space.n
        for game in range(before):
            play(env, 10_000 + game, actions_of(game, 60, count))
        digests[name] = [play(env, seed, actions_of(seed, steps, count)) for seed in seeds]
        env.close()
    return digests


def birthday(dlpath: str) -> int:
    """Return the time at which the game in a loaded engine says that it began, in seconds since 1970."""
    libc = ctypes.CDLL(None)
    libc.dlopen.restype = ctypes.c_void_p
    libc.dlclose.argtypes = (ctypes.c_void_p,)
    libc.dlsym.restype, libc.dlsym.argtypes = ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_char_p)
    handle = libc.dlopen(dlpath.encode(), os.RTLD_NOLOAD | os.RTLD_LAZY)
    seconds = ctypes.c_int64.from_address(libc.dlsym(handle, b"ubirthday")).value
    libc.dlclose(handle)
    return seconds


def first_screen_of_nle(fix_moon_phase: bool) -> tuple[str, int]:
    """Return the digest of the first screen of a seeded game of nle's own, and when it began."""
    from nle.env.tasks import NetHackScore

    env = NetHackScore(observation_keys=("tty_chars", "blstats"), render_mode=None, fix_moon_phase=fix_moon_phase)
    env.seed(*nethack_seeds(0, 0))
    observation, _ = env.reset()
    seen = hashlib.sha256(observation["tty_chars"].tobytes()).hexdigest()
    began = birthday(env.nethack.dlpath)
    env.close()
    return seen, began


def what_the_clock_decides(seeds: list[int], steps: int) -> dict:
    """Return what this process's clock must not decide, and what it decides in nle."""
    env = gym.make(SCORE).unwrapped
    env.reset(seed=0)
    for action in actions_of(0, 50, 23):
        env.step(action)
    began = birthday(env.game.engine._game.dlpath)
    env.close()
    (nle_screen, _), (_, nle_began) = first_screen_of_nle(False), first_screen_of_nle(True)
    ours = {"games": play_all(seeds, steps), "began": began}
    return {"ours": ours, "nle": {"screen": nle_screen, "began": nle_began}}


if __name__ == "__main__":
    print(json.dumps(what_the_clock_decides(**json.loads(sys.argv[1]))))
