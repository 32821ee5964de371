"""SparseAdam: Adam on the entries that a sparse gradient has (after Kingma and Ba, 2015)."""

from __future__ import annotations

from math import sqrt
from typing import Any

from optimkit.optimizer import Optimizer, pure
from optimkit.options import given, pair_of_fractions, positive
from optimkit.typing import Params


class SparseAdam(Optimizer):
    r"""Adam that leaves alone, moments and all, what a sparse gradient does not mention.

    For the rows (or elements) that the gradient of step :math:`t` has,

    .. math::
        m_t &= m_{t-1} + (1 - \beta_1)\,(g_t - m_{t-1}) \\
        v_t &= v_{t-1} + (1 - \beta_2)\,(g_t^2 - v_{t-1}) \\
        \theta_t &= \theta_{t-1} - \gamma\, \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t}\,
            \frac{m_t}{\sqrt{v_t} + \epsilon}

    Parameters
    ----------
    params : iterable of arrays, tensors or Parameters; of (name, parameter) pairs; mapping; groups
        What to optimize, updated in place; dense and real.
    lr : float, default 1e-3
        Learning rate :math:`\gamma > 0`, in units of the parameter a step.
    betas : (float, float), default (0.9, 0.999)
        Decay rates :math:`\beta_1, \beta_2` in [0, 1) of the two moments.
    eps : float, default 1e-8
        :math:`\epsilon > 0`, added to the denominator, in units of the gradient.
    maximize : bool, default False
        Ascend instead of descend.
    fused : bool or None, default None
        None: the fastest engine that can run a parameter; True: a fused engine or an error;
        False: the eager reference.

    Raises
    ------
    ValueError
        For an option out of its range, or a sparse or complex parameter.
    RuntimeError
        At a step whose gradient is dense.

    Notes
    -----
    A gradient is an :class:`optimkit.RowSparse`, a SciPy or CuPy sparse array, or a sparse torch
    tensor. Entries for the same place are summed first. A step costs as much as the entries it
    has, however large the parameter; an entry that is zero counts as one.

    State per parameter: ``step`` (a count of the steps with a gradient, an empty one included),
    ``exp_avg`` :math:`m` and ``exp_avg_sq`` :math:`v`, each of the parameter's shape and dtype.

    Differs from the paper: moments do not decay where the gradient has no entry, though the count
    :math:`t` that corrects their bias moves on; :math:`\epsilon` is added before the correction of
    :math:`v`, as in the reordered form at the end of section 2 of [1]_, so it is another than that
    of :class:`Adam`.

    Use it for tables of which each gradient touches a few rows, as embeddings are.

    Beware of rare rows: their moments are as old as their last gradient, and act again with it.

    References
    ----------
    .. [1] D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015,
       arXiv:1412.6980.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> table = np.ones((1000, 4))
    >>> optimizer = ok.SparseAdam([table], lr=0.1)
    >>> tokens = np.array([3, 14, 3])
    >>> for _ in range(100):
    ...     grad = 2 * table[tokens]  # of the sum of squares over the tokens
    ...     optimizer.step(grads=[ok.RowSparse(tokens, grad, table.shape)])
    >>> bool(np.abs(table[tokens]).max() < 0.1), bool((table[15:] == 1).all())
    (True, True)
    """

    limits = {"lr": positive, "betas": pair_of_fractions, "eps": positive}
    differentiable = False
    needs_sparse = True
    tensor_scalars = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
        *,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, given(locals()))

    @staticmethod
    def check_param(param: Any, hyper: Any) -> None:
        if getattr(param, "is_sparse", False):
            raise ValueError("it is sparse; SparseAdam requires dense parameters")
        if "complex" in str(param.dtype):
            raise ValueError(f"its dtype is {param.dtype}; SparseAdam has no complex parameters")

    @staticmethod
    def sparse_gradients(hyper: Any) -> str:
        return "rows"

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        return {"exp_avg": xp.zeros_like(param), "exp_avg_sq": xp.zeros_like(param)}

    @staticmethod
    @pure
    def update(
        xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int
    ) -> tuple[Any, dict[str, Any]]:
        (beta1, beta2), m, v = hyper.betas, state["exp_avg"], state["exp_avg_sq"]
        if hyper.maximize:
            grad = -grad
        # m = m + (1 - β1) (g - m)
        m = m + (1 - beta1) * (grad - m)
        # v = v + (1 - β2) (g² - v)
        v = v + (1 - beta2) * (grad * grad - v)
        # θ = θ - γ sqrt(1 - β2^t) / (1 - β1^t) · m / (sqrt(v) + ε)
        step_size = hyper.lr * sqrt(1 - beta2**step) / (1 - beta1**step)
        param = param + (-step_size) * (m / (xp.sqrt(v) + hyper.eps))
        return param, {"exp_avg": m, "exp_avg_sq": v}
