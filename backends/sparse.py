"""Sparse gradients: those of embedding tables, and one form for every kind of them.

A sparse gradient is a list of entries: a place along the leading axes of the parameter, and the
values of the axes that remain. Brought to one form, each place is there once, the places are in
order, and what several entries had for one place is summed. A step then takes the touched rows out
of the parameter and its state, runs the rule on them as on any other arrays, and puts them back.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class RowSparse:
    """The gradient of a table of which few rows were used.

    Parameters
    ----------
    indices : array of integers
        Which rows, in any order and any shape, such as the token numbers of a batch. A row that
        comes more than once gets the sum of its values.
    values : array
        The gradients of those rows: of shape ``(*indices.shape, *shape[1:])``.
    shape : tuple of int
        The shape of the whole table, of any rank.

    Raises
    ------
    TypeError
        If `indices` are no integers.
    ValueError
        If the shapes do not fit together, or a row is not in the table; negative numbers are not.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> table = np.zeros((1000, 2))
    >>> tokens = np.array([[7, 42], [42, 7]])
    >>> upstream = np.ones((2, 2, 2))
    >>> optimizer = ok.SGD([table], lr=0.5)
    >>> optimizer.step(grads=[ok.RowSparse(tokens, upstream, table.shape)])
    >>> table[[7, 8]]
    array([[-1., -1.],
           [ 0.,  0.]])
    """

    __slots__ = ("__weakref__", "indices", "shape", "values")

    def __init__(self, indices: Any, values: Any, shape: tuple[int, ...]) -> None:
        if not hasattr(indices, "shape"):
            indices = np.asarray(indices, None if len(indices) else np.intp)
        self.indices, self.values, self.shape = indices, values, tuple(shape)
        if not self.shape:
            raise ValueError("RowSparse: a table has at least one axis, not shape ()")
        wanted = (*indices.shape, *self.shape[1:])
        if tuple(values.shape) != wanted:
            raise ValueError(
                f"RowSparse: values have shape {tuple(values.shape)}; {wanted} is needed for "
                f"indices of shape {tuple(indices.shape)} and a table of shape {self.shape}"
            )
        check_places((indices,), self.shape)

    def __repr__(self) -> str:
        return f"RowSparse({self.indices!r}, {self.values!r}, shape={self.shape})"


class Entries(NamedTuple):
    """A sparse gradient, whatever it came as.

    Attributes
    ----------
    places : tuple of arrays
        Where each entry belongs, one array of integers for each leading axis.
    values : array
        The entries, along the first axis.
    shape : tuple of int
        The shape of the parameter.
    unique : bool
        Whether each place is there once and the places are in order, for certain.
    """

    places: tuple[Any, ...]
    values: Any
    shape: tuple[int, ...]
    unique: bool = False


def entries_of_rows(grad: RowSparse) -> Entries:
    values = grad.values.reshape((-1, *grad.shape[1:]) if grad.values.size else _empty(grad))
    return Entries((grad.indices.reshape(-1),), values, grad.shape)


def check_places(places: tuple[Any, ...], shape: tuple[int, ...]) -> None:
    """Raise if a place is no integer, or outside of a parameter of this shape."""
    for axis, (place, length) in enumerate(zip(places, shape, strict=False)):
        if getattr(place.dtype, "kind", "") not in ("i", "u") and "int" not in str(place.dtype):
            raise TypeError(f"a sparse gradient has {place.dtype} indices; integers are needed")
        if 0 in place.shape:
            continue
        for found in (place.min(), place.max()):
            if not 0 <= int(found) < length:
                raise ValueError(
                    f"a sparse gradient has index {int(found)} along axis {axis}; "
                    f"0 to {length - 1} are there"
                )


def coalesce(xp: Any, entries: Entries) -> tuple[tuple[Any, ...], Any]:
    """Return every place once, in order, and the sum of its values in memory of its own.

    Values for the same place are added as neighbours, in pairs and then pairs of pairs, in the
    order in which they were given: the error grows with the logarithm of their number, and the
    bits are the same in every library.

    Parameters
    ----------
    xp : module
        numpy, or one that works alike.
    entries : Entries
    """
    lead = entries.shape[: len(entries.places)]
    places = tuple(xp.asarray(place).astype(np.intp) for place in entries.places)
    place = places[0] if len(places) == 1 else xp.ravel_multi_index(places, lead)
    if (place[1:] > place[:-1]).all():
        values = entries.values.copy()
    else:
        order = xp.argsort(place, kind="stable")
        place, values = place[order], entries.values[order]
        left = xp.arange(len(place))
        while (repeated := place[1:] == place[:-1]).any():
            first = xp.concatenate((xp.ones(1, bool), ~repeated))
            position = xp.arange(len(place)) - xp.flatnonzero(first)[xp.cumsum(first) - 1]
            even = position % 2 == 0
            odd = xp.flatnonzero(~even)
            with np.errstate(all="ignore"):
                values[left[odd - 1]] += values[left[odd]]
            place, left = place[even], left[even]
        if len(left) < len(values):
            values = values[left]
    return (place,) if len(places) == 1 else tuple(xp.unravel_index(place, lead)), values


def _empty(grad: RowSparse) -> tuple[int, ...]:
    return int(np.prod(grad.indices.shape)), *grad.shape[1:]


__all__ = ["Entries", "RowSparse", "check_places", "coalesce", "entries_of_rows"]
