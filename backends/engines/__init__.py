"""The engines that run a rule, and the choice between them."""

from __future__ import annotations

from optimkit.backends.engines.base import Divided
from optimkit.backends.engines.choice import (
    NAMES,
    available_engines,
    choose,
    chosen,
    forced_engine,
    host_engines,
    lack_of_parts,
    use_engine,
    works,
)

__all__ = [
    "NAMES",
    "Divided",
    "available_engines",
    "choose",
    "chosen",
    "forced_engine",
    "host_engines",
    "lack_of_parts",
    "use_engine",
    "works",
]
