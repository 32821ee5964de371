"""Data parallel training: DDP, optimizers that torch shards, flat parameters, GradScaler."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from networks import (  # noqa: E402
    ELEMENTWISE,
    loss_of,
    network,
    numbers,
    same,
    sharded,
    train,
    trained_alone,
    whole,
)

import optimkit as ok  # noqa: E402


def _ddp(rank: int, name: str) -> None:
    from torch.nn.parallel import DistributedDataParallel

    def make(params: Any) -> Any:
        return getattr(ok, name)(params, lr=0.05)

    alone, _ = trained_alone(make)
    for views in (False, True):
        model = DistributedDataParallel(network(), gradient_as_bucket_view=views)
        train(model, make(model.parameters()), numbers(rank))
        assert same(whole(model), whole(alone))


@pytest.mark.parametrize("name", ["AdamW", "Adafactor", "SGD"])
def test_ddp_has_the_bits_of_one_process(processes: Any, name: str) -> None:
    processes(_ddp, name)


def _accumulated(rank: int) -> None:
    """Gradients of two batches without communication for the first, as `no_sync` has it."""
    from torch.nn.parallel import DistributedDataParallel

    found = []
    for lib, options in ((ok, {}), (torch.optim, {"fused": True})):
        model = DistributedDataParallel(network())
        optimizer = lib.AdamW(model.parameters(), lr=0.05, **options)
        for i in range(3):
            optimizer.zero_grad()
            with model.no_sync():
                loss_of(model, numbers(rank, 6)[2 * i]).backward()
            loss_of(model, numbers(rank, 6)[2 * i + 1]).backward()
            optimizer.step()
        found.append(whole(model))
    assert same(*found)


def test_gradients_accumulated_under_ddp(processes: Any) -> None:
    processes(_accumulated)


def _zero(rank: int, name: str) -> None:
    from torch.distributed.optim import ZeroRedundancyOptimizer
    from torch.nn.parallel import DistributedDataParallel

    def make(params: Any) -> Any:
        return getattr(ok, name)(params, lr=0.05, **options)

    options = ELEMENTWISE[name]
    alone, _ = trained_alone(make, 6)
    for views in (False, True):
        model = DistributedDataParallel(network())
        optimizer = ZeroRedundancyOptimizer(
            model.parameters(),
            optimizer_class=getattr(ok, name),
            parameters_as_bucket_view=views,
            lr=0.05,
            **options,
        )
        assert isinstance(optimizer.optim, getattr(ok, name))
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1.0)
        for number in numbers(rank):
            train(model, optimizer, [number])
            scheduler.step()
        mine = sum(len(group["params"]) for group in optimizer.optim.param_groups)
        assert 0 < mine < 4  # the other process has the others
        optimizer.consolidate_state_dict(to=0)
        if rank == 0:
            saved = optimizer.state_dict()
            assert sorted(saved["state"]) == [0, 1, 2, 3]
            torch_optimizer = getattr(torch.optim, name)(network().parameters(), lr=0.05, **options)
            torch_optimizer.load_state_dict(saved)
            optimizer.load_state_dict(saved)
        train(model, optimizer, numbers(rank, 6)[4:])
        assert same(whole(model), whole(alone))


@pytest.mark.parametrize("name", ["AdamW", "SGD", "NAdam"])
def test_zero_redundancy_optimizer(processes: Any, name: str) -> None:
    processes(_zero, name)


def _scaled(rank: int, wrap: str) -> None:
    """An infinite gradient in one process skips the step in both."""
    from torch.amp import GradScaler
    from torch.nn.parallel import DistributedDataParallel

    found = []
    for lib, options in ((ok, {}), (torch.optim, {"fused": True})):
        model = sharded() if wrap == "fsdp" else DistributedDataParallel(network())
        optimizer = lib.AdamW(model.parameters(), lr=0.05, **options)
        scaler = GradScaler("cpu", init_scale=2.0**8, growth_interval=2)
        for i, number in enumerate(numbers(rank, 5)):
            optimizer.zero_grad()
            scaler.scale(loss_of(model, number)).backward()
            if (i, rank, wrap) == (2, 1, "fsdp"):
                next(model.parameters()).grad.to_local()[0] = math.inf
            elif (i, wrap) == (2, "ddp"):
                next(model.parameters()).grad[0] = math.inf
            scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
        assert {int(state["step"]) for state in optimizer.state.values()} == {4}
        found.append(([*whole(model)], scaler.get_scale()))
    assert same(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


@pytest.mark.parametrize("wrap", ["ddp", "fsdp"])
def test_grad_scaler_over_processes(processes: Any, wrap: str) -> None:
    processes(_scaled, wrap)


def _flat_parameters(rank: int) -> None:
    """FSDP from before DTensors, whose parameters are views of parts of one long tensor."""
    from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
    from torch.distributed.fsdp import FullyShardedDataParallel

    found = []
    for lib, options in ((ok, {}), (torch.optim, {"fused": True})):
        cpu = torch.device("cpu")
        model = FullyShardedDataParallel(network(), device_id=cpu, use_orig_params=True)
        optimizer = lib.AdamW(model.parameters(), lr=0.05, **options)
        train(model, optimizer, numbers(rank))
        weights, state = get_state_dict(model, optimizer)
        set_state_dict(model, optimizer, model_state_dict=weights, optim_state_dict=state)
        train(model, optimizer, numbers(rank))
        with FullyShardedDataParallel.summon_full_params(model):
            found.append(whole(model))
    assert same(*found)


def test_fsdp_of_flat_parameters(processes: Any) -> None:
    processes(_flat_parameters)


def _local_sgd(rank: int) -> None:
    from torch.distributed.algorithms.model_averaging.averagers import PeriodicModelAverager
    from torch.distributed.optim import PostLocalSGDOptimizer

    found = []
    for lib in (ok, torch.optim):
        model = network()
        averager = PeriodicModelAverager(period=2, warmup_steps=1)
        own = lib.SGD(model.parameters(), lr=0.05, momentum=0.9)
        optimizer = PostLocalSGDOptimizer(optim=own, averager=averager)
        train(model, optimizer, numbers(rank))
        optimizer.load_state_dict(optimizer.state_dict())
        train(model, optimizer, numbers(rank))
        found.append(whole(model))
    assert same(*found)


def test_local_sgd(processes: Any) -> None:
    processes(_local_sgd)
