"""Micro-batches for the tests of accumulation: their gradients, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from libraries import Library, TorchParameter

SHAPES = [(5,), (2, 3), (), (0,)]
Row = list[Any]


def starts(dtype: Any = "float32") -> Row:
    rng = np.random.default_rng(0)
    return [np.asarray(rng.standard_normal(shape), dtype) for shape in SHAPES]


def batch(number: int, dtype: Any = "float32") -> Row:
    """The gradients of a micro-batch; what is missing in it depends on its number."""
    rng = np.random.default_rng(100 + number)
    grads: Row = [np.asarray(rng.standard_normal(shape) * 3, dtype) for shape in SHAPES]
    if np.dtype(dtype).kind == "c":
        grads = [np.asarray(x + 1j * x[..., ::-1] if x.ndim else x * 1j, dtype) for x in grads]
    if number in (4, 6, 7, 8, 10):
        grads[1] = None
    if number in (6, 7, 8):
        grads[0] = -0.0 * grads[0]
    return grads


def total(rows: Sequence[Row], mean: bool = True) -> Row:
    """What accumulation is defined to be: added in order, halves in float32, divided once."""
    found: Row = []
    for column in zip(*rows, strict=True):
        given = [x for x in column if x is not None]
        if not given:
            found.append(None)
            continue
        half = given[0].dtype.itemsize == 2
        x = given[0].astype(np.float32) if half else given[0].copy()
        for other in given[1:]:
            x = x + (other.astype(np.float32) if half else other)
        x = np.asarray(x)
        if mean:  # of complex numbers the real and imaginary parts
            parts = x[..., None].view(x.real.dtype) if x.dtype.kind == "c" else x
            parts /= parts.dtype.type(len(rows))
        found.append(x.astype(given[0].dtype))
    return found


def give(library: Library, optimizer: Any, grads: Row) -> None:
    """Call step with a micro-batch as this library's users do: autograd adds to ``.grad``."""
    if isinstance(library, TorchParameter):
        params = [param for group in optimizer.param_groups for param in group["params"]]
        for param, grad in zip(params, grads, strict=True):
            if grad is not None:
                new = library.grad(grad)
                param.grad = new if param.grad is None else param.grad + new
        optimizer.step()
        if optimizer.stepped:
            optimizer.zero_grad()
    else:
        library.step(optimizer, grads)
