"""Libraries known by the Array API standard alone."""

from __future__ import annotations

import array_api_strict as strict
import numpy as np

import optimkit as ok


def test_standard_arrays_with_a_gradient_beside_them() -> None:
    p = ok.Parameter(strict.asarray([1.0, 2.0]))
    p.grad = strict.asarray([1.0, 1.0])
    opt = ok.SGD([p], lr=0.5)
    opt.step()
    assert np.asarray(p.data._array).tolist() == [0.5, 1.5]
    opt.zero_grad(set_to_none=False)
    assert np.asarray(p.grad._array).tolist() == [0.0, 0.0]
