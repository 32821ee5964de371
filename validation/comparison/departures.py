"""The table of departures: what implementations do that the rule does not, each one change of it.

An entry is a pattern of the rule's text and what takes its place, in the syntax of `rewriting`.
The rule itself is written in its own file alone; an entry fits every rule in which its pattern is
found, at each place where it is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from optimkit.validation.comparison.rewriting import everywhere, pattern, variants
from optimkit.validation.comparison.texts import Text

WRONG, SLIP, ROUNDING = "another rule", "a slip", "rounding"


@dataclass(frozen=True)
class Departure:
    """One change of a rule.

    Attributes
    ----------
    name : str
    meaning : str
        What is computed instead.
    edits : tuple of (str, str)
        Patterns, and what is in their place.
    kind : str
        Whether it is a rule that people know, a slip of the pen, or a matter of rounding.
    all : bool
        Whether every place is changed; else all edits have to be found, each at one place a time.
    """

    name: str
    meaning: str
    edits: tuple[tuple[str, str], ...]
    kind: str = WRONG
    all: bool = False

    def applied(self, text: Text) -> Iterator[Text]:
        """The texts that this change makes of a rule's."""
        if self.all:
            tree: Any = text.tree
            for before, after in self.edits:
                tree = everywhere(tree, pattern(before), pattern(after))
            trees = [] if tree is text.tree else [tree]
        else:
            trees = [text.tree]
            for before, after in self.edits:
                rewritten = (variants(tree, pattern(before), pattern(after)) for tree in trees)
                trees = [new for some in rewritten for new in some]
        for tree in trees:
            yield text.with_tree(tree)


def _entry(kind: str, everywhere: bool = False) -> Callable[..., Departure]:
    def entry(name: str, meaning: str, *edits: str) -> Departure:
        pairs = (edit.split(" → ") for edit in edits)
        return Departure(
            name, meaning, tuple((x.strip(), y.strip()) for x, y in pairs), kind, everywhere
        )

    return entry


_wrong, _throughout = _entry(WRONG), _entry(WRONG, True)
_slip = _entry(SLIP)
_order, _rounding = _entry(ROUNDING), _entry(ROUNDING, True)

_INSIDE = (
    "eps inside the root",
    "eps is added to the second moment before the root is taken",
)
_SQUARED = (
    "eps squared inside the root",
    "eps squared is added to the second moment before the root is taken",
)
_HAT = (
    "eps-hat",
    "eps is added before the bias correction of the second moment, and so scaled by it, as by "
    "folding both corrections into the learning rate",
)

DEPARTURES = (
    # eps
    _wrong(*_INSIDE, "xp.sqrt(V) / C**0.5 + EPS → xp.sqrt(V / C + EPS)"),
    _wrong(*_INSIDE, "xp.sqrt(V) + EPS → xp.sqrt(V + EPS)"),
    _wrong(*_SQUARED, "xp.sqrt(V) / C**0.5 + EPS → xp.sqrt(V / C + EPS * EPS)"),
    _wrong(*_SQUARED, "xp.sqrt(V) + EPS → xp.sqrt(V + EPS * EPS)"),
    _wrong(*_HAT, "xp.sqrt(V) / C + EPS → (xp.sqrt(V) + EPS) / C"),
    _wrong(*_HAT, "xp.sqrt(V / C) + EPS → (xp.sqrt(V) + EPS) / C**0.5"),
    _wrong(
        "eps outside the root",
        "eps is added after the root is taken",
        "xp.sqrt(V + EPS) → xp.sqrt(V) + EPS",
    ),
    _wrong("eps as a floor", "the larger of the root and eps divides, not their sum",
           "A + EPS → xp.maximum(A, EPS)"),
    _wrong("eps missing", "nothing is added to the denominator", "A + EPS → A"),
    _wrong(
        "eps missing",
        "nothing is added to the denominator, and where that is zero there is no step",
        "xp.sqrt(V) + EPS → xp.sqrt(V)",
        "(-LR * G) / R → xp.where(R > 0, (-LR * G) / R, 0 * G)",
    ),
    _wrong(
        "eps outside the maximum",
        "eps is added to the infinity norm when it divides, not to the gradient in the maximum",
        "xp.maximum(A, abs(G) + EPS) → xp.maximum(A, abs(G))",
        "(-LR * M) / U → (-LR * M) / (U + hyper.eps)",
    ),
    _wrong(
        "eps after the correction",
        "eps is added to the corrected root, as in Adam, and not scaled by the correction",
        "1 / (xp.sqrt(V) + EPS) * C**0.5 → 1 / (xp.sqrt(V) / C**0.5 + EPS)",
    ),
    # bias correction
    _wrong(
        "bias correction missing",
        "one moment is used as it is, though it began at zero",
        "1 - B**step → 1.0",
    ),
    _throughout("no bias correction", "the moments are used as they are, though they began at zero",
                "1 - B**step → 1.0"),
    _wrong(
        "bias correction without root",
        "the root of the second moment is divided by 1 - beta2**step, not by its root",
        "(1 - B**step) ** 0.5 → 1 - B**step",
    ),
    _wrong(
        "bias correction of the update missing",
        "the second moment of the denominator is corrected for its start and the first is not",
        "LR / (1 - B**step) → LR",
    ),
    _throughout("step counted from 0", "the first step has number 0, the second 1",
                "step → (step - 1)"),
    _throughout("step off by one", "the first step has number 2, the second 3",
                "step → (step + 1)"),
    _wrong("step off by one in one place", "one correction has the number of the next step",
           "B**step → B ** (step + 1)"),
    # weight decay
    _wrong(
        "decoupled decay in place of coupled",
        "the parameter shrinks by lr * weight_decay; the gradient has no part of it",
        "grad = grad + DECAY * param → param = param * (1 - hyper.lr * DECAY)",
    ),
    _wrong(
        "coupled decay in place of decoupled",
        "weight_decay * param is added to the gradient and passes through the moments",
        "param = param * (1 - LR * DECAY) → grad = grad + DECAY * param",
    ),
    _wrong(
        "decay after the step",
        "the parameter shrinks after it has moved, so that the step shrinks too",
        "param = param * (1 - LR * DECAY) → pass",
        "param + A / denominator → (param + A / denominator) * (1 - lr * decay)",
    ),
    _wrong("decay not times lr", "the parameter shrinks by weight_decay at each step, without lr",
           "1 - LR * DECAY → 1 - DECAY"),
    _wrong("decay times lr", "the penalty is multiplied by the learning rate too",
           "grad + DECAY * param → grad + hyper.lr * DECAY * param"),
    _wrong("decay missing", "there is no weight decay",
           "param = param * (1 - LR * DECAY) → pass"),
    _wrong("decay missing", "there is no weight decay",
           "grad = grad + DECAY * param → pass"),
    # momentum
    _wrong(
        "dampening on the first step",
        "the momentum begins at zero and is dampened from the first step on",
        "G if S is None else S * MOMENTUM + T * G → (0 * G if S is None else S) * MOMENTUM + T * G",
    ),
    _wrong(
        "look-ahead without the gradient",
        "Nesterov's direction is momentum * buffer, without the gradient",
        "G + MOMENTUM * S if N else S → MOMENTUM * S if N else S",
    ),
    _wrong(
        "look-ahead from the buffer",
        "Nesterov's direction has the buffer in place of the gradient",
        "G + MOMENTUM * S if N else S → S + MOMENTUM * S if N else S",
    ),
    _wrong("no look-ahead", "the direction is the momentum itself, as without Nesterov",
           "G + MOMENTUM * S if N else S → S"),
    _wrong(
        "lr before the momentum",
        "the buffer collects lr * grad; it differs once the learning rate changes",
        "G if S is None else R → hyper.lr * G if S is None else R",
        "S * MOMENTUM + T * G → S * MOMENTUM + hyper.lr * T * G",
        "G + MOMENTUM * S if N else S → hyper.lr * G + MOMENTUM * S if N else S",
        "param + -hyper.lr * direction → param - direction",
    ),
    _wrong(
        "lr before the momentum",
        "the buffer collects the whole step; it differs once the learning rate changes",
        "S * MOMENTUM + A / B → S * MOMENTUM + hyper.lr * A / B",
        "param + -hyper.lr * S → param - S",
    ),
    _throughout(
        "momentum without its schedule",
        "NAdam's mu is beta1 at every step, without the factor that grows to it",
        "beta1 * (1 - 0.5 * P) → beta1",
    ),
    _wrong(
        "look-ahead of the first moment",
        "the step has beta1 * m + (1 - beta1) * grad in place of m, as Nesterov's form of Adam",
        "A * m → A * lerp(m, grad, 1 - beta1, xp)",
    ),
    _wrong(
        "look-ahead twice",
        "the direction (1 + momentum) * grad + momentum**2 * buffer, which is for the buffer "
        "before this step, has the one after it",
        "G + MOMENTUM * S if N else S → (1 + MOMENTUM) * G + MOMENTUM * MOMENTUM * S if N else S",
    ),
    _wrong(
        "no step before the rectification",
        "while nu is at most 5 the parameter stays; the rule moves it by the first moment",
        "param - delta → param - delta * (1.0 if nu > 5 else 0.0)",
    ),
    _wrong(
        "step of the step before",
        "the parameter moves by what the step before has found, and not at all at first",
        "xp.where(grad > 0, A, B) → "
        "xp.where(agreement < 0, param, param - xp.sign(state['prev']) * state['step_size'])",
    ),
    # moments
    _wrong(
        "second moment begins at one",
        "the second moment begins at one and not at zero, so that the first steps are small",
        "state['square_avg'] * A → (state['square_avg'] + (1.0 if step == 1 else 0.0)) * A",
    ),
    _wrong(
        "as in TensorFlow",
        "the second moment begins at one, and eps is added to it before the root is taken",
        "state['square_avg'] * A → (state['square_avg'] + (1.0 if step == 1 else 0.0)) * A",
        "xp.sqrt(V) + EPS → xp.sqrt(V + EPS)",
    ),
    _throughout("betas in the other order", "beta1 and beta2 stand in each other's place",
                "hyper.betas → hyper.betas[::-1]"),
    _wrong(
        "share of the gradient missing",
        "the moment is beta * m + grad, not beta * m + (1 - beta) * grad",
        "lerp(M, G, 1 - B, xp) → B * M + G",
    ),
    _wrong("beta in place of 1 - beta", "the old moment and the gradient have each other's weight",
           "lerp(M, G, 1 - B, xp) → lerp(M, G, B, xp)"),
    _wrong("beta in place of 1 - beta", "the share of the gradient is beta", "(1 - B) * G → B * G"),
    _wrong("share of the gradient missing", "the moment is beta * v + grad**2, without 1 - beta",
           "S * B + (1 - B) * G * G → S * B + G * G"),
    _wrong(
        "belief",
        "the second moment is that of the gradient's distance from the first (AdaBelief)",
        "(1 - B) * grad * grad → (1 - B) * (grad - m) * (grad - m)",
    ),
    _wrong("second moment of the step before", "the denominator lacks the newest gradient",
           "xp.sqrt(v) → xp.sqrt(state['exp_avg_sq'])",),
    _wrong("first moment of the step before", "the step lacks the newest gradient",
           "A * m → A * state['exp_avg']"),
    _wrong(
        "maximum after the correction",
        "AMSGrad's maximum is taken of corrected second moments",
        "xp.maximum(state['max_exp_avg_sq'], v) → "
        "xp.maximum(state['max_exp_avg_sq'], v / (1 - beta2**step))",
        "xp.sqrt(v) / C**0.5 → (xp.sqrt(v) if hyper.amsgrad else xp.sqrt(v) / C**0.5)",
    ),
    _wrong("maximum missing", "the second moment of this step divides, not the largest so far",
           "xp.maximum(S, v) → v"),
    _throughout("maximize missing", "the sign of the gradient is not turned",
                "hyper.maximize → False"),
    # slips, which are not known by a name
    _slip("sign", "a sum is where a difference should be", "A - B → A + B"),
    _slip("sign", "a difference is where a sum should be", "A + B → A - B"),
    _slip("sign", "a sign is missing", "-A → A"),
    _slip("term missing", "the second term is left out", "A + B → A"),
    _slip("term missing", "the first term is left out", "A + B → B"),
    _slip("term missing", "the second term is left out", "A - B → A"),
    _slip("factor missing", "the second factor is left out", "A * B → A"),
    _slip("factor missing", "the first factor is left out", "A * B → B"),
    _slip("divisor missing", "nothing divides", "A / B → A"),
    _slip("product", "a product is where a quotient should be", "A / B → A * B"),
    _slip("quotient", "a quotient is where a product should be", "A * B → A / B"),
    _slip("root missing", "no root is taken", "xp.sqrt(A) → A"),
    _slip("root missing", "no root is taken", "A**0.5 → A"),
    _slip("absolute value missing", "the sign is kept", "abs(A) → A"),
    _slip("minimum", "the smaller is where the larger should be",
          "xp.maximum(A, B) → xp.minimum(A, B)"),
    _slip("comparison", "a comparison is turned round", "A > B → A < B"),
    _slip("comparison", "a comparison is turned round", "A < B → A > B"),
)  # fmt: skip

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
    _rounding("scalars of float32", "numbers that are no arrays are rounded to float32",
              "A + B → scalar32(A + B)", "A - B → scalar32(A - B)", "A * B → scalar32(A * B)",
              "A / B → scalar32(A / B)", "A ** B → scalar32(A ** B)",
              "hyper.N → scalar32(hyper.N)"),
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
