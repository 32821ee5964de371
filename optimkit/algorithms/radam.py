"""RAdam: Adam with a rectified variance (Liu et al., 2020)."""

from __future__ import annotations

from typing import Any

from optimkit.optimizer import Optimizer, pure
from optimkit.options import given, non_negative, pair_of_fractions
from optimkit.rounding import lerp
from optimkit.typing import Params


class RAdam(Optimizer):
    r"""RAdam: Adam that waits for its second moment to be worth something.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
        \nu_\infty &= \frac{2}{1 - \beta_2} - 1, \qquad
        \nu_t = \nu_\infty - \frac{2 t \beta_2^t}{1 - \beta_2^t} \\
        \theta_t &= \theta_{t-1} - \gamma\, \frac{m_t}{1 - \beta_1^t}
            \cdot \begin{cases}
                r_t \sqrt{1 - \beta_2^t}\, /\, (\sqrt{v_t} + \epsilon) & \nu_t > 5 \\
                1 & \text{otherwise}
            \end{cases} \\
        r_t &= \sqrt{\frac{(\nu_t - 4)(\nu_t - 2)\, \nu_\infty}
            {(\nu_\infty - 4)(\nu_\infty - 2)\, \nu_t}}

    where :math:`\nu_t` (the paper's :math:`\rho_t`) is how many gradients :math:`v_t` amounts to.

    Parameters
    ----------
    params : iterable of arrays, tensors or Parameters; of (name, parameter) pairs; mapping; groups
        What to optimize, updated in place.
    lr : float, default 1e-3
        Learning rate :math:`\gamma \ge 0`; in units of the parameter a step once :math:`\nu_t > 5`,
        and a factor on the gradient's mean before.
    betas : (float, float), default (0.9, 0.999)
        Decay rates :math:`\beta_1, \beta_2` in [0, 1) of the two moments.
    eps : float, default 1e-8
        :math:`\epsilon \ge 0`, added to the denominator, in units of the gradient.
    weight_decay : float, default 0
        :math:`\lambda \ge 0`: an L2 penalty added to the gradient, or the rate of the decoupled
        decay.
    decoupled_weight_decay : bool, default False
        Shrink the parameter itself, :math:`\theta \leftarrow (1 - \gamma\lambda)\,\theta`, as
        AdamW does.
    maximize : bool, default False
        Ascend instead of descend.
    foreach, capturable, differentiable : optional
        Accepted so that torch calls can be moved over. The first two choose nothing here; with
        ``differentiable=True`` gradients flow through the step, of torch tensors.
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
    State per parameter: ``step`` (a count), ``exp_avg`` :math:`m` and ``exp_avg_sq`` :math:`v`,
    both of the parameter's shape and dtype.

    Differs from the paper: as in torch and in the authors' own program, the rectified step begins
    above a length of 5, not 4; :math:`\epsilon`, which the paper has not, is added to
    :math:`\sqrt{v_t}` before the bias is divided out.

    Use it where Adam would need a warmup of the learning rate.

    Beware of a steep start: the first steps, five with the default `betas`, are as long as the
    gradient is, and diverge with a learning rate that Adam bears.

    References
    ----------
    .. [1] L. Liu, H. Jiang, P. He, W. Chen, X. Liu, J. Gao, J. Han, "On the variance of the
       adaptive learning rate and beyond", ICLR 2020, arXiv:1908.03265.
    .. [2] I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019,
       arXiv:1711.05101.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> weights = np.array([1.0, -2.0])
    >>> optimizer = ok.RAdam([weights], lr=0.1)
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
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        master_dtype: str | None = None,
    ) -> None:
        super().__init__(params, given(locals()))

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        return {"exp_avg": xp.zeros_like(param), "exp_avg_sq": xp.zeros_like(param)}

    @staticmethod
    @pure
    def update(
        xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int
    ) -> tuple[Any, dict[str, Any]]:
        lr, (beta1, beta2), decay = hyper.lr, hyper.betas, hyper.weight_decay
        grad = -grad if hyper.maximize else grad
        # θ = (1 - γλ) θ decoupled, else g = g + λ θ
        if decay != 0 and hyper.decoupled_weight_decay:
            param = param * (1 - lr * decay)
        elif decay != 0:
            grad = grad + decay * param
        # m = β1 m + (1 - β1) g
        m = lerp(state["exp_avg"], grad, 1 - beta1, xp)
        # v = β2 v + (1 - β2) g²
        v = state["exp_avg_sq"] * beta2 + (1 - beta2) * grad * grad
        # ν = ν_∞ - 2 t β2^t / (1 - β2^t)
        bias2, limit = 1 - beta2**step, 2 / (1 - beta2) - 1
        nu = limit - 2 * step * beta2**step / bias2
        # Δ = γ m / (1 - β1^t), times r sqrt(1 - β2^t) / (sqrt(v) + ε) once ν > 5; θ = θ - Δ
        delta = m / (1 - beta1**step) * lr
        if nu > 5:
            r = ((nu - 4) * (nu - 2) * limit / ((limit - 4) * (limit - 2) * nu)) ** 0.5
            delta = delta * (1 / (xp.sqrt(v) + hyper.eps) * bias2**0.5) * r
        return param - delta, {"exp_avg": m, "exp_avg_sq": v}
