"""Kernels compiled for a device, kept on disk between processes."""

from __future__ import annotations

from functools import cache
from typing import Any

from optimkit.backends.engines.cuda.driver import Driver, found
from optimkit.backends.engines.cuda.text import OPTIONS
from optimkit.backends.kernel_cache import CannotCompile, discard, kept


def lack() -> str | None:
    """Why no kernel can run here, or None."""
    return found()[1] or None


def driver() -> Driver:
    """The driver of this machine, or the error that says why there is none."""
    driver, reason = found()
    if driver is None:
        raise RuntimeError(f"no CUDA: {reason}")
    return driver


def target(capability: int, architectures: list[int]) -> str:
    """What to compile for: the device itself, or PTX where it is newer than the compiler."""
    if capability in architectures:
        return f"sm_{capability}"
    older = [known for known in architectures if known < capability]
    if not older:
        raise RuntimeError(
            f"the device has compute capability {capability / 10}; this NVRTC compiles for "
            f"{min(architectures) / 10} and above"
        )
    return f"compute_{max(older)}"


@cache
def loaded(text: str, name: str, device: int) -> Any:
    """The kernel `name` of this text on a device, compiled if it is in no cache."""
    cuda = driver()
    architecture = target(cuda.capability(device), cuda.architectures())
    options = (*OPTIONS, f"--gpu-architecture={architecture}")
    key = repr((text, options, cuda.compiler_version()))

    def compiled() -> bytes:
        cubin, ptx = cuda.compile(text, options)
        return cubin or ptx

    try:
        image, fresh = kept(key, "cubin", compiled)
        try:
            return cuda.load(device, image, name)
        except RuntimeError:
            if fresh:
                raise
            discard(key, "cubin")  # what was on disk is damaged
            return cuda.load(device, kept(key, "cubin", compiled)[0], name)
    except RuntimeError as error:
        raise CannotCompile(f"a kernel cannot be compiled: {error}") from error


__all__ = ["driver", "lack", "loaded", "target"]
