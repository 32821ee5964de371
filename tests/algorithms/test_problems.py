"""The problems: their derivatives and their minima."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.optimize

from optimkit.validation.reference.problems import PROBLEMS, RESIDUALS


@pytest.mark.parametrize("name", RESIDUALS)
def test_jacobian(name):
    start = np.array(PROBLEMS[name].start)
    x = start + 0.013 * np.arange(1, start.size + 1)
    _, jacobian = RESIDUALS[name](x)
    columns = [RESIDUALS[name](x + 1e-30j * e)[0].imag / 1e-30 for e in np.eye(x.size)]
    # complex steps do not cancel: a few roundings of a few operations remain
    np.testing.assert_allclose(np.stack(columns, 1), jacobian, atol=1e-15 * np.abs(jacobian).max())


@pytest.mark.parametrize("name", sorted(set(PROBLEMS) - set(RESIDUALS)))
def test_gradient(name):
    problem = PROBLEMS[name]
    x = np.array(problem.start) + 0.1
    expected = scipy.optimize.approx_fprime(x, problem.loss, 1e-7)
    # forward differences: the step times the curvature
    np.testing.assert_allclose(problem.grad(x), expected, atol=1e-5)


@pytest.mark.parametrize("name", PROBLEMS)
def test_known_minimum(name):
    problem = PROBLEMS[name]
    x = problem.start
    for _ in range(2):  # restarted: the first run ends where rounding stalls it
        found = scipy.optimize.minimize(
            problem.evaluate, x, jac=True, method="BFGS", options=dict(gtol=1e-10)
        )
        x = found.x
    # sums of squares are flat at a zero, more so where the Hessian is singular
    assert any(math.isclose(found.fun, f, rel_tol=1e-9, abs_tol=1e-14) for f in problem.minima)
