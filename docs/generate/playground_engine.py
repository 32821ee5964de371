"""What runs in the page, run here: the same script, in V8."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from generate.playground_problems import Landscape, Point, noise

SCRIPT = Path(__file__).parent.parent / "_static" / "playground_rule.js"


@functools.cache
def _engine() -> Any:
    from py_mini_racer import MiniRacer

    engine = MiniRacer()
    engine.eval(SCRIPT.read_text(encoding="utf-8"))
    return engine


def call(function: str, *arguments: Any) -> Any:
    """Call a function of the script; numbers that are not finite come back as None."""
    given = ", ".join(json.dumps(argument) for argument in arguments)
    text = _engine().eval(f"JSON.stringify(optimkitRule.{function}({given}))")
    return json.loads(text, parse_int=float)


def parses(script: str) -> bool:
    """Whether a text is a script."""
    text = json.dumps(script)
    return bool(_engine().eval(f"try {{ new Function({text}); true }} catch (error) {{ false }}"))


def run(
    rule: dict[str, Any], options: dict[str, Any], landscape: Landscape, start: Point, steps: int
) -> tuple[list[list[float]], list[float]]:
    """Return the points that a recorded rule goes to, and the values there."""
    found = call("run", rule, options, landscape.recorded(), start, steps, noise())
    return found["points"], found["losses"]
