"""Processes that form a torch.distributed group over the loopback interface."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

LIMIT = 120.0  # seconds that one task may take: a process that waits for the other waits for ever


def _serve(rank: int, size: int, meeting: str, tasks: Connection) -> None:
    """Do what comes through the pipe, until that is None.

    With torch's kernels that round as IEEE 754 has it, so that its fused ones give equal bits.
    """
    ieee = {"ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "1"}
    os.environ |= ieee | {"GLOO_SOCKET_IFNAME": "lo"}
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size)
    environment = dict(os.environ)
    while (task := tasks.recv()) is not None:
        function, args = task
        os.environ.clear()
        os.environ.update(environment)
        try:
            torch.manual_seed(0)
            tasks.send((True, function(rank, *args)))
        except BaseException:
            tasks.send((False, traceback.format_exc()))
    dist.destroy_process_group()


class Processes:
    """Runs functions in all processes at once; they are started when first needed.

    They meet at a file, so that no port has to be free when another test takes it.
    """

    def __init__(self, size: int = 2) -> None:
        self._size = size
        self._folder: Any = None
        self._pipes: list[Connection] = []
        self._running: list[Any] = []

    def _start(self) -> None:
        context = get_context("spawn")
        self._folder = tempfile.TemporaryDirectory()
        meeting = (Path(self._folder.name) / "meeting").as_uri()
        for rank in range(self._size):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_serve, args=(rank, self._size, meeting, theirs), daemon=True
            )
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._running.append(process)

    def __call__(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """Return what ``function(rank, *args)`` returns in each process."""
        if not self._running:
            self._start()
        for pipe in self._pipes:
            pipe.send((function, args))
        results: dict[int, tuple[bool, Any]] = {}
        while len(results) < self._size:
            missing = [pipe for rank, pipe in enumerate(self._pipes) if rank not in results]
            ready = wait(missing, LIMIT)
            for pipe in ready:
                rank = self._pipes.index(pipe)
                try:
                    results[rank] = pipe.recv()
                except EOFError:
                    results[rank] = False, "the process has ended"
            if not ready or any(not done for done, _ in results.values()):
                break
        failed = [f"rank {rank}: {text}" for rank, (done, text) in results.items() if not done]
        if failed or len(results) < self._size:  # the other may be waiting for it
            self.stop(at_once=True)
            raise AssertionError("\n".join(failed) or f"no result within {LIMIT} seconds")
        return [results[rank][1] for rank in range(self._size)]

    def stop(self, at_once: bool = False) -> None:
        for pipe, process in zip(self._pipes, self._running, strict=True):
            if at_once:
                process.kill()
            elif process.is_alive():
                pipe.send(None)
            process.join(20)
            if process.is_alive():
                process.kill()
            pipe.close()
        self._pipes, self._running = [], []
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
