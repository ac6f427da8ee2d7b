"""A training that is killed, wherever it is, resumes to the bits of one that was not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

PROGRAM = Path(__file__).with_name("killed_training.py")

# each child goes on from the last checkpoint of those before it; there is one every 5 steps, which syncs four times,
# and a row every 7 steps
POINTS = [
    "before-gradient:1",
    "before-gradient:4",
    "half-saved:1",
    "before-fsync:1",
    "after-fsync:1",
    "before-dump:1",
    "after-fsync:2",
    "after-fsync:3",
    "before-replace:1",
    "after-replace:1",
    "after-fsync:4",
    "half-removed:1",
    "half-written:1",
    "half-written:2",
    "half-saved:3",
    "after-gradient:19",
    "half-written:4",
    "before-replace:2",
    "after-replace:2",
    "half-removed:1",
    "half-saved:5",
    "before-fsync:15",
    "half-written:2",
    "before-replace:6",
    "after-replace:1",
]


def run(folder, *points):
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, PROGRAM, folder, *points], env=environment, check=True, timeout=120)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
def test_killed_training_resumes_to_the_same_result(tmp_path):
    run(tmp_path / "whole")
    run(tmp_path / "killed", *POINTS)
    for name in ("metrics.jsonl", "result.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    whole, killed = (torch.load(tmp_path / name / "parameters.pt") for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], killed[name]) for name in whole)
    assert [path.name for path in (tmp_path / "killed" / "checkpoints").iterdir()] == ["step-00000120"]
