"""Parameters that take one step together, and what is kept of them between steps."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import chain
from numbers import Number
from operator import itemgetter, or_
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from optimkit.backends.adapters import Adapter, Addresses, Layout, address_key
from optimkit.backends.adapters.headers import FEW, identities
from optimkit.backends.masters import MASTER
from optimkit.backends.memory import ITEMSIZE, Memory, check_apart, is_array, lie_alike
from optimkit.backends.packing import packing_of
from optimkit.backends.program import RESERVED, Program

LARGEST = 16  # bytes of an element
PLAIN = {float, int, bool, str, type(None)}  # state that is no array


class Unit(NamedTuple):
    """What a rule is given beside arrays: the same for all parameters of a unit."""

    hyper: Any
    step: int  # the 1-based count of the step to come
    scalars: dict[str, Any]


class Options(NamedTuple):
    """The options of all groups: those that occur, each once, and which a group has."""

    values: list[Any]
    of_group: list[int]

    def of(self, group: int) -> Any:
        return self.values[self.of_group[group]]

    def with_option(self, name: str, value: Any) -> Options:
        """The same with one more option."""
        return self._replace(
            values=[SimpleNamespace(**vars(hyper) | {name: value}) for hyper in self.values]
        )


class Member(NamedTuple):
    """A parameter that has a gradient: its place among all, its group, and what belongs to it."""

    place: int
    group: int
    adapter: Adapter
    array: Any
    grad: Any
    state: dict[str, Any]


class Bucket:
    """Parameters of the same dtype and device, whose state has the same entries.

    Attributes
    ----------
    indices : list of int
        Places of the parameters among all.
    arrays, grads : list
        The user's arrays.
    states : list of dict
        The state of each parameter, the very dicts of the optimizer.
    names : tuple of str
        State that is an array.
    units : list of Unit
        Options, step counts and numbers of the state, as they occur among the parameters.
    rows : array of int, optional
        The unit of each parameter; None if there is one.
    sizes : list of int
        Elements of each parameter, a complex number counting as two.
    dtypes : tuple of str
        Of ``"param"``, ``"grad"`` and the `names`.
    device : str
    fusable : bool
        Whether each parameter and its state lie alike in memory, without gaps; a parameter with
        gaps, in a copy without.
    grad_addresses : array or list of int
        A new object wherever they may have changed.
    cache : dict
        For the engines: valid as long as the bucket is.
    origins : list of Rows
        Where the arrays are rows taken out of parameters: those.
    """

    origins: Sequence[Any] = ()
    numbers: Any = None  # where a device counts the steps: what knows their number

    def __init__(self, members: list[Member], layouts: list[Layout]) -> None:
        self.adapter = adapter = members[0].adapter
        layout = layouts[0]
        self.indices = [member.place for member in members]
        self.groups = [member.group for member in members]
        self.arrays = arrays = [member.array for member in members]
        self.states = states = [member.state for member in members]
        grads = [member.grad for member in members]
        first = states[0]
        given = {k: v for k, v in first.items() if k not in RESERVED}
        self.names = tuple(k for k, v in given.items() if is_array(v))
        self._numbers = tuple(k for k, v in first.items() if not is_array(v) and k in given)
        self._numbers += ("step",) if "step" in first else ()
        self._columns = {name: [state[name] for state in states] for name in self.names}
        self._getters = list(map(itemgetter, self._numbers))
        self._entries, self._counted = {len(first)}, "step" in first
        self.sizes = [each.size for each in layouts]
        self.device = layout.device
        self._packing = None if layout.dense else packing_of(adapter, layout, arrays)
        self._homes = arrays if self._packing is None else self._packing.copies
        self.dtypes = layout.dtype, layout.dtype, *map(self._dtype, self._columns.values())
        apart = self._homes is not arrays
        gapless = layout.dense or apart
        columns = [*self._columns.values(), grads]
        found = lie_alike(adapter, self._homes, *columns) if gapless else [[True] * len(grads)]
        *alike, aligned = found
        self.fusable = gapless and all(map(all, alike))
        self._misaligned = [(self.fusable or apart) and not x for x in aligned]
        self._are_misaligned = True in self._misaligned
        self._note_what_lasts(grads)
        self.cache: dict[Any, Any] = {}
        self.units: list[Unit] = []
        self.rows: np.ndarray[Any, Any] | None = None
        self._pattern: list[int] = []

    def _dtype(self, column: list[Any]) -> str:
        return self.adapter.layout(column[0]).dtype

    def _note_what_lasts(self, grads: list[Any]) -> None:
        adapter = self.adapter
        self._ids = identities(self.arrays)
        self._param_watch = adapter.watch(self.arrays, exact=True)
        self._held = []
        for name, column in self._columns.items():
            places = None if adapter.stays else adapter.addresses(column)
            self._held.append((itemgetter(name), identities(column), places))
        self._grad_watch = adapter.watch(grads)
        starts = adapter.addresses(grads)
        extents = np.array([adapter.extent(grad) for grad in grads], np.int64).T
        reach = np.where(extents[1] > 0, extents - starts, 0)
        self._reach = tuple(reach.tolist() if len(grads) <= FEW else reach)
        self._nowhere = starts.count(0)

    def extents(self) -> np.ndarray[Any, Any]:
        """What a step writes to (n, 2)."""
        known = [self._homes, *self._columns.values()] if self.fusable else []
        starts = [np.array(self.adapter.addresses(column), np.int64) for column in known]
        dtypes = self.dtypes[:1] + self.dtypes[2:]
        sizes = [np.array(self.sizes) * ITEMSIZE.get(dtype, LARGEST) for dtype in dtypes]
        found = [np.stack([x, x + y], axis=1) for x, y in zip(starts, sizes, strict=False)]
        if self._homes is not self.arrays or not known:
            others = chain(self.arrays, *(() if known else self._columns.values()))
            found.append(np.array(list(map(self.adapter.extent, others)), np.int64).reshape(-1, 2))
        return np.concatenate(found)

    def begin(self, grads: list[Any], memory: Memory) -> None:
        """Take the first gradients, in a step that writes to `memory`."""
        self._memory = memory
        # addresses of the latest gradients, if they could be used as they were
        self._harmless: Any = None
        self._take(grads, self.adapter.places(grads))

    def _take(self, grads: list[Any], addresses: Addresses) -> None:
        """Keep the gradients.

        Copied are those in memory that the step will overwrite, and those that lie otherwise in
        memory than what is worked on, where that has no gaps.
        """
        self.grads, found = grads, address_key(addresses)
        if found == self._harmless:
            return
        if isinstance(addresses, list):
            nowhere = addresses.count(0)
        else:
            nowhere = len(grads) - int(np.count_nonzero(addresses))
        if nowhere != self._nowhere:
            raise ValueError("a gradient that has no memory")
        endangered = self._memory.overlaps(addresses, self._reach)
        self._harmless = found
        if self._are_misaligned or True in endangered:
            self._harmless = None
            convert = self.adapter.convert
            self.grads = [
                convert(grad, x) if copy else grad
                for grad, x, copy in zip(
                    grads, self._homes, map(or_, endangered, self._misaligned), strict=True
                )
            ]
            addresses = self.adapter.places(self.grads)
        self.grad_addresses = addresses

    def column(self, name: str) -> list[Any]:
        """The user's arrays that the input `name` of a program stands for."""
        if name == "param":
            return self.arrays
        return self.grads if name == "grad" else self._columns[name]

    def home(self, name: str) -> list[Any]:
        """What a kernel works on in place of `column`: for parameters with gaps, the copies."""
        return self._homes if name == "param" else self.column(name)

    def at_home(self, job: Callable[[], Callable[[], Any]]) -> Callable[[], Callable[[], Any]]:
        """Return `job`, which works on `home`, with the parameters brought there and back."""
        return job if self._packing is None else self._packing.around(job)

    def like_new(self) -> list[Any]:
        """Arrays that state which is new lies like, and is of the same dtype as."""
        return self._columns.get(MASTER, self._homes)

    def dtypes_of(self, program: Program) -> tuple[str, ...]:
        """Those of the columns of a program."""
        new = self.dtypes[2 + self.names.index(MASTER)] if MASTER in self.names else self.dtypes[0]
        return self.dtypes + (new,) * len(program.new_state)

    def renew(self, arrays: list[Any], grads: list[Any]) -> bool:
        """Take the next step's gradients; False if anything else has changed."""
        adapter, states = self.adapter, self.states
        try:
            if identities(arrays) != self._ids or set(map(len, states)) != self._entries:
                return False
            if not self._param_watch.still(arrays):
                return False
            for value, ids, places in self._held:
                column = list(map(value, states))
                if identities(column) != ids:
                    return False
                if places is not None and adapter.addresses(column) != places:
                    return False
            addresses = self._grad_watch.addresses(grads)
            if addresses is None:
                return False
            self._take(grads, addresses)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError):
            return False  # something of another kind, which the checks of a new bucket will name
        return True

    def settle(self, options: Options) -> bool:
        """Sort the parameters into units; False if they do not go together any more."""
        hypers, of_group = options
        if self._numbers == ("step",) and len(hypers) == 1:  # as it is nearly always
            try:
                steps = set(map(self._getters[0], self.states))
            except TypeError:  # an array, which the checks of a new bucket will name
                return False
            if len(steps) == 1 and _is_count(step := steps.pop()):
                self.units, self.rows = [Unit(hypers[0], step + 1, {})], None
                return True
        columns = [list(map(get, self.states)) for get in self._getters]
        values = [set(column) if _are_plain(column) else set() for column in columns]
        if not all(values) or (self._counted and not all(map(_is_count, values[-1]))):
            return False
        owners = [of_group[group] for group in self.groups] if len(hypers) > 1 else [0]
        if len(set(owners)) == 1 and all(len(value) == 1 for value in values):
            keys: list[Any] = [(owners[0], *(column[0] for column in columns))]
            self.rows = None
        else:
            owners = owners if len(hypers) > 1 else owners * len(self.states)
            index: dict[Any, int] = {}
            pattern = [
                index.setdefault(key, len(index)) for key in zip(owners, *columns, strict=True)
            ]
            keys = list(index)
            if self.rows is None or pattern != self._pattern:
                self._pattern, self.rows = pattern, np.array(pattern)
        self.units = [self._unit(hypers[owner], numbers) for owner, *numbers in keys]
        units = self.units
        return len(units) == 1 or len({getattr(x.hyper, "fused", None) for x in units}) == 1

    def _unit(self, hyper: Any, numbers: list[Any]) -> Unit:
        step = numbers.pop() if self._counted else 0
        return Unit(hyper, step + 1, dict(zip(self._numbers, numbers, strict=False)))

    def unit(self, place: int) -> Unit:
        """The unit of a parameter."""
        return self.units[0 if self.rows is None else self.rows[place]]

    def divided(self, parts: list[list[int]]) -> list[Bucket]:
        """Return a bucket for each list of units."""
        assert self.rows is not None
        layouts = list(map(self.adapter.layout, self.arrays))
        adapters = [self.adapter] * len(layouts)
        columns = self.indices, self.groups, adapters, self.arrays, self.grads, self.states
        members = list(map(Member, *columns))
        pieces = []
        for part in parts:
            chosen = np.flatnonzero(np.isin(self.rows, part)).tolist()
            piece = Bucket([members[i] for i in chosen], [layouts[i] for i in chosen])
            piece.begin([self.grads[i] for i in chosen], self._memory)
            if self.origins:
                piece.origins = [self.origins[i] for i in chosen]
            pieces.append(piece)
        return pieces


def _is_count(step: Any) -> bool:
    """Whether this is a step count that numbers can be made from."""
    return type(step) is int and 0 <= step <= sys.float_info.max


def _are_plain(column: list[Any]) -> bool:
    """Whether no entry is an array, or a number of NumPy's."""
    kinds = set(map(type, column))
    return PLAIN.issuperset(kinds) or all(
        issubclass(kind, Number) and not hasattr(kind, "shape") for kind in kinds - PLAIN
    )


def buckets(
    members: list[Member],
    extents: Sequence[tuple[int, int]],
    kind: Callable[[int], Any] = lambda group: None,
) -> list[Bucket]:
    """Sort parameters into buckets, in the order of their first members.

    Parameters
    ----------
    members : list of Member
    extents : sequence of (int, int)
        Further memory that no gradient may be read from once the step has begun.
    kind : callable
        What it says of their groups is the same within a bucket.
    """
    sorts: dict[Any, tuple[list[Member], list[Layout]]] = {}
    for member in members:
        layout = member.adapter.layout(member.array)
        dtypes = [getattr(x, "dtype", None) for x in member.state.values()]
        sort = member.adapter, layout.dtype, layout.device, layout.dense, kind(member.group)
        alike = sorts.setdefault((*sort, *member.state, *dtypes), ([], []))
        alike[0].append(member)
        alike[1].append(layout)
    made = [Bucket(*alike) for alike in sorts.values()]
    others = np.array(extents, np.int64).reshape(-1, 2)
    stretches = [bucket.extents() for bucket in made]
    check_apart(stretches, members)
    memory = Memory([others, *stretches])
    for bucket, (chosen, _) in zip(made, sorts.values(), strict=True):
        bucket.begin([member.grad for member in chosen], memory)
    return made
