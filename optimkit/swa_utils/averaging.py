"""What averages of arrays and of torch modules have in common: how they are updated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from optimkit.backends.bucket import Bucket
from optimkit.swa_utils.averages import COPY, DEFAULT, Average, Averager, detached


class Averaging:
    """Keeps averages up to date; a subclass says what is averaged."""

    n_averaged: Any

    def _begin(self, avg_fn: Any, multi_avg_fn: Any, use_buffers: bool) -> None:
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers
        self._averagers = Averager(), Averager()  # of parameters, and of buffers to be copied

    def update_parameters(self, model: Any) -> None:
        """Average the current parameters of a model in; the first time, copy them.

        Parameters
        ----------
        model : torch module, optimizer, iterable or mapping
            As for the constructor, with as many parameters in the same order, or the same names or
            paths.

        Raises
        ------
        ValueError, TypeError, KeyError
            If the parameters do not fit the averages. Nothing has changed then.
        """
        averages, current = self._columns(model)
        parameters, _ = self._averagers
        count = int(self.n_averaged)
        average = self.avg_fn or self.multi_avg_fn or DEFAULT
        jobs: list[Callable[[], None]] = []
        if count == 0:
            jobs = [parameters.ready(COPY, averages, current, 0)]
        elif isinstance(average, Average):
            jobs = [parameters.ready(average, averages, current, count)]
        else:
            parameters.ready(COPY, averages, current, 0)
            jobs = [lambda: self._call(average, parameters.buckets)]
        for job in jobs + self._beside(model):
            job()
        self.n_averaged += 1

    def _columns(self, model: Any) -> tuple[list[Any], list[Any]]:
        """The averages, and what of the model they are averages of."""
        raise NotImplementedError

    def _beside(self, model: Any) -> list[Callable[[], None]]:
        """What else an update does, made ready."""
        return []

    def _call(self, function: Callable[..., Any], buckets: list[Bucket]) -> None:
        """Update the averages by a function of the user's."""
        for bucket in buckets:
            averages, current = (list(map(detached, x)) for x in (bucket.arrays, bucket.grads))
            if self.multi_avg_fn is not None:
                function(averages, current, self.n_averaged)
            else:
                for average, now in zip(averages, current, strict=True):
                    average[...] = function(average, now, self.n_averaged)
            bucket.adapter.touched(bucket.arrays)
