"""Masters: copies in full of parameters of half precision, which are stepped in their place.

A master is what its parameter was before it was rounded. Where it does not round to the parameter,
something else has changed that since: a checkpoint that was loaded, a projection, another program.
The parameter is right then, and the master begins anew from it, element by element.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

MASTER = "master"  # what a state calls it


@cache
def on_masters(update: Callable[..., Any]) -> Callable[..., Any]:
    """A rule that steps masters, where there are any, and gives parameters what they become."""

    def stepped(
        xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int
    ) -> tuple[Any, dict[str, Any]]:
        if MASTER not in state:
            result: tuple[Any, dict[str, Any]] = update(xp, param, grad, state, hyper, step)
            return result
        others = {name: value for name, value in state.items() if name != MASTER}
        master, new = update(xp, state[MASTER], grad, others, hyper, step)
        return master, {**new, MASTER: master}

    stepped.on_masters = True  # type: ignore[attr-defined]
    stepped.pure = getattr(update, "pure", False)  # type: ignore[attr-defined]
    return stepped


def steps_masters(update: Callable[..., Any]) -> bool:
    """Whether a rule is one `on_masters`."""
    return getattr(update, "on_masters", False)


def held(xp: Any, master: Any, param: Any) -> Any:
    """The master where it rounds to the parameter as that is stored, and else the parameter."""
    own = xp.astype(param, master.dtype)
    rounded = xp.astype(xp.astype(master, param.dtype), master.dtype)
    same = (rounded == own) & (xp.signbit(rounded) == xp.signbit(own))  # of zeros, too
    return xp.where(same, master, own)


__all__ = ["MASTER", "held", "on_masters", "steps_masters"]
