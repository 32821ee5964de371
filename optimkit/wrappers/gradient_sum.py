"""The sum of gradients: a step like any other, on every engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

from optimkit.backends.adapters import adapter_of
from optimkit.backends.adapters.headers import identities
from optimkit.backends.autograd import recording_adapter_of
from optimkit.backends.kept_trace import pure
from optimkit.backends.sparse import RowSparse
from optimkit.checkpoint import load_param
from optimkit.naming import naming
from optimkit.optimizer import Optimizer
from optimkit.parameter import array_of
from optimkit.wrappers.row_sum import loaded_rows, may_be_sparse, rows_of, total_of_rows


class GradientSum(Optimizer):
    """Adds gradients up, in the order in which they come.

    The state has the ``"sum"`` so far, in float32 for half precision, and the number of gradients
    in it, the ``"step"``. What all come to is written to the parameters, which are arrays like the
    gradients.
    """

    def __init__(self, arrays: Sequence[Any], names: Sequence[str], recorded: bool) -> None:
        group = {"params": list(arrays), "param_names": list(names)}
        super().__init__([group], {"divisor": None, "differentiable": recorded})

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        wide = xp.result_type(param.dtype, xp.float32)
        return {"sum": xp.zeros_like(param, dtype=wide)}

    @staticmethod
    @pure
    def update(
        xp: Any, param: Any, grad: Any, state: Mapping[str, Any], hyper: Any, step: int
    ) -> tuple[Any, dict[str, Any]]:
        # s_1 = g_1, s_k = s_(k-1) + g_k
        total = grad if step == 1 else state["sum"] + grad
        if hyper.divisor is None:
            return param, {"sum": total}
        # s_n, or s_n/n; the state keeps s_(n-1), in case the step with it does not succeed
        return total if hyper.divisor == 1 else total / hyper.divisor, {}


class Sums:
    """The sums of the gradients of some parameters.

    If they are `recorded`, derivatives flow through them.
    """

    def __init__(self, recorded: bool = False) -> None:
        self.recorded = recorded
        self._params: list[Any] = []
        self._names: Sequence[str] = ()
        self._rule: GradientSum | None = None
        self._rows: dict[int, list[RowSparse]] = {}  # sparse gradients, by the place of theirs
        self._known: tuple[Any, list[dict[str, Any]]] = None, []

    def is_of(self, params: list[Any]) -> bool:
        """Whether these are the parameters, in this order."""
        return bool(identities(params) == identities(self._params))

    def fit(self, params: list[Any], names: Sequence[str]) -> None:
        """Be the sums of these parameters; those that are there already keep theirs."""
        before, arrays, old = self._rule, [], {}
        rows = {id(self._params[i]): found for i, found in self._rows.items()}
        if before is not None:
            old = dict(zip(map(id, self._params), before.param_groups[0]["params"], strict=True))
        for param in params:
            array = array_of(param)
            adapter = adapter_of(array)
            with adapter.running_on(array):
                known = old.get(id(param))
                arrays.append(adapter.convert(array, array) if known is None else known)
        rule = GradientSum(arrays, names, self.recorded) if params else None
        if rule is not None and before is not None:
            for array in arrays:
                if array in before.state:
                    rule.state[array] = before.state[array]
        self._params, self._names, self._rule, self._known = params, names, rule, (None, [])
        self._rows = {i: rows[id(x)] for i, x in enumerate(params) if id(x) in rows}

    def add(self, grads: list[Any]) -> None:
        """Add gradients, or None, to the sums; all of them or, if one is wrong, none."""
        if self._rule is not None:
            dense, sparse = self._sorted(grads)
            self._advance(self._rule, dense, None)
            for i, rows in sparse.items():
                self._rows.setdefault(i, []).append(rows)

    def total(self, grads: list[Any], divisor: int) -> list[Any]:
        """Return the sums with these gradients added, over a number; the sums stay without them.

        What is returned is overwritten by the next call. None is where there was no gradient.
        """
        if self._rule is None:
            return []
        arrays, counts = self._rule.param_groups[0]["params"], self.counts()
        dense, sparse = self._sorted(grads)
        dense = [
            _nothing_like(array) if grad is None and count else grad
            for array, grad, count in zip(arrays, dense, counts, strict=True)
        ]
        try:
            self._advance(self._rule, dense, divisor)
        finally:
            self._recount(counts)
        totals = [None if x is None else array for array, x in zip(arrays, dense, strict=True)]
        if self.recorded:
            totals = [None if x is None else recording_adapter_of(x).take(x) for x in totals]
        for i in self._rows.keys() | sparse.keys():
            found = [*self._rows.get(i, ()), *([sparse[i]] if i in sparse else ())]
            totals[i] = total_of_rows(found, arrays[i], divisor)
        return totals

    def _sorted(self, grads: list[Any]) -> tuple[list[Any], dict[int, RowSparse]]:
        """The dense gradients in their places, and the sparse ones by theirs."""
        sparse: dict[int, RowSparse] = {}
        if not self._rows and not may_be_sparse(grads):
            return grads, sparse
        counts = self.counts()
        for i, (param, grad) in enumerate(zip(self._params, grads, strict=True)):
            if grad is not None:
                with naming(f"parameter {self._names[i]}"):
                    rows = rows_of(grad, array_of(param))
                    if counts[i] if rows is not None else i in self._rows:
                        raise RuntimeError(
                            "its gradients are dense and sparse, which are not added up"
                        )
                if rows is not None:
                    sparse[i] = rows
        return [None if i in sparse else grad for i, grad in enumerate(grads)], sparse

    @staticmethod
    def _advance(rule: GradientSum, grads: list[Any], divisor: int | None) -> None:
        rule.param_groups[0]["divisor"] = divisor
        rule._advance(list(rule.param_groups[0]["params"]), grads)  # no hook is called

    def begin(self) -> None:
        """Begin anew."""
        if self.recorded:  # forget the history, too
            for state in filter(None, self._states()):
                state["sum"] = state["sum"].detach()
        self._recount(repeat(0, len(self._states())))
        self._rows = {}

    def _recount(self, counts: Iterable[int]) -> None:
        for state, count in zip(self._states(), counts, strict=True):
            if state:
                state["step"] = count

    def counts(self) -> list[int]:
        """How many dense gradients are in each sum."""
        return [state.get("step", 0) for state in self._states()]

    def saved(self) -> list[Any]:
        """The sums, or None where there is no gradient in them; of sparse ones, the rows."""
        sums = [state["sum"] if state.get("step") else None for state in self._states()]
        if self.recorded:  # the values alone, as of an optimizer
            sums = [None if x is None else x.detach() for x in sums]
        for i, found in self._rows.items():
            rows = total_of_rows(found, array_of(self._params[i]), 1)
            sums[i] = {"indices": rows.indices, "values": rows.values}
        return sums

    def load(self, sums: Mapping[int, Any]) -> None:
        """Go on from what `loaded` has returned, by the places of the parameters."""
        if self._rule is not None:
            for i, found in sums.items():
                if isinstance(found, RowSparse):
                    self._rows[i] = [found]
                else:
                    self._rule.state[self._rule.param_groups[0]["params"][i]] = found

    def _states(self) -> list[dict[str, Any]]:
        """The state of each sum; an empty dict where there is none yet."""
        rule = self._rule
        if rule is not None and self._known[0] is not rule.state.version:
            arrays = rule.param_groups[0]["params"]
            self._known = rule.state.version, [rule.state.get(x) or {} for x in arrays]
        return self._known[1]


def loaded(total: Any, array: Any, label: str) -> Any:
    """Check a sum that was saved, of a parameter that is this array, and copy it to be like it."""
    if isinstance(total, Mapping):
        with naming(label):
            return loaded_rows(total, array)
    if _is_sparse(total) and tuple(total.shape) == tuple(array.shape):
        return total
    return load_param(GradientSum, array, {"step": 1, "sum": total}, None, label)


def as_gradient(found: Any, tensor: Any) -> Any:
    """Return what `loaded` has returned as a gradient of this tensor."""
    if _is_sparse(found):
        return found.to(tensor.device, tensor.dtype, copy=True)
    return adapter_of(tensor).convert(found["sum"], tensor)


def _is_sparse(x: Any) -> bool:
    """Whether this is one of torch's sparse tensors."""
    return "sparse" in str(getattr(x, "layout", ""))


def _nothing_like(array: Any) -> Any:
    """A gradient that no sum is changed by, which is minus zero."""
    adapter = adapter_of(array)
    with adapter.running_on(array):
        view = adapter.view(array)
        return adapter.wrap(adapter.namespace(view).full_like(view, -0.0), array)


__all__ = ["GradientSum", "Sums", "as_gradient", "loaded"]
