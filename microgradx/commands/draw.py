"""`draw`: the computation graph of an expression, as a picture or as its source."""

from __future__ import annotations

import argparse
from typing import Any

from microgradx.commands.arguments import nonnegative_int, positive_int
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
  python -m microgradx draw "(a*b + c).tanh()" a=2 b=-3 c=10 -o graph.svg
  python -m microgradx draw "e = y - w*x; (e*e).mean()" x=1,2 y=3,5 w=2 \\
      -o graph.png
  python -m microgradx draw "a*a" a=3 | dot -Tpng > graph.png
"""


def add_parser(commands: Any) -> None:
    parser = commands.add_parser(
        "draw",
        help="draw the computation graph of an expression",
        description="Draw the computation graph of an expression, with values and gradients.",
        epilog=NOTES + EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    add_expression(parser)
    parser.add_argument(
        "-o",
        "--out",
        metavar="FILE",
        help="the picture's file; the ending sets the format: .svg, .png, .pdf, .html, .mmd "
        "(Mermaid), .dot or .gv (default: print DOT source)",
    )
    parser.add_argument(
        "--depth",
        type=nonnegative_int,
        metavar="N",
        help="how many levels of nested functions to draw open (default: all)",
    )
    parser.add_argument(
        "--max-nodes",
        type=positive_int,
        default=200,
        metavar="N",
        help="draw at most N boxes and ellipses (default: %(default)s)",
    )
    parser.add_argument("--no-gradients", action="store_true", help="draw only the values")


def run(arguments: argparse.Namespace) -> int:
    from microgradx.show.graphs.drawing import draw
    from microgradx.show.graphs.rendering import RenderingError

    with print_warnings():
        result = compute_result(arguments)
        if not arguments.no_gradients:
            check_gradients(result, "; --no-gradients draws the values alone")
        drawing = draw(
            result,
            gradients=not arguments.no_gradients,
            depth=arguments.depth,
            max_nodes=arguments.max_nodes,
        )
        if arguments.out is None:
            print(drawing.source, end="")
            return 0
        try:
            drawing.save(arguments.out)
        except (ValueError, RenderingError) as error:
            raise InputError(str(error)) from error
    print(f"Written: {printable(arguments.out)}")
    return 0
