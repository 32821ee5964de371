"""The seam to CUDA: what a kernel needs of a driver and a compiler, by the binding that is there.

`cuda.bindings`, NVIDIA's own, serves torch tensors and CuPy arrays alike; CuPy brings a binding
with it. Whoever has either needs no more.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from functools import cache
from typing import Any, NamedTuple

LARGE_ARGUMENTS = 12_010  # the driver from which a kernel takes more than 4,096 bytes


class Compiled(NamedTuple):
    """A kernel as PTX, and for the device itself, unless what it is compiled for is no device."""

    cubin: bytes
    ptx: bytes


def _is_device(options: tuple[str, ...]) -> bool:
    return any(option.startswith("--gpu-architecture=sm_") for option in options)


class Driver(ABC):
    """One binding, as an engine uses it. Devices are numbered as torch and CuPy number them."""

    version: int  # of CUDA that the driver knows: 13000 for 13.0

    @abstractmethod
    def capability(self, device: int) -> int:
        """The device's compute capability: 90 for 9.0."""

    @abstractmethod
    def processors(self, device: int) -> int:
        """How many multiprocessors the device has."""

    @abstractmethod
    def load(self, device: int, image: bytes, name: str) -> Any:
        """Return the kernel of that name in a cubin, or in PTX, on a device."""

    @abstractmethod
    def launch(
        self, device: int, kernel: Any, blocks: int, threads: int, stream: int, arguments: int
    ) -> None:
        """Queue a kernel on a stream; `arguments` is where the addresses of its arguments are."""

    @abstractmethod
    def open_compiler(self) -> None:
        """Import what compiles, which needs no device."""

    @abstractmethod
    def compiler_version(self) -> tuple[int, int]:
        """That of NVRTC."""

    @abstractmethod
    def architectures(self) -> list[int]:
        """The compute capabilities that NVRTC compiles for."""

    @abstractmethod
    def compile(self, text: str, options: tuple[str, ...]) -> Compiled:
        """Compile CUDA C.

        Raises
        ------
        RuntimeError
            With what the compiler says.
        """


class BindingsDriver(Driver):
    """By ``cuda.bindings``."""

    def __init__(self) -> None:
        from cuda.bindings import driver

        self._driver = driver
        self._launch = driver.cuLaunchKernel
        self._push, self._pop = driver.cuCtxPushCurrent, driver.cuCtxPopCurrent
        self._contexts: dict[int, Any] = {}
        self._done(driver.cuInit(0))
        self.version = self._done(driver.cuDriverGetVersion())
        self.open_compiler()

    def _done(self, answer: Any) -> Any:
        """The result of a call, or an error that says what CUDA says."""
        status, *result = answer
        if status:
            said = self._driver.cuGetErrorString(status)[1]
            raise RuntimeError(f"CUDA: {said.decode() if said else status} ({status.name})")
        return result[0] if result else None

    def _attribute(self, device: int, name: str) -> int:
        which = getattr(self._driver.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}")
        handle = self._done(self._driver.cuDeviceGet(device))
        value: int = self._done(self._driver.cuDeviceGetAttribute(which, handle))
        return value

    def capability(self, device: int) -> int:
        major = self._attribute(device, "COMPUTE_CAPABILITY_MAJOR")
        return 10 * major + self._attribute(device, "COMPUTE_CAPABILITY_MINOR")

    def processors(self, device: int) -> int:
        return self._attribute(device, "MULTIPROCESSOR_COUNT")

    def _context(self, device: int) -> Any:
        """The context in which torch and CuPy work on a device."""
        context = self._contexts.get(device)
        if context is None:
            handle = self._done(self._driver.cuDeviceGet(device))
            context = self._done(self._driver.cuDevicePrimaryCtxRetain(handle))
            self._contexts[device] = context
        return context

    def load(self, device: int, image: bytes, name: str) -> Any:
        self._done(self._push(self._context(device)))
        try:
            module = self._done(self._driver.cuModuleLoadData(image))
            return self._done(self._driver.cuModuleGetFunction(module, name.encode()))
        finally:
            self._pop()

    def launch(
        self, device: int, kernel: Any, blocks: int, threads: int, stream: int, arguments: int
    ) -> None:
        self._done(self._push(self._context(device)))
        try:
            answer = self._launch(kernel, blocks, 1, 1, threads, 1, 1, 0, stream, arguments, 0)
        finally:
            self._pop()
        if answer[0]:
            self._done(answer)

    def open_compiler(self) -> None:
        from cuda.bindings import nvrtc

        self._nvrtc = nvrtc

    def compiler_version(self) -> tuple[int, int]:
        _, major, minor = self._nvrtc.nvrtcVersion()
        return major, minor

    def architectures(self) -> list[int]:
        return list(self._nvrtc.nvrtcGetSupportedArchs()[1])

    def compile(self, text: str, options: tuple[str, ...]) -> Compiled:
        nvrtc = self._nvrtc
        program = nvrtc.nvrtcCreateProgram(text.encode(), b"optimkit.cu", 0, [], [])[1]
        given = [option.encode() for option in options]
        (status,) = nvrtc.nvrtcCompileProgram(program, len(given), given)
        try:
            if status:
                log = bytearray(nvrtc.nvrtcGetProgramLogSize(program)[1])
                nvrtc.nvrtcGetProgramLog(program, log)
                raise RuntimeError(f"NVRTC: {status.name}: {log.decode(errors='replace')}")
            ptx = bytearray(nvrtc.nvrtcGetPTXSize(program)[1])
            nvrtc.nvrtcGetPTX(program, ptx)
            cubin = bytearray(nvrtc.nvrtcGetCUBINSize(program)[1] if _is_device(options) else 0)
            if cubin:
                nvrtc.nvrtcGetCUBIN(program, cubin)
            return Compiled(bytes(cubin), bytes(ptx))
        finally:
            nvrtc.nvrtcDestroyProgram(program)


class CuPyDriver(Driver):
    """By the binding that CuPy brings with it."""

    def __init__(self) -> None:
        import cupy
        from cupy.cuda import driver, runtime

        self._cupy, self._driver, self._runtime = cupy, driver, runtime
        self.open_compiler()
        self.version = runtime.driverGetVersion()
        if runtime.is_hip:
            raise RuntimeError("CUDA: this CuPy is built for ROCm")
        if not runtime.getDeviceCount():
            raise RuntimeError("CUDA: no device")

    def capability(self, device: int) -> int:
        return int(self._cupy.cuda.Device(device).compute_capability)

    def processors(self, device: int) -> int:
        return int(self._cupy.cuda.Device(device).attributes["MultiProcessorCount"])

    def load(self, device: int, image: bytes, name: str) -> Any:
        with self._cupy.cuda.Device(device):
            self._runtime.free(0)  # the context is made by the first call that needs it
            module = self._driver.moduleLoadData(image)
            return self._driver.moduleGetFunction(module, name)

    def launch(
        self, device: int, kernel: Any, blocks: int, threads: int, stream: int, arguments: int
    ) -> None:
        with self._cupy.cuda.Device(device):
            self._driver.launchKernel(kernel, blocks, 1, 1, threads, 1, 1, 0, stream, arguments, 0)

    def open_compiler(self) -> None:
        from cupy.cuda import nvrtc

        self._nvrtc = nvrtc

    def compiler_version(self) -> tuple[int, int]:
        major, minor = self._nvrtc.getVersion()
        return major, minor

    def architectures(self) -> list[int]:
        return list(self._nvrtc.getSupportedArchs())

    def compile(self, text: str, options: tuple[str, ...]) -> Compiled:
        program = self._nvrtc.createProgram(text, "optimkit.cu", (), ())
        try:
            self._nvrtc.compileProgram(program, options)
            ptx = bytes(self._nvrtc.getPTX(program))
            cubin = self._nvrtc.getCUBIN(program) if _is_device(options) else b""
        except self._nvrtc.NVRTCError as error:
            log = self._nvrtc.getProgramLog(program)
            raise RuntimeError(f"NVRTC: {error}: {log}") from None
        finally:
            self._nvrtc.destroyProgram(program)
        return Compiled(bytes(cubin), ptx + b"\0")


DRIVERS = (BindingsDriver, CuPyDriver)


@cache
def found() -> tuple[Driver | None, str]:
    """The driver that works here, or None and why there is none."""
    # CuPy's takes 6 µs a launch where the other takes 9, but a third of a second to import.
    kinds = DRIVERS[::-1] if "cupy" in sys.modules else DRIVERS
    reasons = []
    for kind in kinds:
        try:
            driver = kind()
            driver.capability(0)
            driver.architectures()
        except Exception as error:
            reasons.append(_said(error))
        else:
            return driver, ""
    return None, "; ".join(dict.fromkeys(reasons))


def _said(error: Exception) -> str:
    """What a binding does not find, in short."""
    text = str(error)
    if isinstance(error, ImportError):
        return f"{error.name or text} is not installed (pip install 'optimkit[cuda13]' or [cuda12])"
    if "nvrtc" in text:
        return "NVRTC is not found (pip install 'optimkit[cuda13]' or [cuda12])"
    if "driver" in text.lower():
        return "there is no driver for a CUDA device, or it is too old"
    return f"{type(error).__name__}: {text}".splitlines()[0]


__all__ = [
    "DRIVERS",
    "LARGE_ARGUMENTS",
    "BindingsDriver",
    "Compiled",
    "CuPyDriver",
    "Driver",
    "found",
]
