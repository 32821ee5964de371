"""What a subject of the survey is, and the libraries that there are."""

from __future__ import annotations

from collections.abc import Mapping
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
class SurveyedLibrary:
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
    "torch": SurveyedLibrary("PyTorch", "torch", "https://github.com/pytorch/pytorch"),
    "optax": SurveyedLibrary("optax", "optax", "https://github.com/google-deepmind/optax"),
    "keras-jax": SurveyedLibrary(
        "Keras on JAX", "keras", _KERAS, {"KERAS_BACKEND": "jax", **_QUIET}
    ),
    "keras-torch": SurveyedLibrary(
        "Keras on PyTorch", "keras", _KERAS, {"KERAS_BACKEND": "torch", **_QUIET}
    ),
    "keras-tensorflow": SurveyedLibrary(
        "Keras on TensorFlow", "keras", _KERAS, {"KERAS_BACKEND": "tensorflow", **_QUIET}
    ),
    "tensorflow": SurveyedLibrary(
        "TensorFlow", "tensorflow_cpu", "https://github.com/tensorflow/tensorflow", _QUIET
    ),
    "jax": SurveyedLibrary("JAX's example library", "jax", "https://github.com/jax-ml/jax"),
    "mlx": SurveyedLibrary("mlx", "mlx", "https://github.com/ml-explore/mlx"),
    "tinygrad": SurveyedLibrary(
        "tinygrad", "tinygrad", "https://github.com/tinygrad/tinygrad", {"DEV": "PYTHON"}
    ),
    "thinc": SurveyedLibrary("Thinc", "thinc", "https://github.com/explosion/thinc"),
    "transformers": SurveyedLibrary(
        "transformers", "transformers", "https://github.com/huggingface/transformers"
    ),
    "timm": SurveyedLibrary("timm", "timm", "https://github.com/huggingface/pytorch-image-models"),
    "pytorch-optimizer": SurveyedLibrary(
        "pytorch-optimizer", "pytorch_optimizer", "https://github.com/kozistr/pytorch_optimizer"
    ),
    "deepspeed": SurveyedLibrary(
        "DeepSpeed", "deepspeed", "https://github.com/deepspeedai/DeepSpeed"
    ),
    "bitsandbytes": SurveyedLibrary(
        "bitsandbytes", "bitsandbytes", "https://github.com/bitsandbytes-foundation/bitsandbytes"
    ),
    "scikit-learn": SurveyedLibrary(
        "scikit-learn", "scikit-learn", "https://github.com/scikit-learn/scikit-learn"
    ),
    "autograd": SurveyedLibrary("autograd", "autograd", "https://github.com/HIPS/autograd"),
    "chainer": SurveyedLibrary("Chainer", "chainer", "https://github.com/chainer/chainer"),
}

MOMENTUM = {"momentum": 0.9}
NESTEROV = {"momentum": 0.9, "nesterov": True}
PROGRAMS = "optimkit.validation.survey.programs"


def said(options: Mapping[str, Any]) -> str:
    return "".join(f", {name}={value}" for name, value in options.items())
