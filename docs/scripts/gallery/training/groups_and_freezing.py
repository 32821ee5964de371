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


def step(body, head, optimizer, rows, target):
    hidden, logits = forward(body, head, rows)
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[np.arange(len(rows)), target] -= 1
    p /= len(rows)
    upstream = (p @ head["w"].T) * (hidden > 0)
    optimizer.step(
        grads={
            "head.w": hidden.T @ p,
            "head.b": p.sum(0),
            "body.w": x[rows].T @ upstream,
            "body.b": upstream.sum(0),
        }
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
# options that differ. A learning rate that is 0 **freezes** a group, decay included, since the
# decay of AdamW is in proportion to it; set to another number in ``param_groups`` it thaws.


def copied(part):
    return {name: array.copy() for name, array in part.items()}


new_head, history = layer(32, 5), {}
for way in ("all at once", "frozen", "frozen, then thawed"):
    ours, ours_head = copied(body), copied(new_head)
    optimizer = ok.AdamW(
        [{"params": {"head.w": ours_head["w"], "head.b": ours_head["b"]}}], lr=1e-2
    )
    slow = 1e-2 if way == "all at once" else 0.0
    optimizer.add_param_group({"params": {"body.w": ours["w"], "body.b": ours["b"]}, "lr": slow})
    order, errors = np.random.default_rng(1), []
    for number in range(200):
        if number == 80 and way == "frozen, then thawed":
            optimizer.param_groups[1]["lr"] = 1e-3
        rows = order.choice(large, 32)
        step(ours, ours_head, optimizer, rows, digits[rows] - 5)
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
# What to take home
# -----------------
# A frozen body forgets nothing, and learns what a new head can read off it. All at once learns the
# new task best and unlearns the old one. In between lie a small learning rate for the old layers
# and a late thaw: two numbers in ``param_groups``. (To leave a parameter out of single steps, state
# and step count too, give ``None`` for its gradient.)
