"""Any sequence of what users do: the same bits on every engine, and an error changes nothing.

The ordinary run repeats the same short sequences. For a long one, with others each time, say how
many operations there are to be (100,000 take a quarter of an hour, and a failing example is
shrunk)::

    OPTIMKIT_LONG=100000 pytest -s tests/shell/test_sequences.py

What is found becomes a plain test of its own, the smallest there is, in `test_edits.py`.
"""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Callable
from numbers import Real
from typing import Any
from unittest import mock

import numpy as np
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sequences import (
    BAD,
    CLOSURES,
    FORMS,
    GOOD,
    NO_COMPLEX,
    Boom,
    Engines,
    Grad,
    Start,
    grad_of,
    known_values,
    options_of,
    param_of,
    params_of,
)

import optimkit as ok
from optimkit.parameter import array_of
from optimkit.validation.reference.cases import OPTIMIZERS

OPERATIONS = int(os.environ.get("OPTIMKIT_LONG", "0"))

HUGE = 10**400
# What would run for ever is nobody's mistake.
LOOPS = ("ns_steps", "max_iter", "max_eval", "history_size")
VALUES: list[Any] = [
    *(0, 0.0, -0.0, 1, 1.0, 2, 0.5, 1e-3, -1e-18, -0.25, -1, -3.5, 1e300, 1e-320),
    *(float("inf"), float("-inf"), float("nan"), HUGE, -HUGE, -(10**18), 10**18),
    *(True, False, None, "text", 1j, [0.5, 0.75], np.float32(0.25), np.array(0.125), np.ones(2)),
    *((), (0.5,), (0.5, 0.75), (1.0, 1.0), (0.0, 0.0), (0.5, 1.25), (0.25, 0.5, 0.75)),
    *((None, 1e-3), (0.5, None), ("a", "b"), (0.5, HUGE), (-1.0, 2.0), (2.0, 0.5), (1e-6, 50)),
    *(torch.tensor(0.125), object),
]
COUNTS: list[Any] = [
    *(0, 1, 3, 10**6, -1, -5, 2.5, 2.0, None, "3", HUGE, 10**18, float("nan"), float("inf"), True),
    *(np.int64(4), np.float32(3.0), np.array(2.0), torch.tensor(3.0), torch.ones(2), np.ones(2)),
]

seeds = st.integers(0, 5)
places = st.integers(0, 7)
scales = st.sampled_from(["ordinary"] * 4 + ["zeros", "tiny", "huge", "not finite"])
good = st.builds(Grad, st.sampled_from(GOOD), scales, seeds)
bad = st.builds(Grad, st.sampled_from(BAD), st.just("ordinary"), seeds)
rows = st.builds(Grad, st.just("rows"), scales, seeds)


def gradients(one: Any) -> Any:
    return st.lists(st.none() | one | one | one, min_size=1, max_size=6)


dense = st.builds(Grad, st.sampled_from([kind for kind in GOOD if kind != "rows"]), scales, seeds)


class Sequences(RuleBasedStateMachine):
    """One optimizer, on every engine, and what its user does with it."""

    # ------------------------------------------------------------ the beginning

    @initialize(data=st.data(), name=st.sampled_from(OPTIMIZERS))
    def begin(self, data: Any, name: str) -> None:
        options = data.draw(st.sampled_from(options_of(name)), "options")
        starts = data.draw(st.lists(self._starts(name), min_size=1, max_size=4), "parameters")
        cut = data.draw(st.integers(0, len(starts)), "second group from")
        named = data.draw(st.booleans(), "named")
        self.name, self.options, self.named = name, dict(options), named
        self.moved = False  # whether a parameter has had other memory
        if name in CLOSURES:
            cut, starts = 0, [start._replace(dtype=starts[0].dtype) for start in starts]
        self.engines = Engines(lambda: self._make(starts, cut))

    @staticmethod
    def _starts(name: str) -> Any:
        shapes = [(), (0,), (1,), (3,), (3,), (7,), (2, 3), (2, 3), (3, 2, 2), (0, 3), (2, 0)]
        dtypes = ["float32", "float32", "float64", "float16"]
        if name not in NO_COMPLEX:
            dtypes += ["complex64", "complex128"]
        if name == "Muon":
            shapes = [(2, 3), (4, 2), (1, 1), (3, 3), (0, 3)]
        if name == "SparseAdam":
            shapes = [(3,), (2, 3), (4, 2), (3, 2, 2)]
        return st.builds(
            Start,
            st.sampled_from(FORMS),
            st.sampled_from(shapes),
            st.sampled_from(dtypes),
            st.sampled_from(["C", "C", "F", "gaps", "backwards", "within a buffer"]),
            seeds,
        )

    def _make(self, starts: list[Start], cut: int) -> ok.Optimizer:
        params = list(map(param_of, starts))
        parts = [params[:cut], params[cut:]] if 0 < cut < len(params) else [params]
        given: list[Any] = parts
        if self.named:
            given = [[(f"{i}{j}", p) for j, p in enumerate(part)] for i, part in enumerate(parts)]
        groups = [{"params": part} for part in given]
        optimizer: ok.Optimizer = getattr(ok, self.name)(groups, **self.options)
        return optimizer

    # ------------------------------------------------------------ steps

    @property
    def _steps(self) -> bool:
        return self.name not in CLOSURES

    def _step(self, grads: list[Grad | None], how: str) -> str | None:
        if self.name == "SparseAdam":
            grads = [g and g._replace(kind="rows") if g and g.kind in GOOD else g for g in grads]

        def step(opt: ok.Optimizer) -> None:
            self._take(opt, grads, how)

        return self.engines.do(step)

    @staticmethod
    def _take(opt: ok.Optimizer, grads: list[Grad | None], how: str) -> None:
        params = params_of(opt)
        made = [grad_of(grads[i % len(grads)], opt, i) for i in range(len(params))]
        names = [name for group in opt.param_groups for name in group.get("param_names", ())]
        if how == "by name" and len(names) == len(params):
            opt.step(grads=dict(zip(names, made, strict=True)))
        elif how == "closure":
            opt.step(lambda: (1.5, made))
        else:
            opt.step(grads=made)

    @precondition(lambda self: self._steps)
    @rule(grads=gradients(good), how=st.sampled_from(["list", "by name", "closure"]))
    def step(self, grads: list[Grad | None], how: str) -> None:
        self._step(grads, how)

    @precondition(lambda self: self._steps)
    @rule(grads=gradients(dense), count=st.integers(2, 12))
    def steps(self, grads: list[Grad | None], count: int) -> None:
        for _ in range(count):
            if self._step(grads, "list"):
                break

    @precondition(lambda self: self._steps)
    @rule(grads=gradients(good | bad))
    def step_with_a_bad_gradient(self, grads: list[Grad | None]) -> None:
        self._step(grads, "list")

    @precondition(lambda self: self._steps)
    @rule(grads=gradients(dense))
    def step_by_grad(self, grads: list[Grad | None]) -> None:
        def step(opt: ok.Optimizer) -> None:
            for i, param in enumerate(params_of(opt)):
                if isinstance(param, ok.Parameter | torch.nn.Parameter):
                    try:
                        param.grad = grad_of(grads[i % len(grads)], opt, i)
                    except RuntimeError:  # torch's own
                        param.grad = None

        self.engines.do(step)
        self.engines.do(lambda opt: opt.step())

    @rule(
        call=st.sampled_from(
            ["few", "many", "none by name", "unknown name", "an array", "number", "both", "list"]
        )
    )
    def step_called_wrongly(self, call: str) -> None:
        def step(opt: ok.Optimizer) -> None:
            params = params_of(opt)
            nothing: list[Any] = [None] * len(params)
            match call:
                case "few":
                    opt.step(grads=nothing[1:])
                case "many":
                    opt.step(grads=[*nothing, None])
                case "none by name":
                    opt.step(grads={})
                case "unknown name":
                    opt.step(grads={"nobody": None})
                case "an array":
                    opt.step(grads=np.ones(2))
                case "number":
                    opt.step(grads=3)
                case "both":
                    opt.step(lambda: 1.0, grads=nothing)
                case "list":
                    opt.step(nothing)  # type: ignore[arg-type]

        self.engines.do(step)

    @rule(at=st.integers(0, 2), how=st.sampled_from(["raise", "text", "none", "few", "shape"]))
    def closure_that_fails(self, at: int, how: str) -> None:
        def step(opt: ok.Optimizer) -> None:
            calls = []

            def closure() -> Any:
                calls.append(1)
                grads: list[Any] = [array_of(p) for p in params_of(opt)]
                grads = [g.detach().clone() if hasattr(g, "detach") else g.copy() for g in grads]
                if len(calls) <= at and self.name in CLOSURES:
                    return float(len(calls)), grads
                match how:
                    case "raise":
                        raise Boom("in the closure")
                    case "text":
                        return "loss", grads
                    case "none":
                        return None
                    case "few":
                        return 1.0, grads[1:]
                return 1.0, [g.reshape((1, *g.shape)) for g in grads]

            opt.step(closure)

        self.engines.do(step)

    @precondition(lambda self: not self._steps)
    @rule(scale=st.sampled_from([0.0, 0.5, 2.0, 1e3, float("nan"), float("inf")]))
    def line_search(self, scale: float) -> None:
        self.search(scale)

    def search(self, scale: float) -> str | None:
        def step(opt: ok.Optimizer) -> None:
            def closure() -> Any:
                arrays = [array_of(p) for p in params_of(opt)]
                arrays = [x.detach().clone() if hasattr(x, "detach") else x.copy() for x in arrays]
                with np.errstate(all="ignore"):
                    loss = sum(float(abs(x * x.conj()).sum()) for x in arrays) * scale / 2
                    return loss, [x * scale for x in arrays]

            opt.step(closure)

        return self.engines.do(step)

    # ------------------------------------------------------------ a rule, a hook that raises

    @precondition(lambda self: self._steps)
    @rule(
        grads=gradients(dense),
        group=places,
        where=st.sampled_from(["update", "init"]),
    )
    def rule_that_raises(self, grads: list[Grad | None], group: int, where: str) -> None:
        def step(opt: ok.Optimizer) -> None:
            kind, chosen = type(opt), opt.param_groups[group % len(opt.param_groups)]
            update, init = kind.update, kind.init

            def failing(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
                result = update(xp, param, grad, state, hyper, step)
                if hyper.fragile:
                    raise Boom("in the rule")
                return result

            def failing_init(xp: Any, param: Any, hyper: Any) -> Any:
                if hyper.fragile:
                    raise Boom("in init")
                return init(xp, param, hyper)

            name, function = ("init", failing_init) if where == "init" else ("update", failing)
            for each in opt.param_groups:
                each["fragile"] = each is chosen
            try:
                with mock.patch.object(kind, name, staticmethod(function)):
                    self._take(opt, grads, "list")
            finally:
                for each in opt.param_groups:
                    del each["fragile"]

        self.engines.do(step)

    @precondition(lambda self: self._steps)
    @rule(grads=gradients(dense), when=st.sampled_from(["pre", "junk", "post", "twice", "other"]))
    def hook(self, grads: list[Grad | None], when: str) -> None:
        def step(opt: ok.Optimizer) -> None:
            def before(opt: ok.Optimizer, args: Any, kwargs: Any) -> Any:
                if when == "pre":
                    raise Boom("in the hook")
                if when == "junk":
                    return 3
                return (args, {**kwargs, "grads": None}) if when == "other" else None

            def after(opt: ok.Optimizer, args: Any, kwargs: Any) -> None:
                if when == "post":
                    raise Boom("after the step")

            with opt.register_step_pre_hook(before), opt.register_step_post_hook(after):
                try:
                    self._take(opt, grads, "list")
                except Boom as error:
                    if "after" not in str(error):  # then the step is taken, as with torch
                        raise

        self.engines.do(step)

    # ------------------------------------------------------------ options and groups

    @rule(data=st.data(), group=places)
    def set_a_good_option(self, data: Any, group: int) -> None:
        known = known_values(self.name)
        key = data.draw(st.sampled_from(sorted(known) or ["lr"]), "option")
        value = data.draw(st.sampled_from(known.get(key, [0.1])), "value")
        self._set(group, key, value)

    @rule(data=st.data(), group=places, value=st.sampled_from(VALUES), grads=gradients(dense))
    def step_with_any_option(
        self, data: Any, group: int, value: Any, grads: list[Grad | None]
    ) -> None:
        """The option is put back afterwards, since few values lead anywhere."""
        keys = sorted(self.engines.one.defaults.keys() - {"differentiable", "fused"})
        key = data.draw(st.sampled_from(keys), "option")
        if key in LOOPS and isinstance(value, Real) and value > 100:
            return
        old = [g.get(key) for g in self.engines.one.param_groups]
        self._set(group, key, value)
        if self._steps:
            self._step(grads, "list")
        else:
            self.search(0.5)
        for i, each in enumerate(old):
            self._set(i, key, each)

    def _set(self, group: int, key: str, value: Any) -> None:
        def change(opt: ok.Optimizer) -> None:
            opt.param_groups[group % len(opt.param_groups)][key] = value

        self.engines.do(change)

    @rule(data=st.data(), group=places, grads=gradients(dense))
    def step_without_an_option(self, data: Any, group: int, grads: list[Grad | None]) -> None:
        key = data.draw(st.sampled_from(sorted(self.engines.one.defaults)), "option")
        place = group % len(self.engines.one.param_groups)
        old = self.engines.one.param_groups[place].get(key)
        if key not in self.engines.one.param_groups[place]:
            return
        self.engines.do(lambda opt: opt.param_groups[place].pop(key) and None)
        if self._steps:
            self._step(grads, "list")
        else:
            self.search(0.5)
        self._set(place, key, old)

    @rule(group=places, value=st.sampled_from(VALUES))
    def set_what_is_no_option(self, group: int, value: Any) -> None:
        self._set(group, "mine", value)

    @rule(data=st.data(), value=st.sampled_from(VALUES))
    def group_with_any_option(self, data: Any, value: Any) -> None:
        start = data.draw(self._starts(self.name), "parameter")
        key = data.draw(st.sampled_from(sorted(self.engines.one.defaults)), "option")
        if len(self.engines.one.param_groups) > 3:
            return
        count = len(params_of(self.engines.one))

        def add(opt: ok.Optimizer) -> None:
            params: Any = [param_of(start)]
            if "param_names" in opt.param_groups[0]:
                params = {f"new {count}": params[0]}
            opt.add_param_group({"params": params, key: value})

        if not self.engines.do(add):
            good = self.engines.one.param_groups[0][key]
            self._set(len(self.engines.one.param_groups) - 1, key, good)

    @rule(
        kind=st.sampled_from(
            ["again", "shared", "integers", "nothing", "text", "no params", "read-only", "names"]
        )
    )
    def bad_group(self, kind: str) -> None:
        def add(opt: ok.Optimizer) -> None:
            param = params_of(opt)[0]
            array = array_of(param)
            part = array[:1] if len(array.shape) else array.reshape((1,))
            closed = np.ones(2)
            closed.flags.writeable = False
            group: Any = {
                "again": {"params": [param]},
                "shared": {"params": [part.detach() if hasattr(part, "detach") else part]},
                "integers": {"params": [np.ones(2), np.ones(2, int)]},
                "nothing": 3,
                "text": {"params": "text"},
                "no params": {"lr": 0.1},
                "read-only": {"params": [closed]},
                "names": {"params": [("a", np.ones(2)), ("a", np.ones(2))]},
            }[kind]
            opt.add_param_group(group)
            if array.size if isinstance(array, np.ndarray) else array.numel():
                raise AssertionError(f"{group} was added")

        if kind in ("again", "shared") and 0 in array_of(params_of(self.engines.one)[0]).shape:
            return
        if kind == "shared" and self.moved:  # what has moved since is looked at by the next step
            return
        self.engines.do(add)

    @precondition(lambda self: len(self.engines.one.param_groups) > 1)
    @rule(group=places)
    def drop_a_group(self, group: int) -> None:
        def drop(opt: ok.Optimizer) -> None:
            del opt.param_groups[group % len(opt.param_groups)]

        self.engines.do(drop)

    # ------------------------------------------------------------ gradients

    @rule(set_to_none=st.booleans())
    def zero_grad(self, set_to_none: bool) -> None:
        self.engines.do(lambda opt: opt.zero_grad(set_to_none))

    # ------------------------------------------------------------ checkpoints and copies

    @rule(kind=st.sampled_from(["deepcopy", "pickle", "copied checkpoint"]))
    def copied(self, kind: str) -> None:
        def change(opt: ok.Optimizer) -> ok.Optimizer | None:
            if kind == "deepcopy":
                return copy.deepcopy(opt)
            if kind == "pickle":
                again: ok.Optimizer = pickle.loads(pickle.dumps(opt))
                return again
            opt.load_state_dict(copy.deepcopy(opt.state_dict()))
            return None

        self.engines.do(change)

    @rule()
    def loaded_into_itself(self) -> None:
        self.engines.do(lambda opt: opt.load_state_dict(opt.state_dict()))

    @rule()
    def loaded_into_a_fresh_one(self) -> None:
        def load(opt: ok.Optimizer) -> ok.Optimizer:
            groups = copy.deepcopy(
                [{k: g[k] for k in ("params", "param_names") if k in g} for g in opt.param_groups]
            )
            for group in groups:
                if names := group.pop("param_names", None):
                    group["params"] = list(zip(names, group["params"], strict=True))
            fresh: ok.Optimizer = type(opt)(groups, **self.options)
            fresh.load_state_dict(opt.state_dict())
            return fresh

        self.engines.do(load)

    @rule(data=st.data(), grads=gradients(dense), count=st.sampled_from(COUNTS))
    def load_what_is_broken(self, data: Any, grads: list[Grad | None], count: Any) -> None:
        how = data.draw(
            st.sampled_from(
                [
                    *("no state", "no groups", "a group less", "a parameter less", "no params"),
                    *("shape", "text", "objects", "integers", "None", "count", "entry", "missing"),
                    *("groups a number", "state a list", "option", "another"),
                ]
            ),
            "how",
        )

        def load(opt: ok.Optimizer) -> None:
            saved = copy.deepcopy(opt.state_dict())
            state, groups = saved["state"], saved["param_groups"]
            first: dict[str, Any] = next(iter(state.values()), {})
            arrays = [k for k, v in first.items() if getattr(v, "shape", ()) != ()]
            name = arrays[-1] if arrays else "step"
            match how:
                case "no state":
                    del saved["state"]
                case "no groups":
                    del saved["param_groups"]
                case "a group less":
                    groups.pop()
                case "a parameter less":
                    groups[0]["params"].pop()
                case "no params":
                    del groups[0]["params"]
                case "shape":
                    first[name] = np.ones((5, 5))
                case "text":
                    first[name] = np.array(["a"] * 3)
                case "objects":
                    first[name] = np.array([None] * 3)
                case "integers":
                    first[name] = np.ones(getattr(first.get(name), "shape", ()), int)
                case "None":
                    first[name] = None
                case "count":
                    first["step"] = count
                case "entry":
                    first["unknown"] = 3.0
                case "missing":
                    first.pop(name, None)
                case "groups a number":
                    saved["param_groups"] = 3
                case "state a list":
                    saved["state"] = list(state.values())
                case "option":
                    groups[0]["lr"] = "text"
                case "another":
                    for i in state:
                        state[i] = {"step": 1, "moment": np.ones(3)}
            opt.load_state_dict(saved)

        if not self.engines.do(load):
            self._go_on(grads)

    # ------------------------------------------------------------ edits

    def _go_on(self, grads: list[Grad | None]) -> None:
        """Step; and where that cannot be, begin anew, since nothing else would lead anywhere."""

        def forget(opt: ok.Optimizer) -> None:
            for param in list(opt.state):
                del opt.state[param]

        if self._step(grads, "list") if self._steps else self.search(0.5):
            self.engines.do(forget)

    def _edit(self, place: int, edit: Callable[[dict[str, Any], Any, ok.Optimizer], None]) -> None:
        def change(opt: ok.Optimizer) -> None:
            params = params_of(opt)
            param = params[place % len(params)]
            if opt.state.get(param):
                edit(opt.state[param], param, opt)

        self.engines.do(change)

    @rule(place=places, entry=places, grads=gradients(dense))
    def lose_an_entry(self, place: int, entry: int, grads: list[Grad | None]) -> None:
        def edit(state: dict[str, Any], param: Any, opt: ok.Optimizer) -> None:
            del state[list(state)[entry % len(state)]]

        self._edit(place, edit)
        self._go_on(grads)

    @rule(place=places)
    def lose_a_state(self, place: int) -> None:
        def edit(state: dict[str, Any], param: Any, opt: ok.Optimizer) -> None:
            del opt.state[param]

        self._edit(place, edit)

    @rule(place=places, count=st.sampled_from(COUNTS), grads=gradients(dense))
    def set_a_count(self, place: int, count: Any, grads: list[Grad | None]) -> None:
        def edit(state: dict[str, Any], param: Any, opt: ok.Optimizer) -> None:
            if "step" in state:
                state["step"] = count

        self._edit(place, edit)
        self._go_on(grads)

    @rule(
        place=places,
        entry=places,
        kind=st.sampled_from(
            ["copy", "F", "gaps", "read-only", "None", "number", "text", "list", "wide", "shared"]
        ),
        grads=gradients(dense),
    )
    def exchange_an_entry(
        self, place: int, entry: int, kind: str, grads: list[Grad | None]
    ) -> None:
        def edit(state: dict[str, Any], param: Any, opt: ok.Optimizer) -> None:
            names = [k for k, v in state.items() if getattr(v, "shape", None)]
            if not names:
                return
            name = names[entry % len(names)]
            x = state[name]
            numpy = isinstance(x, np.ndarray)
            state[name] = {
                "copy": lambda: x.copy() if numpy else x.clone(),
                "F": lambda: np.asfortranarray(x) if numpy else x.mT.contiguous().mT,
                "gaps": lambda: (
                    np.repeat(x, 2, -1)[..., ::2]
                    if numpy
                    else x.repeat(*[1] * (x.ndim - 1), 2)[..., : x.shape[-1]]
                ),
                "read-only": lambda: closed(x) if numpy else x.clone(),
                "None": lambda: None,
                "number": lambda: 0.5,
                "text": lambda: "text",
                "list": lambda: [0.5],
                "wide": lambda: x.astype(wide(x)) if numpy else x.to(wide(x)),
                "shared": lambda: array_of(param) if numpy else array_of(param).detach(),
            }[kind if numpy or x.ndim > 1 or kind != "F" else "copy"]()

        def wide(x: Any) -> Any:
            if isinstance(x, np.ndarray):
                return "complex128" if x.dtype.kind == "c" else "float64"
            return torch.complex128 if x.is_complex() else torch.float64

        def closed(x: np.ndarray) -> np.ndarray:
            x = x.copy()
            x.flags.writeable = False
            return x

        self._edit(place, edit)
        self._go_on(grads)

    @rule(place=places, grads=gradients(dense))
    def step_with_a_closed_parameter(self, place: int, grads: list[Grad | None]) -> None:
        def closing(writeable: bool) -> Callable[[ok.Optimizer], None]:
            def change(opt: ok.Optimizer) -> None:
                params = params_of(opt)
                array = array_of(params[place % len(params)])
                if isinstance(array, np.ndarray):
                    array.flags.writeable = writeable

            return change

        self.engines.do(closing(False))
        self._go_on(grads)
        self.engines.do(closing(True))

    @rule(
        place=places,
        kind=st.sampled_from(["same", "dtype", "shape", "F"]),
        grads=gradients(dense),
    )
    def give_a_parameter_other_data(self, place: int, kind: str, grads: list[Grad | None]) -> None:
        def change(opt: ok.Optimizer) -> None:
            params = params_of(opt)
            param = params[place % len(params)]
            if isinstance(param, np.ndarray):
                return
            x = param.data
            numpy = isinstance(x, np.ndarray)
            param.grad = None
            if kind == "same":
                param.data = x.copy() if numpy else x.clone()
            elif kind == "dtype" and not (np.iscomplexobj(x) if numpy else x.is_complex()):
                with np.errstate(over="ignore"):
                    param.data = x.astype(other(x)) if numpy else x.to(other(x))
            elif kind == "shape":
                param.data = x.reshape((1, *x.shape))
            else:
                param.data = np.asfortranarray(x) if numpy else x.contiguous()

        def other(x: Any) -> Any:
            if isinstance(x, np.ndarray):
                return "float32" if x.dtype == "float64" else "float64"
            return torch.float32 if x.dtype == torch.float64 else torch.float64

        self.moved = True
        self.engines.do(change)
        self._go_on(grads)


def test_any_sequence() -> None:
    """At least so many operations as were asked for; without asking, the same few thousand."""
    run = settings(
        max_examples=400 if OPERATIONS else 120,
        stateful_step_count=40,
        derandomize=not OPERATIONS,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Sequences, settings=run)
    while Engines.operations < OPERATIONS:
        run_state_machine_as_test(Sequences, settings=run)
    print(f"{Engines.operations} operations on each of {ok.available_engines()}")
