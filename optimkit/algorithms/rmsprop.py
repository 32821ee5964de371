"""RMSprop (Tieleman and Hinton, 2012), with the centered form of Graves (2013)."""

from __future__ import annotations

from typing import Any

from optimkit.optimizer import Optimizer, pure
from optimkit.options import given, non_negative
from optimkit.rounding import lerp
from optimkit.typing import Params


class RMSprop(Optimizer):
    r"""RMSprop: the gradient divided by the root of its mean square.

    .. math::
        v_t &= \alpha\, v_{t-1} + (1 - \alpha)\, g_t^2 \\
        \bar g_t &= \alpha\, \bar g_{t-1} + (1 - \alpha)\, g_t
            \quad\text{(centered; otherwise } \bar g_t = 0\text{)} \\
        b_t &= \mu\, b_{t-1} + \frac{g_t}{\sqrt{v_t - \bar g_t^2} + \epsilon} \\
        \theta_t &= \theta_{t-1} - \gamma\, b_t

    Parameters
    ----------
    params : iterable of arrays, tensors or Parameters; of (name, parameter) pairs; mapping; groups
        What to optimize, updated in place.
    lr : float, default 1e-2
        Learning rate :math:`\gamma \ge 0`, in units of the parameter a step.
    alpha : float, default 0.99
        Decay rate :math:`\alpha \ge 0` of the running averages; below 1 for an average.
    eps : float, default 1e-8
        :math:`\epsilon \ge 0`, added to the denominator, in units of the gradient.
    weight_decay : float, default 0
        L2 penalty :math:`\lambda \ge 0`, added to the gradient.
    momentum : float, default 0
        Momentum factor :math:`\mu \ge 0`.
    centered : bool, default False
        Divide by the root of the variance, not of the mean square.
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
    State per parameter: ``step`` (a count), ``square_avg`` :math:`v`, with `momentum`
    ``momentum_buffer`` :math:`b` and with `centered` ``grad_avg`` :math:`\bar g`, each of the
    parameter's shape and dtype. Momentum or centering that is switched on later starts from zero.

    Differs from other forms: :math:`\epsilon` is added after the square root, where [2]_ and
    TensorFlow add it under the root; and the learning rate multiplies the momentum when it is
    applied, so that a change of `lr` acts at once on all of it, and not only on what is added.

    Use it where a published recipe asks for it, as many for recurrent networks and reinforcement
    learning do.

    Beware of the first steps: the bias of :math:`v` is not corrected, so they are up to
    :math:`1 / \sqrt{1 - \alpha}` times `lr`, ten times with the default.

    References
    ----------
    .. [1] T. Tieleman, G. Hinton, "Lecture 6.5, RMSprop: divide the gradient by a running average
       of its recent magnitude", Coursera: Neural Networks for Machine Learning, 2012,
       https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf.
    .. [2] A. Graves, "Generating sequences with recurrent neural networks", 2013, arXiv:1308.0850.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> weights = np.array([1.0, -2.0])
    >>> optimizer = ok.RMSprop([weights], lr=0.01)
    >>> for _ in range(500):
    ...     optimizer.step(grads=[2 * weights])  # the gradient of the sum of squares
    >>> bool(np.abs(weights).max() < 0.05)
    True
    """

    limits = {
        "lr": non_negative,
        "alpha": non_negative,
        "eps": non_negative,
        "weight_decay": non_negative,
        "momentum": non_negative,
    }

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        *,
        fused: bool | None = None,
        master_dtype: str | None = None,
    ) -> None:
        super().__init__(params, given(locals()))

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        names = ["square_avg"]
        names += ["momentum_buffer"] if hyper.momentum > 0 else []
        names += ["grad_avg"] if hyper.centered else []
        return {name: xp.zeros_like(param) for name in names}

    @staticmethod
    @pure
    def update(
        xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int
    ) -> tuple[Any, dict[str, Any]]:
        alpha, momentum = hyper.alpha, hyper.momentum
        grad = -grad if hyper.maximize else grad
        # g = g + λ θ
        if hyper.weight_decay != 0:
            grad = grad + hyper.weight_decay * param
        # v = α v + (1 - α) g²
        v = state["square_avg"] * alpha + (1 - alpha) * grad * grad
        new = {"square_avg": v}
        # ḡ = α ḡ + (1 - α) g, and v - ḡ² takes the place of v
        if hyper.centered:
            mean = state["grad_avg"] if "grad_avg" in state else xp.zeros_like(param)
            new["grad_avg"] = mean = lerp(mean, grad, 1 - alpha, xp)
            v = v - mean * mean
        denominator = xp.sqrt(v) + hyper.eps
        if momentum <= 0:
            return param + (-hyper.lr * grad) / denominator, new
        # b = μ b + g / (sqrt(v) + ε), θ = θ - γ b
        b = state["momentum_buffer"] if "momentum_buffer" in state else xp.zeros_like(param)
        new["momentum_buffer"] = b = b * momentum + grad / denominator
        return param + (-hyper.lr) * b, new
