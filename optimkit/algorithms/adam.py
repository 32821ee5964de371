"""Adam: adaptive moment estimation (Kingma and Ba, 2015), with the AMSGrad variant."""

from __future__ import annotations

from typing import Any

from optimkit.optimizer import Optimizer, pure
from optimkit.options import given, is_tensor, non_negative, pair_of_fractions
from optimkit.rounding import lerp
from optimkit.typing import Params


class Adam(Optimizer):
    r"""Adam, with L2 or decoupled weight decay and the AMSGrad variant.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
        \theta_t &= \theta_{t-1} - \gamma\,
            \frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}

    Parameters
    ----------
    params : iterable of arrays, tensors or Parameters; of (name, parameter) pairs; mapping; groups
        What to optimize, updated in place.
    lr : float, default 1e-3
        Learning rate :math:`\gamma \ge 0`, in units of the parameter a step.
    betas : (float, float), default (0.9, 0.999)
        Decay rates :math:`\beta_1, \beta_2` in [0, 1) of the two moments.
    eps : float, default 1e-8
        :math:`\epsilon \ge 0`, added to the denominator, in units of the gradient.
    weight_decay : float, default 0
        :math:`\lambda \ge 0`: an L2 penalty added to the gradient, or the rate of the decoupled
        decay.
    amsgrad : bool, default False
        Divide by the largest second moment so far instead of the latest.
    maximize : bool, default False
        Ascend instead of descend.
    decoupled_weight_decay : bool, default False
        Shrink the parameter itself, :math:`\theta \leftarrow (1 - \gamma\lambda)\,\theta`, which
        is AdamW.
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
        For an option out of its range, one of `betas` a number and the other a tensor, or, as in
        torch, ``foreach=True`` with a tensor as `lr` or `betas` and without ``capturable``.

    Notes
    -----
    State per parameter: ``step`` (a count), ``exp_avg`` :math:`m`, ``exp_avg_sq`` :math:`v` and,
    with `amsgrad`, ``max_exp_avg_sq``, each of the parameter's shape and dtype.

    Differs from the papers: the bias of :math:`v` is divided out of its square root (as torch
    does), so :math:`\epsilon` is added after the correction, as in Algorithm 1 of [1]_ and unlike
    the reordered form of its section 2. AMSGrad takes the maximum over :math:`v` before the bias
    correction, which [2]_ does not have at all.

    Use it as a first choice where gradients differ in scale from parameter to parameter.

    Beware of `weight_decay` without `decoupled_weight_decay`: the penalty is divided like the
    gradient, so it acts least where gradients are large. :class:`AdamW` keeps it apart.

    References
    ----------
    .. [1] D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015,
       arXiv:1412.6980.
    .. [2] S. J. Reddi, S. Kale, S. Kumar, "On the convergence of Adam and beyond", ICLR 2018,
       arXiv:1904.09237.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> weights = np.array([1.0, -2.0])
    >>> optimizer = ok.Adam([weights], lr=0.1)
    >>> for _ in range(200):
    ...     optimizer.step(grads=[2 * weights])  # the gradient of the sum of squares
    >>> bool(np.abs(weights).max() < 0.01)
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
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        master_dtype: str | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        options = given(locals())
        check_tensors(type(self).__name__, options)
        super().__init__(params, options)

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        moments = {"exp_avg": xp.zeros_like(param), "exp_avg_sq": xp.zeros_like(param)}
        return moments | ({"max_exp_avg_sq": xp.zeros_like(param)} if hyper.amsgrad else {})

    @staticmethod
    @pure
    def update(
        xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int
    ) -> tuple[Any, dict[str, Any]]:
        lr, (beta1, beta2), decay = hyper.lr, hyper.betas, hyper.weight_decay
        if hyper.maximize:
            grad = -grad
        # θ = (1 - γλ) θ decoupled, else g = g + λ θ
        if decay != 0 and hyper.decoupled_weight_decay:
            param = param * (1 - lr * decay)
        elif decay != 0:
            grad = grad + decay * param
        # m = β1 m + (1 - β1) g
        m = lerp(state["exp_avg"], grad, 1 - beta1, xp)
        # v = β2 v + (1 - β2) g²
        v = state["exp_avg_sq"] * beta2 + (1 - beta2) * grad * grad
        new = {"exp_avg": m, "exp_avg_sq": v}
        # AMSGrad: the largest v so far takes the place of v
        if hyper.amsgrad:
            v = xp.maximum(state["max_exp_avg_sq"], v) if "max_exp_avg_sq" in state else v
            new["max_exp_avg_sq"] = v
        # θ = θ - γ (m / (1 - β1^t)) / (sqrt(v / (1 - β2^t)) + ε)
        denominator = xp.sqrt(v) / (1 - beta2**step) ** 0.5 + hyper.eps
        return param + (-(lr / (1 - beta1**step)) * m) / denominator, new


def check_tensors(name: str, options: dict[str, Any]) -> None:
    """Raise torch's errors for options given as tensors where it takes none."""
    betas = options["betas"] if isinstance(options["betas"], tuple | list) else ()
    tensors = [is_tensor(beta) for beta in betas]
    if any(tensors) and not all(tensors):
        raise ValueError(f"{name}: betas must be either both floats or both Tensors, not {betas}")
    if options["foreach"] and not options["capturable"]:
        named = {"lr": options["lr"]} | {f"betas[{i}]": beta for i, beta in enumerate(betas)}
        for option, value in named.items():
            if is_tensor(value):
                raise ValueError(
                    f"{name}: {option} as a Tensor is not supported for capturable=False and "
                    "foreach=True"
                )
