"""The whole CUDA engine, played on the host: tables, launches, alignment, dtypes, groups.

That every rule has eager NumPy's bits so is among the tests of every library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from conftest import assert_same_bits
from host_device import HostDriver, host_device, on_device, on_host

import optimkit as ok
from optimkit.backends import kernel_cache
from optimkit.backends.adapters.cupy import CuPyAdapter
from optimkit.backends.engines import choice
from optimkit.backends.engines.cuda import images
from optimkit.backends.engines.cuda.text import THREADS, kernel_of
from optimkit.backends.trace import trace

pytest.importorskip("cupy", reason="CuPy's arrays, on the host's memory, are what is stepped")

Array = np.ndarray[Any, Any]
Make = Callable[[Any], ok.Optimizer]
MARGIN = 64  # elements beside each array that nothing may write to
RULES: dict[str, Make] = {
    "SGD": lambda p: ok.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "Adam": lambda p: ok.Adam(p, lr=0.1, amsgrad=True, weight_decay=0.1),
    "RAdam": lambda p: ok.RAdam(p, lr=0.1),
    "Rprop": lambda p: ok.Rprop(p, lr=0.1),
}


@pytest.fixture
def device() -> Iterator[HostDriver]:
    with host_device() as driver:
        yield driver


def within(x: Array, offset: int = 0) -> Array:
    """A copy of an array inside a larger one, that many elements after a multiple of 16 bytes."""
    memory = np.zeros(x.size + 2 * MARGIN, x.dtype)
    place = (-memory.ctypes.data % 16) // x.itemsize + offset + 16
    inside = memory[place : place + x.size].reshape(x.shape)
    inside[...] = x
    memory[:place] = memory[place + x.size :] = 7
    return inside


def untouched(x: Array) -> bool:
    memory, start = x.base, (x.ctypes.data - x.base.ctypes.data) // x.itemsize
    return bool((memory[:start] == 7).all() and (memory[start + x.size :] == 7).all())


def compare(
    make: Make, starts: list[Array], rows: list[list[Any]], offsets: tuple[int, ...] = (0,)
) -> ok.Optimizer:
    """Step on the device, and eagerly on the host: the same bits, and nothing written beside."""
    ours = [within(x, offsets[i % len(offsets)]) for i, x in enumerate(starts)]
    reference = [x.copy() for x in starts]
    params = list(map(on_device, ours))
    opt, host = make(params), make(reference)
    for row in rows:
        shifted = [
            None if x is None else within(x, offsets[(i + 1) % len(offsets)])
            for i, x in enumerate(row)
        ]
        opt.step(grads=[None if x is None else on_device(x) for x in shifted])
        with ok.use_engine("eager"):
            host.step(grads=row)
        for grad in shifted:
            assert grad is None or untouched(grad)
    for i, (x, y) in enumerate(zip(ours, reference, strict=True)):
        assert_same_bits(x, y, f"parameter {i}")
        assert untouched(x)
        for name, value in host.state[y].items() if y in host.state else ():
            held = opt.state[params[i]][name]
            if hasattr(value, "shape"):
                assert_same_bits(on_host(held), value, f"{name} of parameter {i}")
            else:
                assert held == value
    return opt


def random(sizes: Any, dtype: Any, seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(size), dtype) for size in sizes]


def rows_like(starts: list[Array], steps: int) -> list[list[Any]]:
    return [random([x.shape for x in starts], starts[0].dtype, seed) for seed in range(steps)]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", ml_dtypes.bfloat16])
def test_ragged_sizes_at_every_alignment(device: HostDriver, rule: str, dtype: Any) -> None:
    starts = random([*range(18), 255, 1_023, 1_024, 1_025, 8_191, 9_000], dtype)
    for offsets in ((0,), (1,), (0, 1, 2, 3), (0, 4), (8,)):
        compare(RULES[rule], starts, rows_like(starts, 3), offsets)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", RULES)
def test_denormals_infinities_and_nans(device: HostDriver, rule: str, dtype: str) -> None:
    info = np.finfo(dtype)
    special = [0.0, -0.0, info.smallest_subnormal, -3 * info.smallest_subnormal, info.tiny]
    special += [np.inf, -np.inf, np.nan, info.max, 1.0, -1.0]
    x, g = (np.array(v.ravel(), dtype) for v in np.meshgrid(special, special))
    with np.errstate(all="ignore"):
        compare(RULES[rule], [x], [[g], [g[::-1].copy()], [g]])


@pytest.mark.parametrize(
    "flags",
    [
        ("-O2", "-mfma", "-ffp-contract=fast"),
        (
            "-O1",
            "-ffast-math",
            "-nostartfiles",
        ),  # without the start that sets flush-to-zero for all
    ],
)
def test_contraction_and_fast_math_are_noticed(flags: tuple[str, ...]) -> None:
    starts = random([5_000], "float32")
    with host_device(flags), pytest.raises(AssertionError):
        compare(RULES["Adam"], starts, rows_like(starts, 4))


def test_one_launch_steps_many_tensors(device: HostDriver) -> None:
    starts = random([3] * 500, "float32")
    compare(RULES["Adam"], starts, rows_like(starts, 3))
    assert len(device.launches) == 3
    assert {launch.threads for launch in device.launches} == {THREADS}


@pytest.mark.parametrize("version", [12_000, 13_000])
def test_more_tensors_than_a_launch_takes(version: int) -> None:
    starts = random([1, 5] * 1_000, "float32")
    with host_device(version=version) as device:
        compare(lambda p: ok.SGD(p, lr=0.5), starts, rows_like(starts, 2))
        kernel = kernel_of_sgd(4_096 if version < 12_010 else 32_764)
        assert len(device.launches) == 2 * -(-2_000 // kernel.capacity)


def kernel_of_sgd(limit: int) -> Any:
    traced = trace(ok.SGD.update, (), {}, ok.SGD.bind(lr=0.5), 1)
    dtypes = ("float32",) * len(traced.program.columns)
    return kernel_of(traced.program, dtypes, len(traced.slots), False, limit)


def test_large_tensors_are_cut_into_blocks(device: HostDriver) -> None:
    starts = random([5, 300_001], "float32")
    compare(RULES["SGD"], starts, rows_like(starts, 2))
    assert 30 < device.launches[0].blocks < 1_000


def test_groups_and_counts_of_their_own_share_a_launch(device: HostDriver) -> None:
    starts = random([40] * 30, "float32")

    def make(params: Any) -> ok.Optimizer:
        return ok.AdamW([{"params": [x], "lr": 0.01 * (i + 1)} for i, x in enumerate(params)])

    rows = rows_like(starts, 12)
    for k, row in enumerate(rows):
        row[k % 30] = None
    compare(make, starts, rows)
    assert len(device.launches) == 12


def test_nothing_is_launched_for_nothing(device: HostDriver) -> None:
    starts = [np.empty((0, 3), "float32"), np.empty(0, "float32")]
    compare(RULES["Adam"], starts, rows_like(starts, 3))
    assert device.launches == []


def test_gradients_in_the_memory_of_parameters_and_state(device: HostDriver) -> None:
    for where in ("param", "state"):
        x, y = np.ones(5, "float32"), np.ones(5, "float32")
        a, b = on_device(x), y
        ours, host = (ok.SGD([p], lr=0.1, momentum=0.5) for p in (a, b))
        for opt, param, grad in ((ours, a, on_device(np.ones(5, "f"))), (host, b, np.ones(5, "f"))):
            opt.step(grads=[grad])
            opt.step(grads=[param if where == "param" else opt.state[param]["momentum_buffer"]])
        assert_same_bits(x, y)


def test_each_device_and_its_stream(device: HostDriver) -> None:
    xs = random([5, 6, 7], "float32")
    params = [on_device(x, i % 2) for i, x in enumerate(xs)]
    opt = ok.SGD(params, lr=1.0)
    opt.step(grads=[on_device(np.ones_like(x), i % 2) for i, x in enumerate(xs)])
    assert [(launch.device, launch.stream) for launch in device.launches] == [
        (0, 1_000),
        (1, 1_001),
    ]
    with pytest.raises((RuntimeError, TypeError, ValueError), match=r"parameter 1.*cuda:1"):
        opt.step(grads=[on_device(np.ones_like(x), 0) for x in xs])
    assert len(device.launches) == 2


def test_mixed_dtypes(device: HostDriver) -> None:
    class Precise(ok.Optimizer):
        """Half precision, with moments in full."""

        @staticmethod
        def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
            return {"mean": xp.zeros_like(param, dtype="float32")}

        @staticmethod
        def update(
            xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int
        ) -> tuple[Any, dict[str, Any]]:
            mean = 0.9 * state["mean"] + 0.1 * grad
            return param - hyper.lr * mean, {"mean": mean}

    starts = random([3, 1_000, 17], "float16")
    opt = compare(lambda p: Precise(p, {"lr": 0.1, "fused": None}), starts, rows_like(starts, 4))
    held = opt.state[opt.param_groups[0]["params"][0]]["mean"]
    assert held.dtype == np.float32
    assert len(device.launches) == 4


def test_masters_in_full_precision(device: HostDriver) -> None:
    starts = random([3, 1_000, 17], "float16")
    opt = compare(
        lambda p: ok.AdamW(p, lr=0.1, master_dtype="float32"), starts, rows_like(starts, 4)
    )
    held = opt.state[opt.param_groups[0]["params"][0]]
    assert {held[name].dtype for name in ("master", "exp_avg")} == {np.dtype("float32")}
    assert len(device.launches) == 4


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_masters_begin_anew_where_something_else_changed(device: HostDriver, half: str) -> None:
    torch = pytest.importorskip("torch", reason="torch's bfloat16")
    pytest.importorskip("ml_dtypes", reason="bfloat16 on the host needs ml_dtypes")
    torch.manual_seed(0)
    dtype = getattr(torch, half)
    start, grads = torch.randn(1_037).to(dtype), torch.randn(5, 1_037).to(dtype)
    results = []
    for engine in ("cuda", "eager"):
        with ok.use_engine(engine):
            x = start.clone().requires_grad_()
            opt = ok.AdamW([x], lr=0.1, master_dtype="float32")
            for grad in grads:
                x.grad = grad.clone()
                opt.step()
                with torch.no_grad():
                    x[::5] *= 2
                    x[:4] = torch.tensor([torch.inf, torch.nan, -0.0, 0.0])
            results.append((x.detach().view(torch.int16), opt.state[x]["master"]))
    assert len(device.launches) == len(grads)
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1].view(torch.int32), results[1][1].view(torch.int32))


def test_bfloat16_tensors(device: HostDriver) -> None:
    torch = pytest.importorskip("torch", reason="torch's bfloat16")
    pytest.importorskip("ml_dtypes", reason="bfloat16 on the host needs ml_dtypes")
    torch.manual_seed(0)
    start, grads = torch.randn(1_037).bfloat16(), torch.randn(4, 1_037).bfloat16()
    for rule, make in RULES.items():
        results = []
        for engine in ("cuda", "eager"):
            with ok.use_engine(engine):
                x = start.clone().requires_grad_()
                opt = make([x])
                for grad in grads:
                    x.grad = grad.clone()
                    opt.step()
            arrays = [v for v in opt.state[x].values() if hasattr(v, "view")]
            results.append([x.detach(), *arrays])
        for x, y in zip(*results, strict=True):
            assert torch.equal(x.view(torch.int16), y.view(torch.int16)), rule
    assert device.launches


def test_a_kernel_that_is_damaged_on_disk_is_compiled_again(device: HostDriver) -> None:
    starts = random([5], "float32")
    compare(RULES["SGD"], starts, rows_like(starts, 1))
    directory = kernel_cache.cache_directory()
    assert directory is not None
    kept = list(directory.glob("*.cubin"))
    assert kept
    for path in kept:
        path.write_bytes(b"damage")
    images.loaded.cache_clear()
    compare(RULES["SGD"], starts, rows_like(starts, 1))
    mended = [path for path in kept if path.read_bytes() != b"damage"]
    assert mended
    for path in set(kept) - set(mended):
        path.unlink()


def test_without_a_driver_it_steps_eagerly_and_says_why_once() -> None:
    torch = pytest.importorskip("torch", reason="tensors, which are stepped eagerly")
    with host_device() as device, pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "found", lambda: (None, "NVRTC is not installed"))
        choice._warn.cache_clear()
        x = torch.ones(3)
        opt = ok.SGD([x], lr=0.5)
        with pytest.warns(RuntimeWarning, match=r"cuda:0.*NVRTC is not installed"):
            opt.step(grads=[torch.ones(3)])
        opt.step(grads=[torch.ones(3)])
        assert x.tolist() == [0.0] * 3
        assert device.launches == []
        with pytest.raises(RuntimeError, match=r"'cuda'.*NVRTC is not installed"):
            ok.use_engine("cuda").__enter__()


def test_averages_are_fused_too(device: HostDriver) -> None:
    starts = random([5, 1_000], "float32")
    ours, reference = [x.copy() for x in starts], [x.copy() for x in starts]
    params = list(map(on_device, ours))
    kinds = {"multi_avg_fn": ok.swa_utils.get_ema_multi_avg_fn(0.9)}
    device_average = ok.swa_utils.AveragedModel(params, **kinds)
    host_average = ok.swa_utils.AveragedModel(reference, **kinds)
    for seed in range(3):
        for x, y, new in zip(ours, reference, random([5, 1_000], "float32", seed), strict=True):
            x[...] = y[...] = new
        device_average.update_parameters(params)
        host_average.update_parameters(reference)
    averages = zip(device_average.parameters(), host_average.parameters(), strict=True)
    for x, y in averages:
        assert_same_bits(on_host(x), y)
    assert device.launches


def test_no_memory_for_new_state(device: HostDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    xs = random([5, 6], "float32")
    before = [x.copy() for x in xs]
    params, grads = list(map(on_device, xs)), [on_device(np.ones_like(x)) for x in xs]
    opt = ok.SGD(params, lr=0.1, momentum=0.9)

    def full(self: Any, x: Any) -> Any:
        raise MemoryError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(CuPyAdapter, "empty_like", full)
        with pytest.raises(MemoryError):
            opt.step(grads=grads)
    assert device.launches == []
    for x, y in zip(xs, before, strict=True):
        assert_same_bits(x, y)
    opt.step(grads=grads)
    assert len(opt.state) == 2
