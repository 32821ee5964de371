"""Muon: momentum orthogonalized by Newton-Schulz (Jordan et al., 2024)."""

from __future__ import annotations

from typing import Any

from optimkit.optimizer import Optimizer, pure
from optimkit.options import adjustment, below_100, given, non_negative, number, three_numbers
from optimkit.rounding import add_product, add_scaled, bfloat16, lerp_as_torch, norm_of, rounded
from optimkit.typing import Params


class Muon(Optimizer):
    r"""Muon: steps along the orthogonalized momentum of a matrix.

    .. math::
        B_t &= \mu B_{t-1} + (1 - \mu)\, G_t \\
        O_t &= \mathrm{NS}\big((1 - \mu)\, G_t + \mu B_t\big)
            \quad\text{(without Nesterov: } \mathrm{NS}(B_t)\text{)} \\
        \theta_t &= (1 - \gamma\lambda)\, \theta_{t-1} - \gamma s\, O_t

    where :math:`\mathrm{NS}(M)` comes near to :math:`U V^\top` of the singular value decomposition
    :math:`M = U \Sigma V^\top`: from :math:`X = M / \max(\lVert M \rVert_F, \epsilon)`, it repeats
    :math:`X \leftarrow a X + \big(b\, X X^\top + c\, (X X^\top)^2\big) X`.

    Parameters
    ----------
    params : iterable of arrays, tensors or Parameters; of (name, parameter) pairs; mapping; groups
        What to optimize, updated in place; matrices only. Leave embeddings, the output layer and
        everything that is no matrix to another optimizer, such as :class:`AdamW`.
    lr : float, default 1e-3
        Learning rate :math:`\gamma \ge 0`.
    weight_decay : float, default 0.1
        Rate :math:`\lambda \ge 0` of the decoupled decay; a step shrinks the parameter by
        :math:`\gamma\lambda`.
    momentum : float, default 0.95
        Momentum factor :math:`\mu \ge 0`.
    nesterov : bool, default True
        Orthogonalize Nesterov's look-ahead instead of the momentum itself.
    ns_coefficients : (float, float, float), default (3.4445, -4.775, 2.0315)
        :math:`a, b, c` of the polynomial that is iterated.
    eps : float, default 1e-7
        :math:`\epsilon`, the least norm that the matrix is divided by.
    ns_steps : int, default 5
        How often the polynomial is applied; below 100.
    adjust_lr_fn : None, "original" or "match_rms_adamw", default None
        What :math:`s` is for an :math:`m \times n` matrix: :math:`\sqrt{\max(1, m/n)}`
        ("original", and None), or :math:`0.2 \sqrt{\max(m, n)}`, for steps of the size of
        AdamW's.
    fused : bool or None, default None
        None or False: the eager reference. True is refused: the rule is not elementwise.
    master_dtype : {"float32"}, optional
        Of copies of half-precision parameters, which are stepped in their place: see
        :class:`Optimizer`.

    Raises
    ------
    ValueError
        For an option out of its range, or a parameter that is not a matrix.
    RuntimeError
        For a complex parameter.

    Notes
    -----
    State per parameter: ``momentum_buffer`` :math:`B` (the parameter's shape and dtype).

    Differs from [1]_: the momentum is an average, :math:`(1 - \mu)` times the gradient, where [1]_
    adds the whole gradient; this changes nothing beyond :math:`\epsilon`, since the step does not
    depend on the scale. As in torch, :math:`\epsilon` bounds the norm, where [1]_ adds it; the
    weight decay and ``"match_rms_adamw"`` are from [2]_.

    The iteration does not come to 1: its coefficients are chosen for a steep start, and take
    singular values above about 0.0015 of the norm to between 0.68 and 1.13, smaller ones to less.
    As in [1]_ and torch it is rounded to bfloat16, which moves a step by about a percent.

    On torch tensors the rule runs in torch's own bfloat16: to the bit as in torch, at its speed.
    Elsewhere it differs from torch in the last bit of bfloat16: products are summed in float32 and
    rounded once, as in torch, but in another order, so about one entry in 10,000 of a product is
    rounded to its neighbour, and the iteration spreads that. A step differs by up to 1 percent
    (Frobenius norm); torch's own steps differ by 0.7 percent between a processor with AMX and one
    without. Only with AMX are torch's products the faster ones, two to four times: to have them for
    a NumPy array, hand over ``torch.from_numpy(weights)``, which is the same memory.

    Use it for the hidden matrices of a network, beside another optimizer for the rest, as
    :doc:`two optimizers over one model </gallery/methods/muon>` shows.

    Beware of leaving out a schedule: the size of a step does not depend on the gradient's, so it
    does not fall near a minimum.

    References
    ----------
    .. [1] K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024),
       https://kellerjordan.github.io/posts/muon/.
    .. [2] J. Liu et al., "Muon is scalable for LLM training" (2025), arXiv:2502.16982.

    Examples
    --------
    >>> import numpy as np, optimkit as ok
    >>> weights = np.zeros((2, 3))
    >>> gradient = np.array([[1.0, 0.0, 0.0], [0.0, 0.01, 0.0]])
    >>> ok.Muon([weights], lr=0.1, weight_decay=0).step(grads=[gradient])
    >>> bool(weights[1, 1] < -0.05)  # the small direction is stepped along like the large one
    True
    """

    differentiable = False
    limits = {
        "lr": non_negative,
        "momentum": non_negative,
        "weight_decay": non_negative,
        "ns_coefficients": three_numbers,
        "eps": number,
        "ns_steps": below_100,
        "adjust_lr_fn": adjustment,
    }
    counts_steps = False
    native = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
        *,
        fused: bool | None = None,
        master_dtype: str | None = None,
    ) -> None:
        super().__init__(params, given(locals()))

    @staticmethod
    def check_param(param: Any, hyper: Any) -> None:
        if "complex" in str(param.dtype):
            raise RuntimeError(
                f"its dtype is {param.dtype}; Muon does not support complex parameters"
            )
        if param.ndim != 2:
            raise ValueError(
                f"only matrices can be optimized, not an array of shape {tuple(param.shape)}"
            )

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        return {"momentum_buffer": xp.zeros_like(param)}

    @staticmethod
    @pure
    def update(
        xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int
    ) -> tuple[Any, dict[str, Any]]:
        lr, momentum, (rows, columns) = hyper.lr, hyper.momentum, param.shape
        # B = μ B + (1 - μ) G
        buffer = lerp_as_torch(xp, state["momentum_buffer"], grad, 1 - momentum)
        # O = NS(B), or with Nesterov's look-ahead NS((1 - μ) G + μ B)
        direction = lerp_as_torch(xp, grad, buffer, momentum) if hyper.nesterov else buffer
        direction = bfloat16(xp, direction)
        direction = orthogonalize(xp, direction, hyper.ns_coefficients, hyper.ns_steps, hyper.eps)
        # s = sqrt(max(1, m / n)), or 0.2 sqrt(max(m, n)) to match AdamW
        if hyper.adjust_lr_fn == "match_rms_adamw":
            scale = 0.2 * max(rows, columns) ** 0.5
        else:
            scale = max(1, rows / max(columns, 1)) ** 0.5
        # θ = (1 - γλ) θ - γ s O
        param = param * (1 - lr * hyper.weight_decay)
        param = add_scaled(xp, param, -(lr * scale), direction)
        return param, {"momentum_buffer": buffer}


def orthogonalize(
    xp: Any, x: Any, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Any:
    """Bring the singular values of a matrix of `bfloat16` near to 1: Newton-Schulz.

    Each product is summed in float32 and rounded once. Of a tall matrix the transpose is iterated.
    """
    a, b, c = coefficients
    # X = M / max(|M|, ε)
    norm = rounded(xp, norm_of(xp, x))
    x /= rounded(xp, xp.maximum(norm, xp.full_like(norm, eps)))
    x = rounded(xp, x)
    for _ in range(steps):
        # A = X Xᵀ
        gram = rounded(xp, x.T @ x if x.shape[0] > x.shape[1] else x @ x.T)
        # P = b A + c A²
        polynomial = add_product(xp, b, gram, c, gram)
        # X = a X + P X
        x = add_product(xp, a, x, 1, polynomial)
    return x
