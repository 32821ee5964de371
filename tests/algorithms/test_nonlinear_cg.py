"""Conjugate gradients against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
from searches import Run, solved

from optimkit.algorithms.nonlinear_cg import VARIANTS, NonlinearCG
from optimkit.validation.reference.problems import MORE_GARBOW_HILLSTROM, PROBLEMS


@pytest.mark.parametrize("name", MORE_GARBOW_HILLSTROM)
def test_cg_solves_what_scipy_solves(name):
    problem = PROBLEMS[name]
    peer = scipy.optimize.minimize(
        problem.evaluate, problem.start, jac=True, method="CG", options=dict(maxiter=5000)
    )
    run = Run(NonlinearCG, problem, max_iter=5000, tolerance_change=0, tolerance_grad=1e-5)
    run.step()
    if solved(problem, peer.x):
        assert solved(problem, run.x)
        assert len(run.points) <= 1.5 * peer.nfev
    else:
        assert problem.loss(run.x) <= peer.fun * (1 + 1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("restarts", [(None, None), (10, None), (None, 0.2)], ids=str)
@pytest.mark.parametrize("name", ["rosenbrock", "beale", "extended_powell", "logistic_regression"])
def test_cg_variants(name, variant, restarts):
    every, threshold = restarts
    problem = PROBLEMS[name]
    run = Run(
        NonlinearCG,
        problem,
        variant=variant,
        restart_every=every,
        restart_threshold=threshold,
        max_iter=1000,
        tolerance_grad=1e-5,
        tolerance_change=0,
    )
    run.step()
    assert solved(problem, run.x)


@pytest.mark.parametrize("variant", VARIANTS)
def test_cg_is_linear_cg_on_a_quadratic(variant):
    """With exact line searches all variants solve n equations in n iterations."""
    problem = PROBLEMS["linear_regression"]
    options = dict(max_eval=500, tolerance_change=0, restart_threshold=None, c2=1e-3)
    run = Run(NonlinearCG, problem, variant=variant, max_iter=6, **options)
    run.step()
    # the slope a line search leaves is at most c2 of the first, or twice the order of rounding
    np.testing.assert_allclose(problem.grad(run.x), 0, atol=1e-7)


def test_cg_restarts():
    options = dict(max_iter=1, max_eval=50, restart_threshold=None, tolerance_change=0)
    run = Run(NonlinearCG, PROBLEMS["rosenbrock"], restart_every=3, **options)
    counts = []
    for _ in range(7):
        run.step()
        counts.append(run.state["since_restart"])
    assert all(count < 3 for count in counts)
    assert counts.count(0) >= 3


def test_cg_with_fixed_steps():
    run = Run(NonlinearCG, PROBLEMS["logistic_regression"], lr=0.5, line_search_fn=None)
    first = run.step()
    assert len(run.points) == 20  # the last iteration moves without another evaluation
    assert run.problem.loss(run.x) < 0.6 * first
