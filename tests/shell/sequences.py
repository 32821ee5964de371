"""The same optimizer once for each engine, to which the same is done; and what may be done.

Everything is made from small recipes (names and seeds), so that each engine's optimizer has arrays
of its own with the same content, and a failing example reads as a program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from conftest import bits
from libraries import LIBRARIES, Library, twin

import optimkit as ok
from optimkit.parameter import array_of
from optimkit.validation.reference.cases import cases_of

Operation = Callable[[ok.Optimizer], ok.Optimizer | None]

ALLOWED = (ValueError, TypeError, RuntimeError, KeyError)
FORMS = ("numpy", "Parameter", "torch", "nn.Parameter")
CLOSURES = ("LBFGS", "NonlinearCG")
NO_COMPLEX = ("Adafactor", "Muon", "SparseAdam")


class Boom(Exception):
    """What a user's own function raises."""


# ---------------------------------------------------------------- recipes


class Start(NamedTuple):
    """A parameter: its form, shape, dtype, how it lies in memory, and its content."""

    form: str
    shape: tuple[int, ...]
    dtype: str
    lies: str
    seed: int


def numbers(shape: tuple[int, ...], dtype: str, seed: int, scale: str = "ordinary") -> np.ndarray:
    """An array whose content depends on its arguments alone."""
    with np.errstate(over="ignore"):  # where float16 has no such number
        return _numbers(np.random.default_rng((seed, *shape)), shape, dtype, scale)


def _numbers(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: str, scale: str
) -> np.ndarray:
    wide = np.dtype(dtype).newbyteorder("=")
    real = wide.type(0).real.dtype
    parts = (*shape, 2) if wide.kind == "c" else shape
    x = np.asarray(rng.standard_normal(parts))
    if scale == "zeros":
        x = np.copysign(0.0, x)
    elif scale == "tiny":
        x = x * float(np.finfo(real).smallest_subnormal) * 8
    elif scale == "huge":
        x = x * float(np.finfo(real).max) / 8
    elif scale == "not finite":
        x = np.where(x > 0.5, np.inf, np.where(x < -0.8, np.nan, x))
    x = x.astype(real)
    if wide.kind == "c":
        x = x.view(wide)[..., 0] if x.size else np.zeros(shape, wide)
    return np.asarray(x, dtype)


def lying(x: np.ndarray, lies: str) -> np.ndarray:
    """The same content, lying otherwise in memory."""
    if lies == "F":
        return np.asfortranarray(x) if x.ndim else x
    if lies == "gaps" and x.ndim:
        wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)[..., ::2]
    elif lies == "backwards" and x.ndim:
        wide = np.zeros_like(x)[::-1]
    elif lies == "within a buffer":
        wide = np.zeros(x.size + 4, x.dtype)[2:-2].reshape(x.shape)
    else:
        return x
    wide[...] = x
    return wide


def library_of(param: Any) -> Library:
    if isinstance(param, ok.Parameter):
        return LIBRARIES["Parameter"]
    if isinstance(param, torch.nn.Parameter):
        return LIBRARIES["nn.Parameter"]
    return LIBRARIES["torch" if isinstance(param, torch.Tensor) else "numpy"]


def param_of(start: Start) -> Any:
    x = lying(numbers(start.shape, start.dtype, start.seed), start.lies)
    if "torch" in start.form or "nn." in start.form:
        if start.lies == "backwards" or not x.dtype.isnative:
            x = np.array(x, x.dtype.newbyteorder("="), order="C")
        if start.lies == "within a buffer":
            x = torch.from_numpy(x)  # twin() would cut the buffer off
            return torch.nn.Parameter(x) if "nn." in start.form else x
    elif start.lies == "within a buffer":
        return ok.Parameter(x) if start.form == "Parameter" else x
    return LIBRARIES[start.form].param(x)


GOOD = (
    "plain",
    "F",
    "gaps",
    "backwards",
    "expanded",
    "read-only",
    "scalar",
    "the parameter",
    "beside the parameter",
    "another parameter",
    "state",
    "beside the state",
    "rows",
)
BAD = ("shape", "rank", "dtype", "integers", "list", "text", "library", "objects", "rows outside")


class Grad(NamedTuple):
    """A gradient: what is special about it, the size of its numbers, and its content."""

    kind: str
    scale: str
    seed: int


def beside(x: Any) -> Any:
    """An array of the same kind, one element further on in the same memory, if there is room."""
    if isinstance(x, np.ndarray):
        owner = x
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        _, high = np.lib.array_utils.byte_bounds(x)
        if x.size == 0 or high + x.itemsize > np.lib.array_utils.byte_bounds(owner)[1]:
            return x
        start = owner.__array_interface__["data"][0]
        offset = x.__array_interface__["data"][0] + x.itemsize - start
        if not owner.flags.c_contiguous:
            return x
        return np.ndarray(x.shape, x.dtype, owner, offset, x.strides)
    x = x.detach()
    try:
        return x.as_strided(x.shape, x.stride(), x.storage_offset() + 1)
    except RuntimeError:
        return x


def grad_of(recipe: Grad | None, opt: ok.Optimizer, place: int) -> Any:
    """The gradient of the parameter at a place among all."""
    if recipe is None:
        return None
    kind, scale, seed = recipe
    params = params_of(opt)
    param = params[place]
    array = array_of(param)
    is_torch = isinstance(array, torch.Tensor)
    library = LIBRARIES["torch" if is_torch else "numpy"]
    shape = tuple(array.shape)
    dtype = str(array.dtype).removeprefix("torch.")
    if dtype == "bfloat16":
        x = library.array(numbers(shape, "float32", seed, scale)).to(torch.bfloat16)
        return x if kind not in BAD else [1.0]
    like = [
        y
        for y in opt.state.get(param, {}).values()
        if hasattr(y, "dtype") and y.dtype == array.dtype and tuple(y.shape) == shape
    ]
    detached = array.detach() if is_torch else array
    match kind:
        case "the parameter":
            return detached
        case "beside the parameter":
            return beside(array)
        case "another parameter":
            others = [array_of(p) for p in params if type(array_of(p)) is type(array)]
            for y in others:
                if y is not array and y.dtype == array.dtype and tuple(y.shape) == shape:
                    return y.detach() if is_torch else y
        case "state" if like:
            return like[seed % len(like)]
        case "beside the state" if like:
            return beside(like[seed % len(like)])
        case "expanded" if shape:
            row = numbers(shape[1:], dtype, seed, scale)
            return library.array(row).expand(shape) if is_torch else np.broadcast_to(row, shape)
        case "scalar" if not is_torch and shape == ():
            return numbers((), dtype, seed, scale)[()]
        case "rows" if shape and shape[0]:
            return rows(library, shape, dtype, seed, scale)
        case "shape":
            shape = (*shape, 2)
        case "rank":
            shape = (1, *shape)
        case "dtype":
            dtype = "float64" if dtype != "float64" else "float32"
        case "integers":
            dtype = "int64"
        case "list":
            return [1.0]
        case "text":
            return "gradient"
        case "objects":
            return object()
        case "library":
            library = LIBRARIES["numpy" if is_torch else "torch"]
            dtype = np.dtype(dtype).newbyteorder("=").str
        case "rows outside" if shape:
            indices = np.array([shape[0] + 3])
            values = np.zeros((1, *shape[1:]), dtype)
            bad = object.__new__(ok.RowSparse)
            bad.indices, bad.values, bad.shape = indices, values, shape
            return bad
    if dtype == "int64":
        return library.array(np.ones(shape, "int64"))
    x = numbers(shape, dtype, seed, scale)
    if kind in ("F", "gaps", "backwards") and not (is_torch and kind == "backwards"):
        x = lying(x, kind)
    if library.name == "torch":
        x = np.asarray(x, x.dtype.newbyteorder("="))
    elif kind == "read-only":
        x = twin(x)
        x.flags.writeable = False
        return x
    return library.array(x)


def rows(
    library: Library,
    shape: tuple[int, ...],
    dtype: str,
    seed: int,
    scale: str,
) -> Any:
    indices = np.random.default_rng(seed).integers(0, shape[0], seed % 3 + 1)
    values = numbers((len(indices), *shape[1:]), dtype, seed, scale)
    return library.grad(ok.RowSparse(indices, values, shape))


# ---------------------------------------------------------------- what there is to be compared


def params_of(opt: ok.Optimizer) -> list[Any]:
    return [param for group in opt.param_groups for param in group["params"]]


def plain(value: Any) -> Any:
    """A value by its bits; counts and numbers of NumPy and torch as the numbers that they are."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return list(map(plain, value))
    if isinstance(value, np.generic):
        return repr(value.item())
    if isinstance(value, np.ndarray) and value.dtype.kind not in "fc":
        return repr(value)
    if hasattr(value, "shape"):
        return bits(value)
    return repr(value)


def count_of(value: Any) -> Any:
    """A step count as the number that it is, whatever holds it."""
    if getattr(value, "shape", None) == ():
        value = value.item()
    if hasattr(value, "shape"):
        return plain(value)
    return repr(int(value) if isinstance(value, float | bool) and value == value // 1 else value)


def content(opt: ok.Optimizer) -> dict[str, Any]:
    """Everything in an optimizer that its user sees, by value."""
    params = params_of(opt)
    return {
        "parameters": list(map(plain, map(array_of, params))),
        "gradients": [plain(getattr(param, "grad", None)) for param in params],
        "state": [
            {k: count_of(v) if k == "step" else plain(v) for k, v in state.items()}
            if (state := opt.state.get(param)) is not None
            else None
            for param in params
        ],
        "options": [
            {k: repr(v) for k, v in group.items() if k != "params"} for group in opt.param_groups
        ],
        "defaults": repr(opt.defaults),
        "strangers": len(opt.state),
        "steps": opt.step_count,
    }


def whole(opt: ok.Optimizer) -> dict[str, Any]:
    """The content, and which objects hold it."""
    params = params_of(opt)
    states = [opt.state.get(param) for param in params]
    held = [
        {k: id(v) for k, v in (state or {}).items() if hasattr(v, "shape") and k != "step"}
        for state in states
    ]
    objects = {
        "which parameters": list(map(id, params)),
        "which arrays": [id(array_of(p)) if isinstance(p, ok.Parameter) else 0 for p in params],
        "which groups": list(map(id, opt.param_groups)),
        "which states": [None if state is None else id(state) for state in states],
        "which state arrays": held,
    }
    return content(opt) | objects


def departures(actual: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Which entries differ, with both values."""
    found = []
    for key, old in expected.items():
        new = actual[key]
        if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
            places = dict(enumerate(zip(new, old, strict=True)))
            found += [f"{key} {i}: {x!r} for {y!r}" for i, (x, y) in places.items() if x != y]
        elif new != old:
            found.append(f"{key}: {new!r} for {old!r}")
    return found


def unexplained(error: BaseException, opt: ok.Optimizer) -> str | None:
    """What is wrong with an error: its kind, or that it names nothing that a user knows."""
    if not isinstance(error, ALLOWED) or isinstance(error, UnicodeError):
        return "its kind"
    options = {str(key) for group in (*opt.param_groups, opt.defaults) for key in group}
    words = "|".join(map(re.escape, sorted(options, key=len, reverse=True)))
    named = (
        r"parameters? \w+|group|param_groups?|option|grads|gradients|closure|hook|state.dict|state"
    )
    if not re.search(rf"\b({named}|{words})\b", str(error)):
        return "that it names nothing"
    return None


class Engines:
    """An optimizer for each engine.

    Attributes
    ----------
    operations : int
        Done so far, by all objects of this class.
    """

    operations = 0

    def __init__(self, make: Callable[[], ok.Optimizer]) -> None:
        self.optimizers = {name: make() for name in reversed(ok.available_engines())}

    @property
    def one(self) -> ok.Optimizer:
        return self.optimizers["eager"]

    def do(self, operation: Operation) -> str | None:
        """Do the same to each optimizer; return the error if there was one.

        It must be the same on every engine and say what it is about, and leave all as it was;
        without error all engines must have the same bits.
        """
        Engines.operations += 1
        outcomes: dict[str, Any] = {}
        for name, opt in self.optimizers.items():
            before = whole(opt)
            try:
                with ok.use_engine(name):
                    self.optimizers[name] = operation(opt) or opt
                outcomes[name] = None
            except Exception as error:
                outcomes[name] = f"{type(error).__name__}: {error}"
                if changed := departures(whole(opt), before):
                    raise AssertionError(f"{name} changed {changed} before {error!r}") from error
                if not isinstance(error, Boom) and (wrong := unexplained(error, opt)):
                    raise AssertionError(f"{name}: {error!r} leaves open {wrong}") from error
        expected, found = content(self.one), outcomes["eager"]
        for name, opt in self.optimizers.items():
            assert outcomes[name] == found, f"{name}: {outcomes[name]}; eager: {found}"
            if changed := departures(content(opt), expected):
                raise AssertionError(f"{name} is not eager: {changed}")
        return found


def known_values(optimizer: str) -> dict[str, list[Any]]:
    """The values of options that the table of configurations has."""
    found: dict[str, list[Any]] = {}
    for case in cases_of(optimizer):
        for key, value in case.options.items():
            found.setdefault(key, []).append(value)
    return found


def options_of(optimizer: str) -> list[Mapping[str, Any]]:
    return [case.options for case in cases_of(optimizer)]
