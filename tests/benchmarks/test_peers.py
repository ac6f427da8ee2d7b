"""What peers compute is what we compute, and their programs are driven as they should be."""

import subprocess
import sys

import pytest

from sandtable.agents.inventory.exact.base_stock_evaluation import evaluate_base_stock
from sandtable.agents.inventory.exact.lost_sales_problem import LostSalesProblem
from sandtable.benchmarks.inventory_peers import PROGRAMS, Peer


def test_base_stock_costs_what_dynaplex_simulates():
    """DynaPlex 1.14.1, 4,096 trajectories of 1,024 periods: 5.1117 with a standard error of 0.0027."""
    exact = evaluate_base_stock(LostSalesProblem(4), 25, 7).cost
    assert abs(exact - 5.111684) < 4 * 0.0027


def test_a_peer_s_program_is_asked_turn_by_turn():
    program = "import sys\nprint('ready')\nfor line in sys.stdin: print(100 * int(line), 0.5, flush=True)"
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    peer = Peer(process)
    assert peer.greeting == "ready"
    assert [peer.rate(turn) for turn in (1, 3)] == [200.0, 600.0]
    process.terminate()
    process.wait()
    with pytest.raises(OSError, match="ended"):
        Peer(process)


def test_the_programs_know_nothing_of_ours():
    programs = [path for path in PROGRAMS.glob("*.py") if path.stem != "__init__"]
    assert len(programs) == 5
    assert not any("sandtable" in path.read_text(encoding="utf-8") for path in programs)
