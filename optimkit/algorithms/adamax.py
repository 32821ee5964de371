"""Adamax: Adam with the infinity norm (Kingma and Ba, 2015)."""

from __future__ import annotations

from typing import Any

from optimkit.optimizer import Optimizer, pure
from optimkit.options import given, non_negative, pair_of_fractions
from optimkit.rounding import lerp
from optimkit.typing import Params


class Adamax(Optimizer):
    r"""Adamax: Adam with a decaying maximum of the gradients in place of their second moment.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        u_t &= \max(\beta_2 u_{t-1},\; |g_t| + \epsilon) \\
        \theta_t &= \theta_{t-1} - \frac{\gamma}{1 - \beta_1^t}\, \frac{m_t}{u_t}

    Parameters
    ----------
    params : iterable of arrays, tensors or Parameters; of (name, parameter) pairs; mapping; groups
        What to optimize, updated in place.
    lr : float, default 2e-3
        Learning rate :math:`\gamma \ge 0`, in units of the parameter a step.
    betas : (float, float), default (0.9, 0.999)
        Decay rates :math:`\beta_1, \beta_2` in [0, 1) of the mean and of the maximum.
    eps : float, default 1e-8
        :math:`\epsilon \ge 0`, added to the gradient's size, in units of the gradient.
    weight_decay : float, default 0
        L2 penalty :math:`\lambda \ge 0`, added to the gradient.
    maximize : bool, default False
        Ascend instead of descend.
    foreach, capturable, differentiable : optional
        Accepted so that torch calls can be moved over. ``foreach`` chooses nothing here; with
        ``capturable=True`` a step can be captured in a CUDA graph, and with
        ``differentiable=True`` gradients flow through it, of torch tensors.
    fused : bool or None, default None
        None: the fastest engine that can run a parameter; True: a fused engine or an error;
        False: the eager reference.
    master_dtype : {"float32"}, optional
        Of copies of half-precision parameters, which are stepped in their place: see
        :class:`Optimizer`.

    Raises
    ------
    ValueError
        For an option out of its range.

    Notes
    -----
    State per parameter: ``step`` (a count), ``exp_avg`` :math:`m` and ``exp_inf`` :math:`u`, both
    of the parameter's shape and dtype.

    Differs from the paper: it has no :math:`\epsilon`, and divides by zero where every gradient so
    far was zero.

    Use it where gradients are mostly zero, as those of embeddings are.

    Beware of a single very large gradient: it keeps the steps of its element small for about
    :math:`1 / (1 - \beta_2)` steps.

    References
    ----------
    .. [1] D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", section 7.1,
       ICLR 2015, arXiv:1412.6980.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> weights = np.array([1.0, -2.0])
    >>> optimizer = ok.Adamax([weights], lr=0.1)
    >>> for _ in range(200):
    ...     optimizer.step(grads=[2 * weights])  # the gradient of the sum of squares
    >>> bool(np.abs(weights).max() < 0.05)
    True
    """

    limits = {
        "lr": non_negative,
        "betas": pair_of_fractions,
        "eps": non_negative,
        "weight_decay": non_negative,
    }

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
        fused: bool | None = None,
        master_dtype: str | None = None,
    ) -> None:
        super().__init__(params, given(locals()))

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        return {"exp_avg": xp.zeros_like(param), "exp_inf": xp.zeros_like(param)}

    @staticmethod
    @pure
    def update(
        xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int
    ) -> tuple[Any, dict[str, Any]]:
        beta1, beta2 = hyper.betas
        if hyper.maximize:
            grad = -grad
        # g = g + λ θ
        if hyper.weight_decay != 0:
            grad = grad + hyper.weight_decay * param
        # m = β1 m + (1 - β1) g
        m = lerp(state["exp_avg"], grad, 1 - beta1, xp)
        # u = max(β2 u, |g| + ε)
        u = xp.maximum(state["exp_inf"] * beta2, abs(grad) + hyper.eps)
        # θ = θ - γ / (1 - β1^t) m / u
        lr = hyper.lr / (1 - beta1**step)
        return param + (-lr * m) / u, {"exp_avg": m, "exp_inf": u}
