"""Nonlinear conjugate gradients (Fletcher and Reeves, 1964; Polak and Ribière, 1969)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optimkit.closure_optimizer import ClosureOptimizer
from optimkit.line_search import Evaluate, check_line_search, descend, dot, ratio
from optimkit.options import (
    at_least_one_or_none,
    count,
    fraction,
    given,
    non_negative,
    non_negative_or_none,
    number,
)
from optimkit.typing import Params

VARIANTS = ("polak_ribiere", "fletcher_reeves", "hestenes_stiefel", "dai_yuan", "hager_zhang")


class NonlinearCG(ClosureOptimizer):
    r"""Nonlinear conjugate gradients with a strong Wolfe line search and automatic restarts.

    .. math::
        x_{k+1} &= x_k + t_k d_k, \qquad d_{k+1} = -g_{k+1} + \beta_k d_k, \qquad d_0 = -g_0 \\
        \beta^{PR} &= \max\left(0, \frac{g_{k+1}^T y_k}{g_k^T g_k}\right), \quad
        \beta^{FR} = \frac{g_{k+1}^T g_{k+1}}{g_k^T g_k}, \quad
        \beta^{HS} = \max\left(0, \frac{g_{k+1}^T y_k}{d_k^T y_k}\right), \quad
        \beta^{DY} = \frac{g_{k+1}^T g_{k+1}}{d_k^T y_k} \\
        \beta^{HZ} &= \max\left(
            \frac{1}{d_k^T y_k} \left(y_k - 2 d_k \frac{y_k^T y_k}{d_k^T y_k}\right)^T g_{k+1},\;
            \frac{-1}{\|d_k\| \min(0.01, \|g_k\|)}\right)

    with the gradient :math:`g` and :math:`y_k = g_{k+1} - g_k`. Memory for three vectors, where
    L-BFGS keeps a history.

    Parameters
    ----------
    params : iterable of arrays, tensors or Parameters; of (name, parameter) pairs; mapping
        What to optimize, updated in place. One group only: the parameters form one vector.
    lr : float, default 1
        The largest step :math:`t \ge 0` that the line search tries first (it may go further), or
        the step itself without a line search. The very first is smaller:
        ``lr * min(1, 1 / norm(grad))``.
    max_iter : int, default 20
        Most iterations in a call of `step`.
    max_eval : int or None, default None
        Most evaluations of the closure in a call of `step`, exceeded by at most one; None:
        ``max_iter * 5 // 2``.
    tolerance_grad : float, default 1e-7
        Stop when no entry of the gradient is larger in magnitude.
    tolerance_change : float, default 1e-9
        Stop when the loss, or every parameter, changes less, or when the slope along the
        direction is flatter.
    variant : str, default "polak_ribiere"
        The formula of :math:`\beta`: "polak_ribiere", "fletcher_reeves", "hestenes_stiefel",
        "dai_yuan" or "hager_zhang".
    restart_every : int or None, default None
        Take :math:`d = -g` again after so many iterations; None: only where the next option or
        the direction asks for it.
    restart_threshold : float or None, default 0.5
        Restart where successive gradients are far from orthogonal,
        :math:`|g_{k+1}^T g_k| \ge \nu\, g_{k+1}^T g_{k+1}` (Powell); None: never.
    c1, c2 : float, default 1e-4 and 0.25
        Sufficient decrease and curvature of the Wolfe conditions, :math:`0 \le c_1 < c_2 < 1`.
    line_search_fn : "strong_wolfe" or None, default "strong_wolfe"
        None: fixed steps `lr`, which makes this a momentum method without guarantees.
    fused : bool or None, default None
        Accepted as everywhere; inner products run on the eager engine only, so True is an error.

    Raises
    ------
    ValueError
        For an option out of its range, or several groups.
    RuntimeError
        For any other `line_search_fn`.

    Notes
    -----
    ``step(closure)`` needs a closure, which it calls many times, and returns the loss before the
    first iteration. The direction is kept from one call to the next.

    State, under the first parameter: ``func_evals`` and ``n_iter`` (counts), ``d`` (direction),
    ``t`` (step), ``prev_flat_grad``, ``prev_loss``, ``since_restart`` (a count). Vectors are
    flat, over all parameters.

    Differs from the papers: a direction that does not descend enough,
    :math:`d^T g > -0.01\, g^T g`, is replaced by :math:`-g` for every variant. The line search
    starts from the step that would repeat the last decrease, ``2 (f_k - f_(k-1)) / dᵀg``, one
    per cent longer ([4]_, formula 3.60). torch has no such method; options and stopping rules
    are those of its `LBFGS`.

    Use it as :class:`LBFGS`, for smooth problems of all the data, where a history would take too
    much memory.

    Beware of batches: a difference of two gradients is then mostly noise.

    References
    ----------
    .. [1] R. Fletcher, C. M. Reeves, "Function minimization by conjugate gradients", The Computer
       Journal 7 (1964), doi:10.1093/comjnl/7.2.149.
    .. [2] M. J. D. Powell, "Restart procedures for the conjugate gradient method", Mathematical
       Programming 12 (1977), doi:10.1007/BF01593790.
    .. [3] W. W. Hager, H. Zhang, "A survey of nonlinear conjugate gradient methods", Pacific
       Journal of Optimization 2 (2006).
    .. [4] J. Nocedal, S. J. Wright, "Numerical optimization", 2nd edition, Springer 2006,
       chapter 5, doi:10.1007/978-0-387-40065-5.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> x = np.array([-1.2, 1.0])
    >>> def rosenbrock():
    ...     a, b = x
    ...     loss = 100 * (b - a**2) ** 2 + (1 - a) ** 2
    ...     return loss, [np.array([-400 * a * (b - a**2) - 2 * (1 - a), 200 * (b - a**2)])]
    >>> optimizer = ok.NonlinearCG([x], max_iter=100)
    >>> _ = optimizer.step(rosenbrock)
    >>> bool(np.abs(x - 1).max() < 1e-5)
    True
    """

    limits = {
        "lr": non_negative,
        "max_iter": count,
        "max_eval": non_negative,
        "tolerance_grad": number,
        "tolerance_change": number,
        "restart_every": at_least_one_or_none,
        "restart_threshold": non_negative_or_none,
        "c1": fraction,
        "c2": fraction,
    }
    memory = {
        "n_iter": "a number",
        "func_evals": "a number",
        "d": "a vector of all parameters",
        "prev_flat_grad": "a vector of all parameters",
        "prev_loss": "a number",
        "t": "a number",
        "since_restart": "a number",
    }

    def __init__(
        self,
        params: Params,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        variant: str = "polak_ribiere",
        restart_every: int | None = None,
        restart_threshold: float | None = 0.5,
        c1: float = 1e-4,
        c2: float = 0.25,
        line_search_fn: str | None = "strong_wolfe",
        *,
        fused: bool | None = None,
    ) -> None:
        max_eval = max_iter * 5 // 2 if max_eval is None else max_eval
        super().__init__(params, given(locals()))

    @staticmethod
    def check_options(hyper: Any) -> None:
        check_line_search("NonlinearCG", hyper.line_search_fn)
        if hyper.variant not in VARIANTS:
            wrong = f"variant: {hyper.variant!r}; it must be one of {', '.join(VARIANTS)}"
        elif hyper.c1 >= hyper.c2:
            wrong = f"c1 and c2: {hyper.c1!r} and {hyper.c2!r}; c1 must be below c2"
        else:
            return
        raise ValueError(f"NonlinearCG: invalid {wrong}")

    @staticmethod
    def minimize(
        xp: Any, x: Any, evaluate: Evaluate, state: Mapping[str, Any], hyper: Any
    ) -> tuple[Any, dict[str, Any], float]:
        c1, c2 = hyper.c1, hyper.c2
        return descend(xp, x, evaluate, state, hyper, _direction, c1=c1, c2=c2, max_ls=25)


def _direction(
    xp: Any, loss: float, grad: Any, state: Mapping[str, Any], hyper: Any
) -> dict[str, Any]:
    """Return ``d = -g + β d``, or ``-g`` after a restart, and the first step to try."""
    square = dot(xp, grad, grad)
    # at first, and where the line search had found nothing lower
    if state["n_iter"] == 1 or float(state["t"]) == 0:
        return {"d": -grad, "t": hyper.lr * min(1.0, ratio(1.0, square**0.5)), "since_restart": 0}
    old, since = state["prev_flat_grad"], state["since_restart"] + 1
    every, threshold = hyper.restart_every, hyper.restart_threshold
    restart = (every is not None and since >= every) or (
        threshold is not None and abs(dot(xp, grad, old)) >= threshold * square
    )
    # d = -g + β d,  where it descends enough
    if not restart:
        d = -grad + _beta(xp, hyper.variant, grad, old, state["d"]) * state["d"]
        restart = not dot(xp, d, grad) <= -0.01 * square
    if restart:
        d, since = -grad, 0
    # t = 1.01 · 2 (f - f') / dᵀg
    expected = ratio(2.02 * (loss - float(state["prev_loss"])), dot(xp, d, grad))
    guess = hyper.line_search_fn is not None and expected > 0
    t = min(hyper.lr, expected) if guess else hyper.lr
    return {"d": d, "t": t, "since_restart": since}


def _beta(xp: Any, variant: str, grad: Any, old: Any, d: Any) -> float:
    y = grad - old
    if variant == "polak_ribiere":  # max(0, gᵀy / g'ᵀg')
        return max(0.0, ratio(dot(xp, grad, y), dot(xp, old, old)))
    if variant == "fletcher_reeves":  # gᵀg / g'ᵀg'
        return ratio(dot(xp, grad, grad), dot(xp, old, old))
    dy = dot(xp, d, y)
    if variant == "hestenes_stiefel":  # max(0, gᵀy / dᵀy)
        return max(0.0, ratio(dot(xp, grad, y), dy))
    if variant == "dai_yuan":  # gᵀg / dᵀy
        return ratio(dot(xp, grad, grad), dy)
    # (y - 2 d yᵀy / dᵀy)ᵀ g / dᵀy,  at least -1 / (|d| min(0.01, |g'|))
    beta = ratio(dot(xp, grad, y) - 2 * dot(xp, grad, d) * ratio(dot(xp, y, y), dy), dy)
    least = dot(xp, d, d) ** 0.5 * min(0.01, dot(xp, old, old) ** 0.5)
    return max(beta, -ratio(1.0, least))
