"""Adadelta: steps in the parameter's own units (Zeiler, 2012)."""

from __future__ import annotations

from typing import Any

from optimkit.optimizer import Optimizer, pure
from optimkit.options import closed_fraction, given, non_negative
from optimkit.typing import Params


class Adadelta(Optimizer):
    r"""Adadelta, which needs no learning rate: past steps set the scale of the next.

    .. math::
        v_t &= \rho\, v_{t-1} + (1 - \rho)\, g_t^2 \\
        \Delta_t &= \frac{\sqrt{d_{t-1} + \epsilon}}{\sqrt{v_t + \epsilon}}\, g_t \\
        d_t &= \rho\, d_{t-1} + (1 - \rho)\, \Delta_t^2 \\
        \theta_t &= \theta_{t-1} - \gamma\, \Delta_t

    Parameters
    ----------
    params : iterable of arrays, tensors or Parameters; of (name, parameter) pairs; mapping; groups
        What to optimize, updated in place.
    lr : float, default 1.0
        Learning rate :math:`\gamma \ge 0`: a factor on the step that the rule finds by itself.
    rho : float, default 0.9
        Decay rate :math:`\rho` in [0, 1] of both running averages.
    eps : float, default 1e-6
        :math:`\epsilon \ge 0`, added under both square roots; it sets the size of the first steps.
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
    State per parameter: ``step`` (a count), ``square_avg`` :math:`v`, the mean square of the
    gradients, and ``acc_delta`` :math:`d`, the mean square of the steps, each of the parameter's
    shape and dtype.

    Differs from the paper: it has no learning rate, which is :math:`\gamma = 1`.

    Use it where no learning rate can be tuned.

    Beware of a slow start: the first steps are a few times :math:`\sqrt{\epsilon}`, so it is `eps`
    that decides how long it takes.

    References
    ----------
    .. [1] M. D. Zeiler, "ADADELTA: an adaptive learning rate method", 2012, arXiv:1212.5701.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> weights = np.array([1.0, -2.0])
    >>> optimizer = ok.Adadelta([weights], eps=1e-3)
    >>> for _ in range(500):
    ...     optimizer.step(grads=[2 * weights])  # the gradient of the sum of squares
    >>> bool(np.abs(weights).max() < 0.01)
    True
    """

    limits = {
        "lr": non_negative,
        "rho": closed_fraction,
        "eps": non_negative,
        "weight_decay": non_negative,
    }

    def __init__(
        self,
        params: Params,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        master_dtype: str | None = None,
    ) -> None:
        super().__init__(params, given(locals()))

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        return {"square_avg": xp.zeros_like(param), "acc_delta": xp.zeros_like(param)}

    @staticmethod
    @pure
    def update(
        xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int
    ) -> tuple[Any, dict[str, Any]]:
        rho, eps = hyper.rho, hyper.eps
        if hyper.maximize:
            grad = -grad
        # g = g + λ θ
        if hyper.weight_decay != 0:
            grad = grad + hyper.weight_decay * param
        # v = ρ v + (1 - ρ) g²
        v = state["square_avg"] * rho + (1 - rho) * grad * grad
        # Δ = sqrt(d + ε) / sqrt(v + ε) g
        delta = xp.sqrt(state["acc_delta"] + eps) / xp.sqrt(v + eps) * grad
        # d = ρ d + (1 - ρ) Δ²
        d = state["acc_delta"] * rho + (1 - rho) * delta * delta
        # θ = θ - γ Δ
        return param + (-hyper.lr) * delta, {"square_avg": v, "acc_delta": d}
