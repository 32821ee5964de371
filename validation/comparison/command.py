"""An implementation held against a rule: ``optimkit compare FILE.py:NAME OPTIMIZER``."""

from __future__ import annotations

import argparse
import inspect
from typing import Any

from optimkit.validation.arguments import Refusal, add_files
from optimkit.validation.comparison.compare import DTYPES, Stage, begun, stages
from optimkit.validation.comparison.document import document
from optimkit.validation.comparison.outcome import Outcome
from optimkit.validation.comparison.reading import (
    ALIASES,
    PAIRS,
    read_candidate,
    rule_named,
)
from optimkit.validation.comparison.showing import show
from optimkit.validation.explain.subjects import add_option, read_options
from optimkit.validation.interruption import Interruptible, unfinished
from optimkit.validation.loading import load
from optimkit.validation.progress import progress, watching
from optimkit.validation.report.delivery import deliver
from optimkit.validation.report.terminal import console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``optimkit compare``."""
    parser.add_argument(
        "candidate",
        metavar="FILE.py:NAME",
        help="an optimizer's class, a function that makes one, or a function (param, grad, state, "
        "step) -> (param, state); also package.module:NAME",
    )
    parser.add_argument(
        "optimizer",
        metavar="OPTIMIZER",
        help="the rule it should be; also FILE.py:NAME, a rule of your own",
    )
    add_option(parser, "options of both, such as lr=0.1; else the candidate's own defaults")
    parser.add_argument(
        "--dtype",
        nargs="+",
        default=DTYPES,
        metavar="DTYPE",
        help="what to try it in, float64 and float32 unless given; also float16, complex128 and "
        "complex64",
    )
    add_files(parser)
    parser.add_argument("--quick", action="store_true", help="a long run of 100 steps, not 1,000")


def run(args: argparse.Namespace) -> int:
    """Compare: 0 if it is the same rule, 1 if it is another, 2 if that could not be found out."""
    shown = console()
    try:
        rule = rule_named(load(args.optimizer) if ":" in args.optimizer else args.optimizer)
        options = read_options(rule, own_names(args.option, rule))
        rule.bind(**options)
        with watching("reading the candidate", 2.0):
            candidate = load(args.candidate)
            reading = read_candidate(candidate, rule, options)
        result = begun(reading, rule)
        left = tried(result, stages(reading, rule, args.quick, args.dtype, True))
        result.finished()
    except (ArithmeticError, RuntimeError, TypeError, ValueError) as error:
        raise Refusal(str(error)) from error
    except SystemExit as error:  # which would be taken for a success
        raise Refusal(f"the candidate raised SystemExit: {error}") from error
    said = unfinished(left) if left else ""
    return deliver(
        args,
        document(result, args.candidate, said),
        result.as_dict() | {"name": args.candidate},
        shown,
        lambda _, console: show(console, result, args.candidate, said),
    )


def own_names(pairs: list[str], rule: type[Any]) -> list[str]:
    """The same ``NAME=VALUE``; a name that another library has for an option is refused.

    Raises
    ------
    Refusal
        With the rule's own name.
    """
    known = inspect.signature(rule.__init__).parameters
    for pair in pairs:
        name, _, value = pair.partition("=")
        ours = [own for own, others in ALIASES.items() if name in others and own in known]
        several = [own for own, all_ in PAIRS.items() if name in sum(all_, ()) and own in known]
        if name not in known and (ours or several):
            give = f"--option {ours[0]}={value}" if ours else f"--option {several[0]}=A,B"
            raise Refusal(
                f"--option {pair}: {rule.__name__} calls it {(ours or several)[0]}; give {give}"
            )
    return pairs


def tried(result: Outcome, work: list[tuple[str, Stage]]) -> list[str]:
    """Try everything, or until someone interrupts it; return what is left then."""
    left = [name for name, _ in work]
    with Interruptible():
        for _, stage in progress(work):
            stage(result)
            left.pop(0)
    result.findings = [finding for finding in result.findings if finding.verdict]
    if left and result.judge is None:
        raise KeyboardInterrupt
    return left
