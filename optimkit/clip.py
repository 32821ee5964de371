"""Norms of gradients, and gradients kept below them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import pairwise
from types import GeneratorType
from typing import Any, NamedTuple

import numpy as np

from optimkit.backends import engines
from optimkit.backends.adapters import Adapter, Layout, adapter_of
from optimkit.backends.bucket import is_array
from optimkit.backends.engines.base import HALF
from optimkit.backends.engines.blocked import PARALLEL, flat
from optimkit.backends.engines.threads import on_all_threads, shares
from optimkit.parameter import Parameter

__all__ = ["clip_grad_norm_", "clip_grad_value_", "get_total_norm"]

BLOCK = 4_096  # elements whose terms are added as a balanced tree; a part of the definition
START = 4_096  # what starting on a piece costs, in elements
PIECE = 16 * BLOCK  # elements that NumPy looks at together; the kernel, 16 times as many


def get_total_norm(
    tensors: Any,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    r"""Return the norm of all gradients as if they were one long vector.

    ``‖g‖_p = (Σ |g_i|^p)^(1/p)``; ``max |g_i|`` for `norm_type` inf, ``min |g_i|`` for -inf.

    Parameters
    ----------
    tensors : iterable, mapping or one of its members
        Gradients: arrays or torch tensors, also of several dtypes, libraries and devices; of a
        :class:`Parameter` its ``.grad``; of an optimizer, the ``.grad`` of its parameters. None
        is passed over.
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
    Differs from torch: terms are float64, whatever the gradients are. Each 4,096 of them, in order
    of memory, are added as a balanced tree, and the sums of these blocks exactly, then rounded
    once. So the sum is within ``14 · 2^-53`` of its exact value, relatively, and its bits depend on
    neither engine nor threads. (The powers themselves are those of the array library for orders
    other than 1 and 2.) Torch adds in the gradients' precision: on the CPU, the norm of 10 million
    normally distributed float32 numbers is then 4e-4 too small for order 2 and 1e-3 for order 1,
    and squares above 3e38 overflow. Here only float64 gradients above 1e154 do. No temporary is as
    large as a NumPy gradient. Gradients without elements count for nothing; torch refuses them
    for some orders.

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
    grads, tensor = _gradients(tensors, tensors_are_gradients=True)
    return _like(_norm(grads, norm_type, error_if_nonfinite), grads, tensor)


def clip_grad_norm_(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    r"""Scale all gradients, in place, so that their common norm is at most `max_norm`.

    ``g ← g · min(1, c / (‖g‖_p + 10^-6))`` with ``c`` the `max_norm`, ``p`` the `norm_type`.

    Parameters
    ----------
    parameters : iterable, mapping or one of its members
        Arrays, which are the gradients themselves; :class:`Parameter` and torch tensors, whose
        ``.grad`` is meant; or an optimizer, whose parameters are. None, and parameters without
        gradient, are passed over; of a pair of a name and a tensor, the tensor counts.
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
        If `max_norm` is no number, or a gradient cannot be changed in place. Nothing has changed
        then.

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
    grads, tensor = _gradients(parameters)
    _check_writable(grads)
    total = _norm(grads, norm_type, error_if_nonfinite)
    with np.errstate(all="ignore"):
        factor = float(np.minimum(1.0, np.float64(limit) / (total + 1e-6)))  # NaN stays NaN
    _change(grads, lambda xp, x, **out: xp.multiply(x, factor, **out))
    return _like(total, grads, tensor)


def clip_grad_value_(parameters: Any, clip_value: float, foreach: bool | None = None) -> None:
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
        If a gradient cannot be changed in place. Nothing has changed then.

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
    limit, (grads, _) = float(clip_value), _gradients(parameters)
    _check_writable(grads)
    for i, grad in enumerate(grads):
        if grad.is_complex:
            raise NotImplementedError(f"gradient {i}: complex numbers have no order to clip by")
    _change(grads, lambda xp, x, **out: xp.clip(x, -limit, limit, **out))


# ---------------------------------------------------------------------- what is meant


class _Gradient(NamedTuple):
    """A gradient, and its memory: a NumPy view, flat if it is dense, or another library's view."""

    array: Any
    memory: Any
    adapter: Adapter
    layout: Layout
    is_complex: bool


def _gradients(source: Any, tensors_are_gradients: bool = False) -> tuple[list[_Gradient], Any]:
    """Return the gradients that the user means, checked, and the first torch tensor among all."""
    optimizer = hasattr(source, "param_groups")
    if optimizer:
        items = [param for group in source.param_groups for param in group["params"]]
    elif is_array(source) or isinstance(source, Parameter):
        items = [source]
    else:
        items = list(source.values() if isinstance(source, Mapping) else source)
        if isinstance(source, GeneratorType) and not items:
            warnings.warn("an empty generator: there are no gradients", stacklevel=3)
    grads, tensor = [], None
    known: dict[Any, tuple[Layout, bool]] = {}
    for i, item in enumerate(items):
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
            item = item[1]  # a pair of named_parameters()
        grad = item
        if tensor is None and _is_torch(item):
            tensor = item
        if type(item) is Parameter or (
            (optimizer or not tensors_are_gradients) and _is_torch(item)
        ):
            grad = item.grad
        elif optimizer:
            raise TypeError(
                f"parameter {i}: a {type(item).__name__} has no .grad: give the gradients instead"
            )
        if grad is None:
            continue
        try:
            adapter = adapter_of(grad)
            if "sparse" in str(getattr(grad, "layout", "")):
                raise RuntimeError("it is sparse; only dense gradients can be measured and clipped")
            adapter.check_gradient(grad)
            signature = adapter, adapter.signature(grad)
            if signature not in known:
                dtype = getattr(grad.dtype, "name", None) or str(grad.dtype).rpartition(".")[2]
                if not dtype.startswith(("float", "complex", "bfloat")):
                    raise TypeError(f"its dtype is {dtype}; a floating dtype is needed")
                known[signature] = adapter.layout(grad), dtype.startswith("complex")
        except (TypeError, RuntimeError) as error:
            raise type(error)(f"gradient {i}: {error}") from None
        layout, is_complex = known[signature]
        with adapter.running_on(grad):
            memory = adapter.view(grad)
        if layout.dense and type(memory) is np.ndarray:
            memory = memory.reshape(-1) if memory.flags.c_contiguous else flat(memory)
        grads.append(_Gradient(grad, memory, adapter, layout, is_complex))
    return grads, tensor


def _check_writable(grads: list[_Gradient]) -> None:
    for i, (array, _, adapter, _, _) in enumerate(grads):
        try:
            if not _is_torch(array):
                adapter.check_parameter(array)
            elif array.is_neg() or array.is_conj():
                raise ValueError("it is a lazily negated or conjugated view; resolve it first")
        except (TypeError, ValueError) as error:
            raise type(error)(f"gradient {i}: {error}") from None


def _is_torch(x: Any) -> bool:
    return hasattr(x, "detach")


def _like(total: float, grads: list[_Gradient], tensor: Any) -> Any:
    """Return the norm as a tensor if the gradients are tensors, or would be."""
    like = grads[0].array if grads else tensor
    if not _is_torch(like):
        return total
    double = any(grad.layout.dtype == "float64" for grad in grads)
    value = np.asarray(total, np.float64 if double else np.float32)
    return adapter_of(like).wrap(value, like).to(like.device)


# ---------------------------------------------------------------------- one pass over memory


def _in_parallel(run: Callable[..., Any], jobs: list[Any], sizes: list[int]) -> list[Any]:
    """Call `run` for each job, of so many elements, on several threads where that pays."""

    def run_all(part: list[Any]) -> list[Any]:
        with np.errstate(all="ignore"):
            return [run(*job) for job in part]

    if sum(sizes) < PARALLEL:
        return run_all(jobs)
    parts = [jobs[i:j] for i, j in pairwise(shares(sizes, START))]
    return [result for part in on_all_threads(run_all, parts) for result in part]


def _change(grads: list[_Gradient], function: Callable[..., Any]) -> None:
    """Replace gradients by a function of them; those given twice, twice, as torch does."""
    once = {id(grad.array): grad for grad in grads}
    jobs = []
    for array, memory, adapter, layout, _ in once.values():
        half = layout.dtype in HALF
        if type(memory) is not np.ndarray:
            with adapter.running_on(array):
                xp = adapter.namespace(memory)
                x = function(xp, xp.astype(memory, xp.float32) if half else memory)
                adapter.write(array, memory, xp.astype(x, memory.dtype) if half else x)
        elif layout.dense:
            step = PIECE if half else 16 * PIECE
            jobs += [(memory[i : i + step], half) for i in range(0, memory.size, step)]
        else:
            jobs.append((memory, half))

    def change(x: Any, half: bool) -> None:
        if half:  # computed in float32, rounded once
            x[...] = function(np, x.astype(np.float32))
        else:
            function(np, x, out=x)

    _in_parallel(change, jobs, [x.size for x, _ in jobs])
    for adapter in {grad.adapter for grad in once.values()}:
        adapter.touched([grad.array for grad in once.values() if grad.adapter is adapter])
    again = iter(grads)
    rest = [grad for grad in again if once.pop(id(grad.array), None) is None]
    if rest:
        _change(rest, function)


# ---------------------------------------------------------------------- the norm


def _norm(grads: list[_Gradient], norm_type: float | str, error_if_nonfinite: bool) -> float:
    order = float(norm_type)
    total = _total(_reduced(grads, order), order)
    if error_if_nonfinite and not math.isfinite(total):
        raise RuntimeError(
            f"the total norm of order {order} of the gradients is {total}, so they cannot be "
            "clipped; with error_if_nonfinite=False they are scaled by it all the same"
        )
    return total


def _total(reduced: list[list[float]], order: float) -> float:
    """Put together what the blocks of each gradient come to."""
    if order == 0:
        return float(sum(map(any, reduced)))
    values = [value for column in reduced for value in column]
    if not values:
        return 0.0
    if math.isinf(order):
        return float(np.max(values) if order > 0 else np.min(values))
    try:
        total = np.float64(math.fsum(values))
    except OverflowError:
        total = np.float64(np.inf)
    with np.errstate(all="ignore"):
        return float(
            np.sqrt(total) if order == 2 else total if order == 1 else total ** (1 / order)
        )


def _reduced(grads: list[_Gradient], order: float) -> list[list[float]]:
    """Return for each gradient the sums of its blocks, or its extremes."""
    kernel = _kernel() if order in (1, 2) and engines.forced_engine() in (None, "numba") else None
    result: list[list[float]] = [[] for _ in grads]
    jobs, owners = [], []
    for (array, memory, adapter, layout, is_complex), column in zip(grads, result, strict=True):
        pairs = is_complex and order != 2
        if type(memory) is np.ndarray:
            fused = layout.dense and not pairs and layout.dtype in ("float32", "float64")
            x = memory if layout.dense else memory.flat
            step = 16 * PIECE if kernel and fused else PIECE
            for start in range(0, memory.size, step):
                stop = min(start + step, memory.size)
                jobs.append((x, start, stop, order, pairs, kernel if fused else None))
                owners.append(column)
        elif 0 not in memory.shape:
            with adapter.running_on(array):
                xp = adapter.namespace(memory)
                x = xp.astype(xp.reshape(memory, (-1,)), xp.float64)
                column += _values(xp, x, order, pairs)
    sizes = [stop - start for _, start, stop, *_ in jobs]
    for column, values in zip(owners, _in_parallel(_piece, jobs, sizes), strict=True):
        column += values
    return result


def _piece(x: Any, start: int, stop: int, order: float, pairs: bool, kernel: Any) -> list[float]:
    """Reduce a stretch of a NumPy array that begins where a block begins."""
    part = x[start:stop]
    if kernel is not None:
        sums = np.empty(-(-part.size // BLOCK))
        kernel(part, order == 2, sums)
        return list(sums.tolist())
    if math.isinf(order) and not pairs:  # exact in any precision
        part = np.abs(part)
        return [float(part.max() if order > 0 else part.min())]
    return _values(np, part.astype(np.float64), order, pairs)


def _values(xp: Any, x: Any, order: float, pairs: bool) -> list[float]:
    """Reduce float64 numbers: sums of blocks, or the one number that the order asks for."""
    if pairs:
        real, imag = x[0::2], x[1::2]
        x = xp.sqrt(real * real + imag * imag)
    if order == 0:
        return [float(xp.any(x != 0))]
    if math.isinf(order):
        return [float(xp.max(xp.abs(x)) if order > 0 else xp.min(xp.abs(x)))]
    x = x * x if order == 2 else xp.abs(x) if order == 1 else xp.abs(x) ** order
    return _block_sums(xp, x)


def _block_sums(xp: Any, x: Any) -> list[float]:
    """Add each block of `x` as a balanced tree: the definition, elementwise throughout."""
    count = x.shape[0]
    size = min(BLOCK, 1 << (count - 1).bit_length())
    rows = -(-count // size)
    if count < rows * size:  # zeros change no bit of a sum
        x = xp.concat([x, xp.zeros_like(x[: rows * size - count])])
    x = xp.reshape(x, (rows, size))
    while size > 1:
        size //= 2
        x = x[:, :size] + x[:, size:]
    return [float(x[i, 0]) for i in range(rows)]


def _block_sums_compiled(x: Any, squared: bool, sums: Any) -> None:
    """Do the same over float32 or float64 terms, for Numba to compile."""
    tree = np.empty(BLOCK)
    for k in range(sums.size):
        part = x[k * BLOCK : (k + 1) * BLOCK]
        size = 2
        while size < part.size:
            size *= 2
        size //= 2
        low, high = part[:size], part[size:]
        for i in range(high.size):
            a, b = np.float64(low[i]), np.float64(high[i])
            tree[i] = a * a + b * b if squared else abs(a) + abs(b)
        for i in range(high.size, low.size):
            a = np.float64(low[i])
            tree[i] = a * a if squared else abs(a)
        while size > 1:
            size //= 2
            left, right = tree[:size], tree[size : 2 * size]
            for i in range(size):
                left[i] += right[i]
        sums[k] = tree[0]


@lru_cache(maxsize=1)
def _kernel() -> Callable[[Any, bool, Any], None] | None:
    try:
        from numba import njit
    except ImportError:
        return None
    compiled: Callable[[Any, bool, Any], None] = njit(cache=True, nogil=True, error_model="numpy")(
        _block_sums_compiled
    )
    return compiled
