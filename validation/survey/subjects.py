"""What is held against which rule: the optimizers of each library that have a counterpart here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Subject:
    """An implementation, and how it is held against a rule.

    Attributes
    ----------
    library : str
        A key of `LIBRARIES`.
    name : str
        What it is called, such as ``"optax.rmsprop"``; with `rule` and `library` it is unique.
    rule : str
    place : str
        ``module:attribute`` of what is called; its own options are given beside it.
    source : str
        The file and the function of the library in which the rule stands.
    options : mapping
        Options of both.
    own : mapping
        Options of its own, given to it alone.
    note : str
        What a reader has to know.
    quick : bool
        Whether the long run has 100 steps in place of 1,000, since it is slow.
    single : bool
        Whether it is tried in float32 alone, since it keeps its state in that whatever it is given.
    """

    library: str
    name: str
    rule: str
    place: str
    source: str
    options: Mapping[str, Any] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    quick: bool = False
    single: bool = False

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return f"{self.library}: {self.name} as {self.rule}"


@dataclass(frozen=True)
class Library:
    """A library as it is run: its distribution, and variables of the environment it needs.

    Attributes
    ----------
    title : str
        What the page calls it.
    distribution : str
        What it is installed as, whose version is told.
    source : str
        Where its source is published.
    setting : mapping
        Variables of the environment, set before it is imported.
    """

    title: str
    distribution: str
    source: str
    setting: Mapping[str, str] = field(default_factory=dict)


_KERAS = "https://github.com/keras-team/keras"
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
LIBRARIES = {
    "torch": Library("PyTorch", "torch", "https://github.com/pytorch/pytorch"),
    "optax": Library("optax", "optax", "https://github.com/google-deepmind/optax"),
    "keras-jax": Library("Keras on JAX", "keras", _KERAS, {"KERAS_BACKEND": "jax", **_QUIET}),
    "keras-torch": Library(
        "Keras on PyTorch", "keras", _KERAS, {"KERAS_BACKEND": "torch", **_QUIET}
    ),
    "keras-tensorflow": Library(
        "Keras on TensorFlow", "keras", _KERAS, {"KERAS_BACKEND": "tensorflow", **_QUIET}
    ),
    "tensorflow": Library(
        "TensorFlow", "tensorflow_cpu", "https://github.com/tensorflow/tensorflow", _QUIET
    ),
    "jax": Library("JAX's example library", "jax", "https://github.com/jax-ml/jax"),
    "mlx": Library("mlx", "mlx", "https://github.com/ml-explore/mlx"),
    "tinygrad": Library(
        "tinygrad", "tinygrad", "https://github.com/tinygrad/tinygrad", {"DEV": "PYTHON"}
    ),
    "thinc": Library("Thinc", "thinc", "https://github.com/explosion/thinc"),
    "timm": Library("timm", "timm", "https://github.com/huggingface/pytorch-image-models"),
    "pytorch-optimizer": Library(
        "pytorch-optimizer", "pytorch_optimizer", "https://github.com/kozistr/pytorch_optimizer"
    ),
    "deepspeed": Library("DeepSpeed", "deepspeed", "https://github.com/deepspeedai/DeepSpeed"),
    "bitsandbytes": Library(
        "bitsandbytes", "bitsandbytes", "https://github.com/bitsandbytes-foundation/bitsandbytes"
    ),
    "scikit-learn": Library(
        "scikit-learn", "scikit-learn", "https://github.com/scikit-learn/scikit-learn"
    ),
    "autograd": Library("autograd", "autograd", "https://github.com/HIPS/autograd"),
    "chainer": Library("Chainer", "chainer", "https://github.com/chainer/chainer"),
}

_MOMENTUM = {"momentum": 0.9}
_NESTEROV = {"momentum": 0.9, "nesterov": True}
_PROGRAMS = "optimkit.validation.survey.programs"


def _torch() -> Iterator[Subject]:
    rules = [
        ("Adam", {}),
        ("Adam", {"amsgrad": True}),
        ("Adam", {"weight_decay": 0.01}),
        ("AdamW", {}),
        ("SGD", _MOMENTUM),
        ("SGD", _NESTEROV),
        ("RMSprop", {}),
        ("RMSprop", {"centered": True, **_MOMENTUM}),
        ("Adagrad", {}),
        ("Adadelta", {}),
        ("Adamax", {}),
        ("NAdam", {}),
        ("RAdam", {}),
        ("Rprop", {}),
        ("ASGD", {}),
    ]
    note = {"NAdam": "`load_state_dict` makes `mu_product`, a float32 number, one of float64, after "
            "which a run in float64 goes on with other digits"}  # fmt: skip
    for rule, options in rules:
        source = f"torch/optim/{rule.lower()}.py"
        said = "".join(f", {name}" if v is True else f", {name}={v}" for name, v in options.items())
        ways = {"for-loop": ("_single_tensor_", {"foreach": False})}
        if not options:
            ways["foreach"] = ("_multi_tensor_", {"foreach": True})
        if (rule in ("Adam", "AdamW", "Adagrad") and not options) or options == _MOMENTUM:
            ways["fused"] = ("_fused_", {"fused": True})
        for way, (prefix, own) in ways.items():
            function = f"{prefix}{rule.lower().replace('adamw', 'adam')}"
            file = source.replace("adamw", "adam")
            yield Subject(
                "torch",
                f"torch.optim.{rule}{said} ({way})",
                rule,
                f"torch.optim:{rule}",
                f"{file}: {function}",
                options,
                own,
                note.get(rule, ""),
            )
    yield Subject(
        "torch",
        "torch.optim.Adam (torch.compile)",
        "Adam",
        f"{_PROGRAMS}:CompiledAdam",
        "torch/optim/adam.py: _single_tensor_adam, compiled by torch.compile",
        note="its bias corrections are computed in float32, from the step, a tensor; a "
        "parameter of float64 with no dimension stays where it is",
    )
    yield Subject(
        "torch",
        "torch.optim.adam.adam (function)",
        "Adam",
        f"{_PROGRAMS}:adam_of_torch",
        "torch/optim/adam.py: adam",
    )


def _optax() -> Iterator[Subject]:
    file, scale = "optax/_src/alias.py", "optax/transforms/_accumulation.py"
    rate = {"lr": 0.01}
    by = "optax/_src/transform.py: scale_by_"
    table = [
        ("adam", "Adam", rate, {}, f"{by}adam"),
        ("amsgrad", "Adam", {"amsgrad": True, **rate}, {}, f"{by}amsgrad"),
        ("adamw", "AdamW", rate, {}, f"{by}adam and add_decayed_weights"),
        ("nadam", "NAdam", rate, {}, f"{by}adam, nesterov=True"),
        ("adamax", "Adamax", rate, {}, f"{by}adamax"),
        ("radam", "RAdam", rate, {}, f"{by}radam"),
        ("rmsprop", "RMSprop", rate, {}, f"{by}rms"),
        ("rmsprop", "RMSprop", rate, {"eps_in_sqrt": False}, f"{by}rms"),
        ("rmsprop", "RMSprop", {"centered": True, **rate}, {}, f"{by}stddev"),
        ("adagrad", "Adagrad", rate, {}, f"{by}rss"),
        ("adadelta", "Adadelta", rate, {}, f"{by}adadelta"),
        ("sgd", "SGD", {**_MOMENTUM, **rate}, {}, f"{scale}: trace"),
        ("sgd", "SGD", {**_NESTEROV, **rate}, {}, f"{scale}: trace"),
        ("rprop", "Rprop", rate, {}, f"{by}rprop"),
    ]
    for name, rule, options, own, source in table:
        said = _said({k: v for k, v in options.items() if k not in rate} | own)
        yield Subject(
            "optax",
            f"optax.{name}{said}",
            rule,
            f"optax:{name}",
            f"{source}; {file}: {name}",
            options,
            own,
        )


def _said(options: Mapping[str, Any]) -> str:
    return "".join(f", {name}={value}" for name, value in options.items())


def _keras() -> Iterator[Subject]:
    table = [
        ("Adam", "Adam", {}, {}),
        ("Adam", "Adam", {"amsgrad": True}, {}),
        ("AdamW", "AdamW", {}, {}),
        ("SGD", "SGD", _MOMENTUM, {}),
        ("SGD", "SGD", _NESTEROV, {}),
        ("RMSprop", "RMSprop", {}, {}),
        ("RMSprop", "RMSprop", {"centered": True, **_MOMENTUM}, {}),
        ("Adagrad", "Adagrad", {}, {}),
        ("Adadelta", "Adadelta", {}, {}),
        ("Adamax", "Adamax", {}, {}),
        ("Nadam", "NAdam", {}, {}),
    ]
    for backend in ("jax", "torch", "tensorflow"):
        for name, rule, options, own in table:
            file = f"keras/src/optimizers/{name.lower()}.py: {name}.update_step"
            other = "keras/src/backend/torch/optimizers/torch_"
            over = f"; {other}{name.lower()}.py" if backend == "torch" else ""
            yield Subject(
                f"keras-{backend}", f"keras.optimizers.{name}{_said(options)}", rule,
                f"keras.optimizers:{name}", file.replace("adamw.py: AdamW", "adam.py: Adam") + over,
                options, own, quick=True,
            )  # fmt: skip


def _tensorflow() -> Iterator[Subject]:
    kernel = "tensorflow/core/kernels/training_ops.cc: Apply"
    table = [
        ("AdamOptimizer", "Adam", {}, {}, "Adam"),
        ("MomentumOptimizer", "SGD", {"lr": 0.01, **_MOMENTUM}, {}, "Momentum"),
        ("MomentumOptimizer", "SGD", {"lr": 0.01, **_NESTEROV}, {}, "Momentum"),
        ("GradientDescentOptimizer", "SGD", {"lr": 0.01}, {}, "GradientDescent"),
        ("RMSPropOptimizer", "RMSprop", {"lr": 0.01}, {}, "RMSProp"),
        ("RMSPropOptimizer", "RMSprop", {"lr": 0.01, "centered": True}, {}, "CenteredRMSProp"),
        ("AdagradOptimizer", "Adagrad", {"lr": 0.01}, {}, "Adagrad"),
        ("AdadeltaOptimizer", "Adadelta", {}, {}, "Adadelta"),
    ]
    for name, rule, options, own, operation in table:
        said = _said({k: v for k, v in options.items() if k != "lr"})
        yield Subject(
            "tensorflow",
            f"tf.compat.v1.train.{name}{said}",
            rule,
            f"tensorflow.compat.v1.train:{name}",
            f"{kernel}{operation}",
            options,
            own,
        )


def _of_jax() -> Iterator[Subject]:
    table = [
        ("adam", "Adam", {"lr": 0.01}),
        ("adamax", "Adamax", {"lr": 0.01}),
        ("rmsprop", "RMSprop", {"lr": 0.01}),
        ("rmsprop_momentum", "RMSprop", {"lr": 0.01, "momentum": 0.9}),
        ("adagrad", "Adagrad", {"lr": 0.01}, {"momentum": 0.0}),
        ("momentum", "SGD", {"lr": 0.01, **_MOMENTUM}),
        ("nesterov", "SGD", {"lr": 0.01, **_NESTEROV}),
    ]
    note = "its own default is momentum=0.9, an average of the steps that the rule does not have"
    for name, rule, options, *more in table:
        own = more[0] if more else {}
        yield Subject(
            "jax",
            f"jax.example_libraries.optimizers.{name}{_said(own)}",
            rule,
            f"jax.example_libraries.optimizers:{name}",
            f"jax/example_libraries/optimizers.py: {name}",
            options,
            own,
            note if own else "",
        )


def _of_mlx() -> Iterator[Subject]:
    file = "mlx/optimizers/optimizers.py: "
    table = [
        ("Adam", "Adam", {}, {}),
        ("Adam", "Adam", {}, {"bias_correction": True}),
        ("AdamW", "AdamW", {}, {}),
        ("AdamW", "AdamW", {}, {"bias_correction": True}),
        ("SGD", "SGD", _MOMENTUM, {}),
        ("SGD", "SGD", _NESTEROV, {}),
        ("SGD", "SGD", {**_MOMENTUM, "dampening": 0.5}, {}),
        ("RMSprop", "RMSprop", {}, {}),
        ("Adagrad", "Adagrad", {}, {}),
        ("AdaDelta", "Adadelta", {}, {}),
        ("Adamax", "Adamax", {}, {}),
    ]
    for name, rule, options, own in table:
        yield Subject(
            "mlx",
            f"mlx.optimizers.{name}{_said({**options, **own})}",
            rule,
            f"mlx.optimizers:{name}",
            f"{file}{name}.apply_single",
            {"lr": 0.01, **options},
            own,
            single=True,
        )


def _tinygrad() -> Iterator[Subject]:
    file = "tinygrad/nn/optim.py: "
    table = [
        ("Adam", "Adam", {}, {}, "LAMB._step, adam=True"),
        ("AdamW", "AdamW", {}, {}, "LAMB._step, adam=True"),
        ("SGD", "SGD", _MOMENTUM, {}, "LARS._step, tcoef=0"),
        ("SGD", "SGD", _NESTEROV, {}, "LARS._step, tcoef=0"),
        ("SGD", "SGD", _MOMENTUM, {"classic": True}, "LARS._step, tcoef=0"),
    ]
    for name, rule, options, own, function in table:
        yield Subject(
            "tinygrad",
            f"tinygrad.nn.optim.{name}{_said({**options, **own})}",
            rule,
            f"tinygrad.nn.optim:{name}",
            file + function,
            options,
            own,
            quick=True,
            single=True,
        )


def _thinc() -> Iterator[Subject]:
    own = {"grad_clip": 0.0, "use_averages": False}
    note = "its clipping of gradients to norm 1, which is on unless told otherwise, is switched off"
    file = "thinc/optimizers.py: Optimizer."
    kernel = "; thinc/backends/numpy_ops.pyx: _adam_momentum"
    table = [
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
            f"thinc.api.{name}{_said({**decay, **more})}",
            rule,
            f"thinc.optimizers:{name}",
            file + function,
            options,
            {**own, **more},
            note,
            single=True,
        )


def _timm() -> Iterator[Subject]:
    table = [
        ("AdamWLegacy", "AdamW", {}, "adamw"),
        ("NAdamLegacy", "NAdam", {}, "nadam"),
        ("NAdamW", "AdamW", {}, "nadamw"),
        ("RAdamLegacy", "RAdam", {}, "radam"),
        ("RMSpropTF", "RMSprop", {}, "rmsprop_tf"),
        ("RMSpropTF", "RMSprop", _MOMENTUM, "rmsprop_tf"),
        ("SGDW", "SGD", _MOMENTUM, "sgdw"),
        ("SGDW", "SGD", _NESTEROV, "sgdw"),
    ]
    for name, rule, options, file in table:
        yield Subject(
            "timm",
            f"timm.optim.{name}{_said(options)}",
            rule,
            f"{_PROGRAMS}:timm.{name}",
            f"timm/optim/{file}.py: {name}",
            options,
            single=name == "RAdamLegacy",
        )


def _pytorch_optimizer() -> Iterator[Subject]:
    table = [
        ("AdaMax", "Adamax", {}, "adamax"),
        ("RAdam", "RAdam", {}, "radam"),
        ("RAdam", "RAdam", {}, "radam"),
        ("AdaDelta", "Adadelta", {}, "adadelta"),
        ("SGDW", "SGD", _MOMENTUM, "sgd"),
        ("SGDW", "SGD", _NESTEROV, "sgd"),
    ]
    for i, (name, rule, options, file) in enumerate(table):
        own = {"degenerated_to_sgd": True} if i == 2 else {}
        counts = (
            "it counts the steps of the group: what had no gradient in some is corrected as if "
        )
        note = counts + "it had" if rule in ("Adamax", "RAdam") else ""
        yield Subject(
            "pytorch-optimizer",
            f"pytorch_optimizer.{name}{_said({**options, **own})}",
            rule,
            f"pytorch_optimizer:{name}",
            f"pytorch_optimizer/optimizer/{file}.py: {name}",
            options,
            own,
            note,
        )


def _deepspeed() -> Iterator[Subject]:
    adam = "csrc/includes/cpu_adam.h and csrc/adam/cpu_adam_impl.cpp: Adam_Optimizer"
    table = [
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
            f"deepspeed.ops.{place.replace(':', '.')}{_said(own)}",
            rule,
            f"deepspeed.ops.{place}",
            source,
            options,
            own,
            single=True,
        )


def _bitsandbytes() -> Iterator[Subject]:
    table = [
        ("Adam32bit", "Adam", {}, "adam"),
        ("AdamW32bit", "AdamW", {}, "adamw"),
        ("SGD32bit", "SGD", {"lr": 0.01, **_MOMENTUM}, "sgd"),
        ("RMSprop32bit", "RMSprop", {}, "rmsprop"),
        ("Adagrad32bit", "Adagrad", {}, "adagrad"),
    ]
    for name, rule, options, file in table:
        said = _said({k: v for k, v in options.items() if k != "lr"})
        yield Subject(
            "bitsandbytes",
            f"bitsandbytes.optim.{name}{said}",
            rule,
            f"bitsandbytes.optim:{name}",
            f"bitsandbytes/optim/{file}.py and backends/default/ops.py: optimizer_update",
            options,
            note="on the CPU; its kernels for devices are others",
            single=True,
        )


def _scikit_learn() -> Iterator[Subject]:
    module = "sklearn.neural_network._stochastic_optimizers"
    file = "sklearn/neural_network/_stochastic_optimizers.py: "
    table = [
        ("AdamOptimizer", "Adam", {}),
        ("SGDOptimizer", "SGD", {**_MOMENTUM, "nesterov": False}),
        ("SGDOptimizer", "SGD", _NESTEROV),
    ]
    for name, rule, options in table:
        said = _said({k: v for k, v in options.items() if k == "nesterov"})
        yield Subject(
            "scikit-learn",
            f"MLPClassifier's {name}{said}",
            rule,
            f"{module}:{name}",
            f"{file}{name}._get_updates",
            options,
        )


def _autograd() -> Iterator[Subject]:
    options = {"adam": {}, "rmsprop": {}, "sgd": _MOMENTUM}
    for name, rule in (("adam", "Adam"), ("rmsprop", "RMSprop"), ("sgd", "SGD")):
        yield Subject(
            "autograd",
            f"autograd.misc.optimizers.{name}",
            rule,
            f"autograd.misc.optimizers:{name}",
            f"autograd/misc/optimizers.py: {name}",
            options[name],
        )


def _chainer() -> Iterator[Subject]:
    table = [
        ("Adam", "Adam", {}, "adam"),
        ("AMSGrad", "Adam", {"amsgrad": True}, "adam"),
        ("AdamW", "AdamW", {"weight_decay": 0.01}, "adam"),
        ("MomentumSGD", "SGD", _MOMENTUM, "momentum_sgd"),
        ("NesterovAG", "SGD", _NESTEROV, "nesterov_ag"),
        ("RMSprop", "RMSprop", {}, "rmsprop"),
        ("RMSpropGraves", "RMSprop", {"centered": True, **_MOMENTUM}, "rmsprop_graves"),
        ("AdaGrad", "Adagrad", {}, "ada_grad"),
        ("AdaDelta", "Adadelta", {}, "ada_delta"),
    ]
    for name, rule, options, file in table:
        yield Subject(
            "chainer",
            f"chainer.optimizers.{name}",
            rule,
            f"{_PROGRAMS}:chainer.{name}",
            f"chainer/optimizers/{file}.py: {name}Rule.update_core_cpu",
            options,
        )


SUBJECTS = tuple(
    subject
    for table in (
        _torch, _optax, _keras, _tensorflow, _of_jax, _of_mlx, _tinygrad, _thinc, _timm,
        _pytorch_optimizer, _deepspeed, _bitsandbytes, _scikit_learn, _autograd, _chainer,
    )
    for subject in table()
)  # fmt: skip
