"""One implementation held against its rule, as a finding of words and numbers."""

from __future__ import annotations

import json
import sys
import time
import warnings
from functools import partial
from importlib import import_module
from importlib.metadata import version
from typing import Any

from optimkit.validation.comparison.candidates import Unusable
from optimkit.validation.comparison.compare import DTYPES, begun, stages
from optimkit.validation.comparison.judging import DIFFERENT
from optimkit.validation.comparison.observing import observed
from optimkit.validation.comparison.outcome import Outcome
from optimkit.validation.comparison.reading import read_candidate, rule_named
from optimkit.validation.survey.measuring import distances
from optimkit.validation.survey.subject import LIBRARIES, Subject
from optimkit.validation.survey.subjects import SUBJECTS


def called(subject: Subject) -> Any:
    """What a subject calls, with its own options.

    Raises
    ------
    ImportError
        If its library is not installed.
    """
    module, _, name = subject.place.partition(":")
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return partial(found, **subject.own) if subject.own else found


def held(subject: Subject) -> dict[str, Any]:
    """Hold a subject against its rule now."""
    rule = rule_named(subject.rule)
    reading = read_candidate(called(subject), rule, dict(subject.options))
    outcome = begun(reading, rule)
    for _, stage in stages(reading, rule, subject.quick, DTYPES[-1:] if subject.single else DTYPES):
        stage(outcome)
    outcome.finished()
    dtype = next(f.dtype for f in outcome.findings if f.tried)
    off = distances(
        rule,
        reading.options,
        dtype,
        lambda given: observed(reading.candidate, given)[0]["param"],
    )
    return {
        "key": subject.key,
        "library": subject.library,
        "name": subject.name,
        "rule": subject.rule,
        "source": subject.source,
        "note": subject.note,
        "steps": 100 if subject.quick else 1000,
        "version": version(LIBRARIES[subject.library].distribution),
        "date": time.strftime("%Y-%m-%d"),
        "options": reading.options,
        "adopted": reading.adopted,
        "unheard": reading.unheard,
        "verdict": outcome.verdict,
        "by_dtype": by_dtype(outcome),
        "explanation": explained(outcome),
        "apart": sorted({f.circumstance for f in outcome.findings if f.verdict == DIFFERENT}),
        "unexplained": sorted(
            {f.circumstance for f in outcome.findings if f.verdict == DIFFERENT and not f.explained}
        ),
        "off": off,
        "off_dtype": dtype,
    }


def by_dtype(outcome: Outcome) -> dict[str, str]:
    """The worst verdict in each dtype, or why it was not tried."""
    result: dict[str, str] = {}
    for dtype in dict.fromkeys(f.dtype for f in outcome.findings):
        own = [f for f in outcome.findings if f.dtype == dtype]
        tried = [f for f in own if f.tried]
        one = Outcome("", "", {}, {}, [], tried)
        result[dtype] = one.verdict if tried else own[0].verdict
    return result


def explained(outcome: Outcome) -> dict[str, Any] | None:
    """The first explanation, in short."""
    first = next(iter(outcome.explanations), None)
    if first is None:
        return None
    known = first.as_dict()
    return {k: known[k] for k in ("name", "departures", "options", "equals", "sure", "share")}


def main(library: str) -> None:
    """Hold all subjects of a library, and print a line of JSON for each."""
    warnings.simplefilter("ignore")
    out, sys.stdout = sys.stdout, sys.stderr  # libraries print
    for subject in SUBJECTS:
        if subject.library != library:
            continue
        begun_at = time.perf_counter()
        try:
            finding = held(subject)
        except (ImportError, Unusable) as error:
            why = "not installed: " if isinstance(error, ImportError) else ""
            finding = {"key": subject.key, "failed": f"{why}{' '.join(str(error).split())}"}
        finding["seconds"] = round(time.perf_counter() - begun_at, 1)
        out.write(json.dumps(finding, ensure_ascii=False) + "\n")
        out.flush()


if __name__ == "__main__":
    main(sys.argv[1])
