"""Calls as a type checker sees them: read by it, never run.

``test_packaging`` runs a checker over this file, in which a comment that ignores an error is itself
an error where there is none to ignore.
"""

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import optimkit as ok

Vector = NDArray[np.float64]
x: Vector = np.ones(3)
weights = ok.Parameter(x, name="weights")


# ---------------------------------------------------------------- parameters


def parameters() -> None:
    ok.SGD([x])
    ok.Adam([x, weights], lr=0.1)
    ok.Adam((x, np.ones(2, np.float32)))
    ok.AdamW(iter([x, x]), 1e-2, betas=(0.9, 0.99))
    ok.RMSprop([("w", x), ("b", x)])
    ok.Adagrad({"w": x, "b": x})
    ok.SGD([{"w": x, "b": x}, {"w": x, "b": x}])
    ok.SGD({"embed": x, "layers": [{"w": x}, {"w": x}]})
    ok.SGD([{"params": [x], "lr": 0.1}, {"params": {"b": x}}], momentum=0.9)
    ok.LBFGS([x]).add_param_group({"params": [x], "lr": 0.5})
    ok.Adam(3)  # type: ignore[arg-type]
    ok.Adam(None)  # type: ignore[arg-type]
    ok.Adam("weights")  # type: ignore[arg-type]
    ok.Adam([1.0, 2.0])  # type: ignore[list-item]
    ok.Adam([x], lr="fast")  # type: ignore[arg-type]
    ok.Parameter(3)  # type: ignore[type-var]
    assert_type(weights.data, Vector)


# ---------------------------------------------------------------- steps


def loss() -> float:
    return 0.5


def loss_and_gradients() -> tuple[float, list[Vector]]:
    return 0.5, [x]


def steps(optimizer: ok.Optimizer) -> None:
    optimizer.step()
    optimizer.step(grads=[x])
    optimizer.step(grads=(x, None, weights.data))
    optimizer.step(grads={"w": x, "b": None})
    optimizer.step(grads=[None, {"w": x, "b": None}])
    optimizer.step(grads={"embed": x, "layers": [{"w": x}, None]})
    assert_type(optimizer.engines()[0].params, list[Any])
    optimizer.step(grads=[ok.RowSparse(np.array([1]), x, (3,))])
    assert_type(optimizer.step(loss), float)
    assert_type(optimizer.step(loss_and_gradients), float)
    assert_type(optimizer.step(lambda: loss_and_gradients()), float)
    optimizer.step(grads="x")  # type: ignore[arg-type]
    optimizer.step(grads=3)  # type: ignore[call-overload]
    optimizer.step(grads=[3.0])  # type: ignore[list-item]
    optimizer.step(grads=x)  # type: ignore[call-overload]
    optimizer.step([x])  # type: ignore[call-overload]


# ---------------------------------------------------------------- clipping, schedulers, averages


def clipping(optimizer: ok.Optimizer) -> None:
    norm = ok.clip_grad_norm_([x, None], max_norm=1.0)
    assert float(norm) < 5
    assert norm < 5
    ok.clip_grad_norm_(optimizer, 1.0, norm_type="inf")
    ok.clip_grad_value_({"w": x}, 1.0)
    ok.clip_grad_norm_([{"w": x}, {"w": None}], 1.0)
    ok.clip_grad_value_({"embed": x, "layers": [(x, x)]}, 1.0)
    assert float(ok.get_total_norm({"embed": [x, None]})) > 0
    assert float(ok.get_total_norm(x)) > 0
    norm.upper()  # type: ignore[union-attr]
    ok.clip_grad_norm_(3, 1.0)  # type: ignore[call-overload]
    ok.clip_grad_norm_([x], "1")  # type: ignore[call-overload]
    ok.clip_grad_value_("x", 1.0)  # type: ignore[arg-type]


def schedules(optimizer: ok.Optimizer) -> None:
    ok.lr_scheduler.StepLR(optimizer, step_size=3).step()
    ok.lr_scheduler.StepLR([x], step_size=3)  # type: ignore[arg-type]
    ok.swa_utils.AveragedModel(optimizer).update_parameters(optimizer)


def wrappers(optimizer: ok.Optimizer) -> None:
    both = ok.accumulate(ok.skip_nonfinite(optimizer, max_consecutive=None), 4, reduction="sum")
    both.step(grads=[x, None])
    assert_type(both.step(loss), float)
    assert_type(both.step(loss_and_gradients), float)
    ok.lr_scheduler.StepLR(both, step_size=3).step()
    ok.clip_grad_norm_(both, 1.0)
    both.step(grads=3)  # type: ignore[call-overload]
    ok.accumulate([x], 4)  # type: ignore[arg-type]
    ok.accumulate(optimizer, 4, reduction="max")  # type: ignore[arg-type]
    ok.accumulate(optimizer, "4")  # type: ignore[arg-type]
    ok.skip_nonfinite(optimizer, max_consecutive="9")  # type: ignore[arg-type]


# ---------------------------------------------------------------- a rule of one's own


class SignSGD(ok.Optimizer):
    def __init__(self, params: Any, lr: float = 1e-3, **options: Any) -> None:
        super().__init__(params, dict(lr=lr, **options))

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        return {}

    @staticmethod
    def update(
        xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int
    ) -> tuple[Any, dict[str, Any]]:
        return param - hyper.lr * xp.sign(grad), {}
