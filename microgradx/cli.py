"""The command line, `python -m microgradx`. The commands themselves are in `commands`.

A command imports heavy modules in its `run`, so that --help is fast.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from microgradx.commands import draw, explain, info, predict, softmax, train
from microgradx.commands.arguments import Parser
from microgradx.commands.expressions import ExpressionError
from microgradx.common.messages import InputError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    0: done. 1: a gradient was wrong. 2: an input cannot be used, or a package is not installed;
    stderr says why, in one line, or with a caret below an expression. 130: interrupted by Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # for terminals that cannot show arrows
    try:
        arguments = make_parser().parse_args(argv)
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, such as `head`, has closed the pipe. Without this Python would fail again at
        # exit, when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (InputError, ExpressionError, FloatingPointError, OSError) as error:
        return _report_error(error, 2)
    except (ArithmeticError, AssertionError) as error:  # from verify_gradients
        return _report_error(error, 1)
    except MemoryError as error:
        return _report_error(MemoryError(f"not enough memory: {error}; try fewer rows or units"), 2)
    except KeyboardInterrupt:
        print("\nmicrogradx: interrupted", file=sys.stderr)
        return 130
    return status


def _report_error(error: Exception, status: int) -> int:
    print(f"microgradx: error: {error}", file=sys.stderr)
    return status


def make_parser() -> Parser:
    parser = Parser(
        prog="python -m microgradx",
        description="Watch backpropagation at work, and train small classifiers.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (train, predict, explain, draw, softmax, info):
        command.add_parser(commands)
    return parser
