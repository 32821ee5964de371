"""Steps captured in a CUDA graph, played on the host."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from conftest import assert_same_bits
from host_device import HostDriver, host_device, on_device, on_host

import optimkit as ok

pytest.importorskip("cupy", reason="CuPy's arrays, on the host's memory, are what is stepped")

Make = Callable[[Any], ok.Optimizer]
RULES: dict[str, Make] = {
    "Adam": lambda p: ok.Adam(p, lr=0.1, amsgrad=True, weight_decay=0.1, capturable=True),
    "AdamW": lambda p: ok.AdamW(p, lr=0.1, capturable=True),
    "Adamax": lambda p: ok.Adamax(p, lr=0.1, capturable=True),
    "RMSprop": lambda p: ok.RMSprop(p, lr=0.1, centered=True, momentum=0.9, capturable=True),
    "Rprop": lambda p: ok.Rprop(p, lr=0.1, capturable=True),
    "Adadelta": lambda p: ok.Adadelta(p, lr=0.1, capturable=True),
}


@pytest.fixture
def device() -> Iterator[HostDriver]:
    with host_device() as driver:
        yield driver


class Trial:
    """An optimizer on the device, whose gradients stay where they are, and one on the host."""

    def __init__(self, make: Make, dtype: str = "float32") -> None:
        self._rng = np.random.default_rng(0)
        self.xs = [np.asarray(self._rng.standard_normal(n), dtype) for n in (5, 1_000, 17)]
        self.ys = [x.copy() for x in self.xs]
        self.grads = [np.zeros_like(x) for x in self.xs]
        self.params, self.given = list(map(on_device, self.xs)), list(map(on_device, self.grads))
        self.ours, self.host = make(self.params), make(self.ys)

    def new_gradients(self) -> None:
        for grad in self.grads:
            grad[...] = self._rng.standard_normal(grad.shape)

    def step(self) -> None:
        self.ours.step(grads=self.given)

    def follow(self) -> None:
        """Step the one on the host."""
        with ok.use_engine("eager"):
            self.host.step(grads=self.grads)

    def both(self, advance: Callable[[], None], times: int) -> None:
        for _ in range(times):
            self.new_gradients()
            advance()
            self.follow()

    def check(self) -> None:
        for i, (x, y) in enumerate(zip(self.xs, self.ys, strict=True)):
            assert_same_bits(x, y, f"parameter {i}")
        for x, y in zip(self.params, self.ys, strict=True):
            for name, value in self.host.state[y].items():
                if hasattr(value, "shape"):
                    assert_same_bits(on_host(self.ours.state[x][name]), value, name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", RULES)
def test_replays_take_the_next_steps(device: HostDriver, rule: str, dtype: str) -> None:
    trial = Trial(RULES[rule], dtype)
    trial.both(trial.step, 3)
    with device.capture():
        trial.step()
    trial.check()
    trial.both(device.replay, 12)
    trial.check()
    assert {entry["step"] for entry in trial.ours.state_dict()["state"].values()} == {15}
    trial.both(trial.step, 2)
    trial.both(device.replay, 2)
    trial.check()
    assert {state["step"] for state in copy.copy(trial.ours).state.values()} == {19}


def test_options_change_between_replays(device: HostDriver) -> None:
    trial = Trial(RULES["AdamW"])
    trial.both(trial.step, 1)
    with device.capture():
        trial.step()
    for rate in (0.1, 0.01, 0.5):
        for opt in (trial.ours, trial.host):
            opt.param_groups[0]["lr"] = rate
        trial.ours.refresh()
        trial.both(device.replay, 2)
        trial.check()
    trial.ours.param_groups[0]["betas"] = (0.5, 0.9)
    with pytest.raises(RuntimeError, match="betas is part of what was captured"):
        trial.ours.refresh()


def test_options_change_between_steps_that_are_not_captured(device: HostDriver) -> None:
    trial = Trial(RULES["Adam"])
    for options in ({"lr": 0.1}, {"lr": 0.2}, {"betas": (0.5, 0.9)}, {"eps": 1e-3}):
        for opt in (trial.ours, trial.host):
            opt.param_groups[0].update(options)
        trial.both(trial.step, 2)
        trial.check()


def test_groups_of_their_own(device: HostDriver) -> None:
    def make(params: Any) -> ok.Optimizer:
        return ok.AdamW(
            [{"params": [x], "lr": 0.1 * (i + 1)} for i, x in enumerate(params)], capturable=True
        )

    trial = Trial(make)
    trial.both(trial.step, 2)
    with device.capture():
        trial.step()
    trial.both(device.replay, 3)
    trial.check()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: ok.AdamW(p, lr=0.1), "capturable=True keeps them on the device"),
        (lambda p: ok.RAdam(p, lr=0.1, capturable=True), "the step decides what is computed"),
        (lambda p: ok.NAdam(p, lr=0.1, capturable=True), "state that is a number"),
    ],
)
def test_what_cannot_be_captured_is_refused(device: HostDriver, make: Make, message: str) -> None:
    trial = Trial(make)
    trial.both(trial.step, 10)
    before = [x.copy() for x in trial.xs]
    with device.capture(), pytest.raises(RuntimeError, match=f"CUDA graph.*{message}"):
        trial.step()
    assert device.graph == []
    for x, y in zip(trial.xs, before, strict=True):
        assert_same_bits(x, y)
    trial.both(trial.step, 2)
    trial.check()


def test_the_first_step_is_not_captured(device: HostDriver) -> None:
    trial = Trial(RULES["AdamW"])
    with device.capture(), pytest.raises(RuntimeError, match="take one before"):
        trial.step()
    trial.both(trial.step, 1)
    trial.ours.param_groups[0]["lr"] = 0.7
    with device.capture(), pytest.raises(RuntimeError, match="must be taken before"):
        trial.step()
    trial.host.param_groups[0]["lr"] = 0.7
    trial.both(trial.step, 1)
    trial.check()


def test_loading_a_checkpoint_after_a_capture(device: HostDriver) -> None:
    trial = Trial(RULES["AdamW"])
    trial.both(trial.step, 2)
    saved = copy.deepcopy(trial.host.state_dict())
    with device.capture():
        trial.step()
    trial.both(device.replay, 3)
    for opt in (trial.ours, trial.host):
        opt.load_state_dict(saved)
    trial.both(trial.step, 2)
    trial.check()
    assert {state["step"] for state in trial.ours.state.values()} == {4}
