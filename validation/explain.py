"""What is there, and what it does: ``optimkit list`` and ``optimkit explain NAME``.

Nothing here knows an optimizer by name. Formulas, options and references come from the docstrings,
the rest from running the rule on a small array and from tracing it.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import inspect
import json
import math
import re
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import optimkit as ok
from optimkit import lr_scheduler
from optimkit.backends.bucket import is_array
from optimkit.backends.engines import FUSED
from optimkit.backends.trace import NotTraceable, Traced, trace
from optimkit.groups import hyper_of

Options = dict[str, Any]

SHAPE = (3, 5)  # of the parameter that rules are run on here
ALL_BEGUN = 100  # a step by which every phase of a rule has begun
FLAGS = ("foreach", "capturable", "differentiable", "fused")  # about speed, not mathematics
KERNELS: dict[str, Options] = {"numba": {"cache": False}, "cuda": {}}  # with source's options


class Refusal(Exception):
    """Why a command does nothing, and its exit status."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status


# ---------------------------------------------------------------------- formulas

_COMMANDS = """
alpha=α beta=β gamma=γ delta=δ epsilon=ε eta=η theta=θ kappa=κ lambda=λ mu=μ nu=ν psi=ψ rho=ρ
sigma=σ tau=τ omega=ω Delta=Δ Sigma=Σ nabla=∇ infty=∞ prod=∏ sum=∑ cdot=· times=× ge=≥ le=≤
leftarrow=← rightarrow=→ top=ᵀ max=max min=min lVert=‖ rVert=‖ |=‖
"""
_SYMBOLS = dict(pair.split("=") for pair in _COMMANDS.split())
_SPACES = {"quad": "\u2003", "qquad": "\u2003", ",": " ", ";": " ", ":": " ", "\\": "\n"}
_GIVEN = _SYMBOLS | _SPACES
_SIZES = ("left", "right", "big", "Big", "bigl", "bigr", "!")
_SPACELESS = (*_SIZES, "nabla", "lVert")  # no space between these and what follows
_WORDS = ("text", "mathrm", "operatorname")
_ACCENTS = {"hat": "\u0302", "bar": "\u0304"}
_ABOVE = str.maketrans(
    "0123456789+-=()abcdefghijklmnoprstuvwxyzTᵀ", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀᵀ"
)
_BELOW = str.maketrans("0123456789+-=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")
_NO_FACTOR = "+-=),;.]&·/≤≥<>←\n⎬\u2003"  # what may follow a fraction without multiplying it


def _outside_brackets(text: str) -> str:
    while (inner := re.sub(r"\([^()]*\)|√\([^()]*\)", "", text)) != text:
        text = inner
    return text


class _Tex:
    """The part of LaTeX that formulas in docstrings use; a command it does not know stays."""

    def __init__(self, text: str) -> None:
        self.tokens = re.findall(r"\\[A-Za-z]+|\\.|\s+|.", " ".join(text.split()))
        self.tokens.reverse()

    def run(self, *stops: str) -> str:
        """Render up to one of the tokens `stops`, which is left for the caller."""
        out, after_fraction = "", False
        while self.tokens and self.tokens[-1] not in stops:
            command = self.tokens[-1]
            piece = self.atom()
            if command in ("^", "_") or command == "\\rVert":
                out = out.rstrip(" ")
            elif after_fraction and piece.strip(" ") and piece[0] not in _NO_FACTOR:
                out = out.rstrip(" ") + " · "
            if command not in ("\\left", "\\right") and piece.strip(" "):
                after_fraction = command in ("\\frac", "\\tfrac")
            out += piece
        return re.sub(r"(?<=\()\s+", "", re.sub("  +", " ", out))

    def group(self) -> str:
        """Render an argument: a group in braces, or the next symbol."""
        while self.tokens[-1].isspace():
            self.tokens.pop()
        if self.tokens[-1] != "{":
            return self.atom()
        self.tokens.pop()
        inside = self.run("}")
        self.tokens.pop()
        return inside

    def atom(self) -> str:
        token = self.tokens.pop()
        name = token[1:]
        if token in ("^", "_"):
            return self._script(token)
        if token == "{":
            self.tokens.append(token)
            return self.group()
        if not token.startswith("\\"):
            return " " if token.isspace() else token
        if name == "frac":
            above, below = self.group(), self.group()
            sums = re.search(r" [-+/·] ", _outside_brackets(above))
            above = f"({above})" if sums else above
            return f"{above} / " + (f"({below})" if " " in _outside_brackets(below) else below)
        if name == "tfrac":
            return f"{self.group()}/{self.group()}"
        if name == "sqrt":
            inside = self.group()
            return f"√({inside})" if " " in inside else f"√{inside}"
        if name in _ACCENTS:
            inside = self.group()
            return inside[:1] + _ACCENTS[name] + inside[1:]
        if name in _WORDS:
            return self._text()
        if name == "begin":
            return self._cases()
        if name in _SPACELESS:
            while self.tokens[-1].isspace():
                self.tokens.pop()
        return "" if name in _SIZES else _GIVEN.get(name, token)

    def _script(self, kind: str) -> str:
        inside = self.group().strip(" ")
        small = re.sub(" ", "", inside).translate(_ABOVE if kind == "^" else _BELOW)
        if not set(small) & set(inside) - set("ᵀ"):
            return small
        return kind + (inside if re.fullmatch(r"\w+|.", inside) else f"({inside})")

    def _text(self) -> str:
        assert self.tokens.pop() == "{"
        inside = ""
        while self.tokens[-1] != "}":
            inside += self.tokens.pop()
        self.tokens.pop()
        return inside

    def _cases(self) -> str:
        environment, rows, cells = self.group(), [], [""]
        while True:
            cells[-1] = self.run("\\\\", "&", "\\end").strip(" ")
            stop = self.tokens.pop()
            if stop == "&":
                cells.append("")
                continue
            rows.append("\t".join(cells))
            cells = [""]
            if stop == "\\end":
                assert self.group() == environment
                return "⎨" + "\v".join(rows) + "⎬"


def inline(text: str) -> str:
    """Render a formula on one line.

    Examples
    --------
    >>> inline(r"\\frac{\\gamma}{1 - \\beta_1^t}\\, m_t")
    'γ / (1 - β₁ᵗ) · mₜ'
    """
    return unicodedata.normalize("NFC", _Tex(text).run()).replace("\n", " ").strip()


def _cells(text: str) -> int:
    return sum(not unicodedata.combining(letter) for letter in text)


def display(text: str, width: int = 80) -> list[str]:
    """Render equations on lines of a terminal, aligned at their first sign of equality."""
    rendered = unicodedata.normalize("NFC", _Tex(text).run())
    rows = re.sub(r",\s*\u2003\s*|\n", "\n", rendered).replace("\u2003", "   ").split("\n")
    pairs = []
    for row in filter(str.strip, rows):
        left, sign, right = row.replace("&", "").strip().partition("=")
        pairs.append((left.strip(), sign + right) if sign else ("", row.strip()))
    margin = max(_cells(left) for left, _ in pairs)
    lines = []
    for left, right in pairs:
        start = " " * (margin - _cells(left)) + left + " " * bool(margin)
        lines += _with_cases(start + right) if "⎨" in right else _folded(start, right, width)
    return lines


def _folded(start: str, right: str, width: int) -> list[str]:
    """Fold one equation before its outer ``+`` and ``-`` and after its outer commas."""
    depth, bound = 0, ""
    for i, letter in enumerate(right):
        depth += (letter in "([") - (letter in ")]")
        outer = (depth == 0 and right[i + 1 : i + 2] in "+- ") or (
            depth <= 1 and right[i - 1] == ","
        )
        bound += "\xa0" if letter == " " and not outer else letter
    indent = " " * (_cells(start) + 2)
    parts = textwrap.wrap(bound, max(width - len(indent), 20), break_long_words=False)
    lines = [start + parts[0], *(indent + part for part in parts[1:])]
    return [line.replace("\xa0", " ") for line in lines]


def _with_cases(line: str) -> list[str]:
    """Lay the cases of an equation out below one another."""
    before, inside, after = re.split("[⎨⎬]", line)
    rows = [row.split("\t") for row in inside.split("\v")]
    conditions = [c if c == "otherwise" else f"if {c}" for _, c in rows]
    values = max(_cells(value) for value, _ in rows)
    braces = ["⎧", *"⎨" * (len(rows) - 2), "⎩"]
    middle = (len(rows) - 1) // 2
    lines = []
    for i, ((value, _), condition, brace) in enumerate(zip(rows, conditions, braces, strict=True)):
        start = before if i == middle else " " * _cells(before)
        gap = " " * (values - _cells(value) + 3)
        end = "  " + after.lstrip() if i == middle and after.strip() else ""
        lines.append(f"{start}{brace} {value}{gap}{condition}{end}")
    return lines


# ---------------------------------------------------------------------- docstrings


def plain(text: str) -> str:
    """Turn a paragraph of reStructuredText into text for a terminal."""
    text = re.sub(r":math:`([^`]+)`", lambda m: inline(m[1]), text)
    text = re.sub(r":\w+:`~?([^`]+)`", r"\1", text)
    text = re.sub(r"``?([^`]+)``?", r"\1", text)
    text = re.sub(r"(?<!\w)\*([^*]+)\*", r"\1", text)
    return " ".join(re.sub(r"\[(\d+)\]_", r"[\1]", text).split())


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


# ---------------------------------------------------------------------- what there is


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
    close = difflib.get_close_matches(wanted, by_lower, n=3, cutoff=0.5)
    names = [by_lower[key].__name__ for key in close]
    hint = f"did you mean {' or '.join(names)}?" if names else "optimkit list shows what there is"
    raise Refusal(f"there is no optimizer or scheduler called {name!r}; {hint}")


def signature(subject: type) -> dict[str, inspect.Parameter]:
    """The arguments of a constructor, without ``self``."""
    return dict(list(inspect.signature(subject.__init__).parameters.items())[1:])  # type: ignore[misc]


def options_of(subject: type) -> list[str]:
    """The options that a formula may hold."""
    skip = (*FLAGS, "params", "optimizer", "last_epoch")
    return [name for name in signature(subject) if name not in skip]


class Trial:
    """A rule on a small array, with the steps it takes."""

    def __init__(self, cls: type[ok.Optimizer], options: Options, dtype: str = "float32") -> None:
        self.cls = cls
        self.param = np.linspace(-1, 1, math.prod(SHAPE), dtype=dtype).reshape(SHAPE)
        self.optimizer = cls([self.param], **options)
        self.sparse = bool(getattr(cls, "needs_sparse", False))
        self.hyper = hyper_of(self.optimizer.param_groups[0])
        self.hyper.sparse = self.sparse

    def gradient(self) -> Any:
        """The gradient of half the sum of ``n x²``."""
        return np.arange(1, self.param.size + 1, dtype=self.param.dtype).reshape(SHAPE) * self.param

    def step(self) -> None:
        def closure() -> tuple[float, list[Any]]:
            gradient = self.gradient()
            loss = float((gradient * self.param).sum()) / 2
            rows = np.arange(SHAPE[0])
            return loss, [ok.RowSparse(rows, gradient, SHAPE) if self.sparse else gradient]

        with ok.use_engine("eager"):
            self.optimizer.step(closure)

    def state(self) -> dict[str, Any]:
        """State before the next step."""
        taken = self.optimizer.state.get(self.param)
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


# ---------------------------------------------------------------------- curves of schedulers


@dataclass
class Curve:
    """An example of a scheduler.

    Attributes
    ----------
    call : str
        How it was made.
    lrs, momenta : list of float
        By step; no momenta if the scheduler leaves them alone.
    """

    call: str
    lrs: list[float]
    momenta: list[float]


class _Falling:
    """The factor ``1 - t / steps``, as an example of a user's function."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __call__(self, t: int) -> float:
        return 1 - t / self.steps

    def __repr__(self) -> str:
        return f"lambda t: 1 - t / {self.steps}"


def _example_options(cls: type, steps: int, given: Options) -> Options:
    """Options for a curve of so many steps, where there is no default or it is for longer runs."""
    quarter = max(steps // 4, 1)
    lengths = {"total_iters": max(steps // 2, 1), "step_size_up": quarter}
    if "epochs" not in given:
        lengths["total_steps"] = steps
    needed = {
        "T_max": steps,
        "T_0": quarter,
        "step_size": quarter,
        "milestones": [steps // 2, 3 * steps // 4],
        "gamma": 0.95,
        "base_lr": 0.01,
        "max_lr": 0.1,
        "swa_lr": 0.02,
        "lr_lambda": _Falling(steps),
    }
    required = {
        name: needed[name]
        for name, parameter in signature(cls).items()
        if parameter.default is inspect.Parameter.empty and name in needed
    }
    usual = {name: n for name, n in lengths.items() if name in signature(cls)}
    return required | usual | given


def _example(cls: type, optimizer: Any, steps: int, given: Options) -> tuple[Any, str]:
    """Make a scheduler on `optimizer`, and say how."""
    module = lr_scheduler
    if given and cls in (module.SequentialLR, module.ChainedScheduler):
        raise Refusal(f"--option: the curve of {cls.__name__} is a fixed example")
    quarter = max(steps // 4, 1)
    if cls is module.SequentialLR:
        warm_up = module.LinearLR(optimizer, start_factor=0.1, total_iters=quarter)
        anneal = module.CosineAnnealingLR(optimizer, T_max=max(steps - quarter, 1))
        names = f"[LinearLR, CosineAnnealingLR], milestones=[{quarter}]"
        return cls(optimizer, [warm_up, anneal], milestones=[quarter]), names
    if cls is module.ChainedScheduler:
        held = module.ConstantLR(optimizer, factor=0.5, total_iters=quarter)
        decay = module.ExponentialLR(optimizer, gamma=0.98)
        return cls([held, decay]), f"[ConstantLR({quarter} steps), ExponentialLR]"
    options = _example_options(cls, steps, given)
    shown = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return cls(optimizer, **options), shown


def curve(cls: type, steps: int | None = None, given: Options | None = None) -> Curve | None:
    """Run a scheduler over an initial rate of 0.1; None if it has no formula of its own.

    The rates are those of the steps from 0 to `steps`; a cycle of a given length ends before.
    """
    if cls is lr_scheduler.LRScheduler:
        return None
    given = given or {}
    steps = given.get("total_steps") or 100 if steps is None else steps
    group: dict[str, Any] = {"lr": 0.1, "momentum": 0.9}
    optimizer = SimpleNamespace(param_groups=[group], defaults=dict(group))
    scheduler, options = _example(cls, optimizer, steps, given)
    plateau = isinstance(scheduler, lr_scheduler.ReduceLROnPlateau)
    if plateau:
        options = f"{options}, ".lstrip(", ") + "metric better for a third of the steps, then equal"
    lrs, momenta = [], []
    for t in range(min(steps + 1, getattr(scheduler, "total_steps", steps + 1))):
        lrs.append(float(group["lr"]))
        momenta.append(float(group["momentum"]))
        scheduler.step(*[max(1 - 3 * t / steps, 0.01)] * plateau)
    cycled = len(set(momenta)) > 1
    return Curve(f"{cls.__name__}({options})", lrs, momenta if cycled else [])


def chart(values: list[float], width: int, height: int = 4) -> list[str]:
    """Draw a curve with blocks; at the left its highest and its lowest value."""
    width = min(width - 10, len(values), 64)
    low, high = min(values), max(values)
    chosen = [values[round(i * (len(values) - 1) / max(width - 1, 1))] for i in range(width)]
    span = high - low or 1.0
    eighths = [1 + round((value - low) / span * (8 * height - 1)) for value in chosen]
    labels = [f"{high:.3g}", *[""] * (height - 2), f"{low:.3g}"]
    lines = []
    for row, label in zip(reversed(range(height)), labels, strict=True):
        blocks = "".join(" ▁▂▃▄▅▆▇█"[min(max(n - 8 * row, 0), 8)] for n in eighths)
        lines.append(f"{label:>8} {blocks}")
    last = f"step {len(values) - 1}"
    return [*lines, " " * 9 + "0" + last.rjust(max(width - 1, len(last) + 1))]


def plot(shown: Curve, path: str) -> None:
    """Write the curve as an image, momentum below the rate."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise Refusal("--plot needs matplotlib: pip install 'optimkit[docs]'", 1) from None
    panels = [("learning rate", shown.lrs, "#1f5fa8")]
    panels += [("momentum", shown.momenta, "#b3541e")] if shown.momenta else []
    figure = Figure(figsize=(7.5, 1.4 + 2.4 * len(panels)), layout="constrained")
    figure.suptitle("\n".join(textwrap.wrap(shown.call, 80)), fontsize=11)
    axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for ax, (label, values, color) in zip(axes, panels, strict=True):
        ax.plot(range(len(values)), values, color=color, linewidth=2, clip_on=False)
        ax.set_ylabel(label)
        ax.set_ylim(*_limits(values))
        ax.set_xlim(0, max(len(values) - 1, 1))
        ax.grid(alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    axes[-1].set_xlabel("step")
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise Refusal(f"--plot {path}: {error}", 1) from None


def _limits(values: list[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    low = 0.0 if 0 <= low < 0.5 * high else low
    room = 0.05 * (high - low) or 0.05 * abs(high) or 0.05
    return (0.0 if low == 0 else low - room), high + room


# ---------------------------------------------------------------------- the commands


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command that the parser is for, the last word of its name."""
    listing = parser.prog.endswith(" list")
    (add_list_arguments if listing else add_explain_arguments)(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command that ``args.command`` names."""
    return run_list(args) if args.command == "list" else run_explain(args)


# ---------------------------------------------------------------------- optimkit list


def describe(name: str, subject: type) -> dict[str, Any]:
    """What a row of ``optimkit list`` says, for machines."""
    docs = Docs.of(subject)
    paper = re.search(r"\(([^()]*\d{4})\)", sys.modules[subject.__module__].__doc__ or "")
    facts: dict[str, Any] = {
        "name": name,
        "summary": docs.summary,
        "options": options_of(subject),
        "paper": paper[1] if paper else next(iter(docs.references()), None),
        "references": docs.references(),
    }
    if not issubclass(subject, ok.Optimizer):
        shown = curve(subject)
        closed = getattr(subject, "schedule", None) is not None
        formula = next((plain(p) for p in docs.body if "``lr" in p), None)
        momentum = shown is not None and bool(shown.momenta)
        return facts | {"formula": formula, "closed_form": closed, "momentum": momentum}
    from optimkit.validation.cases import cases_of

    always = list(state_of(subject, {}))
    seen: dict[str, None] = {}
    for case in cases_of(name):
        seen |= dict.fromkeys(state_of(subject, dict(case.options)))
    reason = why_eager(subject, {})
    return facts | {
        "state": always,
        "state_with_options": [key for key in seen if key not in always],
        "fused": reason is None,
        "eager_because": reason,
    }


def add_list_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``optimkit list``."""
    parser.add_argument("--schedulers", action="store_true", help="learning-rate schedulers")
    parser.add_argument("--json", metavar="FILE", help="write the table for machines")


def run_list(args: argparse.Namespace) -> int:
    """Print the table of optimizers, or of schedulers."""
    from rich.console import Console

    known: Mapping[str, type] = schedulers() if args.schedulers else optimizers()
    rows = [describe(name, subject) for name, subject in known.items()]
    Console(highlight=False).print(_scheduler_table(rows) if args.schedulers else _table(rows))
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    return 0


def _about(row: dict[str, Any]) -> Any:
    from rich.text import Text

    lines = [(row["summary"], "")]
    lines += [(row["formula"], "green")] if row.get("formula") else []
    lines += [(", ".join(row["options"]), "cyan")] if row["options"] else []
    lines += [(row["paper"], "dim")] if row["paper"] else []
    return Text("\n").join(Text(*line) for line in lines)


def _table(rows: list[dict[str, Any]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=f"{len(rows)} optimizers: optimkit explain NAME shows the mathematics",
        caption="(in brackets: state that some options bring)  fused: one compiled loop, by tracing"
        " the rule  eager: the rule as it is written",
        title_justify="left",
        caption_justify="left",
        show_lines=True,
    )
    table.add_column("name", no_wrap=True, style="bold")
    table.add_column("what it is, its options, its source", ratio=1)
    table.add_column("state", no_wrap=True)
    table.add_column("runs", no_wrap=True)
    for row in rows:
        state = [*row["state"], *(f"({key})" for key in row["state_with_options"])]
        runs = Text("fused", "green") if row["fused"] else Text("eager", "yellow")
        table.add_row(Text(row["name"]), _about(row), Text("\n".join(state) or "none"), runs)
    return table


def _scheduler_table(rows: list[dict[str, Any]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=f"{len(rows)} schedulers: optimkit explain NAME shows the curve",
        title_justify="left",
        show_lines=True,
    )
    table.add_column("name", style="bold", overflow="fold")
    table.add_column("what it is, its formula, its options, its source", ratio=1)
    table.add_column("sets", no_wrap=True)
    for row in rows:
        sets = "rate and\nmomentum" if row["momentum"] else "rate"
        table.add_row(Text(row["name"]), _about(row), sets)
    return table


# ---------------------------------------------------------------------- optimkit explain


def add_explain_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``optimkit explain``."""
    parser.add_argument("name", metavar="NAME", help="an optimizer or scheduler, in any case")
    parser.add_argument(
        "--option",
        metavar="NAME=VALUE",
        nargs="+",
        action="extend",
        default=[],
        help="options of the state, kernel or curve that is shown, such as amsgrad=True",
    )
    parser.add_argument(
        "--kernel",
        choices=[name for name in KERNELS if name in FUSED],
        help="the kernel generated from the rule",
    )
    parser.add_argument("--raw", action="store_true", help="the kernel's text alone")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument(
        "--at", metavar="STEP", type=int, default=ALL_BEGUN, help="the step whose kernel is shown"
    )
    parser.add_argument("--plot", metavar="FILE.png", help="draw a scheduler's curve")
    parser.add_argument("--steps", type=int, help="how many steps of the curve (100)")


def run_explain(args: argparse.Namespace) -> int:
    """Explain an optimizer or a scheduler; 2 if it is unknown, 1 if there is no such thing."""
    try:
        subject = find(args.name)
        options = _read_options(subject, args.option)
        for name in ("at", "steps"):
            if getattr(args, name) is not None and getattr(args, name) < 1:
                raise Refusal(f"--{name} must be at least 1, not {getattr(args, name)}")
        if issubclass(subject, ok.Optimizer):
            _run_optimizer(subject, options, args)
        else:
            _run_scheduler(subject, options, args)
    except Refusal as refusal:
        print(f"optimkit explain: {refusal}", file=sys.stderr)
        return refusal.status
    return 0


def _read_options(subject: type, pairs: list[str]) -> Options:
    known, options = [*signature(subject)][1:], {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise Refusal(f"--option {pair}: no NAME=VALUE of {subject.__name__}; {hint}")
        try:
            options[name] = ast.literal_eval(text)
        except (SyntaxError, ValueError):
            options[name] = text
    return options


def _run_optimizer(cls: type[ok.Optimizer], options: Options, args: argparse.Namespace) -> None:
    name = cls.__name__
    if args.plot:
        raise Refusal(f"--plot draws the curve of a scheduler, and {name} is an optimizer", 1)
    try:
        state = state_of(cls, options, args.dtype)
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        raise Refusal(str(error)) from None
    kernel = args.kernel or ("numba" if args.raw else None)
    reason = why_eager(cls, options)
    if kernel and reason:
        message = f"{name} has no fused kernel: its rule is not elementwise ({reason})"
        raise Refusal(message, 1)
    if kernel and args.raw:
        print(kernel_text(kernel, forms(cls, options, args.dtype, args.at)[1], args.dtype), end="")
        return
    page = _Page()
    docs = _introduce(page, cls)
    page.section("Options")
    _show_options(page, cls, docs)
    page.section("State" + _with_options(options))
    rows: list[tuple[str, ...]] = [(key, *_kind(value)) for key, value in state.items()]
    if rows:
        page.table(("name", "shape", "dtype"), rows)
        page.text(f"after two steps on a parameter of shape {SHAPE}, {args.dtype}", "dim")
    else:
        page.text("none with these options")
    for paragraph in docs.paragraphs("State"):
        page.text(paragraph)
    page.section("Rule", *_source_lines(cls))
    for text in rule_source(cls):
        page.code(text, "python")
    page.section("Engines")
    if reason is None:
        program = forms(cls, options, args.dtype, args.at)[1].program
        count = sum(program.live()[len(program.inputs) :])
        page.text(
            f"fused: traced, the rule is {count} elementwise operations, which run as one loop "
            f"({', '.join(FUSED)}); the bits are those of the eager engine"
        )
    else:
        page.text(f"eager: the rule is not elementwise ({reason})")
    page.section("Parity with torch")
    for line in parity_lines(name):
        page.text(line)
    _conclude(page, docs)
    if kernel:
        _show_kernel(page, cls, kernel, options, args)


def _run_scheduler(cls: type, options: Options, args: argparse.Namespace) -> None:
    name = cls.__name__
    if args.kernel or args.raw:
        raise Refusal(f"{name} has no kernel: its learning rate is one Python number a step", 1)
    try:
        shown = curve(cls, args.steps, options)
    except (ArithmeticError, TypeError, ValueError) as error:
        raise Refusal(str(error)) from None
    if args.plot and shown is None:
        raise Refusal(f"{name} has no curve: it is the base of the schedulers", 1)
    page = _Page()
    docs = _introduce(page, cls)
    page.section("Options")
    _show_options(page, cls, docs)
    if shown is not None:
        page.section("Curve", shown.call + ", on an optimizer with lr=0.1")
        for title, values in (("learning rate", shown.lrs), ("momentum", shown.momenta)):
            if values:
                page.text(title, "dim")
                page.lines(chart(values, page.width), "cyan")
    page.section("Parity with torch")
    page.text(
        "Equal with ==, step by step, on random configurations with save and resume: see "
        "optimkit validate."
    )
    _conclude(page, docs)
    if args.plot and shown is not None:
        plot(shown, args.plot)
        page.text(f"\nwritten: {args.plot}")


def _introduce(page: _Page, subject: type) -> Docs:
    docs = Docs.of(subject)
    page.title(subject.__name__, docs.summary.removeprefix(f"{subject.__name__}: "))
    page.section("Formula")
    for part in docs.body:
        if part.startswith(".. math::"):
            page.lines(display(part.removeprefix(".. math::"), page.width), "green")
        else:
            page.text(plain(part), "green" if "``lr" in part else "")
    return docs


def _conclude(page: _Page, docs: Docs) -> None:
    for title, paragraphs in (
        ("Differs from", [p.removeprefix("Differs from ") for p in docs.paragraphs("Differs")]),
        ("Notes", docs.paragraphs("Differs|State", but=True)),
    ):
        if paragraphs:
            page.section(title)
            for paragraph in paragraphs:
                page.text(paragraph)
    references = docs.references()
    if references:
        page.section("References")
        for i, reference in enumerate(references, 1):
            page.text(f"[{i}] {reference}")


def _show_options(page: _Page, subject: type, docs: Docs) -> None:
    header, rows = _option_table(subject, docs)
    if rows:
        page.table(header, rows)
    for names, (_, description) in docs.parameters().items():
        if set(names.split(", ")) <= set(FLAGS):
            page.text(f"{names}: {description}", "dim")


def _option_table(subject: type, docs: Docs) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """One row for each entry of the docstring, with the defaults of the constructor."""
    known, limits = signature(subject), getattr(subject, "limits", {})
    rows: list[tuple[str, ...]] = []
    for names, (kind, description) in docs.parameters().items():
        listed = [name for name in names.split(", ") if name in known]
        defaults = [_default(known[name]) for name in listed]
        ranges = [limits[name].__doc__ or "" for name in listed if name in limits]
        allowed = ranges[0].removeprefix("a number ").removeprefix("of ") if ranges else kind
        if listed and listed[0] not in ("params", "optimizer") and not set(listed) <= set(FLAGS):
            rows.append(("\n".join(listed), "\n".join(defaults), plain(allowed), description))
    return ("name", "default", "allowed", "meaning"), rows


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return "required"
    value = parameter.default
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


def _kind(value: Any) -> tuple[str, str]:
    """Shape and dtype of a piece of state, in words."""
    if is_array(value):
        return ("number" if value.shape == () else str(tuple(value.shape))), str(value.dtype)
    if isinstance(value, list):
        kinds = [_kind(item) for item in value if item is not None]
        return (f"list of {kinds[0][0]}", kinds[0][1]) if kinds else ("list", "")
    return "number", f"Python {type(value).__name__}"


def _with_options(options: Options) -> str:
    return f" with {', '.join(f'{k}={v!r}' for k, v in options.items())}" if options else ""


def _functions(cls: type[ok.Optimizer]) -> Iterator[Callable[..., Any]]:
    """The rule, and the functions of its own file that it calls."""
    rule: Any = getattr(cls, "minimize", cls.update)
    yield rule
    for name in rule.__code__.co_names:
        function = rule.__globals__.get(name)
        if inspect.isfunction(function) and function.__module__ == rule.__module__:
            yield function


def rule_source(cls: type[ok.Optimizer]) -> list[str]:
    """The text of the rule, and of the functions of its own file that it calls."""
    return [textwrap.dedent(inspect.getsource(function)) for function in _functions(cls)]


def _source_lines(cls: type[ok.Optimizer]) -> list[str]:
    rule = next(_functions(cls))
    place = rule.__module__.replace(".", "/") + f".py, line {rule.__code__.co_firstlineno}"
    owner = rule.__qualname__.partition(".")[0]
    return [place + (f" (the rule of {owner})" if owner != cls.__name__ else "")]


def parity_lines(name: str) -> list[str]:
    """What the table of cases asks of an optimizer."""
    from optimkit.validation.cases import cases_of

    cases = cases_of(name)
    if not cases:
        return ["No configuration in the table of cases compares it with torch."]
    exact = [case for case in cases if case.tolerance == 0]
    dtypes = dict.fromkeys(dtype for case in cases for dtype in case.dtypes)
    bits = "all" if len(exact) == len(cases) else f"{len(exact)} of them"
    equal = f", {bits} to equal bits" if exact else ""
    lines = [f"{len(cases)} configurations ({', '.join(dtypes)}){equal}: optimkit validate."]
    loose: dict[tuple[str, str], int] = {}
    for case in cases:
        if case.tolerance:
            key = case.allowed, case.reason
            loose[key] = loose.get(key, 0) + 1
    lines += [f"{n} within {bound} ({reason.rstrip('.')})." for (bound, reason), n in loose.items()]
    if not all(case.peer for case in cases):
        lines.append("torch has no such optimizer; the engines are compared with one another.")
    return lines


def kernel_text(kernel: str, traced: Traced, dtype: str) -> str:
    """The kernel of an engine for one traced step, as it goes to the compiler."""
    module = import_module(f"optimkit.backends.engines.{kernel}")
    text: str = module.source(traced.program, dtype, **KERNELS[kernel])
    return text


def _show_kernel(
    page: _Page,
    cls: type[ok.Optimizer],
    kernel: str,
    options: Options,
    args: argparse.Namespace,
) -> None:
    begins, traced = forms(cls, options, args.dtype, args.at)
    page.section(f"Kernel for {kernel}, {args.dtype}{_with_options(options)}, step {args.at}")
    if len(begins) > 1:
        steps = ", ".join(map(str, begins))
        page.text(
            f"The rule takes {len(begins)} forms, each with a kernel of its own, from steps "
            f"{steps} on; this is the last (--at shows another)."
        )
    live = traced.program.live()
    used = {
        ~operand
        for i, operation in enumerate(traced.program.operations, len(traced.program.inputs))
        if live[i]
        for operand in operation[1:]
        if operand < 0
    }
    page.text("Rows of the table: " + ", ".join(traced.program.inputs + traced.program.new_state))
    numbers = np.array(traced.slots, args.dtype)
    page.text("Numbers of this step: " + ", ".join(f"s{k} = {numbers[k]}" for k in sorted(used)))
    page.code(kernel_text(kernel, traced, args.dtype), "cpp" if kernel == "cuda" else "python")


class _Page:
    """Sections on a terminal, wrapped to its width."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(highlight=False)
        self.width = max(self.console.width - 2, 20)

    def title(self, name: str, summary: str) -> None:
        from rich.text import Text

        self.console.print(Text.assemble((name, "bold reverse"), "  ", (summary, "bold")))

    def section(self, title: str, detail: str = "") -> None:
        from rich.text import Text

        self.console.print()
        self.console.print(Text.assemble((title, "bold yellow"), "  ", (detail, "dim")))

    def _indented(self, content: Any) -> None:
        from rich.padding import Padding

        self.console.print(Padding(content, (0, 0, 0, 2)))

    def text(self, text: str, style: str = "") -> None:
        from rich.text import Text

        self._indented(Text(text, style))

    def lines(self, lines: list[str], style: str = "") -> None:
        self.text("\n".join(lines), style)

    def table(self, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
        for i, name in enumerate(header):
            room = self.width // 4 if i in (1, 2) else None
            style = "" if i else "bold"
            table.add_column(name, style=style, no_wrap=i == 0, max_width=room, overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        self._indented(table)

    def code(self, text: str, language: str) -> None:
        from rich.syntax import Syntax

        self._indented(
            Syntax(text, language, theme="ansi_dark", background_color="default", word_wrap=True)
        )
