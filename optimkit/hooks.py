"""Functions a user has asked to be called, and the handles that take them away again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from itertools import count
from typing import Any, ClassVar, TypeVar

Hook = Callable[..., Any]
Hooks = OrderedDict[int, Hook]
Step = TypeVar("Step", bound=Callable[..., Any])

# By this torch.compile knows a function that it shall run as it is.
UNTRACED = {"_torchdynamo_disable": True, "_torchdynamo_disable_msg": "it is compiled already"}


class RemovableHandle:
    """Takes a hook away again: by `remove`, or at the end of a ``with``."""

    _next = count(-1, -1)  # below zero, where torch's handles have none

    def __init__(self, hooks: Hooks) -> None:
        self._hooks, self.id = hooks, next(self._next)

    def remove(self) -> None:
        """Remove the hook; a second call does nothing."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def registered(
    hooks: Hooks, hook: Hook, prepend: bool = False, handle: Callable[..., Any] = RemovableHandle
) -> Any:
    """Add a hook, to be called last or first; return its handle, of the kind that is asked for."""
    if not callable(hook):
        raise TypeError(f"a hook must be callable, not {hook!r}")
    made = handle(hooks)
    hooks[made.id] = hook
    hooks.move_to_end(made.id, last=not prepend)
    return made


def called(*hooks: Hooks) -> list[Hook]:
    """The hooks in the order in which they are called; one registered twice is there twice."""
    return [hook for each in hooks for hook in each.values()]


EVERYWHERE: dict[str, Hooks] = {"pre": OrderedDict(), "post": OrderedDict()}  # of all optimizers


def register_optimizer_step_pre_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` before each step of every optimizer."""
    handle: RemovableHandle = registered(EVERYWHERE["pre"], hook)
    return handle


def register_optimizer_step_post_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` after each step of every optimizer."""
    handle: RemovableHandle = registered(EVERYWHERE["post"], hook)
    return handle


def hooked(step: Step) -> Step:
    """Let a method be a step: it is counted, and hooks are called before and after it.

    What it calls of its base is no step of its own.
    """

    @wraps(step)
    def stepped(self: Hooked, *args: Any, **kwargs: Any) -> Any:
        if self._stepping:
            return step(self, *args, **kwargs)
        self._stepping = True
        try:
            result = self._with_hooks(step, args, kwargs)
        finally:
            self._stepping = False
        return result

    vars(stepped).update(UNTRACED, hooked=True)  # as torch marks what it need not wrap
    return stepped  # type: ignore[return-value]


class Hooked:
    """Lets hooks be registered at the moments of an optimizer; with torch's semantics.

    They are kept as torch keeps them, under torch's names.
    """

    _optimizer_step_pre_hooks: Hooks
    _optimizer_step_post_hooks: Hooks
    _optimizer_state_dict_pre_hooks: Hooks
    _optimizer_state_dict_post_hooks: Hooks
    _optimizer_load_state_dict_pre_hooks: Hooks
    _optimizer_load_state_dict_post_hooks: Hooks
    _everywhere: ClassVar[tuple[tuple[Hooks, ...], tuple[Hooks, ...]]] = (
        (EVERYWHERE["pre"],),
        (EVERYWHERE["post"],),
    )
    _handle: ClassVar[Callable[..., Any]] = RemovableHandle
    _stepping = False
    step_count: int

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in vars(cls):
            cls.step = hooked(vars(cls)["step"])  # type: ignore[attr-defined]

    def _without_hooks(self) -> None:
        """Begin with no hook at any moment."""
        for name in Hooked.__annotations__:
            if name.endswith("_hooks"):
                setattr(self, name, OrderedDict())

    def _with_hooks(self, step: Hook, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call `step`, the hooks around it, and count it."""
        args = (self, *args)
        first, last = self._everywhere
        before = (*first, self._optimizer_step_pre_hooks)
        after = (self._optimizer_step_post_hooks, *last)
        if not any(before) and not any(after):
            result = step(*args, **kwargs)
            self.step_count += 1
            return result
        closure = kwargs.pop("closure", None)
        args = args if closure is None else (*args, closure)
        for hook in called(*before):
            result = hook(self, args, kwargs)
            if result is not None:
                if not isinstance(result, tuple) or len(result) != 2:
                    raise RuntimeError(
                        "a step pre-hook must return None or a tuple of (new_args, new_kwargs), "
                        f"but got {result!r}"
                    )
                args, kwargs = result
        result = step(*args, **kwargs)
        self.step_count += 1
        for hook in called(*after):
            hook(self, args, kwargs)
        return result

    def _registered(self, hooks: Hooks, hook: Hook, prepend: bool = False) -> RemovableHandle:
        handle: RemovableHandle = registered(hooks, hook, prepend, self._handle)
        return handle

    def register_step_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step.

        `args` begins with the optimizer, as in torch, and a closure comes next, however `step` was
        given it. The hook may return new ``(args, kwargs)``, or None.
        """
        return self._registered(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return self._registered(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer)`` before each `state_dict`."""
        return self._registered(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` after each `state_dict`; it may return another."""
        return self._registered(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` before each `load_state_dict`.

        The dict is a shallow copy of the user's; the hook may return another.
        """
        return self._registered(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Call ``hook(optimizer)`` after each `load_state_dict`."""
        return self._registered(self._optimizer_load_state_dict_post_hooks, hook, prepend)
