"""
Add a layer during training
===========================

A network gets one more block in the middle of a run; optimizer, schedule and average go on.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import optimkit as ok
from optimkit.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
from optimkit.swa_utils import AveragedModel, get_ema_multi_avg_fn

# %%
# Two spirals are to be told apart by a network kept as a nest: a layer, a list of residual blocks
# :math:`h \leftarrow h + \max(hW + b, 0)\,V`, and a layer. A new block begins with :math:`V = 0`
# and changes nothing until it has learned something.

rng = np.random.default_rng(0)
angle, label = rng.uniform(0.5, 3.5 * np.pi, 600), rng.integers(0, 2, (600, 1))
turned = angle + np.pi * label[:, 0]
x = np.stack([np.cos(turned), np.sin(turned)], 1) * angle[:, None] / 11
x, width = x + 0.02 * rng.standard_normal(x.shape), 12


def matrix(seed, rows, columns):
    return np.random.default_rng(seed).standard_normal((rows, columns)) * np.sqrt(2 / rows)


def block(seed):
    v = np.zeros((2 * width, width))
    return {"w": matrix(seed, width, 2 * width), "b": np.zeros(2 * width), "v": v}


def loss_and_gradients(net, x, label):
    """The mean cross-entropy, and its gradients in a nest like the network."""
    h, inner = [np.maximum(x @ net["in"]["w"] + net["in"]["b"], 0)], []
    for b in net["blocks"]:
        inner.append(np.maximum(h[-1] @ b["w"] + b["b"], 0))
        h.append(h[-1] + inner[-1] @ b["v"])
    logit = h[-1] @ net["out"]["w"] + net["out"]["b"]
    error = (1 / (1 + np.exp(-logit)) - label) / len(x)
    grads = {"out": {"w": h[-1].T @ error, "b": error.sum(0)}, "blocks": []}
    up = error @ net["out"]["w"].T
    for b, before, hidden in zip(net["blocks"][::-1], h[-2::-1], inner[::-1], strict=True):
        down = (up @ b["v"].T) * (hidden > 0)
        grads["blocks"].insert(0, {"w": before.T @ down, "b": down.sum(0), "v": hidden.T @ up})
        up = up + down @ b["w"].T
    up = up * (h[0] > 0)
    grads["in"] = {"w": x.T @ up, "b": up.sum(0)}
    return np.mean(np.logaddexp(0, logit) - label * logit), grads


# %%
# A run, and how it grows
# -----------------------
# Names are paths, such as ``blocks.0.w``, fixed when the optimizer is made. So a new block is
# **appended**; one that is *inserted* would shift the paths after it, and gradients would reach the
# wrong arrays. (What is to come in between belongs in a dict, under a name of its own.) The network
# grows, the optimizer by a group whose names go on, the schedule, and the average.

steps, grows = 1200, 400


def schedule(optimizer):
    parts = [LinearLR(optimizer, 0.1, total_iters=50), CosineAnnealingLR(optimizer, steps - 50)]
    return SequentialLR(optimizer, parts, milestones=[50])


class Run:
    def __init__(self):
        self.net = {"in": {"w": matrix(1, 2, width), "b": matrix(2, 2, width)[0] / 2}}
        self.net |= {"blocks": [block(4)], "out": {"w": matrix(3, width, 1), "b": np.zeros(1)}}
        self.optimizer = ok.AdamW(self.net, lr=5e-3, weight_decay=1e-3)
        self.scheduler = schedule(self.optimizer)
        self.average = AveragedModel(self.net, multi_avg_fn=get_ema_multi_avg_fn(0.98))
        self.step, self.losses, self.rates = 0, [], []

    def grow(self):
        self.net["blocks"].append(block(5))
        new = {"blocks.1": self.net["blocks"][1]}
        self.optimizer.add_param_group({"params": new, "lr": 1e-2})
        self.scheduler = self.scheduler.extended(schedule)
        known = self.average.state_dict()
        self.average = AveragedModel(self.net, multi_avg_fn=get_ema_multi_avg_fn(0.98))
        self.average.load_state_dict(self.average.state_dict() | known)

    def train(self, until, growing=True):
        while self.step < until:
            if growing and self.step == grows:
                self.grow()
            rows = np.random.default_rng(self.step).integers(len(x), size=64)
            _, grads = loss_and_gradients(self.net, x[rows], label[rows])
            ok.clip_grad_norm_(grads, max_norm=1.0)
            self.optimizer.step(grads=grads)
            self.scheduler.step()
            self.average.update_parameters(self.net)
            self.step += 1
            self.losses.append(loss_and_gradients(self.average.module, x, label)[0])
            self.rates.append(self.scheduler.get_last_lr())
        return self


# %%
# ``extended(schedule)`` makes the schedule anew for all groups. The ``lr`` of the new group is what
# it would have begun with, and it joins where the others are. (Without that call, the next
# ``scheduler.step()`` is an error.)

grown, small = Run().train(steps), Run().train(steps, growing=False)
print(grown.optimizer.param_groups[1]["param_names"])
fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.4))
left.semilogy(small.losses, label="one block")
left.semilogy(grown.losses, label=f"a second one at step {grows}")
left.set(title="loss of the average", xlabel="step")
right.plot([rates[0] for rates in grown.rates], label="group 0")
right.plot(range(grows, steps), [r[1] for r in grown.rates[grows:]], label="group 1, the new block")
right.set(title="learning rate", xlabel="step")
left.legend(), right.legend()
plt.show()

# %%
# A checkpoint of what has grown
# ------------------------------
# Whoever goes on makes the run as at the beginning, lets it grow as it did, and loads. (A file from
# *before* is loaded before ``grow()``, or merged by name: :doc:`/guides/checkpoints` has the code.)

file = Path(tempfile.mkdtemp(), "run.safetensors")


def arrays(run):
    return [array for group in run.optimizer.param_groups for array in group["params"]]


half = Run().train(700)
parts = {"optimizer": half.optimizer, "scheduler": half.scheduler, "average": half.average}
ok.save({"weights": arrays(half), **parts}, file)

saved, again = ok.load(file), Run()
again.grow()
for array, value in zip(arrays(again), saved["weights"], strict=True):
    array[...] = value
for name in parts:
    getattr(again, name).load_state_dict(saved[name])
again.step = half.step
again.train(steps)

same = all(map(np.array_equal, arrays(again), arrays(grown)))
print("as if it had never been stopped, to the bit:", same)
assert same

# %%
# What to take home
# -----------------
# Append, or name: known paths must not move. ``add_param_group`` with the new names;
# ``scheduler.extended(schedule)``, with the function that made the scheduler; an average made anew
# that takes over what is known. A block that begins as nothing disturbs nothing that was learned.
