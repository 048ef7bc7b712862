"""The command line, `python -m microgradx`. The commands themselves are in `commands`.

A command imports heavy modules in its `run`, so that --help is fast.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

from microgradx.commands import doctor, draw, explain, info, predict, softmax, train
from microgradx.commands.arguments import Parser
from microgradx.commands.expressions import ExpressionError
from microgradx.commands.output import printable_lines, tolerant_streams
from microgradx.common.files import ReplacedFiles
from microgradx.common.messages import InputError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    0: done, also if nobody read all of the output. 1: a gradient was wrong, or this package has a
    mistake. 2: an input cannot be used, the output cannot be written, or a package is not
    installed; stderr says why, in one line, or with a caret below an expression. 130: interrupted
    by Ctrl-C; stderr says which files are new.
    """
    replaced = ReplacedFiles()
    try:
        with tolerant_streams() as stdout, replaced:
            status = _run_command(argv)
            stdout.flush()
            if not isinstance(stdout.failure, BrokenPipeError | None):
                return _report_error(stdout.failure, 2)
            return status
    except KeyboardInterrupt:
        new = ", ".join(replaced.names())
        files = f"new: {new}; other files are as before" if new else "no file was changed"
        with tolerant_streams():
            print(f"\nmicrogradx: interrupted; {printable_lines(files)}", file=sys.stderr)
        return 130


def _run_command(argv: Sequence[str] | None) -> int:
    try:
        arguments = make_parser().parse_args(argv)
        status: int = arguments.run(arguments)
        return status
    except ExpressionError as error:
        return _report_error(error, 2)
    except (InputError, FloatingPointError, OSError) as error:
        return _report_error(f"{error}".replace("\n", " "), 2)
    except train.WrongGradientError as error:
        return _report_error(error, 1)
    except MemoryError as error:
        return _report_error(f"not enough memory: {error}; try fewer rows or units", 2)
    except Exception as error:
        # Nothing that a user gave may end here; if it does, the line says where to look.
        *_, (frame, line) = traceback.walk_tb(error.__traceback__)
        place = f"{os.path.basename(frame.f_code.co_filename)}, line {line}"
        return _report_error(
            f"this is a mistake in microgradx itself, in {place}: {type(error).__name__}: {error}; "
            "please report it, with this command",
            1,
        )


def _report_error(error: object, status: int) -> int:
    print(f"microgradx: error: {printable_lines(str(error))}", file=sys.stderr)
    return status


def make_parser() -> Parser:
    parser = Parser(
        prog="python -m microgradx",
        description="Watch backpropagation at work, and train small classifiers.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (train, predict, doctor, explain, draw, softmax, info):
        command.add_parser(commands)
    return parser
