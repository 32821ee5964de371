"""Parameters that take one step together, and what is kept of them between steps."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import is_, itemgetter
from typing import Any

import numpy as np

from optimkit.backends.adapters import Adapter, Layout, adapter_of
from optimkit.backends.trace import RESERVED

FEW = 16  # stretches of memory
PLAIN = {float, int, bool, str, type(None)}  # state that is no array


class Memory:
    """The memory of all parameters of an optimizer, in order of address."""

    def __init__(self, extents: Sequence[tuple[int, int]]) -> None:
        self.extents = extents
        table = np.array(sorted(extents), np.int64).reshape(-1, 2)
        self.starts = table[:, 0].copy()
        # the last address of the parameters before each place in the order
        self.ends = np.maximum.accumulate(np.concatenate([[0], table[:, 1]]))
        self._few = self.starts.tolist(), self.ends.tolist()

    def overlaps(self, addresses: Sequence[int], reach: np.ndarray[Any, Any]) -> list[bool]:
        """For each address, whether a parameter may have a byte in what it reaches.

        `reach` is where that begins and where it ends (2, n), counted from the addresses.
        """
        if len(addresses) <= FEW:  # NumPy costs more to call than to do without
            starts, ends = self._few
            lows, highs = reach.tolist()
            return [
                ends[bisect_left(starts, x + high)] > x + low
                for x, low, high in zip(addresses, lows, highs, strict=True)
            ]
        low, high = np.fromiter(addresses, np.int64, len(addresses)) + reach
        found: list[bool] = (self.ends[self.starts.searchsorted(high)] > low).tolist()
        return found


class Bucket:
    """Parameters of one group with the same dtype, device, step count and scalar state.

    Attributes
    ----------
    indices : list of int
        Places of the parameters in their group.
    arrays, grads : list
        The user's arrays.
    states : list of dict
        The state of each parameter, the very dicts of the optimizer.
    names : tuple of str
        State that is an array.
    scalars : dict
        State that is a number, the same for all parameters of the bucket.
    step : int
        The 1-based count of the step to come.
    layouts : list of Layout
    dtype, device : str
    fusable : bool
        Whether each parameter and its state lie alike in memory, without gaps.
    grad_addresses : list of int
    cache : dict
        For the engines: valid as long as the bucket is.
    rows : list of Rows
        Where the arrays are the touched rows of parameters: those.
    """

    rows: Sequence[Any] = ()

    def __init__(
        self,
        adapter: Adapter,
        indices: list[int],
        arrays: list[Any],
        grads: list[Any],
        states: list[dict[str, Any]],
        memory: Memory,
    ) -> None:
        self.adapter, self.indices = adapter, indices
        self.arrays, self.states, self.memory = arrays, states, memory
        first = states[0]
        given = {k: v for k, v in first.items() if k not in RESERVED}
        self.names = tuple(k for k, v in given.items() if is_array(v))
        self.scalars = {k: v for k, v in given.items() if not is_array(v)}
        self.step: int = first.get("step", 0) + 1
        self._columns = {name: [state[name] for state in states] for name in self.names}
        self._held = [(itemgetter(k), x, adapter.places(x)) for k, x in self._columns.items()]
        self._keys, self._counted = {len(first)}, "step" in first
        self.layouts: list[Layout] = [adapter.layout(x) for x in arrays]
        self.dtype, self.device = self.layouts[0].dtype, self.layouts[0].device
        self._fingerprints = adapter.fingerprints(arrays)
        self._grad_signatures = adapter.signatures(grads)
        addresses = adapter.addresses(grads)
        extents = np.array([adapter.extent(grad) for grad in grads], np.int64).T
        self._reach = np.where(extents[1] > 0, extents - addresses, 0)
        dense = [layout.dense for layout in self.layouts]
        self._misaligned = [
            gapless and not _lie_alike(adapter, x, grad)
            for gapless, x, grad in zip(dense, arrays, grads, strict=True)
        ]
        # addresses of the latest gradients, if they could be used as they were
        self._harmless: list[int] | None = None
        self._nowhere = addresses.count(0)
        self._take(grads)
        self.fusable = all(dense) and all(
            _lie_alike(adapter, x, other)
            for column in self._columns.values()
            for x, other in zip(arrays, column, strict=True)
        )
        self.cache: dict[Any, Any] = {}

    def _take(self, grads: list[Any]) -> None:
        """Keep the gradients.

        Copied are those in memory that the step will overwrite, and those that lie otherwise in
        memory than their parameter, where that has no gaps.
        """
        self.grads = grads
        addresses = self.adapter.addresses(grads)
        if addresses == self._harmless:
            return
        if addresses.count(0) != self._nowhere:
            raise ValueError("a gradient that has no memory")
        endangered = self.memory.overlaps(addresses, self._reach)
        copied = [a or b for a, b in zip(endangered, self._misaligned, strict=True)]
        self._harmless = addresses
        if any(copied):
            self._harmless = None
            convert = self.adapter.convert
            self.grads = [
                convert(grad, x) if copy else grad
                for grad, x, copy in zip(grads, self.arrays, copied, strict=True)
            ]
            addresses = self.adapter.addresses(self.grads)
        self.grad_addresses = addresses

    def column(self, name: str) -> list[Any]:
        """The user's arrays that the input `name` of a program stands for."""
        if name == "param":
            return self.arrays
        return self.grads if name == "grad" else self._columns[name]

    def renew(self, arrays: list[Any], grads: list[Any]) -> bool:
        """Take the next step's gradients; False if anything else has changed."""
        adapter, states = self.adapter, self.states
        try:
            if not (
                len(arrays) == len(self.arrays)
                and all(map(is_, arrays, self.arrays))
                and adapter.signatures(grads) == self._grad_signatures
                and adapter.fingerprints(arrays) == self._fingerprints
                and set(map(len, states)) == self._keys
            ):
                return False
            for value, column, places in self._held:
                if not all(map(is_, map(value, states), column)):
                    return False
                if adapter.places(column) != places:
                    return False
            if self.scalars:
                self.scalars = {name: _common(states, name) for name in self.scalars}
            if self._counted:
                self.step = _common(states, "step") + 1
            self._take(grads)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError):
            return False  # something of another kind, which the checks of a new bucket will name
        return True


def is_array(value: Any) -> bool:
    return hasattr(value, "__array_namespace__") or hasattr(value, "shape")


def _common(states: Sequence[dict[str, Any]], name: str) -> Any:
    values = set(map(itemgetter(name), states))
    value = values.pop()
    if values or type(value) not in PLAIN:
        raise ValueError(name)
    return value


def buckets(
    indices: list[int],
    arrays: list[Any],
    grads: list[Any],
    states: list[dict[str, Any]],
    memory: Memory,
) -> list[Bucket]:
    """Sort parameters into buckets, in the order of their first members."""
    members: dict[Any, list[int]] = {}
    for i, (array, state) in enumerate(zip(arrays, states, strict=True)):
        adapter = adapter_of(array)
        layout = adapter.layout(array)
        numbers = ((k, v) for k, v in state.items() if not is_array(v))
        key = (adapter, layout.dtype, layout.device, layout.dense, tuple(state), *numbers)
        members.setdefault(key, []).append(i)

    def pick(column: list[Any], chosen: list[int]) -> list[Any]:
        return [column[i] for i in chosen]

    return [
        Bucket(
            key[0],
            pick(indices, chosen),
            pick(arrays, chosen),
            pick(grads, chosen),
            pick(states, chosen),
            memory,
        )
        for key, chosen in members.items()
    ]


def check_gradient(adapter: Adapter, array: Any, grad: Any) -> Any:
    """Return `grad` as an array like `array`, or raise the error that says why it is none."""
    grad = adapter.as_gradient(grad)
    if not adapter.owns(grad) or adapter_of(grad) is not adapter:
        raise TypeError(
            f"its gradient is a {type(grad).__module__}.{type(grad).__qualname__}; "
            f"a {type(array).__module__}.{type(array).__qualname__} is needed"
        )
    shape, dtype, device = adapter.describe(array)
    grad_shape, grad_dtype, grad_device = adapter.describe(grad)
    if grad_shape != shape:
        raise ValueError(f"its gradient has shape {grad_shape}; {shape} is needed")
    if grad_dtype != dtype:
        raise TypeError(f"its gradient has dtype {grad_dtype}; {dtype} is needed")
    if grad_device != device:
        raise RuntimeError(f"its gradient is on {grad_device}; {device} is needed")
    adapter.check_gradient(grad)
    return grad


def _lie_alike(adapter: Adapter, x: Any, other: Any) -> bool:
    """Whether the elements of two arrays come in the same order in memory, without gaps."""
    if adapter.signature(x) == adapter.signature(other):
        return True
    (shape, dtype, device), described = adapter.describe(x), adapter.describe(other)
    if (shape, dtype, device) != described or not adapter.layout(other).dense:
        return False
    return _order(x) == _order(other)


def _order(x: Any) -> list[int]:
    """Strides of the axes that have any length to speak of."""
    strides = x.stride() if callable(getattr(x, "stride", None)) else x.strides
    return [s for s, n in zip(strides, x.shape, strict=True) if n > 1]
