"""The right departure is named, and none where there is none.

The whole figures: ``python -m optimkit.validation.comparison.mutants``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import optimkit as ok
from optimkit.validation.comparison.departures import DEPARTURES
from optimkit.validation.comparison.diagnosis import Diagnosis
from optimkit.validation.comparison.explanations import BITS, NUMBERS, OPERATIONS, PART
from optimkit.validation.comparison.mutants import Figures, Mutant, _is_one, figures
from optimkit.validation.comparison.probes import scales
from optimkit.validation.comparison.runs import Run
from optimkit.validation.comparison.texts import Text

SEED = 20260117


def sample(departures: int, count: int) -> Figures:
    *_, found = figures(SEED, departures, count)
    return found


def test_one_departure_is_named() -> None:
    found = sample(1, 8)
    assert found.right >= 7, found.wrong


def test_two_departures_are_named() -> None:
    found = sample(2, 3)
    assert found.right >= 2, found.wrong


def test_no_departure_is_named_of_another_order_of_operations() -> None:
    found = sample(0, 16)
    assert found.right == 16, found.wrong


def values_of(text: Text, dtype: str, **options: Any) -> tuple[Diagnosis, Any]:
    probe = scales(dtype)
    rule = Diagnosis(text.optimizer, options, probe, probe.gradients)
    return rule, rule.run(text, {}).param


def diagnosed(text: Text, dtype: str = "float64", **options: Any) -> Any:
    rule, values = values_of(text, dtype, **options)
    return Diagnosis(text.optimizer, options, rule.probe, values).explain()


def entry(name: str) -> Any:
    return next(x for x in DEPARTURES if x.name == name)


def changed(optimizer: type[ok.Optimizer], name: str) -> Text:
    entries = (x for x in DEPARTURES if x.name == name)
    return next(text for x in entries for text in x.applied(Text.of(optimizer)))


def test_the_rule_itself_needs_no_explanation() -> None:
    assert diagnosed(Text.of(ok.Adam)) == []


def test_what_changes_nothing_is_no_mutant() -> None:
    text = changed(ok.Adam, "decay missing")
    departures = (entry("decay missing"),)
    idle = Mutant(ok.Adam, {}, "float64", departures, text, text)
    assert not _is_one(idle, [Text.of(ok.Adam), text])
    text = changed(ok.SGD, "decay missing")
    real = Mutant(ok.SGD, {"weight_decay": 0.1}, "float64", departures, text, text)
    assert _is_one(real, [Text.of(ok.SGD), text])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_option_is_found(dtype: str) -> None:
    probe = scales(dtype)
    rule = Diagnosis(ok.Adam, {"eps": 1e-6}, probe, probe.gradients)
    found = Diagnosis(ok.Adam, {}, probe, rule.reference.param).explain()
    assert found[0].options == {"eps": 1e-6}
    assert found[0].equals == {"eps": 1e-6}
    assert found[0].sure in (BITS, OPERATIONS)


def test_a_departure_that_an_option_makes_too_says_so() -> None:
    found = diagnosed(changed(ok.SGD, "no look-ahead"), momentum=0.9, nesterov=True)
    assert found[0].name == "no look-ahead"
    assert found[0].equals == {"nesterov": False}


def test_a_departure_with_an_option() -> None:
    text = changed(ok.Adam, "eps-hat")
    rule, _ = values_of(text, "float64")
    values = rule.run(text, {"eps": 1e-7}).param
    found = Diagnosis(ok.Adam, {}, rule.probe, values).explain()
    assert found[0].name == "eps-hat and eps=1e-07"


def test_numbers_of_float32_are_no_departure() -> None:
    from optimkit.validation.comparison.roundings import SCALARS

    found = diagnosed(next(iter(SCALARS.applied(Text.of(ok.AdamW)))))
    assert [x.name for x in found[0].departures] == ["scalars of float32"]
    assert found[0].sure == BITS


def test_a_departure_with_numbers_of_float32() -> None:
    from optimkit.validation.comparison.roundings import SCALARS

    found = diagnosed(next(iter(SCALARS.applied(changed(ok.Adam, "eps inside the root")))))
    assert found[0].name == "eps inside the root"
    assert found[0].sure == NUMBERS


def test_what_no_change_explains_is_said_to_be_that() -> None:
    probe = scales("float64")
    values = probe.start + np.cumsum(np.tanh(probe.gradients), 0) ** 3
    found = Diagnosis(ok.Adam, {}, probe, values).explain()
    assert found[0].sure == PART
    assert found[0].share < 0.5


def test_fused_multiply_adds_are_known_by_their_bits() -> None:
    from optimkit.validation.comparison.roundings import ROUNDINGS

    fused = next(x for x in ROUNDINGS if x.name == "fused multiply-add")
    found = diagnosed(next(iter(fused.applied(Text.of(ok.Adam)))), "float32")
    assert found[0].name == "fused multiply-add"
    assert found[0].sure == BITS


def test_a_rule_whose_parameter_changes_its_shape_is_senseless() -> None:
    steps = [{"param": np.ones(3), "sum": np.ones(3)}, {"param": np.ones(()), "sum": np.ones(3)}]
    with pytest.raises(ArithmeticError, match="changes the shape of the parameter"):
        Run.of(steps)
    assert Run.of([{"param": np.ones(3), "sum": np.ones(2)}, steps[0]]).values.keys() == {"param"}
