"""Values that people give to options which are words or counts, where nothing can be fitted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import optimkit as ok
from optimkit.validation.comparison.fitting import SKIPPED, Options, allowed
from optimkit.validation.explain.subjects import Docs

COUNTS = (0, 1, 2, 3, 4, 5, 6, 10, 20, 50)
FEW_COUNTS, NUMBERS = (1, 10, 50), (0.0, 1e-9, 1e-5, 0.1, 0.5)


def choices(optimizer: type[ok.Optimizer], options: Options, numbers: bool) -> Iterator[Options]:
    """Every word that the docstring names for an option, None, and counts.

    With `numbers`, fewer counts and some numbers, of a rule that is too slow to fit its options.
    """
    described = Docs.of(optimizer).parameters()
    for name, value in vars(optimizer.bind(**options)).items():
        if name in (*SKIPPED, "sparse") or isinstance(value, bool | tuple):
            continue
        texts = [" ".join(about) for names, about in described.items() if name in names.split(", ")]
        found: list[Any] = re.findall(r'"(\w+)"', " ".join(texts))
        if "None" in " ".join(texts):
            found.append(None)
        if isinstance(value, int) or " or None" in " ".join(texts):
            found += FEW_COUNTS if numbers else COUNTS
        if isinstance(value, float) and numbers:
            found += NUMBERS
        for other in dict.fromkeys(found):
            if other != value and allowed(optimizer, options | {name: other}):
                yield {name: other}
