"""The pages of schedulers: what they show is what the schedulers do, and a new one has its page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from generate import scheduler_formulas as formulas
from generate import scheduler_pages, scheduler_recipes, subjects
from generate.scheduler_variations import VARIATIONS, WHEN, variations

import optimkit as ok
from optimkit import lr_scheduler
from optimkit.validation.explain.curves import curve

KINDS = subjects.schedulers()
RUNNING = [kind for kind in KINDS.values() if kind is not lr_scheduler.LRScheduler]


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return dict(scheduler_pages.pages())


def test_each_scheduler_has_a_page_and_a_tile(pages: dict[str, str]) -> None:
    assert set(pages) == {"index", *KINDS}
    assert set(KINDS) >= {name for name in lr_scheduler.__all__ if name[0].isupper()}
    for name in KINDS:
        assert f'href="{name}.html"' in pages["index"]


@pytest.mark.parametrize("kind", RUNNING, ids=lambda kind: kind.__name__)
def test_a_page_has_all_parts(kind: type, pages: dict[str, str]) -> None:
    page = pages[kind.__name__]
    parts = ["Curve", "Recipe", "With others", "State", "Reference"]
    if kind.__name__ in scheduler_recipes.PARTS:
        parts.remove("With others")
    for title in parts:
        assert f"\n{title}\n---" in page
    assert kind.__name__ in WHEN
    assert "<svg" in page


def test_momentum_is_drawn_where_it_moves(pages: dict[str, str]) -> None:
    moving = {name for name, page in pages.items() if "The momentum of the same run" in page}
    assert moving == {"CyclicLR", "OneCycleLR"}
    assert pages["index"].count('class="line c1 momentum"') == 2


def test_a_curve_is_drawn_to_scale(pages: dict[str, str]) -> None:
    """The first curve of a page ends where the scheduler does."""
    found = curve(lr_scheduler.LinearLR)
    assert found is not None
    line = re.search(r'points="([^"]+)"', pages["LinearLR"])
    assert line is not None
    places = [tuple(map(float, pair.split(","))) for pair in line[1].split()]
    assert len(places) == len(found.lrs)
    width, height = places[-1][0], 146.0
    assert width == 406.0
    for (x, y), (step, rate) in zip(places, enumerate(found.lrs), strict=True):
        assert x == pytest.approx(width * step / (len(places) - 1), abs=0.051)  # one decimal
        assert y == pytest.approx(height * (1 - rate / 0.1), abs=0.051)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.__name__)
def test_a_recipe_can_be_resumed(kind: type) -> None:
    program = scheduler_recipes.recipe(kind)
    _, whole = scheduler_recipes.run(program)
    half = program.replace("range(100)", "range(50)")
    _, first = scheduler_recipes.run(half)
    making = program[: program.index("rates = ")]
    _, second = scheduler_recipes.run(making)
    second["optimizer"].load_state_dict(first["optimizer"].state_dict())
    second["scheduler"].load_state_dict(first["scheduler"].state_dict())
    second["weights"][...] = first["weights"]
    loop = program[program.index("rates = ") :].replace("range(100)", "range(50, 100)")
    loop = re.sub(r"^rates = .*\n", "", loop).replace("rates[::10]", "rates")
    second["rates"] = []
    exec(loop, second)
    assert first["rates"] + second["rates"] == whole["rates"]


def test_what_is_said_about_chaining(pages: dict[str, str]) -> None:
    """From `ChainedScheduler`'s docstring: which set the rate in closed form."""
    closed = {"LambdaLR", "CyclicLR", "OneCycleLR", "CosineAnnealingWarmRestarts"}
    assert {name for name, page in pages.items() if "It does not keep" in page} >= closed
    scaling = {"StepLR", "ExponentialLR", "LinearLR", "PolynomialLR", "MultiplicativeLR"}
    assert {name for name, page in pages.items() if "the two factors multiply" in page} >= scaling


def test_variations_are_options() -> None:
    assert set(VARIATIONS) <= set(KINDS)
    for kind in RUNNING:
        for option, values in variations(kind).items():
            assert len(values) > 1
            assert curve(kind, 20, {option: values[0]}) is not None


def test_formulas_are_tex() -> None:
    mathematics = pytest.importorskip("generate.mathematics")
    pytest.importorskip("py_mini_racer", reason="sets formulas")
    found = {name: formulas.formula(kind) for name, kind in KINDS.items()}
    assert {name for name, text in found.items() if not text} <= {"LRScheduler", "OneCycleLR"}
    for text in filter(None, found.values()):
        assert "katex" in mathematics.render(formulas.tex(text))
    tex = formulas.tex("base_lr · gamma^⌊t / step_size⌋")
    assert (
        tex == r"\mathtt{base\_lr} \cdot  \mathtt{gamma}^{\lfloor t / \mathtt{step\_size}\rfloor }"
    )


class HyperbolicLR(lr_scheduler.LRScheduler):
    """Decay as one over the step.

    ``lr(t) = base_lr / (1 + decay · t)``

    Parameters
    ----------
    optimizer : object with ``param_groups``
    decay : float
        How fast.
    slow : bool
        Whether to go with the root of the step.
    last_epoch : int
        Last step that was taken.
    """

    def __init__(
        self, optimizer: Any, decay: float = 0.1, slow: bool = False, last_epoch: int = -1
    ) -> None:
        self.decay, self.slow = decay, slow
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        t = self.last_epoch**0.5 if self.slow else self.last_epoch
        return [lr / (1 + self.decay * t) for lr in self.base_lrs]


def test_a_new_scheduler_has_its_page_with_nothing_else_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lr_scheduler, "HyperbolicLR", HyperbolicLR, raising=False)
    monkeypatch.setattr(lr_scheduler, "__all__", [*lr_scheduler.__all__, "HyperbolicLR"])
    pages = dict(scheduler_pages.pages())
    page = pages["HyperbolicLR"]
    assert 'href="HyperbolicLR.html"' in pages["index"]
    assert "   HyperbolicLR\n" in pages["index"]
    for title in ("Curve", "Closed form", "What its options do", "Recipe", "With others", "State"):
        assert f"\n{title}\n---" in page
    assert r"\mathtt{base\_lr} / (1 + \mathtt{decay} \cdot  t)" in page
    assert "scheduler = HyperbolicLR(optimizer)" in page
    assert "slow=True" in page
    assert ".. autoclass:: optimkit.lr_scheduler.HyperbolicLR" in page
    assert "HyperbolicLR" not in scheduler_pages.WHEN


def test_one_whose_options_nobody_can_guess_has_a_page_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class StrangeLR(HyperbolicLR):
        """Wants something."""

        def __init__(self, optimizer: Any, something: str, last_epoch: int = -1) -> None:
            super().__init__(optimizer)

    monkeypatch.setattr(lr_scheduler, "StrangeLR", StrangeLR, raising=False)
    monkeypatch.setattr(lr_scheduler, "__all__", [*lr_scheduler.__all__, "StrangeLR"])
    page = dict(scheduler_pages.pages())["StrangeLR"]
    assert "Wants something." in page
    assert "\nRecipe\n" not in page
    assert ".. autoclass:: optimkit.lr_scheduler.StrangeLR" in page


def test_a_recipe_is_run_not_told() -> None:
    printed, names = scheduler_recipes.run(scheduler_recipes.recipe(lr_scheduler.StepLR))
    assert printed.split()[:4] == ["0.1", "0.1", "0.1", "0.01"]
    assert isinstance(names["optimizer"], ok.SGD)
