"""The examples and the page about differentiable steps do what they say."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import torch
from conftest import ROOT
from recorded import REFUSED, RULES, Place, option_numbers, set_option

import optimkit as ok

F64 = torch.float64
PAGE = (ROOT / "docs" / "guides" / "differentiable.md").read_text()


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_learning_rate_is_learned(capsys: pytest.CaptureFixture[str]) -> None:
    begun, loss = example("learn_a_learning_rate").main(rounds=40)
    assert loss < 0.01 < 0.5 < begun
    grid = re.search(r"on a grid: .*: ([\d.]+)$", capsys.readouterr().out, re.M)
    assert grid is not None
    assert loss < float(grid[1])


def test_maml_learns_a_start(capsys: pytest.CaptureFixture[str]) -> None:
    plain, learned = example("maml").main(rounds=150, inner=2)
    assert learned[2] < 0.5 * learned[0]
    assert learned[2] < 0.5 * min(plain)
    assert "learned rates:" in capsys.readouterr().out


# What torch's forward mode does when it is first used.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")
def test_the_pages_code_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    assert len(blocks) == 8
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks:
        exec(compile(block, "differentiable.md", "exec"), names)


# ---------------------------------------------------------------- the page's table


OPTIONS: dict[str, dict[str, Any]] = {
    "SGD": dict(lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.1),
    "Adam": dict(lr=0.1, betas=(0.9, 0.99), eps=0.01, weight_decay=0.1),
    "AdamW": dict(lr=0.1, betas=(0.9, 0.99), eps=0.01, weight_decay=0.1),
    "Adamax": dict(lr=0.1, betas=(0.9, 0.99), eps=0.01, weight_decay=0.1),
    "NAdam": dict(lr=0.1, betas=(0.9, 0.99), eps=0.01, weight_decay=0.1, momentum_decay=0.1),
    "RAdam": dict(lr=0.1, betas=(0.9, 0.8), eps=0.01, weight_decay=0.1),
    "Adagrad": dict(
        lr=0.1, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.1, eps=0.01
    ),
    "Adadelta": dict(lr=0.1, rho=0.9, eps=0.01, weight_decay=0.1),
    "RMSprop": dict(lr=0.1, alpha=0.9, eps=0.01, weight_decay=0.1, momentum=0.9),
    "Rprop": dict(lr=0.1, etas=(0.5, 1.2), step_sizes=(1e-3, 0.11)),
    "ASGD": dict(lr=0.1, lambd=0.1, alpha=0.7, t0=1.5, weight_decay=0.1),
}


def outcome(library: Any, name: str, place: Place, value: torch.Tensor) -> torch.Tensor:
    """What eight steps come to, as a function of one option."""
    options = dict(OPTIONS[name])
    if place[0] == "betas":  # which are both tensors or none
        options["betas"] = tuple(torch.tensor(x, dtype=F64) for x in options["betas"])
    set_option(options, place, value)
    p = torch.tensor([1.0, -2.0, 0.5], dtype=F64)
    optimizer = getattr(library, name)([p], **options, differentiable=True)
    for k in range(8):
        at = p.clone()
        p.grad = 2 * at + torch.sin(at * (k + 1))
        optimizer.step()
        p.grad = None
    average = optimizer.state[p].get("ax", torch.zeros(()))
    return p.square().sum() + average.square().sum()


def is_right(library: Any, name: str, place: Place, number: float) -> bool:
    value = torch.tensor(number, dtype=F64, requires_grad=True)
    try:
        (found,) = torch.autograd.grad(outcome(library, name, place, value), value)
    except (RuntimeError, TypeError):
        return False
    h = 1e-6
    ends = [outcome(ok, name, place, value + way) for way in (h, -h)]
    quotient = ((ends[0] - ends[1]) / (2 * h)).item()
    return found.item() == pytest.approx(quotient, rel=1e-4, abs=1e-4)


def table() -> dict[str, list[str]]:
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", PAGE, re.M)
    return {name: list(cells) for names, *cells in rows for name in names.split(", ")}


@pytest.mark.parametrize("name", RULES)
def test_every_option_has_the_derivative_that_the_table_says(name: str) -> None:
    places = dict(option_numbers(OPTIONS[name]))
    assert all(is_right(ok, name, place, number) for place, number in places.items())
    said = set(re.findall(r"`(\w+)`", table()[name][1]))
    assert said == {place[0] for place in places}


@pytest.mark.skipif(
    not torch.__version__.startswith("2.13."), reason="the page is about torch 2.13"
)
@pytest.mark.parametrize("name", RULES)
def test_torch_has_the_derivatives_that_the_table_says(name: str) -> None:
    numbers = dict(option_numbers(OPTIONS[name]))
    right = {
        place for place, number in numbers.items() if is_right(torch.optim, name, place, number)
    }
    cell = table()[name][2]
    said = set(OPTIONS[name]) if cell == "all" else set(re.findall(r"`(\w+)`", cell))
    assert right == {place for place in numbers if place[0] in said}


def test_the_table_has_the_rules_that_are_refused() -> None:
    found = table()
    assert found.keys() >= {*RULES, *REFUSED}
    assert sorted(name for name, cells in found.items() if cells[0] == "refused") == REFUSED
