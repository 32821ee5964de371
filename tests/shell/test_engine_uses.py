"""What `Optimizer.engines` says, held against what runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from conftest import require_engine

import optimkit as ok
from optimkit.backends.engines import choice, eager
from optimkit.engine_uses import EngineUse


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What has run since, and over how many parameters."""
    found: list[tuple[str, int]] = []

    def watch(engine: Any, name: str) -> None:
        job = engine.job

        def watched(bucket: Any, *args: Any) -> Any:
            found.append((name, len(bucket.indices)))
            return job(bucket, *args)

        monkeypatch.setattr(engine, "job", watched)

    for name in choice.NAMES:
        watch(eager if name == "eager" else choice._engine(name), name)
    monkeypatch.delenv("OPTIMKIT_ENGINE", raising=False)
    return found


def tensor(*shape: int) -> Any:
    return torch.ones(*shape, requires_grad=True)


def gapped() -> Any:
    return np.ones((4, 6))[:, ::2]


OPTIMIZERS: dict[str, Any] = {
    "one dtype": lambda: ok.Adam({"w": np.ones((2, 3)), "b": np.ones(3)}),
    "two dtypes": lambda: ok.Adam([np.ones(2), np.ones(2, "float32"), np.ones(2, complex)]),
    "half": lambda: ok.AdamW([np.ones(2, "float16"), np.ones(3)]),
    "a dtype of no kernel": lambda: ok.SGD([np.ones(2, "longdouble"), np.ones(2)], momentum=0.9),
    "eager asked for": lambda: ok.SGD([np.ones(2)], fused=False),
    "fused": lambda: ok.SGD([np.ones(2)], fused=True),
    "by group": lambda: ok.SGD(
        [{"params": [np.ones(2)], "fused": False}, {"params": [np.ones(2), np.ones(1)]}]
    ),
    "other programs by group": lambda: ok.SGD(
        [{"params": [np.ones(2)]}, {"params": [np.ones(2)], "momentum": 0.9}]
    ),
    "Adafactor": lambda: ok.Adafactor([np.ones((2, 2)), np.ones(2)]),
    "Muon": lambda: ok.Muon([np.ones((2, 2))]),
    "Muon of tensors": lambda: ok.Muon([tensor(2, 2)]),
    "NAdam": lambda: ok.NAdam([np.ones(2), gapped()]),
    "gaps": lambda: ok.Adam([gapped(), np.ones(2)]),
    "a transpose": lambda: ok.Adam([np.ones((2, 3)).T, tensor(3, 2).detach().T]),
    "tensors": lambda: ok.AdamW([tensor(2), tensor(3, 2)]),
    "Parameters": lambda: ok.RMSprop([ok.Parameter(np.ones(2), name="w")]),
    "masters": lambda: ok.Adam([np.ones(2, "float16")], master_dtype="float32"),
    "empty": lambda: ok.Adam([np.ones(0), np.ones(2)]),
}


def step(optimizer: Any) -> None:
    params = [param for group in optimizer.param_groups for param in group["params"]]
    arrays = [param.data if isinstance(param, ok.Parameter) else param for param in params]
    grads = [x.detach().clone() if torch.is_tensor(x) else x.copy() for x in arrays]
    optimizer.step(grads=grads)


def count(uses: list[EngineUse]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for engine, params, _ in uses:
        counts[engine] = counts.get(engine, 0) + len(params)
    return counts


@pytest.mark.parametrize("engine", [None, "blocked", "eager"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_is_said_is_what_runs(
    name: str, engine: str | None, ran: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine is not None:
        monkeypatch.setenv("OPTIMKIT_ENGINE", engine)
    optimizer = OPTIMIZERS[name]()
    if engine == "eager" and name == "fused":
        for call in (optimizer.engines, lambda: step(optimizer)):
            with pytest.raises(RuntimeError, match=r"fused=True, .* eager engine was asked"):
                call()
        return
    for _ in range(3):
        before = repr(optimizer.state_dict())
        uses = optimizer.engines()
        assert ran == []
        assert repr(optimizer.state_dict()) == before
        assert uses == optimizer.engines()
        step(optimizer)
        happened: dict[str, int] = {}
        for kind, number in ran:
            happened[kind] = happened.get(kind, 0) + number
        assert count(uses) == happened
        assert all(bool(use.reason) >= (use.engine == "eager") for use in uses)
        ran.clear()


def test_names_numbers_and_reasons() -> None:
    fastest = ok.available_engines()[0]
    model = {"w": np.ones((2, 2)), "half": np.ones(2, "longdouble"), "b": np.ones(2)}
    first, second = ok.Adam(model).engines()
    assert first == (fastest, ["w", "b"], first.reason)
    assert second[:2] == ("eager", ["half"])
    assert "blocked: the blocked engine has float64" in second.reason
    assert "cuda" not in second.reason
    (use,) = ok.Adafactor([np.ones((2, 2))]).engines()
    assert use[:2] == ("eager", [0])
    assert "the rule is not elementwise" in use.reason
    with pytest.raises(RuntimeError, match="Adafactor: fused=True, but no fused engine"):
        ok.Adafactor([np.ones((2, 2))], fused=True).engines()
    with ok.use_engine("blocked"):  # which counts as fused
        assert ok.Adam([np.ones(2)], fused=True).engines() == [("blocked", [0], "")]


def test_the_fastest_needs_no_reason() -> None:
    require_engine("numba")
    assert ok.Adam([np.ones(2)]).engines() == [("numba", [0], "")]


def test_rules_that_go_another_way() -> None:
    (use,) = ok.LBFGS({"w": np.ones(2)}).engines()
    assert use[:2] == ("eager", ["w"])
    assert "one vector" in use.reason
    (use,) = ok.SGD([tensor(2)], lr=0.1, differentiable=True).engines()
    assert use[:2] == ("eager", [0])
    assert "differentiable=True" in use.reason
    table = np.ones((4, 2))
    optimizer = ok.SparseAdam([table])
    (use,) = optimizer.engines()
    assert use.engine == ok.available_engines()[0]
    optimizer.step(grads=[ok.RowSparse(np.array([1]), np.ones((1, 2)), (4, 2))])
    assert optimizer.engines() == [use]
    assert ok.accumulate(ok.SGD([np.ones(2)]), 2).engines()[0].params == [0]


def test_a_parameter_that_will_not_do_is_named() -> None:
    model = {"w": np.ones(2)}
    optimizer = ok.Adam(model)
    model["w"].flags.writeable = False
    with pytest.raises(ValueError, match=r"Adam: parameter w: .*read-only"):
        optimizer.engines()
