"""Which variables from outside a function's code uses."""

from __future__ import annotations

import dis
from types import CodeType

__all__ = ["global_names"]

_LOADS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}


def global_names(code: CodeType) -> list[str]:
    """The global names that a function looks up, and those of the functions inside it.

    `co_names` has the names of attributes too, which may be those of unrelated variables.

    >>> global_names((lambda x: x.weight * scale).__code__)
    ['scale']
    """
    found = {i.argval: None for i in dis.get_instructions(code) if i.opname in _LOADS}
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return [*found | dict.fromkeys(name for each in inner for name in global_names(each))]
