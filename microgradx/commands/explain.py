"""`explain`: an expression and its backpropagation, step by step, as text or as an HTML page."""

from __future__ import annotations

import argparse
from typing import Any

from microgradx.commands.expression_arguments import (
    NOTES,
    add_expression,
    check_gradients,
    compute_result,
    print_warnings,
)
from microgradx.common.messages import InputError, printable

__all__ = ["add_parser", "run"]

EXAMPLES = """
Examples:
  python -m microgradx explain "(a*b + c).tanh()" a=2 b=-3 c=10
  python -m microgradx explain "L = cross_entropy(x @ w, 0)" x=1,2 \\
      "w=[[1,0],[0,1]]" -o page.html
"""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "explain",
        help="show an expression and its backpropagation step by step",
        description="Show, step by step, how an expression is computed, and then its gradients "
        "by\nbackpropagation: as text, or as an HTML page to step through.",
        epilog=NOTES + EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add_expression(parser)
    parser.add_argument(
        "-o",
        "--out",
        metavar="FILE",
        help="the page's file, such as page.html (default: print text)",
    )


def run(arguments: argparse.Namespace) -> int:
    from microgradx.show.explanation import explain
    from microgradx.show.graphs.rendering import RenderingError
    from microgradx.show.step_text import steps

    with print_warnings():
        tensor = compute_result(arguments)
        if tensor.op is None:
            raise InputError(
                f"{tensor.name} alone has no steps; compute something from it, such as "
                f"2*{tensor.name}"
            )
        check_gradients(tensor)
        if arguments.out is None:
            steps(tensor).show()
            return 0
        try:
            explain(tensor, arguments.out)
        except (ValueError, RenderingError) as error:
            raise InputError(str(error)) from error
    print(f"Written: {printable(arguments.out)}; open it in a browser")
    return 0
