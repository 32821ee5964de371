"""Learn the learning rate and the momentum of SGD by differentiating through its steps.

A badly scaled least-squares problem is to be fitted in 25 steps. How well that goes depends on two
numbers, and since every step is differentiable, so does the loss at the end: `torch.autograd.grad`
says how to change them, and Adam does it. Run it: ``python examples/learn_a_learning_rate.py``.
"""

from __future__ import annotations

import torch
from torch import Tensor

import optimkit as ok

STEPS = 25


def problem(features: int = 20, samples: int = 100) -> tuple[Tensor, Tensor]:
    """Inputs whose scales differ by a factor of ten, and what is to be predicted from them."""
    draws = torch.Generator().manual_seed(1)
    scales = torch.logspace(-1, 0, features)
    x = torch.randn(samples, features, generator=draws) * scales
    truth = torch.randn(features, 1, generator=draws)
    return x, x @ truth + 0.01 * torch.randn(samples, 1, generator=draws)


def loss_after_training(
    x: Tensor, y: Tensor, lr: float | Tensor, momentum: float | Tensor
) -> Tensor:
    """Train from zero; the loss at the end is a function of `lr` and `momentum`."""
    weights = torch.zeros(x.shape[1], 1)
    optimizer = ok.SGD([weights], lr=lr, momentum=momentum, differentiable=True)
    for _ in range(STEPS):
        gradient = 2 * x.T @ (x @ weights - y) / len(y)  # of the mean of squares
        optimizer.step(grads=[gradient])
    return (x @ weights - y).square().mean()


def learn(x: Tensor, y: Tensor, rounds: int, report: int = 0) -> tuple[float, float, float]:
    """Return the learned rate and momentum, and the loss with them."""
    # Both have a range: a rate is positive, a momentum between 0 and 1.
    raw = torch.tensor([-4.0, -2.0], requires_grad=True)
    meta = ok.Adam([raw], lr=0.1)
    for round_ in range(rounds + 1):
        lr, momentum = raw[0].exp(), raw[1].sigmoid()
        loss = loss_after_training(x, y, lr, momentum)
        if report and round_ % report == 0:
            print(f"{round_:6d}   {lr.item():8.4f}   {momentum.item():8.4f}   {loss.item():10.6f}")
        if round_ < rounds:
            # the logarithm, as losses of good and bad rates are orders of magnitude apart
            meta.step(grads=torch.autograd.grad(loss.log(), [raw]))
    return lr.item(), momentum.item(), loss.item()


def main(rounds: int = 150) -> tuple[float, float]:
    x, y = problem()
    print(f"loss after {STEPS} steps of SGD, while its options are learned")
    print(f"{'round':>6}   {'lr':>8}   {'momentum':>8}   {'loss':>10}")
    begun = loss_after_training(x, y, float(torch.tensor(-4.0).exp()), 0.12).item()
    lr, momentum, loss = learn(x, y, rounds, report=max(rounds // 10, 1))
    grid = [
        (loss_after_training(x, y, a, b).item(), a, b)
        for a in (0.01, 0.03, 0.1, 0.2, 0.3)
        for b in (0.0, 0.5, 0.7, 0.8, 0.9)
    ]
    best, a, b = min(row for row in grid if row[0] == row[0])
    print(f"\nlearned: lr {lr:.4f}, momentum {momentum:.4f}: {loss:.6f}, from {begun:.6f}")
    print(f"the best of {len(grid)} on a grid: lr {a}, momentum {b}: {best:.6f}")
    return begun, loss


if __name__ == "__main__":
    main()
