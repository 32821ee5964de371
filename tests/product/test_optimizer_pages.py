"""The pages of optimizers are made from the rules, and say of them what is so."""

from __future__ import annotations

import re
from inspect import cleandoc
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

import optimkit as ok
from optimkit.validation.explain.subjects import Docs, options_of, state_of

pytest.importorskip("py_mini_racer", reason="optimkit[docs] is not installed")
pytest.importorskip("contourpy", reason="optimkit[docs] is not installed")

from generate import optimizer_elsewhere as elsewhere
from generate import optimizer_facts as facts
from generate import optimizer_pages, optimizer_rule, playground
from generate.mathematics import render
from generate.optimizer_symbols import (
    MATH,
    Letter,
    address_of,
    bind,
    bound_docstring,
    letters,
)

from optimkit.validation.explain.subjects import optimizers

OPTIMIZERS = optimizers()


class Wander(ok.Optimizer):
    r"""Descent along the sign of a mean, a rule that no page knows.

    .. math::
        m_t &= \kappa\, m_{t-1} + (1 - \kappa)\, g_t \\
        \theta_t &= \theta_{t-1} - \gamma\, \operatorname{sign}(m_t)

    Parameters
    ----------
    params : iterable
        What to optimize.
    lr : float, default 0.01
        Learning rate :math:`\gamma \ge 0`.
    share : float, default 0.9
        Decay rate :math:`\kappa` of the mean.
    twice : bool, default False
        Go twice as far.

    Notes
    -----
    State per parameter: ``mean`` :math:`m`.

    Use it in tests alone.

    References
    ----------
    .. [1] A. Author, "A paper", arXiv:1412.6980.
    .. [2] B. Author, "Another", doi:10.1000/182.
    """

    def __init__(
        self, params: Any, lr: float = 0.01, share: float = 0.9, twice: bool = False
    ) -> None:
        super().__init__(params, dict(lr=lr, share=share, twice=twice))

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        return {"mean": xp.zeros_like(param)}

    @staticmethod
    @ok.pure
    def update(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
        # m = κ m + (1 - κ) g
        m = hyper.share * state["mean"] + (1 - hyper.share) * grad
        # γ is doubled
        rate = 2 * hyper.lr if hyper.twice else hyper.lr
        if hyper.twice:
            rate = rate * 1.0
        # θ = θ - γ sign(m)
        return param - rate * xp.sign(m), {"mean": m}


# ---------------------------------------------------------------- a new optimizer


def test_a_new_optimizer_gets_its_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its curves, kernels and figures come with its public name; nothing else is written."""
    monkeypatch.setattr(ok, "Wander", Wander, raising=False)
    monkeypatch.setattr(ok, "__all__", [*ok.__all__, "Wander"])
    assert "Wander" in optimizers()
    text = optimizer_pages.page("Wander", Wander)
    assert ".. autoclass:: Wander" in text
    assert ".. currentmodule:: optimkit\n" in text
    assert text.count('<figure class="landscape') == 5
    assert re.search(r'<path class="walk" d="M[\d.]+ [\d.]+L', text)
    assert '"name":"share","kind":"fraction"' in text
    for engine in ("numba", "cuda"):
        for dtype in ("float32", "float64"):
            assert f".. dropdown:: {engine}, {dtype}\n" in text
    assert "4 bytes go with each element of a float32 parameter" in text
    assert 'class="sym sym-share of-share"' in text
    listed = optimizer_pages.index({"SGD": ok.SGD, "Wander": Wander})
    assert ":doc:`Wander <Wander>`" in listed
    assert "Use it in tests alone." in listed
    assert listed.count('<svg class="thumbnail"') == 2


def test_its_formula_is_bound_and_its_references_are_links() -> None:
    lines = "\n".join(bound_docstring(Wander, cleandoc(Wander.__doc__ or "").split("\n")))
    assert r"{\htmlClass{sym sym-share of-share}{\kappa}}" in lines
    assert r"{\htmlClass{sym sym-mean}{m}}_{" in lines
    assert "<https://arxiv.org/abs/1412.6980>`__" in lines
    assert "<https://doi.org/10.1000/182>`__." in lines
    assert r"\operatorname{sign}" in lines


def test_what_does_not_run_is_greyed() -> None:
    usual = optimizer_rule.html(Wander, optimizer_rule.not_run(Wander, {}))
    twice = optimizer_rule.html(Wander, optimizer_rule.not_run(Wander, {"twice": True}))
    assert greyed(usual) == ["2", "*", "hyper", ".", "lr", "rate", "=", "rate", "*", "1.0"]
    assert greyed(twice) == ["hyper", ".", "lr"]


def greyed(html: str) -> list[str]:
    code = "".join(re.findall(r"<pre>(.*?)</pre>", html, re.S))
    return re.findall(r'class="(?:\w+ )?off">([^<]*)<', code)


# ---------------------------------------------------------------- letters


def test_letters_are_those_of_the_docstring() -> None:
    bound = {letter.tex: (letter.name, letter.option) for letter in letters(ok.Adam)}
    assert bound == {
        r"\gamma": ("lr", "lr"),
        r"\beta_1": ("beta1", "betas"),
        r"\beta_2": ("beta2", "betas"),
        r"\epsilon": ("eps", "eps"),
        r"\lambda": ("weight_decay", "weight_decay"),
        "m": ("exp_avg", ""),
        "v": ("exp_avg_sq", ""),
        r"\hat v": ("max_exp_avg_sq", ""),
        r"\theta": ("param", ""),
        "g": ("grad", ""),
        "t": ("step", ""),
    }


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_option_that_a_formula_holds_is_bound(name: str) -> None:
    cls = OPTIMIZERS[name]
    bound = bound_docstring(cls, cleandoc(cls.__doc__ or "").split("\n"))
    formulas = "\n".join(bound)
    known = {letter.option for letter in letters(cls)}
    assert known - {""} <= set(options_of(cls))
    for option in known - {""}:
        assert f"of-{option}" in formulas, option
    code = "\n".join(line for line in bound if line.startswith((">>>", "...")))
    assert "htmlClass" not in code
    for tex in MATH.findall(formulas):
        assert "katex" in render(tex)


def test_powers_stay_above_the_index_of_a_letter() -> None:
    known = (Letter(r"\beta_1", "beta1", "betas"), Letter("t", "step"))
    assert bind(r"1 - \beta_1^t", known) == (
        r"1 - {\htmlClass{sym sym-beta1 of-betas}{\beta}}_1^{\htmlClass{sym sym-step}{t}}"
    )
    assert bind(r"\text{at t}", known) == r"\text{at t}"


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_source_is_whole(name: str) -> None:
    """Whatever is marked, the text is that of the rule."""
    cls = OPTIMIZERS[name]
    html = optimizer_rule.html(cls, frozenset())
    shown = re.sub(r"<[^>]*>", "", "\n".join(re.findall(r"<pre>(.*?)</pre>", html, re.S)))
    shown = shown.replace("&lt;", "<").replace("&gt;", ">").replace("&#x27;", "'")
    shown = shown.replace("&quot;", '"').replace("&amp;", "&")
    wanted = []
    for source in optimizer_rule.sources(cls):
        lines = source.text.rstrip("\n").split("\n")
        taken = {
            n
            for first, last in optimizer_rule.rows(cls, source)
            for n in comment_lines(lines, first, last)
        }
        wanted += [line for n, line in enumerate(lines, 1) if n not in taken]
    assert shown.split("\n") == wanted
    assert html.count("<span") == html.count("</span>")
    assert html.count("off") == 0


def comment_lines(lines: list[str], first: int, last: int) -> list[int]:
    """Those that stand at the left, as formulas."""
    found = []
    for n in range(first, last + 1):
        if not lines[n - 1].lstrip().startswith("#"):
            break
        found.append(n)
    return found


# ---------------------------------------------------------------- facts


def test_options_that_change_what_runs() -> None:
    found = [facts.telling(ok.Adam, way) for _, way in facts.option_sets(ok.Adam)[1:]]
    assert {"amsgrad": True} in found
    assert {"maximize": True} in found
    assert {"weight_decay": 0.1} in found
    assert {"weight_decay": 0.1, "decoupled_weight_decay": True} in found
    assert not any("lr" in options for options in found)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_memory_is_that_of_the_state(name: str) -> None:
    cls = OPTIMIZERS[name]
    for dtype in ("float32", "float64"):
        arrays = [x for x in state_of(cls, {}, dtype).values() if isinstance(x, np.ndarray)]
        whole = sum(x.nbytes for x in arrays if x.size == 15)
        assert facts.bytes_an_element(cls, {}, dtype) == whole / 15
    assert [row[0] for row in facts.state_rows(cls, {})] == list(state_of(cls, {}))


def test_the_memory_in_words() -> None:
    assert facts.memory(ok.Adam) == "8 bytes (to 12)"
    assert facts.memory(ok.SGD) == "0 bytes (to 4)"
    assert facts.memory(ok.Adafactor) == "a row and a column"
    assert facts.memory(ok.LBFGS) == "8 bytes and a history"


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_docstring_says_what_it_is_for(name: str) -> None:
    assert Docs.of(OPTIMIZERS[name]).paragraphs("Use "), "a note that begins with 'Use'"


UNLINKED = {"A survey of nonlinear conjugate gradient methods"}  # whose journal gives no number


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_reference_says_where_it_can_be_read(name: str) -> None:
    references = Docs.of(OPTIMIZERS[name]).references()
    assert references
    for reference in references:
        known = any(title in reference for title in UNLINKED)
        assert address_of(reference).startswith("https://") is not known, reference


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_links_to_differences_have_an_anchor(name: str) -> None:
    titles = re.findall(r"^## (.+)$", (ROOT / "docs/evidence/differences.md").read_text(), re.M)
    for title, anchor in facts.differences(OPTIMIZERS[name]):
        assert title in titles
        assert re.fullmatch(r"[\w-]+", anchor)


def test_rules_that_cannot_be_recorded_are_walked() -> None:
    found = playground.play(ok.NonlinearCG)
    assert found.rule is None
    assert "closure" in found.reason
    walks = found.grid["rosenbrock"][0]
    assert min(walk.losses[-1] for walk in walks) < 1e-6
    assert all(len(walk.points) == playground.SEARCH_STEPS + 1 for walk in walks)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_what_others_compute_is_what_the_survey_found(name: str) -> None:
    cls, found = OPTIMIZERS[name], elsewhere.held(OPTIMIZERS[name])
    told = [implementation for names in elsewhere.same(cls).values() for implementation in names]
    told += [implementation for implementation, *_ in elsewhere.others(cls)]
    assert set(told) == {finding["name"] for finding in found}
    shown = [{"name": n, "meaning": about} for n, about, lines in elsewhere.changes(cls) if lines]
    different = [f["explanation"] for f in found if f["verdict"] == "different"]
    departures = [x for why in different if why for x in why["departures"]]
    assert all(x in shown for x in departures if "multiply" not in x["name"])
    assert all(x in departures for x in shown)
    if not found:
        assert "No other library's was held" in optimizer_pages.page(name, cls)


def test_lines_of_departures_are_shown_as_differences() -> None:
    page = optimizer_pages.page("RMSprop", ok.RMSprop)
    assert (
        "- denominator = xp.sqrt(v) + hyper.eps\n   + denominator = xp.sqrt(v + hyper.eps)" in page
    )
    assert "* optax 0." in page
    assert "``keras.optimizers.RMSprop``: ``lr=0.001, alpha=0.9, eps=1e-07``" in page
