"""A step that fails, whatever in it fails, has changed nothing, and the next one goes on."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
from conftest import assert_same_bits
from forms import frozen
from libraries import STEPPING, Library

import optimkit as ok

SHAPES = [(1,), (2, 2), (3,), (4,), (5,)]


def everything(opt: ok.Optimizer) -> Any:
    """Contents, and which objects hold them."""
    params = [param for group in opt.param_groups for param in group["params"]]
    known = [opt.state.get(param, {}) for param in params]
    held = [[(k, id(v)) for k, v in state.items() if hasattr(v, "shape")] for state in known]
    dicts = [id(opt.state[param]) if param in opt.state else None for param in params]
    return frozen(opt), len(opt.state), dicts, held, list(map(id, opt.param_groups))


def starts() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype("float32") for shape in SHAPES]


def gradients(step: int) -> list[np.ndarray]:
    rng = np.random.default_rng(100 + step)
    return [rng.standard_normal(shape).astype("float32") for shape in SHAPES]


def assert_alike(opt: ok.Optimizer, twin: ok.Optimizer) -> None:
    for group, other in zip(opt.param_groups, twin.param_groups, strict=True):
        for param, same in zip(group["params"], other["params"], strict=True):
            assert_same_bits(param, same)
            state, expected = opt.state[param], twin.state[same]
            assert state.keys() == expected.keys()
            for name, value in expected.items():
                if hasattr(value, "shape"):
                    assert_same_bits(state[name], value, name)
                else:
                    assert state[name] == value, name


# ---------------------------------------------------------------- a rule that raises


class Fragile(ok.Optimizer):
    """Momentum that raises at one shape, where its group says so and until it is mended."""

    broken: ClassVar[bool] = False

    def __init__(self, params: Any, lr: float = 0.1, fragile: bool = True, **options: Any) -> None:
        super().__init__(params, dict(lr=lr, fragile=fragile, **options))

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        return {"buffer": xp.zeros_like(param), "count": 0}

    @staticmethod
    def update(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
        # Looking at a shape is not traceable, so no engine fuses this.
        if hyper.fragile and tuple(param.shape) == (3,) and Fragile.broken:
            raise ArithmeticError("this shape is not for me")
        buffer = 0.9 * state["buffer"] + grad
        late = {"late": grad * 2.0} if step > 1 else {}
        return param - hyper.lr * buffer, {"buffer": buffer, "count": state["count"] + 1, **late}


@pytest.mark.parametrize("library", STEPPING, indirect=True)
@pytest.mark.parametrize("fragile", ["both groups", "the second group"])
@pytest.mark.parametrize("cut", [2, 4], ids=["first of its group", "third of its group"])
@pytest.mark.parametrize("warm", [0, 1, 3])
def test_a_rule_that_raises_at_the_third_of_five(
    engine: str,
    library: Library,
    fragile: str,
    cut: int,
    warm: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def made() -> ok.Optimizer:
        params = list(map(library.param, starts()))
        first = fragile == "both groups" or cut == 4
        return Fragile(
            [{"params": params[:cut], "fragile": first}, {"params": params[cut:], "lr": 0.5}]
        )

    opt, twin = made(), made()
    for step in range(warm):
        for each in (opt, twin):
            library.step(each, gradients(step))
    before = everything(opt)
    monkeypatch.setattr(Fragile, "broken", True)
    for _ in range(2):
        with pytest.raises(ArithmeticError, match="not for me"):
            library.step(opt, gradients(50))
        assert everything(opt) == before
    monkeypatch.setattr(Fragile, "broken", False)
    for step in range(warm, warm + 3):
        for each in (opt, twin):
            library.step(each, gradients(step))
        assert_alike(opt, twin)
    assert opt.step_count == twin.step_count == warm + 3


def test_an_init_that_raises_leaves_no_state(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Unready(Fragile):
        @staticmethod
        def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
            if tuple(param.shape) == (3,) and Fragile.broken:
                raise ArithmeticError("not yet")
            return Fragile.init(xp, param, hyper)

    opt, twin = Unready(starts()), Unready(starts())
    before = everything(opt)
    monkeypatch.setattr(Fragile, "broken", True)
    with pytest.raises(ArithmeticError, match="not yet"):
        opt.step(grads=gradients(0))
    assert everything(opt) == before
    assert len(opt.state) == 0
    monkeypatch.setattr(Fragile, "broken", False)
    for each in (opt, twin):
        each.step(grads=gradients(0))
    assert_alike(opt, twin)


# ---------------------------------------------------------------- options that cannot be used

HUGE = 10**400  # a number, but none that an array can be multiplied by
OPTIONS: list[tuple[str, dict[str, Any], str, Any]] = [
    ("SGD", dict(lr=0.1, momentum=0.9), "lr", HUGE),
    ("SGD", dict(lr=0.1, momentum=0.9), "momentum", HUGE),
    ("SGD", dict(lr=0.1), "weight_decay", HUGE),
    ("Adam", {}, "betas", (0.9, 0.99, 0.999)),
    ("Adam", {}, "betas", (0.9,)),
    ("Adam", {}, "lr", HUGE),
    ("Adam", {}, "eps", HUGE),
    ("AdamW", {}, "betas", (0.9, 0.99, 0.999)),
    ("AdamW", {}, "weight_decay", HUGE),
    ("Adamax", {}, "betas", (0.9, 0.99, 0.999)),
    ("Adamax", {}, "lr", HUGE),
    ("NAdam", {}, "betas", (0.9, 0.99, 0.999)),
    ("NAdam", {}, "lr", HUGE),
    ("RAdam", {}, "betas", (0.9, 0.99, 0.999)),
    ("RAdam", {}, "lr", HUGE),
    ("Adagrad", {}, "lr", HUGE),
    ("Adagrad", {}, "lr_decay", HUGE),
    ("Adadelta", {}, "rho", HUGE),
    ("Adadelta", {}, "lr", HUGE),
    ("RMSprop", dict(momentum=0.9, centered=True), "lr", HUGE),
    ("RMSprop", dict(momentum=0.9, centered=True), "alpha", HUGE),
    ("RMSprop", dict(momentum=0.9, centered=True), "momentum", HUGE),
    ("Rprop", {}, "etas", (0.5, 1.2, 1.3)),
    ("Rprop", {}, "etas", (0.5, HUGE)),
    ("Rprop", {}, "step_sizes", (1e-6, 50, 60)),
    ("Rprop", {}, "step_sizes", (1e-6, HUGE)),
    ("ASGD", {}, "lr", HUGE),
    ("ASGD", {}, "lambd", HUGE),
    ("Adafactor", {}, "eps", (None, 1e-3, 1e-4)),
    ("Adafactor", {}, "d", HUGE),
]
FROM_THE_SECOND_STEP = {("SGD", "momentum"), ("Adagrad", "lr_decay")}


@pytest.mark.parametrize("place", [0, 1], ids=["first group", "second group"])
@pytest.mark.parametrize("warm", [0, 1, 12])
@pytest.mark.parametrize(
    ("name", "options", "option", "value"),
    OPTIONS,
    ids=[f"{n}, {o}={v}".replace(str(HUGE), "huge") for n, _, o, v in OPTIONS],
)
def test_an_option_that_the_rule_cannot_compute_with(
    engine: str, name: str, options: dict[str, Any], option: str, value: Any, warm: int, place: int
) -> None:
    if warm == 0 and (name, option) in FROM_THE_SECOND_STEP:
        pytest.skip(f"the first step does without {option}")

    def made() -> ok.Optimizer:
        params = starts()
        rule = getattr(ok, name)
        made: ok.Optimizer = rule([{"params": params[:2]}, {"params": params[2:]}], **options)
        return made

    opt, twin = made(), made()
    for step in range(warm):
        for each in (opt, twin):
            each.step(grads=gradients(step))
    good = opt.param_groups[place][option]
    opt.param_groups[place][option] = value
    before = everything(opt)
    with pytest.raises((ArithmeticError, TypeError, ValueError)):
        opt.step(grads=gradients(50))
    assert everything(opt) == before
    opt.param_groups[place][option] = good
    for step in range(warm, warm + 2):
        for each in (opt, twin):
            each.step(grads=gradients(step))
        assert_alike(opt, twin)


@pytest.mark.parametrize("value", [10**18, -(10**18)])
def test_a_power_that_would_take_for_ever(engine: str, value: int) -> None:
    x = np.ones((3, 3), np.float32)
    opt = ok.Adafactor([x])
    opt.step(grads=[np.ones_like(x)])
    before = x.copy()
    opt.param_groups[0]["beta2_decay"] = value
    if value < 0:
        opt.step(grads=[np.ones_like(x)])
        return
    with pytest.raises(ValueError, match="Adafactor: invalid beta2_decay"):
        opt.step(grads=[np.ones_like(x)])
    assert_same_bits(x, before)
