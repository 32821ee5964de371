"""Zeros have torch's signs where torch computes as IEEE 754 has it: in its own process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="its zeros are what is compared with")

COMPARE = """
import numpy as np
import optimkit as ok
from optimkit.validation.reference.ieee import torch_with_ieee

torch = torch_with_ieee()
tiny = np.finfo("f").smallest_subnormal
special = np.array([0.0, -0.0, 1.0, -1.0, tiny, -tiny], "f")
starts, first = (x.ravel() for x in np.meshgrid(special, special))
count = 0


def bits(x):
    return np.asarray(x).view("u4")


def compare(name, **options):
    global count
    ours, theirs = starts.copy(), torch.tensor(starts)
    own = getattr(ok, name)([ours], **options)
    peer = getattr(torch.optim, name)([theirs], foreach=False, **options)
    for grad in (first, first[::-1].copy(), -first):
        theirs.grad = torch.tensor(grad)
        peer.step()
        own.step(grads=[grad])
        assert np.array_equal(bits(ours), bits(theirs.numpy())), (name, options, ours, theirs)
        for key, value in own.state[ours].items():
            if hasattr(value, "shape"):
                peers = peer.state[theirs][key].numpy()
                assert np.array_equal(bits(value), bits(peers)), (name, key)
        count += 1


for name in ("Adam", "AdamW", "Adamax", "RAdam", "NAdam"):
    for options in ({"lr": 0.0}, {"lr": 1e-40}, {"lr": 0.1, "betas": (0.0, 0.9)}):
        compare(name, **options)
        compare(name, **options, weight_decay=0.5)
for name in ("SGD", "Adagrad", "Adadelta", "RMSprop", "ASGD"):
    for rate in (0.0, 1e-40, 0.1):
        compare(name, lr=rate)
        compare(name, lr=rate, maximize=True)
compare("Rprop", lr=1e-40)
print(count)
"""


@pytest.mark.parametrize("engine", ["numba", "eager"])
def test_zeros_have_torchs_signs(engine: str) -> None:
    environment = {"ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "1"}
    environment["OPTIMKIT_ENGINE"] = engine
    done = subprocess.run(
        [sys.executable, "-c", COMPARE],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 183
