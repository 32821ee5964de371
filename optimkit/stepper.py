"""One step of any rule over any columns of arrays: planned once, then repeated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, TypeVar

from optimkit.backends import engines
from optimkit.backends.adapters.headers import FEW, NONE, identities, objects
from optimkit.backends.bucket import Bucket, Options
from optimkit.backends.engines.base import Job
from optimkit.backends.memory import is_array
from optimkit.parameter import Parameter, array_of

Work = list[tuple[Bucket, Job]]
Made = TypeVar("Made")

KEPT = 4  # plans, for gradients that are missing by turns


class Plan:
    """How parameters fall into buckets, and what they were when that was found."""

    def __init__(self, params: list[Any], grads: list[Any], buckets: list[Bucket]) -> None:
        self._params, self.buckets = params, buckets
        self._ids, self.absent = identities(params), absent(grads)
        self.strangers: list[tuple[Any, dict[str, Any]]] = []  # with states nobody else knows yet
        self._bare = not any(isinstance(param, Parameter) for param in params)

    def renew(self, params: list[Any], grads: list[Any]) -> bool:
        """Hand the buckets the next gradients; False if they have to be made anew."""
        if identities(params) != self._ids:
            return False
        arrays = params if self._bare else list(map(array_of, params))
        for bucket in self.buckets:
            if len(bucket.indices) == len(params):
                if not bucket.renew(arrays, grads):
                    return False
            elif not bucket.renew(_pick(arrays, bucket.indices), _pick(grads, bucket.indices)):
                return False
        return True


class Stepper:
    """Takes steps, and knows whether everything is as it was at the last one.

    Parameters
    ----------
    counts : bool
        Whether a step is counted in the states.
    """

    def __init__(self, counts: bool) -> None:
        self._counts = counts
        self._replayed: list[Bucket] = []  # with a step in a CUDA graph
        self._graphs: list[Any] = []  # what graphs need, for as long as there may be any
        self.forget()

    def forget(self) -> None:
        """Keep nothing of the steps so far."""
        self._graphs += self._replayed
        self._replayed = []
        self._plan: Plan | None = None  # that of the latest step
        self._plans: dict[Any, Plan] = {}  # by the gradients that are missing
        self.version: object = None  # of the states that the plans have

    @property
    def strangers(self) -> list[tuple[Any, dict[str, Any]]]:
        """Parameters of the latest step with a state that its owner does not know yet."""
        return self._plan.strangers if self._plan is not None else []

    def registered(self, version: object, strangers: list[tuple[Any, dict[str, Any]]]) -> None:
        """Note that the owner of the states knows all but these, and has another version now."""
        assert self._plan is not None
        self._plan.strangers = strangers
        if version != self.version:  # other plans may have other states for the same parameters
            self._plans = {self._plan.absent: self._plan}
            self.version = version

    @property
    def buckets(self) -> list[Bucket]:
        """What a step is taken over."""
        return self._plan.buckets if self._plan is not None else []

    def again(self, params: list[Any], grads: list[Any], version: object, options: Options) -> bool:
        """Take the gradients of another step; False if the plan does not fit it.

        Parameters
        ----------
        params, grads : list
            What is optimized, and its gradients or None: lists that nobody else changes.
        version : object
            Another one wherever a parameter has got another dict of state.
        options : Options
        """
        if self.version != version:
            self.forget()
        self._plan = plan = self._plans.get(absent(grads))
        return (
            plan is not None
            and plan.renew(params, grads)
            and all(bucket.settle(options) for bucket in plan.buckets)
        )

    def lay_out(
        self,
        params: list[Any],
        grads: list[Any],
        version: object,
        options: Options,
        buckets: list[Bucket],
    ) -> None:
        """Plan steps over these buckets."""
        for bucket in buckets:
            bucket.settle(options)
        self._plan, self.version = Plan(params, grads, buckets), version
        self._plans.pop(self._plan.absent, None)
        while len(self._plans) >= KEPT:
            del self._plans[next(iter(self._plans))]
        self._plans[self._plan.absent] = self._plan

    def prepare(
        self,
        update: Callable[..., Any],
        options: Options,
        native: bool = False,
        rows: Sequence[Bucket] = (),
    ) -> Work:
        """Make ready a step of the rule `update`: what is wrong with it is found here.

        Parameters
        ----------
        update, native
            The rule, and whether it is called with what the library itself computes with.
        options : Options
        rows : sequence of Bucket
            Touched rows, which are not planned for.
        """
        assert self._plan is not None
        choose = partial(engines.choose, update=update, native=native)
        touched: Work = []
        if rows:
            sparse = options.with_option("sparse", True)
            for bucket in rows:
                bucket.settle(sparse)
            touched = each_bucket(rows, sparse, choose)
        work = each_bucket(self._plan.buckets, options, choose)
        self._plan.buckets = [bucket for bucket, _ in work]
        return touched + work

    def run(self, work: Work) -> None:
        """Take a step: all new values are there before the first is written.

        What interrupts the writing, as KeyboardInterrupt may, has a note that says how far it was.
        """
        writes = [(bucket, job()) for bucket, job in work]
        taken = [(bucket, write()) for bucket, write in writes if bucket.origins]
        for bucket, entries in taken:  # so far only copies have changed
            for rows, new in zip(bucket.origins, entries or (), strict=False):
                rows.check(new)
        moved: list[int] = []
        moving: list[int] = []
        try:
            for bucket, write in writes:
                if not bucket.origins:
                    moving = bucket.indices
                    self._commit(bucket, write())
                    moved += moving
            for bucket, entries in taken:
                moving = bucket.indices
                self._put_back(bucket, entries)
                moved += moving
        except BaseException as error:
            parts = sorted(set(moving) - set(moved))
            error.add_note(
                f"A step was being written: of the parameters, numbers {sorted(moved)} have been "
                f"updated, {parts} perhaps or in part, the others not."
            )
            raise

    def _put_back(self, bucket: Bucket, entries: Sequence[dict[str, Any]] | None) -> None:
        """Write rows to where they were taken from."""
        for i, rows in enumerate(bucket.origins):
            count = {"step": bucket.unit(i).step} if self._counts else {}
            rows.put_back(count | (entries[i] if entries else {}))

    def _note_graph(self, bucket: Bucket) -> None:
        if bucket not in self._replayed:
            self._replayed.append(bucket)

    def recount(self) -> None:
        """Bring the counts of steps up to date that were taken by replaying a CUDA graph."""
        for bucket in self._replayed:
            if not bucket.numbers.is_capturing():
                taken = bucket.numbers.count()
                for state in bucket.states:
                    state["step"] = taken

    def refresh(self, options: Options) -> None:
        """Bring options to where a captured step reads them."""
        for bucket in self._replayed:
            found = [options.of(group) for group in set(bucket.groups)]
            if any(hyper is not found[0] for hyper in found):
                raise RuntimeError(
                    "groups that were captured as one have other options: capture anew"
                )
            bucket.numbers.bring(found[0])

    def _commit(self, bucket: Bucket, entries: Sequence[dict[str, Any]] | None) -> None:
        """Note in the states what is new in them."""
        adapter = bucket.adapter
        if bucket.numbers is not None and bucket.numbers.captured:
            self._note_graph(bucket)  # the device counts
        elif self._counts and bucket.rows is None:
            step = bucket.units[0].step
            for state in bucket.states:
                state["step"] = step
        elif self._counts:
            for i, state in enumerate(bucket.states):
                state["step"] = bucket.unit(i).step
        if entries is not None:
            for state, array, new in zip(bucket.states, bucket.arrays, entries, strict=True):
                for name, value in new.items():
                    state[name] = adapter.wrap(value, array) if is_array(value) else value
        adapter.touched(bucket.arrays)

    def release(self) -> None:
        """Let go of the gradients, which are the user's."""
        for bucket in self.buckets:
            bucket.grads = []


def each_bucket(
    buckets: Sequence[Bucket], options: Options, make: Callable[[Bucket], Made]
) -> list[tuple[Bucket, Made]]:
    """Make something for each bucket, divided where one program does not do for all of it."""
    found: list[tuple[Bucket, Made]] = []
    for bucket in buckets:
        try:
            found.append((bucket, make(bucket)))
        except engines.Divided as parts:
            pieces = bucket.divided(parts.parts)
            for piece in pieces:
                piece.settle(options)
            found += each_bucket(pieces, options, make)
    return found


def absent(grads: list[Any]) -> Any:
    """Which gradients are missing, as a key."""
    if len(grads) <= FEW:
        return tuple([grad is None for grad in grads])
    return (objects(grads) == NONE).tobytes()


def _pick(items: list[Any], indices: list[int]) -> list[Any]:
    return list(itemgetter(*indices)(items)) if len(indices) > 1 else [items[indices[0]]]


__all__ = ["Plan", "Stepper", "each_bucket"]
