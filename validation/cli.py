"""The command ``optimkit``, also ``python -m optimkit``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import optimkit
from optimkit.validation.report.characters import HANDLER

# Each command is in a module that is imported when the command is called: add_arguments(parser) and
# run(args) -> int.
COMMANDS = {
    "validate": ("parity.validate", "check every optimizer against PyTorch"),
    "compare": ("comparison.command", "hold an implementation of your own against a rule"),
    "bench": ("bench.bench", "time the engines beside torch's"),
    "list": ("explain.listing", "list the optimizers"),
    "explain": ("explain.explain", "show a rule, its options and the kernel made from it"),
}
NEEDS = "pip install 'optimkit[validation]'"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; without it, those of the process.

    Returns
    -------
    int
        Exit status: 0 if everything held, 1 if not, 2 if the command could not run.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal may lack characters of the formulas
            stream.reconfigure(errors=HANDLER)
    given = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="optimkit", description="Every optimizer of torch.optim, for NumPy, CuPy and torch."
    )
    parser.add_argument("--version", action="version", version=f"optimkit {optimkit.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    wanted = next((word for word in given if word in COMMANDS), None)
    for name, (place, text) in COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=text)
        if name == wanted:
            try:
                import_module(f"optimkit.validation.{place}").add_arguments(sub)
            except ImportError as error:
                return _missing(name, error)
    arguments = parser.parse_args(given)
    if arguments.command is None:
        parser.print_help()
        return 0
    place, _ = COMMANDS[arguments.command]
    try:
        status: int = import_module(f"optimkit.validation.{place}").run(arguments)
        sys.stdout.flush()
    except ImportError as error:
        return _missing(arguments.command, error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever reads has read enough; Python would complain at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    return status


def _missing(command: str, error: ImportError) -> int:
    print(f"optimkit {command}: {error}; try {NEEDS}", file=sys.stderr)
    return 2
