"""The command line: from its arguments to a command, and from what goes wrong to one line and an exit code."""

import contextlib
import errno
import functools
import io
import os
import re
import sys
import traceback
from collections.abc import Callable
from typing import Any

import tyro

from sandtable.commands import COMMANDS
from sandtable.data_commands import DATA_COMMANDS


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code.

    0: done; 1: a claim or a run failed; 2: wrong input; 130: interrupted; 141: nobody reads the output any more.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    from sandtable.simulators.errors import InputError, MissingExtraError

    problem: BaseException
    try:
        code = parse(arguments)()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        forget_output()
        return 141
    except (InputError, MissingExtraError) as error:
        message, code, problem = str(error), 2, error
    except OSError as error:
        message, code, problem = told(error), 2, error
    except KeyboardInterrupt as error:
        message, code, problem = "interrupted; the same command goes on where it stopped", 130, error
    if "--verbose" in arguments:
        traceback.print_exception(problem)
    print("sandtable: " + " ".join(message.split()), file=sys.stderr)
    return code


def parse(arguments: list[str]) -> Callable[[], int]:
    """Return the command that the arguments name, ready to run; one that prints nothing more after ``--help``.

    Raises:
        InputError: There is no such command or option, or its value cannot be used.
    """
    from sandtable.simulators.errors import InputError

    commands, program = COMMANDS, "sandtable"
    purpose = "Rehearse decisions on a model of the ground before making them on the ground itself."
    if arguments[:1] == ["data"]:
        commands, program, arguments = DATA_COMMANDS, "sandtable data", arguments[1:]
        purpose = "Look into files of data, and bring data in."
    shown = io.StringIO()
    try:
        with contextlib.redirect_stderr(shown):
            return tyro.extras.subcommand_cli_from_dict(
                {name: deferred(command) for name, command in commands.items()},
                prog=program,
                description=purpose,
                args=arguments,
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
            )
    except SystemExit as end:
        if not end.code:
            return lambda: 0
        command = " ".join([program, *arguments[:1]]) if arguments[:1] and arguments[0] in commands else program
        raise InputError(f"{on_one_line(shown.getvalue())}; see {command} --help") from None


def deferred(command: Callable[..., int]) -> Callable[..., Callable[[], int]]:
    """Return a function with the signature and help of a command that returns the command, ready to run."""

    @functools.wraps(command)
    def prepare(*positional: Any, **options: Any) -> Callable[[], int]:
        return functools.partial(command, *positional, **options)

    prepare.__annotations__ = {**command.__annotations__, "return": Callable[[], int]}
    return prepare


def on_one_line(box: str) -> str:
    """Return what a box drawn by tyro says is wrong: its title and its paragraphs, without the help text."""
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;]*m", "", box).splitlines()]
    title = next((line.strip("╭─╮ ") for line in lines if line.startswith("╭")), "")
    body = "\n".join(line.strip("│ ") for line in lines if line[:1] not in "╭╰")
    paragraphs = [" ".join(part.split()) for part in re.split(r"─{3,}", body)]
    kept = [part for part in paragraphs if part and not part.startswith(("Argument helptext", "For full helptext"))]
    if not kept or not kept[0].startswith((title, "Error parsing", "Missing", title.lower())):
        kept.insert(0, title)
    return "; ".join(kept)


def told(error: OSError) -> str:
    """Return what is wrong with a file or disk, and what to do."""
    named = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) and "disk" not in str(error.strerror):
        return f"{named}the disk is full; free some space and run the same command again"
    return f"{named}{error.strerror or error}"


def forget_output() -> None:
    """Let nothing more be written to standard output, so that the interpreter does not fail when it flushes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
