"""Characters that a reader may lack, and what stands for them: ✓ is "ok" in ASCII, not "?"."""

from __future__ import annotations

import codecs
import unicodedata
from functools import cache

GREEK = (  # from α on, with the form that σ has at the end of a word
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho "
    "sigma sigma tau upsilon phi chi psi omega"
)
SPELLED = {
    "✓": "ok",
    "✗": "FAILED",
    "Δ": "diff",
    "Σ": "sum",
    "√": "sqrt",
    "·": "*",
    "×": "x",
    "÷": "/",
    "±": "+-",
    "−": "-",
    "–": "-",
    "—": "-",
    "…": "...",
    "→": "->",
    "←": "<-",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "≈": "~",
    "∞": "inf",
    "µ": "u",
    "°": " degrees",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    **dict(zip("▁▂▃▄▅▆▇█", "._-=+*%#", strict=True)),
    "•": "*",
    "⋅": "*",
    **{chr(0x3B1 + i): name for i, name in enumerate(GREEK.split())},
    **dict.fromkeys("─━", "-"),
    **dict.fromkeys("│┃", "|"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼┏┓┗┛┡┩╇╈╵╷╭╮╰╯", "+"),
}
HANDLER = "optimkit.spelled"


def spelled(text: str, encoding: str) -> str:
    """The text in characters that an encoding has."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(_character(c, encoding) for c in text)
    return text


@cache
def _character(character: str, encoding: str) -> str:
    for text in (character, SPELLED.get(character, ""), _simple(character)):
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            continue
        if text:
            return text
    return "?"


def _simple(character: str) -> str:
    """A letter without its accent, or what was raised or lowered: ² is ^2, ₁ is 1."""
    parts = unicodedata.normalize("NFKD", character)
    raised = "^" if unicodedata.decomposition(character).startswith("<super>") else ""
    return raised + "".join(SPELLED.get(c, c) for c in parts if not unicodedata.combining(c))


def _replace(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    lost = error.object[error.start : error.end]
    return "".join(_character(c, error.encoding) for c in lost), error.end


codecs.register_error(HANDLER, _replace)
