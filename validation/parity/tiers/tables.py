"""The tiers beyond equal bits as tables and charts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from optimkit.validation.parity.tiers.drift import OWN, Drift
from optimkit.validation.parity.tiers.exactness import verdicts
from optimkit.validation.parity.tiers.found import TierFindings
from optimkit.validation.parity.tiers.stock import KINDS, PerStep
from optimkit.validation.report.document import Cell, Curves, Histogram, Part, Section, Tabular

RECORDED = "rec."  # in a cell; a note says what it means


def mark(held: bool) -> Cell:
    """Whether something held, as tables say it."""
    return Cell("✓", "good") if held else Cell("✗", "bad")


def percent(part: int, whole: int) -> str:
    """A share in percent; 100 only if it is all."""
    said = f"{100 * part / whole:.4g} %" if whole else "-"
    return said if part == whole or said != "100 %" else "< 100 %"


def sections(found: TierFindings) -> Iterator[Section]:
    """Yield a section for each tier that there is something of."""
    if found.stock:
        yield Section("Beside ordinary torch, step by step", [*_stock(found)])
    if found.drift:
        yield Section("Beside ordinary torch, running free", [*_drift(found)])
    if found.oracle:
        yield Section("Distance from exact arithmetic", [_oracle(found)])
    if found.halves:
        yield Section("Half precision on every engine", [_halves(found)])


def source(found: TierFindings, tier: str) -> str:
    """Say whether the numbers of a tier were computed now."""
    origin = found.recorded.get(tier)
    if origin is None:
        return "Computed now, with the installed torch."
    said = ", ".join(f"{name} {value}" for name, value in origin.items())
    return f"Recorded, not computed now: {said}."


def _stock(found: TierFindings) -> Iterator[Part]:
    rows: list[Sequence[str | Cell]] = []
    for one in found.stock:
        if one.dtype.startswith("complex"):
            continue
        judged = one.path == "for-loop" and bool(one.share or one.allowed or one.roundings)
        bound = one.allowed or f"{one.share:.2f}"
        rows.append(
            [
                one.optimizer,
                one.dtype,
                one.path,
                f"{one.values:,}",
                percent(one.equal, one.values),
                f"{one.worst:.3g}",
                f"{one.relative:.1e}",
                str(one.roundings) if judged else "",
                bound if judged else "",
                mark(not one.problem) if judged else "",
            ]
        )
    columns = ["Optimizer", "Dtype", "torch", "Values", "Equal", "ULP", "Worst |Δ|", "Roundings"]
    notes = [
        source(found, "stock"),
        "Each step begins where torch is. Bound: the largest part that a difference takes of what "
        "the rounding errors of the two can come to (running error analysis of the traced rule; "
        "torch's root may be the neighbour of the rounded one). Its other paths, and half "
        "precision, are for comparison.",
    ]
    free = sum(one.unbounded for one in found.stock)
    if free:
        notes.append(f"{free:,} values have no bound: a root or divisor may be zero within it.")
    yield Tabular(
        "Each step beside ordinary torch", [*columns, "Bound", ""], rows, notes, range(3, 9)
    )
    for dtype in ("float32", "float64"):
        loop = [one for one in found.stock if one.path == "for-loop" and one.dtype == dtype]
        counts = {one.optimizer: _share_of_kinds(one) for one in loop}
        if counts:
            yield Histogram(f"Distance after one step, {dtype}, for-loop", "ULP", counts)


def _share_of_kinds(one: PerStep) -> dict[str, int]:
    totals = [sum(column) for column in zip(*one.counts.values(), strict=True)]
    return dict(zip(KINDS, totals, strict=True))


def _drift(found: TierFindings) -> Iterator[Part]:
    by_name: dict[tuple[str, str], dict[str, Drift]] = {}
    for one in found.drift:
        by_name.setdefault((one.optimizer, one.dtype), {})[one.rival] = one
    rows: list[Sequence[str | Cell]] = []
    for (optimizer, dtype), rivals in by_name.items():
        own = rivals[OWN]
        others = [_last(rivals.get(rival)) for rival in ("foreach", "fused")]
        at = {step: f"{largest:.1e}" for step, largest, _ in own.points}
        steps = [at.get(step, "") for step in (1, 100, 1000, 10_000)]
        rows.append([optimizer, own.case, dtype, *steps, *others, mark(not own.problem)])
    columns = ["Optimizer", "Case", "Dtype", "1", "100", "1,000", "10,000"]
    notes = [
        source(found, "drift"),
        "The largest |Δ| / max(|p|, lr) of optimkit against torch's for-loop after so many steps, "
        "and of torch's own foreach and fused paths after the last.",
    ]
    title = "Free runs beside ordinary torch"
    yield Tabular(title, [*columns, "foreach", "fused", ""], rows, notes, range(3, 9))
    for optimizer in dict.fromkeys(one.optimizer for one in found.drift):
        lines = {
            f"{one.rival}, {one.dtype}": [(step, largest) for step, largest, _ in one.points]
            for one in found.drift
            if one.optimizer == optimizer
        }
        yield Curves(
            f"{optimizer}: away from torch's for-loop",
            "step",
            "largest |Δ| / max(|p|, lr)",
            lines,
            log_x=True,
            log_y=True,
        )


def _last(one: Drift | None) -> str:
    return f"{one.points[-1][1]:.1e}" if one and one.points else "-"


def _oracle(found: TierFindings) -> Tabular:
    rows: list[Sequence[str | Cell]] = [
        [
            one.optimizer,
            one.dtype,
            str(one.cases),
            f"{one.mean:.4g}",
            f"{one.torch_mean:.4g}",
            f"{one.worst:.3g}",
            f"{one.torch_worst:.3g}",
            f"{one.ratio:.3f}",
            f"{one.allowed:.2f}",
            mark(one.held),
        ]
        for one in verdicts(found.oracle)
    ]
    columns = ["Optimizer", "Dtype", "Cases", "Mean", "torch's", "Worst", "torch's worst"]
    notes = [
        source(found, "oracle"),
        "Errors of parameters after 1, 10 and 100 steps, in machine epsilons of max(|p|, lr), "
        "against the same rule in 60 digits. torch: its ordinary for-loop; in the IEEE setting it "
        "has our bits, so our error. Allowed: a fused multiply-add rounds once where a product and "
        "a sum round twice; of n rounding errors it leaves n - m, and ours may be n / (n - m) "
        "times as large.",
    ]
    title = "Distance from exact arithmetic"
    return Tabular(title, [*columns, "Ratio", "Allowed", ""], rows, notes, range(2, 9))


def _halves(found: TierFindings) -> Tabular:
    rows: list[Sequence[str | Cell]] = [
        [
            one.optimizer,
            one.dtype,
            one.way,
            str(one.cases),
            f"{one.values:,}",
            percent(one.values - one.unequal, one.values),
            mark(not one.problem),
        ]
        for one in found.halves
    ]
    columns = ["Optimizer", "Dtype", "Against eager on NumPy", "Cases", "Values", "Bits equal", ""]
    notes = ["A step is computed in float32 and rounded once, on every engine."]
    return Tabular("Half precision on every engine", columns, rows, notes, (3, 4, 5))


def cells(found: TierFindings, optimizer: str) -> dict[str, Cell | str]:
    """Return what the table of optimizers and tiers says of one."""

    def said(tier: str, text: str, problems: Iterable[str]) -> Cell:
        if any(problems):
            return Cell(f"{text} ✗", "bad")
        kept = tier in found.recorded
        return Cell(f"{text} {RECORDED}" if kept else f"{text} ✓", "aside" if kept else "good")

    result: dict[str, Cell | str] = {}
    steps = [one for one in found.stock if one.optimizer == optimizer and one.path == "for-loop"]
    floats = [one for one in steps if one.dtype in ("float32", "float64")]
    if floats:
        equal, values = sum(one.equal for one in floats), sum(one.values for one in floats)
        text = percent(equal, values)
        result["stock"] = said("stock", text, (one.problem for one in floats))
    free = [one for one in found.drift if one.optimizer == optimizer and one.rival == OWN]
    if free:
        result["drift"] = said("drift", _last(free[0]), (one.problem for one in free))
    exact = [one for one in verdicts(found.oracle) if one.optimizer == optimizer]
    if exact:
        ratio = max(one.ratio for one in exact)
        problems = ["" if one.held else "larger" for one in exact]
        result["oracle"] = said("oracle", f"{ratio:.2f}", problems)
    return result
