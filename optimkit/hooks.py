"""Functions a user has asked to be called, and the handles that take them away again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, TypeVar

Hook = Callable[..., Any]
Step = TypeVar("Step", bound=Callable[..., Any])


class RemovableHandle:
    """Takes a hook away again: by `remove`, or at the end of a ``with``."""

    def __init__(self, hooks: Hooks, hook: Hook) -> None:
        self._hooks, self._hook = hooks, [hook]

    def remove(self) -> None:
        """Remove the hook; a second call does nothing."""
        self._hooks.discard(self._hook)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class Hooks:
    """Hooks in the order in which they are called; one registered twice is called twice."""

    def __init__(self) -> None:
        self._cells: list[list[Hook]] = []

    def add(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        if not callable(hook):
            raise TypeError(f"a hook must be callable, not {hook!r}")
        handle = RemovableHandle(self, hook)
        self._cells.insert(0 if prepend else len(self._cells), handle._hook)
        return handle

    def discard(self, cell: list[Hook]) -> None:
        self._cells = [other for other in self._cells if other is not cell]

    def __iter__(self) -> Iterator[Hook]:
        return iter([cell[0] for cell in self._cells])

    def __bool__(self) -> bool:
        return bool(self._cells)


MOMENTS = (
    "step_pre",
    "step_post",
    "state_dict_pre",
    "state_dict_post",
    "load_state_dict_pre",
    "load_state_dict_post",
)


EVERYWHERE = {"step_pre": Hooks(), "step_post": Hooks()}  # of all optimizers


def register_optimizer_step_pre_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` before each step of every optimizer."""
    return EVERYWHERE["step_pre"].add(hook)


def register_optimizer_step_post_hook(hook: Hook) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` after each step of every optimizer."""
    return EVERYWHERE["step_post"].add(hook)


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

    return stepped  # type: ignore[return-value]


class Hooked:
    """Lets hooks be registered at the moments of an optimizer; with torch's semantics."""

    _hooks: dict[str, Hooks]
    _stepping = False
    step_count: int

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in vars(cls):
            cls.step = hooked(vars(cls)["step"])  # type: ignore[attr-defined]

    def _with_hooks(self, step: Hook, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call `step`, the hooks around it, and count it."""
        own, args = self._hooks, (self, *args)
        before, after = own["step_pre"], own["step_post"]
        if not before and not after and not any(EVERYWHERE.values()):
            result = step(*args, **kwargs)
            self.step_count += 1
            return result
        closure = kwargs.pop("closure", None)
        args = args if closure is None else (*args, closure)
        for hook in (*EVERYWHERE["step_pre"], *before):
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
        for hook in (*after, *EVERYWHERE["step_post"]):
            hook(self, args, kwargs)
        return result

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
