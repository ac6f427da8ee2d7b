"""Worlds in which games go differently, and policies for them: as a module of the user's own (see ``conftest``)."""

import os

import gymnasium as gym
import numpy as np


class Lengths(gym.Env):
    """Half of the games are short and bring nothing, half are long and bring 1; the seed decides which."""

    observation_space, action_space = gym.spaces.Box(0, 1000, (1,), np.int64), gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.seed, self.t, self.long = seed, 0, self.np_random.random() < 0.5
        return np.array([0]), {}

    def step(self, action):
        self.t += 1
        end = self.t == (60 if self.long else 3)
        return np.array([self.t]), float(end and self.long), end, False, {}


class Crashing(Lengths):
    """In some games something happens at the third step."""

    def step(self, action):
        if self.t == 2 and self.seed == 4:
            os._exit(3)
        if self.t == 2 and self.seed == 2:
            raise RuntimeError("no such level")
        if self.t == 2 and self.seed == 1:
            return np.array([0]), 0.0, False, True, {"end": "lost"}
        return super().step(action)


class Dying(Lengths):
    def step(self, action):
        os._exit(9)


class Telling(Lengths):
    """Tells what NetHack tells, and that the seeds are not all."""

    def step(self, action):
        observation, reward, end, cut, info = super().step(action)
        info = {"score": self.t * 2, "turns": self.t, "depth": 1, "experience_level": 3, "reproducible": self.t < 50}
        return observation, reward, end, cut, info


class Picky(Lengths):
    def __init__(self, hardness=1):
        if hardness > 3:
            raise ValueError("hardness must be 1, 2 or 3")


for kind in (Lengths, Crashing, Dying, Telling, Picky):
    gym.register(f"{kind.__name__}-v0", entry_point=f"worlds:{kind.__name__}")


class Alternating:
    """Notes how often it was called in its game, and says so by its action."""

    def __init__(self, action_space):
        self.count = 0

    def __call__(self, observation):
        assert self.count == observation[0]
        self.count += 1
        print("called")
        return self.count % 2


def beyond(observation):
    return 2 if observation[0] == 2 else 0
