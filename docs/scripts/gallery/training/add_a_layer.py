"""
Add a layer during training
===========================

A network gets a block more in the middle of a run; the optimizer, the schedule and the average go on.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import optimkit as ok
from optimkit.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
from optimkit.swa_utils import AveragedModel, get_ema_multi_avg_fn

# %%
# The model
# ---------
# Two spirals are to be told apart. The network is a nest of dicts and lists, as one writes it by
# hand: a layer, a list of residual blocks :math:`h \leftarrow h + \max(hW + b, 0)\,V`, and a layer.
# A new block begins with :math:`V = 0`: it changes nothing until it has learned something.

rng = np.random.default_rng(0)
angle = rng.uniform(0.5, 3.5 * np.pi, 600)
label = rng.integers(0, 2, 600)
turned = angle + np.pi * label
x = np.stack([angle * np.cos(turned), angle * np.sin(turned)], 1) / 11
x += 0.02 * rng.standard_normal(x.shape)
width = 12


def matrix(rng, rows, columns):
    return rng.standard_normal((rows, columns)) * np.sqrt(2 / rows)


def block(seed):
    rng = np.random.default_rng(seed)
    return {
        "w": matrix(rng, width, 2 * width),
        "b": np.zeros(2 * width),
        "v": np.zeros((2 * width, width)),
    }


def loss_and_gradients(net, x, label):
    """The mean cross-entropy, and its gradients in a nest like the network."""
    h = [np.maximum(x @ net["in"]["w"] + net["in"]["b"], 0)]
    inner = []
    for b in net["blocks"]:
        inner.append(np.maximum(h[-1] @ b["w"] + b["b"], 0))
        h.append(h[-1] + inner[-1] @ b["v"])
    logits = h[-1] @ net["out"]["w"] + net["out"]["b"]
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    rows = np.arange(len(x))
    loss = -np.log(p[rows, label]).mean()
    p[rows, label] -= 1
    p /= len(x)
    grads = {"out": {"w": h[-1].T @ p, "b": p.sum(0)}, "blocks": []}
    up = p @ net["out"]["w"].T
    for b, before, hidden in zip(net["blocks"][::-1], h[-2::-1], inner[::-1], strict=True):
        down = (up @ b["v"].T) * (hidden > 0)
        grads["blocks"].insert(0, {"w": before.T @ down, "b": down.sum(0), "v": hidden.T @ up})
        up = up + down @ b["w"].T
    up = up * (h[0] > 0)
    return loss, grads | {"in": {"w": x.T @ up, "b": up.sum(0)}}


# %%
# A run, and how it grows
# -----------------------
# Names are paths: the first block's matrix is ``blocks.0.w``. They are fixed when the optimizer is
# made, so a new layer is **appended**; one that is *inserted* would shift the paths of those after
# it, and gradients would go to the wrong arrays. What is to be put in between goes into a dict,
# under a name of its own.
#
# Four things grow, each by one call: the network, the optimizer (a group whose names go on), the
# schedule and the average.

steps, grows = 1200, 400


def schedule(optimizer):
    rise = LinearLR(optimizer, start_factor=0.1, total_iters=50)
    fall = CosineAnnealingLR(optimizer, T_max=steps - 50)
    return SequentialLR(optimizer, [rise, fall], milestones=[50])


def averaged(net):
    return AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.98))


class Run:
    def __init__(self):
        rng = np.random.default_rng(1)
        self.net = {
            "in": {"w": matrix(rng, 2, width), "b": 0.5 * rng.standard_normal(width)},
            "blocks": [block(seed=2)],
            "out": {"w": matrix(rng, width, 2), "b": np.zeros(2)},
        }
        self.optimizer = ok.AdamW(self.net, lr=5e-3, weight_decay=1e-3)
        self.scheduler = schedule(self.optimizer)
        self.average = averaged(self.net)
        self.step, self.losses, self.rates = 0, [], []

    def grow(self):
        blocks = self.net["blocks"]
        blocks.append(block(seed=3))
        name = f"blocks.{len(blocks) - 1}"
        self.optimizer.add_param_group({"params": {name: blocks[-1]}, "lr": 1e-2})
        self.scheduler = self.scheduler.extended(schedule)
        before, self.average = self.average, averaged(self.net)
        self.average.load_state_dict(self.average.state_dict() | before.state_dict())

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
# ``extended(schedule)`` makes the schedule anew, for all groups that there are by now. The ``lr``
# that the new group was given is what it would have begun with, and it joins where the others are:
# here, some way down the cosine. (Without that call the next ``scheduler.step()`` is an error that
# says so.)

grown, small = Run().train(steps), Run().train(steps, growing=False)
group = grown.optimizer.param_groups[1]
print(group["param_names"])

fig, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.4))
left.semilogy(small.losses, label="one block")
left.semilogy(grown.losses, label="a second one from step 400 on")
left.axvline(grows, color="#757d87", lw=0.8)
left.set(title="loss of the average", xlabel="step")
left.legend()
right.plot([rates[0] for rates in grown.rates], label="group 0")
late = range(grows, steps)
right.plot(late, [rates[1] for rates in grown.rates[grows:]], label="group 1, the new block")
right.axvline(grows, color="#757d87", lw=0.8)
right.set(title="learning rate", xlabel="step")
right.legend()
plt.show()
print(f"loss {small.losses[-1]:.3f} with one block, {grown.losses[-1]:.3f} with two")

# %%
# That the new group is where it would be had it been there from the beginning can be held against
# the formula: both rates are the same fraction of their first.

first, second = grown.rates[-100]
print(f"{first / 5e-3:.6f} {second / 1e-2:.6f}")
assert np.isclose(first / 5e-3, second / 1e-2, rtol=1e-12)

# %%
# A checkpoint of what has grown
# ------------------------------
# A file is read into objects of the same form. So whoever goes on makes the run as it was at the
# beginning, lets it grow as it did, and loads then. Names keep everything in its place.

file = Path(tempfile.mkdtemp(), "run.safetensors")


def weights(run):
    groups = run.optimizer.param_groups
    return {k: v for group in groups for k, v in zip(group["param_names"], group["params"])}


part = Run().train(700)
parts = {"optimizer": part.optimizer, "scheduler": part.scheduler, "average": part.average}
ok.save({"weights": weights(part), "step": part.step, **parts}, file)

saved = ok.load(file)
again = Run()
again.grow()
for name, array in weights(again).items():
    array[...] = saved["weights"][name]
again.optimizer.load_state_dict(saved["optimizer"])
again.scheduler.load_state_dict(saved["scheduler"])
again.average.load_state_dict(saved["average"])
again.step = saved["step"]
again.train(steps)

same = all(np.array_equal(weights(again)[name], array) for name, array in weights(grown).items())
print("as if it had never been stopped, to the bit:", same, again.losses[-1] == grown.losses[-1])
assert same

# %%
# A file from *before* the block came holds less than there is now. Load it before ``grow()``, or
# put the two state dicts together by name: :doc:`checkpoints </guides/checkpoints>` has the code.
#
# What to take home
# -----------------
# - Append, or name: paths that are known must not move.
# - ``add_param_group`` with the new names; ``scheduler.extended(schedule)``, where ``schedule`` is
#   the function that made the scheduler; an average made anew that takes over what is known.
# - A block that begins as nothing does not disturb what has been learned. Adam's moments of the
#   old parameters go on, those of the new ones begin.
