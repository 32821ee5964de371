"""Statistics of batch normalization, measured anew."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any


def update_bn(loader: Iterable[Any], model: Any, device: Any = None) -> None:
    """Measure the statistics of batch normalization of a torch module anew, over data.

    Averaged weights need other statistics than the weights that were trained: call this once,
    after training. Each statistic becomes the plain mean over the batches.

    Parameters
    ----------
    loader : iterable
        Batches: tensors, or lists or tuples whose first member is the input.
    model : torch module or AveragedModel of one
        Without batch normalization layers, nothing is done.
    device : optional
        Where to move each batch first.

    Notes
    -----
    Differs from torch: when the model or the loader raises, the statistics are what they were; the
    momentum of the layers and the mode of the model are restored then, too.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.BatchNorm1d(1)
    >>> update_bn([torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0], [4.0]])], model)
    >>> model.running_mean
    tensor([2.5000])
    """
    import torch

    batch_norm = torch.nn.modules.batchnorm._BatchNorm
    layers = [layer for layer in model.modules() if isinstance(layer, batch_norm)]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    kept = [[(buffer, buffer.clone()) for buffer in layer.buffers()] for layer in layers]
    was_training = model.training
    try:
        model.train()
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None
        with torch.no_grad():
            for batch in loader:
                x = batch[0] if isinstance(batch, list | tuple) else batch
                model(x if device is None else x.to(device))
    except BaseException:
        for buffer, before in chain.from_iterable(kept):
            buffer.copy_(before)
        raise
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        model.train(was_training)
