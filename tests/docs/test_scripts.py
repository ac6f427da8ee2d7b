"""The programs in ``docs/examples`` run, and print what they promise."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


@pytest.mark.slow
def test_stable_baselines3_learns_to_order():
    pytest.importorskip("stable_baselines3", reason="needs the extra rl")
    script = EXAMPLES / "sb3_ppo.py"
    statements = [line for line in script.read_text(encoding="utf-8").splitlines()[1:] if line.strip()]
    assert len(statements) <= 10
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    cost = float(done.stdout.removeprefix("cost a period: "))
    assert 0 < cost < 15  # to order nothing costs 20
