"""Optimizers by torch's protocol: torch's, and those of libraries upon it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from optimkit.validation.survey.subject import MOMENTUM, NESTEROV, PROGRAMS, Subject, said


def torch_subjects() -> Iterator[Subject]:
    rules: list[tuple[str, dict[str, Any]]] = [
        ("Adam", {}),
        ("Adam", {"amsgrad": True}),
        ("Adam", {"weight_decay": 0.01}),
        ("AdamW", {}),
        ("SGD", MOMENTUM),
        ("SGD", NESTEROV),
        ("RMSprop", {}),
        ("RMSprop", {"centered": True, **MOMENTUM}),
        ("Adagrad", {}),
        ("Adadelta", {}),
        ("Adamax", {}),
        ("NAdam", {}),
        ("RAdam", {}),
        ("Rprop", {}),
        ("ASGD", {}),
        ("Adafactor", {}),
    ]
    resume = "`load_state_dict` makes `mu_product`, a float32 number, one of float64, after which "
    note = {"NAdam": f"{resume}a run in float64 goes on with other digits"}
    for rule, options in rules:
        source = f"torch/optim/{rule.lower()}.py"
        words = "".join(
            f", {name}" if v is True else f", {name}={v}" for name, v in options.items()
        )
        ways: dict[str, tuple[str, dict[str, Any]]] = {
            "for-loop": ("_single_tensor_", {"foreach": False})
        }
        if not options:
            ways["foreach"] = ("_multi_tensor_", {"foreach": True})
        if (rule in ("Adam", "AdamW", "Adagrad") and not options) or options == MOMENTUM:
            ways["fused"] = ("_fused_", {"fused": True})
        for way, (prefix, own) in ways.items():
            function = f"{prefix}{rule.lower().replace('adamw', 'adam')}"
            file = source.replace("adamw", "adam")
            yield Subject(
                "torch",
                f"torch.optim.{rule}{words} ({way})",
                rule,
                f"torch.optim:{rule}",
                f"{file}: {function}",
                options,
                own,
                note.get(rule, ""),
            )
    yield Subject(
        "torch",
        "torch.optim.Muon",
        "Muon",
        "torch.optim:Muon",
        "torch/optim/_muon.py: _single_tensor_muon",
    )
    yield Subject(
        "torch",
        "torch.optim.Adam (torch.compile)",
        "Adam",
        f"{PROGRAMS}:CompiledAdam",
        "torch/optim/adam.py: _single_tensor_adam, compiled by torch.compile",
        note="its bias corrections are computed in float32, from the step, a tensor; a "
        "parameter of float64 with no dimension stays where it is",
    )
    yield Subject(
        "torch",
        "torch.optim.adam.adam (function)",
        "Adam",
        f"{PROGRAMS}:adam_of_torch",
        "torch/optim/adam.py: adam",
    )


def transformers_subjects() -> Iterator[Subject]:
    note = "it has no learning rate by default, but one relative to the step, as the rule's lr=0.01"
    file = "transformers/optimization.py: Adafactor"
    of = {"lr": 0.01}
    way = {"relative_step": False}
    table: list[tuple[Any, ...]] = [({}, {}, note), (of, way, "")]
    for options, own, told in table:
        name = f"transformers.Adafactor{said({**options, **own})}"
        place = "transformers:Adafactor"
        yield Subject("transformers", name, "Adafactor", place, file, options, own, told)


def timm_subjects() -> Iterator[Subject]:
    table: list[tuple[Any, ...]] = [
        ("AdamWLegacy", "AdamW", {}, "adamw"),
        ("NAdamLegacy", "NAdam", {}, "nadam"),
        ("NAdamW", "AdamW", {}, "nadamw"),
        ("RAdamLegacy", "RAdam", {}, "radam"),
        ("RMSpropTF", "RMSprop", {}, "rmsprop_tf"),
        ("RMSpropTF", "RMSprop", MOMENTUM, "rmsprop_tf"),
        ("SGDW", "SGD", MOMENTUM, "sgdw"),
        ("SGDW", "SGD", NESTEROV, "sgdw"),
    ]
    for name, rule, options, file in table:
        yield Subject(
            "timm",
            f"timm.optim.{name}{said(options)}",
            rule,
            f"{PROGRAMS}:timm.{name}",
            f"timm/optim/{file}.py: {name}",
            options,
            single=name == "RAdamLegacy",
        )


def pytorch_optimizer_subjects() -> Iterator[Subject]:
    table: list[tuple[Any, ...]] = [
        ("AdaMax", "Adamax", {}, "adamax"),
        ("RAdam", "RAdam", {}, "radam"),
        ("RAdam", "RAdam", {}, "radam"),
        ("AdaDelta", "Adadelta", {}, "adadelta"),
        ("SGDW", "SGD", MOMENTUM, "sgd"),
        ("SGDW", "SGD", NESTEROV, "sgd"),
    ]
    for i, (name, rule, options, file) in enumerate(table):
        own = {"degenerated_to_sgd": True} if i == 2 else {}
        counts = (
            "it counts the steps of the group: what had no gradient in some is corrected as if "
        )
        note = counts + "it had" if rule in ("Adamax", "RAdam") else ""
        yield Subject(
            "pytorch-optimizer",
            f"pytorch_optimizer.{name}{said({**options, **own})}",
            rule,
            f"pytorch_optimizer:{name}",
            f"pytorch_optimizer/optimizer/{file}.py: {name}",
            options,
            own,
            note,
        )


def deepspeed_subjects() -> Iterator[Subject]:
    adam = "csrc/includes/cpu_adam.h and csrc/adam/cpu_adam_impl.cpp: Adam_Optimizer"
    table: list[tuple[Any, ...]] = [
        ("adam:DeepSpeedCPUAdam", "AdamW", {}, {}, adam),
        ("adam:DeepSpeedCPUAdam", "Adam", {"weight_decay": 0.01}, {"adamw_mode": False}, adam),
        (
            "adagrad:DeepSpeedCPUAdagrad",
            "Adagrad",
            {},
            {},
            "csrc/adagrad/cpu_adagrad.cpp: Adagrad_Optimizer",
        ),
    ]
    for place, rule, options, own, source in table:
        yield Subject(
            "deepspeed",
            f"deepspeed.ops.{place.replace(':', '.')}{said(own)}",
            rule,
            f"deepspeed.ops.{place}",
            source,
            options,
            own,
            single=True,
        )


def bitsandbytes_subjects() -> Iterator[Subject]:
    table: list[tuple[Any, ...]] = [
        ("Adam32bit", "Adam", {}, "adam"),
        ("AdamW32bit", "AdamW", {}, "adamw"),
        ("SGD32bit", "SGD", {"lr": 0.01, **MOMENTUM}, "sgd"),
        ("RMSprop32bit", "RMSprop", {}, "rmsprop"),
        ("Adagrad32bit", "Adagrad", {}, "adagrad"),
    ]
    for name, rule, options, file in table:
        words = said({k: v for k, v in options.items() if k != "lr"})
        yield Subject(
            "bitsandbytes",
            f"bitsandbytes.optim.{name}{words}",
            rule,
            f"bitsandbytes.optim:{name}",
            f"bitsandbytes/optim/{file}.py and backends/default/ops.py: _optimizer_update_32bit",
            options,
            note="on the CPU; its kernels for devices are others",
            single=True,
        )
