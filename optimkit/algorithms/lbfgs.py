"""L-BFGS: the quasi-Newton method of limited memory (Nocedal, 1980; Liu and Nocedal, 1989)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optimkit.closure_optimizer import ClosureOptimizer
from optimkit.line_search import Evaluate, check_line_search, descend, dot, ratio
from optimkit.options import count, given, non_negative, number
from optimkit.typing import Params


class LBFGS(ClosureOptimizer):
    r"""Limited-memory BFGS, with fixed steps or a strong Wolfe line search.

    .. math::
        s_k &= x_{k+1} - x_k, \quad y_k = g_{k+1} - g_k, \quad \rho_k = 1 / y_k^T s_k \\
        H_{k+1} &= (I - \rho_k s_k y_k^T)\, H_k\, (I - \rho_k y_k s_k^T) + \rho_k s_k s_k^T \\
        x_{k+1} &= x_k + t_k d_k, \qquad d_k = -H_k g_k

    :math:`H_k` is never formed: the last `history_size` pairs :math:`(s, y)` are applied to the
    gradient :math:`g_k`, starting from :math:`H = (s^T y / y^T y) I` of the newest pair.

    Parameters
    ----------
    params : iterable of arrays, tensors or Parameters; of (name, parameter) pairs; mapping
        What to optimize, updated in place. One group only: the parameters form one vector.
    lr : float, default 1
        The step :math:`t \ge 0`, or the first that the line search tries. The very first is
        smaller: ``lr * min(1, 1 / sum(abs(grad)))``.
    max_iter : int, default 20
        Most iterations in a call of `step`.
    max_eval : int or None, default None
        Most evaluations of the closure in a call of `step`; None: ``max_iter * 5 // 4``. It is
        checked after an iteration, so fixed steps keep it and the line search exceeds it by at
        most one evaluation. A number below 1, with which torch's line search fails, is like 1:
        the first iteration, of one trial step, is the last. With ``max_iter=1`` None is 1: a trial
        step that fails leaves the parameters where they are, call after call, so give more.
    tolerance_grad : float, default 1e-7
        Stop when no entry of the gradient is larger in magnitude.
    tolerance_change : float, default 1e-9
        Stop when the loss, or every parameter, changes less, or when the slope along the
        direction is flatter.
    history_size : int, default 100
        How many pairs :math:`(s, y)` are kept, each twice the size of the parameters. With 0 the
        steps are along the gradient, scaled by :math:`s^T y / y^T y` of the latest pair; torch
        accepts 0, and fails in the second iteration.
    line_search_fn : "strong_wolfe" or None, default None
        None: fixed steps `lr`.
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
    first iteration.

    State, under the first parameter: ``func_evals`` and ``n_iter`` (counts), ``d`` (direction),
    ``t`` (step), ``old_dirs``, ``old_stps`` and ``ro`` (lists of :math:`y`, :math:`s` and
    :math:`\rho`), ``al`` (the :math:`\alpha` of the latest recursion), ``H_diag``,
    ``prev_flat_grad``, ``prev_loss``. Vectors are flat, over all parameters.

    Differs from [2]_: as in torch, a pair without positive curvature (:math:`y^T s \le 10^{-10}`)
    is left out, and without a line search nothing makes the loss decrease. Differs from torch:
    inner products are turned into Python floats, so for float32 parameters the step length and
    the line search are computed in double; and where a trial step meets an infinite or NaN loss,
    the line search bisects, while torch's goes on to NaN.

    Use it with ``line_search_fn="strong_wolfe"`` for smooth problems whose loss and gradient are of
    all the data.

    Beware of batches: a difference of two gradients is then mostly noise. And without a line search
    a step may go up.

    References
    ----------
    .. [1] J. Nocedal, "Updating quasi-Newton matrices with limited storage", Mathematics of
       Computation 35 (1980), doi:10.1090/S0025-5718-1980-0572855-7.
    .. [2] D. C. Liu, J. Nocedal, "On the limited memory BFGS method for large scale
       optimization", Mathematical Programming 45 (1989), doi:10.1007/BF01589116.
    .. [3] J. Nocedal, S. J. Wright, "Numerical optimization", 2nd edition, Springer 2006,
       algorithms 3.5, 3.6, 7.4 and 7.5, doi:10.1007/978-0-387-40065-5.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> x = np.array([-1.2, 1.0])
    >>> def rosenbrock():
    ...     a, b = x
    ...     loss = 100 * (b - a**2) ** 2 + (1 - a) ** 2
    ...     return loss, [np.array([-400 * a * (b - a**2) - 2 * (1 - a), 200 * (b - a**2)])]
    >>> optimizer = ok.LBFGS([x], max_iter=100, line_search_fn="strong_wolfe")
    >>> _ = optimizer.step(rosenbrock)
    >>> bool(np.abs(x - 1).max() < 1e-4)
    True
    """

    limits = {
        "lr": non_negative,
        "max_iter": count,
        "max_eval": number,
        "tolerance_grad": number,
        "tolerance_change": number,
        "history_size": count,
    }
    memory = {
        "n_iter": "a number",
        "func_evals": "a number",
        "d": "a vector of all parameters",
        "prev_flat_grad": "a vector of all parameters",
        "prev_loss": "a number",
        "t": "a number",
        "old_dirs": "a list of vectors of all parameters",
        "old_stps": "a list of vectors of all parameters",
        "ro": "a list of numbers",
        "H_diag": "a number",
    }

    def __init__(
        self,
        params: Params,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
        *,
        fused: bool | None = None,
    ) -> None:
        max_eval = max_iter * 5 // 4 if max_eval is None else max_eval
        super().__init__(params, given(locals()))

    @staticmethod
    def check_options(hyper: Any) -> None:
        check_line_search("LBFGS", hyper.line_search_fn)

    @staticmethod
    def minimize(
        xp: Any, x: Any, evaluate: Evaluate, state: Mapping[str, Any], hyper: Any
    ) -> tuple[Any, dict[str, Any], float]:
        return descend(xp, x, evaluate, state, hyper, _direction, c1=1e-4, c2=0.9)


def _direction(
    xp: Any, loss: float, grad: Any, state: Mapping[str, Any], hyper: Any
) -> dict[str, Any]:
    """Return ``d = -H g``, the first step to try, and the history with the newest pair."""
    if state["n_iter"] == 1:
        empty = {"old_dirs": [], "old_stps": [], "ro": [], "H_diag": 1}
        t = min(1.0, ratio(1.0, float(xp.sum(xp.abs(grad))))) * hyper.lr
        return {"d": -grad, "t": t, **empty}
    ys, ss, ro = list(state["old_dirs"]), list(state["old_stps"]), [float(r) for r in state["ro"]]
    diagonal = float(state["H_diag"])
    # y = g - g',  s = t d,  ρ = 1 / yᵀs,  H = yᵀs / yᵀy
    y, s = grad - state["prev_flat_grad"], state["d"] * float(state["t"])
    curvature = dot(xp, y, s)
    if curvature > 1e-10:
        ys.append(y)
        ss.append(s)
        ro.append(1.0 / curvature)
        while len(ys) > hyper.history_size:
            del ys[0], ss[0], ro[0]
        diagonal = ratio(curvature, dot(xp, y, y))
    # from the newest pair to the oldest:  α = ρ sᵀq,  q = q - α y
    q, al = -grad, [0.0] * len(ro)
    for i in reversed(range(len(ro))):
        al[i] = dot(xp, ss[i], q) * ro[i]
        q = q - al[i] * ys[i]
    # and back, from r = H q:  β = ρ yᵀr,  r = r + (α - β) s
    r = q * diagonal
    for i in range(len(ro)):
        r = r + (al[i] - dot(xp, ys[i], r) * ro[i]) * ss[i]
    unused = [None] * (hyper.history_size - len(al))
    memory = {"old_dirs": ys, "old_stps": ss, "ro": ro, "al": al + unused, "H_diag": diagonal}
    return {"d": r, "t": hyper.lr, **memory}
