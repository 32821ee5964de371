"""The command ``optimkit``, also ``python -m optimkit``."""

from __future__ import annotations

import argparse
import contextlib
import errno
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import optimkit
from optimkit.validation.arguments import Refusal, suggestion
from optimkit.validation.interruption import STATUS, quiet_end
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
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
NEEDS = "pip install 'optimkit[validation]'"


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        said = " ".join(message.split())
        if not re.search("did you mean|there are|--help", said):
            said += f"; {self.prog} --help says what there is"
        self.exit(2, f"{self.prog}: {said}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; without it, those of the process.

    Returns
    -------
    int
        Exit status: 0 if everything held, 1 if not, 2 if the command could not run, 130 if it was
        interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal may lack characters of the formulas
            stream.reconfigure(errors=HANDLER)
    given = list(sys.argv[1:] if argv is None else argv)
    wanted = _wanted(given)
    try:
        parser, arguments = parsed(given)
        if arguments.command is None:
            parser.print_help()
            status = 0
        else:
            place, _ = COMMANDS[arguments.command]
            status = import_module(f"optimkit.validation.{place}").run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
    except ImportError as error:
        return _complain(wanted, f"{error}; try {NEEDS}")
    except Refusal as refusal:
        return _complain(wanted, str(refusal), refusal.status)
    except KeyboardInterrupt:
        return _complain(wanted, "interrupted before anything was found", STATUS)
    except BrokenPipeError:  # whoever reads has read enough
        quiet_end()
        return 128 + 13
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        status = _complain(wanted, f"the output could not be written: {error.strerror}")
        quiet_end()
    return status


def parsed(given: Sequence[str]) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """The parser, and what it makes of arguments; nothing is run.

    Raises
    ------
    SystemExit
        If they are refused, with why on stderr.
    """
    parser = _Parser(
        prog="optimkit", description="Every optimizer of torch.optim, for NumPy, CuPy and torch."
    )
    parser.add_argument("--version", action="version", version=f"optimkit {optimkit.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    wanted, subparsers = _wanted(given), {}
    for name, (place, text) in COMMANDS.items():
        subparsers[name] = sub = commands.add_parser(name, help=text, description=text)
        if name == wanted:
            import_module(f"optimkit.validation.{place}").add_arguments(sub)
    if wanted is not None and wanted not in COMMANDS:
        hint = suggestion(wanted, COMMANDS, f"there are {', '.join(COMMANDS)}")
        parser.error(f"no command is called {wanted!r}; {hint}")
    _check_options(subparsers.get(wanted or "", parser), given)
    return parser, parser.parse_args(given)


def _wanted(given: Sequence[str]) -> str | None:
    """The command that arguments ask for."""
    return next((word for word in given if not word.startswith("-")), None)


def _check_options(parser: argparse.ArgumentParser, given: Sequence[str]) -> None:
    """Refuse an option that does not exist before what follows it is taken for something else."""
    known = ["--version", *re.findall(r"--[a-z][a-z-]*", parser.format_help())]
    for word in given:
        name = word.partition("=")[0]
        if re.match("--[a-z]", name) and not any(option.startswith(name) for option in known):
            hint = suggestion(name, known, f"{parser.prog} --help says what there is")
            parser.error(f"there is no argument {name}; {hint}")


def _complain(command: str | None, text: str, status: int = 2) -> int:
    """Say in one line why a command could not run; return its exit status."""
    name = f"optimkit {command}" if command else "optimkit"
    with contextlib.suppress(OSError):
        print(f"{name}: {' '.join(text.split())}", file=sys.stderr, flush=True)
    return status
