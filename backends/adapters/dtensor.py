"""torch's DTensors, which are spread over processes: each steps on the part that it has."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import torch
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor

from optimkit.backends.adapters.base import Addresses, Geometry, Layout, Watch, address_key
from optimkit.backends.adapters.torch import ADAPTER as TENSORS
from optimkit.backends.adapters.torch import TorchAdapter


def part(x: Any) -> Any:
    """What this process has of a DTensor, once all of it is here; any other tensor itself."""
    found = x._local_tensor if isinstance(x, DTensor) else x
    return found.trigger_wait() if hasattr(found, "trigger_wait") else found


def _parts(arrays: Sequence[Any]) -> list[Any]:
    return list(map(part, arrays))


def _spread_as(local: Any, like: Any) -> Any:
    """The DTensor that has this part here, and is spread as `like` is."""
    mesh, placements, shape = like.device_mesh, like.placements, like.shape
    return DTensor.from_local(
        local, mesh, placements, run_check=False, shape=shape, stride=like.stride()
    )


def _is_pending(way: Any) -> bool:
    """Whether what processes have is still to be added up."""
    return isinstance(way, Partial)


def _is_whole(x: Any) -> bool:
    """Whether each process has all of a DTensor."""
    sizes = x.device_mesh.shape
    return all(
        n == 1 or isinstance(way, Replicate) for n, way in zip(sizes, x.placements, strict=True)
    )


class _PartsWatch(Watch):
    def __init__(self, arrays: list[Any]) -> None:
        self._spread = [x._spec for x in arrays]
        self._watch = TENSORS.watch(_parts(arrays))
        self._places = address_key(TENSORS.places(_parts(arrays)))

    def addresses(self, arrays: list[Any]) -> Addresses | None:
        if [x._spec for x in arrays] != self._spread:
            return None
        return self._watch.addresses(_parts(arrays))


class DTensorAdapter(TorchAdapter):
    """A view is one of the part that this process has; `native`, the DTensor itself."""

    spreads = True

    def owns(self, x: Any) -> bool:
        return isinstance(x, DTensor)

    def check_parameter(self, x: Any) -> None:
        if not (x.is_leaf or x.retains_grad):
            raise ValueError("can't optimize a non-leaf Tensor; pass the leaf it is made from")
        if any(map(_is_pending, x.placements)):
            raise ValueError(f"its placements are {x.placements}: redistribute what is to be added")
        TENSORS.check_parameter(part(x).detach())

    def signature(self, x: Any) -> Hashable:
        return x._spec, TENSORS.signature(part(x))

    def signatures(self, arrays: Sequence[Any]) -> Any:
        return [x._spec for x in arrays], TENSORS.signatures(_parts(arrays))

    def watch(self, arrays: list[Any], exact: bool = False) -> Watch:
        return _PartsWatch(arrays)

    def layout(self, x: Any) -> Layout:
        return TENSORS.layout(part(x))

    def plain(self, arrays: Sequence[Any]) -> list[Layout] | None:
        if set(map(type, arrays)) != {DTensor}:
            return None
        return TENSORS.plain(_parts(arrays))

    def addresses(self, arrays: Sequence[Any]) -> list[int]:
        return TENSORS.addresses(_parts(arrays))

    def geometry(self, x: Any) -> Geometry:
        return TENSORS.geometry(part(x))

    def share_memory(self, x: Any, y: Any) -> bool:
        return TENSORS.share_memory(part(x), part(y))

    def is_whole(self, arrays: Sequence[Any]) -> bool:
        return all(map(_is_whole, arrays))

    def view(self, x: Any) -> Any:
        return TENSORS.view(part(x))

    def wrap(self, view: Any, like: Any = None) -> Any:
        if isinstance(view, DTensor):
            return view.redistribute(like.device_mesh, like.placements)
        x = TENSORS.wrap(view, part(like))
        if like is None:
            return x
        if x.shape == part(like).shape:
            return _spread_as(x, like)
        if _is_whole(like):
            everywhere = [Replicate()] * like.device_mesh.ndim
            return DTensor.from_local(x, like.device_mesh, everywhere, run_check=False)
        raise RuntimeError(
            f"shape {tuple(x.shape)} goes with no part of a parameter, of which each "
            "process has one (a sharded DTensor): optimize it by an elementwise rule, such as "
            "AdamW, or replicate it"
        )

    def write(self, x: Any, view: Any, value: Any) -> None:
        if isinstance(value, DTensor):
            value, view = part(self.wrap(value, x)), part(x).detach()
        TENSORS.write(x, view, value)

    def convert(self, value: Any, like: Any) -> Any:
        if isinstance(value, DTensor):
            self._check_mesh(value, like)
            value = value.redistribute(placements=like.placements).detach()
        else:  # all of it is here
            value = distribute_tensor(
                TENSORS.convert(value, part(like)),
                like.device_mesh,
                like.placements,
                src_data_rank=None,  # each process cuts its part out
            )
        return _spread_as(TENSORS.convert(part(value), part(like)), like)

    def spread_as(self, grad: Any, like: Any) -> Any:
        if not isinstance(grad, DTensor) or grad.placements == like.placements:
            return grad
        self._check_mesh(grad, like)
        return grad.redistribute(placements=like.placements).detach()

    def settled(self, x: Any) -> Any:
        if not any(map(_is_pending, x.placements)):
            return x
        ways = [Replicate() if _is_pending(way) else way for way in x.placements]
        return x.detach().redistribute(placements=ways)

    @staticmethod
    def _check_mesh(x: Any, like: Any) -> None:
        if x.device_mesh != like.device_mesh:
            raise ValueError(f"it is spread over {x.device_mesh}; {like.device_mesh} is needed")

    def check_gradient(self, grad: Any) -> None:
        TENSORS.check_gradient(part(grad))

    def from_all_processes(self, arrays: Sequence[Any], found: list[float]) -> list[list[float]]:
        everywhere = [[value] for value in found]
        alike: dict[Any, list[int]] = {}
        for i, x in enumerate(arrays):
            alike.setdefault((x.device_mesh, x.placements), []).append(i)
        for (mesh, placements), places in alike.items():
            ways = [x if isinstance(x, Replicate) else Shard(i) for i, x in enumerate(placements)]
            local = torch.tensor([found[i] for i in places], dtype=torch.float64)
            local = local.reshape(*[1] * mesh.ndim, -1).to(mesh.device_type)
            table = DTensor.from_local(local, mesh, ways, run_check=False).full_tensor()
            for i, column in zip(places, table.reshape(-1, len(places)).T.tolist(), strict=True):
                everywhere[i] = column
        return everywhere

    def touched(self, arrays: Sequence[Any]) -> None:
        TENSORS.touched([*arrays, *_parts(arrays)])

    def empty_like(self, x: Any) -> Any:
        return _spread_as(TENSORS.empty_like(part(x)), x)


ADAPTER = DTensorAdapter()
