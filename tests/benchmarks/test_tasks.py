"""The benchmark of one-step episodes compares the same problem."""

import numpy as np

from sandtable.benchmarks import tasks
from sandtable.benchmarks.plain_parity import PlainParity
from sandtable.simulators.tasks.sparse_parity import SparseParity


def test_the_plain_environment_pays_what_the_task_pays():
    process = SparseParity(tasks.N, tasks.K)
    plain = PlainParity(tasks.N, process.subset)
    assert plain.observation_space == process.observation_space
    assert plain.action_space == process.action_space
    for seed in range(20):
        bits, _ = plain.reset(seed=seed)
        state = process.reset(np.array([seed]))
        plain.bits = process.observe(state)[0]
        plain.target = sum(plain.bits[i] for i in plain.subset) % 2
        step = process.step(state, np.array([seed % 2]))
        assert bits in plain.observation_space
        assert plain.step(np.int64(seed % 2))[1:] == (step.reward[0], True, False, {"target": step.info["target"][0]})


def test_rows_name_both_kinds_of_feedback():
    rows = tasks.benchmark(quick=True)
    assert [row["case"].split(", ")[1].split(" (")[0] for row in rows] == ["bandit", "full hinge"]
    assert all(row["ours"] > row["alternative_rate"] > 0 for row in rows)
    assert all(0 < row["fraction_of_limit"] < 1 for row in rows)
