"""What the shell costs, counted in looks at arrays: linear in their number, never in seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np
import pytest
from libraries import STEPPING, Library

import optimkit as ok
from optimkit.backends import adapters
from optimkit.groups import hyper_of

FEW, MANY = 50, 200
Count = Callable[[Any, Callable[[], Any]], int]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Count:
    """Count what is asked of the adapter of an array, and for it, while something is done.

    A question about many arrays at once counts as many, whatever its name is.
    """
    seen = [0]

    def counted(function: Any, skip: int) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            many = [len(x) for x in args[skip:] if isinstance(x, list | tuple)]
            seen[0] += max(many, default=1)
            return function(*args, **kwargs)

        return call

    def count(x: Any, work: Callable[[], Any]) -> int:
        with monkeypatch.context() as patch:
            for kind in type(adapters.adapter_of(x)).__mro__:
                for name, value in list(vars(kind).items()):
                    if isinstance(value, FunctionType) and not name.startswith("_"):
                        patch.setattr(kind, name, counted(value, 1))
            find = adapters.adapter_of
            for module_name, module in list(sys.modules.items()):
                if module_name.startswith("optimkit") and vars(module).get("adapter_of") is find:
                    patch.setattr(module, "adapter_of", counted(find, 0))
            seen[0] = 0
            work()
            return seen[0]

    return count


def check(at: Callable[[int], int]) -> None:
    at(3)  # what is done once in a process
    few, many = at(FEW), at(MANY)
    assert few >= FEW, "nothing was counted"
    assert many <= MANY / FEW * few + 20


def bare(param: Any) -> Any:
    return param.data if isinstance(param, ok.Parameter) else param


def parameters(library: Library, n: int) -> list[Any]:
    return [library.param(np.ones(4, np.float32)) for _ in range(n)]


def groups(params: list[Any]) -> list[dict[str, Any]]:
    return [{"params": [param]} for param in params]


def gradients(library: Library, n: int, every: int = 1) -> list[Any]:
    """A gradient for every second parameter, or third, or each one."""
    return [library.array(np.ones(4, np.float32)) if i % every == 0 else None for i in range(n)]


on_every_library = pytest.mark.parametrize("library", STEPPING, indirect=True)


@on_every_library
def test_construction_with_many_groups(library: Library, looks: Count) -> None:
    def at(n: int) -> int:
        params = parameters(library, n)
        return looks(bare(params[0]), lambda: ok.Adam(groups(params)))

    check(at)


@on_every_library
def test_construction_with_many_parameters(library: Library, looks: Count) -> None:
    def at(n: int) -> int:
        params = parameters(library, n)
        return looks(bare(params[0]), lambda: ok.Adam(params))

    check(at)


@on_every_library
def test_groups_added_one_at_a_time(library: Library, looks: Count) -> None:
    def at(n: int) -> int:
        first, *others = parameters(library, n)
        opt = ok.Adam([first])

        def add() -> None:
            for group in groups(others):
                opt.add_param_group(group)

        return looks(bare(first), add)

    check(at)


@on_every_library
@pytest.mark.parametrize("grouped", [True, False], ids=["groups", "one group"])
def test_the_first_step(library: Library, looks: Count, grouped: bool) -> None:
    def at(n: int) -> int:
        params, grads = parameters(library, n), gradients(library, n)
        opt = ok.Adam(groups(params) if grouped else params)
        return looks(bare(params[0]), lambda: opt.step(grads=grads))

    check(at)


@on_every_library
@pytest.mark.parametrize("grouped", [True, False], ids=["groups", "one group"])
def test_a_step_after_gradients_have_gone_missing(
    library: Library, looks: Count, grouped: bool
) -> None:
    def at(n: int) -> int:
        params = parameters(library, n)
        opt = ok.Adam(groups(params) if grouped else params)
        opt.step(grads=gradients(library, n))
        grads = gradients(library, n, 2)
        return looks(bare(params[0]), lambda: opt.step(grads=grads))

    check(at)


@on_every_library
def test_a_step_after_a_group_was_added(library: Library, looks: Count) -> None:
    def at(n: int) -> int:
        *params, last = parameters(library, n)
        opt = ok.Adam(groups(params))
        opt.step(grads=gradients(library, n - 1))
        opt.add_param_group({"params": [last]})
        grads = gradients(library, n)
        return looks(bare(last), lambda: opt.step(grads=grads))

    check(at)


@on_every_library
def test_loading(library: Library, looks: Count) -> None:
    def at(n: int) -> int:
        params = parameters(library, n)
        opt = ok.Adam(groups(params))
        opt.step(grads=gradients(library, n))
        saved = opt.state_dict()
        return looks(bare(params[0]), lambda: opt.load_state_dict(saved))

    check(at)


def columns(library: Library, n: int) -> list[Any]:
    matrix = library.array(np.ones((5, n), np.float32))
    return [matrix[:, i] for i in range(n)]


@pytest.mark.parametrize("library", ["numpy", "torch"], indirect=True)
@pytest.mark.parametrize("phase", ["construction", "first step", "missing gradients"])
def test_columns_of_one_matrix(library: Library, looks: Count, phase: str) -> None:
    """Their extents overlap, each with all the others."""

    def at(n: int) -> int:
        params = columns(library, n)
        grads = [library.array(np.ones(5, np.float32)) for _ in range(n)]
        if phase == "construction":
            return looks(params[0], lambda: ok.SGD(params))
        opt = ok.SGD(params)
        if phase == "missing gradients":
            opt.step(grads=grads)
            grads = [grad if i % 2 else None for i, grad in enumerate(grads)]
        return looks(params[0], lambda: opt.step(grads=grads))

    check(at)


@pytest.mark.parametrize("kind", [float, np.float32, np.float64])
def test_options_that_stay_are_read_once(kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    param, reads = np.ones(4, np.float32), []

    def counted(*args: Any) -> Any:
        reads.append(args)
        return hyper_of(*args)

    optimizer = ok.SGD([param], lr=kind(0.5), momentum=kind(0.5))
    monkeypatch.setattr("optimkit.rule.hyper_of", counted)
    for _ in range(5):
        optimizer.step(grads=[np.zeros_like(param)])
    assert len(reads) == 1
    optimizer.param_groups[0]["lr"] = kind(0.25)
    optimizer.step(grads=[np.ones_like(param)])
    assert len(reads) == 2
    assert param.tolist() == [0.75] * 4
