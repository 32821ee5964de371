"""FSDP2's parameters, which are DTensors: each process steps on its part."""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

torch = pytest.importorskip("torch", reason="torch is not installed")

from networks import (  # noqa: E402
    ELEMENTWISE,
    batch,
    loss_of,
    network,
    numbers,
    same,
    sharded,
    train,
    trained_alone,
    whole,
)
from torch import nn  # noqa: E402

import optimkit as ok  # noqa: E402
from optimkit import clip_grad_value_  # noqa: E402

# Of torch's steps on DTensors, those that take no square root from MKL: which rounds it otherwise.
AS_TORCH = {"SGD": {"foreach": False}, "Adam": {"fused": True}, "AdamW": {"fused": True}}


def spread(x: Any, like: Any) -> Any:
    """A tensor spread over the processes as a parameter is."""
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(x, like.device_mesh, like.placements)


def replicated(x: Any) -> Any:
    from torch.distributed.tensor import Replicate, distribute_tensor, init_device_mesh

    return nn.Parameter(distribute_tensor(x, init_device_mesh("cpu", (2,)), [Replicate()]))


ALONE = """
import sys, torch, optimkit as ok
param = torch.nn.Parameter(torch.ones(3))
param.grad = torch.ones(3)
ok.AdamW([param]).step()
ok.clip_grad_norm_([param], 1.0)
print(*[name for name in sys.modules if name.startswith("optimkit.") and "dtensor" in name])
"""


def test_their_adapter_is_not_imported_without_them() -> None:
    command = [sys.executable, "-c", ALONE]
    run = subprocess.run(command, cwd=ROOT / "tests", capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


# ---------------------------------------------------------------- steps


def _as_alone(rank: int, name: str) -> None:
    for dtype in (torch.float32, torch.float64):

        def make(params: Any) -> Any:
            return getattr(ok, name)(params, lr=0.05, **ELEMENTWISE[name])

        model = sharded(network().to(dtype))
        optimizer = make(model.parameters())
        for number in numbers(rank):
            optimizer.zero_grad()
            x, y = batch(number)
            nn.functional.mse_loss(model(x.to(dtype)), y.to(dtype)).backward()
            optimizer.step()
        alone, expected = trained_alone(make, dtype=dtype)
        assert same(whole(model), whole(alone))
        for param, other in zip(model.parameters(), alone.parameters(), strict=True):
            state, known = optimizer.state[param], expected.state[other]
            assert state.keys() == known.keys()
            for key, value in known.items():
                if hasattr(value, "shape"):
                    assert torch.equal(state[key].full_tensor(), value)
                else:
                    assert state[key] == value


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_shards_have_the_bits_of_one_process(processes: Any, name: str) -> None:
    processes(_as_alone, name)


def _as_torch(rank: int, name: str) -> None:
    options = {"lr": 0.05} | ELEMENTWISE[name]
    ours, theirs = sharded(), sharded()
    a = train(ours, getattr(ok, name)(ours.parameters(), **options), numbers(rank))
    optimizer = getattr(torch.optim, name)(theirs.parameters(), **options, **AS_TORCH[name])
    assert a == train(theirs, optimizer, numbers(rank))
    assert same(whole(ours), whole(theirs))


@pytest.mark.parametrize("name", AS_TORCH)
def test_shards_have_the_bits_of_torchs_steps(processes: Any, name: str) -> None:
    processes(_as_torch, name)


def _muon(rank: int) -> None:
    grad = torch.randn(7, 6)
    found = []
    for lib in (ok, torch.optim):
        torch.manual_seed(1)
        weight = sharded(nn.Sequential(nn.Linear(6, 7, bias=False)))[0].weight
        optimizer = lib.Muon([weight], lr=0.1)
        for i in range(3):
            weight.grad = spread(grad * (i + 1), weight)
            optimizer.step()
        found.append(weight.full_tensor())
    assert torch.equal(*found)


def test_muon_multiplies_as_torch_over_all_processes(processes: Any) -> None:
    processes(_muon)


def _tensor_parallel(rank: int) -> None:
    from torch.distributed.tensor import DTensor, Partial, Shard, init_device_mesh
    from torch.distributed.tensor.parallel import (
        ColwiseParallel,
        RowwiseParallel,
        SequenceParallel,
        parallelize_module,
    )

    mesh = init_device_mesh("cpu", (2,))
    plan = {
        "0": ColwiseParallel(),
        "1": RowwiseParallel(output_layouts=Shard(0)),
        "2": SequenceParallel(sequence_dim=0),
    }
    found, norms = [], []
    for lib, options in ((ok, {}), (torch.optim, {"fused": True})):
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 4), nn.LayerNorm(4))
        model = parallelize_module(model, mesh, plan)
        optimizer = lib.AdamW(model.parameters(), lr=0.01, **options)
        for i in range(4):
            optimizer.zero_grad()
            x = torch.randn(8, 4, generator=torch.Generator().manual_seed(i))
            y = model(x)
            y = y.full_tensor() if isinstance(y, DTensor) else y
            y.square().sum().backward()
            optimizer.step()
            if lib is ok and i == 1:
                (kept,) = optimizer._stepper.buckets
        found.append(whole(model))
        if lib is ok:
            assert optimizer._stepper.buckets == [kept]  # nothing is planned anew
        pending = [p.grad for p in model.parameters() if isinstance(p.grad.placements[0], Partial)]
        assert len(pending) == 2  # what is left to be added up is
        grads = [p.grad.full_tensor().clone() for p in model.parameters()]
        if lib is ok:
            with pytest.raises(ValueError, match="gradient 4 is still to be added up"):
                clip_grad_value_(model.parameters(), 1.0)
            norms.append(ok.clip_grad_norm_(model.parameters(), 1.0))
        else:
            norms.append(nn.utils.clip_grad_norm_(model.parameters(), 1.0).full_tensor())
        factor = (1.0 / (norms[-1] + 1e-6)).item()
        for param, grad in zip(model.parameters(), grads, strict=True):
            # the parts are multiplied before they are added up: one rounding more
            torch.testing.assert_close(param.grad.full_tensor(), grad * factor)
    assert same(*found)
    torch.testing.assert_close(*norms)  # torch sums in float32


def test_tensor_parallel_layers_and_gradients_to_be_added_up(processes: Any) -> None:
    processes(_tensor_parallel)


def _meshes(rank: int, shape: tuple[int, int]) -> None:
    from torch.distributed.tensor import init_device_mesh

    mesh = init_device_mesh("cpu", shape, mesh_dim_names=("replicate", "shard"))
    found = []
    for lib, clip, options in (
        (ok, ok.clip_grad_norm_, {}),
        (torch.optim, nn.utils.clip_grad_norm_, {"fused": True}),
    ):
        model = sharded(mesh=mesh)
        optimizer = lib.AdamW(model.parameters(), lr=0.05, **options)
        for number in numbers(rank):
            optimizer.zero_grad()
            loss_of(model, number).backward()
            clip(model.parameters(), 1e6)  # which changes nothing
            optimizer.step()
        found.append(whole(model))
        if lib is ok:
            _norms_are_of_the_whole(model)
            if shape == (2, 1):  # every process has all of each
                ok.Adafactor(model.parameters()).step()
            else:
                with pytest.raises(RuntimeError, match="sharded DTensor"):
                    ok.Adafactor(model.parameters())
    assert same(*found)


@pytest.mark.parametrize("shape", [(1, 2), (2, 1)])
def test_two_axes_of_which_one_replicates(processes: Any, shape: tuple[int, int]) -> None:
    processes(_meshes, shape)


def _two_ways(rank: int, shape: tuple[int, int]) -> None:
    from torch.distributed.tensor import init_device_mesh
    from torch.distributed.tensor.parallel import (
        ColwiseParallel,
        RowwiseParallel,
        parallelize_module,
    )

    mesh = init_device_mesh("cpu", shape, mesh_dim_names=("data", "tensor"))
    found, norms = [], []
    for lib, options in ((ok, {}), (torch.optim, {"fused": True})):
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 4))
        plan = {"0": ColwiseParallel(), "1": RowwiseParallel()}
        parallelize_module(model, mesh["tensor"], plan)
        sharded(model, mesh=mesh["data"])
        optimizer = lib.AdamW(model.parameters(), lr=0.05, **options)
        for i in range(3):
            optimizer.zero_grad()
            x = torch.randn(8, 4, generator=torch.Generator().manual_seed(i))
            model(x).square().sum().backward()
            optimizer.step()
        found.append(whole(model))
        grads = [p.grad for p in model.parameters()]
        norms.append(ok.get_total_norm(grads))
        all_of_each = ok.get_total_norm([grad.full_tensor() for grad in grads])
        torch.testing.assert_close(norms[-1], all_of_each)
        saved = optimizer.state_dict()
        saved["state"] = {
            number: {k: v.full_tensor() if v.ndim else v for k, v in state.items()}
            for number, state in saved["state"].items()
        }
        again = ok.AdamW(model.parameters())
        again.load_state_dict(saved)
        for param, state in optimizer.state.items():
            loaded = again.state[param]["exp_avg"]
            assert loaded.placements == param.placements
            assert torch.equal(loaded.to_local(), state["exp_avg"].to_local())
    assert same(*found)
    assert torch.equal(*norms)


@pytest.mark.parametrize("shape", [(1, 2), (2, 1)])
def test_shards_of_tensor_parallel_layers(processes: Any, shape: tuple[int, int]) -> None:
    processes(_two_ways, shape)


def _together(rank: int) -> None:
    """DTensors and ordinary tensors, groups without decay, names, and one without gradient."""
    found = []
    for lib, options in ((ok, {}), (torch.optim, {"fused": True})):
        model, scale = sharded(), nn.Parameter(torch.ones(3, dtype=torch.float64))
        matrices = [(n, p) for n, p in model.named_parameters() if p.ndim == 2]
        vectors = [(n, p) for n, p in model.named_parameters() if p.ndim < 2]
        # torch takes no tensor in a group of DTensors
        last = [[*vectors, ("scale", scale)]] if lib is ok else [vectors, [("scale", scale)]]
        groups = [{"params": matrices, "weight_decay": 0.1}]
        groups += [{"params": params, "weight_decay": 0.0} for params in last]
        optimizer = lib.AdamW(groups, lr=0.05, **options)
        frozen = model[2].bias
        for i, number in enumerate(numbers(rank)):
            optimizer.zero_grad(set_to_none=lib is not ok or bool(i % 2))
            loss_of(model, number).backward()
            scale.grad = torch.full_like(scale, 0.5)
            frozen.grad = None
            optimizer.step()
        found.append([*whole(model), scale.detach()])
        saved = optimizer.state_dict()["param_groups"]
        names = [name for group in saved for name in group["param_names"]]
        assert names == ["0.weight", "2.weight", "0.bias", "2.bias", "scale"]
        assert not optimizer.state.get(frozen)
    assert same(*found)


def test_dtensors_and_tensors_in_one_optimizer(processes: Any) -> None:
    processes(_together)


def _changed_between(rank: int) -> None:
    """Values, memory and gradients that a user changes between steps."""
    model = sharded()
    optimizer = ok.AdamW(model.parameters(), lr=0.05, foreach=True)
    train(model, optimizer, numbers(rank, 2))
    other = network()
    expected = ok.AdamW(other.parameters(), lr=0.05)
    with torch.no_grad():
        for param, plain in zip(model.parameters(), other.parameters(), strict=True):
            plain.copy_(param.full_tensor())
            own = optimizer.state[param]
            expected.state[plain].update(
                {k: v.full_tensor() if hasattr(v, "shape") else v for k, v in own.items()}
            )
        for both in (model, other):
            both[0].weight.mul_(2.0)
        model[2].weight.data = model[2].weight.data.clone()
    for param, plain in zip(model.parameters(), other.parameters(), strict=True):
        plain.grad = param.grad.full_tensor().flip(0).contiguous()
        param.grad = spread(plain.grad, param)
    for opt in (optimizer, expected):
        opt.step()
    assert same(whole(model), whole(other))


def test_what_is_changed_between_steps_counts(processes: Any) -> None:
    processes(_changed_between)


def _exchanged(rank: int) -> None:
    """Accelerate puts the shards into the groups of an optimizer made before them."""
    model = network()
    optimizer = ok.AdamW(model.parameters(), lr=0.05)
    sharded(model)
    (group,) = optimizer.param_groups
    group["params"] = list(model.parameters())
    train(model, optimizer, numbers(rank))
    again = sharded()
    train(again, ok.AdamW(again.parameters(), lr=0.05), numbers(rank))
    assert same(whole(model), whole(again))


def test_parameters_exchanged_for_their_shards(processes: Any) -> None:
    processes(_exchanged)


LOCALS = {
    "rows": lambda x: x.clone(),
    "columns": lambda x: x.T.contiguous().T,
    "gaps": lambda x: torch.stack([x, x], -1)[..., 0],
    "nothing": lambda x: x[:0].clone(),
}


def _layouts(rank: int, dtype: str) -> None:
    """Parts in memory of all kinds, on every engine, with and without Numba."""
    from torch.distributed.tensor import DTensor, Replicate, Shard, init_device_mesh

    mesh = init_device_mesh("cpu", (2,))
    generator = torch.Generator().manual_seed(5)
    values = torch.randn(6, 3, generator=generator, dtype=getattr(torch, dtype))
    for engine in [name for name in ok.available_engines() if name != "cuda"]:
        params, plain = [], []
        for make in LOCALS.values():
            local = make(values + rank)
            params.append(nn.Parameter(DTensor.from_local(local, mesh, [Shard(0)])))
            plain.append(nn.Parameter(local.clone(memory_format=torch.preserve_format)))
        number = values[0, 0].clone()
        params.append(nn.Parameter(DTensor.from_local(number, mesh, [Replicate()])))
        plain.append(nn.Parameter(number.clone()))
        optimizers = [ok.AdamW(p, lr=0.1, amsgrad=True) for p in (params, plain)]
        with ok.use_engine(engine):
            for i in range(3):
                for param, other in zip(params, plain, strict=True):
                    other.grad = other.detach() * (i + 1)
                    like = param.device_mesh, param.placements
                    param.grad = DTensor.from_local(
                        other.grad.clone(), *like, shape=param.shape, stride=param.stride()
                    )
                for optimizer in optimizers:
                    optimizer.step()
        assert same([p.detach().to_local() for p in params], [p.detach() for p in plain]), engine


@pytest.mark.parametrize("dtype", ["float32", "complex64", "bfloat16"])
def test_parts_lie_in_memory_as_they_like(processes: Any, dtype: str) -> None:
    processes(_layouts, dtype)


def _late_gradient(rank: int) -> None:
    from torch.distributed.tensor import Shard

    weight, plain = replicated(torch.ones(4, 3)), nn.Parameter(torch.ones(4, 3))
    plain.grad = torch.arange(12.0).reshape(4, 3)
    weight.grad = spread(plain.grad, weight).redistribute(placements=[Shard(0)])
    weight.grad = weight.grad.redistribute(placements=weight.placements, async_op=True)
    assert hasattr(weight.grad._local_tensor, "trigger_wait")  # it is on its way
    for param in (weight, plain):
        ok.SGD([param], lr=0.5).step()
    assert torch.equal(weight.full_tensor(), plain)


def test_a_gradient_that_is_on_its_way_is_waited_for(processes: Any) -> None:
    processes(_late_gradient)


def _stale(rank: int) -> None:
    model = sharded(nn.Sequential(nn.Linear(3, 3)))
    weight = model[0].weight
    loss = (weight * weight).sum()
    for param in model.parameters():
        param.grad = torch.ones_like(param)
    ok.SGD(model.parameters(), lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.full_tensor().backward()


def test_stale_graphs_are_caught(processes: Any) -> None:
    processes(_stale)


def _half(rank: int) -> None:
    from torch.distributed.fsdp import MixedPrecisionPolicy

    model, plain = sharded(network().bfloat16()), network().bfloat16()
    optimizers = [ok.AdamW(m.parameters(), lr=0.01, master_dtype="float32") for m in (model, plain)]
    for i in range(3):
        torch.manual_seed(i)
        for param, other in zip(model.parameters(), plain.parameters(), strict=True):
            other.grad = torch.randn_like(other)
            param.grad = spread(other.grad, param)
        for optimizer in optimizers:
            optimizer.step()
    assert same(whole(model), whole(plain))
    master = optimizers[0].state[model[0].weight]["master"]
    assert (master.dtype, master.shape) == (torch.float32, (7, 5))
    assert torch.equal(master.full_tensor(), optimizers[1].state[plain[0].weight]["master"])

    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    found = []
    for lib, options in ((ok, {}), (torch.optim, {"fused": True})):
        model = sharded(mp_policy=policy)
        train(model, lib.AdamW(model.parameters(), lr=0.05, **options), numbers(rank))
        found.append(whole(model))
    assert same(*found)


def test_half_precision_with_masters_and_mixed_precision(processes: Any) -> None:
    processes(_half)


def _average(rank: int) -> None:
    model = sharded()
    optimizer = ok.AdamW(model.parameters(), lr=0.05)
    ema = ok.swa_utils.get_ema_multi_avg_fn(0.9)
    average = ok.swa_utils.AveragedModel(optimizer, multi_avg_fn=ema)
    plain = ok.swa_utils.AveragedModel(whole(model), multi_avg_fn=ema)
    for number in numbers(rank):
        train(model, optimizer, [number])
        average.update_parameters(optimizer)
        plain.update_parameters(whole(model))
    assert same([x.full_tensor() for x in average.parameters()], plain.parameters())


def test_averages_of_shards(processes: Any) -> None:
    processes(_average)


# ---------------------------------------------------------------- norms


def _norms_are_of_the_whole(model: Any) -> None:
    grads = [p.grad for p in model.parameters()]
    for order in (2, 1, 3, 0, math.inf, -math.inf):
        found = ok.get_total_norm(grads, order)
        expected = ok.get_total_norm([grad.full_tensor() for grad in grads], order)
        assert type(found) is torch.Tensor
        # the terms of each part are added up first: another order, in float64
        torch.testing.assert_close(found, expected, rtol=1e-14, atol=0.0)


def _norms(rank: int) -> None:
    model = sharded()
    loss_of(model, rank).backward()
    _norms_are_of_the_whole(model)
    alone = [nn.Parameter(p.full_tensor().detach()) for p in model.parameters()]
    for plain, param in zip(alone, model.parameters(), strict=True):
        plain.grad = param.grad.full_tensor()
    norm = ok.clip_grad_norm_(model.parameters(), 0.1)
    torch.testing.assert_close(norm, ok.clip_grad_norm_(alone, 0.1), rtol=1e-14, atol=0.0)
    clipped = [p.grad.full_tensor() for p in model.parameters()]
    for x, plain in zip(clipped, alone, strict=True):
        torch.testing.assert_close(x, plain.grad, rtol=1e-14, atol=0.0)  # as the norm is
    clip_grad_value_(model.parameters(), 0.01)
    for param, grad in zip(model.parameters(), clipped, strict=True):
        assert torch.equal(param.grad.full_tensor(), grad.clamp(-0.01, 0.01))
    # What is wrong in one process is wrong in both.
    if rank == 1:
        model[0].weight.grad.to_local()[0, 0] = math.nan
    before = model[0].bias.grad.full_tensor()
    for order in (2, math.inf):
        with pytest.raises(RuntimeError, match="is nan"):
            ok.clip_grad_norm_(model.parameters(), 0.1, order, error_if_nonfinite=True)
    assert torch.equal(model[0].bias.grad.full_tensor(), before)


def test_norms_are_of_all_processes(processes: Any) -> None:
    processes(_norms)


# ---------------------------------------------------------------- refusals


class Normalized(ok.Optimizer):
    """A user's rule that needs the norm of the whole gradient."""

    def __init__(self, params: Any, lr: float = 0.1, **options: Any) -> None:
        super().__init__(params, dict(lr=lr, **options))

    @staticmethod
    def init(xp: Any, param: Any, hyper: Any) -> dict[str, Any]:
        return {}

    @staticmethod
    def update(xp: Any, param: Any, grad: Any, state: Any, hyper: Any, step: int) -> Any:
        return param - hyper.lr * grad / xp.sqrt(xp.sum(grad * grad)), {}


def _refused(rank: int) -> None:
    model = sharded()
    loss_of(model, rank).backward()
    before = whole(model)
    for kind, options in (
        (ok.Adafactor, {}),
        (ok.Adafactor, {"fused": False}),
        (Normalized, {}),
        (Normalized, {"fused": False}),
    ):
        text = rf"{kind.__name__}: .*sharded DTensor.*elementwise rule, such as AdamW"
        with pytest.raises(RuntimeError, match=text):
            kind(model.parameters(), **options)
        plain = network()
        optimizer = kind(plain.parameters(), **options)  # whose parameters become shards later
        optimizer.param_groups[0]["params"] = list(model.parameters())
        with pytest.raises(RuntimeError, match=r"sharded DTensor.*elementwise rule, such as AdamW"):
            optimizer.step()
        assert not optimizer.state
    with ok.use_engine("eager"):
        with pytest.raises(RuntimeError, match="sharded DTensor"):
            Normalized(model.parameters())
        ok.AdamW(model.parameters())
    for kind in (ok.LBFGS, ok.NonlinearCG):
        with pytest.raises(RuntimeError, match="DTensors"):
            kind(model.parameters())
    optimizer = ok.AdamW(model.parameters())
    with pytest.raises(TypeError, match=r"0: its gradient is a torch\.Tensor; a .*DTensor"):
        optimizer.step(grads=[torch.ones(p.shape) for p in model.parameters()])
    assert same(whole(model), before)


def test_rules_that_need_the_whole_are_refused(processes: Any) -> None:
    processes(_refused)


def _replicates(rank: int) -> None:
    weight, plain = replicated(torch.ones(4, 3)), nn.Parameter(torch.ones(4, 3))
    optimizers = [ok.Adafactor([weight]), ok.Adafactor([plain])]
    for i in range(4):
        plain.grad = torch.arange(12.0).reshape(4, 3) + i
        weight.grad = spread(plain.grad, weight)
        for optimizer in optimizers:
            optimizer.step()
        optimizers[0].load_state_dict(optimizers[0].state_dict())
    assert torch.equal(weight.full_tensor(), plain)


def test_replicates_take_any_rule(processes: Any) -> None:
    processes(_replicates)


def _unfit(rank: int) -> None:
    from torch.distributed.tensor import DTensor, Partial, init_device_mesh

    mesh = init_device_mesh("cpu", (2,))
    pending = nn.Parameter(DTensor.from_local(torch.ones(3), mesh, [Partial()]))
    with pytest.raises(ValueError, match=r"parameter 0: its placements are .*Partial"):
        ok.AdamW([pending])
    with torch.device("meta"):
        model = network()
    sharded(model)
    with pytest.raises(TypeError, match="no memory of its own"):
        ok.AdamW(model.parameters())
    model.to_empty(device="cpu")
    for param in model.parameters():
        nn.init.constant_(param, 0.1)
    assert len(train(model, ok.AdamW(model.parameters()), numbers(rank))) == 4


def test_parameters_that_cannot_be_stepped_yet(processes: Any) -> None:
    processes(_unfit)


# ---------------------------------------------------------------- checkpoints


def _from_one_process(rank: int) -> None:
    """A checkpoint with all of each tensor, as a run in one process saves it."""
    model, alone = sharded(), network()
    first = ok.AdamW(alone.parameters(), lr=0.05)
    train(alone, first, range(3))
    optimizer = ok.AdamW(model.parameters())
    optimizer.load_state_dict(first.state_dict())
    for param, plain in zip(model.parameters(), alone.parameters(), strict=True):
        with torch.no_grad():
            param.copy_(spread(plain.detach(), param))
        param.grad = spread(plain.grad, param)
    for opt in (optimizer, first):
        opt.step()
    assert same(whole(model), whole(alone))
    back = ok.AdamW(network().parameters())
    back.load_state_dict(optimizer.state_dict())
    for param, own in zip(alone.parameters(), back.state.values(), strict=True):
        assert torch.equal(own["exp_avg"], first.state[param]["exp_avg"])
    broken = first.state_dict()
    broken["state"][0]["exp_avg"] = torch.zeros(4, 5, dtype=torch.float64)  # a part of it
    with pytest.raises(ValueError, match=r"exp_avg has shape \(4, 5\), not \(7, 5\)"):
        optimizer.load_state_dict(broken)


def test_a_checkpoint_of_one_process_is_spread_and_back(processes: Any) -> None:
    processes(_from_one_process)


def _files(rank: int) -> None:
    model = sharded()
    optimizer = ok.AdamW(model.parameters())
    train(model, optimizer, numbers(rank))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part"
        with pytest.raises(TypeError, match=r"\['exp_avg'\] cannot be saved.*full_tensor"):
            ok.save(optimizer, path)
        assert not path.exists()
        weight = replicated(torch.arange(3.0))
        ok.save({"weight": weight}, path)
        assert torch.equal(ok.load(path)["weight"], torch.arange(3.0))
        torch.save(optimizer.state_dict(), path)
        optimizer.load_state_dict(torch.load(path, weights_only=False))


def test_files_hold_no_parts(processes: Any) -> None:
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    processes(_files)


def _functions(rank: int) -> None:
    params = [param.detach() for param in sharded().parameters()]
    with pytest.raises(TypeError, match=r"DTensor.*to_local"):
        ok.functional.adamw().init(params)


def test_functions_refuse_parts(processes: Any) -> None:
    """A sum over a parameter would be one over the part that is here."""
    processes(_functions)
