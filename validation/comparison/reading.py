"""What a candidate is, and which options it takes under which names."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.validation.arguments import suggestion
from optimkit.validation.comparison.candidates import RATE_NAMES, Candidate, Unusable
from optimkit.validation.comparison.fitting import SKIPPED, Options, allowed
from optimkit.validation.comparison.forms import (
    GRAD,
    PARAM,
    of_config,
    required,
    roles_of,
    sending,
    stepping,
)
from optimkit.validation.comparison.functions import Function
from optimkit.validation.comparison.handwritten import LIST, NAMES, Handwritten
from optimkit.validation.comparison.libraries import made
from optimkit.validation.comparison.protocols import registry
from optimkit.validation.comparison.protocols.of_loops import Loop, count_of
from optimkit.validation.comparison.protocols.of_torch import TorchProtocol
from optimkit.validation.comparison.protocols.signatures import parameters_of

# What options are called elsewhere.
ALIASES = {
    "lr": (*RATE_NAMES[1:-2], "alpha", "eta"),
    "eps": ("epsilon",),
    "weight_decay": ("wd", "l2", "L2", "weight_decay_rate"),
    "momentum": ("beta", "mu", "mass"),
    "alpha": ("rho", "decay", "decay_rate", "smoothing", "gamma"),
    "rho": ("decay", "decay_rate"),
    "nesterov": ("use_nesterov",),
    "initial_accumulator_value": ("initial_accumulator",),
    "momentum_decay": ("schedule_decay",),
    "beta2_decay": ("beta_2_decay",),
    "d": ("clip_threshold", "clipping_threshold"),
}
PAIRS = {
    "betas": (("beta1", "beta2"), ("beta_1", "beta_2"), ("b1", "b2")),
    "etas": (("eta_minus", "eta_plus"),),
    "step_sizes": (("min_step_size", "max_step_size"),),
    "eps": (("epsilon_1", "epsilon_2"), ("eps1", "eps2")),
}
# Every name of an option that is understood.
OPTION_NAMES = frozenset(
    [name for aliases in ALIASES.values() for name in aliases]
    + [name for pairs in PAIRS.values() for pair in pairs for name in pair]
    + [*ALIASES]
)


@dataclass
class Reading:
    """A candidate, and the options that it is compared with.

    Attributes
    ----------
    candidate : Candidate
    options : dict
        Those of the rule: what was asked for, and the candidate's own defaults.
    thing : object
        The candidate as it was given.
    adopted : dict
        Options that are the candidate's own default and not the rule's.
    unheard : list of str
        Options that were asked for and that the candidate does not take.
    """

    candidate: Candidate
    options: Options
    thing: Any = None
    adopted: Options = field(default_factory=dict)
    unheard: list[str] = field(default_factory=list)


def read_candidate(thing: Any, optimizer: type[ok.Optimizer], options: Options) -> Reading:
    """Find out what a candidate is.

    Raises
    ------
    Unusable
        If it is nothing that can be held against a rule.
    """
    given = of_config(thing, OPTION_NAMES)
    thing = given or thing
    taken, adopted, unheard = _options(thing, optimizer, options)
    with np.errstate(all="ignore"):
        candidate = _candidate(thing, taken)
    if given:
        candidate.kind = "a function (w, dw, config)"
    if isinstance(candidate, TorchProtocol):  # what it was made with can be read from its groups
        own, held = candidate.group(), vars(optimizer.bind(**options | adopted))
        settable = inspect.signature(optimizer.__init__).parameters.keys() & own.keys() - {*SKIPPED}
        apart = {k: own[k] for k in settable if _plain(own[k]) and own[k] != held[k]}
        adopted |= {k: value for k, value in apart.items() if k not in options}
        unheard = [k for k in options if k in apart or (k in unheard and k not in own)]
    return Reading(candidate, options | adopted, thing, adopted, unheard)


def own_options(thing: Any, optimizer: type[ok.Optimizer]) -> Options:
    """A candidate's own defaults, as far as a rule has such options."""
    return _options(thing, optimizer, {})[1]


def _plain(value: Any) -> bool:
    return isinstance(value, int | float | tuple)


def _options(
    thing: Any, optimizer: type[ok.Optimizer], options: Options
) -> tuple[Options, Options, list[str]]:
    """What the candidate is given, what the rule takes from it, and what it does not take."""
    theirs = parameters_of(thing)
    ours = vars(optimizer.bind(**options))
    known = inspect.signature(optimizer.__init__).parameters
    anything = any(p.kind is p.VAR_KEYWORD for p in theirs.values())
    given: Options = {}
    adopted: Options = {}
    unheard: list[str] = []
    for name, value in ours.items():
        if name in SKIPPED or name not in known:
            continue
        names = (name, *(n for n in ALIASES.get(name, ()) if n not in ours))
        spelled = next((n for n in names if n in theirs), None)
        pair = next((p for p in PAIRS.get(name, ()) if set(p) <= theirs.keys()), None)
        if spelled is None and pair is None:
            if name in options and anything:
                given[name] = value
            elif name in options:
                unheard.append(name)
            continue
        names = (spelled,) if spelled else pair or ()
        defaults = [theirs[n].default for n in names]
        usable = all(map(_plain, defaults))
        if name in options or not usable:
            missing = any(d is inspect.Parameter.empty for d in defaults)
            if name in options or missing:
                given |= dict(zip(names, (value,) if spelled else value, strict=True))
            continue
        own = defaults[0] if spelled else tuple(defaults)
        if isinstance(value, tuple) and not isinstance(own, tuple):
            own = (own, *value[1:])  # the first of two, where it has no other
        if own != value and allowed(optimizer, options | adopted | {name: own}):
            adopted[name] = own
        if name == "lr" and spelled:
            given[spelled] = own
    return given, adopted, unheard


def _candidate(thing: Any, given: Options) -> Candidate:
    if form := registry.of_form(thing):
        return form(lambda: thing, {})
    if not callable(thing):
        raise Unusable(
            f"it is a {type(thing).__name__}; give an optimizer's class, a function that makes "
            "one, or a function (param, grad, state, step) -> (param, state)"
        )
    if isinstance(thing, type):
        if issubclass(thing, ok.Optimizer):
            return TorchProtocol(thing, given, ours=True)
        if registry.KnownLibrary("torch.optim", TorchProtocol).has(thing):
            return TorchProtocol(thing, given, ours=False)
    if known := registry.of_library(thing):
        return known(thing, given)
    if isinstance(thing, type):
        return Handwritten(thing, given)
    arguments = [name for name in required(thing) if name not in given]
    if len([name for name in arguments if name != (counted := count_of(thing))]) == 2 and counted:
        return Loop(thing, given)
    if {PARAM, GRAD} <= {*(roles_of(arguments) or ())}:
        return _stepped(thing, given, arguments)
    if len(arguments) == 4:
        return Function(thing, given, arguments)
    if len(arguments) > 1:
        raise Unusable(
            f"a function of ({', '.join(arguments)}) is neither one step, (param, grad, state, "
            "step), nor a loop, (grad, x0, num_iters), nor does it make an optimizer of (params) "
            "or of nothing; the page about compare has the lines that make one of other forms"
        )
    if inspect.isgeneratorfunction(thing) and arguments:
        candidate = Handwritten(sending(thing), given)
        candidate.kind = "a generator that is sent gradients"
        return candidate
    return _product(thing, given, bool(arguments))


def _stepped(thing: Any, given: Options, arguments: list[str]) -> Candidate:
    """A function of one step, by the names of its arguments, in any order.

    One of (params, grads) is tried with all parameters in lists or by name first.
    """
    roles, first = roles_of(arguments) or [], None
    many = [n for n, role in zip(arguments, roles, strict=True) if role in (PARAM, GRAD)]
    for make in stepping(thing, roles) if all(n.endswith("s") for n in many) else ():
        try:
            candidate = Handwritten(make, given, (LIST, NAMES))
        except Unusable as error:
            first = first or error
        else:
            candidate.kind = f"a function ({', '.join(arguments)}) of {candidate.form}"
            return candidate
    try:
        return Function(thing, given, arguments)
    except Unusable as error:
        raise first or error from None


def _product(make: Callable[..., Any], given: Options, takes_params: bool) -> Candidate:
    """What a function makes."""
    if not takes_params:
        try:
            product = make(**given)
        except Exception as error:
            raise Unusable(f"calling it raised {type(error).__name__}: {error}") from error
        return (registry.of_product(product) or Handwritten)(make, given)
    first: Exception | None = None
    array = np.ones(2, np.float32)
    kinds: list[tuple[Candidate, Callable[[Any], Any], Callable[[Any], bool]]] = []
    for ours in [True] if "torch" not in sys.modules else [False, True]:
        kind = TorchProtocol(make, given, ours)
        kinds.append((kind, kind.parameter, partial(_by_protocol, ours)))
    for known in registry.made_of_params():
        library = known.home.partition(".")[0]
        kinds.append((known.candidate(make, given), partial(made, library=library), known.has_made))
    for candidate, parameter, fits in kinds:
        try:
            product = make([parameter(array)], **given)
        except Exception as error:
            first = first or error
            continue
        if fits(product):
            return candidate
    try:
        return Handwritten(make, given)
    except Unusable:
        if first is not None:
            raise Unusable(f"calling it raised {type(first).__name__}: {first}") from first
        raise


def _by_protocol(ours: bool, product: Any) -> bool:
    return isinstance(product, ok.Optimizer) is ours and hasattr(product, "param_groups")


def rule_named(name: Any) -> type[ok.Optimizer]:
    """The optimizer that a name or a class says.

    Raises
    ------
    ValueError
        If there is none.
    """
    from optimkit.validation.explain.subjects import checked_rule, optimizers

    if isinstance(name, type) and issubclass(name, ok.Optimizer):
        return checked_rule(name)
    if not isinstance(name, str):
        found = getattr(name, "__name__", repr(name))
        raise ValueError(f"{found} is no rule; give a name, or a class that derives from Optimizer")
    known = optimizers()
    by_lower = {key.lower(): value for key, value in known.items()}
    if name.lower() not in by_lower:
        hint = suggestion(name, known, "optimkit list shows what there is")
        raise ValueError(f"there is no optimizer called {name!r}; {hint}")
    return by_lower[name.lower()]
