"""Computations written as text, such as (a*b + c).tanh(): parsed as formulas, never run as Python.

The grammar is Python's. A walk over the syntax tree computes the value and knows only what a
formula needs; everything else that Python allows is refused, with its column.
"""

from __future__ import annotations

import ast
import math
import operator
import unicodedata
import warnings
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from keyword import iskeyword
from typing import Any

import numpy as np

from microgradx.arrays.methods import ArrayMethods
from microgradx.common.nested import leaves_of
from microgradx.engine import Op, Tensor
from microgradx.functional import (
    binary_classification,
    classification,
    probabilities,
    regression,
)
from microgradx.ops import (
    activations,
    decompositions,
    elementwise,
    indexing,
    linalg,
    norms,
    numerical_analysis,
    products,
    rearrangements,
    reductions,
    shapes,
    statistics,
)

__all__ = ["ExpressionError", "compute_expression"]

# An expression may come from anywhere, so its cost is bounded: the result of an op on two of the
# largest arrays still fits into memory.
MAX_CHARACTERS = 2_000
MAX_DEPTH = 100  # levels of nesting, far below Python's limit
MAX_ELEMENTS = 4_096  # of an array

#: Functions of which a single call, by a number, a text or a third array, can need any amount of
#: memory or time.
UNBOUNDED = {
    *("array_split", "split", "hsplit", "vsplit", "dsplit", "multi_dot", "einsum", "meshgrid"),
    *("broadcast_to", "repeat", "tile", "pad", "diag", "diff", "one_hot", "astype"),
    *("full_like", "ones_like", "zeros_like", "linear", "linspace", "logspace", "geomspace"),
    *(
        "vander",
        "polyfit",
        "polyint",
        "resize",
        "insert",
        "diagflat",
        "block",
        "sliding_window_view",
    ),
    *("apply_along_axis", "apply_over_axes", "piecewise", "choose", "bincount"),
}

#: Line and column, from 1.
Position = tuple[int, int]

#: Optional before the name of a function: np.tanh(x) is tanh(x).
PREFIXES = ("mg", "microgradx", "np", "numpy")

PROPERTIES = ("T", "mT")

OPERATORS: dict[type[ast.AST], tuple[str, Callable[..., Any]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.FloorDiv: ("//", operator.floordiv),
    ast.Mod: ("%", operator.mod),
    ast.Pow: ("**", operator.pow),
    ast.MatMult: ("@", operator.matmul),
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
    ast.USub: ("-", operator.neg),
    ast.UAdd: ("+", operator.pos),
}

#: Names of mathematics for functions that have another name here.
SYNONYMS = {"ln": "log", "pow": "power"}

#: Characters that resemble operators, as in a formula pasted from a text, and what to write.
LOOK_ALIKES = {
    **dict.fromkeys("−–—", "-"),
    **dict.fromkeys("×·⋅∙∗", "*"),
    **dict.fromkeys("÷∕", "/"),
    "²": "**2",
    "³": "**3",
    "√": "sqrt(x)",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
}

ALLOWED = (
    "this cannot be part of an expression; allowed are numbers, the names of variables, + - * / ** "
    "@, comparisons, functions such as tanh(x), methods such as x.sum(axis=0), x.T, and indices "
    "such as x[0]"
)

TOO_DEEP = f"more than {MAX_DEPTH} levels of nesting; name parts, as in: d = a*b; L = d.tanh()"


class ExpressionError(ValueError):
    """An expression cannot be computed. The message shows where, why, and what to write.

    `line` and `column`, from 1, are None if the error has no single position.

    >>> compute_expression("2^a", {"a": 3})
    Traceback (most recent call last):
    microgradx.commands.expressions.ExpressionError: in the expression, at column 2:
      2^a
       ^
    ^ is not an operator here; write ** for powers
    """

    line: int | None = None
    column: int | None = None

    def __init__(self, message: str, position: Position | None = None) -> None:
        super().__init__(message)
        if position is not None:
            self.line, self.column = position


def compute_expression(text: str, variables: Mapping[str, Any]) -> Tensor:
    """The result of an expression: a Tensor that remembers how it was computed.

    `variables` maps names to numbers or arrays, which become float64 Tensors of these names that
    require gradients. Operators, functions and methods are those of Tensors that have derivatives.
    Intermediate values can be named: assignments, each on its own line or before a semicolon.

    Nothing else is ever run: an expression can call no function of Python and open no file, and
    its cost is bounded. Raises ExpressionError for what cannot be computed, for names without
    values, for values that are not used, and for results that depend on no variable.

    >>> compute_expression("d = a*b; L = (d + c).tanh()", {"a": 2, "b": -3, "c": 6.5})
    Tensor(0.46211716, op=tanh, requires_grad=True, name='L')
    """
    values: dict[str, Any] = {}
    for given, value in variables.items():
        name = unicodedata.normalize("NFKC", given)  # as Python reads names
        if not name.isidentifier() or iskeyword(name):
            raise ExpressionError(
                f"{given!r} cannot be the name of a variable; use letters, digits and _"
            )
        if name in values:
            raise ExpressionError(f"{name} is given twice; give it once")
        values[name] = Tensor(value, requires_grad=True, dtype=float, name=name)
        if values[name].size > MAX_ELEMENTS:
            raise ExpressionError(
                f"{name} has {values[name].size:,} elements; {MAX_ELEMENTS:,} are allowed"
            )
    with np.errstate(all="ignore"):  # an overflow shows in the result
        return _Interpreter(_Source(text), values).run()


@cache
def functions() -> dict[str, Any]:
    """The public functions that have derivatives, by name."""
    families = (
        *(probabilities, classification, binary_classification, regression),
        *(activations, elementwise, indexing, linalg, decompositions, norms),
        *(numerical_analysis, products, rearrangements, reductions, shapes, statistics),
    )
    return {
        name: function
        for family in families
        for name in family.__all__
        for function in [getattr(family, name)]
        # A function without derivatives, such as argmax, is wrapped in another module.
        if isinstance(function, Op) or function.__module__ == family.__name__
        if name not in UNBOUNDED
    }


@cache
def methods() -> set[str]:
    """The names of those that are methods of Tensors too."""
    return vars(ArrayMethods).keys() & functions().keys()


# ---------------------------------------------------------------------------- the text


class _Source:
    """The text of an expression, its syntax tree, and the positions of the tree's nodes."""

    def __init__(self, text: str) -> None:
        text = text.strip().replace("\r\n", "\n").replace("\r", "\n")
        if not text:
            raise ExpressionError("the expression is empty; write one, such as a*b")
        if len(text) > MAX_CHARACTERS:
            raise ExpressionError(
                f"the expression has {len(text):,} characters; {MAX_CHARACTERS:,} are allowed"
            )
        self.lines = text.split("\n")
        for number, line in enumerate(self.lines, start=1):
            for column, character in enumerate(line, start=1):
                if character in LOOK_ALIKES:
                    reason = f"{character} is not an operator here; write {LOOK_ALIKES[character]}"
                    raise self.error(reason, (number, column))
        self.tree = self._parse(text)
        if not self.tree.body:
            raise ExpressionError("the expression is only a comment; write one, such as a*b")
        self._check_depth()

    def _parse(self, text: str) -> ast.Module:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the parser warns of 1if
                return ast.parse(text)
        except SyntaxError as error:
            # Python's suggestion, after a full stop, is meant for programs.
            reason = error.msg.partition(". ")[0]
            if reason == "invalid decimal literal":
                reason += "; write * between factors, as in 2*a, and begin names with a letter"
            line = min(max(error.lineno or 1, 1), len(self.lines))
            raise self.error(reason, (line, max(error.offset or 1, 1))) from None
        except (RecursionError, MemoryError):
            raise ExpressionError(TOO_DEEP) from None
        except ValueError:
            raise ExpressionError("the expression has characters that are not text") from None

    def _check_depth(self) -> None:
        level: list[ast.AST] = [self.tree]
        for _ in range(MAX_DEPTH):
            level = [child for node in level for child in ast.iter_child_nodes(node)]
        for node in level:
            if isinstance(node, ast.expr):
                raise self.error(TOO_DEEP, self.start(node))

    def error(self, reason: str, position: Position) -> ExpressionError:
        """An error that shows the line, or the part of it that fits, with a caret below."""
        line, column = position
        printable = "".join(
            character if character.isprintable() else " " if character == "\t" else "\N{BULLET}"
            for character in self.lines[line - 1]
        )
        start = max(0, column - 48)
        before, after = printable[start : column - 1], printable[column - 1 : start + 72]
        before = ("…" if start else "") + before
        after += "…" if start + 72 < len(printable) else ""
        width = sum(1 + (unicodedata.east_asian_width(character) in "FW") for character in before)
        at = f"column {column}" if len(self.lines) == 1 else f"line {line}, column {column}"
        reason = " ".join(reason.split())  # the values in it can have several lines
        return ExpressionError(
            f"in the expression, at {at}:\n  {before}{after}\n  {' ' * width}^\n{reason}", position
        )

    # ------------------------------------------------------------------ positions

    def start(self, node: Any) -> Position:
        return self._position(node.lineno, node.col_offset)

    def attribute(self, node: Any) -> Position:
        """Where the name after the dot begins."""
        return self._position(node.end_lineno, node.end_col_offset - len(node.attr.encode()))

    def operator(self, left: Any, symbol: str, right: Any) -> Position:
        """Where the operator between two operands is: the tree has only the operands' positions."""
        line, start = left.end_lineno, left.end_col_offset
        end = right.col_offset if right.lineno == line else None
        gap = self.lines[line - 1].encode()[start:end]
        return self._position(line, start + max(gap.find(symbol.encode()), 0))

    def _position(self, line: int, offset: int) -> Position:
        """The position at an offset in bytes, in which the tree counts."""
        return line, len(self.lines[line - 1].encode()[:offset].decode()) + 1


# ---------------------------------------------------------------------------- the values


class _Interpreter:
    """Computes the tree, node by node. Values are Tensors, arrays, numbers, and lists of these."""

    def __init__(self, source: _Source, values: dict[str, Any]) -> None:
        self.source = source
        self.values = values
        self.unused = {name: f"{name} is given" for name in values}

    def run(self) -> Tensor:
        *parts, last = self.source.tree.body
        for part in parts:
            if not isinstance(part, ast.Assign):
                raise self._error(
                    "the value of this part is not used; give it a name: d = a*b", part
                )
            self._assign(part)
        if isinstance(last, ast.Assign):
            value = self._assign(last)
            self.unused.popitem()  # the result's own name
        elif isinstance(last, ast.Expr):
            value = self._value(last.value)
        else:
            raise self._error(ALLOWED, last)
        for origin in self.unused.values():
            raise ExpressionError(f"{origin}, but the expression does not use it; leave it out")
        if isinstance(value, (tuple, list)):
            raise self._error("several results; pick one by an index, or write stack([a, b])", last)
        if not (isinstance(value, Tensor) and value.requires_grad):
            raise self._error(
                "the result depends on no variable, so there are no gradients; use one, as in 2*a, "
                "and give it a value: a=3",
                last,
            )
        return value

    def _assign(self, part: ast.Assign) -> Any:
        """Compute a part and give the value its name."""
        target = part.targets[0]
        if not isinstance(target, ast.Name) or len(part.targets) > 1:
            raise self._error("a part has one name, as in d = a*b", target)
        name = target.id
        if name in self.values:
            raise self._error(f"{name} has a value already; use another name", target)
        value = self.values[name] = self._value(part.value)
        self.unused[name] = f"{name} is computed"
        if isinstance(value, Tensor) and value.name is None:
            value.name = name
        return value

    def _value(self, node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=number) if type(number) in (int, float):
                # NumPy's numbers overflow to inf; Python's integers would grow without bound.
                return self._apply(self.source.start(node), np.float64, number)
            case ast.Name(id=name):
                return self._variable(name, node)
            case ast.UnaryOp(op=op, operand=x) if type(op) in OPERATORS:
                _, function = OPERATORS[type(op)]
                return self._apply(self.source.start(node), function, self._operand(x))
            case (
                ast.BinOp(left=x, op=op, right=y) | ast.Compare(left=x, ops=[op], comparators=[y])
            ) if type(op) in OPERATORS:
                symbol, function = OPERATORS[type(op)]
                position = self.source.operator(x, symbol, y)
                return self._apply(position, function, self._operand(x), self._operand(y))
            case ast.BinOp(left=x, op=ast.BitXor(), right=y):
                position = self.source.operator(x, "^", y)
                raise self.source.error("^ is not an operator here; write ** for powers", position)
            case ast.IfExp():
                raise self._error("if is not known here; write where(condition, x, y)", node)
            case ast.Call():
                return self._call(node)
            case ast.Attribute(value=x, attr=name):
                if name not in PROPERTIES:
                    raise self._no_attribute(node)
                position = self.source.attribute(node)
                return self._apply(position, getattr, self._tensor(x), name)
            case ast.Subscript(value=x, slice=index):
                position = self.source.start(index)
                return self._apply(position, operator.getitem, self._value(x), self._index(index))
            case ast.Tuple(elts=elements):
                return tuple(map(self._argument, elements))
            case ast.List(elts=elements):
                return list(map(self._argument, elements))
        raise self._error(ALLOWED, node)

    def _variable(self, name: str, node: ast.Name) -> Any:
        if name in self.values:
            self.unused.pop(name, None)
            return self.values[name]
        if name in functions():
            raise self._error(f"{name} is a function; write {name}(x)", node)
        raise self._error(f"{name} has no value; give it one after the expression: {name}=1", node)

    def _operand(self, node: ast.expr) -> Any:
        """A Tensor, an array or a number. A list becomes an array: + would concatenate lists."""
        value = self._value(node)
        if not isinstance(value, (tuple, list)):
            return value
        if any(isinstance(element, Tensor) for element in leaves_of(value)):
            raise self._error("several values; pick one by an index, or write stack([a, b])", node)
        return self._apply(self.source.start(node), np.array, value, float)

    def _tensor(self, node: ast.expr) -> Tensor:
        """A value that has methods."""
        value = self._value(node)
        if not isinstance(value, Tensor):
            raise self._error("only variables, and what depends on them, have methods", node)
        return value

    def _argument(self, node: ast.expr, *, text: bool = False) -> Any:
        """A value, or a setting of a function, such as an axis."""
        match node:
            case ast.Constant(value=None | bool() | int() | float() as constant):
                return constant
            case ast.Constant(value=str() as constant) if text:
                return constant
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as number)):
                return -number
        return self._value(node)

    def _index(self, node: ast.expr) -> Any:
        match node:
            case ast.Slice(lower=lower, upper=upper, step=step):
                return slice(*(x and self._argument(x) for x in (lower, upper, step)))
            case ast.Tuple(elts=elements):
                return tuple(map(self._index, elements))
            case ast.Constant(value=constant) if constant is Ellipsis:
                return constant
        return self._argument(node)

    # ------------------------------------------------------------------ calls

    def _call(self, node: ast.Call) -> Any:
        match node.func:
            case ast.Name(id=name) as called if name not in self.values:
                position = self.source.start(called)
                function = self._function(name, position)
            case ast.Attribute(value=ast.Name(id=prefix), attr=name) as called if (
                prefix in PREFIXES and prefix not in self.values
            ):
                position = self.source.attribute(called)
                function = self._function(name, position)
            case ast.Attribute(value=x, attr=name) as called:
                if name not in methods():
                    raise self._no_attribute(called)
                position = self.source.attribute(called)
                function = getattr(self._tensor(x), name)
            case ast.Name(id=name) as called:
                reason = f"{name} is a variable, not a function; to multiply, write {name}*(…)"
                raise self._error(reason, called)
            case called:
                raise self._error("this is not a function; to multiply, write * in between", called)
        arguments = map(self._argument, node.args)
        settings = {}
        for keyword in node.keywords:
            if keyword.arg is None:  # **settings
                raise self._error(ALLOWED, keyword.value)
            settings[keyword.arg] = self._argument(keyword.value, text=True)
        return self._apply(position, function, *arguments, **settings)

    def _function(self, name: str, position: Position) -> Any:
        if name not in functions():
            known = _suggest(name, functions()) or "there are tanh(x), sum(x) and others"
            raise self.source.error(f"there is no function {name} here; {known}", position)
        return functions()[name]

    def _apply(self, position: Position, function: Any, /, *arguments: Any, **settings: Any) -> Any:
        """The value of a function, if neither its cost nor its size is out of bounds."""
        given = leaves_of([*arguments, *settings.values()])
        try:
            size = math.prod(np.broadcast_shapes(*(np.shape(x) for x in given)))
        except ValueError:
            size = 0  # arrays that do not broadcast do not grow either
        if size <= MAX_ELEMENTS**2:
            try:
                value = function(*arguments, **settings)
            except Exception as error:  # the arguments do not fit the function
                raise self.source.error(str(error) or type(error).__name__, position) from error
            size = max(map(np.size, leaves_of(value)), default=0)
            if size <= MAX_ELEMENTS:
                return value
        raise self.source.error(
            f"this would have {size:,} elements; {MAX_ELEMENTS:,} are allowed", position
        )

    # ------------------------------------------------------------------ errors

    def _error(self, reason: str, node: Any) -> ExpressionError:
        return self.source.error(reason, self.source.start(node))

    def _no_attribute(self, node: ast.Attribute) -> ExpressionError:
        name = node.attr
        if name in methods():
            reason = f"{name} is a method; write .{name}()"
        elif name in PROPERTIES:
            reason = f"{name} is not a method; write .{name} without brackets"
        elif name in functions():
            reason = f"{name} is not a method but a function; write {name}(x)"
        else:
            known = _suggest(name, [*methods(), *PROPERTIES]) or "there are .tanh(), .T and others"
            reason = f"there is no .{name} here; {known}"
        return self.source.error(reason, self.source.attribute(node))


def _suggest(name: str, known: Iterable[str]) -> str:
    """A question that suggests similar names; empty if there is none."""
    found = get_close_matches(SYNONYMS.get(name, name), sorted(known), n=2, cutoff=0.7)
    return f"did you mean {' or '.join(found)}?" if found else ""
