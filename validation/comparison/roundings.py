"""Ways of rounding: orders of operation, and precisions, that leave a rule what it is."""

from __future__ import annotations

from optimkit.validation.comparison.departure import ROUNDING, entries_of

_order, _rounding = entries_of(ROUNDING), entries_of(ROUNDING, True)

_NUMBERS = tuple(f"A {x} B → scalar32(A {x} B)" for x in ("+", "-", "*", "/", "**"))
_WRITTEN_OUT = "lerp(M, G, W, xp) → M * (1 - W) + W * G"
ROUNDINGS = (
    _rounding(
        "fused multiply-add",
        "products are added without being rounded first, as torch's vector instructions do it",
        "lerp(M, G, W, xp) → fma(W, G - M, M)",
        "C + A * B → fma(A, B, C)",
        "A * B + C → fma(A, B, C)",
    ),
    _rounding(
        "fused multiply-add",
        "products are added without being rounded first, the first product of two",
        "lerp(M, G, W, xp) → M * (1 - W) + W * G",
        "A * B + C → fma(A, B, C)",
        "C + A * B → fma(A, B, C)",
    ),
    _rounding("moment written out", "the moment is beta * m + (1 - beta) * grad", _WRITTEN_OUT),
    _rounding("reciprocal", "quotients are products with 1 / x", "A / B → A * (1.0 / B)"),
    _order("folded step size", "the step size multiplies the quotient, not its numerator",
           "-A * M / D → -A * (M / D)"),
    _order("folded step size", "the first moment is corrected before it is multiplied by lr",
           "-(A / C) * M / D → -A * (M / C) / D"),
    _order("corrected second moment", "the root is taken after the correction, not before",
           "xp.sqrt(V) / C**0.5 → xp.sqrt(V / C)"),
    _rounding("iteration in full precision", "nothing is rounded to bfloat16",
              "bfloat16(xp, D) → D", "rounded(xp, D) → D",
              "add_product(xp, B, D, A, P) → "
              "B * D + A * (D @ P if D.shape[0] > D.shape[1] else P @ D)"),
    _rounding("scalars of float32", "numbers that are no arrays are rounded to float32",
              *_NUMBERS, "hyper.N → scalar32(hyper.N)"),
)  # fmt: skip

# Orders of operation that are as good as the rule's own.
ORDERS = (
    _order("factors", "", "A * B * C → A * (B * C)"),
    _order("factors", "", "A * B * C → B * (A * C)"),
    _order("factors", "", "A * (B * C) → A * B * C"),
    _order("terms", "", "A + B → B + A"),
    _order("difference", "", "A + -B * C → A - B * C"),
    _order("square", "", "A * G * G → A * (G * G)"),
    _order("quotient", "", "A * B / C → A * (B / C)"),
    _order("quotient", "", "A / B * C → A * C / B"),
    _order("reciprocal", "", "A / B → A * (1.0 / B)"),
    _order("fused multiply-add", "", "A * B + C → fma(A, B, C)"),
    _order("moment", "", _WRITTEN_OUT),
    _order("moment", "", "lerp(M, G, W, xp) → M - W * (M - G)"),
    _order("difference", "", "S * B + (1 - B) * Q * R → S + (1 - B) * (Q * R - S)"),
)

SCALARS = next(entry for entry in ROUNDINGS if entry.name == "scalars of float32")
COMPUTED = _rounding("computed numbers", "", *_NUMBERS)  # not options, which are what they are
UNROUNDED = next(entry for entry in ROUNDINGS if entry.name == "iteration in full precision")
