"""gym-invmgmt (MIT licence, package ``gym-invmgmt``): steps of its serial system, constant orders."""

import sys
import time

import gym_invmgmt  # registers the environment
import gymnasium
import numpy as np

assert gym_invmgmt.__version__
EPISODES, PERIODS = 4, 100

env = gymnasium.make("GymInvMgmt/Serial-v0", num_periods=PERIODS, disable_env_checker=True)
orders = np.full(env.action_space.shape or (), 20.0)
env.reset(seed=0)
print("ready", flush=True)
for _ in sys.stdin:
    start = time.process_time()
    for _ in range(EPISODES):
        env.reset()
        for _ in range(PERIODS):
            env.step(orders)
    print(EPISODES * PERIODS, time.process_time() - start, flush=True)
