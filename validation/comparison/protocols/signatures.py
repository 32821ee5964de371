"""The arguments of what may be decorated, or written in C."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import FunctionType
from typing import Any

_VAR_POSITIONAL = inspect.Parameter.VAR_POSITIONAL
_VAR_KEYWORD = inspect.Parameter.VAR_KEYWORD


def parameters_of(thing: Any) -> Mapping[str, inspect.Parameter]:
    """The arguments of a function or a class by name; empty where they cannot be known.

    Of a decorator's function that hands on all that it is given, those of what it decorates.
    """
    try:
        own = inspect.signature(thing).parameters
    except (TypeError, ValueError):
        return {}
    if {p.kind for p in own.values()} >= {_VAR_POSITIONAL, _VAR_KEYWORD}:
        cells = getattr(thing, "__closure__", None) or ()
        inner = [c.cell_contents for c in cells if isinstance(c.cell_contents, FunctionType)]
        if len(inner) == 1:
            return parameters_of(inner[0])
    return own
