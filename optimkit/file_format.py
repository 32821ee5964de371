"""How a checkpoint is written: arrays as safetensors, everything else as JSON in the metadata.

Nothing in a file can be run. The JSON has numbers, strings, None and lists as they are; what JSON
does not know is an object of one entry, whose key says what it is::

    {"dict": [[key, value], ...]}     keys are strings or ints
    {"counter": [[key, value], ...]}  a `collections.Counter`, as schedulers have
    {"tuple": [value, ...]}
    {"int": "0x..."}                  beyond 64 bits
    {"float": "7ff8000000000000"}     NaN and infinities, by their bits
    {"array": [tensor, dtype, kind]}  kind: "numpy", "torch", or "scalar" of NumPy

A bfloat16 is kept in a uint16, a complex number in a pair of reals.
"""

from __future__ import annotations

import json
import math
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from re import fullmatch
from typing import Any

import numpy as np

from optimkit.backends.adapters import adapter_of
from optimkit.backends.memory import is_array
from optimkit.parameter import array_of

VERSION = 1
DEEPEST = 100  # JSON is read by a recursive parser
INTS = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
STORED = {name: name for name in ("bool", *INTS, "float16", "float32", "float64")}
PAIRS = {"complex64": "float32", "complex128": "float64"}
STORED |= PAIRS | {"bfloat16": "uint16"}

Array = np.ndarray[Any, Any]


# ---------------------------------------------------------------- writing


def written(obj: Any) -> tuple[dict[str, str], dict[str, Array]]:
    """Return the metadata and the tensors of a file that holds `obj`."""
    writer = _Writer()
    content = {"version": VERSION, "value": writer.write(obj, ())}
    return {"optimkit": json.dumps(content, separators=(",", ":"))}, writer.tensors


class _Writer:
    """Turns values into what JSON knows, and puts the arrays among them aside."""

    def __init__(self) -> None:
        self.tensors: dict[str, Array] = {}

    def write(self, value: Any, path: tuple[str | int, ...]) -> Any:
        """Return `value`, to which the keys of `path` lead, for JSON."""
        if len(path) > DEEPEST:
            raise ValueError(
                f"{_where(path[:3])}... is nested more than {DEEPEST} deep; does it hold itself?"
            )
        if value is None or type(value) is bool:
            return value
        if type(value) is int:
            return value if -(2**63) <= value < 2**64 else {"int": hex(value)}
        if type(value) is float:
            return value if math.isfinite(value) else {"float": struct.pack(">d", value).hex()}
        if type(value) is str:
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ValueError(f"{_where(path)}: {value!r} has surrogates") from None
            return value
        if not isinstance(value, type) and callable(getattr(value, "state_dict", None)):
            value = value.state_dict()
        if isinstance(value, Mapping):
            kind = "counter" if isinstance(value, Counter) else "dict"
            return {kind: [self._pair(key, each, path) for key, each in value.items()]}
        if isinstance(value, list | tuple):
            items = [self.write(each, (*path, i)) for i, each in enumerate(value)]
            return items if isinstance(value, list) else {"tuple": items}
        if is_array(array_of(value)):
            return {"array": self._array(array_of(value), path)}
        raise TypeError(
            f"{_where(path)}: a {_name(value)} cannot be saved; what can are arrays, numbers, "
            "strings, None, objects with a state_dict(), and dicts, lists and tuples of these"
        )

    def _pair(self, key: Any, value: Any, path: tuple[str | int, ...]) -> list[Any]:
        if type(key) not in (str, int):
            raise TypeError(
                f"{_where(path)}: the key {key!r} is a {_name(key)}; it must be a string or an int"
            )
        return [self.write(key, (*path, key)), self.write(value, (*path, key))]

    def _array(self, value: Any, path: tuple[str | int, ...]) -> list[str]:
        """Put an array aside; return the name of its tensor, its dtype and its kind."""
        try:
            kind, dtype, array = _on_host(value)
        except (RuntimeError, TypeError) as error:
            raise TypeError(f"{_where(path)} cannot be saved: {error}") from None
        if dtype not in STORED:
            raise TypeError(f"{_where(path)}: an array of {dtype} cannot be saved")
        name = ".".join(map(str, path))
        while name in self.tensors or name == "__metadata__":
            name += "_"
        self.tensors[name] = _stored(array, dtype)
        return [name, dtype, kind]


def _where(path: Iterable[str | int]) -> str:
    return "".join(f"[{key!r}]" for key in path) or "the object"


def _name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def _on_host(value: Any) -> tuple[str, str, Array]:
    """Return kind and dtype of an array of any library, and its content on the host."""
    if isinstance(value, np.generic):
        return "scalar", value.dtype.name, np.asarray(value)
    adapter = adapter_of(value)
    if not adapter.is_whole([value]):
        raise TypeError(
            "this process has only a part of it (a sharded DTensor); torch.distributed.checkpoint "
            "saves parts, and full_tensor() brings all of it here"
        )
    if adapter.spreads:
        value = value.detach().to_local()
    if hasattr(value, "detach"):  # torch, on whatever device
        value, dtype = value.detach(), adapter.describe(value)[1]
        if dtype == "bfloat16":  # which NumPy does not have
            import torch

            value = value.view(torch.uint16)
        return "torch", dtype, value.numpy(force=True)
    if hasattr(value, "get"):  # CuPy
        value = value.get()
    elif not hasattr(value, "__array__"):
        value = np.from_dlpack(value)
    array = np.asarray(value)
    return "numpy", array.dtype.name, array


def _stored(array: Array, dtype: str) -> Array:
    """Return the array as the file has it: in one piece, of numbers that every reader knows."""
    array = np.asarray(array, array.dtype.newbyteorder("="), order="C")
    shape = (*array.shape, 2) if dtype in PAIRS else array.shape
    return array.reshape(-1).view(STORED[dtype]).reshape(shape)


# ---------------------------------------------------------------- reading


def read(file: Any) -> Any:
    """Return what is in an open safetensors file; raise ValueError if that is damaged."""
    text = (file.metadata() or {}).get("optimkit")
    if text is None:
        raise ValueError("its metadata have no entry 'optimkit'")
    match json.loads(text):
        case {"version": int(version)} if version > VERSION:
            raise ValueError(f"it has version {version} of the format; this optimkit is too old")
        case {"version": int(), "value": content}:
            reader = _Reader(file)
        case _:
            raise ValueError("its metadata have no version and value")
    value = reader.read(content)
    if reader.names:
        raise ValueError(f"the tensor {min(reader.names)!r:.80} belongs to nothing")
    return value


class _Reader:
    """Turns JSON back into values, and hands out each tensor of the file once."""

    def __init__(self, file: Any) -> None:
        self._file, self.names = file, set(file.keys())

    def read(self, written: Any) -> Any:
        """Return the value that has been written so."""
        match written:
            case None | int() | float() | str():
                return written
            case list(items):
                return list(map(self.read, items))
            case {"dict": list(pairs)}:
                return dict(map(self._pair, pairs))
            case {"counter": list(pairs)}:
                return Counter(dict(map(self._pair, pairs)))
            case {"tuple": list(items)}:
                return tuple(map(self.read, items))
            case {"int": str(digits)}:
                return int(digits, 16)
            case {"float": str(digits)} if fullmatch("[0-9a-f]{16}", digits):
                return struct.unpack(">d", bytes.fromhex(digits))[0]
            case {"array": [str(name), str(dtype), str(kind)]}:
                return self._array(name, dtype, kind)
        raise ValueError(f"{json.dumps(written):.80} is no value")

    def _pair(self, pair: Any) -> tuple[str | int, Any]:
        if isinstance(pair, list) and len(pair) == 2:
            key = self.read(pair[0])
            if type(key) in (str, int):
                return key, self.read(pair[1])
        raise ValueError(f"{json.dumps(pair):.80} is no key with its value")

    def _array(self, name: str, dtype: str, kind: str) -> Any:
        if name not in self.names:
            raise ValueError(f"the tensor {name!r:.80} is missing, or wanted twice")
        self.names.remove(name)
        try:
            array = self._file.get_tensor(name)
        except (AttributeError, TypeError):
            raise ValueError(f"the tensor {name!r:.80} is of a dtype that NumPy lacks") from None
        shape = array.shape
        if array.dtype.name != STORED.get(dtype) or (dtype in PAIRS and shape[-1:] != (2,)):
            found = f"{array.dtype} of shape {shape}"
            raise ValueError(f"the tensor {name!r:.80} is no array of {dtype!r:.80}, but {found}")
        if dtype in PAIRS:
            array = array.reshape(-1).view(dtype).reshape(shape[:-1])
        if kind == "torch" and (tensor := _tensor(array, dtype)) is not None:
            return tensor
        if dtype == "bfloat16":
            array = array.view(_bfloat16())
        return array[()] if kind == "scalar" else array


def _tensor(array: Array, dtype: str) -> Any:
    """Return a tensor on the array's memory; None where torch is not installed."""
    try:
        import torch
    except ImportError:
        return None
    tensor = torch.from_numpy(array)
    return tensor.view(torch.bfloat16) if dtype == "bfloat16" else tensor


def _bfloat16() -> Any:
    try:
        from ml_dtypes import bfloat16
    except ImportError:
        raise ImportError(
            "this checkpoint has NumPy arrays of bfloat16, which need ml_dtypes: "
            "pip install ml_dtypes"
        ) from None
    return bfloat16
