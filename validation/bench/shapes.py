"""Workloads that people name: of the table, ``NxM``, or a JSON file of shapes of their own."""

from __future__ import annotations

import json
import math
import re
from argparse import ArgumentTypeError
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optimkit.validation.arguments import shorter, suggestion
from optimkit.validation.bench.measurement import free_memory
from optimkit.validation.bench.workloads import ON_DEVICE, WORKLOADS

OVERHEAD = 1_000  # bytes at least that Python's objects take for each tensor
SUCH_AS = 'such as [[64, 48], [48]], or a name for each, such as {"weight": [64, 48]}'


@dataclass(frozen=True)
class Workload:
    """What is stepped, and what it is called.

    Attributes
    ----------
    name : str
        As it was asked for.
    sizes : list of int
        Elements of the tensors.
    """

    name: str
    sizes: list[int]


def workload(text: str) -> Workload:
    """A type of argument: a name of the table, ``NxM``, or a JSON file of shapes."""
    known = WORKLOADS | ON_DEVICE
    if text in known:
        return Workload(text, known[text])
    if text.lower().endswith(".json"):
        sizes = _of_file(Path(text))
        _check_memory(text, len(sizes), sum(sizes))
        return Workload(text, sizes)
    if found := re.fullmatch("([0-9]+)x([0-9]+)", text):
        return Workload(text, _product(text, *found.groups()))
    otherwise = f"there are {', '.join(known)}"
    hint = suggestion(text, known, otherwise)
    own = "28x4096 is 28 tensors of 4,096, and FILE.json has shapes of your own"
    raise ArgumentTypeError(f"no workload is called {shorter(text)!r}; {hint}; {own}")


def _product(text: str, tensors: str, elements: str) -> list[int]:
    if max(len(tensors), len(elements)) > 15:
        raise ArgumentTypeError(f"{shorter(text)} is more than any memory holds")
    many, each = int(tensors), int(elements)
    if not many or not each:
        raise ArgumentTypeError(f"{text} is nothing to step; give 1x1 at least")
    _check_memory(text, many, many * each)
    return [each] * many


def _check_memory(text: str, tensors: int, elements: int) -> None:
    """Refuse what cannot even lie in memory; what steps take besides is seen later."""
    need, free = 4 * elements + OVERHEAD * tensors, free_memory()
    if need > free:
        raise ArgumentTypeError(
            f"{text} takes {need / 1e9:,.1f} GB before any step, and {free / 1e9:,.1f} GB are free"
        )


def _of_file(path: Path) -> list[int]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArgumentTypeError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, an endless nest
        raise ArgumentTypeError(f"{path} is no JSON: {shorter(str(error))}") from None
    if not isinstance(found, list | dict):
        raise ArgumentTypeError(f"{path} holds no list of shapes, {SUCH_AS}")
    if not found:
        raise ArgumentTypeError(f"{path} holds no shapes; give one at least, {SUCH_AS}")
    pairs = found.items() if isinstance(found, dict) else enumerate(found)
    return [_elements(f"{path}, tensor {name}", shape) for name, shape in pairs]


def _elements(where: str, shape: Any) -> int:
    """How many elements a tensor has; [] is a single number."""
    whole = isinstance(shape, list) and all(type(n) is int for n in shape)
    if not whole or not all(n > 0 for n in shape):
        said = shorter(json.dumps(shape))
        raise ArgumentTypeError(
            f"{where}: {said} is no shape; give whole numbers of at least 1, such as [64, 48]"
        )
    return math.prod(shape)
