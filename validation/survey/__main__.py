"""Hold every implementation that is installed against its rule, and write what was found.

``python -m optimkit.validation.survey [LIBRARY ...]`` runs each library in a process of its own,
since some are told by the environment how to run. What is not installed keeps its last finding.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from optimkit.validation.comparison.reading import rule_named
from optimkit.validation.report import conditions
from optimkit.validation.survey.findings import FILE, load, merged, save
from optimkit.validation.survey.measuring import EXPLAINED, departure
from optimkit.validation.survey.page import write
from optimkit.validation.survey.subject import LIBRARIES

LIMIT = 1800  # seconds for a library


def main(argv: list[str] | None = None) -> int:
    """Run the survey: 0 if nothing failed that is installed, else 1."""
    parser = argparse.ArgumentParser(prog="optimkit.validation.survey", description=__doc__)
    parser.add_argument("library", nargs="*", metavar="LIBRARY", help=", ".join(LIBRARIES))
    parser.add_argument("--page", type=Path, metavar="FILE", help="the page whose tables are new")
    parser.add_argument("--findings", type=Path, default=FILE, help="the file of findings")
    args = parser.parse_args(argv)
    unknown = [name for name in args.library if name not in LIBRARIES]
    if unknown:
        parser.error(f"there is no library {unknown[0]!r}; there are {', '.join(LIBRARIES)}")
    known, failed = load(args.findings), 0
    for name in args.library or LIBRARIES:
        found = held(name)
        for finding in found:
            if "failed" in finding:
                print(f"{finding['key']}: {finding['failed']}", flush=True)
                failed += not finding["failed"].startswith("not installed")
        good = [finding for finding in found if "failed" not in finding]
        print(f"{name}: {len(good)} held", flush=True)
        known["findings"] = merged(known["findings"], good)
        save(args.findings, known)
    known["departures"] = [
        departure(rule_named(rule), entry, options) for rule, entry, options in EXPLAINED
    ]
    here = conditions.here()
    known["conditions"] = {k: here[k] for k in ("optimkit", "Python", "NumPy", "processor")}
    save(args.findings, known)
    if args.page:
        write(args.page, known)
    return 1 if failed else 0


def held(library: str) -> list[dict[str, Any]]:
    """What a process finds that holds one library's optimizers."""
    command = [sys.executable, "-m", "optimkit.validation.survey.holding", library]
    environment = {**os.environ, **LIBRARIES[library].setting}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        timeout=LIMIT, check=False, text=True,
    )  # fmt: skip
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode:
        found.append({"key": library, "failed": f"its process ended with {done.returncode}"})
    return found


if __name__ == "__main__":
    sys.exit(main())
