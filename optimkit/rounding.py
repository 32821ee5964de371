"""Where torch rounds and the textbook does not say: named here once, used by the rules."""

from __future__ import annotations

import struct
from typing import Any


def lerp(start: Any, end: Any, weight: float, xp: Any = None) -> Any:
    """``start + weight * (end - start)``, from whichever end is nearer.

    Going from the nearer end keeps the result exact at both ends; it is what ``torch.lerp`` does.
    It takes 1 from the weight in the arrays' dtype, for which `xp` is needed: without it,
    float32 is another number in the last bits for weights like 0.9.
    """
    if abs(weight) < 0.5:
        return start + weight * (end - start)
    rest = weight - 1 if xp is None else xp.full_like(end, weight) - 1
    return end + rest * (end - start)


def float32(number: float) -> float:
    """Round a Python number to float32, the precision of torch's scalar state."""
    if abs(number) > 3.5e38:  # struct refuses what rounds to infinity
        return float(number) * float("inf")
    return float(struct.unpack("f", struct.pack("f", number))[0])


def round_to_bfloat16(x: Any) -> Any:
    """Round a float32 array, in its own memory, to the nearest values of bfloat16, ties to even.

    Veltkamp's splitting: exact for 2^-126 <= abs(x) < 2^111; larger values and infinities give NaN,
    smaller ones keep more bits than bfloat16 has, and zeros lose their sign.
    """
    large = x * 65537.0  # 2^16 + 1
    x -= large
    x += large
    return x
