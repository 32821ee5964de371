"""Rules in several settings, as the tests of the adapters write them down."""

from __future__ import annotations

from typing import Any

import optimkit as ok

RULES: dict[str, Any] = {
    "SGD": lambda p: ok.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "Adam": lambda p: ok.Adam(p, lr=0.1, amsgrad=True, weight_decay=0.1),
    "AdamW": lambda p: ok.AdamW(p, lr=0.1, maximize=True),
    "complex": lambda p: ok.Adam(p, lr=0.1),
}
