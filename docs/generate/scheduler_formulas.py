"""The formulas of schedulers' docstrings, which terminals show as they are, as TeX."""

from __future__ import annotations

import inspect
import re

SIGNS = {
    "·": r"\cdot ",
    "π": r"\pi ",
    "α": r"\alpha ",
    "←": r"\leftarrow ",
    "⌊": r"\lfloor ",
    "⌋": r"\rfloor ",
    "²": "^2",
}
FUNCTIONS = ("min", "max", "cos")


def formula(cls: type) -> str:
    """The first formula of a docstring, as it stands there; empty if there is none."""
    text = (inspect.getdoc(cls) or "").partition("\nParameters\n")[0]
    found = [part for part in re.findall(r"``([^`]+)``", text) if re.search(r" = | ← ", part)]
    return " ".join(found[0].split()) if found else ""


def tex(text: str) -> str:
    """A formula as TeX: words upright, exponents raised.

    Examples
    --------
    >>> tex("base_lr · gamma^⌊t / n⌋")
    '\\\\mathtt{base\\\\_lr} \\\\cdot  \\\\mathtt{gamma}^{\\\\lfloor t / n\\\\rfloor }'
    """
    out, rest = "", text
    while rest:
        word = re.match(r"[A-Za-z]\w*", rest)
        power = re.match(r"\^(⌊[^⌋]*⌋|\([^()]*\)|\w+)", rest)
        if power:
            out += "^{" + tex(power[1].removeprefix("(").removesuffix(")")) + "}"
            rest = rest[power.end() :]
        elif word:
            out += _word(word[0])
            rest = rest[word.end() :]
        else:
            out += SIGNS.get(rest[0], rest[0])
            rest = rest[1:]
    return out


def _word(word: str) -> str:
    if word in FUNCTIONS:
        return rf"\{word}"
    if len(word) == 1:
        return word
    if re.fullmatch(r"[A-Z]_\w+", word):  # T_max
        return f"{word[0]}_{{\\mathrm{{{word[2:]}}}}}"
    return r"\mathtt{" + word.replace("_", r"\_") + "}"
