"""AdamW: Adam with decoupled weight decay (Loshchilov and Hutter, 2019)."""

from __future__ import annotations

from optimkit.algorithms.adam import Adam
from optimkit.options import given
from optimkit.typing import Params


class AdamW(Adam):
    r"""Adam with decoupled weight decay.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1)\, g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2 \\
        \theta_t &= (1 - \gamma\lambda)\, \theta_{t-1}
            - \gamma\, \frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}

    It is the rule of :class:`Adam` with ``decoupled_weight_decay=True``.

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
    weight_decay : float, default 1e-2
        Rate :math:`\lambda \ge 0` of the decay; a step shrinks the parameter by
        :math:`\gamma\lambda`.
    amsgrad : bool, default False
        Divide by the largest second moment so far instead of the latest.
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
    State per parameter, that of :class:`Adam`: ``step`` (a count), ``exp_avg`` :math:`m`,
    ``exp_avg_sq`` :math:`v` and, with `amsgrad`, ``max_exp_avg_sq``, each of the parameter's shape
    and dtype.

    Differs from the paper: the decay is multiplied by the learning rate, as in torch; the paper
    multiplies both by a schedule instead and keeps :math:`\lambda` apart from :math:`\gamma`.

    Use it for transformers, and wherever weight decay is to regularize.

    Beware of the default decay, which is not zero, and give biases and the gains of normalizations
    a group with ``weight_decay=0``.

    References
    ----------
    .. [1] I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", ICLR 2019,
       arXiv:1711.05101.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> weights = np.array([1.0, -2.0])
    >>> ok.AdamW([weights], lr=0.1, weight_decay=0.5).step(grads=[np.zeros(2)])
    >>> weights  # shrunk by lr * weight_decay
    array([ 0.95, -1.9 ])
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        master_dtype: str | None = None,
    ) -> None:
        super().__init__(params, decoupled_weight_decay=True, **given(locals()))
