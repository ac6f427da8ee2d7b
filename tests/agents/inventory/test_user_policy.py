import re
import sys

import numpy as np
import pytest

from sandtable.agents.inventory.user_policy import load_policy
from sandtable.agents.rollout import rollout
from sandtable.simulators.errors import InputError
from sandtable.simulators.inventory.replay import InventoryReplay
from sandtable.simulators.random import make_key

RULES = '''
import numpy as np

LEVEL = 7

def order(observation):
    """Up to LEVEL."""
    return np.maximum(LEVEL - observation["on_hand"] - observation["on_order"].sum(axis=1, keepdims=True), 0)

def fall(observation):
    return observation["no such thing"]
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder; modules imported from it are forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_function_in_the_current_folder_orders(folder, make_panel):
    (folder / "own_rules_a.py").write_text(RULES)
    policy = load_policy("own_rules_a:order")
    world = InventoryReplay(make_panel(np.full((6, 2), 3.0)), 6, initial_stock=0.0, dtype="float64")
    run = rollout(world, policy, world.reset(make_key(np.arange(2)), product=np.arange(2), start=0))
    assert (run["ordered"][0] == 7).all()
    assert policy.name == "own_rules_a:order"
    assert policy.source() == RULES


def test_a_function_that_raises_is_told_with_its_error_in_one_line(folder, make_panel):
    (folder / "own_rules_b.py").write_text(RULES)
    policy = load_policy("own_rules_b:fall")
    world = InventoryReplay(make_panel(np.full((6, 1), 3.0)), 6)
    said = "^own_rules_b:fall, period 1 of 6: it raised KeyError: 'no such thing'$"
    with pytest.raises(InputError, match=said):
        rollout(world, policy, world.reset(make_key(np.arange(1))), name=policy.name)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("own_rules_c", "--policy own_rules_c: write it as module:function"),
        (":order", "--policy :order: write it as module:function"),
        ("own_rules_c:", "--policy own_rules_c:: write it as module:function"),
        ("own_rules_c.py:order", "--policy own_rules_c.py:order: write it without .py, as own_rules_c:order"),
        ("absent_rules:order", "there is no module absent_rules in the current folder or among the installed packages"),
        ("own_rules_c:absent", "own_rules_c has no function absent"),
        ("own_rules_c:LEVEL", "LEVEL is no function but of type int"),
        ("broken_rules:order", "importing broken_rules raised SyntaxError: "),
        ("needy_rules:order", "importing needy_rules raised ModuleNotFoundError: No module named 'absent_library'"),
        ("leaving_rules:order", "importing leaving_rules raised SystemExit: 3"),
        ("wordy_rules:order", "importing wordy_rules raised ValueError: one two"),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_one_line(folder, spec, said):
    (folder / "own_rules_c.py").write_text(RULES)
    (folder / "broken_rules.py").write_text("def order(:\n")
    (folder / "needy_rules.py").write_text("import absent_library\n")
    (folder / "leaving_rules.py").write_text("raise SystemExit(3)\n")
    (folder / "wordy_rules.py").write_text("raise ValueError('one\\n   two')\n")
    with pytest.raises(InputError, match=re.escape(said)) as refusal:
        load_policy(spec)
    assert "\n" not in str(refusal.value)


def test_what_has_no_source_file_is_known_by_its_name():
    assert load_policy("math:sqrt").source() == "math:sqrt"
