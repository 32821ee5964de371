"""LBFGS and NonlinearCG against torch and SciPy, on problems with known minima."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace

import array_api_strict
import numpy as np
import pytest
import scipy.optimize
import torch
from conftest import assert_same_bits

from optimkit import RowSparse
from optimkit.algorithms.lbfgs import LBFGS
from optimkit.algorithms.nonlinear_cg import VARIANTS, NonlinearCG
from optimkit.line_search import Point, cubic_minimum, ratio, strong_wolfe
from optimkit.validation.test_problems import MORE_GARBOW_HILLSTROM, PROBLEMS, RESIDUALS

WOLFE = dict(line_search_fn="strong_wolfe")


class Run:
    """An optimizer on a problem; remembers every point at which the closure was called."""

    def __init__(self, method, problem, **options):
        self.problem, self.points = problem, []
        self.x = np.array(problem.start)
        self.optimizer = method([self.x], **options)

    def closure(self):
        self.points.append(self.x.copy())
        loss, grad = self.problem.evaluate(self.x)
        return loss, [grad]

    def step(self):
        return self.optimizer.step(self.closure)

    @property
    def state(self):
        return self.optimizer.state[self.x]


class TorchRun(Run):
    """The same with torch's own optimizer."""

    def __init__(self, problem, **options):
        self.problem, self.points = problem, []
        self.tensor = torch.tensor(problem.start, dtype=torch.float64, requires_grad=True)
        self.x = self.tensor.detach().numpy()
        self.optimizer = torch.optim.LBFGS([self.tensor], **options)

    def closure(self):
        loss, [grad] = super().closure()
        self.tensor.grad = torch.from_numpy(grad)
        return torch.tensor(loss, dtype=torch.float64)

    @property
    def state(self):
        return self.optimizer.state[self.tensor]


def solved(problem, x, gtol=1e-5):
    return np.abs(problem.grad(x)).max() <= gtol


# Problems


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


# L-BFGS against torch

LBFGS_OPTIONS = {
    "fixed steps": dict(lr=0.01, max_iter=7),
    "fixed steps, short history": dict(lr=0.01, max_iter=7, history_size=2),
    "line search": WOLFE | dict(max_iter=5),
    "line search, short history": WOLFE | dict(max_iter=8, history_size=2),
    "line search, small first steps": WOLFE | dict(lr=0.3, max_iter=5),
    "one iteration": WOLFE | dict(max_iter=1),
    "few evaluations": WOLFE | dict(max_iter=20, max_eval=4),
    "loose gradient": WOLFE | dict(max_iter=20, tolerance_grad=1e-2),
    "loose change": WOLFE | dict(max_iter=20, tolerance_change=1e-3),
    "fixed steps, few evaluations": dict(lr=0.01, max_eval=3),
    "fixed steps, loose change": dict(lr=0.01, tolerance_change=1e-2),
}
FITTED = ("rosenbrock", "beale", "logistic_regression", "linear_regression")


@pytest.mark.parametrize("options", LBFGS_OPTIONS.values(), ids=LBFGS_OPTIONS)
@pytest.mark.parametrize("name", FITTED)
def test_lbfgs_goes_where_torch_goes(name, options):
    ours, theirs = Run(LBFGS, PROBLEMS[name], **options), TorchRun(PROBLEMS[name], **options)
    for _ in range(5):
        assert float(ours.step()) == pytest.approx(float(theirs.step()), rel=1e-10, abs=1e-10)
        assert ours.state["n_iter"] == theirs.state["n_iter"]
        assert ours.state["func_evals"] == theirs.state["func_evals"] == len(ours.points)
    assert set(ours.state) == set(theirs.state)
    assert len(ours.points) == len(theirs.points)
    # torch fuses multiply and add and sums inner products in another order: 1e-16 a step, which
    # the search directions amplify
    np.testing.assert_allclose(ours.points, theirs.points, rtol=0, atol=1e-10)
    np.testing.assert_allclose(ours.x, theirs.x, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", MORE_GARBOW_HILLSTROM)
def test_lbfgs_takes_the_first_iterations_of_torch(name):
    options = WOLFE | dict(max_iter=8)
    ours, theirs = Run(LBFGS, PROBLEMS[name], **options), TorchRun(PROBLEMS[name], **options)
    ours.step(), theirs.step()
    assert len(ours.points) == len(theirs.points)
    scale = np.abs(theirs.x).max()
    # as above; the badly scaled ones amplify more
    np.testing.assert_allclose(ours.x, theirs.x, rtol=0, atol=1e-9 * scale)


@pytest.mark.parametrize("name", sorted(set(MORE_GARBOW_HILLSTROM) - {"powell_badly_scaled"}))
def test_lbfgs_solves(name):
    """All but one: there torch's rule to skip pairs of small curvature stalls it, and ours."""
    problem = PROBLEMS[name]
    run = Run(LBFGS, problem, max_iter=500, tolerance_change=1e-15, tolerance_grad=1e-5, **WOLFE)
    run.step()
    loss = problem.loss(run.x)
    # 1e-5 in the gradient leaves this much in the loss of the flattest
    assert any(math.isclose(loss, f, rel_tol=1e-5, abs_tol=2e-6) for f in problem.minima)
    # SciPy's method with limited memory too; the one with a whole matrix needs half as many there
    peers = {"L-BFGS-B": dict(ftol=0)} | ({} if name == "freudenstein_roth" else {"BFGS": {}})
    for method, options in peers.items():
        peer = scipy.optimize.minimize(
            problem.evaluate,
            problem.start,
            jac=True,
            method=method,
            options=dict(gtol=1e-5) | options,
        )
        assert len(run.points) <= 1.5 * peer.nfev


@pytest.mark.parametrize("options", [dict(lr=0.01), WOLFE], ids=["fixed steps", "line search"])
def test_torch_goes_on_from_the_state(options):
    ours = Run(LBFGS, PROBLEMS["rosenbrock"], max_iter=4, **options)
    theirs = TorchRun(PROBLEMS["rosenbrock"], max_iter=4, **options)
    ours.step()
    theirs.x[:] = ours.x
    saved = theirs.optimizer.state_dict()
    saved["state"] = {0: _map(torch.from_numpy, ours.state)}
    theirs.optimizer.load_state_dict(saved)
    ours.step(), theirs.step()
    assert ours.state["func_evals"] == theirs.state["func_evals"]
    # as above
    np.testing.assert_allclose(ours.x, theirs.x, rtol=0, atol=1e-10)


# Conjugate gradients against SciPy


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


# Both

METHODS = {
    "lbfgs": (LBFGS, dict(lr=0.01)),
    "lbfgs, line search": (LBFGS, WOLFE),
    "cg": (NonlinearCG, {}),
    "cg, hager_zhang": (NonlinearCG, dict(variant="hager_zhang")),
}
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
            assert _plain(state) == _plain(given)  # nothing was changed in place
            state = new
        results.append(np.asarray(x))
    # inner products are summed in another order
    np.testing.assert_allclose(results[1], results[0], rtol=1e-9)


def _map(function, value):
    """Apply a function to every array of a state."""
    if isinstance(value, dict):
        return {key: _map(function, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_map(function, item) for item in value]
    return function(value) if hasattr(value, "shape") and value.shape else value


def _plain(state):
    """The same state with lists for arrays, so that it compares."""
    return _map(lambda array: np.asarray(array).tolist(), state)


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


# The line search

LINES = {
    "quadratic": lambda t: ((t - 3) ** 2, 2 * (t - 3)),
    "quartic": lambda t: ((t - 40) ** 4, 4 * (t - 40) ** 3),
    "valleys": lambda t: (math.cos(t + 1) + 0.1 * t, 0.1 - math.sin(t + 1)),
    "wall": lambda t: (-math.log(2 - t) - 3 * t, 1 / (2 - t) - 3) if t < 2 else (math.inf,) * 2,
}


@pytest.mark.parametrize("first", [1e-3, 0.5, 1.0, 4.0, 100.0])
@pytest.mark.parametrize("c2", [0.9, 0.1])
@pytest.mark.parametrize("name", LINES)
def test_strong_wolfe_conditions(name, c2, first):
    calls = []

    def line(t):
        calls.append(t)
        return Point(t, *LINES[name](t), None)

    start = Point(0.0, *LINES[name](0.0), None)
    found, evaluations = strong_wolfe(
        line, start, first, 1.0, c1=1e-4, c2=c2, tolerance_change=1e-9, max_ls=50
    )
    assert evaluations == len(calls)
    assert found.loss <= start.loss + 1e-4 * found.step * start.slope
    assert abs(found.slope) <= -c2 * start.slope


def test_line_search_out_of_trials_returns_the_lower_end():
    def line(t):
        return Point(t, t * t - t, 2 * t - 1, None)

    start, limits = line(0.0), dict(c1=1e-4, c2=0.1, tolerance_change=0.0, max_ls=0)
    assert strong_wolfe(line, start, 10.0, 1.0, **limits) == (start, 1)
    assert strong_wolfe(line, start, 0.1, 1.0, **limits) == (line(0.1), 1)


def test_cubic_minimum():
    # t³ - 3t has its minimum at 1, seen from either side
    a, b = Point(0.0, 0.0, -3.0, None), Point(2.0, 2.0, 9.0, None)
    assert cubic_minimum(a, b, 0.0, 2.0) == cubic_minimum(b, a, 0.0, 2.0) == 1.0
    assert cubic_minimum(a, b, 0.0, 0.5) == 0.5
    straight, infinite = Point(1.0, -3.0, -3.0, None), Point(1.0, math.inf, 1.0, None)
    assert cubic_minimum(a, straight, 2.0, 4.0) == 4.0
    assert cubic_minimum(a, infinite, 0.0, 1.0) == 0.5


@pytest.mark.parametrize("method", [LBFGS, NonlinearCG])
def test_losses_that_are_not_numbers_are_stepped_back_from(method):
    x = np.array([4.0, 0.01])

    def closure():
        with np.errstate(invalid="ignore"):
            return np.sum(x - np.log(x)), [1 - 1 / x]

    method([x], lr=50, max_iter=60, max_eval=500, **WOLFE).step(closure)
    # the loss is flat to within tolerance_change, 1e-9
    np.testing.assert_allclose(x, 1, atol=1e-4)


@pytest.mark.parametrize(
    ("top", "bottom", "value"),
    [(1.0, 2.0, 0.5), (1.0, 0.0, math.inf), (-1.0, 0.0, -math.inf), (1.0, -0.0, -math.inf)],
)
def test_ratio(top, bottom, value):
    assert ratio(top, bottom) == value


def test_ratio_of_zeros_is_nan():
    assert math.isnan(ratio(0.0, 0.0))
