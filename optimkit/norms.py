"""The gradients that a user means, and their norm in one pass over memory."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from operator import attrgetter
from types import GeneratorType
from typing import Any, NamedTuple

import numpy as np

from optimkit.backends.adapters import Adapter, Layout, adapter_of
from optimkit.backends.engines.blocked import PARALLEL
from optimkit.backends.engines.threads import on_all_threads, shares
from optimkit.backends.memory import flat, is_array
from optimkit.backends.reductions import CHUNK, total
from optimkit.backends.sweeps import Sweep, sweeps, whole
from optimkit.groups import is_nest, leaves
from optimkit.naming import naming
from optimkit.parameter import Parameter, array_of

PIECE = 4 * CHUNK  # elements that NumPy looks at together
START = 4_096  # what starting on a piece costs, in elements


# ---------------------------------------------------------------------- what is meant


class Gradient(NamedTuple):
    """A gradient, how it lies in memory, and whether it is complex."""

    array: Any
    adapter: Adapter
    layout: Layout
    is_complex: bool

    def memory(self) -> Any:
        """A NumPy view, flat if it is dense, or another library's view."""
        with self.adapter.running_on(self.array):
            view = self.adapter.for_sums(self.adapter.view(self.array))
        return flat(view) if self.layout.dense and type(view) is np.ndarray else view


def gradients_meant(
    source: Any, tensors_are_gradients: bool = False
) -> tuple[list[Gradient], list[int | str], Any]:
    """Return the gradients that the user means, checked, what each is called, and the first torch
    tensor among all."""
    names: Sequence[str] = ()
    optimizer = hasattr(source, "param_groups")
    if optimizer:
        items = [param for group in source.param_groups for param in group["params"]]
    elif is_array(source) or isinstance(source, Parameter):
        items = [source]
    else:
        items = list(source.values() if isinstance(source, Mapping) else source)
        if isinstance(source, GeneratorType) and not items:
            warnings.warn("an empty generator: there are no gradients", stacklevel=3)
        if is_nest(items):
            found = list(leaves(source if isinstance(source, Mapping) else items))
            names, items = [path for path, _ in found], [item for _, item in found]
    for i, item in enumerate(items if optimizer else ()):
        if not hasattr(item, "grad"):
            kind = type(item).__name__
            raise TypeError(f"parameter {i}: a {kind} has no .grad: give the gradients instead")
    places: list[int | str] = []
    arrays, tensor = [], None
    for i, item in enumerate(items):
        grad, is_tensor = item, hasattr(item, "detach")
        if tensor is None and is_tensor:
            tensor = item
        if type(item) is Parameter or (is_tensor and (optimizer or not tensors_are_gradients)):
            grad = item.grad
        if grad is not None:
            places.append(names[i] if names else i)
            arrays.append(grad)
    layouts = adapter_of(arrays[0]).plain(arrays) if is_array(arrays and arrays[0]) else None
    if layouts is not None:
        adapter = adapter_of(arrays[0])
        return (
            [
                Gradient(x, adapter, layout, False)
                for x, layout in zip(arrays, layouts, strict=True)
            ],
            places,
            tensor,
        )
    return _each_checked(places, arrays), places, tensor


def _each_checked(places: Sequence[int | str], arrays: list[Any]) -> list[Gradient]:
    grads, layout = [], None
    place: int | str = 0
    known: dict[Any, tuple[Layout, bool]] = {}
    with naming(lambda: f"gradient {place}"):
        for place, grad in zip(places, arrays, strict=True):  # noqa: B007  # for an error's name
            adapter = adapter_of(grad)
            if hasattr(grad, "detach") and grad.layout is not layout:
                layout = grad.layout
                if "sparse" in str(layout):
                    raise RuntimeError("it is sparse; only dense gradients have a norm here")
            adapter.check_gradient(grad)
            signature = adapter, adapter.signature(grad)
            found = known.get(signature)
            if found is None:
                found = known[signature] = _kind(adapter, grad)
            grads.append(Gradient(grad, adapter, *found))
    return grads


def _kind(adapter: Adapter, grad: Any) -> tuple[Layout, bool]:
    dtype = getattr(grad.dtype, "name", None) or str(grad.dtype).rpartition(".")[2]
    if not dtype.startswith(("float", "complex", "bfloat")):
        raise TypeError(f"its dtype is {dtype}; a floating dtype is needed")
    return adapter.layout(grad), dtype.startswith("complex")


_adapter = attrgetter("adapter")


# ---------------------------------------------------------------------- one pass over memory


def sweeps_over(grads: list[Gradient], order: float = 2) -> list[Sweep]:
    """What compiled loops can run over, for a norm of this order."""
    return sweeps(
        [
            (i, array, adapter, layout)
            for i, (array, adapter, layout, is_complex) in enumerate(grads)
            if order == 2 or (order == 1 and not is_complex)
        ]
    )


def in_parallel(run: Callable[..., Any], jobs: list[Any], sizes: list[int]) -> list[Any]:
    """Call `run` for each job, of so many elements, on several threads where that pays."""

    def run_all(part: list[Any]) -> list[Any]:
        with np.errstate(all="ignore"):
            return [run(*job) for job in part]

    if sum(sizes) < PARALLEL:
        return run_all(jobs)
    parts = [jobs[i:j] for i, j in pairwise(shares(sizes, START))]
    return [result for part in on_all_threads(run_all, parts) for result in part]


# ---------------------------------------------------------------------- finite or not


def nonfinite(grads: list[Any], params: list[Any]) -> list[int]:
    """The numbers of the gradients of these parameters that have an infinite element, or NaN.

    Found by the sums of their squares, which are such then. Of finite float64 that are large, they
    may be, too: there the elements are looked at.
    """
    if not grads:
        return []
    adapter = adapter_of(array_of(params[0]))
    try:
        layouts = None if adapter.spreads else adapter.plain(grads)
    except AttributeError:  # a sparse gradient, or something that is none
        layouts = None
    sweep = whole(adapter, grads, layouts) if layouts else None
    if sweep is not None:
        places = np.flatnonzero(~np.isfinite(sweep.sums(2))).tolist()
        return [i for i in places if sweep.dtype != "float64" or not _is_finite(adapter, grads[i])]
    arrays = map(array_of, params)
    entries = [adapter_of(x).entries(grad) for x, grad in zip(arrays, grads, strict=True)]
    dense = [g if each is None else each.values for g, each in zip(grads, entries, strict=True)]
    found, spreading = _settled(_each_checked(range(len(dense)), dense))
    sums = _reduced(found, 2.0, sweeps_over(found), spreading)
    places = [i for i, value in sums.items() if not np.isfinite(value)]
    return [
        i
        for i in places
        if found[i].layout.dtype != "float64" or not _is_finite(found[i].adapter, found[i].array)
    ]


def _is_finite(adapter: Adapter, grad: Any) -> bool:
    with adapter.running_on(grad):
        view = adapter.view(grad)
        xp = adapter.namespace(view)
        found = bool(xp.all(xp.isfinite(view)))
    if adapter.spreads:
        (everywhere,) = adapter.from_all_processes([grad], [float(found)])
        found = all(everywhere)
    return found


# ---------------------------------------------------------------------- the norm


def norm_of_all(
    grads: list[Gradient],
    norm_type: float | str,
    error_if_nonfinite: bool,
    swept: list[Sweep] | None = None,
) -> float:
    order = float(norm_type)
    settled, spreading = _settled(grads)
    if swept is None or order != 2 or settled is not grads:
        swept = sweeps_over(settled, order)
    values = list(_reduced(settled, order, swept, spreading).values())
    norm = _combined(np.array(values, np.float64), order)
    if error_if_nonfinite and not math.isfinite(norm):
        raise RuntimeError(
            f"the total norm of order {order} of the gradients is {norm}, so they cannot be "
            "clipped; with error_if_nonfinite=False they are scaled by it all the same"
        )
    return norm


def _settled(grads: list[Gradient]) -> tuple[list[Gradient], list[Adapter]]:
    """The gradients with nothing left to be added up over processes; adapters of those spread."""
    spreading = [adapter for adapter in set(map(_adapter, grads)) if adapter.spreads]
    if spreading:
        settled = [grad.adapter.settled(grad.array) for grad in grads]
        if any(x is not grad.array for x, grad in zip(settled, grads, strict=True)):
            grads = [grad._replace(array=x) for x, grad in zip(settled, grads, strict=True)]
    return grads, spreading


def _combined(values: np.ndarray[Any, Any], order: float) -> float:
    """Put together what each gradient comes to."""
    if not len(values):
        return 0.0
    if order == 0:
        return float(np.count_nonzero(values))
    if math.isinf(order):
        return float(np.max(values) if order > 0 else np.min(values))
    with np.errstate(all="ignore"):
        norm = total(np, values)
        return float(np.sqrt(norm) if order == 2 else norm if order == 1 else norm ** (1 / order))


def _reduced(
    grads: list[Gradient], order: float, swept: list[Sweep], spreading: list[Adapter]
) -> dict[int, Any]:
    """Return for each gradient that has elements, by its number, the sum of its terms, or its
    extreme."""
    found: dict[int, Any] = {}
    for sweep in swept:
        found.update(zip(sweep.places, sweep.sums(int(order)), strict=True))
    jobs, places = [], []
    elsewhere: dict[Any, dict[int, Any]] = {}  # by library and device, what is still there
    for i, grad in enumerate(grads):
        if i in found or grad.layout.size == 0:
            continue
        memory, pairs = grad.memory(), grad.is_complex and order != 2
        if type(memory) is np.ndarray:
            x = memory if grad.layout.dense else memory.flat
            for start in range(0, memory.size, PIECE):
                jobs.append((x, start, min(start + PIECE, memory.size), order, pairs))
                places.append(i)
        else:
            with grad.adapter.running_on(grad.array):
                xp = grad.adapter.namespace(memory)
                x = xp.astype(xp.reshape(memory, (-1,)), xp.float64)
                value = xp.astype(_value(xp, _terms(xp, x, order, pairs), order), xp.float64)
            elsewhere.setdefault((grad.adapter, grad.layout.device), {})[i] = value
    for (adapter, _), there in elsewhere.items():
        with adapter.running_on(grads[next(iter(there))].array):
            xp = adapter.namespace(next(iter(there.values())))
            together = adapter.fetch(xp.stack(list(there.values())))
        found.update(zip(there, together.tolist(), strict=True))
    parts = in_parallel(_stretch, jobs, [stop - start for _, start, stop, *_ in jobs])
    for i, part in zip(places, parts, strict=True):
        found[i] = [*found.get(i, ()), *part]
    values = _each(found, order)
    for adapter in spreading:
        spread = {
            i: grad.array
            for i, grad in enumerate(grads)
            if grad.adapter is adapter and 0 not in grad.array.shape
        }
        nothing = math.inf if order == -math.inf else 0.0
        here = [float(values.get(i, nothing)) for i in spread]
        everywhere = adapter.from_all_processes(list(spread.values()), here)
        values |= _each(dict(zip(spread, everywhere, strict=True)), order)
    return {i: values[i] for i in range(len(grads)) if i in values}


def _each(found: Mapping[int, Any], order: float) -> dict[int, Any]:
    """What comes of the parts of each gradient, where there are parts."""
    with np.errstate(all="ignore"):
        return {
            i: _value(np, np.array(x), order) if type(x) is list else x for i, x in found.items()
        }


def _stretch(x: Any, start: int, stop: int, order: float, pairs: bool) -> list[float]:
    """Reduce a stretch of a NumPy array, chunk by chunk, from where a chunk begins."""
    part = x[start:stop]
    terms = _terms(np, np.abs(part) if math.isinf(order) and not pairs else part, order, pairs)
    if order == 0 or math.isinf(order):
        return [float(_value(np, terms, order))]
    return [float(total(np, terms[i : i + CHUNK])) for i in range(0, len(terms), CHUNK)]


def _terms(xp: Any, x: Any, order: float, pairs: bool) -> Any:
    """What is to be added up, or to be compared."""
    if not math.isinf(order) or pairs:  # which is exact in any precision
        x = xp.astype(x, xp.float64)
    if pairs:
        real, imag = x[0::2], x[1::2]
        x = xp.sqrt(real * real + imag * imag)
    if order == 2:
        return x * x
    x = xp.abs(x)
    return x if order in (0, 1) or math.isinf(order) else x**order


def _value(xp: Any, terms: Any, order: float) -> Any:
    """The sum of terms, or the one that the order asks for."""
    if order == 0:
        return xp.any(terms != 0)
    if math.isinf(order):
        return xp.max(terms) if order > 0 else xp.min(terms)
    return total(xp, terms)
