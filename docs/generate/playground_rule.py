"""A rule with all of its options, as data: what the page's own script computes trajectories from.

Tracing records the arithmetic on arrays. Here the options, the step and the numbers of the state
are symbols too, so the arithmetic that makes the slots is recorded with it; and where the rule asks
whether something is so, both ways are followed. What comes out is the rule itself, whatever its
options are set to later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optimkit as ok
from optimkit.backends.trace import NUMBERS, NotTraceable, SlotValue, trace
from optimkit.validation.explain.subjects import options_of

WAYS = 2000  # through a rule, at most

Options = dict[str, Any]
Tree = Any  # [condition, where it holds, where not], or a dict of results


class Undecided(BaseException):
    """The rule asks for the truth of a condition; no error that a rule could catch."""

    def __init__(self, node: int) -> None:
        self.node = node


class Nodes:
    """The values that are computed, each once: ``[operation, *places of its operands]``."""

    def __init__(self) -> None:
        self.table: dict[tuple[Any, ...], int] = {}
        self.known: dict[int, bool] = {}

    def place(self, *node: Any) -> int:
        return self.table.setdefault(node, len(self.table))

    def of(self, x: Any) -> int:
        """The place of a symbol or a number."""
        return x.node if isinstance(x, Symbol) else self.place("number", float(x))

    def input(self, name: str) -> Symbol:
        """Something that is known when the program runs."""
        return Symbol(self, self.place("input", name), name)

    def every_way(self, function: Callable[[], Any]) -> Tree:
        """Call a function as often as it can go different ways."""
        left = WAYS

        def follow(known: dict[int, bool]) -> Tree:
            nonlocal left
            left -= 1
            if left < 0:
                raise NotTraceable(f"more than {WAYS} ways through the rule")
            self.known = known
            try:
                return function()
            except Undecided as condition:
                node = condition.node
            return [node, follow({**known, node: True}), follow({**known, node: False})]

        return follow({})


class Symbol(SlotValue):
    """A number or a truth that is known when the program runs."""

    __slots__ = ("name", "node", "nodes")
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, nodes: Nodes, node: int, name: str = "") -> None:
        self.nodes, self.node, self.name = nodes, node, name

    def apply(self, operation: str, *operands: Any) -> Symbol:
        return Symbol(self.nodes, self.nodes.place(operation, *map(self.nodes.of, operands)))

    def __bool__(self) -> bool:
        if self.node not in self.nodes.known:
            raise Undecided(self.node)
        return self.nodes.known[self.node]

    def __repr__(self) -> str:
        return "{" + self.name + "}"

    def __neg__(self) -> Symbol:
        return self.apply("negative", self)

    def __abs__(self) -> Symbol:
        return self.apply("abs", self)

    def float32(self) -> Symbol:
        """Rounded to float32."""
        return self.apply("float32", self)


def _operator(operation: str, reflected: bool = False) -> Callable[[Symbol, Any], Any]:
    def operator(self: Symbol, other: Any) -> Any:
        if not isinstance(other, Symbol) and type(other) not in NUMBERS:
            return NotImplemented
        return self.apply(operation, *((other, self) if reflected else (self, other)))

    return operator


_ARITHMETIC = {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide"}
for _symbol, _operation in (_ARITHMETIC | {"pow": "power"}).items():
    setattr(Symbol, f"__{_symbol}__", _operator(_operation))
    setattr(Symbol, f"__r{_symbol}__", _operator(_operation, True))
_ORDER = {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"}
for _symbol, _operation in (_ORDER | {"eq": "equal", "ne": "not_equal"}).items():
    setattr(Symbol, f"__{_symbol}__", _operator(_operation))


def flat(options: Options) -> dict[str, float | bool]:
    """Options that are numbers or truths, one by one: those of pairs are ``name.0``, ``name.1``."""
    found: dict[str, float | bool] = {}
    for name, value in options.items():
        parts = {f"{name}.{i}": x for i, x in enumerate(value)} if _is_tuple(value) else {}
        if all(type(x) in NUMBERS for x in parts.values()):
            found |= parts
        if type(value) in NUMBERS:
            found[name] = value
    return found


def _is_tuple(value: Any) -> bool:
    return isinstance(value, tuple | list)


def adjustable(cls: type[ok.Optimizer]) -> Options:
    """The options of a rule that are numbers or truths, and their defaults."""
    hyper = vars(cls.bind())
    return {name: hyper[name] for name in options_of(cls) if name in hyper}


def record(cls: type[ok.Optimizer]) -> dict[str, Any]:
    """Return a rule as data.

    Parameters
    ----------
    cls : subclass of Optimizer

    Returns
    -------
    dict
        ``nodes``; ``checks``, the tree of what is wrong with options; ``init``, that of the state
        before the first step; ``updates``, that of a step for each set of names in the state.

    Raises
    ------
    NotTraceable
        If the rule is not elementwise, or needs more of an option than arithmetic.
    """
    nodes = Nodes()
    hyper = cls.bind()
    hyper.sparse = bool(getattr(cls, "needs_sparse", False))
    known = flat(adjustable(cls))
    for name, value in adjustable(cls).items():
        if name in known:
            setattr(hyper, name, nodes.input(name))
        elif f"{name}.0" in known:
            parts = [nodes.input(f"{name}.{i}") for i in range(len(value))]
            setattr(hyper, name, tuple(parts))
    try:
        checks = nodes.every_way(lambda: _complaint(cls, hyper))
        begun = nodes.every_way(lambda: _leaf(nodes, _init(cls), (), {}, hyper))
        updates: dict[str, Tree] = {}
        waiting = _states(begun)
        while waiting:
            arrays, numbers = state = waiting.pop()
            key = ",".join(sorted((*arrays, *numbers)))
            if key not in updates:
                updates[key] = nodes.every_way(lambda s=state: _leaf(nodes, cls.update, *s, hyper))
                waiting += _states(updates[key], *state)
    except TypeError:  # what wants a number itself, as math does
        raise NotTraceable("a function of numbers that is not arithmetic") from None
    except NotImplementedError:
        raise NotTraceable("a step is a search that calls a closure, not one update") from None
    return {
        "nodes": [list(node) for node in nodes.table],
        "checks": checks,
        "init": begun,
        "updates": updates,
    }


def _init(cls: type[ok.Optimizer]) -> Callable[..., Any]:
    """`init` in the form of a rule."""
    return lambda xp, param, grad, state, hyper, step: (param, cls.init(xp, param, hyper))


def _complaint(cls: type[ok.Optimizer], hyper: Any) -> str:
    try:
        cls.check_options(hyper)
    except (TypeError, ValueError, RuntimeError) as error:
        return str(error)
    return ""


def _leaf(
    nodes: Nodes,
    update: Callable[..., Any],
    arrays: tuple[str, ...],
    numbers: tuple[str, ...] | dict[str, Any],
    hyper: Any,
) -> dict[str, Any]:
    """One way through a rule: where its results are among the nodes."""
    scalars = {name: nodes.input(f"state.{name}") for name in numbers}
    traced = trace(update, arrays, scalars, hyper, nodes.input("step"))
    values, slots = traced.program.values, iter(traced.slots)
    places: dict[int, int] = {}
    for i, value in enumerate(values):
        if value.operation == "column":
            own = value.name in ("param", "grad")
            places[i] = nodes.place("input", value.name if own else f"state.{value.name}")
        elif value.operation == "slot":
            places[i] = nodes.of(next(slots))
    for i, value in enumerate(values):
        if i not in places:
            places[i] = nodes.place(value.operation, *(places[x] for x in value.operands))
    written = {name: places[i] for name, i in traced.program.outputs}
    return {
        "param": written.pop("param", nodes.place("input", "param")),
        "arrays": written,
        "numbers": {name: nodes.of(x) for name, x in traced.scalars.items()},
    }


State = tuple[tuple[str, ...], tuple[str, ...]]


def _states(tree: Tree, arrays: tuple[str, ...] = (), numbers: tuple[str, ...] = ()) -> list[State]:
    """What the state may hold after a step from one that holds these."""
    if isinstance(tree, list):
        return _states(tree[1], arrays, numbers) + _states(tree[2], arrays, numbers)
    more = tuple(sorted({*arrays, *tree["arrays"]})), tuple(sorted({*numbers, *tree["numbers"]}))
    return [more]


__all__ = ["Nodes", "Symbol", "adjustable", "flat", "record"]
