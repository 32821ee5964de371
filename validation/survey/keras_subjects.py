"""Optimizers of Keras and TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from optimkit.validation.survey.subject import MOMENTUM, NESTEROV, Subject, said


def keras_subjects() -> Iterator[Subject]:
    table: list[tuple[Any, ...]] = [
        ("Adam", "Adam", {}, {}),
        ("Adam", "Adam", {"amsgrad": True}, {}),
        ("AdamW", "AdamW", {}, {}),
        ("SGD", "SGD", MOMENTUM, {}),
        ("SGD", "SGD", NESTEROV, {}),
        ("RMSprop", "RMSprop", {}, {}),
        ("RMSprop", "RMSprop", {"centered": True, **MOMENTUM}, {}),
        ("Adagrad", "Adagrad", {"initial_accumulator_value": 0.0, "eps": 1e-5}, {}),
        ("Adadelta", "Adadelta", {}, {}),
        ("Adamax", "Adamax", {}, {}),
        ("Nadam", "NAdam", {}, {}),
        ("Adafactor", "Adafactor", {}, {}),
        ("Muon", "Muon", {}, {}),
    ]
    notes = {
        "Adagrad": "where its ε is cannot be seen with its defaults, 1e-7 and sums that begin "
        "at 0.1",
        "Muon": "what is no matrix gets its Adam",
    }
    for backend in ("jax", "torch", "tensorflow"):
        for name, rule, options, own in table:
            file = f"keras/src/optimizers/{name.lower()}.py: {name}.update_step"
            other = "keras/src/backend/torch/optimizers/torch_"
            over = f"; {other}{name.lower()}.py" if backend == "torch" else ""
            yield Subject(
                f"keras-{backend}", f"keras.optimizers.{name}{said(options)}", rule,
                f"keras.optimizers:{name}", file.replace("adamw.py: AdamW", "adam.py: Adam") + over,
                options, own, notes.get(name, ""), quick=True, single=name == "Adafactor",
            )  # fmt: skip


def tensorflow_subjects() -> Iterator[Subject]:
    kernel = "tensorflow/core/kernels/training_ops.cc: Apply"
    table: list[tuple[Any, ...]] = [
        ("AdamOptimizer", "Adam", {}, {}, "Adam"),
        ("MomentumOptimizer", "SGD", {"lr": 0.01, **MOMENTUM}, {}, "Momentum"),
        ("MomentumOptimizer", "SGD", {"lr": 0.01, **NESTEROV}, {}, "Momentum"),
        ("GradientDescentOptimizer", "SGD", {"lr": 0.01}, {}, "GradientDescent"),
        ("RMSPropOptimizer", "RMSprop", {"lr": 0.01, "eps": 1e-6}, {}, "RMSProp"),
        (
            "RMSPropOptimizer",
            "RMSprop",
            {"lr": 0.01, "eps": 1e-6, "centered": True},
            {},
            "CenteredRMSProp",
        ),
        ("AdagradOptimizer", "Adagrad", {"lr": 0.01}, {}, "Adagrad"),
        ("AdadeltaOptimizer", "Adadelta", {}, {}, "Adadelta"),
    ]
    notes = {
        "RMSPropOptimizer": "where its ε is shows late with its default of 1e-10",
        "AdagradOptimizer": "it has no ε, which cannot be seen while the sums begin at 0.1",
    }
    for name, rule, options, own, operation in table:
        words = said({k: v for k, v in options.items() if k != "lr"})
        yield Subject(
            "tensorflow",
            f"tf.compat.v1.train.{name}{words}",
            rule,
            f"tensorflow.compat.v1.train:{name}",
            f"{kernel}{operation}",
            options,
            own,
            notes.get(name, ""),
        )
