"""Checkpoints in files, without pickle."""

from __future__ import annotations

import os
from typing import Any

from optimkit.file_format import read, written
from optimkit.replacing import replacing

Path = str | os.PathLike[str]


def save(obj: Any, path: Path) -> None:
    """Write a checkpoint into a file, without pickle.

    Parameters
    ----------
    obj : object or dict
        An optimizer, a scheduler, an :class:`~optimkit.swa_utils.AveragedModel`, or anything else
        with a ``state_dict()``; a state dict; or dicts, lists and tuples of these, of arrays, and
        of numbers, strings and None.
    path : str or path-like
        The file. As with :func:`open`, ``~`` is not expanded and a link is followed.

    Raises
    ------
    TypeError
        If there is something in it that cannot be saved; the error names the keys that lead there.
    ValueError
        If it is nested too deeply, holds itself, or has a string that is not Unicode.
    ImportError
        If safetensors is missing.
    OSError
        If the file cannot be written, such as on Windows while another program has it open.

    Notes
    -----
    Whatever happens, the file is the old one or the new one, whole: the new one is written beside
    it, flushed to the disk, and put in its place at once. A process that is killed may leave the
    unfinished one there, a hidden file whose name ends in ``.tmp`` or begins with ``.tmp``. Where
    two processes save at once, the last one's file stays.

    Numbers and arrays keep every bit. Arrays are copied from the device where they are; those of
    libraries other than NumPy and torch become NumPy's.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, optimkit as ok
    >>> weights = np.array([1.0, -2.0])
    >>> optimizer = ok.Adam([weights])
    >>> optimizer.step(grads=[np.array([0.5, 0.25])])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "checkpoint.safetensors")
    ...     ok.save({"optimizer": optimizer, "epoch": 3}, path)
    ...     saved = ok.load(path)
    >>> optimizer.load_state_dict(saved["optimizer"])
    >>> saved["epoch"]
    3
    """
    library = _safetensors()
    metadata, tensors = written(obj)
    with replacing(path) as new:
        try:
            library.numpy.save_file(tensors, new, metadata=metadata)
            with library.safe_open(new, framework="numpy"):  # too long a header cannot be read
                pass
        except library.SafetensorError as error:
            raise ValueError(f"{os.fsdecode(path)} cannot be saved: {error}") from None


def load(path: Path) -> Any:
    """Read a checkpoint that :func:`save` has written.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    object
        What was saved, with state dicts in place of optimizers and the like: give them to the
        ``load_state_dict`` of the same objects. torch's tensors come back on the CPU, without
        ``requires_grad``; as NumPy arrays where torch is not installed. All other arrays come back
        as NumPy's, in the machine's order of bytes.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no checkpoint, or is damaged; the error says in what.
    ImportError
        If safetensors is missing, or ml_dtypes where NumPy needs it for bfloat16.

    Notes
    -----
    Nothing in the file is executed, whoever wrote it. That it is sound is checked, not that it is
    unchanged: another number in an array is not noticed.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, optimkit as ok
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "numbers.safetensors")
    ...     ok.save({"betas": (0.9, 0.999), 0: np.arange(3)}, path)
    ...     ok.load(path)
    {'betas': (0.9, 0.999), 0: array([0, 1, 2])}
    """
    library = _safetensors()
    name = os.fsdecode(path)
    with open(name, "rb"):  # if it cannot be, the error is the one that everybody knows
        pass
    try:
        with library.safe_open(name, framework="numpy") as file:
            return read(file)
    except RecursionError:
        raise ValueError(f"{name} is damaged: it is nested too deeply") from None
    except (library.SafetensorError, ValueError) as error:
        raise ValueError(f"{name} is no checkpoint of optimkit, or damaged: {error}") from None


def _safetensors() -> Any:
    """Import safetensors, which not everybody needs."""
    try:
        import safetensors.numpy
    except ImportError:
        raise ImportError(
            "optimkit.save and optimkit.load need safetensors: pip install 'optimkit[safetensors]'"
        ) from None
    return safetensors
