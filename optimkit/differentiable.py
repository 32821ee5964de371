"""Steps that gradients flow through: the rule on torch tensors, recorded by autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

from optimkit.backends.autograd import recording_adapter_of, with_derivatives
from optimkit.backends.bucket import Member, Options, Unit
from optimkit.backends.engines.eager import called
from optimkit.backends.memory import HALF, is_array
from optimkit.gradients import labels, members_of
from optimkit.groups import PLAIN, Claims, Group
from optimkit.naming import naming
from optimkit.reasons import explaining
from optimkit.rule import Rule


class Move(NamedTuple):
    """A step of one parameter that has not been taken yet."""

    before: Any  # what the tensor has been so far, in a tensor of its own
    after: Any
    state: dict[str, Any]


def advance(optimizer: Any, params: Sequence[Any], grads: Sequence[Any], options: Options) -> None:
    """Step every parameter that has a gradient, and let autograd record it.

    A tensor changes in place and keeps its history. An entry of its state is replaced: what has
    been computed from it so far may need it for derivatives. All that is new is there before
    anything changes.
    """
    rule, groups, state = type(optimizer), optimizer.param_groups, optimizer.state
    if not all(hyper.differentiable for hyper in options.values):
        flags = [group["differentiable"] for group in groups]
        raise ValueError(f"{rule.__name__}: differentiable must be one for all groups, not {flags}")
    Claims().with_more(list(params), list)  # an error where two are one, or share memory
    hypers = [_recorded(options.of(g), group) for g, group in enumerate(groups)]
    options_of = hypers.__getitem__
    members = members_of(rule, groups, params, grads, state, options_of, recording_adapter_of)
    with explaining(rule, groups, optimizer.defaults, state):
        update = optimizer.rule_for(options)
        moves = [_moved(rule, update, member, hypers[member.group]) for member in members]
    taken = 0
    try:
        with naming(rule.__name__, lambda: labels(groups)[members[taken].place]):
            for taken, (member, move) in enumerate(zip(members, moves, strict=True)):  # noqa: B007
                member.adapter.write(member.array, member.array, move.after)
    except BaseException:
        for member, move in zip(members[:taken], moves, strict=False):
            member.adapter.write(member.array, member.array, move.before)
        raise
    for member, move in zip(members, moves, strict=True):
        member.state.update(move.state)
        if member.state and state.get(params[member.place]) is not member.state:
            state[params[member.place]] = member.state


def _recorded(hyper: Any, group: Group) -> Any:
    """The options of a group, with derivatives where they are given as tensors that have some."""
    options = vars(hyper).copy()
    for name in options.keys() & group.keys():
        if type(group[name]) not in PLAIN:
            options[name] = with_derivatives(options[name], group[name])
    return SimpleNamespace(**options)


def _moved(rule: type[Rule], update: Callable[..., Any], member: Member, hyper: Any) -> Move:
    """Call the rule for one parameter."""
    adapter: Any = member.adapter
    array, grad, known = member.array, member.grad, member.state
    with adapter.running_on(array):
        before = array.clone()
        state = _begun(rule, adapter, before, known, hyper)
        arrays = {name: value for name, value in state.items() if is_array(value)}
        numbers = {name: value for name, value in state.items() if name not in arrays}
        unit = Unit(hyper, numbers.pop("step", 0) + 1, numbers)
        half = adapter.layout(before).dtype in HALF
        owners = {"param": before, "grad": grad} | arrays
        changed, new = called(adapter, owners, unit, update, half=half)
        new = {name: value for name, (_, _, value) in changed.items()} | new
        after = adapter.entry(new.pop("param", before), before)
        new = {name: adapter.entry(value, before) for name, value in (state | new).items()}
    return Move(before, after, new | ({"step": unit.step} if rule.counts_steps else {}))


def _begun(
    rule: type[Rule], adapter: Any, array: Any, known: dict[str, Any], hyper: Any
) -> dict[str, Any]:
    """Return the state that a step begins with, in which numbers are no arrays."""
    if not known:
        return rule.initial_state(adapter, array, hyper)
    single = {k: x for k, x in known.items() if is_array(x) and x.shape == ()}
    first = rule.initial_state(adapter, array, hyper) if single else {}
    numbers = {k: x for k, x in single.items() if k in first and not is_array(first[k])}
    return known | {k: with_derivatives(x.item(), x) for k, x in numbers.items()}


__all__ = ["advance"]
