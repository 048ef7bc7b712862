"""A file imports only from floors below its own, and touches no other room's private names.

A room is what lies at the top level of the package: a folder, or a file.
"""

import ast
import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = "microgradx"  # its __init__.py imports from everywhere, and nobody imports it
PACKAGE = Path(__file__).parent.parent / ROOT

# The floors from the ground up, each with its rooms. The README's table shows them from the top.
FLOORS = (
    ("common",),
    ("arrays",),
    ("graph",),
    ("engine",),
    ("ops",),
    ("functional",),
    ("autograd", "clipping"),
    ("transforms",),
    ("checking",),
    ("nn", "optim", "data", "metrics", "sampling"),
    ("compiler",),
    ("training",),
    ("show",),
    ("commands",),
    ("cli",),
    ("__main__",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def module_of(path):
    *folders, name = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(folders if name == "__init__" else [*folders, name])


FILES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
MODULES = [module for module in FILES if module != ROOT]


def room_of(module):
    return module.split(".")[1]


@cache
def nodes_of(module):
    return list(ast.walk(ast.parse(FILES[module].read_text(encoding="utf-8"))))


def imports_of(nodes):
    """The line and the module of each import from the package, deferred and TYPE_CHECKING ones too.

    The module of `from microgradx.show import pages` is microgradx.show.pages.
    """
    for node in nodes:
        match node:
            case ast.Import(names):
                # `import microgradx.show` is an import of microgradx: it binds that name.
                modules = [ROOT for alias in names if alias.name.split(".")[0] == ROOT]
            case ast.ImportFrom(level=1 | 2 | 3):
                modules = [ROOT]  # a relative import: refused, as it hides where it leads
            case ast.ImportFrom(source, names) if source.split(".")[0] == ROOT:
                submodules = [f"{source}.{alias.name}" for alias in names]
                modules = [module if module in FILES else source for module in submodules]
            case _:
                continue
        yield from ((node.lineno, module) for module in modules)


def forbidden_imports(module, nodes):
    """The imports of a file that do not lead downwards."""
    room = room_of(module)
    for line, target in imports_of(nodes):
        if target == ROOT or (room_of(target) != room and FLOOR[room_of(target)] >= FLOOR[room]):
            yield f"{module}, line {line}: {target}"


def find_cycle(imports):
    """A cycle in a dict from each module to those that it imports, or None."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def is_own(expression):
    return isinstance(expression, ast.Name) and expression.id in ("self", "cls")


# Public in spite of the underscore: methods of named tuples, and sys._getframe.
PUBLIC = {"_replace", "_asdict", "_fields", "_make", "_field_defaults", "_getframe"}


def defined_names(node):
    match node:
        case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
            return [name]
        case ast.Name(name, ast.Store()):
            return [name]
        case ast.Attribute(object_, name, ast.Store()) if is_own(object_):
            return [name]
        case ast.Assign([ast.Name("__slots__")], slots):
            return ast.literal_eval(slots)
    return []


@cache
def private_names(room):
    """The private functions, classes, variables and attributes that the files of a room define."""
    nodes = (node for module in MODULES if room_of(module) == room for node in nodes_of(module))
    return {name for node in nodes for name in defined_names(node) if is_private(name)}


def foreign_privates(module, nodes):
    """The private names that a file takes from another room, or from another library."""
    own = private_names(room_of(module)) | PUBLIC
    for node in nodes:
        match node:
            case ast.Attribute(object_, name) if is_private(name) and not is_own(object_):
                if name not in own:
                    yield f"{module}, line {node.lineno}: {ast.unparse(node)}"
            case ast.ImportFrom(source, names):
                same_room = source.split(".")[:2] == module.split(".")[:2]
                for alias in names:
                    if is_private(alias.name) and not same_room:
                        yield f"{module}, line {node.lineno}: {source}.{alias.name}"


def test_every_room_has_a_floor():
    rooms = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert set(FLOOR) == rooms - {"__init__", "__pycache__"}


def test_a_file_imports_from_floors_below_its_own():
    assert [i for module in MODULES for i in forbidden_imports(module, nodes_of(module))] == []


def test_no_imports_go_in_a_circle():
    imports = {m: {target for _, target in imports_of(nodes_of(m))} for m in MODULES}
    assert find_cycle(imports) is None


def test_no_room_uses_private_names_of_another():
    assert [i for module in MODULES for i in foreign_privates(module, nodes_of(module))] == []


def test_the_readme_shows_the_floors_from_the_top():
    readme = (PACKAGE.parent / "README.md").read_text(encoding="utf-8")
    table = readme.partition("| floor | what it holds |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (`.*?) \| (.+) \|$", table, re.MULTILINE)
    shown = [re.findall(r"`([\w]+)(?:/|\.py)`", entries) for entries, _ in rows]
    assert shown == [list(rooms) for rooms in reversed(FLOORS)]


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("from microgradx.engine import Tensor", 0),
        ("from microgradx.ops.shapes import reshape", 0),  # the room itself
        ("from microgradx.functional import log_loss", 1),
        ("from microgradx.show import pages", 1),
        ("def later():\n    from microgradx.compiler.compiled import compile", 1),
        ("if TYPE_CHECKING:\n    from microgradx.nn.module import Module", 1),
        ("import microgradx", 1),
        ("import microgradx.common.files", 1),
        ("from microgradx import Tensor", 1),
        ("from microgradx import engine", 0),
        ("from microgradx import cli", 1),
        ("from . import reductions", 1),
    ],
)
def test_an_import_that_does_not_lead_downwards_is_found(line, number):
    nodes = list(ast.walk(ast.parse(line)))
    assert len([*forbidden_imports("microgradx.ops.elementwise", nodes)]) == number


def test_files_of_one_floor_may_not_import_each_other():
    nodes = list(ast.walk(ast.parse("from microgradx.optim.adam import Adam")))
    assert len([*forbidden_imports("microgradx.nn.layers", nodes)]) == 1


def test_a_circle_is_found():
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": set()}) is None
    assert set(find_cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}})) == {"a", "b", "c"}


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("self._anything = cls._something", 0),
        ("table._replace(name='x').__class__", 0),
        ("module._of_nobody", 1),
        ("tensor._of_nobody = 1", 1),
        ("from microgradx.common.threads import _of_nobody", 1),
        ("from numpy import _core", 1),
        ("from microgradx.ops.elementwise import _of_its_own_room", 0),
    ],
)
def test_a_private_name_of_another_room_is_found(line, number):
    nodes = list(ast.walk(ast.parse(line)))
    assert len([*foreign_privates("microgradx.ops.reductions", nodes)]) == number
