"""
Groups, and layers that are frozen
==================================

A network that knows the digits 0 to 4 learns 5 to 9, and what it forgets depends on its groups.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import optimkit as ok

rng = np.random.default_rng(0)
images, digits = load_digits(return_X_y=True)
x = images / 16


def layer(n_in, n_out):
    return {"w": rng.standard_normal((n_in, n_out)) * np.sqrt(2 / n_in), "b": np.zeros(n_out)}


def forward(body, head, rows):
    hidden = np.maximum(x[rows] @ body["w"] + body["b"], 0)
    return hidden, hidden @ head["w"] + head["b"]


def wrong(body, head, rows, target):
    """How many are, in percent."""
    return 100 * np.mean(forward(body, head, rows)[1].argmax(1) != target)


def step(body, head, optimizer, rows, target, frozen=False):
    hidden, logits = forward(body, head, rows)
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(len(rows)), target] -= 1
    p /= len(rows)
    upstream = (p @ head["w"].T) * (hidden > 0)
    grads = {"w": x[rows].T @ upstream, "b": upstream.sum(0)}
    optimizer.step(
        grads={"head": {"w": hidden.T @ p, "b": p.sum(0)}, "body": None if frozen else grads}
    )


# %%
# The first task
# --------------
# Names come from the mapping; those of the gradients are the same.

small, large = np.flatnonzero(digits < 5), np.flatnonzero(digits >= 5)
body, head = layer(64, 32), layer(32, 5)
first = ok.AdamW({"body": body, "head": head}, lr=3e-3)
for _ in range(300):
    rows = rng.choice(small, 32)
    step(body, head, first, rows, digits[rows])

# %%
# The second task
# ---------------
# Three ways, from the same body and the same new head. A group is a dict with ``"params"`` and the
# options that differ. A layer is **frozen** by ``None`` for its gradients: parameters, decay,
# moments and step count stay as they are, whatever the optimizer and whatever the schedule. (For
# tensors of torch, ``requires_grad_(False)`` and ``zero_grad()`` do it: they get no ``.grad`` from
# then on.) It thaws with its first gradient. The body has a group of its own, since it is to go on
# with a smaller learning rate.


def copied(part):
    return {name: array.copy() for name, array in part.items()}


new_head, history = layer(32, 5), {}
for way in ("all at once", "frozen", "frozen, then thawed"):
    ours, ours_head = copied(body), copied(new_head)
    optimizer = ok.AdamW([{"params": {"head": ours_head}}], lr=1e-2)
    slow = 1e-2 if way == "all at once" else 1e-3
    optimizer.add_param_group({"params": {"body": ours}, "lr": slow})
    order, errors = np.random.default_rng(1), []
    for number in range(200):
        frozen = way == "frozen" or (way == "frozen, then thawed" and number < 80)
        rows = order.choice(large, 32)
        step(ours, ours_head, optimizer, rows, digits[rows] - 5, frozen)
        if number % 5 == 4:
            new = wrong(ours, ours_head, large, digits[large] - 5)
            errors.append([new, wrong(ours, head, small, digits[small])])
    history[way] = np.array(errors)

fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.4))
for way, errors in history.items():
    left.plot(range(5, 201, 5), errors[:, 0], label=way)
    right.plot(range(5, 201, 5), errors[:, 1])
    print(f"{way:20} new task {errors[-1, 0]:5.1f} % wrong, old task {errors[-1, 1]:5.1f} %")
left.set(title="5 to 9, with the new head: wrong, %", xlabel="step", ylim=(0, 60))
right.set(title="0 to 4, with the old head: wrong, %", xlabel="step")
left.legend()
plt.show()

# %%
# Why not a learning rate of 0?
# -----------------------------
# It freezes a group too, as long as nothing sets it: moments and step count go on, and a schedule
# decides what becomes of the rate. Those that go on from the rate that the group has multiply 0,
# and it stays (that of ``CosineAnnealingLR`` up to its end, and with ``eta_min=0``). Those that
# compute it anew, from the rate of the beginning or from one that they were told, write that at
# their next step, and the group thaws **without a word**.

schedules = {
    "CosineAnnealingLR": lambda o: ok.lr_scheduler.CosineAnnealingLR(o, T_max=10),
    "LinearLR": lambda o: ok.lr_scheduler.LinearLR(o, start_factor=0.5),
    "PolynomialLR": lambda o: ok.lr_scheduler.PolynomialLR(o, total_iters=10),
    "LambdaLR": lambda o: ok.lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + t)),
    "OneCycleLR": lambda o: ok.lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=10),
}
for name, make in schedules.items():
    optimizer = ok.SGD([np.ones(1)], lr=0.1, momentum=0.9)
    scheduler = make(optimizer)
    optimizer.param_groups[0]["lr"] = 0.0
    for _ in range(3):
        optimizer.step(grads=[np.ones(1)])
        scheduler.step()
    print(f"{name:18} lr set to 0, three steps later: {scheduler.get_last_lr()[0]:.3f}")

# %%
# What to take home
# -----------------
# A frozen body forgets nothing, and learns what a new head can read off it. All at once learns the
# new task best and unlearns the old one. In between lie a small learning rate for the old layers
# and a late thaw. To freeze, give ``None`` for the gradients; a learning rate of 0 is the
# schedule's to change.
