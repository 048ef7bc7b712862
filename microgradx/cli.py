"""The command line: `python -m microgradx`. What the commands do is in `commands`.

What is heavy is imported by the command that needs it, so that --help answers at once.
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
    """Run a command; gives the exit status.

    0: done. 1: a gradient was wrong. 2: what was given cannot be used, or what is needed is not
    installed; stderr says why, in one line, or with a caret below the place in an expression. 130:
    interrupted by Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # for terminals that know no arrows
    try:
        arguments = parser().parse_args(argv)
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output, such as `head`, has had enough. Python would complain once more
        # at exit, when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (InputError, ExpressionError, FloatingPointError, OSError) as error:
        return _failed(error, 2)
    except (ArithmeticError, AssertionError) as error:  # from verify_gradients
        return _failed(error, 1)
    except MemoryError as error:
        return _failed(MemoryError(f"not enough memory: {error}; try fewer rows or units"), 2)
    except KeyboardInterrupt:
        print("\nmicrogradx: interrupted", file=sys.stderr)
        return 130
    return status


def _failed(error: Exception, status: int) -> int:
    print(f"microgradx: error: {error}", file=sys.stderr)
    return status


def parser() -> Parser:
    parser = Parser(
        prog="python -m microgradx",
        description="Watch backpropagation at work, and train small classifiers.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (train, predict, explain, draw, softmax, info):
        command.add_to(commands)
    return parser
