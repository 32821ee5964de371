"""Which protocol an optimizer is of: by the library of its class, or by its form."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from optimkit.validation.comparison.candidates import Candidate
from optimkit.validation.comparison.protocols.of_arrays import Chainer, Mlx, Thinc, Tinygrad
from optimkit.validation.comparison.protocols.of_jax import Transform, Triple
from optimkit.validation.comparison.protocols.of_tensorflow import Keras, TensorFlow


@dataclass(frozen=True)
class KnownLibrary:
    """A library whose optimizers follow a protocol of their own.

    Attributes
    ----------
    home : str
        The package that their classes, or the functions that make them, are in.
    candidate : type
    given_params : bool
        Whether an optimizer is made of parameters.
    """

    home: str
    candidate: type[Candidate]
    given_params: bool = False

    def has(self, kind: Any) -> bool:
        """Whether a class derives from one of the library, or a function is from it."""
        bases = kind.__mro__ if isinstance(kind, type) else (kind,)
        homes = [str(getattr(base, "__module__", "")) + "." for base in bases]
        return any(home.startswith(self.home + ".") for home in homes)

    def has_made(self, product: Any) -> bool:
        """Whether an optimizer is of the library."""
        return self.has(type(product))


LIBRARIES = (
    KnownLibrary("keras", Keras),
    KnownLibrary("tensorflow.python.training", TensorFlow),
    KnownLibrary("mlx.optimizers", Mlx),
    KnownLibrary("thinc.optimizers", Thinc),
    KnownLibrary("chainer", Chainer),
    KnownLibrary("tinygrad.nn.optim", Tinygrad, given_params=True),
)


def of_library(thing: Any) -> type[Candidate] | None:
    """The protocol of a class, or of a function, by where it is from."""
    return next((known.candidate for known in LIBRARIES if known.has(thing)), None)


def of_product(product: Any) -> type[Candidate] | None:
    """The protocol of an optimizer that has been made without parameters."""
    return of_form(product) or of_library(type(product))


def of_form(thing: Any) -> type[Candidate] | None:
    """The protocol of what has the form of functions alone."""
    if isinstance(thing, type) or not isinstance(thing, tuple):
        return None
    if all(callable(getattr(thing, name, None)) for name in ("init", "update")):
        return Transform
    return Triple if len(thing) == 3 and all(map(callable, thing)) else None


def made_of_params() -> list[KnownLibrary]:
    """The imported libraries whose optimizers are made of parameters."""
    return [
        known
        for known in LIBRARIES
        if known.given_params and known.home.partition(".")[0] in sys.modules
    ]
