"""Optimizers of other libraries held against the rules: what each is known to do otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from optimkit.validation import compare

OPTAX = [
    ("adam", "Adam", {}, None),
    ("adamw", "AdamW", {}, None),
    ("sgd", "SGD", {"momentum": 0.9}, None),
    ("rmsprop", "RMSprop", {}, "eps inside the root"),
    ("adagrad", "Adagrad", {}, "eps inside the root"),
    ("amsgrad", "Adam", {"amsgrad": True}, "maximum after the correction"),
    ("nadam", "NAdam", {}, "momentum without its schedule"),
]


@pytest.mark.parametrize(("name", "rule", "options", "departure"), OPTAX)
def test_optax(name: str, rule: str, options: dict[str, Any], departure: str | None) -> None:
    optax = pytest.importorskip("optax")
    found = compare(getattr(optax, name), rule, quick=True, lr=0.01, **options)
    assert found.kind == "an optax transformation"
    assert found.departure == departure
    assert found.same is (departure is None)
    assert all(f.explained for f in found.findings if f.verdict == "different")


@pytest.mark.parametrize(
    ("name", "rule", "options", "departure"),
    [
        ("Adam", "Adam", {}, "eps-hat"),
        ("SGD", "SGD", {"momentum": 0.9}, "lr before the momentum"),
        ("RMSprop", "RMSprop", {}, "eps inside the root"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # its own
def test_keras(name: str, rule: str, options: dict[str, Any], departure: str | None) -> None:
    keras = pytest.importorskip("keras")
    found = compare(getattr(keras.optimizers, name), rule, quick=True, lr=0.01, **options)
    assert found.kind == "a Keras optimizer"
    assert found.departure == departure


@pytest.mark.parametrize(
    ("name", "rule", "options", "departure"),
    [
        ("Adam", "Adam", {}, "no bias correction"),
        ("SGD", "SGD", {"momentum": 0.9}, None),
        ("Adagrad", "Adagrad", {}, None),
    ],
)
def test_mlx(name: str, rule: str, options: dict[str, Any], departure: str | None) -> None:
    optimizers = pytest.importorskip("mlx.optimizers")
    found = compare(getattr(optimizers, name), rule, quick=True, lr=0.01, **options)
    assert found.kind == "an mlx optimizer"
    assert found.departure == departure


def test_a_transformation_that_has_been_made() -> None:
    optax = pytest.importorskip("optax")
    found = compare(optax.chain(optax.scale_by_adam(), optax.scale(-0.02)), "Adam", quick=True)
    assert found.departure == "lr=0.02"


@pytest.mark.parametrize(
    ("name", "rule", "departure"),
    [("Adam", "Adam", "eps-hat"), ("SGD", "SGD", None)],
)
def test_thinc(name: str, rule: str, departure: str | None) -> None:
    api = pytest.importorskip("thinc.api")

    def made(learn_rate: float = 0.001) -> Any:
        return getattr(api, name)(learn_rate, grad_clip=0.0, use_averages=False)

    found = compare(made, rule, quick=True)
    assert found.kind == "a Thinc optimizer"
    assert found.departure == departure
    assert found.same is (departure is None)


def test_loops_of_autograd() -> None:
    optimizers = pytest.importorskip("autograd.misc.optimizers")
    found = compare(optimizers.rmsprop, "RMSprop", quick=True)
    assert found.kind == "a loop over a gradient"
    assert found.departure == "second moment begins at one"
