"""What the rules refuse, beside torch's own list of errors, and how long a rule is."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import optimkit as ok

torch = pytest.importorskip("torch", reason="the reference is torch.optim")

# torch's test modules change settings of the process that imports them, so another one does.
# They need expecttest for nothing that is used here.
READ_ERROR_INPUTS = """
import pickle, sys, types, unittest
try:
    import expecttest
except ImportError:
    sys.modules["expecttest"] = types.SimpleNamespace(TestCase=unittest.TestCase)
import torch
from torch.testing._internal.common_optimizers import optim_db

cases = []
for info in optim_db:
    for error in info.optim_error_inputs_func(device="cpu", dtype=torch.float32):
        given = error.optimizer_error_input
        row = (given.desc, given.params, given.kwargs, error.error_type.__name__)
        cases.append((info.optim_cls.__name__, *row))
sys.stdout.buffer.write(pickle.dumps(cases))
"""
ERRORS = {error.__name__: error for error in (RuntimeError, TypeError, ValueError)}
OTHERWISE = {
    "a param group cannot have duplicate parameters",  # torch warns; here it is an error
}
OPTIMIZERS = [
    x
    for x in (getattr(ok, name) for name in ok.__all__)
    if inspect.isclass(x) and issubclass(x, ok.Optimizer) and x is not ok.Optimizer
]
PEERS = sorted(x.__name__ for x in OPTIMIZERS if hasattr(torch.optim, x.__name__))
RULES = [x for x in OPTIMIZERS if "update" in vars(x)]
LONG: dict[str, str] = {}  # a rule of more than 25 lines, and why its mathematics needs them


@pytest.fixture(scope="module")
def error_inputs() -> dict[str, list[tuple[str, Any, dict[str, Any], str]]]:
    """The cases of torch's `optim_db`: what it is, parameters, options and the error's name."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ_ERROR_INPUTS], capture_output=True, check=False
    )
    assert run.returncode == 0, run.stderr.decode()
    found: dict[str, list[tuple[str, Any, dict[str, Any], str]]] = {}
    for name, *case in pickle.loads(run.stdout):
        found.setdefault(name, []).append(tuple(case))
    return found


@pytest.mark.parametrize("name", PEERS)
def test_torchs_error_inputs(name, error_inputs):
    cases = [case for case in error_inputs[name] if case[0] not in OTHERWISE]
    assert len(cases) >= 5
    for what, params, options, error in cases:
        given = [torch.nn.Parameter(torch.ones(1, 1))] if params is None else params
        raised: Any = None
        try:
            getattr(ok, name)(given, **options)
        except Exception as exception:
            raised = exception
        assert type(raised) is ERRORS[error], f"{what}: {raised!r}"


def test_every_optimizer_of_torch_is_compared(error_inputs):
    assert set(PEERS) == set(error_inputs)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_fits_in_25_lines(rule):
    length = len(inspect.getsource(rule.update).splitlines())
    assert (length > 25) == (rule.__name__ in LONG)


# ------------------------------------------------------------------ Adam's options as tensors


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (dict(betas=(0.9, torch.tensor(0.99))), "betas must be either both floats or both Tensors"),
        (dict(betas=[np.array(0.9), 0.99]), "betas must be either both floats or both Tensors"),
        (dict(lr=torch.tensor(0.1), foreach=True), "lr as a Tensor is not supported for"),
        (dict(lr=np.array(0.1), foreach=True), "lr as a Tensor is not supported for"),
        (
            dict(betas=(torch.tensor(0.9), torch.tensor(0.99)), foreach=True),
            r"betas\[0\] as a Tensor is not supported for capturable=False and foreach=True",
        ),
    ],
    ids=str,
)
def test_tensors_that_adam_refuses(name, options, says):
    with pytest.raises(ValueError, match=f"^{name}: {says}"):
        getattr(ok, name)([np.zeros(2)], **options)


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
@pytest.mark.parametrize(
    "options",
    [
        dict(betas=(np.float64(0.9), 0.99), lr=np.float32(0.1), foreach=True),
        dict(betas=(0, 0.99)),
        dict(betas=(torch.tensor(0.9), torch.tensor(0.99)), lr=torch.tensor(0.1)),
        dict(lr=torch.tensor(0.1), foreach=True, capturable=True),
    ],
    ids=str,
)
def test_numbers_and_tensors_that_adam_takes(name, options):
    x = np.ones(2)
    getattr(ok, name)([x], **options).step(grads=[np.ones(2)])
    assert (x < 1).all()


# ------------------------------------------------------------------ options of the wrong kind

WITH_BETAS = [x.__name__ for x in OPTIMIZERS if "betas" in inspect.signature(x).parameters]


@pytest.mark.parametrize("name", WITH_BETAS)
@pytest.mark.parametrize(
    ("betas", "error"),
    [
        ((0.9,), ValueError),
        ((0.9, 0.99, 0.999), ValueError),
        ((), ValueError),
        ((0.9, 1.0), ValueError),
        (0.9, TypeError),
        (None, TypeError),
        ((0.9, "x"), TypeError),
    ],
    ids=str,
)
def test_betas_must_be_a_pair(name, betas, error):
    with pytest.raises(error, match=f"^{name}: invalid betas: .*; it must be a pair of numbers"):
        getattr(ok, name)([np.zeros(2)], betas=betas)


@pytest.mark.parametrize(
    ("name", "option", "value", "error"),
    [
        ("SGD", "dampening", "x", TypeError),
        ("SGD", "dampening", None, TypeError),
        ("SGD", "dampening", float("nan"), ValueError),
        ("ASGD", "lambd", "x", TypeError),
        ("ASGD", "alpha", None, TypeError),
        ("ASGD", "t0", float("nan"), ValueError),
        ("Rprop", "etas", (0.5,), ValueError),
        ("Rprop", "step_sizes", (1e-6,), ValueError),
        ("Rprop", "step_sizes", 50, TypeError),
    ],
)
def test_options_of_the_wrong_kind(name, option, value, error):
    with pytest.raises(error, match=f"^{name}: invalid {option}: .*; it must be"):
        getattr(ok, name)([np.zeros(2)], **{option: value})
