"""A file that is the old one or the new one, whole, whatever happens while it is written."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[str]:
    """Name an empty file to write to, which takes the place of `path` when the block is done.

    It has the mode that ``open(path, "w")`` would give it, and is refused where that would be.
    If the block raises, it is removed and `path` is as it was.
    """
    target = os.path.realpath(os.fsdecode(path))  # through a link, as open() does
    folder, name = os.path.split(target)
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "There is no such folder to save in", folder)
    old_mode = _mode_of(target)
    new = os.path.join(folder, f".{name[:40]}.{os.urandom(8).hex()}.tmp")
    with open(new, "xb") as file:
        mode = old_mode or os.fstat(file.fileno()).st_mode
    try:
        yield new
        with open(new, "r+b") as file:
            if os.fstat(file.fileno()).st_mode != mode:  # there are file systems that know but one
                os.chmod(new, stat.S_IMODE(mode))
            os.fsync(file.fileno())
        os.replace(new, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.remove(new)
        raise
    _flush(folder)


def _mode_of(path: str) -> int | None:
    """Return the mode of a file that can be written to; None if there is none."""
    try:
        with open(path, "r+b", buffering=0) as file:
            mode = os.fstat(file.fileno()).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "It is not a regular file", path)
    return mode


def _flush(folder: str) -> None:
    """Have the names in a folder written to the disk; Windows does so by itself."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # there are file systems that cannot
            raise
    finally:
        os.close(handle)
