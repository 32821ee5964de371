"""What can be held against a rule: optimizers of many libraries, and code of one's own.

A candidate is read once: what kind of thing it is, which options it takes, and which of the
circumstances of a comparison its kind allows.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from optimkit.validation.comparison import libraries
from optimkit.validation.comparison.libraries import Array, made, read
from optimkit.validation.comparison.probes import Loss

ABSENT, GROUPS, RESUME, RATES = "absent gradients", "several groups", "resume", "other rates"
SPARSE = "sparse gradients"
RATE_NAMES = ("lr", "learning_rate", "step_size", "eta", "alpha")  # what people call it
Steps = dict[str, Array]  # a parameter, called "param", and the arrays of its state


class Unusable(ValueError):
    """Why a candidate cannot be held against a rule."""


class Going(ABC):
    """A candidate with parameters, which takes steps."""

    library = "numpy"

    @abstractmethod
    def step(self, grads: list[Any], rate: float) -> None:
        """Take a step with these gradients and this factor of the learning rates.

        A gradient is an array, a `RowSparse` or, where there is none, None.
        """

    @abstractmethod
    def values(self) -> list[Steps]:
        """The parameters, and what can be seen of their state."""

    def search(self, loss: Loss) -> None:
        """Take a step of a search, for which the only parameter gets a loss and its gradient."""
        raise Unusable(
            "a rule that evaluates the loss is held against the class of a torch optimizer, or of "
            "one of optimkit's"
        )

    def resumed(self) -> Going:
        """A new one that goes on from where this one is."""
        raise NotImplementedError


class Candidate(ABC):
    """An implementation that can be started on parameters.

    Attributes
    ----------
    kind : str
        What it was taken for.
    can : set of str
        Circumstances in which it can be tried.
    takes : dict
        From names of our options to those of its own.
    """

    kind = ""
    can: frozenset[str] = frozenset()

    def __init__(self, make: Callable[..., Any], options: Mapping[str, Any]) -> None:
        self.make, self.options = make, dict(options)

    @abstractmethod
    def start(self, params: list[Array], groups: list[list[int]]) -> Going:
        """Begin with these parameters, of which group k has k + 1 times the learning rate."""


def visible(state: Mapping[str, Any], shape: tuple[int, ...]) -> Steps:
    """The arrays of a state that have the shape of its parameter, or one for rows or columns."""
    arrays = {k: read(v) for k, v in state.items() if hasattr(v, "shape") and hasattr(v, "dtype")}
    return {str(k): v for k, v in arrays.items() if _fits(v.shape, shape) and k != "step"}


def _fits(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    return len(shape) == len(whole) and all(n in (1, m) for n, m in zip(shape, whole, strict=True))


# ---------------------------------------------------------------- torch's protocol, and ours


class _GoingOptimizer(Going):
    def __init__(self, maker: TorchProtocol, params: list[Any], groups: list[list[int]]) -> None:
        self.maker, self.params, self.groups = maker, params, groups
        single = len(groups) == 1
        given: Any = params if single else [{"params": [params[i] for i in g]} for g in groups]
        self.optimizer = maker.make(given, **maker.options)
        found = self.optimizer.param_groups
        self.rates = [
            group["lr"] * (k + 1) if "lr" in group else None for k, group in enumerate(found)
        ]

    def step(self, grads: list[Any], rate: float) -> None:
        for group, base in zip(self.optimizer.param_groups, self.rates, strict=True):
            if base is not None:
                group["lr"] = base * rate if rate != 1 else base
        if self.maker.ours:
            self.optimizer.step(grads=[copy.deepcopy(g) for g in grads])
            return
        for param, grad in zip(self.params, grads, strict=True):
            param.grad = None if grad is None else made(grad, "torch")
        self.optimizer.step()

    def search(self, loss: Loss) -> None:
        (param,) = self.params

        def closure() -> Any:
            value, grad = loss(read(param).ravel())
            grad = grad.reshape(tuple(param.shape))
            if self.maker.ours:
                return value, [grad]
            param.grad = made(grad, "torch")
            return made(np.asarray(value), "torch")

        self.optimizer.step(closure)

    def values(self) -> list[Steps]:
        held = []
        for param in self.params:
            value = read(param)
            state = self.optimizer.state.get(param, {})
            held.append({"param": value} | visible(state, value.shape))
        return held

    def resumed(self) -> Going:
        params = [self.maker.parameter(read(param)) for param in self.params]
        other = _GoingOptimizer(self.maker, params, self.groups)
        other.optimizer.load_state_dict(self.optimizer.state_dict())
        return other


class TorchProtocol(Candidate):
    """An optimizer made of parameters, with ``step`` and ``param_groups``."""

    can = frozenset({ABSENT, GROUPS, RESUME, RATES, SPARSE})

    def __init__(self, make: Callable[..., Any], options: Mapping[str, Any], ours: bool) -> None:
        super().__init__(make, options)
        self.ours, self.kind = ours, "an optimkit optimizer" if ours else "a torch optimizer"

    def parameter(self, array: Array) -> Any:
        if self.ours:
            return np.array(array)
        import torch

        return torch.nn.Parameter(made(array, "torch"))

    def group(self) -> dict[str, Any]:
        """The options of a group that it makes, of those that its class takes."""
        with contextlib.suppress(Exception):  # what is wrong is said where it is tried
            made_of: Any = self.make([self.parameter(np.ones(2, np.float32))], **self.options)
            taken = inspect.signature(type(made_of)).parameters
            return {k: v for k, v in made_of.param_groups[0].items() if k in taken}
        return {}

    def start(self, params: list[Array], groups: list[list[int]]) -> Going:
        return _GoingOptimizer(self, [self.parameter(p) for p in params], groups)


# ---------------------------------------------------------------- optax


class _GoingTransformation(Going):
    library = "jax"

    def __init__(self, transformation: Any, params: list[Array]) -> None:
        import jax

        self.transformation = transformation
        with libraries.in_double("jax"):
            self.params = [made(p, "jax") for p in params]
            self.state = transformation.init(self.params)

        self.compiled = jax.jit(self._stepped)

    def _stepped(self, grads: Any, state: Any, params: Any) -> Any:
        updates, state = self.transformation.update(grads, state, params)
        return [p + u for p, u in zip(params, updates, strict=True)], state

    def step(self, grads: list[Array | None], rate: float) -> None:
        with libraries.in_double("jax"):
            given = [made(g, "jax") for g in grads if g is not None]
            self.params, self.state = self.compiled(given, self.state, self.params)

    def values(self) -> list[Steps]:
        held = [{"param": read(p)} for p in self.params]
        for part in _parts(self.state):
            for name, column in part._asdict().items():
                if isinstance(column, list) and len(column) == len(held):
                    for steps, value in zip(held, column, strict=True):
                        steps |= visible({OPTAX.get(name, name): value}, steps["param"].shape)
        return held

    def resumed(self) -> Going:
        other = _GoingTransformation(self.transformation, [read(p) for p in self.params])
        other.state = self.state
        return other


OPTAX = {"mu": "exp_avg", "nu": "exp_avg_sq", "trace": "momentum_buffer"}


def _parts(state: Any) -> list[Any]:
    if hasattr(state, "_asdict"):
        return [state]
    return [part for item in state for part in _parts(item)] if isinstance(state, tuple) else []


class Transform(Candidate):
    """An optax GradientTransformation."""

    kind, can = "an optax transformation", frozenset({RESUME})

    def start(self, params: list[Array], groups: list[list[int]]) -> Going:
        return _GoingTransformation(self.make(**self.options), params)


# ---------------------------------------------------------------- Keras, TensorFlow, mlx


class _GoingKeras(Going):
    def __init__(self, optimizer: Any, params: list[Array]) -> None:
        self.optimizer = optimizer
        import keras  # type: ignore[import-not-found,unused-ignore]

        self.params = [keras.Variable(p, dtype=str(p.dtype)) for p in params]
        self.optimizer.build(self.params)
        self.rate = float(optimizer.learning_rate)

    def step(self, grads: list[Array | None], rate: float) -> None:
        import keras

        if rate != 1:
            self.optimizer.learning_rate = self.rate * rate
        self.optimizer.apply([keras.ops.convert_to_tensor(g) for g in grads], self.params)

    def values(self) -> list[Steps]:
        return [{"param": np.array(p.numpy())} for p in self.params]


class Keras(Candidate):
    """A Keras 3 optimizer."""

    kind, can = "a Keras optimizer", frozenset({RATES})

    def start(self, params: list[Array], groups: list[list[int]]) -> Going:
        return _GoingKeras(self.make(**self.options), params)


class _GoingMlx(Going):
    library = "mlx"

    def __init__(self, optimizer: Any, params: list[Array]) -> None:
        self.optimizer = optimizer
        self.params = {f"p{i}": made(p, "mlx") for i, p in enumerate(params)}
        self.rate = float(optimizer.learning_rate)

    def step(self, grads: list[Array | None], rate: float) -> None:
        if rate != 1:
            self.optimizer.learning_rate = self.rate * rate
        given = {f"p{i}": made(g, "mlx") for i, g in enumerate(grads) if g is not None}
        self.params = self.optimizer.apply_gradients(given, self.params)

    def values(self) -> list[Steps]:
        names = {"m": "exp_avg", "v": "exp_avg_sq"}
        held = []
        for name, param in self.params.items():
            value = read(param)
            state = {names.get(k, k): v for k, v in self.optimizer.state.get(name, {}).items()}
            held.append({"param": value} | visible(state, value.shape))
        return held


class Mlx(Candidate):
    """An mlx optimizer."""

    kind, can = "an mlx optimizer", frozenset({RATES})

    def start(self, params: list[Array], groups: list[list[int]]) -> Going:
        return _GoingMlx(self.make(**self.options), params)
