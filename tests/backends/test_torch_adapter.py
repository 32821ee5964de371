"""torch tensors, and the traps in them."""

from __future__ import annotations

import copy
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from conftest import assert_same_bits
from rules import RULES

import optimkit as ok


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
