"""The adapters: each library's arrays, and the traps in them."""

from __future__ import annotations

import copy
from typing import Any

import array_api_strict as strict
import ml_dtypes
import numpy as np
import pytest
import torch
from conftest import assert_same_bits, bits

import optimkit as ok
from optimkit.backends.adapters import adapter_of
from optimkit.backends.adapters.base import is_dense, overlaps_itself


def array(*values: float, dtype: Any = "float32") -> np.ndarray:
    return np.array(values, dtype)


# ---------------------------------------------------------------- geometry


@pytest.mark.parametrize(
    ("shape", "strides", "dense", "overlaps"),
    [
        ((), (), True, False),
        ((3,), (8,), True, False),
        ((3,), (16,), False, False),
        ((3,), (0,), False, True),
        ((3,), (-8,), False, False),
        ((2, 3), (24, 8), True, False),
        ((2, 3), (8, 16), True, False),
        ((2, 3), (32, 8), False, False),
        ((2, 3), (8, 8), False, True),
        ((1, 3), (999, 8), True, False),
        ((0, 3), (1, 1), True, False),
        ((2, 1, 3), (24, 0, 8), True, False),
        ((3, 2), (8, 4), False, False),
    ],
)
def test_geometry(
    shape: tuple[int, ...], strides: tuple[int, ...], dense: bool, overlaps: bool
) -> None:
    if strides != (8, 4):  # bytes that do not hold a float64: only the names of the numbers matter
        assert is_dense(shape, strides, 8) is dense
    assert overlaps_itself(shape, strides) is overlaps


def test_the_adapter_is_found_by_the_library_of_the_type() -> None:
    class Mine(np.ndarray):
        pass

    names = {
        "numpy": [array(1.0), array(1.0).view(Mine), np.memmap],
        "torch": [torch.ones(1), torch.nn.Parameter(torch.ones(1))],
        "standard": [strict.ones(1)],
    }
    for name, examples in names.items():
        for x in examples:
            if not isinstance(x, type):
                assert type(adapter_of(x)).__module__ == f"optimkit.backends.adapters.{name}"


@pytest.mark.parametrize("x", [1.0, [1.0], "x", None, object()])
def test_what_is_no_array_has_no_adapter(x: Any) -> None:
    with pytest.raises(TypeError, match=type(x).__name__):
        adapter_of(x)


# ---------------------------------------------------------------- overlapping memory


@pytest.mark.parametrize("kind", ["numpy", "torch", "parameter"])
@pytest.mark.parametrize("steps", [1, 3])
def test_gradients_that_are_other_parameters(engine: str, kind: str, steps: int) -> None:
    x, y = array(1.0, 2.0), array(10.0, 20.0)
    a, b = array(1.0, 2.0), array(10.0, 20.0)
    if kind == "torch":
        params: list[Any] = [torch.from_numpy(x), torch.from_numpy(y)]
        grads = params[::-1]
    else:
        params = [ok.Parameter(x), ok.Parameter(y)] if kind == "parameter" else [x, y]
        grads = [y, x]
    opt = ok.SGD(params, lr=0.5, momentum=0.5)
    reference = ok.SGD([a, b], lr=0.5, momentum=0.5)
    for _ in range(steps):
        opt.step(grads=grads)
        reference.step(grads=[b.copy(), a.copy()])
    assert_same_bits(x, a)
    assert_same_bits(y, b)


def test_gradients_that_overlap_parameters_in_part(engine: str) -> None:
    base, other = np.arange(8.0), np.arange(8.0)
    opt, reference = ok.SGD([base[:4]], lr=0.5), ok.SGD([other[:4]], lr=0.5)
    for _ in range(2):
        opt.step(grads=[base[2:6]])
        reference.step(grads=[other[2:6].copy()])
        opt.step(grads=[base[3::-1]])
        reference.step(grads=[other[3::-1].copy()])
        opt.step(grads=[base[:4]])
        reference.step(grads=[other[:4].copy()])
    assert_same_bits(base, other)


def test_gradients_that_are_parameters_of_another_group(engine: str) -> None:
    x, y = array(1.0), array(10.0)
    opt = ok.SGD([{"params": [x]}, {"params": [y]}], lr=1.0)
    for _ in range(2):
        opt.step(grads=[np.zeros(1, np.float32), x])
    assert y.item() == 8.0
    opt.step(grads=[y, x])
    assert (x.item(), y.item()) == (-7.0, 7.0)


@pytest.mark.parametrize("kind", ["parameter", "torch"])
def test_parameters_that_have_moved_are_still_told_from_gradients(engine: str, kind: str) -> None:
    data = np.array([[5.0], [7.0]])
    if kind == "torch":
        x, y = torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.ones(1))
        table: Any = torch.from_numpy(data.astype("float32"))
    else:
        x, y = ok.Parameter(np.ones(1)), ok.Parameter(np.ones(1))  # type: ignore[assignment]
        table = data
    opt = ok.SGD([{"params": [x]}, {"params": [y]}], lr=1.0)
    zero = table[0] * 0
    opt.step(grads=[zero, zero])
    x.data, y.data = table
    opt.step(grads=[table[1], table[0]])
    assert table.tolist() == [[-2.0], [2.0]]


# ---------------------------------------------------------------- the standard


RULES: dict[str, Any] = {
    "SGD": lambda p: ok.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "Adam": lambda p: ok.Adam(p, lr=0.1, amsgrad=True, weight_decay=0.1),
    "AdamW": lambda p: ok.AdamW(p, lr=0.1, maximize=True),
    "complex": lambda p: ok.Adam(p, lr=0.1),
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(3, 4), (), (0, 2), (5,)])
@pytest.mark.parametrize("rule", RULES)
def test_the_strict_standard_gives_numpys_bits(
    rule: str, shape: tuple[int, ...], dtype: str
) -> None:
    rng = np.random.default_rng(0)

    def random() -> np.ndarray:
        x = rng.standard_normal(shape)
        return np.asarray(x + 1j * rng.standard_normal(shape) if "complex" in dtype else x, dtype)

    plain = random()
    x = strict.asarray(plain.copy())
    ours, reference = RULES[rule]([x]), RULES[rule]([plain])
    for _ in range(3):
        grad = random()
        ours.step(grads=[strict.asarray(grad)])
        reference.step(grads=[grad])
        assert ours.param_groups[0]["params"][0] is x
        assert_same_bits(x, plain)
    for name, value in reference.state[plain].items():
        if name != "step":
            assert_same_bits(ours.state[x][name], value, name)


def test_standard_arrays_with_a_gradient_beside_them() -> None:
    p = ok.Parameter(strict.asarray([1.0, 2.0]))
    p.grad = strict.asarray([1.0, 1.0])
    opt = ok.SGD([p], lr=0.5)
    opt.step()
    assert np.asarray(p.data._array).tolist() == [0.5, 1.5]
    opt.zero_grad(set_to_none=False)
    assert np.asarray(p.grad._array).tolist() == [0.0, 0.0]


def test_immutable_arrays_are_refused_with_their_reason() -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    with pytest.raises(TypeError, match=r"parameter 0.*immutable"):
        ok.SGD([jax.numpy.ones(2)])


# ---------------------------------------------------------------- torch


def test_a_reshaped_parameter_is_not_taken_for_the_old_one() -> None:
    p, q = torch.nn.Parameter(torch.ones(2, 3)), torch.nn.Parameter(torch.ones(4))
    opt = ok.SGD([q, p], lr=0.5)
    grads = [torch.ones(4), torch.ones(2, 3)]
    opt.step(grads=grads)
    p.data = p.data.view(3, 2)
    with pytest.raises(ValueError, match=r"shape \(2, 3\); \(3, 2\) is needed"):
        opt.step(grads=grads)
    assert q.tolist() == [0.5] * 4


def test_a_conjugated_gradient_beside_a_real_one_is_read_as_it_is() -> None:
    p, q = torch.zeros(2), torch.zeros(2, dtype=torch.complex64)
    opt, grad = ok.SGD([p, q], lr=1.0), torch.tensor([1 + 2j, 3 - 1j])
    opt.step(grads=[torch.ones(2), grad])
    opt.step(grads=[torch.ones(2), grad.conj()])
    assert q.tolist() == [-2, -6]


def test_a_gradient_without_memory_is_an_error_at_any_step() -> None:
    p = torch.ones(3)
    opt = ok.SGD([p], lr=0.5)
    opt.step(grads=[torch.ones(3)])
    freed = torch.ones(3)
    freed.untyped_storage().resize_(0)
    with pytest.raises(TypeError, match="no memory"):
        opt.step(grads=[freed])
    assert p.tolist() == [0.5] * 3


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "complex64"])
def test_tensors_give_numpys_bits(engine: str, rule: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    if dtype == "complex64" and rule == "Adam":
        pytest.skip("amsgrad takes the maximum of real numbers; 'complex' is Adam without it")
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)

    def random() -> np.ndarray:
        x = rng.standard_normal((3, 4))
        return np.asarray(x + 1j * rng.standard_normal((3, 4)) if "c" in dtype else x, kind)

    def tensor(x: np.ndarray) -> torch.Tensor:
        if dtype == "bfloat16":
            return torch.from_numpy(x.view(np.uint16).copy()).view(torch.bfloat16)
        return torch.from_numpy(x.copy())

    plain = random()
    param = torch.nn.Parameter(tensor(plain))
    ours, reference = RULES[rule]([param]), RULES[rule]([plain])
    for _ in range(3):
        grad = random()
        param.grad = tensor(grad)
        ours.step()
        reference.step(grads=[grad])
    assert_tensor(param, plain)
    for name, value in reference.state[plain].items():
        if name != "step":
            state = ours.state[param][name]
            assert type(state) is torch.Tensor
            assert state.dtype == param.dtype
            assert not state.requires_grad
            assert_tensor(state, value)


def assert_tensor(x: torch.Tensor, expected: np.ndarray) -> None:
    if x.dtype == torch.bfloat16:
        assert_same_bits(x.detach().float(), expected.astype(np.float32))
    else:
        assert_same_bits(x, expected)


@pytest.mark.parametrize(
    "lay",
    [
        lambda x: x,
        lambda x: x.t().contiguous().t(),
        lambda x: x.repeat_interleave(2, 1)[:, ::2],
        lambda x: x[None].expand(1, *x.shape)[0],
    ],
    ids=["plain", "transposed", "strided", "view"],
)
def test_tensors_in_any_layout(engine: str, lay: Any) -> None:
    make = torch.Generator().manual_seed(0)
    start, grad = (torch.randn(4, 6, generator=make) for _ in range(2))
    plain, laid = start.clone(), lay(start.clone())
    for g in (grad, lay(grad), grad.t().contiguous().t()):
        ok.Adam([plain], lr=0.1).step(grads=[grad])
        ok.Adam([laid], lr=0.1).step(grads=[g])
    assert torch.equal(plain, laid)
    assert laid.stride() == lay(start).stride()


def test_a_negated_gradient_is_read_as_its_values(engine: str) -> None:
    x = torch.zeros(2)
    negated = torch.tensor([1 + 2j, 3 - 4j]).conj().imag
    assert negated.is_neg()
    opt = ok.SGD([x], lr=1.0)
    for total in (1, 2):
        opt.step(grads=[negated])
        assert x.tolist() == [2.0 * total, -4.0 * total]
    opt.step(grads=[torch.tensor([2.0, -4.0])])
    assert x.tolist() == [2.0, -4.0]
    opt.step(grads=[negated])
    assert x.tolist() == [4.0, -8.0]


def test_a_conjugated_gradient_is_read_as_its_values(engine: str) -> None:
    x = torch.zeros(2, dtype=torch.complex64)
    grad = torch.tensor([1 + 2j, 3 - 4j])
    opt = ok.SGD([x], lr=1.0)
    for g in (grad, grad.conj(), grad.conj(), grad):
        opt.step(grads=[g])
    assert x.tolist() == [-4 + 0j, -12 + 0j]


def test_an_expanded_gradient_is_read_as_its_values(engine: str) -> None:
    x = torch.zeros(2, 3)
    opt = ok.SGD([x], lr=1.0)
    for _ in range(2):
        opt.step(grads=[torch.tensor([[1.0, 2.0, 3.0]]).expand(2, 3)])
    assert x.tolist() == [[-2.0, -4.0, -6.0]] * 2


def test_a_gradient_with_a_graph_is_read(engine: str) -> None:
    x = torch.zeros(2)
    grad = torch.ones(2, requires_grad=True) * 3
    ok.SGD([x], lr=1.0).step(grads=[grad])
    assert x.tolist() == [-3.0, -3.0]
    assert grad.tolist() == [3.0, 3.0]


def fake() -> torch.Tensor:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        return torch.ones(2)


def wrapper() -> torch.Tensor:
    from torch.testing._internal.two_tensor import TwoTensor

    two: torch.Tensor = TwoTensor(torch.ones(2), torch.ones(2))
    return two


@pytest.mark.parametrize("make", [fake, wrapper, lambda: torch.ones(2, device="meta")])
def test_tensors_without_memory_are_refused(make: Any) -> None:
    with pytest.raises(TypeError, match=r"parameter 0.*no memory of its own"):
        ok.SGD([make()])


@pytest.mark.parametrize("make", [fake, wrapper])
@pytest.mark.parametrize("warm", [0, 1])
def test_gradients_without_memory_are_refused(make: Any, warm: int) -> None:
    x = torch.zeros(2)
    opt = ok.SGD([x], lr=1.0)
    for _ in range(warm):
        opt.step(grads=[torch.zeros(2)])
    with pytest.raises(TypeError, match=r"parameter 0.*no memory of its own"):
        opt.step(grads=[make()])
    assert x.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("inside", [False, True])
def test_inference_tensors_are_updated(engine: str, inside: bool) -> None:
    with torch.inference_mode():
        x = torch.ones(2)
    assert x.is_inference()
    with torch.inference_mode(inside):
        opt = ok.Adam([x], lr=0.5, eps=0.0)
        for _ in range(2):
            opt.step(grads=[torch.ones(2)])
    np.testing.assert_array_equal(x.numpy(), ok_adam_twice())


def ok_adam_twice() -> np.ndarray:
    x = np.ones(2, np.float32)
    opt = ok.Adam([x], lr=0.5, eps=0.0)
    for _ in range(2):
        opt.step(grads=[np.ones(2, np.float32)])
    return x


def test_a_parameter_given_other_memory_is_followed(engine: str) -> None:
    p = torch.nn.Parameter(torch.zeros(2))
    opt = ok.SGD([p], lr=1.0, momentum=0.5)
    p.grad = torch.ones(2)
    opt.step()
    old, new = p.data, torch.full((2,), 10.0)
    p.data = new
    opt.step()
    assert old.tolist() == [-1.0, -1.0]
    assert new.tolist() == p.tolist() == [8.5, 8.5]


def test_a_parameter_given_another_shape_or_dtype_is_noticed() -> None:
    p = torch.nn.Parameter(torch.zeros(2))
    opt = ok.SGD([p], lr=1.0)
    opt.step(grads=[torch.ones(2)])
    p.data = torch.zeros(3)
    with pytest.raises(ValueError, match=r"parameter 0.*\(2,\).*\(3,\)"):
        opt.step(grads=[torch.ones(2)])
    opt.step(grads=[torch.ones(3)])
    p.data = torch.zeros(3, dtype=torch.float64)
    with pytest.raises(TypeError, match=r"parameter 0.*float32.*float64"):
        opt.step(grads=[torch.ones(3)])
    opt.step(grads=[torch.ones(3, dtype=torch.float64)])
    assert p.tolist() == [-1.0] * 3


def test_gradients_set_to_none_come_back_elsewhere(engine: str) -> None:
    p = torch.nn.Parameter(torch.tensor([3.0]))
    opt = ok.SGD([p], lr=0.25)
    keep = []
    for expected in (1.5, 0.75, 0.375):
        opt.zero_grad(set_to_none=True)
        (p**2).sum().backward()
        keep.append(p.grad)  # so that the next one cannot have the same address
        opt.step()
        assert p.item() == expected


@pytest.mark.parametrize("lib", [ok, torch.optim], ids=["optimkit", "torch"])
def test_a_stale_graph_is_caught(engine: str, lib: Any) -> None:
    p = torch.nn.Parameter(torch.tensor([3.0]))
    opt = lib.SGD([p], lr=0.25)
    loss = (p**2).sum()
    p.grad = torch.ones(1)
    version = p._version
    opt.step()
    assert p._version > version
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_only_stepped_parameters_have_new_versions(engine: str) -> None:
    a, b = torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.ones(1))
    opt = ok.SGD([a, b])
    a.grad = torch.ones(1)
    versions = a._version, b._version
    opt.step()
    assert a._version > versions[0]
    assert b._version == versions[1]


def test_views_and_modules_that_share_the_memory_see_the_step(engine: str) -> None:
    module = torch.nn.Linear(2, 2)
    row = module.weight.detach()[0]
    opt = ok.SGD(module.parameters(), lr=1.0)
    before = row.clone()
    opt.step(grads=[torch.ones(2, 2), torch.ones(2)])
    assert torch.equal(row, before - 1)


def test_a_retained_non_leaf_is_a_parameter_as_in_torch() -> None:
    leaf = torch.ones(2, requires_grad=True)
    inner = leaf * 2
    inner.retain_grad()
    (inner**2).sum().backward()
    for lib in (ok, torch.optim):
        twin = copy.copy(inner.detach().clone())
        assert lib.SGD([twin], lr=0.5) is not None
    opt = ok.SGD([inner], lr=0.25)
    opt.step()
    assert inner.tolist() == [1.0, 1.0]


def test_torch_dtypes_that_numpy_lacks_are_refused_or_run(engine: str) -> None:
    x = torch.ones(2, dtype=torch.bfloat16)
    ok.SGD([x], lr=0.5).step(grads=[torch.ones(2, dtype=torch.bfloat16)])
    assert x.tolist() == [0.5, 0.5]


def test_parameters_of_several_libraries_together(engine: str) -> None:
    single = strict.ones(1, dtype=strict.float32)
    params = [array(1.0), torch.ones(1), single, ok.Parameter(array(1.0))]
    opt = ok.Adam(params, lr=0.5, eps=0.0)
    for _ in range(2):
        opt.step(grads=[array(1.0), torch.ones(1), single * 0 + 1, array(1.0)])
    assert len({bits(param) for param in params}) == 1


# ---------------------------------------------------------------- CuPy, without and with a GPU


@pytest.fixture
def cp() -> Any:
    return pytest.importorskip("cupy", reason="needs optimkit[cuda13] or [cuda12]")


ADDRESS = 0x7F0000000000  # no memory is there, and none is touched


def device_array(
    cp: Any, shape: tuple[int, ...], dtype: str, strides: Any = None, offset: int = 0
) -> Any:
    """A CuPy array that needs no device: memory that is somebody else's, on device 0."""
    memory = cp.cuda.UnownedMemory(ADDRESS, 1 << 20, None, 0)
    pointer = cp.cuda.MemoryPointer(memory, offset)
    return cp.ndarray(shape, np.dtype(dtype), pointer, strides)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0, 3)])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128"])
def test_cupy_arrays_are_described_without_a_device(
    cp: Any, shape: tuple[int, ...], dtype: str
) -> None:
    x = device_array(cp, shape, dtype, offset=64)
    same = np.empty(shape, dtype)
    adapter = adapter_of(x)
    assert type(adapter).__module__ == "optimkit.backends.adapters.cupy"
    adapter.check_parameter(x)
    assert adapter.describe(x) == (shape, dtype, "cuda:0")
    layout, expected = adapter.layout(x), adapter_of(same).layout(same)
    assert layout == expected._replace(device="cuda:0")
    assert adapter.addresses([x]) == [ADDRESS + 64]
    assert adapter.extent(x) == ((ADDRESS + 64, ADDRESS + 64 + same.nbytes) if x.size else (0, 0))
    view = adapter.view(x)
    assert view.shape == adapter_of(same).view(same).shape
    assert view.dtype == adapter_of(same).view(same).dtype
    wrapped = adapter.wrap(view, x)
    assert (wrapped.shape, wrapped.dtype, wrapped.data.ptr) == (x.shape, x.dtype, x.data.ptr)
    assert adapter.signature(x) == adapter.signature(device_array(cp, shape, dtype))


@pytest.mark.parametrize(
    ("strides", "dense", "extent"),
    [
        ((12, 4), True, (0, 24)),
        ((4, 8), True, (0, 24)),
        ((24, 8), False, (0, 44)),
        ((12, -4), False, (-8, 16)),
    ],
)
def test_cupy_layouts(cp: Any, strides: Any, dense: bool, extent: tuple[int, int]) -> None:
    x = device_array(cp, (2, 3), "float32", strides, offset=256)
    adapter = adapter_of(x)
    assert adapter.layout(x).dense is dense
    assert adapter.extent(x) == (ADDRESS + 256 + extent[0], ADDRESS + 256 + extent[1])
    assert adapter.signature(x) != adapter.signature(device_array(cp, (2, 3), "float32", (16, 4)))


@pytest.mark.parametrize(
    ("dtype", "strides", "error", "message"),
    [
        ("int32", None, TypeError, "int32"),
        ("bool", None, TypeError, "bool"),
        ("float32", (0, 4), ValueError, "overlap"),
    ],
)
def test_cupy_arrays_that_are_refused(
    cp: Any, dtype: str, strides: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=rf"SGD: parameter 0: .*{message}"):
        ok.SGD([device_array(cp, (2, 3), dtype, strides)])


def test_cupy_gradients_are_checked_before_anything_is_launched(cp: Any) -> None:
    x = device_array(cp, (2, 3), "float32")
    adapter = adapter_of(x)
    assert adapter.owns(x)
    assert not adapter.owns(np.ones(3))
    opt = ok.SGD([x])
    bad = {
        "ndarray": (np.ones((2, 3), np.float32), TypeError),
        r"\(3,\)": (device_array(cp, (3,), "float32"), ValueError),
        "float64": (device_array(cp, (2, 3), "float64"), TypeError),
    }
    for message, (grad, error) in bad.items():
        with pytest.raises(error, match=f"SGD: parameter 0: .*{message}"):
            opt.step(grads=[grad])


def test_cupy_parameters_that_share_memory_are_refused(cp: Any) -> None:
    x, y = device_array(cp, (4,), "float32"), device_array(cp, (4,), "float32", offset=8)
    with pytest.raises(ValueError, match="share memory"):
        ok.SGD([x, y])
    ok.SGD([x, device_array(cp, (4,), "float32", offset=16)])


def test_a_cupy_array_is_no_gradient_of_a_numpy_one(cp: Any) -> None:
    x = np.zeros(3)
    opt = ok.SGD([x], lr=1.0)
    for warm in range(2):
        with pytest.raises(TypeError, match=r"parameter 0.*cupy"):
            opt.step(grads=[device_array(cp, (3,), "float64")])
        assert x.tolist() == [0.0 - warm] * 3
        opt.step(grads=[np.ones(3)])


@pytest.mark.gpu
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_cupy_gives_numpys_bits(cp: Any, rule: str, dtype: str) -> None:
    try:
        present = cp.is_available()
    except Exception:  # CuPy 13.6 raises where there is no driver
        present = False
    if not present:
        pytest.skip("no CUDA device here")
    if dtype == "complex64" and rule == "Adam":
        pytest.skip("amsgrad takes the maximum of real numbers; 'complex' is Adam without it")
    rng = np.random.default_rng(0)
    plain = np.asarray(rng.standard_normal((3, 4)), dtype)
    x = cp.asarray(plain)
    ours, reference = RULES[rule]([x]), RULES[rule]([plain])
    for _ in range(3):
        grad = np.asarray(rng.standard_normal((3, 4)), dtype)
        ours.step(grads=[cp.asarray(grad)])
        reference.step(grads=[grad])
    assert_same_bits(cp.asnumpy(x), plain)
