"""What can be explained: optimizers and schedulers, their docstrings, and trials of their rules.

Nothing here knows an optimizer by name: formulas, options and references come from the docstrings,
the rest from running the rule on a small array and from tracing it.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import math
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

import optimkit as ok
from optimkit import lr_scheduler
from optimkit.backends.memory import is_array
from optimkit.backends.program import Traced
from optimkit.backends.trace import NotTraceable, trace
from optimkit.validation.arguments import Refusal, suggestion
from optimkit.validation.explain.formulas import plain

Options = dict[str, Any]

SHAPE = (3, 5)  # of the parameter that rules are run on here
ALL_BEGUN = 100  # a step by which every phase of a rule has begun
FLAGS = ("foreach", "capturable", "differentiable", "fused")  # about speed, not mathematics


@dataclass
class Docs:
    """What a docstring says, by its parts.

    Attributes
    ----------
    summary : str
    body : list of str
        Paragraphs before the first section, as they are written.
    sections : dict
        From the heading to the text.
    """

    summary: str
    body: list[str]
    sections: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, subject: type) -> Docs:
        text = inspect.cleandoc(subject.__doc__ or "")
        head, *rest = re.split(r"^(\w[\w ]*)\n-{3,}\n", text, flags=re.MULTILINE)
        summary, *body = re.split(r"\n\n(?! )", head.strip())
        pairs = zip(rest[::2], rest[1::2], strict=True)
        return cls(plain(summary), body, {title: part.strip("\n") for title, part in pairs})

    def parameters(self) -> dict[str, tuple[str, str]]:
        """From names, as they are listed, to their type and their description."""
        entries: dict[str, tuple[str, str]] = {}
        for entry in re.split(r"\n(?=\S)", self.sections.get("Parameters", "")):
            head, _, description = entry.partition("\n")
            name, colon, kind = head.partition(" : ")
            if colon or description.startswith(" "):
                entries[name] = re.sub(r",? default .*", "", kind), plain(description)
        return entries

    def paragraphs(self, start: str, but: bool = False) -> list[str]:
        """Paragraphs outside the lists that begin with `start`; with `but`, the other notes."""
        where = ("Notes",) if but else ("Notes", "Parameters", "Attributes")
        text = "\n\n".join(self.sections.get(title, "") for title in where)
        found = [p for p in re.split(r"\n\s*\n", text) if p.strip() and not p.startswith(" ")]
        return [plain(p) for p in found if bool(re.match(start, p)) is not but]

    def references(self) -> list[str]:
        text = self.sections.get("References", "")
        return [plain(part) for part in re.split(r"(?:^|\n)\.\. \[\d+\] |\n\n", text) if part]


def optimizers() -> dict[str, type[ok.Optimizer]]:
    """Every public optimizer by name."""
    public = {name: getattr(ok, name) for name in sorted(ok.__all__, key=str.lower)}
    return {
        name: value
        for name, value in public.items()
        if isinstance(value, type) and issubclass(value, ok.Optimizer) and value is not ok.Optimizer
    }


def schedulers() -> dict[str, type[lr_scheduler.LRScheduler]]:
    """Every public scheduler by name."""
    modules = filter(None, (lr_scheduler, getattr(ok, "swa_utils", None)))
    public = {name: getattr(module, name) for module in modules for name in module.__all__}
    return {
        name: value
        for name, value in sorted(public.items(), key=lambda item: item[0].lower())
        if isinstance(value, type) and issubclass(value, lr_scheduler.LRScheduler)
    }


def find(name: str) -> type:
    """Return the optimizer or scheduler of that name, in any case."""
    known: dict[str, type] = {**optimizers(), **schedulers()}
    by_lower = {key.lower(): value for key, value in known.items()}
    wanted = name.rpartition(".")[2].lower()
    if wanted in by_lower:
        return by_lower[wanted]
    hint = suggestion(wanted, known, "optimkit list shows what there is")
    raise Refusal(f"there is no optimizer or scheduler called {name!r}; {hint}")


def checked_rule(cls: type[ok.Optimizer]) -> type[ok.Optimizer]:
    """A class of one's own, if it has a rule.

    Raises
    ------
    ValueError
        If it has none.
    """
    if cls.update is ok.Optimizer.update and not hasattr(cls, "minimize"):
        raise ValueError(f"{cls.__name__} defines no update(xp, param, grad, state, hyper, step)")
    return cls


def signature(subject: type) -> dict[str, inspect.Parameter]:
    """The arguments of a constructor, without ``self``."""
    return dict(list(inspect.signature(subject.__init__).parameters.items())[1:])  # type: ignore[misc]


def add_option(parser: argparse.ArgumentParser, what: str) -> None:
    """Declare ``--option``, which `read_options` reads; `what` it is for is its help."""
    parser.add_argument(
        "--option", metavar="NAME=VALUE", nargs="+", action="extend", default=[], help=what
    )


def read_options(subject: type, pairs: list[str]) -> Options:
    """Read options as ``NAME=VALUE`` gives them to a constructor."""
    parameters, options = signature(subject), {}
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    known = [name for name, p in parameters.items() if p.kind is not p.VAR_KEYWORD][1:]
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if name not in known and not (anything and name.isidentifier()):
            hint = suggestion(name, known, f"there are {', '.join(known)}")
            raise Refusal(f"--option {pair}: no NAME=VALUE of {subject.__name__}; {hint}")
        if not equals or not text:
            raise Refusal(f"--option {pair}: a value is missing; give --option {name}=VALUE")
        try:
            value = ast.literal_eval(text)
        except (SyntaxError, ValueError):
            value = text
        default = parameters[name].default if name in known else None
        if isinstance(default, bool) and not isinstance(value, bool):
            raise Refusal(f"--option {pair}: {name} is True or False, not {text}")
        options[name] = value
    return options


def options_of(subject: type) -> list[str]:
    """The options that a formula may hold."""
    skip = (*FLAGS, "params", "optimizer", "last_epoch")
    return [name for name in signature(subject) if name not in skip]


class Trial:
    """A rule on a small array, with the steps it takes."""

    def __init__(self, cls: type[ok.Optimizer], options: Options, dtype: str = "float32") -> None:
        self.cls, self.options = cls, options
        self.param = np.linspace(-1, 1, math.prod(SHAPE), dtype=dtype).reshape(SHAPE)
        self.sparse = bool(getattr(cls, "needs_sparse", False))
        self.hyper = cls.bind(**options)
        self.hyper.sparse = self.sparse

    @cached_property
    def optimizer(self) -> ok.Optimizer:
        """Takes the steps; a trial that only traces needs none."""
        return self.cls([self.param], **self.options)

    def gradient(self) -> Any:
        """The gradient of half the sum of ``n x²``."""
        return np.arange(1, self.param.size + 1, dtype=self.param.dtype).reshape(SHAPE) * self.param

    def step(self) -> None:
        def closure() -> tuple[float, list[Any]]:
            gradient = self.gradient()
            loss = float((gradient * self.param).sum()) / 2
            rows = np.arange(SHAPE[0])
            return loss, [ok.RowSparse(rows, gradient, SHAPE) if self.sparse else gradient]

        with ok.use_engine("eager"), np.errstate(all="ignore"):  # a rate may be of any size
            self.optimizer.step(closure)

    def state(self) -> dict[str, Any]:
        """State before the next step."""
        taken = "optimizer" in vars(self) and self.optimizer.state.get(self.param)
        state: dict[str, Any] = taken or self.cls.init(np, self.param, self.hyper)
        return state

    def trace(self, step: int) -> Traced:
        """Trace step number `step`, which is to be the next one."""
        state = {name: value for name, value in self.state().items() if name != "step"}
        arrays = tuple(name for name, value in state.items() if is_array(value))
        scalars = {name: value for name, value in state.items() if name not in arrays}
        try:
            return trace(self.cls.update, arrays, scalars, self.hyper, step)
        except NotImplementedError:
            raise NotTraceable("a step is a search that calls a closure, not one update") from None


def state_of(cls: type[ok.Optimizer], options: Options, dtype: str = "float32") -> dict[str, Any]:
    """State after two steps."""
    trial = Trial(cls, options, dtype)
    trial.step()
    trial.step()
    return trial.state()


def why_eager(cls: type[ok.Optimizer], options: Options) -> str | None:
    """Why no fused engine can run the rule, or None if one can."""
    try:
        Trial(cls, options).trace(1)
    except NotTraceable as reason:
        return str(reason)
    return None


def forms(
    cls: type[ok.Optimizer], options: Options, dtype: str, last: int
) -> tuple[list[int], Traced]:
    """The steps up to `last` at which the rule takes another form, and the trace of `last`."""
    trial, begins, program = Trial(cls, options, dtype), [], None
    for step in range(1, last):
        traced = trial.trace(step)
        if traced.program != program:
            begins.append(step)
            program = traced.program
        trial.step()
    traced = trial.trace(last)
    return begins + [last] * (traced.program != program), traced
