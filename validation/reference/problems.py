"""Problems with known minima for the methods that need a closure.

The unconstrained least-squares problems of Moré, Garbow and Hillstrom ("Testing unconstrained
optimization software", ACM TOMS 7, 1981; the number of each is in its docstring), in the
dimensions their minima are tabulated for, and two data-fitting problems. All are pure functions
in float64 with analytic gradients.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from optimkit.validation.reference.problem import (
    PROBLEMS,
    RESIDUALS,
    Array,
    Problem,
    least_squares,
    problem,
)


def _rows(*rows: Any) -> Array:
    return np.stack(np.broadcast_arrays(*rows))


@least_squares((-1.2, 1), 0.0)
def rosenbrock(x: Array) -> tuple[Array, Array]:
    """1: the curved valley."""
    a, b = x
    return np.array([10 * (b - a**2), 1 - a]), np.array([[-20 * a, 10], [-1, 0]])


@least_squares((0.5, -2), 0.0, 48.98425367924)
def freudenstein_roth(x: Array) -> tuple[Array, Array]:
    """2: a root and a local minimum."""
    a, b = x
    r = np.array([-13 + a + ((5 - b) * b - 2) * b, -29 + a + ((b + 1) * b - 14) * b])
    return r, np.array([[1, (10 - 3 * b) * b - 2], [1, (3 * b + 2) * b - 14]])


@least_squares((0, 1), 0.0)
def powell_badly_scaled(x: Array) -> tuple[Array, Array]:
    """3: the minimizer is (1.1e-5, 9.1)."""
    a, b = x
    r = np.array([1e4 * a * b - 1, np.exp(-a) + np.exp(-b) - 1.0001])
    return r, np.array([[1e4 * b, 1e4 * a], [-np.exp(-a), -np.exp(-b)]])


@least_squares((1, 1), 0.0)
def brown_badly_scaled(x: Array) -> tuple[Array, Array]:
    """4: the minimizer is (1e6, 2e-6)."""
    a, b = x
    r = np.array([a - 1e6, b - 2e-6, a * b - 2])
    return r, np.array([[1, 0], [0, 1], [b, a]])


@least_squares((1, 1), 0.0)
def beale(x: Array) -> tuple[Array, Array]:
    """5: products of powers."""
    a, b = x
    power, y = np.array([1, 2, 3]), np.array([1.5, 2.25, 2.625])
    return y - a * (1 - b**power), _rows(b**power - 1, a * power * b ** (power - 1)).T


@least_squares((-1, 0, 0), 0.0)
def helical_valley(x: Array) -> tuple[Array, Array]:
    """7: a valley around the z axis."""
    a, b, c = x
    square = a**2 + b**2
    radius, turn = np.sqrt(square), np.arctan(b / a) / (2 * np.pi) + (0.5 if a.real < 0 else 0)
    r = np.array([10 * (c - 10 * turn), 10 * (radius - 1), c])
    slope = 50 / (np.pi * square)
    return r, np.array(
        [[slope * b, -slope * a, 10], [10 * a / radius, 10 * b / radius, 0], [0, 0, 1]]
    )


_BARD = np.array(
    [0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.10, 4.39]
)


@least_squares((1, 1, 1), 8.214877306578e-3, 17.42869333)
def bard(x: Array) -> tuple[Array, Array]:
    """8: a rational fit to 15 points."""
    a, b, c = x
    u = np.arange(1.0, 16)
    v = 16 - u
    w = np.minimum(u, v)
    bottom = v * b + w * c
    return (
        _BARD - (a + u / bottom),
        _rows(-1, u * v / bottom**2, u * w / bottom**2).T,
    )


_GAUSSIAN = np.array([9, 44, 175, 540, 1295, 2420, 3521, 3989, 3521, 2420, 1295, 540, 175, 44, 9])


@least_squares((0.4, 1, 0), 1.127932769619e-8)
def gaussian(x: Array) -> tuple[Array, Array]:
    """9: a bell curve through 15 points."""
    a, b, c = x
    away = (8 - np.arange(1.0, 16)) / 2 - c
    bell = np.exp(-b * away**2 / 2)
    return (
        a * bell - _GAUSSIAN / 1e4,
        _rows(bell, -a * bell * away**2 / 2, a * bell * b * away).T,
    )


@least_squares((0, 10, 20), 0.0)
def box(x: Array) -> tuple[Array, Array]:
    """12: a sum of exponentials, 10 points, a line of minimizers besides (1, 10, 1)."""
    a, b, c = x
    t = 0.1 * np.arange(1, 11)
    known = np.exp(-t) - np.exp(-10 * t)
    return (
        np.exp(-a * t) - np.exp(-b * t) - c * known,
        _rows(-t * np.exp(-a * t), t * np.exp(-b * t), -known).T,
    )


@least_squares((3, -1, 0, 1), 0.0)
def powell_singular(x: Array) -> tuple[Array, Array]:
    """13: the Hessian is singular at the minimizer."""
    a, b, c, d = x
    u, v = np.sqrt(5), np.sqrt(10)
    r = np.array([a + 10 * b, u * (c - d), (b - 2 * c) ** 2, v * (a - d) ** 2])
    p, q = 2 * (b - 2 * c), 2 * v * (a - d)
    return r, np.array([[1, 10, 0, 0], [0, 0, u, -u], [0, p, -2 * p, 0], [q, 0, 0, -q]])


@least_squares((-3, -1, -3, -1), 0.0)
def wood(x: Array) -> tuple[Array, Array]:
    """14: two Rosenbrock valleys, coupled."""
    a, b, c, d = x
    u, v = np.sqrt(90), np.sqrt(10)
    r = [10 * (b - a**2), 1 - a, u * (d - c**2), 1 - c, v * (b + d - 2), (b - d) / v]
    return np.array(r), np.array(
        [
            [-20 * a, 10, 0, 0],
            [-1, 0, 0, 0],
            [0, 0, -2 * u * c, u],
            [0, 0, -1, 0],
            [0, v, 0, v],
            [0, 1 / v, 0, -1 / v],
        ]
    )


_KOWALIK = np.array(
    [0.1957, 0.1947, 0.1735, 0.1600, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246]
)
_KOWALIK_AT = np.array([4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625])


@least_squares((0.25, 0.39, 0.415, 0.39), 3.075056038492e-4, 1.02734e-3)
def kowalik_osborne(x: Array) -> tuple[Array, Array]:
    """15: a rational fit to 11 points."""
    a, b, c, d = x
    u = _KOWALIK_AT
    top, bottom = u * (u + b), u * (u + c) + d
    ratio = a * top / bottom
    return (
        _KOWALIK - ratio,
        -_rows(top / bottom, a * u / bottom, -ratio * u / bottom, -ratio / bottom).T,
    )


@least_squares((25, 5, -5, -1), 85822.2016263563)
def brown_dennis(x: Array) -> tuple[Array, Array]:
    """16: large residuals, 20 points."""
    a, b, c, d = x
    t = np.arange(1, 21) / 5
    first, second = a + t * b - np.exp(t), c + d * np.sin(t) - np.cos(t)
    return (
        first**2 + second**2,
        _rows(2 * first, 2 * first * t, 2 * second, 2 * second * np.sin(t)).T,
    )


@least_squares((1, 2, 1, 1, 1, 1), 0.0, 5.655649925500e-3)
def biggs_exp6(x: Array) -> tuple[Array, Array]:
    """18: three exponentials, 13 points."""
    a, b, c, d, e, f = x
    t = 0.1 * np.arange(1, 14)
    y = np.exp(-t) - 5 * np.exp(-10 * t) + 3 * np.exp(-4 * t)
    p, q, s = np.exp(-t * a), np.exp(-t * b), np.exp(-t * e)
    return c * p - d * q + f * s - y, _rows(-t * c * p, t * d * q, p, -q, -t * f * s, s).T


@least_squares((0,) * 6, 2.287670053552e-3)
def watson(x: Array) -> tuple[Array, Array]:
    """20: a differential equation fitted by a polynomial of 6 coefficients."""
    t, j = np.arange(1, 30)[:, None] / 29, np.arange(6)
    powers, slopes = t**j, j * t ** np.maximum(j - 1, 0)
    value = powers @ x
    r = slopes @ x - value**2 - 1
    jacobian = slopes - 2 * value[:, None] * powers
    ends = np.zeros((2, 6), x.dtype)
    ends[0, 0], ends[1, :2] = 1, (-2 * x[0], 1)
    return np.concatenate([r, [x[0], x[1] - x[0] ** 2 - 1]]), np.concatenate([jacobian, ends])


@least_squares((-1.2, 1) * 5, 0.0)
def extended_rosenbrock(x: Array) -> tuple[Array, Array]:
    """21: five valleys."""
    return _blocks(rosenbrock, 2, x)


@least_squares((3, -1, 0, 1) * 3, 0.0)
def extended_powell(x: Array) -> tuple[Array, Array]:
    """22: three singular functions."""
    return _blocks(powell_singular, 4, x)


def _blocks(function: Any, size: int, x: Array) -> tuple[Array, Array]:
    """Apply a function to each run of `size` variables: the Jacobian is block diagonal."""
    residuals, blocks = zip(*(function(part) for part in x.reshape(-1, size)), strict=True)
    jacobian = np.zeros((x.size, x.size), x.dtype)
    for i, block in enumerate(blocks):
        jacobian[i * size : (i + 1) * size, i * size : (i + 1) * size] = block
    return np.concatenate(residuals), jacobian


@least_squares(range(1, 11), 7.087651467090e-5)
def penalty_1(x: Array) -> tuple[Array, Array]:
    """23: a sphere against a weak pull."""
    weak = np.sqrt(1e-5)
    r = np.concatenate([weak * (x - 1), [x @ x - 0.25]])
    return r, np.concatenate([weak * np.eye(x.size), 2 * x[None]])


@least_squares((0.5,) * 4, 9.376293007355e-6)
def penalty_2(x: Array) -> tuple[Array, Array]:
    """24: as 23, with exponentials."""
    weak, n = np.sqrt(1e-5), x.size
    grown, i = np.exp(x / 10), np.arange(1, n + 1)
    known = np.exp(i / 10) + np.exp((i - 1) / 10)
    weights = n - np.arange(n)
    r = [
        [x[0] - 0.2],
        weak * (grown[1:] + grown[:-1] - known[1:]),
        weak * (grown[1:] - np.exp(-0.1)),
        [weights @ x**2 - 1],
    ]
    slopes = weak * np.diag(grown / 10)
    pairs = slopes[1:] + slopes[:-1]
    return np.concatenate(r), np.concatenate(
        [np.eye(1, n), pairs, slopes[1:], 2 * (weights * x)[None]]
    )


@least_squares(1 - np.arange(1, 11) / 10, 0.0)
def variably_dimensioned(x: Array) -> tuple[Array, Array]:
    """25: a quartic along one direction."""
    i = np.arange(1, x.size + 1)
    total = i @ (x - 1)
    return (
        np.concatenate([x - 1, [total, total**2]]),
        np.concatenate([np.eye(x.size), i[None], 2 * total * i[None]]),
    )


@least_squares((0.1,) * 10, 0.0, 2.795056121876e-5)
def trigonometric(x: Array) -> tuple[Array, Array]:
    """26: a root and a local minimum."""
    i = np.arange(1, x.size + 1)
    r = x.size - np.cos(x).sum() + i * (1 - np.cos(x)) - np.sin(x)
    return r, np.sin(x)[None] + np.diag(i * np.sin(x) - np.cos(x))


@least_squares((0.5,) * 10, 0.0, 1.0)
def brown_almost_linear(x: Array) -> tuple[Array, Array]:
    """27: all residuals linear but the last."""
    n = x.size
    others = np.array([np.prod(np.delete(x, i)) for i in range(n)])
    r = np.concatenate([x[:-1] + x.sum() - (n + 1), [np.prod(x) - 1]])
    return r, np.concatenate([np.eye(n - 1, n) + 1, others[None]])


_T = np.arange(1, 11) / 11


@least_squares(_T * (_T - 1), 0.0)
def discrete_boundary_value(x: Array) -> tuple[Array, Array]:
    """28: a two-point boundary value problem, 10 interior points."""
    h, n = 1 / 11, x.size
    shifted = x + _T + 1
    second = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    return (
        second @ x + h**2 * shifted**3 / 2,
        second + np.diag(1.5 * h**2 * shifted**2),
    )


@least_squares((-1,) * 10, 0.0)
def broyden_tridiagonal(x: Array) -> tuple[Array, Array]:
    """30: each residual couples three neighbours."""
    n = x.size
    neighbours = -np.eye(n, k=-1) - 2 * np.eye(n, k=1)
    return (3 - 2 * x) * x + neighbours @ x + 1, np.diag(3 - 4 * x) + neighbours


MORE_GARBOW_HILLSTROM = tuple(PROBLEMS)

_POINTS = np.sin(np.outer(np.arange(1, 61), np.arange(1, 7) ** 2))
_TARGETS = _POINTS @ np.arange(1, 7) + np.cos(np.arange(60) ** 2)
_LABELS = np.where(_TARGETS > 0, 1.0, -1.0)


@problem((0,) * 6, 0.284092648863076)
def logistic_regression(x: Array) -> tuple[float, Array]:
    """The mean log-loss of 60 labelled points and a ridge of 0.01."""
    margin = _LABELS * (_POINTS @ x)
    miss = _LABELS * (1 - np.tanh(margin / 2)) / 2
    loss = np.mean(np.logaddexp(0, -margin)) + 0.005 * x @ x
    return float(loss), 0.01 * x - _POINTS.T @ miss / len(miss)


@problem((0,) * 6, 0.468065586642465)
def linear_regression(x: Array) -> tuple[float, Array]:
    """The mean squared residual of a linear fit to 60 points."""
    r = _POINTS @ x - _TARGETS
    return float(r @ r / len(r)), 2 * _POINTS.T @ r / len(r)


__all__ = ["MORE_GARBOW_HILLSTROM", "PROBLEMS", "RESIDUALS", "Problem"]
