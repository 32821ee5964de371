"""What times say in words, and when they say nothing: on times that are made up."""

from __future__ import annotations

import math

import pytest

from optimkit.validation.bench import document, roofline
from optimkit.validation.bench.measure import Bound, Quartiles, Timings
from optimkit.validation.bench.results import Results, facts
from optimkit.validation.bench.verdicts import judged, noise, sentences, summary, verdicts
from optimkit.validation.report.delivery import as_json

STILL = Quartiles(0.99, 1.0, 1.01)


@pytest.mark.parametrize(
    ("ratio", "itself", "turns", "outcome"),
    [
        ((0.4, 0.5, 0.6), STILL, 9, "faster"),
        ((0.4, 0.5, 0.6), None, 9, "faster"),
        ((1.5, 2.0, 2.5), STILL, 9, "slower"),
        ((0.97, 1.0, 1.04), STILL, 9, "as fast"),
        ((0.96, 0.97, 0.98), STILL, 9, "as fast"),  # nobody's program would notice 3 %
        ((0.9, 1.0, 1.1), STILL, 9, "unclear"),  # the quartiles straddle 1
        ((0.8, 0.85, 0.9), (0.9, 1.0, 1.1), 9, "unclear"),  # less than a reference from itself
        ((0.4, 0.5, 0.6), (0.9, 1.0, 1.1), 9, "faster"),
        ((1.2, 1.3, 1.4), (1.0, 1.2, 1.4), 9, "unclear"),  # the reference beside itself is askew
        ((0.32, 0.33, 0.95), (0.34, 0.52, 0.99), 9, "unclear"),  # each is now fast, now slow
        ((0.4, 0.5, 0.6), STILL, 4, "too few"),
    ],
)
def test_what_a_ratio_says(
    ratio: tuple[float, float, float],
    itself: tuple[float, float, float] | None,
    turns: int,
    outcome: str,
) -> None:
    assert judged(Quartiles(*ratio), Quartiles(*itself) if itself else None, turns) == outcome


def test_noise_is_how_far_the_reference_is_from_itself() -> None:
    assert noise(Quartiles(0.5, 1.0, 1.0)) == pytest.approx(math.log(2))
    assert noise(Quartiles(1.5, 1.7, 2.0)) == pytest.approx(math.log(2))  # 1 is where it should be
    assert noise(Quartiles(1.0, 1.0, 1.0)) == 0


def turn(own: float, peer: float, again: float = 1.0) -> dict[str, float]:
    return {
        "torch-fused": 1.0,
        "engine": own,
        "optax": peer,
        "torch-fused again": again,
        roofline.NAME: 0.05,
    }


def table(turns: list[dict[str, float]], workload: str = "300x64") -> Timings:
    return Timings("AdamW", "torch-fused", turns={workload: turns})


def test_the_fastest_engine_is_held_against_the_fastest_peer() -> None:
    (verdict,) = verdicts(table([turn(0.25, 0.5)] * 9), {"engine"})
    assert (verdict.own, verdict.peer, verdict.outcome) == ("engine", "optax", "faster")
    assert verdict.ratio.middle == 0.5
    (said,) = sentences("AdamW", [verdict])
    assert said == (
        "AdamW, many small tensors: on 300x64 engine is 2.00 times as fast as optax (2.00 to 2.00)."
    )


def test_a_slower_engine_is_called_slower() -> None:
    (verdict,) = verdicts(table([turn(1.5, 0.5)] * 9), {"engine"})
    assert str(verdict) == "on 300x64 engine is 3.00 times as slow as optax (3.00 to 3.00)"


def test_a_noisy_machine_is_called_noisy() -> None:
    noisy = [turn(0.4, 0.5, again) for again in (0.5, 1.0, 2.0) * 3]
    (verdict,) = verdicts(table(noisy), {"engine"})
    assert verdict.outcome == "unclear"
    assert "too noisy to tell engine from optax" in str(verdict)
    assert "the reference beside itself 0.50 to 2.00" in str(verdict)
    found = Results({"engine"}, steps=[table(noisy)])
    assert document.document(found).mood == "doubt"


def test_neither_the_traffic_nor_the_reference_again_is_a_peer() -> None:
    (verdict,) = verdicts(table([turn(0.5, 2.0, 0.1)] * 9), {"engine"})
    assert verdict.peer == "torch-fused"


def test_engines_alone_are_held_against_the_reference() -> None:
    alone = Timings("Adam", "eager", turns={"1M": [{"eager": 2.0, "blocked": 1.0}] * 9})
    (verdict,) = verdicts(alone, {"eager", "blocked"})
    assert (verdict.own, verdict.peer) == ("blocked", "eager")


def test_without_turns_there_is_no_verdict() -> None:
    assert verdicts(table([]), {"engine"}) == []
    assert summary([]) == "Nothing was timed beside anything else."


def test_ratios_are_of_turns_that_two_had_together() -> None:
    turns = [{"a": 1.0, "b": 2.0}, {"a": 5.0, "c": 5.0}, {"a": 1.0, "b": 4.0}]
    found = Timings("Adam", "a", turns={"1M": turns})
    assert found.spread("1M", "b") == Quartiles(2.5, 3.0, 3.5)
    assert found.spread("1M", "b", "c") is None
    assert found.candidates("1M") == ["a", "b", "c"]


def test_those_never_held_at_once_are_held_against_each_other_by_the_reference() -> None:
    turns = [{"torch-fused": 1.0, "engine": 0.5}, {"torch-fused": 2.0, "optax": 2.0}] * 9
    (verdict,) = verdicts(table(turns), {"engine"})
    assert (verdict.peer, verdict.ratio.middle) == ("optax", 0.5) or verdict.peer == "torch-fused"


def test_a_missed_bound_is_no_failure() -> None:
    missed = Bound("a figure", 2.0, 1.0, spread=Quartiles(1.5, 2.0, 2.5))
    shown = document.document(Results(set(), figures=[missed], bounds=True))
    assert shown.mood == "doubt"
    assert "1 of our 1 bounds missed" in shown.verdict
    (section,) = shown.sections
    assert section.title == "What it must reach"
    plain = document.document(Results(set(), figures=[missed]))
    assert (plain.mood, plain.sections[0].title) == ("good", "Figures")


def test_a_busy_machine_is_named_in_the_verdict() -> None:
    found = Results({"engine"}, steps=[table([turn(0.25, 0.5)] * 9)], busy="Others are running.")
    shown = document.document(found)
    assert shown.mood == "doubt"
    assert "Others are running." in shown.verdict


def test_the_document_has_ratios_shares_and_bars() -> None:
    shown = document.document(Results({"engine"}, steps=[table([turn(0.25, 0.5)] * 9)]))
    (section,) = shown.sections
    sentence, ratios, shares, chart = section.parts
    assert isinstance(sentence, str)
    rows = {row[0]: row[1] for row in ratios.rows}  # type: ignore[union-attr]
    assert rows["engine"] == "0.25 (0.25-0.25)"
    assert rows["torch-fused"] == "1"
    rows = {row[0]: row[1] for row in shares.rows}  # type: ignore[union-attr]
    assert rows == {"torch-fused": "5.0%", "engine": "20%", "optax": "10%"}
    assert chart.bars["engine"] == (0.25, 0.25, 0.25)  # type: ignore[union-attr]


def test_what_is_not_a_number_can_be_written_for_machines() -> None:
    odd = Timings("Adam", "a", turns={"1M": [{"a": 1.0, "b": math.nan}]})
    assert "nan" in as_json(facts(Results(set(), others=[odd])))
