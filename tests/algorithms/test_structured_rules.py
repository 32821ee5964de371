"""Adafactor and Muon, whose rules are not elementwise, against torch."""

import warnings

import numpy as np
import pytest

import optimkit as ok
from optimkit.rounding import round_to_bfloat16

torch = pytest.importorskip("torch", reason="the reference is torch.optim")

ADAFACTOR = [
    {},
    {"maximize": True},
    {"weight_decay": 0.1},
    {"eps": (1e-4, 1e-2)},
    {"eps": (0.5, 1e-3)},  # larger than many a root of a second moment
    {"d": 2.0},
    {"lr": 0.5, "beta2_decay": -0.5},  # the relative step follows 1 / sqrt(t)
    {"lr": 0.1, "weight_decay": 0.01, "maximize": True, "d": 1.5},
]
MUON = [
    {},
    {"nesterov": False},
    {"momentum": 0.0},
    {"lr": 0.02, "weight_decay": 0.0},
    {"adjust_lr_fn": "original"},
    {"adjust_lr_fn": "match_rms_adamw"},
    {"ns_steps": 1},
    {"ns_coefficients": (2.0, -1.5, 0.5), "ns_steps": 10},
    {"eps": 10.0},  # larger than the norm
]


def both(name, shape, dtype, options, steps):
    """Step optimkit and torch from one start along the same gradients."""
    rng = np.random.default_rng(0)
    start = np.asarray(rng.standard_normal(shape), dtype=dtype)
    ours, theirs = start.copy(), torch.tensor(start, requires_grad=True)
    optimizer = getattr(ok, name)([ours], **options)
    reference = getattr(torch.optim, name)([theirs], **options)
    for _ in range(steps):
        scale = 10 ** rng.uniform(-2, 1)
        gradient = np.asarray(rng.standard_normal(shape) * scale, dtype=dtype)
        theirs.grad = torch.tensor(gradient)
        optimizer.step(grads=[gradient])
        reference.step()
    state = {k: v.numpy() for k, v in reference.state[theirs].items() if k != "step"}
    return start, ours, theirs.detach().numpy(), optimizer.state[ours], state


@pytest.mark.parametrize("options", ADAFACTOR, ids=str)
@pytest.mark.parametrize("shape", [(), (7,), (4, 6), (33, 8), (1, 5), (2, 3, 4)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adafactor(shape, dtype, options):
    _, ours, theirs, state, reference = both("Adafactor", shape, dtype, options, 100)
    # A step moves an entry by a few percent at most and is right to a few units in the last place
    # of the sums; the parameter is rounded once a step: 100 steps stay within 8 units.
    unit = np.finfo(dtype).eps
    np.testing.assert_allclose(ours, theirs, rtol=8 * unit, atol=8 * unit * np.abs(theirs).max())
    assert set(state) == {"step", *reference}
    for key, value in reference.items():
        assert state[key].shape == value.shape
        # averages of sums of squares: no cancellation, a few roundings of the latest sums
        np.testing.assert_allclose(state[key], value, rtol=8 * unit)


def test_adafactor_zero_gradients_and_small_moments():
    weights = np.ones((3, 4), dtype=np.float32)
    optimizer = ok.Adafactor([weights], eps=(1e-30, 1e-3))
    gradient = np.full((3, 4), 1e-15, dtype=np.float32)
    gradient[0, 0] = 0
    optimizer.step(grads=[gradient])  # R C is 1e-60, below float32; its root is not
    assert np.isfinite(weights).all()
    assert weights[0, 0] == 1
    assert (weights[1:] < 0.995).all()


def test_adafactor_empty():
    weights = np.ones((0, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ok.Adafactor([weights]).step(grads=[weights.copy()])


@pytest.mark.parametrize("options", MUON, ids=str)
@pytest.mark.parametrize("shape", [(4, 4), (8, 5), (5, 24), (48, 16)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_muon(shape, dtype, options):
    start, ours, theirs, state, reference = both("Muon", shape, dtype, options, 20)
    # One bfloat16 rounded the other way (the sums run in another order) changes a step by up to
    # 2 percent; torch does not agree better with itself between processors. Most steps are equal.
    difference, distance = np.linalg.norm(ours - theirs), np.linalg.norm(theirs - start)
    assert difference <= 0.02 * distance
    assert list(state) == list(reference) == ["momentum_buffer"]
    np.testing.assert_allclose(
        state["momentum_buffer"],
        reference["momentum_buffer"],
        rtol=0,
        atol=100 * np.finfo(dtype).eps,  # a few roundings of gradients of up to about 40
    )


@pytest.mark.parametrize("options", MUON)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_muon_on_tensors_is_torchs_to_the_bit(dtype, options):
    # Whatever torch's loops use here, fused multiply-add among it: the rule takes the same ones.
    random = np.random.default_rng(0)
    for shape in [
        (4, 4),
        (8, 5),
        (5, 24),
        (48, 16),
        (1, 7),
        (7, 1),
        (300, 40),
        (256, 512),
        (512, 256),
    ]:
        start = torch.tensor(random.standard_normal(shape), dtype=dtype)
        ours, theirs = start.clone(), start.clone()
        own, other = ok.Muon([ours], **options), torch.optim.Muon([theirs], **options)
        for _ in range(20):
            grad = torch.tensor(random.standard_normal(shape), dtype=dtype)
            ours.grad, theirs.grad = grad, grad.clone()
            own.step()
            other.step()
            assert torch.equal(ours.grad, grad)
        assert torch.equal(ours, theirs), shape
        buffers = [o.state[p]["momentum_buffer"] for o, p in ((own, ours), (other, theirs))]
        assert torch.equal(*buffers), shape


def test_muon_on_tensors_where_another_device_is_the_default():
    param = torch.nn.Parameter(torch.ones(4, 3))
    plain = param.detach().clone()
    grad = torch.arange(12.0).reshape(4, 3)
    ok.Muon([plain]).step(grads=[grad])
    with torch.device("meta"):
        ok.Muon([param]).step(grads=[grad])
    assert torch.equal(param, plain)


def test_muon_on_tensors_of_other_kinds():
    random = np.random.default_rng(0)
    start = torch.tensor(random.standard_normal((6, 4)), dtype=torch.float32)
    grad = torch.tensor(random.standard_normal((6, 4)), dtype=torch.float32)
    strided = torch.empty(4, 12).T[::2]  # with gaps, and transposed
    leaf = torch.nn.Parameter(start.clone())
    half = start.bfloat16()
    parameters = [strided.copy_(start), leaf, half]
    plain = start.clone()
    ok.Muon([plain], lr=0.1).step(grads=[grad])
    version = leaf._version
    ok.Muon(parameters, lr=0.1).step(grads=[grad, grad, grad.bfloat16()])
    assert torch.equal(strided, plain)
    assert torch.equal(leaf, plain)
    assert leaf._version > version
    assert leaf.requires_grad
    assert leaf.grad_fn is None
    # a gradient and a result of 8 bits, and singular values between 0.7 and 1.2
    assert torch.allclose(half.float(), plain, atol=0.02)


def test_muon_orthogonalizes():
    weights = np.zeros((6, 9))
    gradient = np.random.default_rng(0).standard_normal((6, 9))
    ok.Muon([weights], lr=1.0, weight_decay=0).step(grads=[gradient])
    assert np.allclose(np.linalg.svd(weights)[1], 1, atol=0.35)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"lr": -1.0}, (2, 2)),
        ({"momentum": -0.1}, (2, 2)),
        ({"weight_decay": -0.1}, (2, 2)),
        ({"adjust_lr_fn": "other"}, (2, 2)),
        ({"ns_coefficients": (1.0, 2.0)}, (2, 2)),
        ({"ns_steps": 100}, (2, 2)),
        ({}, (3,)),
        ({}, (2, 2, 2)),
    ],
)
def test_muon_refuses(options, shape):
    with pytest.raises(ValueError, match="Muon"):
        ok.Muon([np.zeros(shape)], **options)


@pytest.mark.parametrize(
    "options",
    [
        {"lr": -1.0},
        {"beta2_decay": 0.1},
        {"eps": (-1.0, 1e-3)},
        {"eps": (None, -1e-3)},
        {"eps": (1e-3,)},
        {"d": 0.5},
        {"weight_decay": -0.1},
    ],
)
def test_adafactor_refuses(options):
    with pytest.raises(ValueError, match="Adafactor"):
        ok.Adafactor([np.zeros((2, 2))], **options)


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("Adafactor", "eps", 1e-3),
        ("Adafactor", "eps", (None, "x")),
        ("Adafactor", "d", "x"),
        ("Muon", "ns_coefficients", 3.0),
        ("Muon", "ns_steps", "x"),
        ("Muon", "eps", None),
    ],
)
def test_refuses_what_is_no_number(name, option, value):
    with pytest.raises(TypeError, match=f"{name}: invalid {option}: .*; it must be"):
        getattr(ok, name)([np.zeros((2, 2))], **{option: value})


@pytest.mark.parametrize("name", ["Muon", "Adafactor"])
def test_refuses_complex_parameters(name):
    optimizer = getattr(ok, name)([np.zeros((2, 2))])
    for param in (np.zeros((2, 2), "complex64"), torch.zeros(2, 2, dtype=torch.complex128)):
        with pytest.raises(RuntimeError, match=f"{name} does not support complex parameters"):
            getattr(ok, name)([param])
        with pytest.raises(RuntimeError, match=f"{name} does not support complex parameters"):
            optimizer.add_param_group({"params": [param]})
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize("exponent", [-126, -20, 0, 60, 110])
def test_bfloat16_is_torchs(exponent):
    mantissas = np.arange(0, 2**23, 2**7, dtype=np.uint32)  # halfway cases included
    near = np.concatenate([mantissas - 1, mantissas, mantissas + 1])[1:] & np.uint32(2**23 - 1)
    numbers = (np.uint32(exponent + 127) << np.uint32(23) | near).view(np.float32)
    numbers = np.concatenate([numbers, -numbers])
    expected = torch.tensor(numbers).bfloat16().float().numpy()
    np.testing.assert_array_equal(round_to_bfloat16(numbers.copy()), expected)


@pytest.mark.parametrize(("name", "shape"), [("Muon", (3, 5)), ("Adafactor", (3, 5))])
def test_strict_namespace(name, shape):
    xp = pytest.importorskip("array_api_strict", reason="the strict Array API namespace")
    rng = np.random.default_rng(0)
    plain, gradient = rng.standard_normal(shape), rng.standard_normal(shape)
    strict = xp.asarray(plain.copy())
    getattr(ok, name)([plain]).step(grads=[gradient])
    getattr(ok, name)([strict]).step(grads=[xp.asarray(gradient)])
    np.testing.assert_allclose(np.asarray(strict), plain, rtol=1e-12)
