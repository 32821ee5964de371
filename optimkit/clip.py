"""Norms of gradients, and gradients kept below them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from optimkit.backends.adapters import adapter_of
from optimkit.backends.memory import HALF
from optimkit.backends.sweeps import Sweep
from optimkit.naming import naming
from optimkit.norms import (
    PIECE,
    Gradient,
    gradients_meant,
    in_parallel,
    norm_of_all,
    sweeps_over,
)
from optimkit.typing import Arrays, Tensors

if TYPE_CHECKING:
    import torch

__all__ = ["clip_grad_norm_", "clip_grad_value_", "get_total_norm"]


@overload
def get_total_norm(
    tensors: Tensors,
    norm_type: float | Literal["inf"] = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> torch.Tensor: ...
@overload
def get_total_norm(
    tensors: Arrays,
    norm_type: float | Literal["inf"] = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> float | torch.Tensor: ...
def get_total_norm(
    tensors: Any,
    norm_type: float | str = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    r"""Return the norm of all gradients as if they were one long vector.

    ``‖g‖_p = (Σ |g_i|^p)^(1/p)``; ``max |g_i|`` for `norm_type` inf, ``min |g_i|`` for -inf.

    Parameters
    ----------
    tensors : iterable, mapping or one of its members
        Gradients: arrays or torch tensors, also of several dtypes, libraries and devices; of a
        :class:`Parameter` its ``.grad``; of an optimizer, the ``.grad`` of its parameters; nested
        dicts, lists and tuples of these, as an optimizer takes them. None is passed over.
    norm_type : float or "inf", default 2
        The order ``p``. As in torch, 0 counts the gradients that have an element other than zero.
    error_if_nonfinite : bool, default False
        Whether to raise if the norm is infinite or not a number.
    foreach : bool, optional
        Accepted as in torch; chooses nothing.

    Returns
    -------
    float or tensor
        A float; if the first gradient is a torch tensor, a tensor without axes on its device,
        float64 if any gradient has that precision, else float32. Without gradients 0, which is a
        tensor where a torch tensor was given.

    Raises
    ------
    RuntimeError
        If the norm is not finite and `error_if_nonfinite` is set.
    TypeError
        If a gradient is no array of real or complex floating-point numbers.

    Notes
    -----
    Differs from torch: terms are float64, whatever the gradients are, in order of memory, and are
    added up in the one order of `optimkit.backends.reductions`: those of each gradient, then the
    sums of the gradients. So the sum of n terms is relatively within about ``(32 + log2 n) 2^-53``
    of its exact value, mostly much nearer, and its bits depend on neither engine nor threads. (The
    powers themselves are those of the array library for orders other than 1 and 2.) Torch adds in
    the gradients' precision: on the CPU, the norm of 10 million normally distributed float32
    numbers is then 4e-4 too small for order 2 and 1e-3 for order 1, and squares above 3e38
    overflow. Here only float64 gradients above 1e154 do. No temporary is as large as a NumPy
    gradient. Gradients without elements count for nothing; torch refuses them for some orders.

    References
    ----------
    Pascanu, Mikolov and Bengio, *On the difficulty of training recurrent neural networks*, 2013,
    https://arxiv.org/abs/1211.5063.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> from optimkit.clip import get_total_norm
    >>> get_total_norm([np.array([3.0, 0.0]), None, np.array([-4.0])])
    5.0
    >>> get_total_norm([np.array([3.0, 0.0]), np.array([-4.0])], norm_type="inf")
    4.0
    """
    grads, _, tensor = gradients_meant(tensors, tensors_are_gradients=True)
    return _like(norm_of_all(grads, norm_type, error_if_nonfinite), grads, tensor)


@overload
def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float | Literal["inf"] = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> torch.Tensor: ...
@overload
def clip_grad_norm_(
    parameters: Arrays,
    max_norm: float,
    norm_type: float | Literal["inf"] = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> float | torch.Tensor: ...
def clip_grad_norm_(
    parameters: Any,
    max_norm: float,
    norm_type: float | str = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    r"""Scale all gradients, in place, so that their common norm is at most `max_norm`.

    ``g ← g · min(1, c / (‖g‖_p + 10^-6))`` with ``c`` the `max_norm`, ``p`` the `norm_type`.

    Parameters
    ----------
    parameters : iterable, mapping or one of its members
        Arrays, which are the gradients themselves; :class:`Parameter` and torch tensors, whose
        ``.grad`` is meant; or an optimizer, whose parameters are; nested dicts, lists and tuples of
        these, as an optimizer takes them. None, and parameters without gradient, are passed over;
        of pairs of a name and a tensor, the tensors count.
    max_norm : float
        The largest norm that stays as it is.
    norm_type : float or "inf", default 2
        The order of the norm, as for :func:`get_total_norm`.
    error_if_nonfinite : bool, default False
        Whether to raise, before anything changes, if the norm is infinite or not a number.
    foreach : bool, optional
        Accepted as in torch; chooses nothing.

    Returns
    -------
    float or tensor
        The norm before clipping, as from :func:`get_total_norm`.

    Raises
    ------
    RuntimeError
        If the norm is not finite and `error_if_nonfinite` is set, or a gradient is sparse.
    TypeError, ValueError
        If `max_norm` is no number of at least 0, or a gradient cannot be changed in place. Nothing
        has changed then.

    Notes
    -----
    Differs from torch: the norm (see :func:`get_total_norm`) and the coefficient are float64; the
    coefficient is rounded to the gradient's dtype once. Where nothing is clipped the coefficient
    is 1 and the gradients keep their bits, as in torch.

    References
    ----------
    Pascanu, Mikolov and Bengio, *On the difficulty of training recurrent neural networks*, 2013,
    https://arxiv.org/abs/1211.5063.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> from optimkit.clip import clip_grad_norm_
    >>> grads = [np.array([3.0, 0.0]), np.array([-4.0])]
    >>> clip_grad_norm_(grads, max_norm=1.0)
    5.0
    >>> [g.round(3) for g in grads]
    [array([0.6, 0. ]), array([-0.8])]
    """
    limit = float(max_norm)
    if limit < 0:
        raise ValueError(f"max_norm is {max_norm}; a number of at least 0 is needed")
    grads, places, tensor = gradients_meant(parameters)
    _check_writable(grads, places)
    swept = sweeps_over(grads)
    total = norm_of_all(grads, norm_type, error_if_nonfinite, swept)
    with np.errstate(all="ignore"):
        factor = float(np.minimum(1.0, np.float64(limit) / (total + 1e-6)))  # NaN stays NaN
    if factor != 1:
        _scale(grads, factor, swept)
    return _like(total, grads, tensor)


def clip_grad_value_(parameters: Arrays, clip_value: float, foreach: bool | None = None) -> None:
    r"""Limit every element of the gradients, in place, to ``[-clip_value, clip_value]``.

    ``g_i ← min(max(g_i, -c), c)`` with ``c`` the `clip_value`; NaN stays NaN.

    Parameters
    ----------
    parameters : iterable, mapping or one of its members
        As for :func:`clip_grad_norm_`.
    clip_value : float
        The largest absolute value that stays as it is.
    foreach : bool, optional
        Accepted as in torch; chooses nothing.

    Raises
    ------
    NotImplementedError
        If a gradient is complex.
    TypeError, ValueError, RuntimeError
        If `clip_value` is negative, or a gradient cannot be changed in place. Nothing has changed
        then.

    References
    ----------
    Pascanu, Mikolov and Bengio, *On the difficulty of training recurrent neural networks*, 2013,
    https://arxiv.org/abs/1211.5063.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> from optimkit.clip import clip_grad_value_
    >>> grad = np.array([0.5, -3.0])
    >>> clip_grad_value_([grad], 1.0)
    >>> grad
    array([ 0.5, -1. ])
    """
    limit = float(clip_value)
    if limit < 0:
        raise ValueError(f"clip_value is {clip_value}; a number of at least 0 is needed")
    grads, places, _ = gradients_meant(parameters)
    _check_writable(grads, places)
    for i, grad in zip(places, grads, strict=True):
        if grad.is_complex:
            raise NotImplementedError(f"gradient {i}: complex numbers have no order to clip by")
        if grad.adapter.settled(grad.array) is not grad.array:
            raise ValueError(
                f"gradient {i} is still to be added up over processes (its placements are "
                f"{grad.array.placements}): redistribute it before its values are clipped"
            )
    once = list({id(grad.array): grad for grad in grads}.values())  # twice changes nothing more
    _change(once, lambda xp, x, **out: xp.clip(x, -limit, limit, **out))


def _check_writable(grads: list[Gradient], places: list[int | str]) -> None:
    looked_at: set[int] = set()  # layouts; where one will do, others like it need only be open
    place: int | str = 0
    with naming(lambda: f"gradient {place}"):
        for place, grad in zip(places, grads, strict=True):  # noqa: B007  # for an error's name
            array, adapter, layout, is_complex = grad
            if hasattr(array, "detach"):
                if array.is_neg() or (is_complex and array.is_conj()):
                    raise ValueError("it is a lazily negated or conjugated view; resolve it first")
            elif id(layout) not in looked_at:
                adapter.check_parameter(array)
                looked_at.add(id(layout))
            elif type(array) is np.ndarray and not array.flags.writeable:
                adapter.check_parameter(array)  # says why not


def _like(norm: float, grads: list[Gradient], tensor: Any) -> Any:
    """Return the norm as a tensor if the gradients are tensors, or would be."""
    like = grads[0].array if grads else tensor
    if not hasattr(like, "detach"):
        return norm
    double = any(grad.layout.dtype == "float64" for grad in grads)
    value = np.asarray(norm, np.float64 if double else np.float32)
    return adapter_of(like).wrap(value).to(like.device)


def _scale(grads: list[Gradient], factor: float, swept: list[Sweep]) -> None:
    """Multiply gradients by a number; those given twice, twice, as torch does."""
    once = {id(grad.array): grad for grad in grads}
    unique = list(once.values())
    done: set[int] = set()
    for sweep in swept if len(unique) == len(grads) else sweeps_over(unique):
        sweep.scale(factor)
        done.update(sweep.places)
    rest = [grad for i, grad in enumerate(unique) if i not in done and grad.layout.size]
    _change(rest, lambda xp, x, **out: xp.multiply(x, factor, **out))
    again = [grad for grad in grads if once.pop(id(grad.array), None) is None]
    if again:
        _scale(again, factor, sweeps_over(again))


def _change(grads: list[Gradient], function: Callable[..., Any]) -> None:
    """Replace gradients, each there once, by a function of them."""
    jobs = []
    for grad in grads:
        memory, half = grad.memory(), grad.layout.dtype in HALF
        if type(memory) is not np.ndarray:
            with grad.adapter.running_on(grad.array):
                xp = grad.adapter.namespace(memory)
                x = function(xp, xp.astype(memory, xp.float32) if half else memory)
                grad.adapter.write(grad.array, memory, xp.astype(x, memory.dtype) if half else x)
        elif grad.layout.dense:
            step = PIECE if half else 16 * PIECE
            jobs += [(memory[i : i + step], half) for i in range(0, memory.size, step)]
        else:
            jobs.append((memory, half))

    def change(x: Any, half: bool) -> None:
        if half:  # computed in float32, rounded once
            x[...] = function(np, x.astype(np.float32))
        else:
            function(np, x, out=x)

    in_parallel(change, jobs, [x.size for x, _ in jobs])
    for adapter in {grad.adapter for grad in grads}:
        adapter.touched([grad.array for grad in grads if grad.adapter is adapter])
