"""A CUDA device played by the host: the whole engine runs on a machine without a GPU.

The engine, its text, tables, buckets and adapters are the real ones. Replaced are the driver, whose
compiler is g++ and whose launches are loops over blocks and threads, and what CuPy itself does with
memory, which here is NumPy's under CuPy's own array class.
"""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from optimkit.backends.adapters import Layout
from optimkit.backends.engines.cuda import driver as seam
from optimkit.backends.engines.cuda import images

HEADER = Path(__file__).with_name("host.h")
EXACT = ("-O1", "-ffp-contract=off")


class Launched(NamedTuple):
    """A launch that was asked for."""

    device: int
    blocks: int
    threads: int
    stream: int


@cache
def _directory() -> Path:
    return Path(tempfile.mkdtemp(prefix="optimkit-host-"))


def built(text: str, flags: tuple[str, ...] = EXACT) -> str:
    """Compile a kernel for the host; return where the library is."""
    name = hashlib.sha256(repr((text, flags)).encode()).hexdigest()[:24]
    source, library = _directory() / f"{name}.cu", _directory() / f"{name}.so"
    if not library.exists():
        source.write_text(text)
        command = ["g++", "-std=c++17", *flags, "-shared", "-fPIC", "-Wl,-Bsymbolic", "-w"]
        command += [f'-DKERNEL="{source}"', "-x", "c++", str(HEADER), "-o", str(library)]
        subprocess.run(command, check=True)
    return str(library)


class HostDriver(seam.Driver):
    """Devices of the same kind, as many as are asked for."""

    def __init__(self, flags: tuple[str, ...], version: int) -> None:
        self._flags, self.version = flags, version
        self.launches: list[Launched] = []
        self.loads = 0
        self.capturing = False
        self.graph: list[Any] = []

    def capability(self, device: int) -> int:
        return 90

    def processors(self, device: int) -> int:
        return 132

    def load(self, device: int, image: bytes, name: str) -> Any:
        self.loads += 1
        try:
            library = ctypes.CDLL(image.decode())
            run, size = library.launch_on_host, library.size_of_arguments()
        except (OSError, UnicodeDecodeError) as error:
            raise RuntimeError(f"CUDA: {error}") from None
        run.argtypes = ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p
        return device, run, size

    def launch(
        self, device: int, kernel: Any, blocks: int, threads: int, stream: int, arguments: int
    ) -> None:
        assert kernel[0] == device, "a kernel is loaded on one device"
        assert blocks > 0
        _, run, size = kernel
        if self.capturing:  # the argument is copied
            first, *others = (ctypes.c_uint64 * 2).from_address(arguments)
            copy = ctypes.create_string_buffer(ctypes.string_at(first, size), size)
            pointers = (ctypes.c_uint64 * 2)(ctypes.addressof(copy), *others)
            self.graph.append((run, blocks, threads, pointers, copy))
        else:
            self.launches.append(Launched(device, blocks, threads, stream))
            run(blocks, threads, arguments)

    @contextmanager
    def capture(self) -> Iterator[None]:
        """Record what is launched, in place of running it."""
        self.capturing, self.graph = True, []
        try:
            yield
        finally:
            self.capturing = False

    def replay(self) -> None:
        for run, blocks, threads, pointers, _ in self.graph:
            run(blocks, threads, ctypes.addressof(pointers))

    def compiler_version(self) -> tuple[int, int]:
        return 13, zlib.crc32(repr(self._flags).encode())

    def architectures(self) -> list[int]:
        return [80, 90]

    def open_compiler(self) -> None:
        pass

    def compile(self, text: str, options: tuple[str, ...]) -> seam.Compiled:
        return seam.Compiled(built(text, self._flags).encode(), b"")


def on_device(x: np.ndarray[Any, Any], device: int = 0) -> Any:
    """The memory of a NumPy array as a CuPy array of a device."""
    import cupy as cp

    memory = cp.cuda.UnownedMemory(x.ctypes.data, max(x.nbytes, 1), x, device)
    return cp.ndarray(x.shape, x.dtype, cp.cuda.MemoryPointer(memory, 0), x.strides)


def on_host(x: Any) -> np.ndarray[Any, Any]:
    """The memory of a CuPy array that the host has."""
    if x.size == 0:
        return np.empty(x.shape, x.dtype)
    low = x.data.ptr + sum(s * (n - 1) for s, n in zip(x.strides, x.shape, strict=True) if s < 0)
    high = x.data.ptr + sum(s * (n - 1) for s, n in zip(x.strides, x.shape, strict=True) if s > 0)
    buffer = (ctypes.c_char * (high + x.itemsize - low)).from_address(low)
    return np.ndarray(x.shape, x.dtype, buffer, x.data.ptr - low, x.strides)


class _Namespace:
    """What rules call on arrays to make their first state."""

    def __getattr__(self, name: str) -> Any:
        if isinstance(getattr(np, name), type):  # a dtype
            return getattr(np, name)

        def call(x: Any, *values: Any, **options: Any) -> Any:
            return on_device(getattr(np, name)(on_host(x), *values, **options), x.data.device_id)

        return call


@contextmanager
def host_device(flags: tuple[str, ...] = EXACT, version: int = 13_000) -> Iterator[HostDriver]:
    """CuPy arrays and torch tensors on the host's memory are on a CUDA device."""
    if shutil.which("g++") is None:
        pytest.skip("no g++, which compiles kernels for the host")
    from optimkit.backends.adapters import cupy, torch

    driver, monkeypatch = HostDriver(flags, version), pytest.MonkeyPatch()

    def converted(self: Any, value: Any, like: Any) -> Any:
        value, like_it = (
            on_host(x) if type(x).__module__.startswith("cupy") else x for x in (value, like)
        )
        copy = np.empty_like(like_it, shape=value.shape)
        copy[...] = value
        return on_device(copy, like.data.device_id)

    cupys, tensors = cupy.CuPyAdapter, torch.TorchAdapter
    layout, plain = tensors.layout, tensors.plain
    replaced: list[tuple[Any, str, Any]] = [
        (images, "found", lambda: (driver, "")),
        (cupys, "namespace", lambda self, view: _Namespace()),
        (
            cupys,
            "empty_like",
            lambda self, x: on_device(np.empty_like(on_host(x)), x.data.device_id),
        ),
        (
            cupys,
            "numbers",
            lambda self, count, like: on_device(np.empty(count), like.data.device_id),
        ),
        (cupys, "is_capturing", lambda self, device: driver.capturing),
        (tensors, "is_capturing", lambda self, device: driver.capturing),
        (cupys, "fill", lambda self, x, place, number: on_host(x).__setitem__(place, number)),
        (cupys, "fetch", lambda self, x: on_host(x).copy()),
        (cupys, "write", lambda self, x, view, value: np.copyto(on_host(view), on_host(value))),
        (cupys, "running_on", lambda self, x: nullcontext()),
        (cupys, "convert", converted),
        (cupys, "stream", lambda self, device: 1_000 + device),
        (tensors, "layout", lambda self, x: _moved(layout(self, x))),
        (
            tensors,
            "plain",
            lambda self, arrays: (f := plain(self, arrays)) and list(map(_moved, f)),
        ),
        (tensors, "stream", lambda self, device: 2_000 + device),
    ]
    for owner, name, value in replaced:
        monkeypatch.setattr(owner, name, value)
    images.loaded.cache_clear()
    monkeypatch.setenv("OPTIMKIT_CACHE_DIR", str(_directory()))
    try:
        yield driver
    finally:
        monkeypatch.undo()
        images.loaded.cache_clear()


def _moved(layout: Layout) -> Layout:
    return layout._replace(device="cuda:0")
