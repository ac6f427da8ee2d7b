"""d3rlpy (MIT licence, package ``d3rlpy``): DiscreteFQE on a log of CartPole; the target goes where the pole leans.

Takes the log as an npz file. A line is ``STEPS RATE LOSS``; the answer is the steps, their CPU-seconds, and the
estimate of the target's value. The loss ``huber`` is the package's own; ``squared`` is put in its place.
"""

import os
import sys
import tempfile
import time

import d3rlpy
import numpy as np
import torch
from d3rlpy.models.torch.q_functions import mean_q_function

LEAN = 2  # which entry of the observation is the pole's angle

answers = os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # where the package prints its own lines
torch.set_num_threads(1)
huber = mean_q_function.compute_huber_loss
with np.load(sys.argv[1]) as log:
    dataset = d3rlpy.dataset.MDPDataset(
        log["observation"].astype(np.float32),
        log["action"],
        log["reward"].astype(np.float32),
        log["terminated"].astype(np.float32),
        log["truncated"].astype(np.float32),
        action_space=d3rlpy.ActionSpace.DISCRETE,
        action_size=2,
    )
    start = log["observation"][np.flatnonzero(np.diff(log["episode"], prepend=-1))].astype(np.float32)
target = d3rlpy.algos.DQNConfig().create(device=False)
target.build_with_dataset(dataset)
target.impl.inner_predict_best_action = lambda x: (x[:, LEAN] > 0).long()
print("ready", file=answers, flush=True)
for line in sys.stdin:
    steps, rate, loss = line.split()
    mean_q_function.compute_huber_loss = huber if loss == "huber" else (lambda value, goal: (value - goal) ** 2)
    d3rlpy.seed(0)
    fqe = d3rlpy.ope.DiscreteFQE(target, d3rlpy.ope.FQEConfig(learning_rate=float(rate), gamma=0.99), device=False)
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        adapter = d3rlpy.logging.FileAdapterFactory(root_dir=folder)
        fqe.fit(dataset, int(steps), n_steps_per_epoch=int(steps), show_progress=False, logger_adapter=adapter)
    seconds = time.process_time() - began
    value = fqe.predict_value(start, (start[:, LEAN] > 0).astype(np.int64)).mean()
    print(steps, seconds, float(value), file=answers, flush=True)
