"""Steps that are left out where a gradient is not finite."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import index
from typing import Any

from optimkit.gradients import labels
from optimkit.naming import naming
from optimkit.norms import nonfinite
from optimkit.state import step_count
from optimkit.typing import OptimizerLike
from optimkit.wrappers.accumulation import Accumulation
from optimkit.wrappers.base import Wrapper

SHOWN = 5  # names in an error


def skip_nonfinite(optimizer: OptimizerLike, *, max_consecutive: int | None = 10) -> NonfiniteSkip:
    """Let an optimizer leave out steps with a gradient that is infinite or NaN, and count them.

    Parameters
    ----------
    optimizer : Optimizer, torch.optim.Optimizer or what :func:`accumulate` returns
        Whatever steps from gradients; not one that evaluates a closure itself, as LBFGS does.
    max_consecutive : int or None, default 10
        So many steps in a row are left out; one more is an error. None for any number.

    Returns
    -------
    NonfiniteSkip
        An optimizer, to be used in place of the one inside.

    Raises
    ------
    TypeError, ValueError
        If `optimizer` is none, evaluates the closure itself, or `max_consecutive` is out of range.

    Notes
    -----
    A step that is left out changes nothing: no parameter, no state, no count of steps, and no hook
    is called. Gradients are looked at in one pass over memory, that of :func:`get_total_norm`, and
    on a device waited for once (once for each dtype and device). Values need not be small: a
    gradient is left out only if it has an element that is infinite or NaN.

    ``accumulate(skip_nonfinite(optimizer), n)`` looks at what n micro-batches come to and leaves
    out all n. ``skip_nonfinite(accumulate(optimizer, n))`` looks at each and leaves out one, which
    is not counted among the n; where autograd adds them up in ``.grad``, one cannot be taken out
    again, and those that are pending go with it.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> weights = np.array([1.0, -2.0])
    >>> optimizer = ok.skip_nonfinite(ok.SGD([weights], lr=0.5))
    >>> optimizer.step(grads=[np.array([np.inf, 0.0])])
    >>> weights, optimizer.stepped, optimizer.skipped
    (array([ 1., -2.]), False, 1)
    """
    return NonfiniteSkip(optimizer, max_consecutive)


class NonfiniteSkip(Wrapper):
    """What :func:`skip_nonfinite` returns: an optimizer that steps with finite gradients only.

    Everything that is not named here is that of the optimizer inside: groups, state, options,
    ``step_count``, and hooks, which are called around real steps only.

    Attributes
    ----------
    optimizer : object
        The one inside.
    max_consecutive : int or None
    skipped : int
        Steps left out so far.
    consecutive_skipped : int
        Those since the last call of `step` that was not left out.
    stepped : bool
        Whether the latest call of `step` has changed parameters.
    """

    key = "skip_nonfinite"

    def __init__(self, optimizer: Any, max_consecutive: int | None = 10) -> None:
        super().__init__(optimizer)
        if max_consecutive is not None:
            try:
                wrong = index(max_consecutive) < 0
            except TypeError:
                raise TypeError(
                    "skip_nonfinite: max_consecutive must be a whole number or None, "
                    f"not {max_consecutive!r}"
                ) from None
            if wrong:
                raise ValueError(
                    f"skip_nonfinite: invalid max_consecutive: {max_consecutive!r}; "
                    "it must be at least 0"
                )
        self.max_consecutive = max_consecutive
        self.skipped = self.consecutive_skipped = 0

    def _step(self, grads: list[Any], given: bool) -> None:
        found = self._nonfinite(grads)
        if not found:
            self._step_inside(grads, given)
            self.consecutive_skipped = 0
            return
        if self.consecutive_skipped == self.max_consecutive:
            raise RuntimeError(self._refusal(found))
        if isinstance(self.optimizer, Accumulation) and not given:
            self.optimizer.leave_out()
        self.skipped += 1
        self.consecutive_skipped += 1

    def flush(self) -> None:
        """Step with what is pending in the :func:`accumulate` inside, which has been looked at."""
        self.stepped = False
        self.optimizer.flush()
        self.stepped = self.optimizer.stepped

    def _nonfinite(self, grads: list[Any]) -> list[int]:
        """The numbers of the parameters whose gradient has an element that is not finite."""
        params, places = self._params(), list(range(len(grads)))
        if any(grad is None for grad in grads):
            places = [i for i in places if grads[i] is not None]
            params, grads = [params[i] for i in places], [grads[i] for i in places]
        with naming(self.key):
            return [places[k] for k in nonfinite(grads, params)]

    def _refusal(self, found: list[int]) -> str:
        names = [labels(self.param_groups)[i] for i in found]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        return (
            f"skip_nonfinite: {self.consecutive_skipped} steps in a row have been left out, and "
            f"again there are gradients that are not finite: {', '.join(names[:SHOWN])}{more}"
        )

    # ------------------------------------------------------------------ checkpoints

    def _saved(self) -> dict[str, Any]:
        return {"skipped": self.skipped, "consecutive_skipped": self.consecutive_skipped}

    def _load(
        self, own: Mapping[str, Any], rest: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Callable[[], None]:
        counts = {}
        for name in ("skipped", "consecutive_skipped"):
            with naming(f"loaded {self.key}: {name}"):
                counts[name] = step_count(own.get(name, 0))
        return lambda: vars(self).update(counts)

    def _shown(self) -> str:
        return f"skip_nonfinite(max_consecutive={self.max_consecutive})"


__all__ = ["NonfiniteSkip", "skip_nonfinite"]
