"""The examples of README and the pages run, and print what the pages say they print.

In a page, from top to bottom and in one folder:

- a ``python`` block runs; the blocks of a page share their names;
- a ``text`` block right after it is what it prints (``...`` stands for anything);
- in a ``console`` block, lines ``$ sandtable ...`` run and must return 0; what the block shows of their output is not
  compared, since tables are as wide as the terminal;
- ``<!-- file: NAME -->`` before a block writes the block to that file instead; ``<!-- show -->`` only shows it;
  ``<!-- slow -->`` makes the page's test slow.
"""

import contextlib
import doctest
import io
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandtable import cli
from sandtable.simulators.language.sandbox.kernel_rules import probe

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
HOSTILE = ("bandit.md", "grade.md", "sandbox.md")
"""Pages whose examples run programs of a language model."""
FENCE = re.compile(
    r"(?:^<!-- (?P<directive>file|show|slow)(?:: (?P<name>\S+))? -->\n+)?"
    r"^```(?P<language>\w+)\n(?P<code>.*?)^```\n(?:\n?^```text\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Example:
    """A fenced block of a page."""

    directive: str | None
    name: str | None
    language: str
    code: str
    output: str | None
    line: int


def examples(page: Path) -> list[Example]:
    """Return the blocks of a page that do something."""
    text = page.read_text(encoding="utf-8")
    found = [
        Example(match["directive"], match["name"], match["language"], match["code"], match["output"],
                text.count("\n", 0, match.start("code")))
        for match in FENCE.finditer(text)
    ]  # fmt: skip
    return [
        one
        for one in found
        if one.directive != "show" and (one.directive == "file" or one.language in ("python", "console"))
    ]


def marked(page: Path):
    slow = any(one.directive == "slow" for one in examples(page))
    return pytest.param(page, id=page.name, marks=[pytest.mark.slow] if slow else [])


def run_python(one: Example, names: dict[str, object], where: str) -> None:
    code = compile("\n" * one.line + one.code, where, "exec")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, names)
    if one.output is not None:
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        message = f"{where}, line {one.line}: printed\n{printed.getvalue()}instead of\n{one.output}"
        assert doctest.OutputChecker().check_output(one.output, printed.getvalue(), flags), message


def run_commands(one: Example, where: str) -> None:
    for line in one.code.splitlines():
        if line.startswith("$ sandtable"):
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
                status = cli.main(shlex.split(line.removeprefix("$ sandtable")))
            assert status == 0, f"{where}: {line} returned {status}\n{printed.getvalue()}"


@pytest.mark.parametrize("page", [marked(page) for page in PAGES if examples(page)])
def test_examples_of_the_page_run(page, tmp_path, monkeypatch):
    if page.name in HOSTILE and (missing := probe().missing):
        pytest.skip("; ".join(missing))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # a policy of one's own puts its folder there
    names: dict[str, object] = {"__name__": "__main__"}
    for one in examples(page):
        if one.directive == "file":
            (tmp_path / str(one.name)).write_text(one.code, encoding="utf-8")
        elif one.language == "python":
            run_python(one, names, page.name)
        else:
            run_commands(one, page.name)
