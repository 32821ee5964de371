r"""
A heat equation, the other way round
====================================

What is a rod made of, if all that is known are the readings of five thermometers? The gradient of a
simulation, by the adjoint method, and the same problem given to SciPy.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded
from scipy.optimize import minimize

import optimkit as ok

n, steps, dt = 80, 60, 0.01
width = 1 / (n + 1)
place = (np.arange(n + 1) + 0.5) * width  # of the conductivities, between the temperatures
sensors = np.array([8, 24, 40, 56, 72])

# %%
# Temperatures follow :math:`\dot u = (\kappa u')' + f`, cold at both ends. An implicit step solves
# :math:`A u^t = u^{t-1} + \Delta t f` with :math:`A = 1 + \Delta t\, D^\top \kappa D`, where
# :math:`D` takes differences. What is sought is :math:`\theta = \log \kappa`, so that conductivity
# stays positive.


def differences(u):
    return np.diff(u, prepend=0, append=0) / width


def factor(theta):
    kappa = dt * np.exp(theta) / width**2
    bands = np.vstack([np.append(0, -kappa[1:-1]), 1 + kappa[:-1] + kappa[1:]])
    return cholesky_banded(bands), False


heating = 20 * np.exp(-((np.linspace(0, 1, n) - 0.4) ** 2) / 0.005)


def simulate(theta):
    solver, u, states = factor(theta), np.zeros(n), []
    for _ in range(steps):
        u = cho_solve_banded(solver, u + dt * heating)
        states.append(u)
    return solver, np.array(states)


true = np.log(np.where((place > 0.55) & (place < 0.75), 0.3, 1.0))
noise = 0.002 * np.random.default_rng(0).standard_normal((steps, len(sensors)))
readings = simulate(true)[1][:, sensors] + noise

# %%
# The loss is how far the readings are off, and a little for roughness. Its gradient by differences
# would take 81 simulations. The adjoint takes one more, backwards in time: it carries the residuals
# from the sensors to where they came from, and each conductivity is responsible for the product of
# the two slopes, of the temperature and of the adjoint. (The matrix is symmetric, so that its
# factor serves both ways.)


def loss_and_gradient(theta):
    solver, states = simulate(theta)
    residual = states[:, sensors] - readings
    rough = np.diff(theta)
    loss = 0.5 * np.sum(residual**2) + 0.5e-3 * np.sum(rough**2)
    adjoint, by_kappa = np.zeros(n), np.zeros(n + 1)
    for u, error in zip(states[::-1], residual[::-1], strict=True):
        adjoint[sensors] += error
        adjoint = cho_solve_banded(solver, adjoint)
        by_kappa -= dt * differences(adjoint) * differences(u)
    smooth = 1e-3 * (np.append(0, rough) - np.append(rough, 0))
    return loss, by_kappa * np.exp(theta) + smooth


# %%
# Three ways down, each counted in simulations with their gradients. ``step`` takes a closure that
# returns the loss and the gradients, since a line search looks more than once.


def trained(kind, calls, **options):
    theta, losses = np.zeros(n + 1), []
    optimizer = kind([theta], **options)

    def closure():
        loss, gradient = loss_and_gradient(theta)
        losses.append(loss)
        return loss, [gradient]

    while len(losses) < calls:
        optimizer.step(closure)
    return theta, losses


def by_scipy(calls):
    losses = []

    def fun(theta):
        loss, gradient = loss_and_gradient(theta)
        losses.append(loss)
        return loss, gradient

    options = {"maxfun": calls, "ftol": 0, "gtol": 0}
    return minimize(fun, np.zeros(n + 1), jac=True, method="L-BFGS-B", options=options).x, losses


search = {"line_search_fn": "strong_wolfe", "tolerance_change": 0, "max_iter": 5}
runs = {
    "Adam, lr = 0.05": trained(ok.Adam, 150, lr=0.05),
    "LBFGS": trained(ok.LBFGS, 150, **search),
    "SciPy, L-BFGS-B": by_scipy(150),
}

fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.6))
for (name, (theta, losses)), line in zip(runs.items(), ("-", "-", "--"), strict=True):
    left.semilogy(np.minimum.accumulate(losses), line, label=name)
    right.plot(place, np.exp(theta), line)
left.set(xlabel="simulations with gradient", ylabel="loss", ylim=(5e-4, 2))
left.legend()
right.plot(place, np.exp(true), color="C3", alpha=0.6, label="the rod")
right.plot((sensors + 1) * width, np.full(5, 1.55), "v", color="C4", label="thermometers")
right.set(title="conductivity", xlabel="place", ylim=(0, 1.6))
right.legend(loc="lower left")
plt.show()

# %%
# What to take home
# -----------------
# One simulation backwards gives all derivatives. Where it is exact and a call is dear,
# quasi-Newton methods win by far, and ``ok.LBFGS`` needs about as many calls as SciPy's. Both find
# the insulating piece and not its edges: what the thermometers cannot tell, the penalty decides.
