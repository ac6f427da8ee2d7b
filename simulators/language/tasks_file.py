"""Files of tasks: ``sandtable.tasks/1``, and the files of HumanEval, MBPP and GSM8K as they are published.

``sandtable.tasks/1`` is JSON Lines, a task a line: ``task_id``, ``kind`` (``python``, ``number`` or ``text``) and
``prompt``; for python ``entry_point``, ``tests``, and if needed ``helpers``, ``setup`` and ``visible_tests``; for the
others ``answer``. ``reference``, a completion that is right, is optional.
"""

import ast
import contextlib
import doctest
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sandtable.simulators.language.json_lines import (
    JsonLine,
    as_text,
    first_fields,
    one_of,
    read_lines,
    require_unique,
    shown,
    write_lines,
)
from sandtable.simulators.language.number_answers import final_number
from sandtable.simulators.language.tasks import KINDS, Task, TasksFile

SCHEMA = "sandtable.tasks/1"
NO_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What the parser raises: the last two where a source is nested too deeply."""


def read_tasks(path: str | Path) -> TasksFile:
    """Read a file of tasks (JSON Lines, UTF-8; also .gz): ``sandtable.tasks/1``, HumanEval, MBPP or GSM8K.

    Ids of MBPP are ``MBPP/<number>``; those of GSM8K ``GSM8K/<name of the file>/<number of the line, from 0>``.

    Raises:
        InputError: What is wrong, with line and field.
    """
    path, lines = Path(path), list(read_lines(path))
    source = tasks_source(lines[0].fields)
    if source is None:
        lines[0].fail("kind", f"no file of tasks is known with the fields {', '.join(sorted(lines[0].fields))}")
    tasks = [_READERS[source](line) for line in lines]
    if source == "gsm8k":
        stem = path.name.removesuffix(".gz").removesuffix(".jsonl")
        tasks = [_numbered(task, f"GSM8K/{stem}/{number}") for number, task in enumerate(tasks)]
    require_unique(lines, [task.task_id for task in tasks], "task_id")
    return TasksFile(path, source, tuple(tasks))


def tasks_source(fields: Mapping[str, Any]) -> str | None:
    """Return what a file of tasks is, by the fields of its first line; None where it is none."""
    needed = {
        "sandtable": {"task_id", "kind"},
        "humaneval": {"task_id", "prompt", "test", "entry_point"},
        "mbpp": {"task_id", "text", "code", "test_list"},
        "gsm8k": {"question", "answer"},
    }
    return next((source for source, names in needed.items() if names <= set(fields)), None)


def is_tasks(path: str | Path) -> bool:
    """Tell whether a file holds tasks, from its first line."""
    fields = first_fields(path)
    return fields is not None and tasks_source(fields) is not None


def write_tasks(path: str | Path, tasks: Iterable[Task]) -> None:
    """Write ``sandtable.tasks/1``, atomically; fields that say nothing are left out."""
    write_lines(path, (_fields(task) for task in tasks))


def _fields(task: Task) -> dict[str, Any]:
    needed = ("task_id", "kind", "prompt", "answer")
    told = asdict(task).items()
    return {name: value for name, value in told if value is not None and (value or name in needed)}


def _of_sandtable(line: JsonLine) -> Task:
    text = {
        name: line.optional(name, as_text) or ""
        for name in ("entry_point", "helpers", "setup", "tests", "visible_tests")
    }
    kind = line.optional("kind", one_of(*KINDS))
    if kind is None:
        line.fail("kind", f"it must be one of {', '.join(KINDS)}")
    answer = line.optional("answer", as_text)
    task = Task(
        line.name("task_id"), kind, line.text("prompt"), answer=answer, reference=line.optional("reference", as_text),
        **text,
    )  # fmt: skip
    if kind == "python":
        for name in ("entry_point", "tests"):
            if not text[name].strip():
                line.fail(name, "a task of kind python needs it")
        for name in ("helpers", "setup", "tests", "visible_tests"):
            _require_source(line, name, text[name])
        if not text["entry_point"].isidentifier():
            line.fail("entry_point", f"{shown(text['entry_point'])} is not the name of a function")
    elif answer is None:
        line.fail("answer", f"a task of kind {kind} needs it")
    elif kind == "number" and final_number(answer) is None:
        line.fail("answer", f"{shown(answer)} holds no number")
    return task


def _of_humaneval(line: JsonLine) -> Task:
    """Return a problem of HumanEval (arXiv 2107.03374): its tests are a function ``check`` of the candidate."""
    entry, prompt = line.name("entry_point"), line.text("prompt")
    tests = f"{line.text('test').strip()}\n\ncheck({entry})\n"
    _require_source(line, "test", tests)
    return Task(
        task_id=line.name("task_id"),
        kind="python",
        prompt=prompt,
        entry_point=entry,
        helpers=helpers_of(prompt, entry) if f"{entry}(" in prompt else "",
        tests=tests,
        visible_tests=examples_of(prompt, entry),
        reference=line.optional("canonical_solution", as_text),
    )


def examples_of(prompt: str, entry_point: str) -> str:
    """Return the examples of a function's docstring, ``>>> f(1)`` and a value below, as assertions; "" without any."""
    functions = [one for one in _prompted(prompt) if isinstance(one, ast.FunctionDef) and one.name == entry_point]
    found = []
    with contextlib.suppress(ValueError, RecursionError):  # other indents than doctest's; endless sums
        for one in doctest.DocTestParser().get_examples((functions and ast.get_docstring(functions[-1])) or ""):
            call, value = (_expression(text) for text in (one.source, one.want))
            if call is None or value is None or _names(value):  # a value, not words
                continue
            if entry_point in {name.id for name in _names(call)}:
                found.append(f"assert {ast.unparse(call)} == {ast.unparse(value)}\n")
    return "".join(found)


def _prompted(prompt: str) -> list[ast.stmt]:
    """Return the statements of a prompt that ends with a function to be completed; none where it is no Python."""
    for ending in ("", "\n    pass\n"):  # a docstring is a body; some prompts have none
        with contextlib.suppress(*NO_PYTHON):
            return parsed(prompt + ending).body
    return []


def _expression(source: str) -> ast.expr | None:
    """Return the one expression that a source is, or None."""
    with contextlib.suppress(*NO_PYTHON):
        body = parsed(source.strip()).body
        if len(body) == 1 and isinstance(body[0], ast.Expr):
            return body[0].value
    return None


def _names(tree: ast.AST) -> list[ast.Name]:
    return [one for one in ast.walk(tree) if isinstance(one, ast.Name)]


def helpers_of(prompt: str, entry_point: str) -> str:
    """Return the source of the functions that a prompt defines before the one to be completed, with its imports.

    Tests may call them (HumanEval/32, 38 and 50), and a program may not be asked what they are. "" where there are
    none.
    """
    body = _prompted(prompt)
    functions = [one for one in body if isinstance(one, ast.FunctionDef) and one.name != entry_point]
    if not functions:
        return ""
    imports = [one for one in body if isinstance(one, ast.Import | ast.ImportFrom)]
    lines = _lines(prompt).split("\n")
    return "\n\n".join("\n".join(lines[one.lineno - 1 : one.end_lineno]) for one in [*imports, *functions]) + "\n"


def _of_mbpp(line: JsonLine) -> Task:
    """Return a problem of MBPP (arXiv 2108.07732): code, setup, then one assertion a test.

    The prompt is a docstring of the text and the first assertion, as code models are asked without examples.
    """
    number = line.fields["task_id"]
    if isinstance(number, bool) or not isinstance(number, int | str):
        line.fail("task_id", f"it must be a number, not {shown(number)}")
    asserts = [one or "" for one in line.rows("test_list", None, as_text)]
    if not asserts:
        line.fail("test_list", "it is empty")
    code = _lines(line.text("code"))
    tests, setup = "\n".join(asserts) + "\n", _lines(line.optional("test_setup_code", as_text) or "")
    _require_source(line, "test_list", tests)
    _require_source(line, "test_setup_code", setup)
    return Task(
        task_id=f"MBPP/{number}",
        kind="python",
        prompt=f'"""\n{line.text("text")}\n{asserts[0]}\n"""\n',
        entry_point=_called(line, code, tests),
        setup=setup,
        tests=tests,
        visible_tests=asserts[0] + "\n",
        reference=code,
    )


def _called(line: JsonLine, code: str, tests: str) -> str:
    """Return the function of the code that the tests call."""
    _require_source(line, "code", code)
    defined = {one.name for one in parsed(code).body if isinstance(one, ast.FunctionDef)}
    for node in ast.walk(parsed(tests)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in defined:
            return node.func.id
    line.fail("test_list", "no test calls a function of the code")


def _of_gsm8k(line: JsonLine) -> Task:
    """Return a problem of GSM8K (arXiv 2110.14168): its answer is the number after ``####``."""
    solution = line.text("answer")
    if final_number(solution) is None:
        line.fail("answer", "it holds no number")
    return Task("", "number", line.text("question"), answer=str(final_number(solution)), reference=solution)


def _numbered(task: Task, task_id: str) -> Task:
    return Task(task_id, task.kind, task.prompt, answer=task.answer, reference=task.reference)


def _lines(source: str) -> str:
    """Return source with the line ends of Unix."""
    return source.replace("\r\n", "\n").replace("\r", "\n")


def _require_source(line: JsonLine, field: str, source: str) -> None:
    """Raise unless a field is Python."""
    try:
        parsed(source)
    except SyntaxError as error:
        where = f", its line {error.lineno}" if error.lineno else ""  # of a NUL nobody knows
        line.fail(field, f"it is no Python ({error.msg}{where})")
    except NO_PYTHON as error:
        line.fail(field, f"it is no Python ({error or 'nested too deeply'})")


def parsed(source: str) -> ast.Module:
    """Return the tree of a source, without its warnings; raise one of ``NO_PYTHON``. Nothing of it runs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


_READERS: dict[str, Callable[[JsonLine], Task]] = {
    "sandtable": _of_sandtable, "humaneval": _of_humaneval, "mbpp": _of_mbpp, "gsm8k": _of_gsm8k,
}  # fmt: skip
