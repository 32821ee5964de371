"""The learning rates in the groups of an optimizer, whatever holds them."""

from typing import Any

from optimkit.options import renewed
from optimkit.typing import OptimizerLike

Group = dict[str, Any]


def check_optimizer(optimizer: object) -> None:
    """Raise TypeError for an object that has no parameter groups."""
    if not hasattr(optimizer, "param_groups"):
        raise TypeError(f"{type(optimizer).__name__} is not an optimizer: it has no param_groups")


def rate_of(group: Group) -> float:
    """Return the rate of a group, whatever holds it."""
    lr = group["lr"]
    return float(lr.item() if hasattr(lr, "item") else lr)


def check_rate(group: Group) -> None:
    """Raise RuntimeError for a rate through which gradients flow, which schedules would lose."""
    lr = group.get("lr")
    if group.get("differentiable") and getattr(lr, "requires_grad", False):
        raise RuntimeError(
            f"the lr is {lr!r}: a scheduler would lose its derivatives; give the group a new "
            "tensor before each step, group['lr'] = lr * factor"
        )


def write_lr(group: Group, lr: float) -> None:
    """Set the rate of a group, a float; a tensor that holds it (CUDA graphs) is filled in place."""
    check_rate(group)
    group["lr"] = renewed(group["lr"], float(lr))


def per_group(name: str, optimizer: OptimizerLike, value: Any) -> list[float]:
    """One number for each group, from one number or from a list of them."""
    n_groups = len(optimizer.param_groups)
    if not isinstance(value, (list, tuple)):
        return [float(value)] * n_groups
    if len(value) != n_groups:
        raise ValueError(f"{name} has {len(value)} values for {n_groups} parameter groups")
    return list(map(float, value))
