"""What came of holding an implementation against a rule."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import optimkit as ok
from optimkit.validation.comparison.branches import Branch
from optimkit.validation.comparison.candidates import Unusable
from optimkit.validation.comparison.causes import Cause
from optimkit.validation.comparison.circumstances import LOSSES, SIZES
from optimkit.validation.comparison.diagnosis import Diagnosis
from optimkit.validation.comparison.explanations import PART, Explanation
from optimkit.validation.comparison.judging import DIFFERENT, VERDICTS, FirstDifference


@dataclass
class Finding:
    """What came of one circumstance in one dtype.

    Attributes
    ----------
    circumstance, dtype : str
    verdict : str
        ``"equal in bits"``, ``"rounding"``, ``"float32 numbers"``, ``"different"``, or why it was
        not tried.
    tried : bool
    most_units, most_relative : float
        The largest distance from the rule, in units in the last place and relative to how far the
        parameter has gone.
    differences : list of FirstDifference
        The first of each quantity.
    explained : bool
        Whether the departure that was named accounts for all of it.
    cause : Cause, optional
        What goes on beside the step that accounts for all of it.
    wider : str
        The dtype that a parameter became, if that has room for more than its own.
    """

    circumstance: str
    dtype: str
    verdict: str
    tried: bool = True
    most_units: float = 0.0
    most_relative: float = 0.0
    differences: list[FirstDifference] = field(default_factory=list)
    explained: bool = False
    cause: Cause | None = None
    wider: str = ""


@dataclass
class Outcome:
    """What came of holding an implementation against a rule, as `compare` returns it.

    Parameters
    ----------
    optimizer : str
    kind : str
        What the candidate was taken for.
    options : dict
        Options of the rule that it was held against.
    adopted : dict
        Those of them that are the candidate's defaults and not the rule's.
    unheard : list of str
        Options that were asked for and that the candidate does not take.
    findings : list of Finding
    judge : Diagnosis
        Of the circumstance that a diagnosis goes by.
    explanations : list of Explanation
        What it computes instead, best first; or the way in which it rounds.
    branches : list of Branch
        What it does with each option that was off.
    remarks : list of str
        What was seen of it that no number shows.
    judged : list of (Finding, list of Diagnosis)
        What each finding that differs was found by.

    Examples
    --------
    >>> import optimkit as ok
    >>> from optimkit.validation import compare
    >>> found = compare(ok.AdamW, "AdamW", quick=True, lr=0.1)
    >>> found.same, found.verdict, found.departure
    (True, 'equal in bits', None)
    """

    optimizer: str
    kind: str
    options: dict[str, Any]
    adopted: dict[str, Any]
    unheard: list[str]
    findings: list[Finding] = field(default_factory=list)
    judge: Diagnosis | None = None
    explanations: list[Explanation] = field(default_factory=list)
    branches: list[Branch] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    judged: list[tuple[Finding, list[Diagnosis]]] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """The worst of all that was tried."""
        tried = [finding.verdict for finding in self.findings if finding.tried]
        return max(tried, key=VERDICTS.index, default=DIFFERENT)

    @property
    def same(self) -> bool:
        """Whether it is the rule, but for rounding, with the options that were compared."""
        return self.verdict != DIFFERENT and not self.widened

    @property
    def widened(self) -> dict[str, str]:
        """From dtypes that it does not keep to those that they become, with room for more."""
        return {finding.dtype: finding.wider for finding in self.findings if finding.wider}

    @property
    def untried(self) -> list[str]:
        """The dtypes in which nothing could be tried."""
        dtypes = dict.fromkeys(finding.dtype for finding in self.findings)
        return [d for d in dtypes if not any(f.tried for f in self.findings if f.dtype == d)]

    @property
    def unexplained(self) -> list[str]:
        """The circumstances in which it differs otherwise than was named."""
        rest = [f for f in self.findings if f.verdict == DIFFERENT and not f.explained]
        return [*dict.fromkeys(f.circumstance for f in rest if f.cause is None)]

    @property
    def cause(self) -> Cause | None:
        """What goes on beside the step, where that is why something differs."""
        return next((f.cause for f in self.findings if f.cause), None)

    @property
    def rule_holds(self) -> bool:
        """Whether its steps are the rule's, whatever else differs."""
        judging = [f for f in self.findings if f.circumstance in (SIZES, LOSSES)]
        return all(f.verdict != DIFFERENT for f in judging)

    @property
    def departure(self) -> str | None:
        """What it computes instead, if a change of the rule reproduces it."""
        if self.verdict != DIFFERENT:
            return next((f"{x} becomes {y}" for x, y in self.widened.items()), None)
        first = next(iter(self.explanations), None)
        if first is None or first.rounds or first.sure == PART:
            return None
        return first.name

    def finished(self) -> Outcome:
        """The same; `Unusable` if nothing could be tried."""
        if self.judge is None and not self.widened:
            raise Unusable(self.findings[0].verdict)
        return self

    def as_dict(self) -> dict[str, Any]:
        """The same for machines."""
        return {
            "optimkit": ok.__version__,
            "optimizer": self.optimizer,
            "candidate": self.kind,
            "options": self.options,
            "adopted": self.adopted,
            "unheard": self.unheard,
            "verdict": self.verdict,
            "same": self.same,
            "departure": self.departure,
            "cause": self.cause.name if self.cause else None,
            "branches": [asdict(branch) for branch in self.branches],
            "remarks": self.remarks,
            "explanations": [x.as_dict() for x in self.explanations],
            "findings": [asdict(finding) for finding in self.findings],
        }
