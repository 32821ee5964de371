"""ASGD: averaged stochastic gradient descent (Polyak and Juditsky, 1992)."""

from __future__ import annotations

from typing import Any

from optimkit.optimizer import Optimizer, pure
from optimkit.options import given, non_negative, number
from optimkit.rounding import float32
from optimkit.typing import Params


class ASGD(Optimizer):
    r"""Stochastic gradient descent that also keeps the average of its iterates.

    .. math::
        \theta_t &= (1 - \kappa\, \eta_t)\, \theta_{t-1} - \eta_t\, g_t \\
        \bar\theta_t &= \bar\theta_{t-1} + \omega_t\, (\theta_t - \bar\theta_{t-1}) \\
        \eta_{t+1} &= \frac{\gamma}{(1 + \kappa\, \gamma\, t)^\alpha}, \qquad
        \omega_{t+1} = \frac{1}{\max(1,\; t - t_0)}, \qquad \eta_1 = \gamma,\; \omega_1 = 1

    Parameters
    ----------
    params : iterable of arrays, tensors or Parameters; of (name, parameter) pairs; mapping; groups
        What to optimize, updated in place.
    lr : float, default 1e-2
        Learning rate :math:`\gamma \ge 0`; a change of it acts from the next step on.
    lambd : float, default 1e-4
        Decay :math:`\kappa` of the parameter, which also slows the learning rate down.
    alpha : float, default 0.75
        Power :math:`\alpha` of the learning rate's decay.
    t0 : float, default 1e6
        The step :math:`t_0` after which the average is over more than the latest iterate.
    weight_decay : float, default 0
        L2 penalty :math:`\lambda \ge 0`, added to the gradient.
    foreach, capturable, differentiable : optional
        Accepted so that torch calls can be moved over. The first two choose nothing here; with
        ``differentiable=True`` gradients flow through the step, of torch tensors.
    maximize : bool, default False
        Ascend instead of descend.
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
    State per parameter: ``step`` (a count), ``eta`` :math:`\eta` and ``mu`` :math:`\omega` for the
    next step (numbers), and ``ax`` :math:`\bar\theta`, of the parameter's shape and dtype. The
    average is not put into the parameter: read it with ``optimizer.state[param]["ax"]``.

    Differs from [1]_: there the average begins with the first iterate; the decay of the learning
    rate has the form of [2]_. As in torch, ``eta`` and ``mu`` have float32 precision whatever
    the parameter's dtype.

    Use it for convex problems with noisy gradients, and take the average.

    Beware of the default `t0`: before a million steps the average is the latest iterate.

    References
    ----------
    .. [1] B. T. Polyak, A. B. Juditsky, "Acceleration of stochastic approximation by averaging",
       SIAM Journal on Control and Optimization 30 (1992), doi:10.1137/0330046.
    .. [2] W. Xu, "Towards optimal one pass large scale learning with averaged stochastic gradient
       descent", 2011, arXiv:1107.2490.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> weights = np.array([1.0, -2.0])
    >>> optimizer = ok.ASGD([weights], lr=0.1)
    >>> for _ in range(100):
    ...     optimizer.step(grads=[2 * weights])  # the gradient of the sum of squares
    >>> bool(np.abs(weights).max() < 0.01)
    True
    """

    limits = {
        "lr": non_negative,
        "lambd": number,
        "alpha": number,
        "t0": number,
        "weight_decay": non_negative,
    }

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
        *,
        fused: bool | None = None,
        master_dtype: str | None = None,
    ) -> None:
        super().__init__(params, given(locals()))

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        return {"eta": float32(hyper.lr), "mu": 1.0, "ax": xp.zeros_like(param)}

    @staticmethod
    @pure
    def update(
        xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int
    ) -> tuple[Any, dict[str, Any]]:
        lr, lambd, eta, mu, ax = hyper.lr, hyper.lambd, state["eta"], state["mu"], state["ax"]
        if hyper.maximize:
            grad = -grad
        # g = g + λ θ
        if hyper.weight_decay != 0:
            grad = grad + hyper.weight_decay * param
        # θ = (1 - κη) θ - η g
        param = param * (1 - lambd * eta) + (-eta) * grad
        # θ̄ = θ̄ + ω (θ - θ̄)
        ax = param if mu == 1 else ax + (param - ax) * mu
        # η = γ / (1 + κγt)^α and ω = 1 / max(1, t - t0), for the next step
        eta = float32(lr / (1 + lambd * lr * step) ** hyper.alpha)
        mu = float32(1 / max(1, step - hyper.t0))
        return param, {"eta": eta, "mu": mu, "ax": ax}
