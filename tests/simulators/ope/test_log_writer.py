"""What was written is read again as it was."""

import numpy as np
import pytest

from sandtable.simulators.ope.linear_mdp import LinearMDP
from sandtable.simulators.ope.log_file import read_log
from sandtable.simulators.ope.log_writer import write_log

FIELDS = (
    "episode", "step", "action", "reward", "terminated", "truncated", "observation", "behaviour_probability",
    "target_probability", "features", "next_features",
)  # fmt: skip


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz", "log.npz"])
@pytest.mark.parametrize("instance", ["R5", "R1b", "cobs-graph"])
def test_a_log_is_read_as_it_was_written(tmp_path, name, instance):
    log = LinearMDP(instance, horizon=20).sample(30, 3, "episodes")
    write_log(log, tmp_path / name)
    read = read_log(tmp_path / name)
    for field in FIELDS:
        assert np.array_equal(getattr(read, field), getattr(log, field)), field
    going = ~log.terminated
    for field in ("next_observation", "next_target_probability"):
        assert np.allclose(getattr(read, field)[going], getattr(log, field)[going]), field
    assert read.warnings == ()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_independent_draws_are_written_with_their_starts(tmp_path):
    log = LinearMDP("R1b").sample(30, 3)
    with pytest.raises(ValueError, match="npz"):
        write_log(log, tmp_path / "log.csv")
    write_log(log, tmp_path / "log.npz")
    read = read_log(tmp_path / "log.npz")
    assert read.independent
    assert np.array_equal(read.initial_features, log.initial_features)


def test_observations_of_several_numbers_are_numbered_columns(tmp_path):
    log = LinearMDP("R1b", horizon=5).sample(3, 3, "episodes")
    wide = log.with_(
        observation=np.random.default_rng(0).normal(size=(len(log), 2)),
        next_observation=np.random.default_rng(1).normal(size=(len(log), 2)), names=np.array(["x", "y", "z"]),
    )  # fmt: skip
    write_log(wide, tmp_path / "log.csv")
    read = read_log(tmp_path / "log.csv")
    assert np.array_equal(read.observation, wide.observation)
    assert read.names.tolist() == ["x", "y", "z"]
