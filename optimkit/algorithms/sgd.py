"""Stochastic gradient descent, with momentum (Polyak, 1964; Sutskever et al., 2013)."""

from __future__ import annotations

from typing import Any

from optimkit.optimizer import Optimizer, pure
from optimkit.options import finite, given, non_negative
from optimkit.typing import Params


class SGD(Optimizer):
    r"""Stochastic gradient descent, optionally with momentum.

    .. math::
        g_t &= \nabla f(\theta_{t-1}) + \lambda\, \theta_{t-1} \\
        b_t &= \mu\, b_{t-1} + (1 - \tau)\, g_t, \qquad b_1 = g_1 \\
        \theta_t &= \theta_{t-1} - \gamma\, b_t
            \quad\text{(Nesterov: } \theta_{t-1} - \gamma\,(g_t + \mu\, b_t)\text{)}

    Parameters
    ----------
    params : iterable of arrays, tensors or Parameters; of (name, parameter) pairs; mapping; groups
        What to optimize, updated in place.
    lr : float, default 1e-3
        Learning rate :math:`\gamma \ge 0`.
    momentum : float, default 0
        Momentum factor :math:`\mu \ge 0`.
    dampening : float, default 0
        Dampening :math:`\tau` of the gradient's share in the momentum.
    weight_decay : float, default 0
        L2 penalty :math:`\lambda \ge 0`, added to the gradient.
    nesterov : bool, default False
        Nesterov momentum; needs a momentum and no dampening.
    maximize : bool, default False
        Ascend instead of descend.
    foreach, differentiable : optional
        Accepted so that torch calls can be moved over. ``foreach`` chooses nothing here; with
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
        For an option out of its range, or Nesterov momentum without momentum.

    Notes
    -----
    State per parameter: ``momentum_buffer`` (the parameter's shape and dtype), once momentum is
    used.

    A sparse gradient (:class:`optimkit.RowSparse`, a SciPy, CuPy or torch sparse array) costs as
    much as its entries without momentum, and as much as the parameter with it; weight decay is
    refused there, as in torch. Entries for the same place are summed first, where torch applies
    them one after the other.

    Differs from Sutskever et al.: as in torch, the learning rate multiplies the momentum when it
    is applied, not the gradient when it is added, so a change of `lr` acts at once on the whole
    velocity; and the first momentum is the whole first gradient, undampened.

    Use it where the scale of the gradients is known and the learning rate is tuned: with momentum
    it is the usual choice for convolutional networks.

    Beware of the learning rate, whose unit is that of parameter by gradient: it has to change when
    the loss is scaled. With :math:`\mu = 0.9` and no dampening steps grow ten times as long.

    References
    ----------
    .. [1] B. T. Polyak, "Some methods of speeding up the convergence of iteration methods",
       USSR Computational Mathematics and Mathematical Physics 4 (1964),
       doi:10.1016/0041-5553(64)90137-5.
    .. [2] I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the importance of initialization and
       momentum in deep learning", ICML 2013,
       https://proceedings.mlr.press/v28/sutskever13.html.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> weights = np.array([1.0, -2.0])
    >>> optimizer = ok.SGD([weights], lr=0.1, momentum=0.9)
    >>> for _ in range(100):
    ...     optimizer.step(grads=[2 * weights])  # the gradient of the sum of squares
    >>> bool(np.abs(weights).max() < 0.05)
    True
    """

    limits = {
        "lr": non_negative,
        "momentum": non_negative,
        "dampening": finite,
        "weight_decay": non_negative,
    }
    counts_steps = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
        master_dtype: str | None = None,
    ) -> None:
        super().__init__(params, given(locals()))

    @staticmethod
    def check_options(hyper: Any) -> None:
        if hyper.nesterov and (hyper.momentum <= 0 or hyper.dampening != 0):
            raise ValueError(
                "SGD: Nesterov momentum requires a momentum and zero dampening, not "
                f"momentum={hyper.momentum!r} and dampening={hyper.dampening!r}"
            )

    @staticmethod
    def sparse_gradients(hyper: Any) -> str:
        if hyper.weight_decay != 0:
            raise RuntimeError("weight_decay option is not compatible with sparse gradients")
        return "rows" if hyper.momentum == 0 else "dense"  # momentum moves all rows at each step

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        return {}

    @staticmethod
    @pure
    def update(
        xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int
    ) -> tuple[Any, dict[str, Any]]:
        momentum, buffer = hyper.momentum, state.get("momentum_buffer")
        if hyper.maximize:
            grad = -grad
        # g = g + λ θ
        if hyper.weight_decay != 0:
            grad = grad + hyper.weight_decay * param
        if momentum == 0:
            return param + (-hyper.lr) * grad, {}
        # b = μ b + (1 - τ) g, and b = g the first time
        buffer = grad if buffer is None else buffer * momentum + (1 - hyper.dampening) * grad
        # θ = θ - γ b, or with Nesterov's look-ahead θ = θ - γ (g + μ b)
        direction = grad + momentum * buffer if hyper.nesterov else buffer
        return param + (-hyper.lr) * direction, {"momentum_buffer": buffer}
