"""One trace for all steps: slots as formulas of the step number.

Called with a `Count` in place of the step number, a rule leaves formulas of the step in its slots.
Where it computes the same at every step but for those numbers, it need not be called again.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from optimkit.backends.program import Traced
from optimkit.backends.trace import NUMBERS, NotTraceable, SlotValue, trace

PATIENCE = 8  # steps with the same options before a rule is traced for all steps, which costs more
LARGEST = 200  # numbers in a formula

Rule = TypeVar("Rule", bound=Callable[..., Any])


def pure(update: Rule) -> Rule:
    """Declare that a rule depends on its arguments alone, so that one trace serves many steps.

    Without it a rule is traced at every step, which takes about 10 µs: it may read a number that
    is no option, such as an attribute of a module, and that may change.

    Parameters
    ----------
    update : function
        The rule, ``update(xp, param, grad, state, hyper, step) -> (param, state)``.

    Returns
    -------
    function
        The same function. A subclass that defines another `update` says it anew.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> class GradientDescent(ok.Optimizer):
    ...     def __init__(self, params, lr=1e-3, **options):
    ...         super().__init__(params, dict(lr=lr, **options))
    ...
    ...     @staticmethod
    ...     @ok.pure
    ...     def update(xp, param, grad, state, hyper, step):
    ...         return param - hyper.lr * grad, {}
    >>> weights = np.array([1.0, -2.0])
    >>> GradientDescent([weights], lr=0.5).step(grads=[weights])
    >>> weights
    array([ 0.5, -1. ])
    """
    update.pure = True  # type: ignore[attr-defined]
    return update


class Count(SlotValue):
    """A Python number computed from the step: how, in place of its value.

    Attributes
    ----------
    at : callable
        From a step number to the value.
    symbol, operands
        The last operation of the formula, and what it is of: counts and numbers.
    """

    __slots__ = ("at", "operands", "size", "symbol")
    __array_ufunc__ = None  # NumPy's numbers have a type that a formula would lose

    def __init__(
        self,
        at: Callable[[int], Any] = lambda step: step,
        symbol: str = "step",
        operands: tuple[Any, ...] = (),
    ) -> None:
        self.at, self.symbol, self.operands = at, symbol, operands
        self.size: int = 1 + sum(x.size if type(x) is Count else 1 for x in operands)
        if self.size > LARGEST:
            raise NotTraceable("a long formula of the step")

    def __neg__(self) -> Count:
        at = self.at
        return Count(lambda step: -at(step), "neg", (self,))

    def _value_is_needed(self, *args: Any) -> Any:
        raise NotTraceable("the step decides what is computed")

    __bool__ = __repr__ = __str__ = __format__ = _value_is_needed
    __lt__ = __le__ = __gt__ = __ge__ = _value_is_needed
    __eq__ = __ne__ = _value_is_needed
    __hash__ = None  # type: ignore[assignment]


def _arithmetic(symbol: str, reflected: bool = False) -> Callable[[Count, Any], Any]:
    function = getattr(operator, symbol)

    def method(self: Count, other: Any) -> Any:
        if type(other) is not Count and type(other) not in NUMBERS:
            return NotImplemented
        x, y = (other, self) if reflected else (self, other)
        if type(x) is not Count:
            last = y.at
            return Count(lambda step: function(x, last(step)), symbol, (x, y))
        first = x.at
        if type(y) is not Count:
            return Count(lambda step: function(first(step), y), symbol, (x, y))
        second = y.at
        return Count(lambda step: function(first(step), second(step)), symbol, (x, y))

    return method


for _symbol in ("add", "sub", "mul", "truediv", "pow"):
    setattr(Count, f"__{_symbol}__", _arithmetic(_symbol))
    setattr(Count, f"__r{_symbol}__", _arithmetic(_symbol, True))


def trace_all_steps(
    update: Callable[..., Any], arrays: tuple[str, ...], hyper: Any
) -> Callable[[int], Traced]:
    """Record a rule once for all steps, as `trace` does for one.

    Returns
    -------
    callable
        From a step number to what `trace` would return for it.

    Raises
    ------
    NotTraceable
        If the program, or a number, depends on the step in another way than by ``+ - * / **``.
    """
    kept = trace(update, arrays, {}, hyper, Count())
    if kept.scalars:
        raise NotTraceable("state that is a number")
    formulas = [(i, x.at) for i, x in enumerate(kept.slots) if type(x) is Count]
    if not formulas:
        return lambda step: kept

    def at(step: int) -> Traced:
        slots = kept.slots.copy()
        for place, formula in formulas:
            slots[place] = number = formula(step)
            if type(number) not in NUMBERS:
                raise NotTraceable("a number that is not real")
        return Traced(kept.program, slots, {})

    return at


class KeptTrace:
    """The traces of a rule with the same options, step by step.

    Parameters
    ----------
    update : callable
        The rule.
    arrays : tuple of str
        Names of the state arrays.
    hyper : object
        The options.
    """

    def __init__(self, update: Callable[..., Any], arrays: tuple[str, ...], hyper: Any) -> None:
        self.update, self.arrays, self.hyper = update, arrays, hyper
        self._left = PATIENCE if getattr(update, "pure", False) else 0
        self._at: Callable[[int], Traced] | None = None

    def __call__(self, scalars: Mapping[str, Any], step: int) -> Traced:
        """Return what `trace` would for this step."""
        if self._at is not None:
            try:
                return self._at(step)
            except (ArithmeticError, NotTraceable):  # what is wrong the rule says itself
                pass
        traced = trace(self.update, self.arrays, scalars, self.hyper, step)
        self._left -= 1
        if self._left == 0 and not scalars:
            self._keep(traced, step)
        return traced

    def _keep(self, traced: Traced, step: int) -> None:
        """Trace for all steps, if that gives at this step what `traced` says."""
        try:
            at = trace_all_steps(self.update, self.arrays, self.hyper)
            again = at(step)
        except (ArithmeticError, NotTraceable, TypeError):
            return
        if again == traced and list(map(type, again.slots)) == list(map(type, traced.slots)):
            self._at = at


__all__ = ["PATIENCE", "Count", "KeptTrace", "pure", "trace_all_steps"]
