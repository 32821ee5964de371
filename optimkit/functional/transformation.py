"""A rule and its options as pure functions over trees of arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from types import SimpleNamespace
from typing import Any

import numpy as np

from optimkit.backends.memory import is_array
from optimkit.functional.leaf import (
    Entry,
    check_param,
    checked_gradient,
    entries_of,
    first_state,
    stepped,
)
from optimkit.functional.scalars import Scalar, all_paths, known
from optimkit.functional.schedules import value_at
from optimkit.functional.surroundings import Surroundings, is_unknown
from optimkit.functional.trees import Tree, tree_of
from optimkit.groups import hyper_of
from optimkit.naming import kind_of, naming
from optimkit.options import check_limits
from optimkit.rule import Rule
from optimkit.state import step_count

State = dict[str, Any]
# Options that choose how a class steps: functions have no such choice.
OF_CLASSES = ("fused", "foreach", "capturable", "differentiable")


class Transformation:
    """The rule of an optimizer as functions, made by `of` or a function named like its class.

    Nothing that is passed changes, and nothing is kept between calls: the state is an argument and
    a result. ``init, update = transformation`` is the pair that optax calls a gradient
    transformation.
    """

    def __init__(self, rule: type[Rule], options: Mapping[str, Any]) -> None:
        self._rule, self._name = rule, rule.__name__
        options = {name: known(name, value) for name, value in options.items()}
        self._schedules = {
            name: value
            for name, value in options.items()
            if callable(value) and not isinstance(value, type)
        }
        first = {name: self._scheduled(name, 0) for name in self._schedules}
        with Surroundings((), options | first).computing():
            self._options = rule.unbound(**options | first)
        for name, value in first.items():
            if self._options.get(name) is not value:
                raise TypeError(
                    f"{self._name}: {name} cannot be a function of the step, as the constructor "
                    "makes something else of it"
                )
        self._check_options()
        self._entries: dict[Any, dict[str, Entry]] = {}

    def _check_options(self) -> None:
        """Raise the class's errors, as far as numbers are known."""
        rule, options = self._rule, self._options
        numbers = {k: v for k, v in options.items() if not is_unknown(v)}
        if len(numbers) == len(options):
            rule.check_group(options, options)
        else:
            check_limits(self._name, rule.limits, vars(hyper_of(numbers, numbers)))

    def __repr__(self) -> str:
        options = {k: self._schedules.get(k, v) for k, v in self._options.items()}
        shown = (f"{k}={v!r}" for k, v in options.items() if k not in OF_CLASSES)
        return f"{self._name} as functions ({', '.join(shown)})"

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        yield from (self.init, self.update)

    def init(self, params: Any) -> State:
        """Return the state before the first step.

        Parameters
        ----------
        params : array, or nested dicts, lists and tuples of arrays
            None is no parameter.

        Returns
        -------
        dict
            ``"step"``, the number of steps taken: one for all parameters, or a tree of them once
            some have had no gradient. And for each name of the rule's state (``"exp_avg"``, ...)
            containers like those of `params`, with () where a parameter has no such entry.

        Raises
        ------
        TypeError, ValueError, RuntimeError
            For what is no array that the rule can step; the message has its path.
        """
        tree = tree_of(params)
        around = Surroundings(tree.leaves, self._options, self._rule.native)
        with around.computing():
            leaves, hyper = list(map(around.taken, tree.leaves)), self._hyper(0)
            self._check_params(around, tree, leaves, hyper)
            states = [first_state(self._rule, around.adapter(x), x, hyper) for x in leaves]
            names = dict.fromkeys(name for state in states for name in state)
            columns = {
                name: tree.build([around.kept(state.get(name)) for state in states])
                for name in names
            }
            return {"step": around.library.count(0), **columns}

    def step(self, params: Any, grads: Any, state: State) -> tuple[Any, State]:
        """Return the parameters after a step, and the new state.

        Parameters
        ----------
        params : array, or nested containers of arrays
        grads : nested as `params`
            None leaves a parameter alone; its step count does not move.
        state : dict
            From `init`, or an earlier step.

        Raises
        ------
        TypeError, ValueError, RuntimeError, KeyError
            For trees that do not match, and for shapes, dtypes and devices: the message has the
            path. Nothing has been computed then.
        """
        tree = tree_of(params)
        given = tree.match(grads, f"{self._name}: gradients")
        counts, columns = self._read(tree, state)
        arrays = chain(tree.leaves, given, counts, *columns.values())
        around = Surroundings(arrays, self._options, self._rule.native)
        with around.computing():
            leaves, found = list(map(around.taken, tree.leaves)), list(map(around.taken, given))
            entries = {name: list(map(around.taken, column)) for name, column in columns.items()}
            states = [
                {name: column[i] for name, column in entries.items()} for i in range(len(leaves))
            ]
            moments = {id(count): self._moment(count) for count in counts}
            for i, (path, grad) in enumerate(zip(tree.paths, found, strict=True)):
                with naming(self._name, _label(path)):
                    adapter = around.adapter(leaves[i])
                    check_param(self._rule, adapter, leaves[i], moments[id(counts[i])][0])
                    if grad is not None:
                        found[i] = checked_gradient(adapter, leaves[i], grad)
                        self._check_state(around, leaves[i], states[i])
            results = [
                (x, {})
                if grad is None
                else self._stepped(around, x, grad, own, *moments[id(count)])
                for x, grad, own, count in zip(leaves, found, states, counts, strict=True)
            ]
            new: State = {"step": _counted(tree, state["step"], counts, found)}
            for name, column in entries.items():
                new[name] = tree.build(
                    [around.kept(x[1].get(name, column[i])) for i, x in enumerate(results)]
                )
            return tree.build([x for x, _ in results]), new

    def update(self, grads: Any, state: State, params: Any = None) -> tuple[Any, State]:
        """Return what is to be added to the parameters, and the new state, as optax does.

        The sum of a parameter and its update is rounded once more, so it may differ in the last bit
        from what `step` returns.
        """
        if params is None:
            raise ValueError(f"{self._name}: update(grads, state, params) needs the parameters")
        after, new = self.step(params, grads, state)
        old, changed = tree_of(params), tree_of(after)
        given = old.match(grads, f"{self._name}: gradients")
        updates = [
            None if grad is None else _difference(y, x)
            for x, y, grad in zip(old.leaves, changed.leaves, given, strict=True)
        ]
        return old.build(updates), new

    def _scheduled(self, name: str, count: Any) -> Any:
        """An option that is a function of the steps taken."""
        return all_paths(lambda: value_at(self._schedules[name], count))

    def _hyper(self, count: Any) -> SimpleNamespace:
        """The options by attribute, after so many steps."""
        scheduled = {name: self._scheduled(name, count) for name in self._schedules}
        numbers = {k: v for k, v in scheduled.items() if not is_unknown(v)}
        check_limits(self._name, self._rule.limits, numbers, kinds_only=True)
        options = self._options | scheduled
        return hyper_of(options, options)

    def _moment(self, count: Any) -> tuple[SimpleNamespace, Any]:
        """The options by attribute, and the number of the step to come."""
        with naming(self._name, "state step"):
            before = known("step", count)
            if not isinstance(before, Scalar):
                return self._hyper(before), step_count(before) + 1
        return self._hyper(Scalar(count, count=True)), Scalar(count + 1, count=True)

    def _check_params(
        self, around: Surroundings, tree: Tree, leaves: Sequence[Any], hyper: SimpleNamespace
    ) -> None:
        for path, param in zip(tree.paths, leaves, strict=True):
            with naming(self._name, _label(path)):
                check_param(self._rule, around.adapter(param), param, hyper)

    def _read(self, tree: Tree, state: Any) -> tuple[list[Any], dict[str, list[Any]]]:
        """The count and the entries of the state of each parameter."""
        if not isinstance(state, Mapping) or "step" not in state:
            raise TypeError(
                f"{self._name}: a state is what init(params) returns, not a {kind_of(state)}"
            )
        columns = {
            name: tree.match(value, f"{self._name}: state {name}")
            for name, value in state.items()
            if name != "step"
        }
        count = state["step"]
        if _is_one(count):
            return [count] * len(tree.leaves), columns
        return tree.match(count, f"{self._name}: state step"), columns

    def _known_entries(self, around: Surroundings, param: Any) -> dict[str, Entry]:
        adapter = around.adapter(param)
        shape, dtype, _ = adapter.describe(param)
        key = adapter, shape, dtype
        if key not in self._entries:
            self._entries[key] = entries_of(self._rule, adapter, param, self._hyper(0))
        return self._entries[key]

    def _check_state(self, around: Surroundings, param: Any, state: State) -> None:
        """Raise if a state is none of this rule for this parameter."""
        adapter = around.adapter(param)
        for name, entry in self._known_entries(around, param).items():
            value = state.get(name)
            if value is None:
                raise KeyError(f"its state has no {name}")
            if entry.shape is None:
                continue
            if not is_array(value):
                raise TypeError(f"its state {name} is a {kind_of(value)}; an array is needed")
            shape, dtype, _ = adapter.describe(value)
            if shape != entry.shape:
                raise ValueError(f"its state {name} has shape {shape}; {entry.shape} is needed")
            if dtype != entry.dtype:
                raise TypeError(f"its state {name} has dtype {dtype}; {entry.dtype} is needed")

    def _stepped(
        self, around: Surroundings, param: Any, grad: Any, state: State, hyper: Any, step: Any
    ) -> tuple[Any, State]:
        entries = self._known_entries(around, param)
        own = {
            name: known(name, state[name]) if entry.shape is None else state[name]
            for name, entry in entries.items()
        }
        late = tuple(name for name, entry in entries.items() if entry.late)
        return stepped(self._rule, around.adapter(param), param, grad, own, late, hyper, step)


def _difference(x: Any, y: Any) -> Any:
    difference = x - y
    return np.asarray(difference) if isinstance(difference, np.generic) else difference


def _label(path: str) -> str:
    return f"parameter {path}" if path else "the parameter"


def _is_one(count: Any) -> bool:
    """Whether this is one count for all parameters."""
    return is_array(count) or isinstance(count, int)


def _counted(tree: Tree, count: Any, counts: Sequence[Any], grads: Sequence[Any]) -> Any:
    """The counts after a step: one for all for as long as all have moved."""
    moves = [grad is not None for grad in grads]
    if _is_one(count) and (all(moves) or not any(moves)):
        return count + all(moves)
    return tree.build([count + move for count, move in zip(counts, moves, strict=True)])


__all__ = ["OF_CLASSES", "Transformation"]
