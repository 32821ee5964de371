"""
A training loop
===============

Minibatches, a schedule, clipping, averages, and a run that is stopped and goes on.
"""

# %%
# The task: which of two spirals does a point lie on? The model is a network with one hidden layer,
# kept as most people keep one in NumPy, a dict of arrays. Its gradient is the chain rule, from the
# last line to the first.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import optimkit as ok
from optimkit.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
from optimkit.swa_utils import AveragedModel, get_ema_multi_avg_fn

rng = np.random.default_rng(0)
angle = rng.uniform(0.5, 3 * np.pi, 600)
label = rng.integers(0, 2, 600).astype(float)
turned = angle + np.pi * label
x = np.stack([angle * np.cos(turned), angle * np.sin(turned)], 1) / 10
x += 0.02 * rng.standard_normal(x.shape)


def new_model():
    rng = np.random.default_rng(1)
    return {
        "w1": 3 * rng.standard_normal((2, 64)),
        "b1": rng.standard_normal(64),
        "w2": rng.standard_normal(64) / 8,
        "b2": np.zeros(1),
    }


def predict(model, x):
    hidden = np.tanh(x @ model["w1"] + model["b1"])
    return 1 / (1 + np.exp(-(hidden @ model["w2"] + model["b2"])))


def gradients(model, x, label):
    """Of the mean cross-entropy, by name."""
    hidden = np.tanh(x @ model["w1"] + model["b1"])
    p = 1 / (1 + np.exp(-(hidden @ model["w2"] + model["b2"])))
    out = (p - label) / len(x)  # dL / d(logit)
    inner = np.outer(out, model["w2"]) * (1 - hidden**2)
    return {
        "w1": x.T @ inner,
        "b1": inner.sum(0),
        "w2": hidden.T @ out,
        "b2": out.sum(keepdims=True),
    }


# %%
# What a run consists of
# ----------------------
# Beside the model and the optimizer: a **schedule**, which moves the learning rate, here up along a
# line and down along a cosine; and an **exponential moving average** (EMA) of the parameters, which
# is the model that is used in the end.

epochs, batch = 60, 50
per_epoch = len(x) // batch
total, warm_up = epochs * per_epoch, 2 * per_epoch


class Run:
    def __init__(self):
        self.model = new_model()
        self.optimizer = ok.AdamW(self.model, lr=0.03, weight_decay=1e-3)
        rising = LinearLR(self.optimizer, start_factor=0.01, total_iters=warm_up)
        falling = CosineAnnealingLR(self.optimizer, T_max=total - warm_up)
        self.scheduler = SequentialLR(self.optimizer, [rising, falling], milestones=[warm_up])
        self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(0.98))
        self.epoch, self.rates, self.norms, self.wrong = 0, [], [], []

    def train(self, until):
        while self.epoch < until:
            # The order depends on the epoch alone, so that a run can go on in any of them.
            order = np.random.default_rng(self.epoch).permutation(len(x))
            for rows in np.split(order, per_epoch):
                grads = gradients(self.model, x[rows], label[rows])
                self.norms.append(ok.clip_grad_norm_(grads.values(), max_norm=0.5))
                self.rates.append(self.scheduler.get_last_lr()[0])
                self.optimizer.step(grads=grads)
                self.scheduler.step()
                self.average.update_parameters(self.model)
            self.epoch += 1
            models = self.model, self.average.module
            self.wrong.append([np.mean((predict(m, x) > 0.5) != label) for m in models])


# %%
# The order within the inner loop is that of torch: gradients, **clipping** (which scales all of
# them together, in place, if their common norm is above the limit, and returns the norm), the
# optimizer, the scheduler, the average.

run = Run()
run.train(until=epochs)

fig, axes = plt.subplots(1, 3, figsize=(9, 3))
axes[0].plot(run.rates)
axes[0].set(title="learning rate", xlabel="step")
axes[1].semilogy(run.norms, ".", markersize=2)
axes[1].axhline(0.5, color="C1", label="clipped above")
axes[1].set(title="norm of the gradient", xlabel="step")
axes[1].legend()
axes[2].plot(100 * np.array(run.wrong), label=["model", "average"])
axes[2].set(title="wrong, %", xlabel="epoch")
axes[2].legend()
plt.show()

# %%
# The average hears of everything with a delay of about 50 steps (1 / (1 - 0.98)) and shakes less.
#
# Save and resume
# ---------------
# A run is more than its parameters: Adam's moments, the step of the schedule, the average. All that
# has a ``state_dict`` goes into one file, with ``ok.save``, and so do the arrays of the model.

file = Path(tempfile.mkdtemp(), "run.safetensors")

first = Run()
first.train(until=25)
parts = {"model": first.model, "optimizer": first.optimizer, "scheduler": first.scheduler}
ok.save({**parts, "average": first.average, "epoch": first.epoch}, file)

# %%
# Another process would make the same objects and fill them. The parameters are filled in place
# (``array[...] = saved``), since the optimizer holds these very arrays.

second = Run()
saved = ok.load(file)
for name, array in second.model.items():
    array[...] = saved["model"][name]
second.optimizer.load_state_dict(saved["optimizer"])
second.scheduler.load_state_dict(saved["scheduler"])
second.average.load_state_dict(saved["average"])
second.epoch = saved["epoch"]
second.train(until=epochs)

same = all(np.array_equal(second.model[name], run.model[name]) for name in run.model)
print("as if it had never been stopped, to the bit:", same)
assert same

# %%
# What to take home
# -----------------
# - The loop is torch's: gradients, clip, ``optimizer.step``, ``scheduler.step``, average.
# - Schedules compose: warmup and decay are two schedulers in a third.
# - Save the model, the optimizer, the scheduler and the average. With what orders the data fixed by
#   the epoch, a run goes on to the bit.
