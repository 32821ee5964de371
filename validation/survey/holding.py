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

import numpy as np

import optimkit as ok
from optimkit.validation.comparison.candidates import Candidate, Unusable
from optimkit.validation.comparison.circumstances import of_probe, observed
from optimkit.validation.comparison.compare import Outcome, begun, stages
from optimkit.validation.comparison.diagnosis import Diagnosis
from optimkit.validation.comparison.judging import DIFFERENT
from optimkit.validation.comparison.probes import Probe
from optimkit.validation.comparison.reading import Options, read_candidate, rule_named
from optimkit.validation.survey.subjects import LIBRARIES, SUBJECTS, Subject

SCALES = (1.0, 1e-3, 1e-5)
STEPS, ELEMENTS = 100, 30


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
    for name, stage in stages(reading, rule, subject.quick):
        if not (subject.single and name.endswith("float64")):
            stage(outcome)
    outcome.finished()
    off, dtype = distances(reading.candidate, rule, reading.options, outcome)
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


def distances(
    candidate: Candidate, rule: type[ok.Optimizer], options: Options, outcome: Outcome
) -> tuple[dict[str, float], str]:
    """How far a candidate is from the rule after some steps, by the size of the gradients.

    The norm of the difference, relative to that of the way that the rule has gone.
    """
    dtype = next(f.dtype for f in outcome.findings if f.tried)
    random = np.random.default_rng(3)
    start = random.normal(0, 1, ELEMENTS).astype(dtype)
    normal = random.normal(0, 1, (STEPS, ELEMENTS))
    off = {}
    for scale in SCALES:
        probe = Probe(start, (scale * normal).astype(dtype), (1.0,) * STEPS)
        values = observed(candidate, of_probe("", probe))[0]["param"]
        made = Diagnosis(rule, options, probe, values).reference.param
        way = np.linalg.norm((made[-1] - start).astype(np.float64))
        off[f"{scale:g}"] = float(f"{np.linalg.norm((values[-1] - made[-1]).astype(float)) / way:.3g}")
    return off, dtype


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
            finding = {"key": subject.key, "failed": " ".join(str(error).split())[:300]}
        finding["seconds"] = round(time.perf_counter() - begun_at, 1)
        out.write(json.dumps(finding, ensure_ascii=False) + "\n")
        out.flush()


if __name__ == "__main__":
    main(sys.argv[1])
