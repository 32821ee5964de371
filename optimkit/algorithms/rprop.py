"""Rprop: resilient backpropagation (Riedmiller and Braun, 1993)."""

from __future__ import annotations

from typing import Any

from optimkit.optimizer import Optimizer, pure
from optimkit.options import around_one, given, non_negative, pair_of_numbers
from optimkit.typing import Params


class Rprop(Optimizer):
    r"""Rprop: a step size per element, led by the signs of the gradients alone.

    .. math::
        \Delta_t &= \operatorname{clip}(\Delta_{t-1} \cdot \begin{cases}
                \eta^+ & g_{t-1}\, g_t > 0 \\
                \eta^- & g_{t-1}\, g_t < 0, \text{ and then } g_t \leftarrow 0 \\
                1 & \text{otherwise}
            \end{cases},\; \Delta_{\min}, \Delta_{\max}) \\
        \theta_t &= \theta_{t-1} - \operatorname{sign}(g_t)\, \Delta_t

    Parameters
    ----------
    params : iterable of arrays, tensors or Parameters; of (name, parameter) pairs; mapping; groups
        What to optimize, updated in place.
    lr : float, default 1e-2
        :math:`\Delta_0 \ge 0`, the first step size, in units of the parameter; a later change of
        it does nothing to parameters that have made a step.
    etas : (float, float), default (0.5, 1.2)
        Factors :math:`0 < \eta^- < 1 < \eta^+` of the step size.
    step_sizes : (float, float), default (1e-6, 50)
        Bounds :math:`\Delta_{\min}, \Delta_{\max}` of the step size.
    capturable, foreach, differentiable : optional
        Accepted so that torch calls can be moved over. ``foreach`` chooses nothing here; with
        ``capturable=True`` a step can be captured in a CUDA graph, and with
        ``differentiable=True`` gradients flow through it, of torch tensors.
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
    State per parameter: ``step`` (a count), ``prev`` :math:`g_{t-1}`, the gradient before (zero
    where the sign had changed), and ``step_size`` :math:`\Delta`, each of the parameter's shape and
    dtype.

    Differs from [1]_: where the gradient's sign changes, the parameter stays and the step before is
    not taken back, which is the form that [2]_ calls iRprop-. Where the gradient is NaN, parameter
    and step size stay, as in torch.

    Use it with the gradient of the whole problem; that of a batch changes its sign by chance.

    References
    ----------
    .. [1] M. Riedmiller, H. Braun, "A direct adaptive method for faster backpropagation learning:
       the RPROP algorithm", IEEE International Conference on Neural Networks, 1993,
       doi:10.1109/ICNN.1993.298623.
    .. [2] C. Igel, M. Hüsken, "Empirical evaluation of the improved Rprop learning algorithms",
       Neurocomputing 50 (2003), doi:10.1016/S0925-2312(01)00700-7.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> weights = np.array([1.0, -2.0])
    >>> optimizer = ok.Rprop([weights], lr=0.1)
    >>> for _ in range(50):
    ...     optimizer.step(grads=[2 * weights])  # the gradient of the sum of squares
    >>> bool(np.abs(weights).max() < 0.01)
    True
    """

    limits = {"lr": non_negative, "etas": around_one, "step_sizes": pair_of_numbers}

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        master_dtype: str | None = None,
    ) -> None:
        super().__init__(params, given(locals()))

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        return {"prev": xp.zeros_like(param), "step_size": xp.full_like(param, hyper.lr)}

    @staticmethod
    @pure
    def update(
        xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int
    ) -> tuple[Any, dict[str, Any]]:
        (shrink, grow), size = hyper.etas, state["step_size"]
        if hyper.maximize:
            grad = -grad
        # Δ = clip(Δ · (η+ where the sign is as before, η- where it has changed), Δ_min, Δ_max)
        agreement = grad * state["prev"]
        size = xp.where(agreement > 0, size * grow, xp.where(agreement < 0, size * shrink, size))
        size = xp.clip(size, *hyper.step_sizes)
        # g = 0 where the sign has changed
        grad = xp.where(agreement < 0, xp.zeros_like(grad), grad)
        # θ = θ - sign(g) Δ
        param = xp.where(grad > 0, param - size, xp.where(grad < 0, param + size, param))
        return param, {"prev": grad, "step_size": size}
