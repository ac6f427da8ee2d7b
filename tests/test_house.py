"""The rules of the house that a machine can check: who may import whom, how long a file is, what it may be called."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("simulators", "training", "estimators", "envs", "agents", "analysis", "benchmarks")
MAY_IMPORT = {
    "simulators": set(),
    "training": {"simulators"},
    "estimators": {"simulators", "training"},
    "envs": {"simulators"},
    "agents": {"simulators", "training", "estimators", "envs"},
    "analysis": {"simulators", "training", "estimators", "envs", "agents"},
    "benchmarks": {"simulators", "training", "estimators", "envs", "agents", "analysis"},
}
FILES = {part: sorted((ROOT / part).rglob("*.py")) for part in PARTS}
pytestmark = pytest.mark.skipif(not (ROOT / "simulators").is_dir(), reason="no checkout beside the tests")


def imports(path):
    """Yield (line, module) of every import in a file, also of those within functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


@pytest.mark.parametrize("part", PARTS)
def test_imports_run_only_downwards(part):
    climbing = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in FILES[part]
        for line, module in imports(path)
        if module.startswith("sandtable.") and module.split(".")[1] not in MAY_IMPORT[part] | {part}
    ]
    assert FILES[part]
    assert not climbing


def test_imports_are_absolute():
    sources = [path for part in PARTS for path in FILES[part]]
    assert not [f"{path}:{line}" for path in sources for line, module in imports(path) if module.startswith(".")]


def test_simulators_know_neither_gymnasium_s_environments_nor_learning():
    learning = re.compile(r"torch\.(nn|optim)|stable_baselines3|gymnasium\.(vector|wrappers|envs)")
    sources = FILES["simulators"]
    assert not [f"{path}:{line}" for path in sources for line, module in imports(path) if learning.match(module)]


def test_no_file_is_longer_than_600_lines():
    sources = [path for part in PARTS for path in FILES[part]]
    sources += sorted((ROOT / "src").rglob("*.py")) + sorted((ROOT / "tests").rglob("*.py"))
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in sources}
    assert {name: lines for name, lines in lengths.items() if lines > 600} == {}


def test_names_say_what_a_file_holds():
    nothing_said = re.compile(r"(^|_)(utils?|helpers?|common|misc)(_|$)")
    assert [path for part in PARTS for path in FILES[part] if nothing_said.search(path.stem)] == []


def test_importing_the_package_and_its_environments_imports_no_torch():
    code = (
        "import sys, sandtable, sandtable.envs.inventory, sandtable.envs.tasks, sandtable.envs.nethack.env;"
        "print([name for name in ('torch', 'matplotlib', 'statsmodels', 'nle') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
