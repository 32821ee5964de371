"""The table of departures: what implementations do that the rule does not, each one change of it.

An entry is a pattern of the rule's text and what takes its place, in the syntax of `rewriting`.
The rule itself is written in its own file alone; an entry fits every rule in which its pattern is
found, at each place where it is found.
"""

from __future__ import annotations

from optimkit.validation.comparison.departure import SLIP, WRONG, entries_of

_wrong, _throughout = entries_of(WRONG), entries_of(WRONG, True)
_slip = entries_of(SLIP)

_INSIDE = (
    "eps inside the root",
    "eps is added to the second moment before the root is taken",
)
_SQUARED = (
    "eps squared inside the root",
    "eps squared is added to the second moment before the root is taken",
)
_TWICE = (
    "eps inside and outside the root",
    "eps is added to the second moment before the root is taken, and to the root",
)
_HAT = (
    "eps-hat",
    "eps is added before the bias correction of the second moment, and so scaled by it, as by "
    "folding both corrections into the learning rate",
)

_UNROUNDED = (
    "bfloat16(xp, A) → A * 1.0",
    "rounded(xp, A) → A",
    "add_product(xp, A, X, C, X) → A * X + C * (X @ X)",
    "add_product(xp, A, X, 1, S) → A * X + (X @ S if X.shape[0] > X.shape[1] else S @ X)",
)
_CORRECTED = (
    "lerp_as_torch(xp, G, S, M) if N else S → "
    "lerp_as_torch(xp, G / (1 - M**step), S / (1 - M ** (step + 1)), M) if N else S"
)

DEPARTURES = (
    # eps
    _wrong(*_INSIDE, "xp.sqrt(V) / C**0.5 + EPS → xp.sqrt(V / C + EPS)"),
    _wrong(*_INSIDE, "xp.sqrt(V) + EPS → xp.sqrt(V + EPS)"),
    _wrong(*_SQUARED, "xp.sqrt(V) / C**0.5 + EPS → xp.sqrt(V / C + EPS * EPS)"),
    _wrong(*_SQUARED, "xp.sqrt(V) + EPS → xp.sqrt(V + EPS * EPS)"),
    _wrong(*_TWICE, "xp.sqrt(V) / C**0.5 + EPS → xp.sqrt(V / C + EPS) + EPS"),
    _wrong(*_TWICE, "xp.sqrt(V) + EPS → xp.sqrt(V + EPS) + EPS"),
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
    # weight decay; what is done to a gradient that has been used already is nothing
    _wrong("decay missing", "there is no weight decay",
           "param = param * (1 - LR * DECAY) → pass"),
    _wrong("decay missing", "there is no weight decay",
           "grad = grad + DECAY * param → pass"),
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
    # rows, columns and matrices
    _wrong(
        "second moment not factored",
        "the second moment of a matrix is kept whole, not as a row and a column",
        "param.ndim < 2 → True",
        "state['variance'] → state.get('variance', 0 * grad)",
    ),
    _throughout(
        "eps added to the squares",
        "eps1 is added to the squared gradient, as in the paper, and bounds no root",
        "grad * grad → grad * grad + eps1",
        "A / grad.shape[N] → A / grad.shape[N] + eps1",
        "at_least(xp, eps1, A) → A",
    ),
    _throughout("sums in place of means", "rows and columns have the sums of squares",
                "A / grad.shape[N] → A"),
    _wrong("factors without their mean", "the product of row and column is not divided",
           "xp.sqrt(R / M) * xp.sqrt(C) → xp.sqrt(R) * xp.sqrt(C)"),
    _wrong("step not relative to the parameter",
           "the step has a size of its own, whatever the parameter's",
           "at_least(xp, E, root_mean_square(xp, P)) * R → root_mean_square(xp, P) * 0 + R"),
    _wrong("least size of the parameter missing", "a parameter near zero stays there",
           "at_least(xp, E, root_mean_square(xp, P)) → root_mean_square(xp, P)"),
    _wrong("constant step",
           "the step is lr from the first on, not the smaller of lr and its schedule",
           "min(LR, 1 / S) → LR"),
    _wrong("update not clipped", "however large its root mean square is, the update is taken whole",
           "-A / at_least(xp, 1.0, R) → -A"),
    _wrong("decay missing", "there is no weight decay",
           "param * (1 - LR * DECAY) if DECAY else param → param"),
    _wrong(
        "coupled decay in place of decoupled",
        "weight_decay * param is added to the gradient and passes through the moments",
        "param = param * (1 - LR * DECAY) if DECAY else param → grad = grad + DECAY * param",
    ),
    _wrong("decay times the step",
           "the parameter shrinks by weight_decay and the size of this step",
           "param * (1 - LR * DECAY) → param * xp.astype(1 - alpha * DECAY, param.dtype)"),
    _wrong("share of the gradient missing", "the buffer is momentum * buffer + grad",
           "lerp_as_torch(xp, S, G, 1 - M) → M * S + G"),
    _wrong("no look-ahead", "the direction is the momentum itself, as without Nesterov",
           "lerp_as_torch(xp, G, S, M) if N else S → S"),
    _wrong("look-ahead by the whole gradient", "Nesterov's direction is grad + momentum * buffer",
           "lerp_as_torch(xp, G, S, M) if N else S → G + M * S if N else S"),
    _wrong("lr adjusted by the other side", "a wide matrix has the larger step, not a tall one",
           "R / max(C, 1) → C / max(R, 1)"),
    _wrong("lr not adjusted", "the step does not depend on the shape",
           "max(1, A) ** 0.5 → 1.0"),
    _wrong("lr adjusted below 1", "a wide matrix has a smaller step",
           "max(1, A) ** 0.5 → A ** 0.5"),
    _wrong("lr adjusted without root",
           "the step grows with the quotient of the sides, not its root",
           "max(1, A) ** 0.5 → max(1, A)"),
    _wrong("cubic Newton-Schulz", "the coefficients are 1.5, -0.5 and 0",
           "hyper.ns_coefficients → (1.5, -0.5, 0.0)"),
    _wrong("quintic Newton-Schulz of Taylor's coefficients",
           "the coefficients are 1.875, -1.25 and 0.375",
           "hyper.ns_coefficients → (1.875, -1.25, 0.375)"),
    _wrong("eps added to the norm", "eps is added to the norm, and is not its least value",
           "xp.maximum(N, xp.full_like(N, E)) → N + E"),
    _throughout(
        "products not rounded to bfloat16",
        "the iteration is computed in the parameter's dtype",
        *_UNROUNDED,
    ),
    _throughout(
        "as in Keras",
        "the buffer is momentum * buffer + grad, the step as with match_rms_adamw, and the "
        "iteration is computed in the parameter's dtype",
        *_UNROUNDED,
        "lerp_as_torch(xp, S, G, 1 - M) → M * S + G",
        "lerp_as_torch(xp, G, S, M) if N else S → G + M * S if N else S",
        "xp.maximum(N, xp.full_like(N, E)) → N + E",
        "max(1, A) ** 0.5 → 0.2 * max(rows, columns) ** 0.5",
    ),
    _throughout(
        "as in optax",
        "the moments are corrected before the look-ahead, a wide matrix has the larger step, and "
        "the iteration is computed in the parameter's dtype",
        *_UNROUNDED,
        _CORRECTED,
        "xp.maximum(N, xp.full_like(N, E)) → N + E",
        "R / max(C, 1) → C / max(R, 1)",
    ),
    _wrong(
        "moments corrected before the look-ahead",
        "the gradient and the momentum are divided by what their bias is first",
        _CORRECTED,
    ),
    # sparse gradients
    _wrong("eps after the correction", "eps is added to the corrected second moment, as in Adam",
           "xp.sqrt(v) + EPS → xp.sqrt(v) + EPS * sqrt(1 - beta2**step)"),
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
