"""What each recording holds, as a hash of its content: an edited or truncated one is refused."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from optimkit.replacing import replacing
from optimkit.validation.arguments import Refusal

FILE = "manifest.json"
MADE_BY = "optimkit validate --record"
UNREADABLE = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error)


def entry(path: Path) -> dict[str, Any]:
    """Return the SHA-256 of a recording's content, and where it is from.

    The content is the numbers with their names, dtypes and shapes, not the bytes of the file, which
    also depend on how it was compressed, and not its origin, so that two recordings of the same
    bits have one hash.
    """
    digest = hashlib.sha256()
    if path.suffix == ".json":
        content = json.loads(path.read_text(encoding="utf-8"))
        origin = content.pop("origin")
        digest.update(json.dumps(content, sort_keys=True).encode())
        return {"sha256": digest.hexdigest(), "origin": origin}
    origin = {}
    with path.open("rb") as opened, np.load(opened) as file:  # closed also if it is damaged
        for name in sorted(file.files):
            array = file[name]
            if name == "header":
                header = json.loads(bytes(array))
                origin = header.pop("origin")
                digest.update(json.dumps(header, sort_keys=True).encode())
            elif name == "origin":
                origin = json.loads(str(array))
            elif array.size:
                said = f"{name} {array.dtype.newbyteorder('<').str} {array.shape}"
                digest.update(said.encode())
                digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return {"sha256": digest.hexdigest(), "origin": origin}


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the entries of a folder, by the name of the file; none without a manifest."""
    path = folder / FILE
    if not path.exists():
        return {}
    try:
        entries: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Refusal(f"{path} is damaged; {MADE_BY} makes it anew") from error
    return entries


def update(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Enter these recordings; return of each whether it is ``same``, ``other`` or ``new``."""
    said = {}
    try:
        entries = read(folder)
    except Refusal:  # damaged: what is not recorded now will be missing, and refused
        entries = {}
    for name in names:
        now = entry(folder / name)
        before = entries.get(name)
        said[name] = (
            "new" if before is None else "same" if before["sha256"] == now["sha256"] else "other"
        )
        entries[name] = now
    text = json.dumps(dict(sorted(entries.items())), indent=1) + "\n"
    with replacing(folder / FILE) as new:
        Path(new).write_text(text, encoding="utf-8")
    return said


def check(folder: Path, names: Iterable[str]) -> None:
    """Raise Refusal for the first of these recordings that is not what was recorded."""
    entries = read(folder)
    for name in names:
        path = folder / name
        if not path.exists():
            continue
        again = f"{MADE_BY} {path.stem}" if path.suffix == ".npz" and path.stem[0].isupper() else ""
        anew = f"{again or MADE_BY} makes it anew"
        if name not in entries:
            raise Refusal(f"{name} is not in {folder / FILE}: nobody knows what it holds; {anew}")
        try:
            found = entry(path)
        except UNREADABLE as error:
            raise Refusal(f"{path} is damaged or truncated; {anew}") from error
        if found != entries[name]:
            raise Refusal(f"{path} is not what was recorded: it was edited; {anew}")
