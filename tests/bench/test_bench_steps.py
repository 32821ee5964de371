"""The implementations take the same step, and whoever does not is left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

import optimkit as ok
from optimkit.validation.bench import implementations, measurement, roofline
from optimkit.validation.bench.alone import alone, peak
from optimkit.validation.bench.implementations import Implementation, Stepping, every, reference_of
from optimkit.validation.bench.measure import Timings
from optimkit.validation.bench.measurement import (
    CHECKED,
    Effort,
    Measurement,
    Troubles,
    disagreement,
)
from optimkit.validation.bench.workloads import CLASSES, ON_DEVICE, OPTIMIZERS, WORKLOADS, Given
from optimkit.validation.interruption import Interruptible

SIZES = [7, 1, 64]
PLENTY = 1 << 40
HERE = [one for one in every() if not one.lack() and not one.asked]


def expected(optimizer: str, given: Given) -> list[Any]:
    eager = next(one for one in every() if one.name == "eager")
    return stepped(eager.make(optimizer, given))


def stepped(made: Stepping) -> list[Any]:
    for _ in range(CHECKED):
        made.step()
    return made.params()


@pytest.mark.parametrize("one", HERE, ids=lambda one: one.name)
def test_everyone_takes_the_same_step(one: Implementation) -> None:
    for optimizer in OPTIMIZERS:
        if one.lack(optimizer):
            continue
        given = Given(SIZES)
        before = [grad.copy() for grad in given.grads]
        found = stepped(one.make(optimizer, given))
        wrong = disagreement(found, expected(optimizer, given), given.starts)
        assert wrong == "", optimizer
        for grad, same in zip(given.grads, before, strict=True):
            np.testing.assert_array_equal(grad, same)  # all are given these


@pytest.mark.parametrize(
    "options", [{"lr": 2e-3}, {"weight_decay": 0.0}, {"betas": (0.8, 0.999)}, {"maximize": True}]
)
def test_another_step_is_noticed(options: dict[str, Any]) -> None:
    given = Given([64])
    params = [x.copy() for x in given.starts]
    optimizer = ok.AdamW(params, **options)
    for grad in ([1.0] * 64, [-0.5] * 64):
        optimizer.step(grads=[np.array(grad, np.float32)])
    right = [x.copy() for x in given.starts]
    other = ok.AdamW(right)
    for grad in ([1.0] * 64, [-0.5] * 64):
        other.step(grads=[np.array(grad, np.float32)])
    assert "off, of a change of" in disagreement(params, right, given.starts)


def test_other_shapes_and_no_numbers_are_noticed() -> None:
    start, right = [np.zeros(3, np.float32)], [np.ones(3, np.float32)]
    assert "shape (2,), not (3,)" in disagreement([np.ones(2, np.float32)], right, start)
    assert disagreement([np.array([1, np.nan, 1], np.float32)], right, start)
    assert disagreement([np.zeros(0, np.float32)], [np.zeros(0, np.float32)], start) == ""


def test_the_models_have_their_sizes() -> None:
    assert (len(WORKLOADS["resnet50"]), sum(WORKLOADS["resnet50"])) == (161, 25_557_032)
    assert (len(WORKLOADS["gpt2"]), sum(WORKLOADS["gpt2"])) == (148, 124_439_808)
    assert len(WORKLOADS["physics"]) == 300
    classed = [name for names in CLASSES.values() for name in names]
    assert sorted(classed) == sorted({*WORKLOADS, *ON_DEVICE})
    assert all(name.isalnum() for name in classed)  # words of a shell


def test_names_of_implementations_are_words_and_say_why_they_are_not_here() -> None:
    names = [one.name for one in every()]
    assert len(set(names)) == len(names)
    assert all(name.replace("-", "").isalnum() for name in names)
    absent = replace(HERE[0], needs="no_such_library")
    assert absent.lack() == "no_such_library is not installed"
    assert "has no Rprop" in next(one for one in every() if one.name == "numpy").lack("Rprop")


def test_the_reference_is_the_fastest_of_torchs_that_is_there() -> None:
    names = {one.name: one for one in every()}
    pick = [names["eager"], names["torch-for-loop"], names["torch-fused"]]
    assert reference_of(pick) == "torch-fused"
    assert reference_of(pick[:2]) == "torch-for-loop"
    assert reference_of([names["eager"], names["numpy"]]) == "numpy"
    assert reference_of([names["blocked"], names["eager"]]) == "eager"


# ---------------------------------------------------------------- one that fails


def fake(name: str, make: Callable[[str, Given], Stepping]) -> Implementation:
    return Implementation(name, "", OPTIMIZERS, make, "made up")


def right(optimizer: str, given: Given) -> Stepping:
    return next(one for one in every() if one.name == "eager").make(optimizer, given)


def raising(after: int, optimizer: str, given: Given) -> Stepping:
    made, left = right(optimizer, given), [after]

    def step() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("out of paper")
        made.step()

    return Stepping(step, made.params)


def wrong(optimizer: str, given: Given) -> Stepping:
    made = right(optimizer, given)
    return Stepping(made.step, lambda: [x + np.float32(0.1) for x in made.params()])


def broken(optimizer: str, given: Given) -> Stepping:
    raise ValueError("no such thing")


def measured(
    others: list[Implementation], memory: int = PLENTY, sizes: list[int] = SIZES, rounds: int = 2
) -> tuple[Timings, Troubles, Measurement]:
    troubles, timings = Troubles(), Timings("AdamW", "first")
    chosen = [fake("first", right), *others]
    effort = Effort(rounds, 60.0, rounds, lots=1)
    run = Measurement(timings, "tiny", sizes, chosen, effort, troubles, memory)
    for _, unit in run.units():
        unit()
    return timings, troubles, run


@pytest.fixture(autouse=True)
def without_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = measurement.endless_turns
    monkeypatch.setattr(measurement, "endless_turns", partial(plain, rest=0.0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (broken, "bad is left out: ValueError: no such thing"),
        (partial(raising, 0), "bad is left out: RuntimeError: out of paper"),
        (partial(raising, 4), "bad is left out: RuntimeError: out of paper"),
        (partial(raising, 12), "bad is left out: RuntimeError: out of paper"),
        (wrong, "bad is left out: ValueError: it takes another step: parameter 0 is 1.0e-01 off"),
    ],
)
def test_whoever_fails_is_left_out_and_the_others_go_on(
    make: Callable[[str, Given], Stepping], message: str
) -> None:
    timings, troubles, _ = measured([fake("bad", make), fake("good", right)], rounds=40)
    assert len(troubles.failures) == 1
    assert message in troubles.failures[0]
    last = timings.turns["tiny"][-1]
    assert {*last} == {"first", "first again", "good", roofline.NAME}
    assert len(timings.turns["tiny"]) == 40


def test_without_a_reference_nothing_is_timed_and_it_is_said() -> None:
    troubles, timings = Troubles(), Timings("AdamW", "first")
    chosen = [fake("first", broken), fake("good", right)]
    run = Measurement(timings, "tiny", SIZES, chosen, Effort(2, 1.0, 2), troubles, PLENTY)
    for _, unit in run.units():
        unit()
    assert timings.turns.get("tiny", []) == []
    assert len(troubles.failures) == 1
    assert "without first nothing is timed" in troubles.words[0]


def test_what_memory_does_not_hold_at_once_is_timed_in_parts() -> None:
    each = 4 * 100_000 * 5
    others = [fake(f"number {i}", right) for i in range(4)]
    memory = int((5 * each + 12 * 100_000) / 0.6) + 10
    timings, troubles, run = measured(others, memory, [100_000], rounds=1)
    assert run.in_parts
    assert troubles.failures == []
    turns = timings.turns["tiny"]
    assert len(turns) == 2
    assert all({"first", "first again", roofline.NAME} < {*turn} for turn in turns)
    assert {name for turn in turns for name in turn} >= {one.name for one in others}


def test_what_memory_does_not_hold_at_all_is_left_out_and_said() -> None:
    timings, troubles, run = measured([fake("good", right)], 1_000_000, [1_000_000])
    assert run.plan == []
    assert timings.turns == {}
    assert "GB of free memory" in troubles.words[0]
    assert troubles.failures == []


def test_what_was_measured_before_an_interruption_can_be_used() -> None:
    calls = [0]

    def interrupting(optimizer: str, given: Given) -> Stepping:
        made = right(optimizer, given)

        def step() -> None:
            calls[0] += 1
            if calls[0] == 100:
                raise KeyboardInterrupt
            made.step()

        return Stepping(step, made.params)

    troubles, timings = Troubles(), Timings("AdamW", "first")
    chosen = [fake("first", right), fake("other", interrupting)]
    effort = Effort(1_000, 60.0, 1_000, lots=1)
    run = Measurement(timings, "tiny", SIZES, chosen, effort, troubles, PLENTY)
    with Interruptible() as work:
        for _, unit in run.units():
            unit()
    assert work.interrupted
    assert troubles.failures == []
    assert all("other" in turn and "first" in turn for turn in timings.turns["tiny"])


# ---------------------------------------------------------------- traffic, and memory


@pytest.mark.parametrize(("optimizer", "arrays"), [("AdamW", 3), ("SGD", 2), ("Adagrad", 2)])
def test_the_traffic_is_that_of_the_parameter_and_its_state(optimizer: str, arrays: int) -> None:
    assert roofline.written(optimizer) == arrays


def test_the_traffic_reaches_every_element() -> None:
    total = 3 * roofline.BLOCK + 5
    grad = np.arange(total, dtype=np.float32)
    kernels: list[Callable[[Any, Any], None]] = [roofline._numpy]
    if "numba" in ok.available_engines():
        kernels += roofline._kernels()
    for kernel in kernels:
        held = np.ones((3, total), np.float32)
        kernel(held, grad)
        np.testing.assert_array_equal(held, np.broadcast_to(1 + grad, held.shape))


def test_memory_of_a_step_is_what_it_takes_and_gives_back() -> None:
    if peak(lambda: None) is None:
        pytest.skip("this system does not say what a process has taken")
    large = peak(lambda: np.ones(8_000_000).sum())
    small = peak(lambda: None)
    assert large is not None
    assert small is not None
    assert 60e6 < large < 80e6
    assert small < 4e6


def test_an_implementation_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    found = alone(next(one for one in every() if one.name == "eager"), "SGD")
    assert found.first > 0
    assert found.cached is None
    assert found.memory is None or 0.9 < found.memory < 10


def test_an_implementation_that_fails_by_itself_says_so() -> None:
    with pytest.raises(RuntimeError, match="KeyError: 'Rprop'"):
        alone(next(one for one in every() if one.name == "numpy"), "Rprop")


def test_torch_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = implementations.find_spec
    monkeypatch.setattr(
        implementations, "find_spec", lambda name: None if name == "torch" else real(name)
    )
    here = [one.name for one in every() if not one.lack()]
    assert "eager" in here
    assert not any("tor" in name for name in here if name != "numba-tensors")
    assert "numba-tensors" not in here
