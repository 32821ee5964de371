"""Adagrad: adaptive subgradient methods (Duchi, Hazan and Singer, 2011)."""

from __future__ import annotations

from typing import Any

from optimkit.optimizer import Optimizer, pure
from optimkit.options import given, non_negative
from optimkit.typing import Params


class Adagrad(Optimizer):
    r"""Adagrad: a learning rate per element that falls with the gradients it has seen.

    .. math::
        s_t &= s_{t-1} + g_t^2 \\
        \theta_t &= \theta_{t-1} - \frac{\gamma}{1 + (t - 1)\, \delta}\,
            \frac{g_t}{\sqrt{s_t} + \epsilon}

    Parameters
    ----------
    params : iterable of arrays, tensors or Parameters; of (name, parameter) pairs; mapping; groups
        What to optimize, updated in place.
    lr : float, default 1e-2
        Learning rate :math:`\gamma \ge 0`, in units of the parameter a step.
    lr_decay : float, default 0
        Decay :math:`\delta \ge 0` of the learning rate with the step.
    weight_decay : float, default 0
        L2 penalty :math:`\lambda \ge 0`, added to the gradient.
    initial_accumulator_value : float, default 0
        :math:`s_0 \ge 0`, what the sum of squares starts from.
    eps : float, default 1e-10
        :math:`\epsilon \ge 0`, added to the denominator, in units of the gradient.
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
        For an option out of its range.

    Notes
    -----
    State per parameter: ``step`` (a count) and ``sum`` :math:`s`, the sum of the squared gradients,
    of the parameter's shape and dtype.

    A sparse gradient (:class:`optimkit.RowSparse`, a SciPy, CuPy or torch sparse array) costs as
    much as its entries, and leaves everything else alone; weight decay is refused there, as in
    torch.

    Differs from the paper: this is its diagonal form without projection, and the decay of the
    learning rate is an addition. A group's own `initial_accumulator_value` counts for its
    parameters, which torch starts from the value given to the constructor. For a sparse gradient
    and a complex parameter the rule is that for dense ones, on the real view; torch computes with
    complex squares there.

    Use it for convex problems and sparse features, of which the rare ones keep a large learning
    rate.

    Beware of long runs: the sum only grows, so the learning rate falls for ever.

    References
    ----------
    .. [1] J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods for online learning and
       stochastic optimization", Journal of Machine Learning Research 12 (2011),
       https://jmlr.org/papers/v12/duchi11a.html.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> weights = np.array([1.0, -2.0])
    >>> optimizer = ok.Adagrad([weights], lr=1.0)
    >>> for _ in range(100):
    ...     optimizer.step(grads=[2 * weights])  # the gradient of the sum of squares
    >>> bool(np.abs(weights).max() < 0.01)
    True
    """

    limits = {
        "lr": non_negative,
        "lr_decay": non_negative,
        "weight_decay": non_negative,
        "initial_accumulator_value": non_negative,
        "eps": non_negative,
    }

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        master_dtype: str | None = None,
    ) -> None:
        super().__init__(params, given(locals()))

    @staticmethod
    def sparse_gradients(hyper: Any) -> str:
        if hyper.weight_decay != 0:
            raise RuntimeError("weight_decay option is not compatible with sparse gradients")
        return "rows"

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        return {"sum": xp.full_like(param, hyper.initial_accumulator_value)}

    @staticmethod
    @pure
    def update(
        xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int
    ) -> tuple[Any, dict[str, Any]]:
        if hyper.maximize:
            grad = -grad
        # g = g + λ θ
        if hyper.weight_decay != 0:
            grad = grad + hyper.weight_decay * param
        # s = s + g²
        s = state["sum"] + grad * grad
        # γ_t = γ / (1 + (t - 1) δ)
        lr = hyper.lr / (1 + (step - 1) * hyper.lr_decay)
        # θ = θ - γ_t g / (sqrt(s) + ε), rounded in another order for a sparse gradient, as in torch
        root = xp.sqrt(s) + hyper.eps
        change = -lr * (grad / root) if hyper.sparse else (-lr * grad) / root
        return param + change, {"sum": s}
