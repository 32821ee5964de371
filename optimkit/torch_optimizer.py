"""An optimizer of torch tensors is a torch.optim.Optimizer as well: what that asks of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import torch
from torch._C._dynamo import eval_frame
from torch.autograd import _profiler_enabled  # type: ignore[attr-defined]
from torch.autograd.profiler import record_function
from torch.optim import optimizer as torchs
from torch.utils.hooks import RemovableHandle

from optimkit.hooks import UNTRACED, Hooked, hooked
from optimkit.naming import kind_of
from optimkit.torch_class import TorchClass

if TYPE_CHECKING:
    from optimkit.optimizer import Optimizer
else:
    Optimizer = object

Function = TypeVar("Function", bound=Callable[..., Any])


def untraced(function: Function) -> Function:
    """Have `torch.compile` run a function as it is, and all that it calls."""
    vars(function).update(UNTRACED)
    with suppress(AttributeError):  # torch from before 2.7 traces into what is called
        skip = eval_frame._FrameAction.SKIP
        eval_frame.set_code_exec_strategy(
            function.__code__, eval_frame._FrameExecStrategy(skip, skip)
        )
    return function


untraced(hooked(Hooked._with_hooks))  # the code of every step


class TorchOptimizer(TorchClass, Optimizer):
    """What an optimizer of tensors does beside what every optimizer does."""

    @classmethod
    def torch_base(cls, kind: type) -> type:
        return torch.optim.Optimizer

    @classmethod
    def home(cls, kind: type) -> str:
        ours = kind.__module__.partition(".")[0] == "optimkit"
        return "optimkit.torch" if ours else kind.__module__

    _handle = RemovableHandle
    _everywhere: ClassVar[Any] = (
        (torchs._global_optimizer_pre_hooks, *Hooked._everywhere[0]),
        (*Hooked._everywhere[1], torchs._global_optimizer_post_hooks),
    )
    _warned_capturable_if_run_uncaptured = True

    @property
    def _zero_grad_profile_name(self) -> str:
        return f"Optimizer.zero_grad#{type(self).__name__}.zero_grad"

    def _patch_step_function(self) -> None:
        """Do nothing where torch would wrap `step`: it calls hooks already."""

    def check_params(self, params: Sequence[Any], hyper: Any, names: Sequence[Any]) -> None:
        super().check_params(params, hyper, names)
        for name, param in zip(names, params, strict=True):
            if not isinstance(param, torch.Tensor):
                plain = self.plain_class
                raise TypeError(
                    f"{plain.__name__}: parameter {name} is a {kind_of(param)}; "
                    "this optimizer is a torch.optim.Optimizer, which holds torch tensors alone. "
                    "Give it an optimizer of its own, or give tensors and arrays at once to "
                    f"{plain.__module__.partition('.')[0]}.{plain.__name__}"
                )

    def _with_hooks(self, step: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not _profiler_enabled():
            return super()._with_hooks(step, args, kwargs)
        with record_function(f"Optimizer.step#{type(self).__name__}.step"):
            return super()._with_hooks(partial(_recorded, step), args, kwargs)

    @untraced
    def zero_grad(self, set_to_none: bool = True) -> None:
        if not _profiler_enabled():
            return super().zero_grad(set_to_none)
        with record_function(self._zero_grad_profile_name):
            super().zero_grad(set_to_none)
        return None


def _recorded(step: Any, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
    """Take a step, and call what the profiler waits for to look at the state after it."""
    result = step(optimizer, *args, **kwargs)
    optimizer._optimizer_step_code()
    return result


__all__ = ["TorchOptimizer"]
