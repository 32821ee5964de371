"""``optimkit list`` and ``optimkit explain``: all that is public, and what is said is so."""

from __future__ import annotations

import doctest
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from conftest import assert_same_bits

import optimkit as ok
from optimkit.validation import cli
from optimkit.validation.explain import curves, explain, formulas, listing, subjects

cells = pytest.importorskip("rich.cells", reason="the commands print with rich")

OPTIMIZERS, SCHEDULERS = subjects.optimizers(), subjects.schedulers()
FUSED = [name for name, cls in OPTIMIZERS.items() if subjects.why_eager(cls, {}) is None]


@pytest.fixture(params=[80, 120])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("COLUMNS", str(request.param))
    return int(request.param)


def run(command: str, *arguments: str) -> int:
    try:
        return cli.main([command, *arguments])
    except SystemExit as end:
        return int(end.code or 0)


# ---------------------------------------------------------------------- formulas


@pytest.mark.parametrize(
    ("tex", "text"),
    [
        (r"\beta_1^t", "β₁ᵗ"),
        (r"m_{t-1}", "mₜ₋₁"),
        (r"\frac{a}{b}", "a / b"),
        (r"\frac{a + 1}{b\, c}\, x", "(a + 1) / (b c) · x"),
        (r"\frac{\frac{a}{b}}{c}", "(a / b) / c"),
        (r"x \frac{a}{b} + 1", "x a / b + 1"),
        (r"\sqrt{v}", "√v"),
        (r"\sqrt{v_t / n}", "√(vₜ / n)"),
        (r"\hat m_t + \bar\theta", "m̂ₜ + θ̄"),
        (r"0.96^{t \psi}", "0.96^(t ψ)"),
        (r"\nu_\infty - x", "ν_∞ - x"),
        (r"\Delta_{\max}", "Δₘₐₓ"),
        (r"U \Sigma V^\top", "U Σ Vᵀ"),
        (r"\lVert M \rVert_F", "‖M‖_F"),
        (r"\max\big(1, \mathrm{RMS}(U)\big)", "max(1, RMS(U))"),
        (r"\theta \leftarrow 0", "θ ← 0"),
        (r"\unknown{x} y", r"\unknownx y"),
    ],
)
def test_formulas_become_text(tex: str, text: str) -> None:
    assert formulas.inline(tex) == text


def test_equations_are_aligned_and_folded() -> None:
    tex = r"x &= a, \qquad y_1 = b \\ long &= " + " + ".join(["term"] * 12)
    first, second, third, fourth = formulas.display(tex, 50)
    assert {line.index("=") for line in (first, second, third)} == {5}
    assert fourth.strip().startswith("+ term")
    assert max(map(len, (third, fourth))) <= 50


def test_cases_are_laid_out() -> None:
    tex = r"f(\begin{cases} 1 & x > 0 \\ 10 & x < 0 \\ 0 & \text{otherwise} \end{cases}, b)"
    top, middle, bottom = formulas.display(tex)
    assert top.strip() == "⎧ 1    if x > 0"
    assert middle == "f(⎨ 10   if x < 0  , b)"
    assert bottom.strip() == "⎩ 0    otherwise"


def test_doctests() -> None:
    for module in (curves, explain, formulas, listing, subjects):
        assert doctest.testmod(module).failed == 0


# ---------------------------------------------------------------------- list


def test_the_public_names_are_known() -> None:
    public = {name: getattr(ok, name) for name in ok.__all__}
    classes = {name: value for name, value in public.items() if isinstance(value, type)}
    wanted = {name for name, value in classes.items() if issubclass(value, ok.Optimizer)}
    assert set(OPTIMIZERS) == wanted - {"Optimizer"}
    assert set(SCHEDULERS) >= {name for name in ok.lr_scheduler.__all__ if name[0].isupper()}


def test_list(width: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "--json", str(tmp_path / "list.json")) == 0
    shown = capsys.readouterr().out
    rows = {row["name"]: row for row in json.loads((tmp_path / "list.json").read_text())}
    assert list(rows) == list(OPTIMIZERS)
    for name, row in rows.items():
        assert re.search(rf"│ {name} ", shown)
        assert row["paper"], f"{name} names no source"
        assert row["fused"] is (name in FUSED)
    assert rows["Adam"]["state"] == ["step", "exp_avg", "exp_avg_sq"]
    assert rows["Adam"]["state_with_options"] == ["max_exp_avg_sq"]
    assert max(map(len, shown.splitlines())) <= width


def test_list_schedulers(width: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "--schedulers", "--json", str(tmp_path / "list.json")) == 0
    shown = capsys.readouterr().out
    rows = {row["name"]: row for row in json.loads((tmp_path / "list.json").read_text())}
    assert list(rows) == list(SCHEDULERS)
    assert all(name in shown for name in rows)
    cycled = {name for name, row in rows.items() if row["momentum"]}
    assert cycled == {"CyclicLR", "OneCycleLR"}
    assert max(map(len, shown.splitlines())) <= width


def test_fused_or_eager_is_found_by_tracing() -> None:
    class Normalized(ok.Optimizer):
        def __init__(self, params: Any, lr: float = 0.1, norm: bool = False) -> None:
            super().__init__(params, dict(lr=lr, norm=norm))

        @staticmethod
        def update(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
            scale = xp.sum(grad * grad) if hyper.norm else 1
            return param - hyper.lr * grad / scale, {}

    assert subjects.why_eager(Normalized, {}) is None
    assert "sum" in (subjects.why_eager(Normalized, {"norm": True}) or "")


# ---------------------------------------------------------------------- explain


@pytest.mark.parametrize("name", [*OPTIMIZERS, *SCHEDULERS])
def test_everything_is_explained(name: str, width: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", name.lower()) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(name)
    words = re.sub(r"\nRule .*?\nEngines", "", shown, flags=re.DOTALL)
    assert not re.findall(r"\\[A-Za-z]+|:math:|``|\]_", words), "LaTeX or markup is left"
    assert max(map(cells.cell_len, words.splitlines())) <= width
    for option in subjects.options_of({**OPTIMIZERS, **SCHEDULERS}[name]):
        assert re.search(rf"^  {re.escape(option)}\b", shown, re.MULTILINE), f"{option} is missing"
    if name in OPTIMIZERS:
        assert all(f"\n{part}" in shown for part in ("Formula", "State", "Rule", "References"))
        assert "def " in shown


def test_state_follows_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", "Adam", "--option", "amsgrad=True", "--dtype", "float64") == 0
    assert re.search(r"max_exp_avg_sq +\(3, 5\) +float64", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("name", "options", "dtype", "at"),
    [(name, {}, "float32", subjects.ALL_BEGUN) for name in FUSED]
    + [
        ("Adam", {"amsgrad": True, "weight_decay": 0.1}, "float64", 3),
        ("SGD", {"momentum": 0.9, "nesterov": True}, "float64", 1),
        ("RAdam", {}, "float64", 1),
        ("RMSprop", {"centered": True, "momentum": 0.9}, "float32", 2),
    ],
)
def test_the_raw_kernel_gives_the_eager_bits(
    name: str,
    options: dict[str, Any],
    dtype: str,
    at: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("numba", reason="optimkit[fused] is not installed")
    pairs = [f"{key}={value}" for key, value in options.items()]
    arguments = [
        "--raw",
        "--dtype",
        dtype,
        "--at",
        str(at),
        *(["--option", *pairs] if pairs else []),
    ]
    assert run("explain", name, "--kernel", "numba", *arguments) == 0
    text, error = capsys.readouterr()
    assert not error
    kernel = ModuleType("kernel")
    exec(compile(text, "kernel", "exec"), kernel.__dict__)

    trial = subjects.Trial(OPTIMIZERS[name], options, dtype)
    for _ in range(at - 1):
        trial.step()
    traced = trial.trace(at)
    columns = {"param": trial.param, "grad": trial.gradient(), **trial.state()}
    program = traced.program
    given = [np.array(columns[key]) for key in program.inputs]
    given += [np.empty_like(trial.param) for _ in program.new_state]
    table = np.array([[x.ctypes.data] for x in given], np.int64)
    slots = np.array([traced.slots], dtype)
    kernel.serial(table, np.array([[0, 0, trial.param.size, 0]], np.int64), slots)  # type: ignore[attr-defined]

    trial.step()
    results = dict(zip(program.inputs + program.new_state, given, strict=True))
    assert_same_bits(results.pop("param"), trial.param, name)
    results.pop("grad")
    for key, value in results.items():
        assert_same_bits(value, trial.state()[key], f"{name}: {key}")


def test_the_pretty_kernel_says_what_its_forms_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", "RAdam", "--kernel", "numba") == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "def serial(table, chunks, slots):" in shown
    assert "takes 2 forms, each with a kernel of its own, from steps 1, 6 on" in shown


# ---------------------------------------------------------------------- curves


@pytest.mark.parametrize(("name", "panels"), [("CosineAnnealingLR", 1), ("OneCycleLR", 2)])
def test_plot(name: str, panels: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = pytest.importorskip("matplotlib.image", reason="matplotlib is not installed")
    file = tmp_path / "curve.png"
    assert run("explain", name, "--plot", str(file), "--steps", "60") == 0
    assert str(file.name) in "".join(capsys.readouterr().out.split())
    assert file.read_bytes().startswith(b"\x89PNG")
    pixels = image.imread(file)[..., :3]
    assert pixels.shape[0] > 500 * panels * 0.7
    blue = (pixels[..., 2] - pixels[..., 0] > 0.3).any(0)
    brown = (pixels[..., 0] - pixels[..., 2] > 0.3).any(0)
    assert blue.mean() > 0.8, "the learning rate is not drawn from left to right"
    assert bool(brown.mean() > 0.8) is (panels == 2)


@pytest.mark.parametrize("name", [*SCHEDULERS])
def test_curves_are_those_of_the_closed_form(name: str) -> None:
    shown = curves.curve(SCHEDULERS[name], 40)
    if name == "LRScheduler":
        assert shown is None
        return
    assert shown is not None
    assert len(shown.lrs) == (40 if name == "OneCycleLR" else 41)
    assert len(set(shown.lrs)) > 1, "the example shows nothing"
    chart = curves.chart(shown.lrs, 78)
    assert "█" in chart[0]
    assert max(map(len, chart)) <= 78


def test_curve_follows_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    shown = curves.curve(SCHEDULERS["CosineAnnealingLR"], 50, {"T_max": 50, "eta_min": 0.01})
    assert shown is not None
    closed = [ok.lr_scheduler.schedules.cosine(t, 0.1, 50, 0.01) for t in range(51)]
    np.testing.assert_allclose(shown.lrs, closed, rtol=1e-12)
    assert shown.lrs[-1] == min(shown.lrs) == 0.01
    default = curves.curve(SCHEDULERS["CosineAnnealingLR"])
    assert default is not None
    assert (default.lrs[-1], len(default.lrs)) == (0.0, 101)
    assert run("explain", "StepLR", "--option", "step_size=7", "gamma=0.5") == 0
    assert "StepLR(step_size=7, gamma=0.5)" in capsys.readouterr().out


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["Adm"], 2, "did you mean Adam"),
        (["qqqqqqq"], 2, "optimkit list"),
        (["Adam", "--option", "amsgrd=True"], 2, "did you mean amsgrad"),
        (["Adam", "--option", "lr=-1"], 2, "at least 0"),
        (["Adam", "--at", "0"], 2, "at least 1"),
        (["Adam", "--plot", "x.png"], 1, "is an optimizer"),
        (["LBFGS", "--kernel", "numba"], 1, "not elementwise"),
        (["LBFGS", "--raw"], 1, "not elementwise"),
        (["StepLR", "--raw"], 1, "no kernel"),
        (["LRScheduler", "--plot", "x.png"], 1, "no curve"),
        (["SequentialLR", "--option", "milestones=[3]"], 2, "fixed example"),
        (["CosineAnnealingLR", "--option", "T_max=0"], 2, "at least 1"),
        (["StepLR", "--plot", "/no/such/folder/x.png"], 2, "no folder /no/such/folder"),
        (["StepLR", "--plot", "x.txt"], 1, "must end in .png"),
    ],
)
def test_refusals(
    arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if "x.txt" in arguments:
        pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    assert run("explain", *arguments) == status
    assert message in capsys.readouterr().err


def test_a_missing_matplotlib_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert run("explain", "StepLR", "--plot", "x.png") == 1
    assert "pip install 'optimkit[docs]'" in capsys.readouterr().err


# ---------------------------------------------------------------------- of one's own

OWN = """
import optimkit as ok
from optimkit.options import given, non_negative


class Lion(ok.Optimizer):
    limits = {"lr": non_negative}

    def __init__(self, params, lr=1e-4, beta=0.9, nesterov=False, *, fused=None):
        super().__init__(params, given(locals()))

    @staticmethod
    def init(xp, param, hyper):
        return {"exp_avg": xp.zeros_like(param)}

    @staticmethod
    @ok.pure
    def update(xp, param, grad, state, hyper, step):
        m = hyper.beta * state["exp_avg"] + grad
        return param - hyper.lr * xp.sign(m), {"exp_avg": m}


class Adam(Lion):
    "Named like another."


class Free(ok.Optimizer):
    def __init__(self, params, lr=0.1, **options):
        super().__init__(params, dict(lr=lr, **options))

    @staticmethod
    def update(xp, param, grad, state, hyper, step):
        return param - hyper.lr * grad, state


class Late(Lion):
    @staticmethod
    def update(xp, param, grad, state, hyper, step):
        if step == 7:
            raise KeyError("late")
        return param - hyper.lr * grad, state


class Missing(Lion):
    @staticmethod
    def update(xp, param, grad, state, hyper, step):
        return param - state["nothing"], state


class Norm(Lion):
    @staticmethod
    def update(xp, param, grad, state, hyper, step):
        return param - grad / xp.sum(grad * grad), state


class Empty(ok.Optimizer):
    pass


class Half(ok.lr_scheduler.LRScheduler):
    "Half the rate at each step."

    def get_lr(self):
        return [0.5**self.last_epoch * rate for rate in self.base_lrs]


class Broken(Half):
    def get_lr(self):
        return self.nothing


def plain(param, grad):
    return param - grad
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_rules.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setitem(sys.modules, "own_rules", ModuleType("own_rules"))  # as another's file


@pytest.mark.usefixtures("own")
def test_a_rule_of_ones_own_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", "own_rules.py:Lion", "--kernel", "numba") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "lr 0.0001 at least 0 beta 0.9 nesterov False" in said
    assert "exp_avg (3, 5) float32" in said
    assert "Rule own_rules.py, line 16 @staticmethod" in said
    assert "operations, which run as one loop" in said
    assert "A rule of your own" in said
    assert "Kernel for numba, float32" in said
    assert "Formula" not in said


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("kernel", explain.kernels())
def test_the_kernel_of_a_rule_of_ones_own(kernel: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", "own_rules.py:Lion", "--kernel", kernel, "--raw") == 0
    assert "exp_avg" in capsys.readouterr().out


@pytest.mark.usefixtures("own")
def test_nothing_of_torchs_is_claimed_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", "own_rules.py:Adam") == 0
    said = capsys.readouterr().out
    assert said.startswith("Adam  Named like another.")
    assert "configurations" not in said
    assert run("explain", "own_rules.py:Half") == 0
    said = capsys.readouterr().out
    assert said.startswith("Half  Half the rate at each step.")
    assert "█" in said
    assert "Parity" not in said


@pytest.mark.usefixtures("own")
def test_options_that_a_class_hands_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", "own_rules.py:Free", "--option", "lr=-1", "weight_decay=0.5") == 0
    out, error = capsys.readouterr()
    assert "State with lr=-1, weight_decay=0.5" in out
    assert error == ""


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["own_rules.py"], 2, "own_rules.py names no class; give FILE.py:NAME"),
        (["own_rules.py:"], 2, "names no class; give FILE.py:NAME"),
        (["own_rules.py:Lin"], 2, "has nothing called Lin; did you mean Lion"),
        (["own_rule.py:Lion"], 2, "no file own_rule.py; did you mean own_rules.py?"),
        (["own_rules.py:plain"], 2, "is no class that derives from optimkit.Optimizer"),
        (["own_rules.py:given"], 2, "is no class that derives from optimkit.Optimizer"),
        (["own_rules.py:Empty"], 2, "Empty defines no update(xp, param, grad, state, hyper, step)"),
        (["own_rules.py:Lion", "--option", "lr=-1"], 2, "invalid lr: -1; it must be a number of"),
        (["own_rules.py:Lion", "--option", "lrr=1"], 2, "no NAME=VALUE of Lion; did you mean lr"),
        (["own_rules.py:Free", "--option", "=1"], 2, "no NAME=VALUE of Free; there are lr"),
        (["own_rules.py:Lion", "--option", "nesterov=2"], 2, "nesterov is True or False, not 2"),
        (["own_rules.py:Late"], 2, "own_rules.py, line 40: KeyError: 'late'"),
        (["own_rules.py:Missing"], 2, "own_rules.py, line 47: KeyError: 'nothing'"),
        (["own_rules.py:Norm", "--raw"], 1, "its rule is not elementwise (xp.sum)"),
        (["own_rules.py:Broken"], 2, "own_rules.py, line 69: AttributeError: 'Broken' object has"),
    ],
)
def test_refusals_of_ones_own(
    arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("explain", *arguments) == status
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
