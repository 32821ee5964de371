"""Gradient accumulation: one step for the gradients of several micro-batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import compress
from operator import index, not_
from typing import Any, Literal

from optimkit.backends.adapters import adapter_of
from optimkit.backends.autograd import recording_adapter_of
from optimkit.gradients import forget_gradients, labels
from optimkit.naming import naming
from optimkit.parameter import array_of
from optimkit.state import step_count
from optimkit.typing import OptimizerLike
from optimkit.wrappers.base import Wrapper
from optimkit.wrappers.gradient_sum import Sums, as_gradient, loaded

REDUCTIONS = ("mean", "sum")


def accumulate(
    optimizer: OptimizerLike, n: int, *, reduction: Literal["mean", "sum"] = "mean"
) -> Accumulation:
    r"""Let an optimizer step at every n-th call, with the gradients of all n together.

    ``ḡ = (g_1 + g_2 + … + g_n)/n``, or the sum alone.

    Parameters
    ----------
    optimizer : Optimizer, torch.optim.Optimizer or what :func:`skip_nonfinite` returns
        Whatever steps from gradients; not one that evaluates a closure itself, as LBFGS does.
    n : int, at least 1
        Micro-batches to a step. The attribute `n` may be changed at any time.
    reduction : {"mean", "sum"}, default "mean"
        Whether the sum is divided by the number of micro-batches, as is right where the loss of
        each is a mean over equally many examples.

    Returns
    -------
    Accumulation
        An optimizer, to be used in place of the one inside.

    Raises
    ------
    TypeError, ValueError
        If `optimizer` is none, is accumulated already or evaluates the closure itself, or another
        argument is out of range.

    Notes
    -----
    Gradients given as ``step(grads=...)``, and those in ``.grad`` of a :class:`Parameter`, are
    added up here, in the order of the calls: in their own dtype, half precision in float32 and
    rounded once at the end. `step` takes over the ``.grad`` of a `Parameter`, which is None
    afterwards, but for the n-th time, when it is what the step was taken with. Two arrays for each
    parameter are kept.

    In the ``.grad`` of a torch tensor autograd has already added them up, in its dtype: there
    `step` counts, and `zero_grad` does nothing until the n-th call. No memory is needed. Do not
    divide the loss by n: either that or ``reduction="mean"``.

    Around an optimizer with ``differentiable=True`` the sums are recorded as its steps are, and
    gradients flow through them.

    A parameter that has no gradient in some micro-batches has zero there; without any it is left
    alone. A gradient that is wrong raises an error, and the micro-batch is not counted. If the step
    at the n-th call raises, that call has not been either, and can be made again; where autograd
    has added up, `flush` tries again.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> weights = np.array([1.0, -2.0])
    >>> optimizer = ok.accumulate(ok.SGD([weights], lr=0.5), 2)
    >>> optimizer.step(grads=[np.array([1.0, 0.0])])
    >>> weights
    array([ 1., -2.])
    >>> optimizer.step(grads=[np.array([3.0, 4.0])])
    >>> weights
    array([ 0., -3.])
    """
    return Accumulation(optimizer, n, reduction)


class Accumulation(Wrapper):
    """What :func:`accumulate` returns: an optimizer that steps at every n-th call.

    Everything that is not named here is that of the optimizer inside: groups, state, options,
    ``step_count``, and hooks, which are called around real steps only.

    Attributes
    ----------
    optimizer : object
        The one inside.
    n : int
        Micro-batches to a step.
    reduction : {"mean", "sum"}
    pending : int
        Micro-batches that have not been stepped with yet.
    will_step : bool
        Whether the next call of `step` is the n-th.
    stepped : bool
        Whether the latest call of `step` or `flush` has changed parameters.
    """

    key = "accumulate"

    def __init__(self, optimizer: Any, n: int, reduction: str = "mean") -> None:
        super().__init__(optimizer)
        self.n, self.reduction = n, reduction
        self._sums = Sums()
        self._begin()

    def _begin(self) -> None:
        """Begin a window."""
        self.pending = 0
        self._given: bool | None = None  # whether its gradients are given to `step`
        self._complete = False  # whether all of it is in the .grad of tensors, and was not used
        self._sums.begin()

    @property
    def n(self) -> int:
        return self._n

    @n.setter
    def n(self, n: int) -> None:
        try:
            self._n = index(n)
        except TypeError:
            raise TypeError(f"accumulate: n must be a whole number, not {n!r}") from None
        if self._n < 1 or isinstance(n, bool):
            raise ValueError(f"accumulate: invalid n: {n!r}; it must be at least 1")

    @property
    def reduction(self) -> str:
        return self._reduction

    @reduction.setter
    def reduction(self, reduction: str) -> None:
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"accumulate: invalid reduction: {reduction!r}; it must be 'mean' or 'sum'"
            )
        self._reduction = reduction

    @property
    def will_step(self) -> bool:
        return self.pending + 1 >= self.n

    # ------------------------------------------------------------------ stepping

    def _step(self, grads: list[Any], given: bool) -> None:
        if self._complete:
            raise RuntimeError(
                "accumulate: the step with what is in .grad has failed; flush() tries again, "
                "discard() forgets it"
            )
        if self._given not in (None, given):
            raise RuntimeError(
                "accumulate: the gradients of one step come all from .grad or all from "
                "step(grads=...); flush() or discard() what is pending first"
            )
        if not self.will_step:
            self._add(grads, given)
        elif self.pending:
            self._finish(grads, given, self.pending + 1)
        else:
            self._step_inside(grads, given)

    def flush(self) -> None:
        """Step with the micro-batches that are pending, though they are fewer than n.

        The mean is that of as many as there are. Without any, nothing is done. For the end of an
        epoch whose number of micro-batches is no multiple of n.
        """
        self.stepped = False
        if self.pending:
            again, kept = self._complete, not self._given
            grads = [x.grad if again or (kept and _adds_up(x)) else None for x in self._params()]
            self._finish(grads, bool(self._given), self.pending + again)

    def discard(self) -> None:
        """Forget the micro-batches that are pending, and what ``.grad`` has of them."""
        if not self._given:
            forget_gradients(list(filter(_adds_up, self._params())), set_to_none=True)
        self._begin()

    def leave_out(self) -> None:
        """Forget what is in ``.grad``; with tensors, where it has all of them, what is pending."""
        params = self._params()
        forget_gradients(params, set_to_none=True)
        if any(map(_adds_up, params)):
            self._begin()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters that keep one.

        While micro-batches are pending, the ``.grad`` of tensors, which has them, stays.

        Parameters
        ----------
        set_to_none : bool, default True
            Set them to None; otherwise to zero.
        """
        if self.pending and not self._given:
            forget_gradients([p for p in self._params() if not _adds_up(p)], set_to_none)
        else:
            self.optimizer.zero_grad(set_to_none)

    def _add(self, grads: list[Any], given: bool) -> None:
        """Add a micro-batch."""
        params, here, _ = self._parted(given)
        self._sums.add([grads[i] for i in here])
        if not given:
            for i in here:
                params[i].grad = None
        self.pending, self._given = self.pending + 1, given

    def _finish(self, grads: list[Any], given: bool, count: int) -> None:
        """Step with what is pending and these gradients."""
        params, here, elsewhere = self._parted(given)
        divisor = count if self.reduction == "mean" else 1
        steps = getattr(self.optimizer, "step_count", None)
        totals = list(grads)
        found = self._sums.total([grads[i] for i in here], divisor)
        for i, total in zip(here, found, strict=True):
            totals[i] = total
        kept = [params[i] for i in elsewhere if grads[i] is not None]
        if kept and not self._complete:
            self._complete = True  # and stays so if there is no step: they are not divided again
            if divisor != 1:
                find = recording_adapter_of if self._sums.recorded else adapter_of
                find(kept[0]).divide_gradients(kept, divisor)
        put = [] if given else here
        try:
            for i in put:
                params[i].grad = totals[i]
            self._step_inside(totals, given)
        except BaseException:
            if steps is None or self.optimizer.step_count == steps:
                for i in put:
                    params[i].grad = grads[i]
            else:  # the step has been taken, and a hook has raised after it
                self._begin()
            raise
        self._begin()

    def _parted(self, given: bool) -> tuple[list[Any], list[int], list[int]]:
        """The parameters, and whose gradients are added up here, and whose elsewhere."""
        params = self._params()
        numbers, apart = range(len(params)), list(map(_adds_up, params))
        here = list(numbers) if given else list(compress(numbers, map(not_, apart)))
        summed = params if given else [params[i] for i in here]
        recorded = any(group.get("differentiable") for group in self.param_groups)
        if recorded is not self._sums.recorded:
            if any(self._sums.counts()):
                raise RuntimeError(
                    "accumulate: differentiable has changed; flush() or discard() what is pending"
                )
            self._sums = Sums(recorded)
        if not self._sums.is_of(summed):
            names = [label.removeprefix("parameter ") for label in labels(self.param_groups)]
            self._sums.fit(summed, [names[i] for i in here])
        return params, here, [] if given else list(compress(numbers, apart))

    # ------------------------------------------------------------------ checkpoints

    def _saved(self) -> dict[str, Any]:
        sums: dict[int, Any] = {}
        if self.pending:
            params, here, elsewhere = self._parted(bool(self._given))
            sums = {i: params[i].grad for i in elsewhere}
            sums |= dict(zip(here, self._sums.saved(), strict=True))
        return {
            "pending": self.pending,
            "given": self._given,
            "complete": self._complete,
            "sums": {i: total for i, total in sorted(sums.items()) if total is not None},
        }

    def _load(
        self, own: Mapping[str, Any], rest: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Callable[[], None]:
        with naming("loaded accumulate: pending"):
            pending = step_count(own.get("pending", 0))
        given, complete, sums = own.get("given"), own.get("complete", False), own.get("sums", {})
        if {type(given), type(complete)} - {bool, type(None)} or not isinstance(sums, Mapping):
            raise TypeError(
                "loaded accumulate: given and complete must be bools, and sums a mapping"
            )
        params, names, found = self._params(), labels(self.param_groups), {}
        numbers = self._matched(rest, options)
        for i, number in enumerate(numbers):
            if number in sums:
                found[i] = loaded(sums[number], array_of(params[i]), names[i])
        if numbers and (unknown := sorted(sums.keys() - set(numbers), key=str)):
            raise ValueError(f"loaded accumulate: there are no parameters {unknown}")

        def commit() -> None:
            self._begin()
            if not pending:
                return
            self.pending, self._given, self._complete = pending, given, bool(complete)
            params, here, elsewhere = self._parted(bool(given))
            for i in elsewhere:
                params[i].grad = as_gradient(found[i], params[i]) if i in found else None
            self._sums.load({k: found[i] for k, i in enumerate(here) if i in found})

        return commit

    def __getstate__(self) -> dict[str, Any]:
        # A copy or a pickle of a torch parameter is without its gradient.
        kept = {}
        if self.pending and not self._given:
            kept = {i: p.grad for i, p in enumerate(self._params()) if _adds_up(p)}
        return super().__getstate__() | {"_kept": kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        kept = state.pop("_kept")
        super().__setstate__(state)
        params = self._params()
        for i, grad in kept.items():
            params[i].grad = grad

    def _shown(self) -> str:
        return f"accumulate(n={self.n}, reduction={self.reduction!r})"


def _adds_up(param: Any) -> bool:
    """Whether gradients are added up in ``.grad`` before a step is called: by autograd."""
    return hasattr(param, "detach")


__all__ = ["Accumulation", "accumulate"]
