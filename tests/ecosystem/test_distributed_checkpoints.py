"""torch.distributed.checkpoint: sharded and full, from torch's optimizer and to it."""

from __future__ import annotations

import shutil
import tempfile
from copy import deepcopy
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from networks import network, numbers, same, sharded, train, whole  # noqa: E402
from torch import nn  # noqa: E402

import optimkit as ok  # noqa: E402

LIBS = {"optimkit": (ok, {}), "torch": (torch.optim, {"fused": True})}


def adamw(lib: str, model: nn.Module, **options: Any) -> Any:
    found, own = LIBS[lib]
    matrices = [(n, p) for n, p in model.named_parameters() if p.ndim == 2]
    vectors = [(n, p) for n, p in model.named_parameters() if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    return found.AdamW(groups, **({"lr": 0.05} | options | own))


def go_on(model: nn.Module, optimizer: Any, batches: list[int]) -> None:
    """Train after a checkpoint, whose `fused` may be that of the other library."""
    for group in optimizer.param_groups:
        group["fused"] = optimizer.defaults["fused"]
    train(model, optimizer, batches)


def _files(rank: int, old: str, new: str) -> None:
    import torch.distributed as dist
    from torch.distributed import checkpoint
    from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

    model, resumed = sharded(), sharded()
    first, second = adamw(old, model), adamw(new, resumed, lr=0.5)
    train(model, first, numbers(rank, 3))
    folder = [tempfile.mkdtemp() if rank == 0 else ""]
    dist.broadcast_object_list(folder)
    try:
        weights, state = get_state_dict(model, first)
        checkpoint.save({"model": weights, "optimizer": state}, checkpoint_id=folder[0])
        train(model, first, numbers(rank, 6)[3:])
        weights, state = get_state_dict(resumed, second)  # which begins the state with zeros
        checkpoint.load({"model": weights, "optimizer": state}, checkpoint_id=folder[0])
        set_state_dict(resumed, second, model_state_dict=weights, optim_state_dict=state)
    finally:
        dist.barrier()
        if rank == 0:
            shutil.rmtree(folder[0])
    assert [group["lr"] for group in second.param_groups] == [0.05, 0.05]
    go_on(resumed, second, numbers(rank, 6)[3:])
    assert same(whole(model), whole(resumed))


PAIRS = [("optimkit", "optimkit"), ("torch", "optimkit"), ("optimkit", "torch")]


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_a_sharded_checkpoint_in_files(processes: Any, old: str, new: str) -> None:
    processes(_files, old, new)


def _full(rank: int, old: str, new: str) -> None:
    """All of the state in one process, without files; from it into shards and into one process."""
    from torch.distributed.checkpoint.state_dict import (
        StateDictOptions,
        get_optimizer_state_dict,
        set_model_state_dict,
        set_optimizer_state_dict,
    )

    model, resumed, alone = sharded(), sharded(), network()
    first, second, third = adamw(old, model), adamw(new, resumed, lr=0.5), adamw(new, alone, lr=0.5)
    train(model, first, numbers(rank, 3))
    options = StateDictOptions(full_state_dict=True, cpu_offload=False)
    state = get_optimizer_state_dict(model, first, options=options)
    assert set(state["state"]) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert type(state["state"]["0.weight"]["exp_avg"]) is torch.Tensor
    weights = {name: p.full_tensor().detach() for name, p in model.named_parameters()}
    for net, optimizer in ((resumed, second), (alone, third)):
        set_model_state_dict(net, deepcopy(weights), options=options)
        set_optimizer_state_dict(net, optimizer, deepcopy(state), options=options)
    go_on(model, first, [6, 6])  # the same batch in both processes, and so alone
    go_on(resumed, second, [6, 6])
    go_on(alone, third, [6, 6])
    assert same(whole(model), whole(resumed))
    assert same(whole(model), whole(alone))


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_a_full_checkpoint(processes: Any, old: str, new: str) -> None:
    processes(_full, old, new)


def _flat(rank: int) -> None:
    """`flatten_optimizer_state_dict`, which makes one key of each entry."""
    from torch.distributed.checkpoint.state_dict import (
        StateDictOptions,
        get_optimizer_state_dict,
        set_optimizer_state_dict,
    )

    model, resumed = sharded(), sharded()
    first, second = adamw("optimkit", model), adamw("optimkit", resumed, lr=0.5)
    train(model, first, numbers(rank, 3))
    options = StateDictOptions(flatten_optimizer_state_dict=True)
    state = get_optimizer_state_dict(model, first, options=options)
    assert "state.0.weight.exp_avg" in state
    assert "param_groups.0.weight.lr" in state
    set_optimizer_state_dict(resumed, second, state, options=options)
    with torch.no_grad():
        for param, other in zip(resumed.parameters(), model.parameters(), strict=True):
            param.copy_(other)
    for net, optimizer in ((model, first), (resumed, second)):
        train(net, optimizer, numbers(rank, 5)[3:])
    assert same(whole(model), whole(resumed))


def test_a_flat_state(processes: Any) -> None:
    processes(_flat)


def _each_rule(rank: int) -> None:
    """The state is begun by a step of nothing, with a learning rate of zero."""
    from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

    rules = {"SGD": {"momentum": 0.9}, "Adam": {"amsgrad": True}, "Adamax": {}, "NAdam": {}}
    rules |= {name: {} for name in ("RAdam", "Adagrad", "Adadelta", "RMSprop", "ASGD", "Rprop")}
    for name, options in rules.items():
        model, resumed = sharded(), sharded()
        first = getattr(ok, name)(model.parameters(), lr=0.05, **options)
        second = getattr(ok, name)(resumed.parameters(), lr=0.5, **options)
        train(model, first, numbers(rank, 3))
        weights, state = get_state_dict(model, first)
        before = whole(resumed)
        get_state_dict(resumed, second)
        assert same(whole(resumed), before), name
        set_state_dict(resumed, second, model_state_dict=weights, optim_state_dict=state)
        for net, optimizer in ((model, first), (resumed, second)):
            train(net, optimizer, numbers(rank, 5)[3:])
        assert same(whole(model), whole(resumed)), name


def test_each_rule_resumes(processes: Any) -> None:
    processes(_each_rule)
