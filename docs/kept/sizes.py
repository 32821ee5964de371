"""What each extra brings, and its size: measured on the environment that runs this.

``python docs/kept/sizes.py > docs/kept/sizes.md``, where all extras are installed.
"""

from __future__ import annotations

import datetime
import platform
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

EXTRAS = ("", "fused", "cuda13", "torch", "safetensors", "validation", "docs", "test", "ecosystem")


PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def found(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        print(f"{name} is not installed, and is left out", file=sys.stderr)
        return None


def asked_for(name: str, extras: frozenset[str]) -> list[str]:
    """Requirements of a distribution; of this one as the file says, whatever is installed."""
    if name == "optimkit":
        more = [x for extra in extras for x in PROJECT["optional-dependencies"][extra]]
        return [*PROJECT["dependencies"], *more]
    return found(name).requires or []


def needed(name: str, extras: frozenset[str]) -> set[str]:
    """Names of the distributions that one needs with these extras, itself among them."""
    from packaging.requirements import Requirement

    names: set[str] = set()
    waiting = [(normal(name), extras)]
    done = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in done or (name != "optimkit" and found(name) is None):
            continue
        done.add((name, extras))
        names.add(name)
        for text in asked_for(name, extras):
            asked = Requirement(text)
            environments = [{"extra": extra} for extra in extras or {""}]
            if asked.marker is None or any(asked.marker.evaluate(e) for e in environments):
                waiting.append((normal(asked.name), frozenset(asked.extras)))
    return names


@cache
def size(name: str) -> int:
    files = found(name).files or []
    return sum(path.stat().st_size for f in files if (path := f.locate()).is_file())


def main() -> None:
    base = needed("optimkit", frozenset())
    print(
        f"{datetime.date.today():%d %B %Y}, Python {platform.python_version()}, "
        f"{platform.system()} on {platform.machine()}; megabytes installed, "
        "those of the first line not counted again.\n"
    )
    print("| extra | brings | packages | MB |\n|---|---|---|---|")
    for extra in EXTRAS:
        names = needed("optimkit", frozenset({extra} if extra else ()))
        new = names - (base if extra else {"optimkit"})
        largest = sorted(new, key=size, reverse=True)[:4]
        total = sum(map(size, new)) / 1e6
        print(f"| `{extra or 'none'}` | {', '.join(largest)} | {len(new)} | {total:,.0f} |")


if __name__ == "__main__":
    main()
