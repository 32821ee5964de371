"""The time of a step of each scheduler, beside torch's."""

import statistics
import time

import optimkit.lr_scheduler as ours
from optimkit.validation.parity.configurations import TYPICAL
from optimkit.validation.parity.schedules import make_optimizer


def step_costs(groups: int = 1, rounds: int = 200, calls: int = 20) -> dict[str, float]:
    """Time of a scheduler's step over that of torch's, by name; below 1 is faster.

    Both drive torch optimizers in this process, by turns; each figure is a ratio of medians.
    """
    import torch

    ratios = {}
    for name, spec in TYPICAL.items():
        arguments = (1.0,) if name == "ReduceLROnPlateau" else ()
        schedulers = []
        for module in (torch.optim.lr_scheduler, ours):
            optimizer = make_optimizer("torch", "momentum", (0.1,) * groups)
            schedulers.append(spec.build(module, optimizer))
            optimizer.step()
        times: tuple[list[int], list[int]] = ([], [])
        for _ in range(rounds):
            for scheduler, taken in zip(schedulers, times, strict=True):
                begin = time.perf_counter_ns()
                for _ in range(calls):
                    scheduler.step(*arguments)
                taken.append(time.perf_counter_ns() - begin)
        ratios[name] = statistics.median(times[1]) / statistics.median(times[0])
    return ratios
