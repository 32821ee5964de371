"""MAML: learn a start from which a few steps of SGD fit any sine wave (Finn et al., 2017).

The inner loop is SGD with ``differentiable=True``: what is left of the loss after it has a gradient
with respect to the start, through all steps, and to the learning rates of the steps. The tasks of a
batch take their steps together, as the parameters of the inner loop have one more axis.
Run it: ``python examples/maml.py``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

import optimkit as ok

WIDTH, SHOTS, TASKS = 40, 10, 25
LAYERS = ((1, WIDTH), (WIDTH, WIDTH), (WIDTH, 1))


def random_start(draws: torch.Generator) -> list[Tensor]:
    """Weights and biases of a small network."""
    weights = [torch.randn(shape, generator=draws) / math.sqrt(shape[0]) for shape in LAYERS]
    biases = [torch.zeros(1, width) for _, width in LAYERS]
    return [x.requires_grad_() for pair in zip(weights, biases, strict=True) for x in pair]


def network(params: list[Tensor], x: Tensor) -> Tensor:
    """The network of each task at its points: (tasks, points, 1) to the same."""
    for weight, bias in zip(params[:-2:2], params[1:-2:2], strict=True):
        x = (x @ weight + bias).relu()
    return x @ params[-2] + params[-1]


def sines(tasks: int, draws: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Some points of waves of random height and phase to learn from, and others to be judged by."""
    height = 0.1 + 4.9 * torch.rand(tasks, 1, 1, generator=draws)
    phase = math.pi * torch.rand(tasks, 1, 1, generator=draws)
    x = 10 * torch.rand(tasks, 2 * SHOTS, 1, generator=draws) - 5
    y = height * (x + phase).sin()
    return x[:, :SHOTS], y[:, :SHOTS], x[:, SHOTS:], y[:, SHOTS:]


def losses(params: list[Tensor], x: Tensor, y: Tensor) -> Tensor:
    return (network(params, x) - y).square().mean((1, 2))


def adapted(start: list[Tensor], rates: Tensor, x: Tensor, y: Tensor, steps: int) -> list[Tensor]:
    """Take some steps from the start for each task, every parameter at a rate of its own."""
    params = [p.expand(len(x), *p.shape).clone() for p in start]
    optimizer = ok.SGD(
        [{"params": [p], "lr": rate} for p, rate in zip(params, rates, strict=True)],
        differentiable=True,
    )
    for _ in range(steps):
        # The step changes its tensors in place, so the loss is computed with copies.
        copies = [p.clone() for p in params]
        loss = losses(copies, x, y).sum()
        optimizer.step(grads=torch.autograd.grad(loss, copies, create_graph=True))
    return params


def meta_learn(rounds: int, inner: int, draws: torch.Generator) -> tuple[list[Tensor], Tensor]:
    """Return a start and learning rates from which `inner` steps go far."""
    start = random_start(draws)
    log_rates = torch.full((len(start),), math.log(0.01), requires_grad=True)
    optimizer = ok.Adam([{"params": start, "lr": 1e-2}, {"params": log_rates, "lr": 5e-2}])
    for _ in range(rounds):
        x, y, others, wanted = sines(TASKS, draws)
        params = adapted(start, log_rates.exp(), x, y, inner)
        loss = losses(params, others, wanted).mean()
        optimizer.step(grads=torch.autograd.grad(loss, [*start, log_rates]))
    return start, log_rates.exp().detach()


def main(rounds: int = 500, inner: int = 3) -> tuple[list[float], list[float]]:
    draws = torch.Generator().manual_seed(3)
    start, rates = meta_learn(rounds, inner, draws)
    beginner = random_start(draws)
    usual = torch.full((len(beginner),), 0.01)
    x, y, others, wanted = sines(500, draws)

    def left(begin: list[Tensor], rates: Tensor) -> list[float]:
        """The loss on other points after 0, 1, ... steps."""
        return [
            losses(adapted(begin, rates, x, y, steps), others, wanted).mean().item()
            for steps in range(inner + 1)
        ]

    plain, learned = left(beginner, usual), left(start, rates)
    print(f"mean squared error on 500 new waves, {SHOTS} points of each seen")
    print(f"{'steps':>5}   {'random start':>12}   {'learned start':>13}")
    for steps, (before, after) in enumerate(zip(plain, learned, strict=True)):
        print(f"{steps:5d}   {before:12.3f}   {after:13.3f}")
    print("learned rates:", ", ".join(f"{rate:.3f}" for rate in rates.tolist()))
    return plain, learned


if __name__ == "__main__":
    torch.set_num_threads(1)  # for such small arrays
    main()
