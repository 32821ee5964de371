"""Checkpoints in files: what comes back, and what is refused."""

from __future__ import annotations

import math
import os
import struct
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
import torch
from conftest import array, assert_same_bits
from hypothesis import given
from hypothesis import strategies as st
from libraries import LIBRARIES, STEPPING, Library

import optimkit as ok
from optimkit import lr_scheduler, swa_utils


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint.safetensors"


def back(obj: Any, path: Path) -> Any:
    ok.save(obj, path)
    return ok.load(path)


def assert_same(actual: Any, expected: Any) -> None:
    """Equal, of the same types, with the same bits, and keys in the same order."""
    if hasattr(expected, "dtype"):
        assert type(actual) is type(expected)
        assert actual.dtype == expected.dtype
        assert_same_bits(actual, expected)
        return
    assert type(actual) is type(expected)
    if isinstance(expected, dict):
        assert list(actual) == list(expected)
        assert list(map(type, actual)) == list(map(type, expected))
        actual, expected = list(actual.values()), list(expected.values())
    if isinstance(expected, list | tuple):
        for one, two in zip(actual, expected, strict=True):
            assert_same(one, two)
    elif isinstance(expected, float):
        assert struct.pack(">d", actual) == struct.pack(">d", expected)
    else:
        assert actual == expected


def gradients(library: Library, dtype: str, count: int = 4) -> list[list[Any]]:
    rng = np.random.default_rng(8)
    return [
        [rng.standard_normal(s).astype(dtype) for s in ((4, 3), (), (7,))] for _ in range(count)
    ]


# ---------------------------------------------------------------- what comes back

RULES = [
    ("SGD", dict(momentum=0.9, nesterov=True)),
    ("Adam", {}),
    ("AdamW", dict(amsgrad=True)),
    ("NAdam", {}),
    ("ASGD", {}),
    ("Rprop", {}),
    ("Adafactor", {}),
]


@pytest.mark.parametrize("library", STEPPING, indirect=True)
@pytest.mark.parametrize(
    ("name", "options", "dtype"),
    [(*rule, dtype) for rule in RULES for dtype in ("float32", "float64", "float16")]
    + [(*rule, "complex64") for rule in RULES[:2]],
)
def test_an_optimizer_goes_on_bit_for_bit(
    name: str, options: dict[str, Any], dtype: str, library: Library, path: Path
) -> None:
    if not library.can_hold(dtype):
        pytest.skip("the standard, and so array-api-strict, has no float16")
    grads = gradients(library, dtype)
    straight = [library.param(np.ones_like(x)) for x in grads[0]]
    opt = getattr(ok, name)(straight, **options)
    for row in grads[:2]:
        library.step(opt, row)
    resumed = [library.param(np.array(library.to_numpy(x))) for x in straight]
    other = getattr(ok, name)(resumed, lr=99.0)
    saved = back(opt, path)
    other.load_state_dict(saved)
    assert saved["param_groups"] == opt.state_dict()["param_groups"]
    for row in grads[2:]:
        library.step(opt, row)
        library.step(other, row)
    for one, two in zip(resumed, straight, strict=True):
        assert_same_bits(one, two)


@pytest.mark.parametrize("search", ["LBFGS", "NonlinearCG"])
def test_a_search_with_history_goes_on_bit_for_bit(search: str, path: Path) -> None:
    def loss(x: Any) -> Any:
        return lambda: ((x**4).sum() + x[0] * x[1], [4 * x**3 + x[::-1] * [1.0, 1.0]])

    straight = np.array([1.0, -2.0])
    opt = getattr(ok, search)([straight])
    opt.step(loss(straight))
    resumed = straight.copy()
    other = getattr(ok, search)([resumed])
    other.load_state_dict(back(opt, path))
    for x, each in ((straight, opt), (resumed, other)):
        each.step(loss(x))
    assert_same_bits(resumed, straight)


def test_torch_reads_what_was_saved(path: Path) -> None:
    weights = torch.nn.Parameter(torch.ones(3))
    for rule, other in ((ok.AdamW, torch.optim.AdamW), (torch.optim.AdamW, ok.AdamW)):
        opt = rule([weights], amsgrad=True)
        opt.step(grads=[torch.ones(3)]) if rule is ok.AdamW else None
        assert_same(back(opt, path), opt.state_dict())
        other([weights]).load_state_dict(ok.load(path))


class Factor:
    """A callable object, of which schedulers keep the attributes."""

    def __init__(self, factor: float, report: Any = None) -> None:
        self.factor, self.report = factor, report

    def __call__(self, step: int) -> float:
        return self.factor**step


def schedulers() -> dict[str, Any]:
    def of(name: str, *args: Any, **options: Any) -> Any:
        opt = ok.SGD([array(1.0)], lr=0.5, momentum=0.9)
        return getattr(lr_scheduler, name)(opt, *args, **options)

    def chained() -> Any:
        opt = ok.SGD([array(1.0)], lr=0.5)
        inner = [lr_scheduler.MultiStepLR(opt, [2, 2, 3]), lr_scheduler.LambdaLR(opt, Factor(0.5))]
        return lr_scheduler.ChainedScheduler(inner)

    def swalr() -> Any:
        return swa_utils.SWALR(ok.SGD([array(1.0)], lr=0.5), swa_lr=0.1)

    return {
        "MultiStepLR": lambda: of("MultiStepLR", [1, 1, 3]),
        "LambdaLR": lambda: of("LambdaLR", Factor(0.7)),
        "function": lambda: of("LambdaLR", lambda step: 0.9**step),
        "CyclicLR": lambda: of("CyclicLR", 0.1, 1.0, step_size_up=3),
        "OneCycleLR": lambda: of("OneCycleLR", 1.0, total_steps=20),
        "ReduceLROnPlateau": lambda: of("ReduceLROnPlateau"),
        "CosineAnnealingWarmRestarts": lambda: of("CosineAnnealingWarmRestarts", 3),
        "ChainedScheduler": chained,
        "SWALR": swalr,
    }


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("name", schedulers())
def test_a_scheduler_goes_on(name: str, path: Path) -> None:
    scheduler, other = schedulers()[name](), schedulers()[name]()
    step = [0.5] if name == "ReduceLROnPlateau" else []
    for _ in range(2):
        scheduler.step(*step)
    saved = back(scheduler, path)
    assert_same(saved, scheduler.state_dict())
    other.load_state_dict(saved)
    other.optimizer.load_state_dict(scheduler.optimizer.state_dict())
    for _ in range(4):
        scheduler.step(*step)
        other.step(*step)
        assert other.get_last_lr() == scheduler.get_last_lr()


@pytest.mark.parametrize("kind", ["list", "names", "module"])
def test_an_average_goes_on(kind: str, path: Path) -> None:
    def model() -> Any:
        if kind == "module":
            return torch.nn.BatchNorm1d(3)
        x = array(1.0, 2.0)
        return [x] if kind == "list" else {"x": x}

    average, other = swa_utils.AveragedModel(model()), swa_utils.AveragedModel(model())
    for _ in range(2):
        average.update_parameters(model())
    saved = back(average, path)
    assert saved["n_averaged"] == 2
    other.load_state_dict(saved)
    assert_same(dict(other.state_dict()), dict(average.state_dict()))


def test_several_things_by_name(path: Path) -> None:
    weights = array(1.0, 2.0)
    opt = ok.Adam([weights])
    scheduler = lr_scheduler.StepLR(opt, 2)
    average = swa_utils.AveragedModel([weights])
    opt.step(grads=[array(1.0, 1.0)])
    scheduler.step()
    average.update_parameters([weights])
    everything = {"optimizer": opt, "scheduler": scheduler, "ema": average, "epoch": 3}
    saved = back({**everything, "weights": [weights, ok.Parameter(weights)]}, path)
    assert list(saved) == [*everything, "weights"]
    for name in ("optimizer", "scheduler", "ema"):
        assert_same(saved[name], everything[name].state_dict())
        everything[name].load_state_dict(saved[name])
    assert saved["epoch"] == 3
    assert_same(saved["weights"], [weights, weights])


NAN = struct.unpack(">d", bytes.fromhex("fff4000000abcdef"))[0]
PLAIN = [
    None, True, False, 0, -1, 2**63, -(2**63) - 1, 2**64, 10**5000, -(10**5000),
    0.1, 5e-324, -0.0, 1.7976931348623157e308, math.inf, -math.inf, math.nan, NAN,
    "", "a\"\\\n\0é∂🙂", [], (), {}, (0.9, 0.999), [[(1, [None])]],
    {0: {"1": 1, 1: "1"}, -(2**70): True}, {"dict": []}, {"array": ["", "", ""]},
    Counter({3: 2, 1: 1}),
]  # fmt: skip


@pytest.mark.parametrize("value", PLAIN, ids=range(len(PLAIN)))
def test_what_is_no_array_comes_back(value: Any, path: Path) -> None:
    assert_same(back(value, path), value)
    assert_same(back({"x": [value]}, path), {"x": [value]})


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.builds(np.float32, st.floats(width=32)),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])) | st.integers(), inner)
    ),
)


@given(value=VALUES)
def test_any_value_comes_back(value: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert_same(back(value, tmp_path_factory.getbasetemp() / "any.safetensors"), value)


def test_what_is_like_a_dict_comes_back_as_one(path: Path) -> None:
    assert_same(back(OrderedDict(a=1), path), {"a": 1})


DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
DTYPES += ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"]
SHAPES: list[tuple[int, ...]] = [(), (1,), (0,), (5,), (2, 3), (3, 0, 2), (2, 1, 3, 2)]


def random_array(dtype: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Any bits, NaN with payloads among them."""
    kind = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    size = math.prod(shape) * kind.itemsize
    raw = np.random.default_rng(1).integers(0, 2 if dtype == "bool" else 256, size, np.uint8)
    return raw.view(kind).reshape(shape)


def raw(x: Any) -> bytes:
    """The very bits, of NaN too."""
    if isinstance(x, torch.Tensor):
        x = x.detach().resolve_conj().resolve_neg().contiguous()
        x = (x.view(torch.uint16) if x.dtype == torch.bfloat16 else x).numpy()
    return np.asarray(x, x.dtype.newbyteorder("=")).tobytes()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_come_back(dtype: str, shape: tuple[int, ...], path: Path) -> None:
    x = random_array(dtype, shape)
    forms = {
        "plain": x,
        "transposed": x.T,
        "apart": np.repeat(x, 2, -1)[..., ::-2] if x.ndim else x,
        "broadcast": np.broadcast_to(x, (2, *shape)),
        "swapped": x if dtype == "bfloat16" else x.astype(x.dtype.newbyteorder(">")),
        "scalar": x.reshape(-1)[0] if x.size else None,
    }
    saved = back(forms, path)
    for name, form in forms.items():
        if form is None:
            continue
        assert type(saved[name]) is type(form)
        assert saved[name].dtype == form.dtype.newbyteorder("=")
        assert saved[name].shape == form.shape
        assert raw(saved[name]) == raw(form)
        assert name == "scalar" or saved[name].flags.writeable


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_tensors_come_back(dtype: str, shape: tuple[int, ...], path: Path) -> None:
    x = random_array(dtype, shape)
    bfloat = dtype == "bfloat16"
    tensor = torch.from_numpy(x.view(np.uint16) if bfloat else x.copy())
    tensor = tensor.view(torch.bfloat16) if bfloat else tensor
    floating = tensor.is_floating_point() or tensor.is_complex()
    forms = {
        "plain": tensor,
        "transposed": tensor.mT if tensor.ndim > 1 else tensor,
        "expanded": tensor.expand(2, *shape),
        "parameter": torch.nn.Parameter(tensor, requires_grad=floating),
        "conjugated": tensor.conj(),
        "negated": tensor.conj().imag if tensor.is_complex() else tensor,
    }
    saved = back(forms, path)
    for name, form in forms.items():
        assert type(saved[name]) is torch.Tensor
        assert saved[name].dtype == form.dtype
        assert saved[name].shape == form.shape
        assert not saved[name].requires_grad
        assert raw(saved[name]) == raw(form)


@pytest.mark.parametrize("name", ["array-api-strict", "JAX"])
def test_arrays_of_other_libraries_come_back_as_numpys(name: str, path: Path) -> None:
    library = LIBRARIES[name]
    library.require()
    for x in (array(1.0, -2.0), np.ones((), np.complex64)):
        assert_same(back(library.array(x), path), x)


def test_cupys_arrays_come_through_the_host(path: Path) -> None:
    library = LIBRARIES["cupy on host memory"]
    library.require()

    class Got(type(library.array(array(1.0)))):  # type: ignore[misc]
        """Without a device there is no copy, so that this one stands in for it."""

        def get(self) -> Any:
            return library.to_numpy(self)

    for x in (array(1.0, -2.0), np.ones((2, 2), np.complex64)):
        plain = library.array(x)
        assert_same(back(Got(x.shape, x.dtype, plain.data), path), x)


def test_names_of_tensors_are_those_of_the_keys_and_never_the_same(path: Path) -> None:
    one, two, three = array(1.0), array(2.0), array(3.0)
    value = {"a.b": one, "a": {"b": two}, "__metadata__": three, "": one, "0": two, 0: three}
    assert_same(back(value, path), value)
    opt = ok.Adam([one])
    opt.step(grads=[one])
    ok.save({"optimizer": opt}, path)
    names = {"optimizer.state.0.exp_avg", "optimizer.state.0.exp_avg_sq"}
    assert set(safetensors.numpy.load_file(path)) == names
    assert_same(back(one, path), one)


def test_the_same_value_is_the_same_file(path: Path) -> None:
    value = {"b": array(1.0), "a": (1, math.nan), 3: np.ones(2)}
    ok.save(value, path)
    first = path.read_bytes()
    ok.save(value, path)
    assert path.read_bytes() == first


# ---------------------------------------------------------------- what is refused


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def itself() -> Any:
    value: dict[str, Any] = {}
    value["x"] = value
    return value


class Slots:
    shape = (2,)


REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda: {"a": [0, {"f": print}]}, TypeError, r"\['a'\]\[1\]\['f'\]: a builtin_function"),
    (lambda: {"a": {3: {1, 2}}}, TypeError, r"\['a'\]\[3\]: a set cannot be saved"),
    (lambda: object(), TypeError, "the object: a object cannot"),
    (lambda: {"rule": ok.Adam}, TypeError, r"\['rule'\]: a type cannot"),
    (lambda: {"a": {None: 1}}, TypeError, r"\['a'\]: the key None is a NoneType"),
    (lambda: {"a": {(1, 2): 1}}, TypeError, r"the key \(1, 2\) is a tuple"),
    (lambda: {True: 1}, TypeError, "the key True is a bool"),
    (lambda: {"a": b"bytes"}, TypeError, r"\['a'\]: a bytes"),
    (lambda: {"a": 1j}, TypeError, r"\['a'\]: a complex"),
    (lambda: {"a": Slots()}, TypeError, r"\['a'\] cannot be saved: .*Slots is no array"),
    (lambda: {"a": np.ones(1, np.longdouble)}, TypeError, r"\['a'\]: an array of "),
    (lambda: {"a": np.array(["x"])}, TypeError, r"\['a'\]: an array of str"),
    (lambda: {"a": np.array([{}])}, TypeError, r"\['a'\]: an array of object"),
    (lambda: {"a": np.str_("x")}, TypeError, r"\['a'\]: an array of str"),
    (lambda: {"a": np.ma.masked_array([1.0], [True])}, TypeError, r"\['a'\].*MaskedArray"),
    (lambda: {"a": torch.ones(2).to_sparse()}, TypeError, r"\['a'\] cannot be saved"),
    (lambda: {"a": torch.ones(2, device="meta")}, TypeError, r"\['a'\] cannot be saved"),
    (lambda: {"a": "\ud83d"}, ValueError, r"\['a'\].*surrogates"),
    (lambda: {"\ud83d": 1}, ValueError, "surrogates"),
    (itself, ValueError, "does it hold itself"),
    (lambda: nested(101), ValueError, "nested more than 100 deep"),
    (
        lambda: {"s": lr_scheduler.LambdaLR(ok.SGD([array(1.0)]), Factor(0.5, print))},
        TypeError,
        r"\['s'\]\['lr_lambdas'\]\[0\]\['report'\]: a builtin_function",
    ),
]


@pytest.mark.parametrize(("make", "error", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_saved_is_named_before_anything_is_written(
    make: Any, error: type[Exception], message: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ok.save(1, path)
    monkeypatch.setattr(os, "replace", None)
    with pytest.raises(error, match=message):
        ok.save(make(), path)
    assert os.listdir(path.parent) == [path.name]
    assert ok.load(path) == 1


def test_a_fake_tensor_is_refused(path: Path) -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        fake = torch.ones(2)
    with pytest.raises(TypeError, match=r"\['x'\]"):
        ok.save({"x": fake}, path)


def test_a_nesting_that_is_just_allowed_comes_back(path: Path) -> None:
    assert back(nested(100), path) == nested(100)
