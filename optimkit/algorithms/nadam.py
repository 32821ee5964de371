"""NAdam: Adam with Nesterov momentum (Dozat, 2016)."""

from __future__ import annotations

from typing import Any

from optimkit.optimizer import Optimizer, pure
from optimkit.options import given, non_negative, pair_of_fractions
from optimkit.rounding import float32, lerp
from optimkit.typing import Params


class NAdam(Optimizer):
    r"""NAdam: Adam with Nesterov momentum, whose share grows with the step.

    .. math::
        \mu_t &= \beta_1 \left(1 - \tfrac12\, 0.96^{t \psi}\right) \\
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
        \hat m_t &= \frac{(1 - \mu_t)\, g_t}{1 - \prod_{i=1}^{t} \mu_i}
            + \frac{\mu_{t+1}\, m_t}{1 - \prod_{i=1}^{t+1} \mu_i} \\
        \theta_t &= \theta_{t-1} - \gamma\, \frac{\hat m_t}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}

    Parameters
    ----------
    params : iterable of arrays, tensors or Parameters; of (name, parameter) pairs; mapping; groups
        What to optimize, updated in place.
    lr : float, default 2e-3
        Learning rate :math:`\gamma \ge 0`, in units of the parameter a step.
    betas : (float, float), default (0.9, 0.999)
        Decay rates :math:`\beta_1, \beta_2` in [0, 1) of the two moments.
    eps : float, default 1e-8
        :math:`\epsilon \ge 0`, added to the denominator, in units of the gradient.
    weight_decay : float, default 0
        :math:`\lambda \ge 0`: an L2 penalty added to the gradient, or the rate of the decoupled
        decay.
    momentum_decay : float, default 4e-3
        :math:`\psi \ge 0`, how fast the momentum :math:`\mu_t` grows to :math:`\beta_1`.
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
    State per parameter: ``step`` (a count), ``mu_product`` :math:`\prod_i \mu_i` (a number),
    ``exp_avg`` :math:`m` and ``exp_avg_sq`` :math:`v`, both of the parameter's shape and dtype.

    Differs from the paper: its mean decays with :math:`\mu_t`, this one with :math:`\beta_1`, as in
    torch. As there too, ``mu_product`` has float32 precision whatever the parameter's dtype (in
    torch that of its default dtype, which is float32 unless a program sets another).

    Use it in Adam's place where a look-ahead helps, as Nesterov's does for momentum.

    Beware of comparing it with Adam at the defaults: its learning rate is twice Adam's.

    References
    ----------
    .. [1] T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR 2016 workshop,
       https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ.
    .. [2] I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019,
       arXiv:1711.05101.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> weights = np.array([1.0, -2.0])
    >>> optimizer = ok.NAdam([weights], lr=0.1)
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
        "momentum_decay": non_negative,
    }

    def __init__(
        self,
        params: Params,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
        moments = {"exp_avg": xp.zeros_like(param), "exp_avg_sq": xp.zeros_like(param)}
        return {"mu_product": 1.0} | moments

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
        # μ_t = β1 (1 - 0.96^(tψ) / 2), and the product of all so far
        mu = beta1 * (1 - 0.5 * 0.96 ** (step * hyper.momentum_decay))
        mu_next = beta1 * (1 - 0.5 * 0.96 ** ((step + 1) * hyper.momentum_decay))
        product = float32(state["mu_product"] * float32(mu))
        # m = β1 m + (1 - β1) g
        m = lerp(state["exp_avg"], grad, 1 - beta1, xp)
        # v = β2 v + (1 - β2) g²
        v = state["exp_avg_sq"] * beta2 + (1 - beta2) * grad * grad
        # θ = θ - γ ((1 - μ_t) g / (1 - Π μ) + μ_{t+1} m / (1 - μ_{t+1} Π μ)) / (sqrt(v / bias) + ε)
        denominator = xp.sqrt(v / (1 - beta2**step)) + hyper.eps
        param = param + ((-lr * (1 - mu) / (1 - product)) * grad) / denominator
        param = param + ((-lr * mu_next / (1 - product * mu_next)) * m) / denominator
        return param, {"mu_product": product, "exp_avg": m, "exp_avg_sq": v}
