"""What L-BFGS and conjugate gradients have in common."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import array_api_strict
import numpy as np
import pytest
import torch
from conftest import assert_same_bits
from searches import METHODS, WOLFE, Run, TorchRun, as_lists

from optimkit import RowSparse
from optimkit.algorithms.lbfgs import LBFGS
from optimkit.algorithms.nonlinear_cg import NonlinearCG
from optimkit.validation.reference.problems import PROBLEMS

both = pytest.mark.parametrize(("method", "options"), METHODS.values(), ids=METHODS)


@both
def test_several_calls_continue_one(method, options):
    options = options | dict(max_eval=1000, tolerance_change=0)
    whole = Run(method, PROBLEMS["rosenbrock"], max_iter=12, **options)
    parts = Run(method, PROBLEMS["rosenbrock"], max_iter=4, **options)
    whole.step()
    for _ in range(3):
        parts.step()
    np.testing.assert_array_equal(parts.x, whole.x)
    assert parts.state["n_iter"] == whole.state["n_iter"]


@both
def test_returns_the_first_loss_and_stops_at_a_minimum(method, options):
    run = Run(method, PROBLEMS["rosenbrock"], **options)
    assert float(run.step()) == PROBLEMS["rosenbrock"].loss(PROBLEMS["rosenbrock"].start)
    run.x[:] = 1
    before = len(run.points), run.state["n_iter"]
    assert float(run.step()) == 0
    assert (len(run.points) - 1, run.state["n_iter"]) == before
    np.testing.assert_array_equal(run.x, 1)


@both
def test_is_pure_array_api(method, options):
    problem = PROBLEMS["wood"]
    hyper = SimpleNamespace(**method([np.zeros(4)], **options).defaults)
    results = []
    for xp in (np, array_api_strict):
        state = {}

        def evaluate(x, xp=xp):
            loss, grad = problem.evaluate(np.asarray(x))
            return loss, xp.asarray(grad)

        x = xp.asarray(problem.start, dtype=xp.float64)
        for _ in range(2):
            given = copy.deepcopy(state)
            x, new, _ = method.minimize(xp, x, evaluate, state, hyper)
            assert as_lists(state) == as_lists(given)  # nothing was changed in place
            state = new
        results.append(np.asarray(x))
    # inner products are summed in another order
    np.testing.assert_allclose(results[1], results[0], rtol=1e-9)


@pytest.mark.parametrize(
    ("method", "options", "error", "says"),
    [
        (LBFGS, dict(lr=-1), ValueError, "invalid lr: -1"),
        (LBFGS, dict(history_size=-1), ValueError, "history_size"),
        (LBFGS, dict(max_iter=-1), ValueError, "max_iter"),
        (LBFGS, dict(max_eval="x"), TypeError, "max_eval"),
        (LBFGS, dict(line_search_fn="armijo"), RuntimeError, "only 'strong_wolfe' is supported"),
        (NonlinearCG, dict(lr=-1), ValueError, "invalid lr: -1"),
        (NonlinearCG, dict(line_search_fn="x"), RuntimeError, "only 'strong_wolfe' is supported"),
        (NonlinearCG, dict(variant="newton"), ValueError, "'newton'; it must be one of polak"),
        (NonlinearCG, dict(restart_every=0), ValueError, "restart_every: 0"),
        (NonlinearCG, dict(restart_threshold=-1), ValueError, "restart_threshold: -1"),
        (NonlinearCG, dict(c1=0.5, c2=0.1), ValueError, "c1 must be below c2"),
        (NonlinearCG, dict(c2=1.0), ValueError, "invalid c2: 1.0"),
    ],
)
def test_refused(method, options, error, says):
    with pytest.raises(error, match=says):
        method([np.zeros(2)], **options)


# Sparse gradients


@pytest.mark.parametrize("method", [LBFGS, NonlinearCG])
def test_sparse_gradients_are_made_dense(method):
    start = np.random.default_rng(0).standard_normal((5, 3))
    places = np.array([1, 3, 1])  # twice the same row
    aims = np.array([[1.0, 2, 3], [4, 5, 6], [-1, -2, -3]])

    def minimize(sparse):
        x = start.copy()

        def closure():
            difference = x[places] - aims
            grad = RowSparse(places, 2 * difference, x.shape)
            if not sparse:
                grad = np.zeros_like(x)
                np.add.at(grad, places, 2 * difference)
            return float((difference**2).sum()), [grad]

        optimizer = method([x], **WOLFE)
        return optimizer.step(closure), x

    loss, x = minimize(sparse=True)
    expected_loss, expected = minimize(sparse=False)
    assert loss == expected_loss
    assert_same_bits(x, expected)
    np.testing.assert_array_equal(x[[0, 2, 4]], start[[0, 2, 4]])
    np.testing.assert_allclose(x[[1, 3]], [[0, 0, 0], [4, 5, 6]], atol=1e-5)


def test_sparse_gradients_as_in_torch():
    def minimize(kind):
        table = torch.ones(6, 2, dtype=torch.float64, requires_grad=True)
        aims, places = torch.arange(4.0).reshape(2, 2), torch.tensor([4, 1])
        optimizer = kind([table], max_iter=5, **WOLFE)

        def closure():
            optimizer.zero_grad()
            rows = torch.nn.functional.embedding(places, table, sparse=True)
            loss = ((rows - aims) ** 2).sum()
            loss.backward()
            assert table.grad.is_sparse
            return loss

        optimizer.step(closure)
        return table.detach().numpy()

    np.testing.assert_allclose(minimize(LBFGS), minimize(torch.optim.LBFGS), rtol=1e-12)


@pytest.mark.parametrize("method", [LBFGS, NonlinearCG])
def test_a_sparse_gradient_that_does_not_fit_is_refused(method):
    x = np.ones((5, 3))
    optimizer = method([x])
    grad = RowSparse(np.array([1]), np.ones((1, 3)), (6, 3))
    with pytest.raises(ValueError, match=r"parameter 0: its gradient has shape \(6, 3\)"):
        optimizer.step(lambda: (1.0, [grad]))
    np.testing.assert_array_equal(x, 1)


# Small limits


def test_no_history_is_the_scaled_gradient():
    run = Run(LBFGS, PROBLEMS["rosenbrock"], history_size=0, max_iter=30, **WOLFE)
    first = run.step()
    state = run.state
    assert state["n_iter"] > 3
    assert state["old_dirs"] == state["old_stps"] == state["ro"] == state["al"] == []
    np.testing.assert_array_equal(state["d"], -state["prev_flat_grad"] * state["H_diag"])
    assert run.problem.evaluate(run.x)[0] < first


@pytest.mark.parametrize("options", [{"lr": 1e-3}, WOLFE], ids=str)
def test_max_eval_below_one_allows_one_iteration(options):
    problem = PROBLEMS["rosenbrock"]
    runs = [Run(LBFGS, problem, max_eval=limit, **options) for limit in (-1, 0, 1)]
    if options is not WOLFE:  # torch's line search fails there
        runs.append(TorchRun(problem, max_eval=-1, **options))
    for run in runs:
        run.step()
        assert run.state["n_iter"] == 1
        np.testing.assert_array_equal(run.x, runs[0].x)
        assert len(run.points) == 2


@pytest.mark.parametrize("method", [LBFGS, NonlinearCG])
def test_losses_that_are_not_numbers_are_stepped_back_from(method):
    x = np.array([4.0, 0.01])

    def closure():
        with np.errstate(invalid="ignore"):
            return np.sum(x - np.log(x)), [1 - 1 / x]

    method([x], lr=50, max_iter=60, max_eval=500, **WOLFE).step(closure)
    # the loss is flat to within tolerance_change, 1e-9
    np.testing.assert_allclose(x, 1, atol=1e-4)
