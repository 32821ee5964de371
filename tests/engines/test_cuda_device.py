"""The CUDA engine on a GPU: one command, ``pytest -m gpu``, and a reason where there is none."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from conftest import assert_same_bits
from libraries import LIBRARIES, ON_DEVICE, Library

import optimkit as ok
from optimkit.clip import clip_grad_norm_, get_total_norm

pytestmark = pytest.mark.gpu

Make = Callable[[Any], ok.Optimizer]
RULES: dict[str, Make] = {
    "SGD": lambda p: ok.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1, fused=True),
    "Adam": lambda p: ok.Adam(p, lr=0.1, amsgrad=True, weight_decay=0.1, fused=True),
    "RAdam": lambda p: ok.RAdam(p, lr=0.1),
    "Rprop": lambda p: ok.Rprop(p, lr=0.1),
}


@pytest.fixture(params=ON_DEVICE)
def library(request: pytest.FixtureRequest) -> Library:
    found = LIBRARIES[request.param]
    found.require()
    return found


def compare(
    library: Library,
    make: Make,
    starts: list[np.ndarray[Any, Any]],
    rows: list[list[Any]],
) -> None:
    """Step on the device, and eagerly on the host: the same bits."""
    ours, reference = list(map(library.param, starts)), [x.copy() for x in starts]
    device, host = make(ours), make(reference)
    for row in rows:
        library.step(device, row)
        with ok.use_engine("eager"):
            for group in host.param_groups:
                group["fused"] = None
            host.step(grads=row)
    for i, (x, y) in enumerate(zip(ours, reference, strict=True)):
        assert_same_bits(library.to_numpy(x), y, f"parameter {i}")
        for name, value in host.state[y].items() if y in host.state else ():
            if hasattr(value, "shape"):
                assert_same_bits(library.to_numpy(device.state[x][name]), value, name)


def rows_like(starts: list[Any], steps: int, scale: float = 1.0) -> list[list[Any]]:
    rng = np.random.default_rng(1)
    return [
        [np.asarray(scale * rng.standard_normal(x.shape), x.dtype) for x in starts]
        for _ in range(steps)
    ]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_ragged_sizes(library: Library, rule: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    sizes = [*range(18), 255, 256, 257, 1_023, 1_025, 4_096, 70_001]
    starts = [np.asarray(rng.standard_normal(n), dtype) for n in sizes]
    compare(library, RULES[rule], starts, rows_like(starts, 12))


def test_more_tensors_than_a_launch_takes(library: Library) -> None:
    starts = [np.full(3, i, "float32") for i in range(2_000)]
    compare(library, RULES["Adam"], starts, rows_like(starts, 10))


def test_large_tensors(library: Library) -> None:
    rng = np.random.default_rng(0)
    starts = [rng.standard_normal(n).astype("float32") for n in (10_000_019, 5, 3_000_000)]
    compare(library, RULES["Adam"], starts, rows_like(starts, 3))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_denormals_infinities_and_nans(library: Library, dtype: str) -> None:
    tiny = float(np.finfo(dtype).smallest_subnormal)
    special = [0.0, -0.0, tiny, -tiny, 5 * tiny, float(np.finfo(dtype).tiny), np.inf, -np.inf]
    special += [np.nan, float(np.finfo(dtype).max), 1.0, -1.0]
    x, g = (np.array(v.ravel(), dtype) for v in np.meshgrid(special, special))
    with np.errstate(all="ignore"):
        for rule in RULES:
            compare(library, RULES[rule], [x], [[g], [g[::-1].copy()], [g]])


def test_groups_with_options_and_counts_of_their_own(library: Library) -> None:
    rng = np.random.default_rng(0)
    starts = [rng.standard_normal(40).astype("float32") for _ in range(30)]

    def make(params: Any) -> ok.Optimizer:
        groups = [{"params": [x], "lr": 0.01 * (i + 1)} for i, x in enumerate(params)]
        return ok.AdamW(groups)

    rows = rows_like(starts, 12)
    for k, row in enumerate(rows):
        row[k % 30] = None
    compare(library, make, starts, rows)


def test_checkpoints_move_between_host_and_device(library: Library) -> None:
    starts = [np.linspace(-1, 1, 50, dtype="float32"), np.ones((3, 4), "float32")]
    rows = rows_like(starts, 6)
    here = [x.copy() for x in starts]
    host = ok.AdamW(here, lr=0.1)
    for row in rows[:2]:
        host.step(grads=row)
    there = list(map(library.param, here))
    device = ok.AdamW(there, lr=0.1)
    device.load_state_dict(host.state_dict())
    for row in rows[2:4]:
        library.step(device, row)
    back = [library.to_numpy(x).copy() for x in there]
    again = ok.AdamW(back, lr=0.1)
    again.load_state_dict(device.state_dict())
    for row in rows[4:]:
        again.step(grads=row)
    for row in rows[2:]:
        host.step(grads=row)
    for x, y in zip(back, here, strict=True):
        assert_same_bits(x, y)


def test_cupys_current_stream_is_used() -> None:
    cp = _cupy()
    x, g = cp.ones(1 << 20, "float32"), cp.ones(1 << 20, "float32")
    opt = ok.SGD([x], lr=1.0)
    opt.step(grads=[g])
    cp.cuda.Device().synchronize()
    stream = cp.cuda.Stream(non_blocking=True)
    with stream:
        for _ in range(20):  # a queue that the step must wait for
            g *= 1.0
        g[...] = 5.0
        opt.step(grads=[g])
    stream.synchronize()
    assert x.get().tolist() == [-5.0] * (1 << 20)


def test_torchs_current_stream_is_used() -> None:
    torch = _torch()
    x = torch.ones(1 << 20, device="cuda", requires_grad=True)
    x.grad = torch.ones_like(x)
    opt = ok.SGD([x], lr=1.0)
    opt.step()
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(20):
            x.grad.mul_(1.0)
        x.grad.fill_(5.0)
        opt.step()
    stream.synchronize()
    assert torch.equal(x.detach().cpu(), torch.full((1 << 20,), -5.0))


@contextmanager
def no_waiting(torch: Any) -> Iterator[None]:
    """Whatever waits for the device is an error."""
    torch.cuda.synchronize()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls the mode a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_adafactor_does_not_wait() -> None:
    torch = _torch()
    params = [torch.ones(n, device="cuda", requires_grad=True) for n in (5, 1_000)]
    params.append(torch.ones(30, 40, device="cuda", requires_grad=True))
    for x in params:
        x.grad = torch.ones_like(x)
    opt = ok.Adafactor(params)
    opt.step()
    with no_waiting(torch):
        opt.step()


def test_averages(library: Library) -> None:
    rng = np.random.default_rng(0)
    values = [[rng.standard_normal(n).astype("float32") for n in (5, 70_001)] for _ in range(4)]
    found = []
    for convert in (library.param, np.array):
        options = {"multi_avg_fn": ok.swa_utils.get_ema_multi_avg_fn(0.9)}
        average = ok.swa_utils.AveragedModel(list(map(convert, values[0])), **options)
        for row in values[1:]:
            average.update_parameters(list(map(convert, row)))
        found.append(list(average.parameters()))
    for x, y in zip(*found, strict=True):
        assert_same_bits(library.to_numpy(x), y)


def test_a_steady_step_of_tensors_neither_waits_nor_allocates() -> None:
    torch = _torch()
    params = [torch.ones(n, device="cuda", requires_grad=True) for n in (5, 1_000, 70_000)]
    for x in params:
        x.grad = torch.ones_like(x)
    opt = ok.AdamW(params)
    for _ in range(12):
        opt.step()
    before = torch.cuda.memory_stats()["allocation.all.allocated"]
    with no_waiting(torch):
        for _ in range(3):
            opt.step()
    assert torch.cuda.memory_stats()["allocation.all.allocated"] == before
    assert all(
        value.is_cuda
        for state in opt.state.values()
        for value in state.values()
        if hasattr(value, "is_cuda")
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_captured_step_of_tensors(dtype: str) -> None:
    torch = _torch()
    start = np.linspace(-1, 1, 5_000).astype(dtype)
    x = torch.tensor(start, device="cuda", requires_grad=True)
    x.grad = torch.zeros_like(x)
    ours = ok.AdamW([x], lr=0.1, capturable=True)
    reference = start.copy()
    host = ok.AdamW([reference], lr=0.1)
    (row,) = zip(*rows_like([start], 14), strict=True)

    def advance(step: Callable[[], None], grads: Any) -> None:
        for grad in grads:
            x.grad.copy_(torch.tensor(grad))
            step()
            host.step(grads=[grad])

    advance(ours.step, row[:3])
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        ours.step()
    advance(graph.replay, row[3:9])
    for opt in (ours, host):
        opt.param_groups[0]["lr"] = 0.01
    ours.refresh()
    advance(graph.replay, row[9:12])
    assert ours.state_dict()["state"][0]["step"] == 12
    advance(ours.step, row[12:])
    assert_same_bits(x.detach().cpu().numpy(), reference)


def test_a_captured_step_of_arrays() -> None:
    cp = _cupy()
    start = np.linspace(-1, 1, 5_000, dtype="float32")
    x, grad = cp.asarray(start), cp.zeros(5_000, "float32")
    ours = ok.RMSprop([x], lr=0.1, capturable=True)
    reference = start.copy()
    host = ok.RMSprop([reference], lr=0.1)
    (row,) = zip(*rows_like([start], 9), strict=True)
    stream = cp.cuda.Stream(non_blocking=True)
    with stream:
        for new in row[:2]:
            grad.set(new)
            ours.step(grads=[grad])
        stream.begin_capture()
        ours.step(grads=[grad])
        graph = stream.end_capture()
        for new in row[2:]:
            grad.set(new)
            graph.launch(stream)
        stream.synchronize()
    for new in row:
        host.step(grads=[new])
    assert_same_bits(cp.asnumpy(x), reference)


def test_what_is_not_capturable_is_refused() -> None:
    torch = _torch()
    x = torch.ones(5, device="cuda", requires_grad=True)
    x.grad = torch.ones_like(x)
    opt = ok.AdamW([x], lr=0.1)
    opt.step()
    before = x.detach().clone()
    graph = torch.cuda.graph(torch.cuda.CUDAGraph())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that the graph is empty
        with pytest.raises(RuntimeError, match="capturable=True"), graph:
            opt.step()
    assert torch.equal(x.detach(), before)


@pytest.mark.parametrize("order", [1, 2, 3, np.inf])
def test_norms_and_clipping(library: Library, order: float) -> None:
    rng = np.random.default_rng(0)
    sizes = (1, 5, 1_000, 16_384, 70_001)
    plain = [rng.standard_normal(n).astype("float32") for n in sizes]
    grads = list(map(library.array, plain))
    expected = get_total_norm(plain, order)
    assert float(get_total_norm(grads, order)) == pytest.approx(
        expected, rel=1e-7
    )  # torch's float32
    if library.name == "cupy":
        clip_grad_norm_(grads, 1.0)
    else:
        params = list(map(library.param, plain))
        for param, grad in zip(params, grads, strict=True):
            param.grad = grad
        clip_grad_norm_(params, 1.0)
    clip_grad_norm_(plain, 1.0)
    for x, y in zip(grads, plain, strict=True):
        assert_same_bits(library.to_numpy(x), y)


def test_cpu_gradients_are_refused(library: Library) -> None:
    x = library.param(np.ones(3, "float32"))
    opt = ok.SGD([x])
    with pytest.raises((TypeError, RuntimeError), match="parameter 0"):
        opt.step(grads=[np.ones(3, "float32")])
    assert library.to_numpy(x).tolist() == [1.0] * 3


def test_two_devices() -> None:
    torch = _torch()
    if torch.cuda.device_count() < 2:
        pytest.skip("there is one CUDA device here")
    params = [torch.ones(9, device=f"cuda:{i}", requires_grad=True) for i in (0, 1)]
    opt = ok.AdamW(params, lr=0.1)
    for _ in range(10):
        for x in params:
            x.grad = torch.ones_like(x)
        opt.step()
    assert torch.equal(params[0].cpu(), params[1].cpu())


@pytest.mark.parametrize("rule", RULES)
def test_bfloat16_arrays(rule: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="NumPy's and CuPy's bfloat16")
    _cupy()
    rng = np.random.default_rng(0)
    starts = [np.asarray(rng.standard_normal(n), ml_dtypes.bfloat16) for n in (5, 1_037, 70_001)]
    compare(LIBRARIES["cupy"], RULES[rule], starts, rows_like(starts, 12))


@pytest.mark.parametrize("rule", RULES)
def test_bfloat16_tensors(rule: str) -> None:
    torch = _torch()
    pytest.importorskip("ml_dtypes", reason="bfloat16 on the host needs ml_dtypes")
    torch.manual_seed(0)
    start, grads = torch.randn(1_037).bfloat16(), torch.randn(12, 1_037).bfloat16()
    results = []
    for device in ("cpu", "cuda"):
        x = start.to(device, copy=True).requires_grad_()
        make = RULES[rule]
        opt = make([x])
        if device == "cpu":
            opt.param_groups[0]["fused"] = None
        for grad in grads:
            x.grad = grad.to(device)
            opt.step()
        results.append(
            [x.detach().cpu(), *(v.cpu() for v in opt.state[x].values() if hasattr(v, "cpu"))]
        )
    for x, y in zip(*results, strict=True):
        assert torch.equal(x.view(torch.int16), y.view(torch.int16))


def _cupy() -> Any:
    LIBRARIES["cupy"].require()
    import cupy

    return cupy


def _torch() -> Any:
    LIBRARIES["CUDA tensors"].require()
    import torch

    return torch
