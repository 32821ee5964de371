"""Which engine is to run which parameters of an optimizer, and why no faster one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from optimkit.backends import engines
from optimkit.backends.adapters import adapter_of
from optimkit.backends.bucket import Bucket, Member, Options, buckets
from optimkit.gradients import labels, names_of
from optimkit.groups import Group
from optimkit.naming import naming
from optimkit.parameter import array_of
from optimkit.rule import Rule
from optimkit.stepper import each_bucket


class EngineUse(NamedTuple):
    """Parameters, by name or by number, that one engine steps, and why no faster one does."""

    engine: str
    params: list[Any]
    reason: str


def engine_uses(
    rule: Rule, groups: Sequence[Group], state: Mapping[Any, Any], options: Options
) -> list[EngineUse]:
    """Decide as a step does in which every parameter has a gradient."""
    params = [param for group in groups for param in group["params"]]
    names: Sequence[Any] = names_of(groups) or range(len(params))
    if any(hyper.differentiable for hyper in options.values):
        return [EngineUse("eager", list(names), "autograd records the steps (differentiable=True)")]
    if rule.needs_sparse:
        options = options.with_option("sparse", True)
    chosen = partial(engines.chosen, update=rule.rule_for(options), native=rule.native)
    uses: dict[tuple[str, str], list[int]] = {}
    with naming(type(rule).__name__):
        for bucket, use in each_bucket(_buckets(rule, groups, state, options), options, chosen):
            uses.setdefault(use, []).extend(bucket.indices)
    return [
        EngineUse(engine, [names[i] for i in sorted(places)], reason)
        for (engine, reason), places in sorted(uses.items(), key=lambda item: min(item[1]))
    ]


def _buckets(
    rule: Rule, groups: Sequence[Group], state: Mapping[Any, Any], options: Options
) -> list[Bucket]:
    """The parameters as a step sorts them; where a gradient would be, the parameter stands."""
    members: list[Member] = []
    owned = [(g, param) for g, group in enumerate(groups) for param in group["params"]]
    with naming(lambda: labels(groups)[len(members)]):
        for i, (owner, param) in enumerate(owned):
            array = array_of(param)
            adapter = adapter_of(array)
            adapter.check_parameter(array)
            known = state.get(param) or rule.initial_state(adapter, array, options.of(owner))
            members.append(Member(i, owner, adapter, array, array, known))
    extents = [member.adapter.extent(member.array) for member in members]
    found = buckets(members, extents, lambda group: options.of(group).fused)
    for bucket in found:
        bucket.settle(options)
    return found
