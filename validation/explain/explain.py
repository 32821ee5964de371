"""What an optimizer or a scheduler does: ``optimkit explain NAME``."""

from __future__ import annotations

import argparse
import inspect
import textwrap
from importlib import import_module
from types import FunctionType
from typing import Any

import numpy as np

import optimkit as ok
from optimkit.backends.engines import NAMES
from optimkit.backends.memory import is_array
from optimkit.backends.program import Traced
from optimkit.validation.arguments import Refusal, new_file, positive
from optimkit.validation.explain.curves import chart, check_plot, curve, plot
from optimkit.validation.explain.formulas import display, plain
from optimkit.validation.explain.own import is_ours, refusal, subject_of
from optimkit.validation.explain.page import Page
from optimkit.validation.explain.subjects import (
    ALL_BEGUN,
    FLAGS,
    SHAPE,
    Docs,
    Options,
    add_option,
    forms,
    options_of,
    read_options,
    signature,
    state_of,
    why_eager,
)

OF_YOUR_OWN = "A rule of your own: optimkit compare holds it against another, or code against it."


def kernels() -> list[str]:
    """The engines that make a kernel of a rule."""
    modules = {name: import_module(f"optimkit.backends.engines.{name}") for name in NAMES}
    return [name for name, module in modules.items() if hasattr(module, "source")]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``optimkit explain``."""
    parser.add_argument(
        "name",
        metavar="NAME",
        help="an optimizer or scheduler, in any case; also FILE.py:NAME, one of your own",
    )
    add_option(parser, "options of the state, kernel or curve that is shown, such as amsgrad=True")
    parser.add_argument(
        "--kernel",
        choices=kernels(),
        help="the kernel generated from the rule",
    )
    parser.add_argument("--raw", action="store_true", help="the kernel's text alone")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument(
        "--at",
        metavar="STEP",
        type=positive,
        default=ALL_BEGUN,
        help="the step whose kernel is shown",
    )
    parser.add_argument(
        "--plot", type=new_file, metavar="FILE.png", help="draw a scheduler's curve"
    )
    parser.add_argument("--steps", type=positive, help="how many steps of the curve (100)")


def run(args: argparse.Namespace) -> int:
    """Explain an optimizer or a scheduler; 2 if it is unknown, 1 if there is no such thing."""
    subject = subject_of(args.name)
    options = read_options(subject, args.option)
    explain = _run_optimizer if issubclass(subject, ok.Optimizer) else _run_scheduler
    try:
        explain(subject, options, args)
    except Exception as error:
        if isinstance(error, Refusal | OSError) or ":" not in args.name:
            raise
        raise refusal(args.name, error) from error
    return 0


def _run_optimizer(cls: type[ok.Optimizer], options: Options, args: argparse.Namespace) -> None:
    name = cls.__name__
    if args.plot:
        raise Refusal(f"--plot draws the curve of a scheduler, and {name} is an optimizer", 1)
    try:
        state = state_of(cls, options, args.dtype)
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        raise refusal(args.name, error) from None
    kernel = args.kernel or ("numba" if args.raw else None)
    reason = why_eager(cls, options)
    if kernel and reason:
        message = f"{name} has no fused kernel: its rule is not elementwise ({reason})"
        raise Refusal(message, 1)
    if kernel and args.raw:
        print(kernel_text(kernel, forms(cls, options, args.dtype, args.at)[1], args.dtype), end="")
        return
    page = Page()
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
        count = sum(program.live()[len(program.inputs) :][: len(program.operations)])
        page.text(
            f"fused: traced, the rule is {count} elementwise operations, which run as one loop "
            f"({', '.join(NAMES[:-1])}); the bits are those of the {NAMES[-1]} engine"
        )
    else:
        page.text(f"eager: the rule is not elementwise ({reason})")
    page.section("Parity with torch")
    for line in parity_lines(name) if is_ours(cls) else [OF_YOUR_OWN]:
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
        raise refusal(args.name, error) from None
    if args.plot and shown is None:
        raise Refusal(f"{name} has no curve: it is the base of the schedulers", 1)
    if args.plot:
        check_plot(args.plot)
    page = Page()
    docs = _introduce(page, cls)
    page.section("Options")
    _show_options(page, cls, docs)
    if shown is not None:
        page.section("Curve", shown.call + ", on an optimizer with lr=0.1")
        for title, values in (("learning rate", shown.lrs), ("momentum", shown.momenta)):
            if values:
                page.text(title, "dim")
                page.lines(chart(values, page.width), "cyan")
    if is_ours(cls):
        page.section("Parity with torch")
        page.text(
            "Equal with ==, step by step, on random configurations with save and resume: see "
            "optimkit validate."
        )
    _conclude(page, docs)
    if args.plot and shown is not None:
        plot(shown, args.plot)
        page.text(f"\nwritten: {args.plot}")


def _introduce(page: Page, subject: type) -> Docs:
    docs = Docs.of(subject)
    page.title(subject.__name__, docs.summary.removeprefix(f"{subject.__name__}: "))
    if docs.body:
        page.section("Formula")
    for part in docs.body:
        if part.startswith(".. math::"):
            page.lines(display(part.removeprefix(".. math::"), page.width), "green")
        else:
            page.text(plain(part), "green" if "``lr" in part else "")
    return docs


def _conclude(page: Page, docs: Docs) -> None:
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


def _show_options(page: Page, subject: type, docs: Docs) -> None:
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
        ranges = [limits[name] for name in listed if name in limits]
        allowed = _range(ranges[0]) if ranges else kind
        if listed and listed[0] not in ("params", "optimizer") and not set(listed) <= set(FLAGS):
            rows.append(("\n".join(listed), "\n".join(defaults), plain(allowed), description))
    documented = ", ".join(docs.parameters()).split(", ")
    for name in options_of(subject):
        if name not in documented and known[name].kind is not inspect.Parameter.VAR_KEYWORD:
            allowed = _range(limits[name]) if name in limits else ""
            rows.append((name, _default(known[name]), allowed, ""))
    return ("name", "default", "allowed", "meaning"), rows


def _range(limit: Any) -> str:
    return str(limit.__doc__ or "").removeprefix("a number ").removeprefix("of ")


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


def rule_functions(cls: type[ok.Optimizer]) -> list[FunctionType]:
    """The rule, and the functions of its own file that it calls, however far down."""
    rule: Any = getattr(cls, "minimize", cls.update)
    found = [rule]
    for caller in found:  # which grows
        for name in caller.__code__.co_names:
            function = rule.__globals__.get(name)
            own = inspect.isfunction(function) and function.__module__ == rule.__module__
            if own and function not in found:
                found.append(function)
    return found


def rule_source(cls: type[ok.Optimizer]) -> list[str]:
    """The text of the rule, and of the functions of its own file that it calls."""
    return [textwrap.dedent(inspect.getsource(function)) for function in rule_functions(cls)]


def _source_lines(cls: type[ok.Optimizer]) -> list[str]:
    rule = rule_functions(cls)[0]
    place = rule.__module__.replace(".", "/") + f".py, line {rule.__code__.co_firstlineno}"
    owner = rule.__qualname__.partition(".")[0]
    return [place + (f" (the rule of {owner})" if owner != cls.__name__ else "")]


def parity_lines(name: str) -> list[str]:
    """What the table of cases asks of an optimizer."""
    from optimkit.validation.reference.cases import cases_of

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
    dtypes = (dtype,) * len(traced.program.columns)
    text: str = module.source(traced.program, dtypes)
    return text


def _show_kernel(
    page: Page,
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
    values, live = traced.program.values, traced.program.live()
    slots = [live[i] for i, value in enumerate(values) if value.operation == "slot"]
    page.text("Rows of the table: " + ", ".join(traced.program.columns))
    numbers = np.array(traced.slots, args.dtype)
    page.text(
        "Numbers of this step: "
        + ", ".join(f"s{k} = {numbers[k]}" for k, used in enumerate(slots) if used)
    )
    page.code(kernel_text(kernel, traced, args.dtype), "cpp" if kernel == "cuda" else "python")
