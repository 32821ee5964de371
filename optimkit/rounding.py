"""Where torch rounds and the textbook does not say: named here once, used by the rules."""

from __future__ import annotations

import struct
from functools import cache
from typing import Any

from optimkit.backends.reductions import square_sum


def lerp(start: Any, end: Any, weight: float, xp: Any = None) -> Any:
    """``start + weight * (end - start)``, from whichever end is nearer.

    Going from the nearer end keeps the result exact at both ends; it is what ``torch.lerp`` does.
    It takes 1 from the weight in the arrays' dtype, for which `xp` is needed unless the weight is a
    number of that dtype: as float32, 0.9 is another number in the last bits.
    """
    way = end - start
    if abs(weight) < 0.5:
        way *= weight
        way += start
    else:
        way *= weight - 1 if xp is None else xp.full_like(end, weight) - 1
        way += end
    return way


def float32(number: float) -> float:
    """Round a Python number to float32, the precision of torch's scalar state."""
    if hasattr(number, "float32"):  # one that is not known yet
        return number.float32()  # type: ignore[no-any-return]
    if abs(number) > 3.5e38:  # struct refuses what rounds to infinity
        return float(number) * float("inf")
    return float(struct.unpack("f", struct.pack("f", number))[0])


def bfloat16(xp: Any, x: Any) -> Any:
    """Round an array to bfloat16: to that dtype where the library computes in it, else in float32.

    What is computed from the result is to be `rounded` again.
    """
    if _has_bfloat16(xp):
        return xp.astype(x, xp.bfloat16)
    return round_to_bfloat16(xp.astype(x, xp.float32))


def rounded(xp: Any, x: Any) -> Any:
    """Round what was computed from arrays of `bfloat16`, in its own memory."""
    return x if _has_bfloat16(xp) else round_to_bfloat16(x)


def lerp_as_torch(xp: Any, start: Any, end: Any, weight: float) -> Any:
    """`lerp`, by the library's own function where it computes in bfloat16: torch's, on tensors."""
    if _has_bfloat16(xp):
        return xp.lerp(start, end, weight)
    return lerp(start, end, float32(weight) if start.dtype == xp.float32 else weight)


def add_scaled(xp: Any, x: Any, alpha: float, y: Any) -> Any:
    """``x + alpha y``, where `y` may be of `bfloat16`. The memory of both is used up."""
    if _has_bfloat16(xp) and not hasattr(alpha, "float32"):  # which is not known yet
        return x.add_(y, alpha=alpha)
    y = xp.astype(y, x.dtype, copy=False)
    y *= alpha
    x += y
    return x


def norm_of(xp: Any, x: Any) -> Any:
    """Return the root of the sum of squares; torch's own, whose order of sums decides its bits,
    where the library computes in bfloat16."""
    return xp.linalg.vector_norm(x) if _has_bfloat16(xp) else xp.sqrt(square_sum(xp, x))


def add_product(xp: Any, beta: float, x: Any, alpha: float, symmetric: Any) -> Any:
    """``beta x + alpha symmetric @ x`` in `bfloat16`, summed in float32 and rounded once.

    Of a tall `x`, ``beta x + alpha x @ symmetric``. The memory of `x` is used up.
    """
    tall = x.shape[0] > x.shape[1]
    if _has_bfloat16(xp):
        if tall:  # as torch multiplies: from the other side sums may come in another order
            return xp.addmm(x.T, symmetric, x.T, beta=beta, alpha=alpha).T
        return xp.addmm(x, symmetric, x, beta=beta, alpha=alpha)
    if x is symmetric:
        product = x @ x.T  # as it is its own transpose; BLAS takes half the time for X Xᵀ
    elif tall:
        product = x @ symmetric
    else:
        product = symmetric @ x
    if alpha != 1:
        product *= alpha
    x *= beta
    product += x
    return round_to_bfloat16(product)


@cache  # NumPy takes its time to say that it has no such name
def _has_bfloat16(xp: Any) -> bool:
    return hasattr(xp, "bfloat16") and hasattr(xp, "addmm")


def round_to_bfloat16(x: Any) -> Any:
    """Round a float32 array, in its own memory, to the nearest values of bfloat16, ties to even.

    Veltkamp's splitting: exact for 2^-126 <= abs(x) < 2^111; larger values and infinities give NaN,
    smaller ones keep more bits than bfloat16 has, and zeros lose their sign.
    """
    large = x * 65537.0  # 2^16 + 1
    x -= large
    x += large
    return x
