"""What every wrapper shares: it is the optimizer that it is around, but for when that steps."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any, overload

from optimkit.checkpoint import as_they_stand, mapping, parts
from optimkit.closure_optimizer import ClosureOptimizer
from optimkit.gradients import check_closure, collect, evaluate
from optimkit.groups import Group
from optimkit.naming import kind_of
from optimkit.optimizer import Optimizer
from optimkit.typing import Gradients, Loss


class Wrapper:
    """An optimizer around another, whose groups, state, options, hooks and counts are its own.

    Parameters
    ----------
    optimizer : Optimizer, Wrapper or torch.optim.Optimizer

    Attributes
    ----------
    optimizer : object
        The one inside. What this has no attribute of is the one inside's.
    stepped : bool
        Whether the latest call of `step` has changed parameters.
    """

    key: str  # under which a state dict has what is this wrapper's
    optimizer: Any

    def __init__(self, optimizer: Any) -> None:
        name = self.key
        if not hasattr(optimizer, "param_groups") or not callable(getattr(optimizer, "step", None)):
            raise TypeError(f"{name}: {kind_of(optimizer)} is not an optimizer")
        if _needs_closure(optimizer):
            raise TypeError(
                f"{name}: {type(optimizer).__name__} evaluates the closure as often as it needs; "
                "let the closure itself add up gradients, or look at them"
            )
        inside = optimizer
        while isinstance(inside, Wrapper):  # a state dict has one place for each kind
            if inside.key == name:
                raise TypeError(f"{name}: {inside._shown()} is around the optimizer already")
            inside = inside.optimizer
        self.optimizer = optimizer
        self.stepped = False
        if isinstance(optimizer, getattr(sys.modules.get("torch.optim"), "Optimizer", ())):
            from optimkit.wrappers.torch_wrapper import TorchWrapper

            self.__class__ = TorchWrapper.of(type(self))

    @property
    def param_groups(self) -> list[Group]:
        groups: list[Group] = self.optimizer.param_groups
        return groups

    @param_groups.setter
    def param_groups(self, groups: list[Group]) -> None:
        self.optimizer.param_groups = groups

    @property
    def state(self) -> Any:
        return self.optimizer.state

    @state.setter
    def state(self, state: Any) -> None:
        self.optimizer.state = state

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or "optimizer" not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.optimizer, name)

    @property
    def defaults(self) -> dict[str, Any]:
        defaults: dict[str, Any] = self.optimizer.defaults
        return defaults

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add a group of parameters to the optimizer inside."""
        self.optimizer.add_param_group(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters that keep one."""
        self.optimizer.zero_grad(set_to_none)

    def _params(self) -> list[Any]:
        return [param for group in self.param_groups for param in group["params"]]

    # ------------------------------------------------------------------ stepping

    @overload
    def step(self, closure: None = None, *, grads: Gradients | None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], tuple[Loss, Gradients]]) -> Loss: ...
    @overload
    def step(self, closure: Callable[[], Loss]) -> Loss: ...
    def step(self, closure: Callable[[], Any] | None = None, *, grads: Any = None) -> Any:
        """Take gradients as the optimizer inside does, and step it where it is to be stepped.

        Parameters
        ----------
        closure : callable, optional
            Is called once: sets ``.grad`` and returns the loss, or returns ``(loss, grads)``.
        grads : sequence or mapping, optional
            As for the optimizer inside, which must be one of optimkit.

        Returns
        -------
        loss
            What the closure returned, or None.
        """
        self.stepped = False
        check_closure(closure)
        loss = None
        if closure is not None:
            loss, grads = evaluate(self._params(), closure, grads)
        if grads is not None and not isinstance(self.optimizer, (Optimizer, Wrapper)):
            kind = type(self.optimizer).__name__
            raise TypeError(f"the step of {kind} takes no grads: set .grad of its parameters")
        column = collect(self.param_groups, self._params(), grads)
        self._step(column, given=grads is not None)
        return loss

    def _step(self, grads: list[Any], given: bool) -> None:
        """Take a gradient of each parameter, or None: given to `step`, or those in ``.grad``."""
        raise NotImplementedError

    def _step_inside(self, grads: list[Any], given: bool) -> None:
        """Step the optimizer inside."""
        if given:
            self.optimizer.step(grads=grads)
        else:
            self.optimizer.step()
        self.stepped = getattr(self.optimizer, "stepped", True)

    # ------------------------------------------------------------------ checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Return the state dict of the optimizer inside, with one more key for what is kept here.

        Returns
        -------
        dict
            The rest is in torch's schema, and is what an optimizer without a wrapper loads.
        """
        saved: dict[str, Any] = self.optimizer.state_dict()
        return saved | {self.key: self._saved()}

    def load_state_dict(self, state_dict: Mapping[str, Any], **options: Any) -> None:
        """Continue from a state dict of this wrapper, or of an optimizer without one.

        Without this wrapper's key, nothing is pending and nothing has been counted.

        Parameters
        ----------
        state_dict : dict
        **options
            As for the optimizer inside, such as ``by_position=True``.

        Raises
        ------
        ValueError, TypeError, KeyError
            If it does not fit. Nothing has changed then.
        """
        rest = dict(mapping("state dict", state_dict))
        own = rest.pop(self.key, None)
        commit = self._load({} if own is None else mapping(self.key, own), rest, options)
        self.optimizer.load_state_dict(rest, **options)
        commit()

    def _saved(self) -> dict[str, Any]:
        """What of this wrapper is in a state dict."""
        raise NotImplementedError

    def _load(
        self, own: Mapping[str, Any], rest: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Callable[[], None]:
        """Check what `_saved` has returned, and return what takes it over."""
        raise NotImplementedError

    def _matched(self, rest: Mapping[str, Any], options: Mapping[str, Any]) -> list[Any]:
        """The number that each parameter has in a state dict; none where that does not fit."""
        saved, _ = parts(rest)
        match = getattr(self.optimizer, "match_saved", as_they_stand)
        if options.get("by_position"):
            match = as_they_stand
        if [len(x["params"]) for x in saved] != [len(x["params"]) for x in self.param_groups]:
            return []
        pairs = zip(self.param_groups, saved, strict=True)
        return [number for group, old in pairs for number in match(group, old)]

    def __getstate__(self) -> dict[str, Any]:
        # A step in the object itself is the class's, as a torch scheduler has wrapped it.
        return {key: value for key, value in vars(self).items() if key != "step"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    def __repr__(self) -> str:
        return f"{self._shown()} of {self.optimizer!r}"

    def _shown(self) -> str:
        return self.key


def _inside(name: str) -> Callable[..., Any]:
    def method(self: Wrapper, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.optimizer, name)(*args, **kwargs)

    method.__name__, method.__doc__ = name, f"Do what `{name}` of the optimizer inside does."
    return method


for _name in (
    "register_step_pre_hook",
    "register_step_post_hook",
    "register_state_dict_pre_hook",
    "register_state_dict_post_hook",
    "register_load_state_dict_pre_hook",
    "register_load_state_dict_post_hook",
):
    setattr(Wrapper, _name, _inside(_name))


def _needs_closure(optimizer: Any) -> bool:
    if isinstance(optimizer, ClosureOptimizer):
        return True
    first = next(iter(signature(optimizer.step).parameters.values()), None)
    return first is not None and first.name == "closure" and first.default is first.empty


__all__ = ["Wrapper"]
