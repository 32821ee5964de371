"""Optimizers over arrays of JAX, mlx, tinygrad and NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from optimkit.validation.survey.subject import MOMENTUM, NESTEROV, PROGRAMS, Subject, said


def optax_subjects() -> Iterator[Subject]:
    file, scale = "optax/_src/alias.py", "optax/transforms/_accumulation.py"
    rate = {"lr": 0.01}
    by = "optax/_src/transform.py: scale_by_"
    table: list[tuple[Any, ...]] = [
        ("adam", "Adam", rate, {}, f"{by}adam"),
        ("amsgrad", "Adam", {"amsgrad": True, **rate}, {}, f"{by}amsgrad"),
        ("adamw", "AdamW", rate, {}, f"{by}adam and add_decayed_weights"),
        ("nadam", "NAdam", rate, {}, f"{by}adam, nesterov=True"),
        ("adamax", "Adamax", rate, {}, f"{by}adamax"),
        ("radam", "RAdam", rate, {}, f"{by}radam"),
        ("rmsprop", "RMSprop", rate, {}, f"{by}rms"),
        ("rmsprop", "RMSprop", rate, {"eps_in_sqrt": False}, f"{by}rms"),
        ("rmsprop", "RMSprop", {"centered": True, **rate}, {}, f"{by}stddev"),
        ("rmsprop", "RMSprop", {**MOMENTUM, **rate}, {}, f"{by}rms; {scale}: trace"),
        ("adagrad", "Adagrad", rate, {}, f"{by}rss"),
        ("adadelta", "Adadelta", rate, {}, f"{by}adadelta"),
        ("sgd", "SGD", {**MOMENTUM, **rate}, {}, f"{scale}: trace"),
        ("sgd", "SGD", {**NESTEROV, **rate}, {}, f"{scale}: trace"),
        ("rprop", "Rprop", rate, {}, f"{by}rprop"),
        (
            "adafactor",
            "Adafactor",
            rate,
            {"min_dim_size_to_factor": 0},
            "optax/_src/factorized.py: scale_by_factored_rms",
        ),
        ("contrib.muon", "Muon", rate, {}, "optax/contrib/_muon.py: scale_by_muon"),
    ]
    notes = {
        "adafactor": "matrices with a side below 128 are not factored by default",
        "contrib.muon": "what is no matrix gets its adamw",
    }
    for name, rule, options, own, source in table:
        words = said({k: v for k, v in options.items() if k not in rate} | own)
        home, _, function = f"optax.{name}".rpartition(".")
        yield Subject(
            "optax",
            f"optax.{name}{words}",
            rule,
            f"{home}:{function}",
            source if "/" in source and name in notes else f"{source}; {file}: {name}",
            options,
            own,
            notes.get(name, ""),
        )


def jax_subjects() -> Iterator[Subject]:
    table: list[tuple[Any, ...]] = [
        ("adam", "Adam", {"lr": 0.01}),
        ("adamax", "Adamax", {"lr": 0.01}),
        ("rmsprop", "RMSprop", {"lr": 0.01}),
        ("rmsprop_momentum", "RMSprop", {"lr": 0.01, "momentum": 0.9}),
        ("adagrad", "Adagrad", {"lr": 0.01}, {"momentum": 0.0}),
        ("momentum", "SGD", {"lr": 0.01, **MOMENTUM}),
        ("nesterov", "SGD", {"lr": 0.01, **NESTEROV}),
    ]
    note = "its own default is momentum=0.9, an average of the steps that the rule does not have"
    for name, rule, options, *more in table:
        own = more[0] if more else {}
        yield Subject(
            "jax",
            f"jax.example_libraries.optimizers.{name}{said(own)}",
            rule,
            f"jax.example_libraries.optimizers:{name}",
            f"jax/example_libraries/optimizers.py: {name}",
            options,
            own,
            note if own else "",
        )


def mlx_subjects() -> Iterator[Subject]:
    file = "mlx/optimizers/optimizers.py: "
    table: list[tuple[Any, ...]] = [
        ("Adam", "Adam", {}, {}),
        ("Adam", "Adam", {}, {"bias_correction": True}),
        ("AdamW", "AdamW", {}, {}),
        ("AdamW", "AdamW", {}, {"bias_correction": True}),
        ("SGD", "SGD", MOMENTUM, {}),
        ("SGD", "SGD", NESTEROV, {}),
        ("SGD", "SGD", {**MOMENTUM, "dampening": 0.5}, {}),
        ("RMSprop", "RMSprop", {}, {}),
        ("Adagrad", "Adagrad", {}, {}),
        ("AdaDelta", "Adadelta", {}, {}),
        ("Adamax", "Adamax", {}, {}),
    ]
    for name, rule, options, own in table:
        yield Subject(
            "mlx",
            f"mlx.optimizers.{name}{said({**options, **own})}",
            rule,
            f"mlx.optimizers:{name}",
            f"{file}{name}.apply_single",
            {"lr": 0.01, **options},
            own,
            single=True,
        )


def tinygrad_subjects() -> Iterator[Subject]:
    file = "tinygrad/nn/optim.py: "
    table: list[tuple[Any, ...]] = [
        ("Adam", "Adam", {}, {}, "LAMB._step, adam=True"),
        ("AdamW", "AdamW", {}, {}, "LAMB._step, adam=True"),
        ("SGD", "SGD", MOMENTUM, {}, "LARS._step, tcoef=0"),
        ("SGD", "SGD", NESTEROV, {}, "LARS._step, tcoef=0"),
        ("SGD", "SGD", MOMENTUM, {"classic": True}, "LARS._step, tcoef=0"),
    ]
    for name, rule, options, own, function in table:
        yield Subject(
            "tinygrad",
            f"tinygrad.nn.optim.{name}{said({**options, **own})}",
            rule,
            f"tinygrad.nn.optim:{name}",
            file + function,
            options,
            own,
            quick=True,
            single=True,
        )


def thinc_subjects() -> Iterator[Subject]:
    own = {"grad_clip": 0.0, "use_averages": False}
    note = "its clipping of gradients to norm 1, which is on unless told otherwise, is switched off"
    file = "thinc/optimizers.py: Optimizer."
    kernel = "; thinc/backends/numpy_ops.pyx: _adam_momentum"
    table: list[tuple[Any, ...]] = [
        ("Adam", "Adam", {}, {}, f"_adam{kernel}"),
        ("Adam", "AdamW", {"weight_decay": 0.01}, {}, f"__call__ and _adam{kernel}"),
        (
            "Adam",
            "Adam",
            {"weight_decay": 0.01},
            {"L2_is_weight_decay": False},
            f"__call__ and _adam{kernel}",
        ),
        ("RAdam", "RAdam", {}, {}, "_radam"),
        ("SGD", "SGD", {"lr": 0.01}, {}, "__call__"),
    ]
    for name, rule, options, more, function in table:
        decay = {"L2": 0.01} if "weight_decay" in options else {}
        yield Subject(
            "thinc",
            f"thinc.api.{name}{said({**decay, **more})}",
            rule,
            f"thinc.optimizers:{name}",
            file + function,
            options,
            {**own, **more},
            note,
            single=True,
        )


def scikit_learn_subjects() -> Iterator[Subject]:
    module = "sklearn.neural_network._stochastic_optimizers"
    file = "sklearn/neural_network/_stochastic_optimizers.py: "
    table: list[tuple[Any, ...]] = [
        ("AdamOptimizer", "Adam", {}),
        ("SGDOptimizer", "SGD", {**MOMENTUM, "nesterov": False}),
        ("SGDOptimizer", "SGD", NESTEROV),
    ]
    for name, rule, options in table:
        words = said({k: v for k, v in options.items() if k == "nesterov"})
        yield Subject(
            "scikit-learn",
            f"MLPClassifier's {name}{words}",
            rule,
            f"{module}:{name}",
            f"{file}{name}._get_updates",
            options,
        )


def autograd_subjects() -> Iterator[Subject]:
    options: dict[str, dict[str, Any]] = {"adam": {}, "rmsprop": {}, "sgd": MOMENTUM}
    for name, rule in (("adam", "Adam"), ("rmsprop", "RMSprop"), ("sgd", "SGD")):
        yield Subject(
            "autograd",
            f"autograd.misc.optimizers.{name}",
            rule,
            f"autograd.misc.optimizers:{name}",
            f"autograd/misc/optimizers.py: {name}",
            options[name],
            note="its velocity collects (1 - mass) g" if name == "sgd" else "",
        )


def chainer_subjects() -> Iterator[Subject]:
    table: list[tuple[Any, ...]] = [
        ("Adam", "Adam", {}, "adam"),
        ("AMSGrad", "Adam", {"amsgrad": True}, "adam"),
        ("AdamW", "AdamW", {"weight_decay": 0.01}, "adam"),
        ("MomentumSGD", "SGD", MOMENTUM, "momentum_sgd"),
        ("NesterovAG", "SGD", NESTEROV, "nesterov_ag"),
        ("RMSprop", "RMSprop", {}, "rmsprop"),
        ("RMSpropGraves", "RMSprop", {"centered": True, **MOMENTUM}, "rmsprop_graves"),
        ("AdaGrad", "Adagrad", {}, "ada_grad"),
        ("AdaDelta", "Adadelta", {}, "ada_delta"),
    ]
    for name, rule, options, file in table:
        yield Subject(
            "chainer",
            f"chainer.optimizers.{name}",
            rule,
            f"{PROGRAMS}:chainer.{name}",
            f"chainer/optimizers/{file}.py: {name}Rule.update_core_cpu",
            options,
            note="always centered and with momentum=0.9" if name == "RMSpropGraves" else "",
        )
