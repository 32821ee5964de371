"""A rule without arrays: what a class says of its algorithm, and its options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Number
from typing import Any, ClassVar

import numpy as np

from optimkit.backends import engines
from optimkit.backends.adapters import Adapter, adapter_of
from optimkit.backends.autograd import recording_adapter_of
from optimkit.backends.bucket import Bucket, Member, Options
from optimkit.backends.masters import MASTER, on_masters
from optimkit.backends.memory import HALF, is_array
from optimkit.backends.program import RESERVED
from optimkit.groups import hyper_of
from optimkit.naming import kind_of, naming
from optimkit.options import Limit, check_limits
from optimkit.parameter import array_of
from optimkit.state import step_count


class Rule:
    """What an optimizer's class declares; nothing here needs an instance."""

    limits: ClassVar[Mapping[str, Limit]] = {}
    counts_steps: ClassVar[bool] = True  # whether the state has a "step"
    needs_sparse: ClassVar[bool] = False  # whether dense gradients are refused
    native: ClassVar[bool] = False  # whether eager steps are given torch tensors as they are
    tensor_scalars: ClassVar[bool] = True  # whether torch keeps numbers of the state as tensors
    differentiable: ClassVar[bool] = True  # whether gradients can flow through a step

    defaults: dict[str, Any]

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

    @classmethod
    def bind(cls, **options: Any) -> Any:
        """Return the options of the rule by attribute, checked, as `init` and `update` take them.

        Parameters
        ----------
        **options
            Arguments of the constructor, which decides what becomes of them; `params` not.
        """
        defaults = cls.unbound(**options)
        return cls.check_group(defaults, defaults)

    def legacy(self) -> dict[str, Any]:
        """Options for a checkpoint older than they are: the constructor's own defaults."""
        try:
            return self.defaults | self.unbound()
        except (TypeError, ValueError):  # it cannot do without being given some
            return self.defaults

    @classmethod
    def unbound(cls, **options: Any) -> dict[str, Any]:
        """Return what the constructor makes of options, without parameters and unchecked."""
        rule = cls.__new__(cls)
        vars(rule)["_without_params"] = True
        rule.__init__((), **options)  # type: ignore[misc]
        return rule.defaults

    @classmethod
    def check_group(cls, group: Mapping[str, Any], names: Iterable[str]) -> Any:
        """Return the options of a new group by attribute, or raise what is wrong with them."""
        name, hyper = cls.__name__, hyper_of(group, names)
        if hyper.fused not in (None, True, False):
            raise TypeError(f"{name}: invalid fused: {hyper.fused!r}; it must be None or a bool")
        if hyper.differentiable:
            cls._check_differentiable(hyper)
        if (master := getattr(hyper, "master_dtype", None)) not in (None, "float32"):
            raise ValueError(f"{name}: invalid master_dtype: {master!r}; it must be 'float32'")
        if hyper.fused and getattr(hyper, "foreach", None):
            raise RuntimeError(f"{name}: `fused` and `foreach` cannot be `True` together.")
        check_limits(name, cls.limits, vars(hyper))
        cls.check_options(hyper)
        return hyper

    @classmethod
    def _check_differentiable(cls, hyper: Any) -> None:
        """Raise RuntimeError if gradients cannot flow through a step of this rule."""
        for name in ("fused", "capturable"):
            if getattr(hyper, name, None):
                raise RuntimeError(f"{cls.__name__}: `{name}` does not support `differentiable`")
        if not cls.differentiable:
            raise RuntimeError(f"{cls.__name__} does not support `differentiable`")

    def check_changed(self, group: dict[str, Any]) -> Any:
        """Return the options of a group that may have changed, if each is of its kind.

        The range of single numbers is not looked at again: a schedule may end a rounding error
        below zero.
        """
        name = type(self).__name__
        if missing := self.defaults.keys() - group.keys():
            raise KeyError(f"{name}: a group has no option {sorted(missing)}")
        hyper = hyper_of(group, self.defaults)
        check_limits(name, self.limits, vars(hyper), kinds_only=True)
        return hyper

    def check_params(self, params: Sequence[Any], hyper: Any, names: Sequence[Any]) -> None:
        """Raise if one of the parameters cannot be optimized by this rule."""
        i = 0
        spread = []
        with naming(lambda: f"{type(self).__name__}: parameter {names[i]}"):
            for i, param in enumerate(params):  # noqa: B007  # for the name of an error
                array = array_of(param)
                find = recording_adapter_of if hyper.differentiable else adapter_of
                adapter = find(array)
                self.check_param(array, hyper)
                adapter.check_parameter(array)
                if adapter.spreads:
                    spread.append(array)
        if spread:
            self.check_spread(spread, hyper)

    def check_spread(self, arrays: Sequence[Any], hyper: Any) -> None:
        """Raise if the rule needs more of arrays than the parts that this process has."""
        options = Options([hyper], [0])
        parts = {len(x.shape): x for x in arrays if not adapter_of(x).is_whole([x])}
        for array in parts.values():  # one of each number of axes
            adapter = adapter_of(array)
            state = self.initial_state(adapter, array, hyper)
            member = Member(0, 0, adapter, array, array, state)
            bucket = Bucket([member], [adapter.layout(array)])
            bucket.settle(options)
            lack = engines.lack_of_parts(bucket, self.rule_for(options), self.native)
            if lack is not None:
                raise RuntimeError(f"{type(self).__name__}: {lack}")

    def rule_for(self, options: Options) -> Callable[..., Any]:
        """The rule for groups with these options."""
        masters = any(getattr(hyper, "master_dtype", None) for hyper in options.values)
        return on_masters(self.update) if masters else self.update

    @classmethod
    def initial_state(cls, adapter: Adapter, array: Any, hyper: Any) -> dict[str, Any]:
        """Return the state of a parameter before its first step, as an optimizer keeps it."""
        with adapter.running_on(array):
            view = adapter.view(array)
            xp = adapter.namespace(view)
            if getattr(hyper, "master_dtype", None) and adapter.layout(array).dtype in HALF:
                view = xp.astype(view, xp.float32)
                fresh = {MASTER: view} | cls.init(xp, view, hyper)
            else:
                fresh = cls.init(xp, view, hyper)
        if taken := RESERVED & fresh.keys():
            raise ValueError(
                f"{cls.__name__}: state may not be called {sorted(taken)}: "
                "the rule gets what is called that beside its state"
            )
        state = {"step": 0} if cls.counts_steps else {}
        for name, value in fresh.items():
            with naming(f"{cls.__name__}: its state {name}"):
                state[name] = adapter.wrap(value, array) if is_array(value) else value
        return state

    @classmethod
    def check_state(cls, adapter: Adapter, array: Any, state: dict[str, Any], hyper: Any) -> None:
        """Raise if the rule cannot go on from a state, which a user may have changed."""
        if state and cls.counts_steps and "step" not in state:
            raise KeyError("its state has no step")
        for name, value in state.items():
            if name == "step":
                with naming("its state step"):
                    state[name] = step_count(value)
            elif isinstance(value, np.generic):
                state[name] = value.item()
            elif is_array(value):
                state[name] = cls._checked_entry(adapter, array, name, value, hyper)
        plain = {k: v for k, v in state.items() if k != "step" and not is_array(v)}
        known = cls.initial_state(adapter, array, hyper) if plain else {}
        for name, value in plain.items():
            if is_array(known.get(name)):
                raise TypeError(f"its state {name} is a {kind_of(value)}; an array is needed")
            if not isinstance(value, Number | str | None):
                raise TypeError(f"its state {name} is a {kind_of(value)}; a number is needed")

    @classmethod
    def _checked_entry(cls, adapter: Adapter, array: Any, name: str, value: Any, hyper: Any) -> Any:
        if not adapter.owns(value):
            raise TypeError(f"its state {name} is a {kind_of(value)}; {kind_of(array)} is needed")
        alike = tuple(value.shape) == tuple(array.shape)
        if not alike or value.dtype != array.dtype:  # as what `init` makes may be, too
            known = cls.initial_state(adapter, array, hyper)
            wanted = known.get(name, array)
            if not is_array(wanted):
                return adapter.number(value)
            if tuple(value.shape) != tuple(wanted.shape):
                own = "" if name in known else "; an entry of your own may be a number or text"
                raise ValueError(
                    f"its state {name} has shape {tuple(value.shape)}; "
                    f"{tuple(wanted.shape)} is needed{own}"
                )
            if name in known and value.dtype != wanted.dtype:
                raise TypeError(
                    f"its state {name} has dtype {value.dtype}; {wanted.dtype} is needed"
                )
        with naming(f"its state {name}"):
            adapter.check_parameter(value)
        return value


__all__ = ["Rule"]
