"""Adafactor: adaptive learning rates with sublinear memory (Shazeer and Stern, 2018)."""

from __future__ import annotations

import math
from typing import Any

from optimkit.backends.reductions import square_sum, squares, total
from optimkit.optimizer import Optimizer, pure
from optimkit.options import at_least_one, given, non_negative, non_positive, pair_of_least
from optimkit.rounding import lerp
from optimkit.typing import Params


class Adafactor(Optimizer):
    r"""Adafactor: Adam's second moment of a matrix kept as one row and one column.

    .. math::
        \hat\beta_t &= 1 - t^{\tau}, \qquad
        \alpha_t = \max\big(\epsilon_2, \mathrm{RMS}(\theta_{t-1})\big)
            \min\big(\gamma, 1 / \sqrt{t}\big) \\
        R_t &= \hat\beta_t R_{t-1} + (1 - \hat\beta_t)\, \mathrm{mean}_\text{columns}(G_t^2) \\
        C_t &= \hat\beta_t C_{t-1} + (1 - \hat\beta_t)\, \mathrm{mean}_\text{rows}(G_t^2) \\
        V_t &= R_t C_t / \max\big(\mathrm{mean}(R_t), \epsilon_1\big) \\
        U_t &= G_t / \max\big(\sqrt{V_t}, \epsilon_1\big) \\
        \theta_t &= (1 - \gamma\lambda)\, \theta_{t-1}
            - \alpha_t U_t / \max\big(1, \mathrm{RMS}(U_t) / d\big)

    A vector is not factored: :math:`V_t = \hat\beta_t V_{t-1} + (1 - \hat\beta_t)\, G_t^2`. Arrays
    of more dimensions are stacks of matrices, the last two dimensions.

    Parameters
    ----------
    params : iterable of arrays, tensors or Parameters; of (name, parameter) pairs; mapping; groups
        What to optimize, updated in place.
    lr : float, default 1e-2
        :math:`\gamma \ge 0`, the largest step relative to the parameter, and the factor of the
        weight decay.
    beta2_decay : float, default -0.8
        :math:`\tau \le 0`, the exponent with which :math:`\hat\beta_t` comes near to 1.
    eps : (float or None, float), default (None, 1e-3)
        :math:`\epsilon_1 \ge 0`, the least root of a second moment, in units of the gradient
        (None: the machine epsilon of the parameter's dtype), and :math:`\epsilon_2 \ge 0`, the
        least scale of a parameter, in its units.
    d : float, default 1.0
        The root mean square :math:`d \ge 1` above which the update is clipped.
    weight_decay : float, default 0
        Rate :math:`\lambda \ge 0` of the decoupled decay; a step shrinks the parameter by
        :math:`\gamma\lambda`.
    foreach : optional
        Accepted so that torch calls can be moved over; it chooses nothing here.
    maximize : bool, default False
        Ascend instead of descend.
    fused : bool or None, default None
        None or False: the eager reference. True is refused: the rule is not elementwise.
    master_dtype : {"float32"}, optional
        Of copies of half-precision parameters, which are stepped in their place: see
        :class:`Optimizer`.

    Raises
    ------
    ValueError
        For an option out of its range.
    RuntimeError
        For a complex parameter.

    Notes
    -----
    State per parameter: ``step`` (a count) and, of a matrix with n rows and m columns, ``row_var``
    :math:`R` (n, 1) and ``col_var`` :math:`C` (1, m), of a vector or number ``variance`` :math:`V`
    (its shape); each of the parameter's dtype.

    Differs from the paper, as torch does: means take the place of sums, which changes only the
    range; `lr` takes the place of the constant 0.01 in the relative step; and :math:`\epsilon_1`
    bounds what is divided by instead of being added to the squared gradient, so its default and
    its unit are others. The decay is that of :class:`AdamW`. The momentum of the paper's section
    9 is left out.

    Differs from torch in rounding only: the roots of :math:`R` and :math:`C` are taken before they
    are multiplied, so no product of small moments underflows; and squares are summed row by row,
    where torch's float32 sum over a whole matrix is off by 1e-5 (768 x 768) and more. With None,
    :math:`\epsilon_1` is that of each parameter's own dtype; torch uses the first one's for all of
    a group.

    Use it for large matrices where memory is short.

    Beware of `lr`, which is relative to the size of the parameter, not in its unit.

    References
    ----------
    .. [1] N. Shazeer, M. Stern, "Adafactor: adaptive learning rates with sublinear memory cost",
       ICML 2018, arXiv:1804.04235.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> weights = np.array([[1.0, -2.0], [3.0, 0.5]])
    >>> optimizer = ok.Adafactor([weights], lr=0.1)
    >>> for _ in range(200):
    ...     optimizer.step(grads=[2 * weights])  # the gradient of the sum of squares
    >>> bool(np.abs(weights).max() < 0.1)
    True
    """

    differentiable = False
    limits = {
        "lr": non_negative,
        "beta2_decay": non_positive,
        "eps": pair_of_least,
        "d": at_least_one,
        "weight_decay": non_negative,
    }

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        fused: bool | None = None,
        master_dtype: str | None = None,
    ) -> None:
        super().__init__(params, given(locals()))

    @staticmethod
    def check_param(param: Any, hyper: Any) -> None:
        if "complex" in str(param.dtype):
            raise RuntimeError(
                f"its dtype is {param.dtype}; Adafactor does not support complex parameters"
            )

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        if param.ndim < 2:
            return {"variance": xp.zeros_like(param)}
        *stack, rows, columns = param.shape
        like = {"dtype": param.dtype, "device": device_of(xp, param)}
        row, column = xp.zeros((*stack, rows, 1), **like), xp.zeros((*stack, 1, columns), **like)
        return {"row_var": row, "col_var": column}

    @staticmethod
    @pure
    def update(
        xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int
    ) -> tuple[Any, dict[str, Any]]:
        lr, (eps1, eps2), share = hyper.lr, hyper.eps, step ** float(hyper.beta2_decay)
        if 0 in param.shape:  # torch divides by zero
            return param, {}
        grad = -grad if hyper.maximize else grad
        eps1 = float(xp.finfo(param.dtype).eps) if eps1 is None else eps1
        # α = max(ε2, RMS(θ)) min(γ, 1 / sqrt(t))
        alpha = at_least(xp, eps2, root_mean_square(xp, param)) * min(lr, 1 / step**0.5)
        # θ = (1 - γλ) θ
        param = param * (1 - lr * hyper.weight_decay) if hyper.weight_decay else param
        # of a vector V = β V + (1 - β) G² and U = G / max(sqrt(V), ε1)
        if param.ndim < 2:
            variance = lerp(state["variance"], grad * grad, share, xp)
            direction, new = grad / at_least(xp, eps1, xp.sqrt(variance)), {"variance": variance}
        else:
            direction, new = factored(xp, grad, state, share, eps1)
        # θ = θ - α U / max(1, RMS(U) / d)
        scale = -alpha / at_least(xp, 1.0, root_mean_square(xp, direction) * (1 / hyper.d))
        direction *= xp.astype(scale, param.dtype)
        direction += param
        return direction, new


def factored(
    xp: Any, grad: Any, state: Any, share: float, eps1: float
) -> tuple[Any, dict[str, Any]]:
    """Return the direction U of a matrix and its new state: a row R and a column C make V."""
    # R = β R + (1 - β) mean(G²) of each row, C likewise of each column
    row_mean = squares(xp, grad)[..., None] / grad.shape[-1]
    row = lerp(state["row_var"], row_mean, share, xp)
    column_mean = squares(xp, grad, axis=-2)[..., None, :] / grad.shape[-2]
    column = lerp(state["col_var"], column_mean, share, xp)
    # V = R C / max(mean(R), ε1) and U = G / max(sqrt(V), ε1)
    mean = at_least(xp, eps1, total(xp, row, axis=-2)[..., None, :] / row.shape[-2])
    direction = grad / at_least(xp, eps1, xp.sqrt(row / mean) * xp.sqrt(column))
    return direction, {"row_var": row, "col_var": column}


def root_mean_square(xp: Any, x: Any) -> Any:
    """Return the root of the mean of the squares, in float64 and still where the array is."""
    return xp.sqrt(xp.astype(square_sum(xp, x), xp.float64) / math.prod(x.shape))


def at_least(xp: Any, least: float, x: Any) -> Any:
    """Return the larger of each; the number is made where the array is, which waits for nothing."""
    return xp.maximum(x, xp.full((), least, dtype=x.dtype, device=device_of(xp, x)))


def device_of(xp: Any, x: Any) -> Any:
    """Return where an array is; None, which any library takes, where it may only be traced."""
    return x.device if getattr(xp, "placed", True) else None
