"""What is said of an optimizer in tables: its state, its kernels, how it compares."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import optimkit as ok
from generate.optimizer_rule import Range, not_run
from optimkit.backends.memory import is_array
from optimkit.validation.explain.explain import kernel_text, kernels, parity_lines
from optimkit.validation.explain.subjects import (
    ALL_BEGUN,
    SHAPE,
    Docs,
    forms,
    state_of,
    why_eager,
)
from optimkit.validation.reference.cases import cases_of

DIFFERENCES = Path(__file__).parent.parent / "evidence" / "differences.md"
SIZE = math.prod(SHAPE)

Options = dict[str, Any]
Left = frozenset[tuple[int, Range]]  # out of a rule


@cache
def option_sets(cls: type[ok.Optimizer]) -> list[tuple[Left, list[Options]]]:
    """The ways that the table of cases takes through a rule, and the options that take each.

    The first is that of the defaults.
    """
    found: dict[Left, list[Options]] = {not_run(cls, {}): [{}]}
    for case in cases_of(cls.__name__):
        options = dict(case.options)
        way = found.setdefault(not_run(cls, options), [])
        if options not in way:
            way.append(options)
    return list(found.items())


def telling(cls: type[ok.Optimizer], options: list[Options]) -> Options:
    """The shortest of the options that take one way, without those that change nothing about it."""
    way = not_run(cls, options[0])
    shortest = min(options, key=len)
    for name in list(shortest):
        fewer = {key: value for key, value in shortest.items() if key != name}
        if _can(cls, fewer) and not_run(cls, fewer) == way:
            shortest = fewer
    return shortest


def _can(cls: type[ok.Optimizer], options: Options) -> bool:
    try:
        cls.bind(**options)
    except (TypeError, ValueError):
        return False
    return True


# ---------------------------------------------------------------- state


def state_rows(cls: type[ok.Optimizer], options: Options) -> Iterator[tuple[str, str, str, str]]:
    """Of each piece of state: its name, what it is, its bytes for each element in both dtypes."""
    single, double = (state_of(cls, options, dtype) for dtype in ("float32", "float64"))
    for name, value in single.items():
        yield name, _kind(value), _bytes(value), _bytes(double[name])


def _kind(value: Any) -> str:
    if isinstance(value, list):
        kind = _kind(value[0]).removeprefix("a ") if value else "array"
        return "a list of " + re.sub(r"^(\w+)", r"\1s", kind)
    if not is_array(value) or value.shape == ():
        return "a number"
    if value.shape == SHAPE:
        return "as the parameter"
    if value.size == SIZE:
        return "a vector of all parameters"
    return "a row" if value.shape[0] == 1 else "a column"


def _bytes(value: Any) -> str:
    if isinstance(value, list):
        return f"{_bytes(value[0])} each" if value and is_array(value[0]) else "a few in all"
    if is_array(value) and value.size == SIZE:
        return str(value.itemsize)
    if is_array(value) and value.size > 1:
        return f"{value.itemsize} a {'column' if value.shape[0] == 1 else 'row'}"
    return "a few in all"


def bytes_an_element(cls: type[ok.Optimizer], options: Options, dtype: str) -> int:
    """How much state goes with each element of a parameter, but for lists and sums over axes."""
    state = state_of(cls, options, dtype).values()
    return sum(x.itemsize for x in state if is_array(x) and x.size == SIZE)


def memory(cls: type[ok.Optimizer]) -> str:
    """The state of an element, in float32, in a few words."""
    usual = bytes_an_element(cls, {}, "float32")
    sets = [options for _, way in option_sets(cls) for options in way]
    most = max(bytes_an_element(cls, options, "float32") for options in sets)
    lists = any(isinstance(x, list) for x in state_of(cls, {}).values())
    factored = any(is_array(x) and 1 < x.size < SIZE for x in state_of(cls, {}).values())
    text = "a row and a column" if factored else f"{usual} bytes"
    text += f" (to {most})" if most > usual else ""
    return text + (" and a history" if lists else "")


# ---------------------------------------------------------------- kernels


def kernel_forms(cls: type[ok.Optimizer]) -> list[int]:
    """The steps from which a rule takes another form."""
    return forms(cls, {}, "float32", ALL_BEGUN)[0]


def kernel_texts(cls: type[ok.Optimizer]) -> Iterator[tuple[str, str, int, str]]:
    """The kernels of a rule: engine, dtype, the step from which it serves, text."""
    for step in kernel_forms(cls):
        for engine in kernels():
            for dtype in ("float32", "float64"):
                yield engine, dtype, step, kernel_text(engine, _traced(cls, dtype, step), dtype)


@cache
def _traced(cls: type[ok.Optimizer], dtype: str, step: int) -> Any:
    return forms(cls, {}, dtype, step)[1]


# ---------------------------------------------------------------- comparison


def runs(cls: type[ok.Optimizer]) -> str:
    """What runs it."""
    return "fused" if why_eager(cls, {}) is None else "eager"


def parity(cls: type[ok.Optimizer]) -> list[str]:
    """What the table of cases asks."""
    return parity_lines(cls.__name__)


def cases_table(cls: type[ok.Optimizer]) -> Iterator[tuple[str, str, str, str]]:
    """The cases: what each exercises, its options, dtypes, and what is allowed."""
    for case in cases_of(cls.__name__):
        options = ", ".join(f"{k}={v!r}" for k, v in case.options.items()) or "the defaults"
        allowed = "equal bits" if case.tolerance == 0 else f"within {case.allowed}"
        allowed += ", but for signs of zeros" if case.zeros else ""
        yield case.exercises, options, ", ".join(case.dtypes), allowed


def differences(cls: type[ok.Optimizer]) -> list[tuple[str, str]]:
    """Sections of the page of differences that name an optimizer: title and anchor."""
    found = []
    parts = re.split(r"^## (.+)$", DIFFERENCES.read_text(encoding="utf-8"), flags=re.M)
    for title, text in zip(parts[1::2], parts[2::2], strict=True):
        if re.search(rf"\b{cls.__name__}\b", title + text):
            anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            found.append((title, anchor))
    return found


def advice(cls: type[ok.Optimizer], start: str) -> str:
    """The paragraph of a docstring's notes that begins so, as it is written; empty without one."""
    notes = Docs.of(cls).sections.get("Notes", "")
    found = [" ".join(text.split()) for text in re.split(r"\n\s*\n", notes)]
    return next((text for text in found if text.startswith(start)), "")
