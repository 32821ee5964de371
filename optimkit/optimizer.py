"""The shell around every rule: groups, state, step, hooks, checkpoints."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from copy import deepcopy
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from optimkit.backends import engines
from optimkit.backends.adapters import Adapter, adapter_of
from optimkit.backends.bucket import Bucket, Memory, buckets, check_gradient, is_array
from optimkit.backends.engines.base import Job
from optimkit.backends.rows import Rows, check_entries, row_buckets, spread
from optimkit.backends.trace import RESERVED
from optimkit.groups import Group, Hyper, as_groups, check_distinct, hyper_of, named
from optimkit.hooks import Hook, Hooks, RemovableHandle
from optimkit.options import Limit, check_limits
from optimkit.parameter import array_of, gradients_of
from optimkit.plan import Plan
from optimkit.state import State


class Optimizer:
    r"""Base of every optimizer: subclass it with two functions, `init` and `update`.

    Parameters
    ----------
    params : iterable or mapping
        Arrays, torch tensors or :class:`Parameter`; or ``(name, parameter)`` pairs; or a mapping
        from names to parameters; or group dicts ``{"params": ..., "lr": ...}`` whose options
        override `defaults`.
    defaults : dict
        The options of a group that does not give its own.

    Attributes
    ----------
    param_groups : list of dict
        The groups, with the very objects the user passed under ``"params"``.
    state : mapping
        From a parameter, by identity, to the dict of its state.
    defaults : dict
    step_count : int
        Completed calls of `step` in this process.

    Notes
    -----
    A subclass defines

    - ``init(xp, param, hyper) -> dict``, the state before the first step: arrays and numbers;
    - ``update(xp, param, grad, state, hyper, step) -> (param, dict)``, one step, as pure Array API
      code that changes nothing but what it has made itself. State that it does not return stays
      as it is.

    and may declare `limits` (what each option may be), ``check_options(hyper)``,
    ``check_param(param, hyper)``, ``sparse_gradients(hyper)``; where torch keeps no step count,
    ``counts_steps = False``; and, to be called with torch tensors where those are optimized instead
    of NumPy's views of them, ``native = True``.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> class SignSGD(ok.Optimizer):
    ...     def __init__(self, params, lr=1e-3, **options):
    ...         super().__init__(params, dict(lr=lr, **options))
    ...
    ...     @staticmethod
    ...     def init(xp, param, hyper):
    ...         return {}
    ...
    ...     @staticmethod
    ...     def update(xp, param, grad, state, hyper, step):
    ...         return param - hyper.lr * xp.sign(grad), {}
    >>> weights = np.array([1.0, -2.0])
    >>> SignSGD([weights], lr=0.5).step(grads=[np.array([3.0, -0.1])])
    >>> weights
    array([ 0.5, -1.5])
    """

    limits: ClassVar[Mapping[str, Limit]] = {}
    counts_steps: ClassVar[bool] = True  # whether the state has a "step"
    needs_sparse: ClassVar[bool] = False  # whether dense gradients are refused
    native: ClassVar[bool] = False  # whether eager steps are given torch tensors as they are
    tensor_scalars: ClassVar[bool] = True  # whether torch keeps numbers of the state as tensors

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self.defaults = {"fused": None, "differentiable": False, **defaults}
        self.state = State()
        self.param_groups: list[Group] = []
        self._prepare_instance()
        for group in as_groups(params):
            self.add_param_group(group)

    def _prepare_instance(self) -> None:
        """Set what is neither pickled nor copied."""
        self.step_count = 0
        self._hooks = {moment: Hooks() for moment in _MOMENTS}
        self._hyper: dict[int, Hyper] = {}
        self._plans: dict[int, Plan] = {}
        self._memory: Memory | None = None

    # ------------------------------------------------------------------ the rule

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        """Return the state of a parameter before its first step."""
        return {}

    @staticmethod
    def update(
        xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int
    ) -> tuple[Any, dict[str, Any]]:
        """Return the parameter after a step, and its new state."""
        raise NotImplementedError(
            "an optimizer defines update(xp, param, grad, state, hyper, step)"
        )

    @staticmethod
    def check_options(hyper: Any) -> None:
        """Raise ValueError if the options of a group contradict one another."""

    @staticmethod
    def check_param(param: Any, hyper: Any) -> None:
        """Raise ValueError if the rule cannot optimize this array."""

    @staticmethod
    def sparse_gradients(hyper: Any) -> str:
        """Say what the rule is given for a sparse gradient; RuntimeError if it takes none.

        Returns
        -------
        {"rows", "dense"}
            The touched rows of parameter, gradient and state, with ``hyper.sparse`` set and the
            other rows left alone, for which all arrays of the state must come from `init`; or
            everything, the gradient as an array that is mostly zero.
        """
        raise RuntimeError("sparse gradients are not supported, please consider SparseAdam instead")

    # ------------------------------------------------------------------ groups

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add a group of parameters, with the defaults for options it does not give.

        Parameters
        ----------
        param_group : dict
            ``"params"``, as for the constructor, and options.

        Raises
        ------
        TypeError
            If a parameter is no array or tensor that can be updated in place.
        ValueError
            If an option is out of its range or a parameter is already there.
        """
        name = type(self).__name__
        if not isinstance(param_group, Mapping):
            raise TypeError(f"param_group must be a dict, but got {type(param_group).__name__}")
        if "params" not in param_group:
            raise KeyError("param_group has no 'params'")
        group = {key: value for key, value in param_group.items() if key != "params"}
        params, names = named(param_group["params"])
        names = group.pop("param_names", None) or names
        for key, value in self.defaults.items():
            group.setdefault(key, value)
        hyper = hyper_of(group)
        if hyper.fused not in (None, True, False):
            raise TypeError(f"{name}: invalid fused: {hyper.fused!r}; it must be None or a bool")
        if hyper.differentiable:
            kind = RuntimeError if hyper.fused else ValueError  # the first is torch's
            raise kind(
                f"{name}: differentiable=True is not supported; "
                "gradients do not flow through an optimkit step"
            )
        if hyper.fused and getattr(hyper, "foreach", None):
            raise RuntimeError(f"{name}: `fused` and `foreach` cannot be `True` together.")
        check_limits(name, self.limits, vars(hyper))
        self.check_options(hyper)
        for i, param in enumerate(params):
            label = f"{name}: parameter {names[i] if names else len(self._params()) + i}"
            array = array_of(param)
            try:
                adapter = adapter_of(array)
                self.check_param(array, hyper)
                adapter.check_parameter(array)
            except (TypeError, ValueError, RuntimeError) as error:
                raise type(error)(f"{label}: {error}") from None
        if self.param_groups and (names is None) != ("param_names" not in self.param_groups[0]):
            raise ValueError(
                "all optimizer params should be with/without names across param groups: "
                f"group {len(self.param_groups)} is not like those before it"
            )
        everyone = self._params() + params
        check_distinct(everyone)
        self.param_groups.append(
            {"params": params} | ({"param_names": names} if names else {}) | group
        )
        self._memory = None

    def _params(self) -> list[Any]:
        return [param for group in self.param_groups for param in group["params"]]

    def _labels(self) -> list[str]:
        """What errors call each parameter: its name, or its place."""
        labels: list[str] = []
        for group in self.param_groups:
            places = map(str, range(len(labels), len(labels) + len(group["params"])))
            labels += group.get("param_names") or places
        return [f"parameter {label}" for label in labels]

    # ------------------------------------------------------------------ stepping

    def step(self, closure: Callable[[], Any] | None = None, *, grads: Any = None) -> Any:
        """Update every parameter that has a gradient.

        Parameters
        ----------
        closure : callable, optional
            Re-evaluates the model: sets ``.grad`` and returns the loss, or returns
            ``(loss, grads)``.
        grads : sequence or mapping, optional
            A gradient for each parameter in order, or by name; None leaves that parameter alone.
            Without it, gradients are the parameters' ``.grad``.

        Returns
        -------
        loss
            What the closure returned, or None.

        Raises
        ------
        TypeError, ValueError, RuntimeError, KeyError
            For a gradient of the wrong kind or dtype, shape, device, or name. Nothing has changed
            then.
        """
        before, after = self._hooks["step_pre"], self._hooks["step_post"]
        if not before and not after:
            loss = self._step(closure, grads)
            self.step_count += 1
            return loss
        args: tuple[Any, ...] = (self,) if closure is None else (self, closure)
        kwargs: dict[str, Any] = {} if grads is None else {"grads": grads}
        for hook in before:
            result = hook(self, args, kwargs)
            if result is not None:
                if not isinstance(result, tuple) or len(result) != 2:
                    raise RuntimeError(
                        "a step pre-hook must return None or a tuple of (new_args, new_kwargs), "
                        f"but got {result!r}"
                    )
                args, kwargs = result
        loss = _step_of(*args, **kwargs)
        self.step_count += 1
        for hook in after:
            hook(self, args, kwargs)
        return loss

    def _step(self, closure: Callable[[], Any] | None = None, grads: Any = None) -> Any:
        loss = None
        if closure is not None:
            loss, grads = self._evaluate(closure, grads)
        columns = self._gradients(grads)
        try:
            for bucket, job in self._prepare(columns):
                self._commit(bucket, job())
            self._register()
        finally:  # the gradients are the user's: nothing here keeps them alive
            for plan in self._plans.values():
                for bucket in plan.buckets:
                    bucket.grads = []
        return loss

    def _prepare(self, columns: list[list[Any]]) -> list[tuple[Bucket, Job]]:
        """Check everything and make ready what changes parameters and state."""
        memory, work = self._memory, []
        for index, (group, column) in enumerate(zip(self.param_groups, columns, strict=True)):
            known = self._hyper.get(index)
            if known is None or not known.still(group):
                known = self._hyper[index] = Hyper(self._checked(group))
            hyper = known.values
            for bucket in self._buckets(index, group, column, hyper):
                if bucket.rows:
                    hyper = SimpleNamespace(**vars(hyper) | {"sparse": True})
                job, _ = engines.prepare(bucket, self.update, hyper, hyper.fused, self.native)
                work.append((bucket, job))
        # Where parameters have moved, a group seen before may have gradients in their new memory.
        return work if memory in (None, self._memory) else self._prepare(columns)

    def _checked(self, group: Group) -> Group:
        """Return a group whose options may have changed, if each is still what it was: a number.

        Their range is not looked at again: a schedule may end a rounding error below zero.
        """
        name = type(self).__name__
        if missing := self.defaults.keys() - group.keys():
            raise KeyError(f"{name}: a group has no option {sorted(missing)}")
        check_limits(name, self.limits, vars(hyper_of(group)), kinds_only=True)
        return group

    def _evaluate(self, closure: Callable[[], Any], grads: Any = None) -> tuple[Any, Any]:
        """Call the closure; return the loss, and the gradients if it gave them."""
        if grads is not None:
            raise TypeError("step takes a closure or grads, not both")
        with ExitStack() as stack:
            for adapter in {adapter_of(array_of(param)) for param in self._params()}:
                stack.enter_context(adapter.evaluating())
            result = closure()
        if isinstance(result, tuple) and len(result) == 2:
            return result
        return result, None

    def _gradients(self, grads: Any) -> list[list[Any]]:
        """Return the gradient of every parameter, or None, group by group."""
        if grads is None:
            return [gradients_of(group["params"]) for group in self.param_groups]
        if type(grads) is not list:
            if isinstance(grads, Mapping):
                grads = self._by_name(grads)
            elif is_array(grads):
                raise TypeError(
                    "grads must be a sequence with one gradient for each parameter, "
                    f"not a single {type(grads).__name__}"
                )
            grads = list(grads)
        columns, start = [], 0
        for group in self.param_groups:
            stop = start + len(group["params"])
            columns.append(grads[start:stop])
            start = stop
        if len(grads) != start:
            raise ValueError(f"got {len(grads)} gradients for {start} parameters")
        return columns

    def _by_name(self, grads: Mapping[str, Any]) -> list[Any]:
        names = [name for group in self.param_groups for name in group.get("param_names", ())]
        if not names:
            raise KeyError("gradients by name need parameters with names")
        if len(set(names)) != len(names):
            raise ValueError("gradients by name need names that differ; give a sequence instead")
        unknown, missing = set(grads) - set(names), set(names) - set(grads)
        if unknown or missing:
            problem = f"unknown: {sorted(unknown)}" if unknown else f"missing: {sorted(missing)}"
            raise KeyError(f"gradients by name must have the parameters' names; {problem}")
        return [grads[name] for name in names]

    def _buckets(self, index: int, group: Group, grads: list[Any], hyper: Any) -> list[Bucket]:
        """Sort the parameters of a group that have gradients into buckets."""
        params = group["params"]
        plan = self._plans.get(index)
        if plan is not None and plan.renew(params, grads, self.state.version, self._memory):
            return plan.buckets
        dense, rows = self._part(index, params, grads, hyper)
        if (
            plan is None
            or dense is grads
            or not plan.renew(params, dense, self.state.version, self._memory)
        ):
            plan = self._plans[index] = self._plan(index, params, dense, hyper)
        return plan.buckets + row_buckets(rows)

    def _part(
        self, index: int, params: list[Any], grads: list[Any], hyper: Any
    ) -> tuple[list[Any], list[Rows]]:
        """Part the gradients of a group: those to step on whole, and touched rows."""
        dense, rows = grads, []
        for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
            if grad is None:
                continue
            array = array_of(param)
            adapter = adapter_of(array)
            try:
                entries = adapter.entries(grad)
                if entries is None:
                    if self.needs_sparse:
                        check_gradient(adapter, array, grad)
                        raise RuntimeError("its gradient is dense, please consider Adam instead")
                    continue
                wanted = self.sparse_gradients(hyper)
                adapter.check_parameter(array)
                check_entries(adapter, array, entries)
                if dense is grads:
                    dense = list(grads)
                if wanted == "dense":
                    dense[i] = spread(adapter, array, entries)
                else:
                    dense[i] = None
                    state = self.state.get(param) or self._initial_state(adapter, array, hyper)
                    rows.append(Rows(param, adapter, array, state, entries))
            except (TypeError, ValueError, RuntimeError) as error:
                start = sum(len(group["params"]) for group in self.param_groups[:index])
                label = self._labels()[start + i]
                raise type(error)(f"{type(self).__name__}: {label}: {error}") from None
        return dense, rows

    def _plan(self, index: int, params: list[Any], grads: list[Any], hyper: Any) -> Plan:
        start = sum(len(group["params"]) for group in self.param_groups[:index])
        labels = self._labels()[start:]
        extents = [adapter_of(x).extent(x) for x in map(array_of, self._params())]
        if self._memory is None or self._memory.extents != extents:
            check_distinct(self._params())
            self._memory = Memory(extents)
        active, arrays, states, strangers = [], [], [], []
        for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
            if grad is None:
                continue
            array = array_of(param)
            adapter = adapter_of(array)
            try:
                adapter.check_parameter(array)
                grads[i] = check_gradient(adapter, array, grad)
            except (TypeError, ValueError, RuntimeError) as error:
                raise type(error)(f"{type(self).__name__}: {labels[i]}: {error}") from None
            active.append(i)
            arrays.append(array)
            known = self.state.get(param)
            try:
                self._check_state(adapter, array, known or {}, hyper)
            except (TypeError, ValueError, RuntimeError) as error:
                raise type(error)(f"{type(self).__name__}: {labels[i]}: {error}") from None
            state = known or self._initial_state(adapter, array, hyper)
            states.append(state)
            if not known:
                strangers.append((param, state))
        plan = Plan(params, active, self.state.version, self._memory, strangers)
        plan.buckets = buckets(active, arrays, [grads[i] for i in active], states, self._memory)
        return plan

    def _check_state(self, adapter: Adapter, array: Any, state: dict[str, Any], hyper: Any) -> None:
        """Raise if the rule cannot go on from a state, which a user may have changed."""
        for name, value in state.items():
            if name == "step" or isinstance(value, np.generic):
                state[name] = int(value) if name == "step" else value.item()
            elif is_array(value) and adapter.owns(value):
                try:
                    adapter.check_parameter(value)
                except (TypeError, ValueError) as error:
                    raise type(error)(f"its state {name}: {error}") from None
                if tuple(value.shape) != tuple(array.shape):
                    wanted = self._initial_state(adapter, array, hyper).get(name, array)
                    if tuple(value.shape) != tuple(wanted.shape):
                        raise ValueError(
                            f"its state {name} has shape {tuple(value.shape)}; "
                            f"{tuple(wanted.shape)} is needed"
                        )

    def _initial_state(self, adapter: Adapter, array: Any, hyper: Any) -> dict[str, Any]:
        """Return the state of a parameter before its first step."""
        with adapter.running_on(array):
            view = adapter.view(array)
            fresh = self.init(adapter.namespace(view), view, hyper)
        if taken := RESERVED & fresh.keys():
            raise ValueError(
                f"{type(self).__name__}: state may not be called {sorted(taken)}: "
                "the rule gets what is called that beside its state"
            )
        count = {"step": 0} if self.counts_steps else {}
        return count | {
            name: adapter.wrap(value, array) if is_array(value) else value
            for name, value in fresh.items()
        }

    def _commit(self, bucket: Bucket, entries: Any) -> None:
        """Write what a step found into the optimizer's own records."""
        if bucket.rows:
            self._commit_rows(bucket, entries)
            return
        adapter, step = bucket.adapter, bucket.step
        if self.counts_steps:
            for state in bucket.states:
                state["step"] = step
        if entries is not None:
            for state, array, new in zip(bucket.states, bucket.arrays, entries, strict=True):
                for name, value in new.items():
                    state[name] = adapter.wrap(value, array) if is_array(value) else value
        adapter.touched(bucket.arrays)

    def _commit_rows(self, bucket: Bucket, entries: Any) -> None:
        """Put the touched rows back into parameters and state."""
        count = {"step": bucket.step} if self.counts_steps else {}
        for i, rows in enumerate(bucket.rows):
            rows.put_back(count | (entries[i] if entries else {}))
            if rows.state and self.state.get(rows.param) is not rows.state:
                self.state[rows.param] = rows.state

    def _register(self) -> None:
        """Let `state` know the parameters that have got a state by now."""
        known = self.state.version
        for plan in self._plans.values():
            if plan.strangers:
                for param, state in plan.strangers:
                    if state:
                        self.state[param] = state
                plan.strangers = [pair for pair in plan.strangers if not pair[1]]
        if self.state.version != known:
            for plan in self._plans.values():
                plan.version = self.state.version

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters that keep one.

        Parameters
        ----------
        set_to_none : bool, default True
            Set them to None; otherwise to zero, in place.
        """
        for param in self._params():
            if getattr(param, "grad", None) is not None:
                if set_to_none:
                    param.grad = None
                else:
                    adapter_of(array_of(param)).zero_gradient(param)

    # ------------------------------------------------------------------ checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Return the state and the options in torch's schema.

        Returns
        -------
        dict
            ``"state"``, from the number of a parameter to its state, and ``"param_groups"``, with
            the numbers under ``"params"``. Arrays are references, not copies.
        """
        for hook in self._hooks["state_dict_pre"]:
            hook(self)
        numbers = {id(param): i for i, param in enumerate(self._params())}
        groups = []
        for group in self.param_groups:
            options = {key: value for key, value in group.items() if key != "params"}
            groups.append(options | {"params": [numbers[id(p)] for p in group["params"]]})
        state = {
            numbers[id(param)]: self._save_param(array_of(param), state)
            for param, state in self.state.items()
            if state and id(param) in numbers
        }
        result = {"state": state, "param_groups": groups}
        for hook in self._hooks["state_dict_post"]:
            changed = hook(self, result)
            if changed is not None:
                result = changed
        return result

    def _save_param(self, array: Any, state: dict[str, Any]) -> dict[str, Any]:
        scalar = adapter_of(array).scalar if self.tensor_scalars else _same
        return {
            name: scalar(value) if type(value) in (int, float) else value
            for name, value in state.items()
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from a state dict of optimkit or torch.

        Arrays are copied to the kind, dtype and device of their parameter. Options that an older
        checkpoint lacks get the default of the constructor.

        Parameters
        ----------
        state_dict : dict
            From `state_dict`, of an optimizer with groups of the same lengths.

        Raises
        ------
        ValueError
            If groups or shapes do not fit. Nothing has changed then.
        KeyError
            If ``"state"`` or ``"param_groups"`` is missing.
        """
        saved = dict(state_dict)
        for hook in self._hooks["load_state_dict_pre"]:
            changed = hook(self, saved)
            if changed is not None:
                saved = changed
        saved_groups = saved["param_groups"]
        if len(saved_groups) != len(self.param_groups):
            raise ValueError(
                "loaded state dict has a different number of parameter groups: "
                f"{len(saved_groups)}, not {len(self.param_groups)}"
            )
        groups, state = [], State()
        labels = iter(self._labels())
        for i, (group, old) in enumerate(zip(self.param_groups, saved_groups, strict=True)):
            if len(old["params"]) != len(group["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of "
                    f"optimizer's group: group {i} has {len(old['params'])} parameters there and "
                    f"{len(group['params'])} here"
                )
            names = {k: group[k] for k in ("param_names",) if k in group}
            new = self._legacy() | names | deepcopy(dict(old))
            new = {"params": group["params"]} | {k: v for k, v in new.items() if k != "params"}
            groups.append(new)
            hyper = hyper_of(new)
            for number, param in zip(old["params"], group["params"], strict=True):
                label = next(labels)
                if saved["state"].get(number):
                    state[param] = self._load_param(
                        array_of(param), saved["state"][number], hyper, label
                    )
        self.param_groups, self.state = groups, state
        self._plans.clear()
        for hook in self._hooks["load_state_dict_post"]:
            hook(self)

    def _legacy(self) -> dict[str, Any]:
        """Options for a checkpoint older than they are: the constructor's own defaults."""
        signature = inspect.signature(type(self).__init__).parameters
        empty = inspect.Parameter.empty
        return {
            key: signature[key].default
            if key in signature and signature[key].default is not empty
            else value
            for key, value in self.defaults.items()
        }

    def _load_param(
        self, array: Any, saved: Mapping[str, Any], hyper: Any, label: str
    ) -> dict[str, Any]:
        """Return the state of one parameter from a checkpoint."""
        adapter = adapter_of(array)
        expected = self._initial_state(adapter, array, hyper)
        state = {}
        for name, value in saved.items():
            like = expected.get(name, array)
            if value is None:  # how torch once wrote state that is not there yet
                continue
            if name == "step":
                try:
                    state[name] = int(value)
                except (TypeError, ValueError):
                    raise ValueError(f"{label}: loaded step is {value!r}, no number") from None
            elif not is_array(value):
                state[name] = value
            elif not is_array(like) or (value.shape == () != tuple(array.shape)):
                state[name] = value.item()
            elif tuple(value.shape) != tuple(like.shape):
                raise ValueError(
                    f"{label}: loaded {name} has shape {tuple(value.shape)}, "
                    f"not {tuple(like.shape)}"
                )
            else:
                state[name] = adapter.convert(value, like)
        missing = {k: v for k, v in expected.items() if k not in state}
        return state | {k: v for k, v in missing.items() if k == "step"}

    def __getstate__(self) -> dict[str, Any]:
        keys = ("defaults", "state", "param_groups")
        own = {k: v for k, v in vars(self).items() if not k.startswith("_") and k != "step_count"}
        return {key: own[key] for key in keys} | own

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare_instance()

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for i, group in enumerate(self.param_groups):
            text += f"\nParameter Group {i}\n"
            for key in sorted(group.keys() - {"params"}):
                text += f"    {key}: {group[key]}\n"
        return text + ")"

    # ------------------------------------------------------------------ hooks

    def register_step_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step.

        `args` begins with the optimizer, as in torch, and a closure comes next, however `step` was
        given it. The hook may return new ``(args, kwargs)``, or None.
        """
        return self._hooks["step_pre"].add(hook)

    def register_step_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return self._hooks["step_post"].add(hook)

    def register_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer)`` before each `state_dict`."""
        return self._hooks["state_dict_pre"].add(hook, prepend)

    def register_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` after each `state_dict`; it may return another."""
        return self._hooks["state_dict_post"].add(hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` before each `load_state_dict`.

        The dict is a shallow copy of the user's; the hook may return another.
        """
        return self._hooks["load_state_dict_pre"].add(hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` after each `load_state_dict`."""
        return self._hooks["load_state_dict_post"].add(hook, prepend)


_MOMENTS = (
    "step_pre",
    "step_post",
    "state_dict_pre",
    "state_dict_post",
    "load_state_dict_pre",
    "load_state_dict_post",
)


def _step_of(optimizer: Optimizer, closure: Any = None, *, grads: Any = None) -> Any:
    """One step, with the arguments as hooks pass them on."""
    return optimizer._step(closure, grads)


def _same(value: Any) -> Any:
    return value


__all__ = ["Optimizer"]
