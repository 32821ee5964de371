r"""Letters of formulas, bound to what they stand for: options, state, the step.

What a letter is comes from the docstring, which names it in the description of its option
(``:math:`\gamma \ge 0```) and beside the name of its state, and else from the table of symbols.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optimkit as ok
from optimkit.validation.explain.formulas import inline
from optimkit.validation.explain.subjects import Docs, options_of, signature, state_of
from optimkit.validation.reference.cases import cases_of

TABLE = Path(__file__).parent.parent / "guides" / "symbols.md"
MATH = re.compile(r":math:`([^`]+)`")
TOKEN = re.compile(
    r"\\(?:text|mathrm|operatorname|begin|end)\{[^}]*\}|\\[A-Za-z]+\s*|\\.|[A-Za-z]|\s+|."
)
ATOM = re.compile(
    r"(?:\\(?:hat|bar)\s*)?(?:\\[A-Za-z]+|[A-Za-z])(?:[_^](?:\{[^}]*\}|\\[A-Za-z]+|.))*"
)
NO_LETTER = re.compile(
    r"\\(?:ge|le|min|max|cdot|sqrt|quad|qquad|text|left|right|in|infty|prod|big|Big|times|frac"
    r"|tfrac)"
)
FORMULA = re.compile(r"[=|(/]|\\leftarrow")  # no name of a thing


@dataclass(frozen=True)
class Letter:
    """A letter of a formula.

    Attributes
    ----------
    tex : str
    name : str
        What it is: an option, a name of the state, ``step``, or part of an option (``beta1``).
    option : str
        Where it is in the list of parameters, if it is there.
    """

    tex: str
    name: str
    option: str = ""

    @property
    def classes(self) -> str:
        """Those of its marks in the page."""
        option = f" of-{self.option}" if self.option else ""
        return f"sym sym-{re.sub(r'[^A-Za-z0-9_]', '-', self.name)}{option}"

    @property
    def text(self) -> str:
        """The letter as comments write it: β1."""
        plain = str.maketrans("₀₁₂₃₄₅₆₇₈₉⁺⁻", "0123456789+-")
        text = inline(self.tex).translate(plain)
        return text.replace("ₘᵢₙ", "_min").replace("ₘₐₓ", "_max")


@functools.cache
def table() -> dict[str, str]:
    """From the names in the table of symbols to their letters."""
    rows = re.findall(r"^\| `(\w+)` \| \$([^$]+)\$ \|", TABLE.read_text(encoding="utf-8"), re.M)
    return dict(rows)


@functools.cache
def letters(cls: type[ok.Optimizer]) -> tuple[Letter, ...]:
    """The letters that the formulas of an optimizer may hold."""
    found = {table()[name]: Letter(table()[name], name) for name in ("param", "grad")}
    named = {tex: name for name, tex in table().items()}
    for option, entry in _entries(cls).items():
        default = signature(cls)[option].default
        if isinstance(default, bool):
            continue
        count = len(default) if isinstance(default, tuple) else 1
        new = [tex for tex in dict.fromkeys(_atoms(entry, count)) if tex not in found]
        for i, tex in enumerate(new[:count]):
            part = named.get(tex, "")
            if part.rstrip("0123456789") != option.removesuffix("s"):  # as beta1 is of betas
                part = f"{option}.{i}"
            found[tex] = Letter(tex, option if count == 1 else part, option)
    notes = Docs.of(cls).sections.get("Notes", "")
    for name, tex in re.findall(r"``(\w+)``\s+:math:`([^`]+)`", notes):
        for atom in _letters_of(tex)[:1]:
            found.setdefault(atom, Letter(atom, name))
    known = {*options_of(cls), *_state_names(cls), "step"}
    taken = {name for letter in found.values() for name in (letter.name, letter.option)}
    for name, tex in table().items():
        if name in known and name not in taken:
            found.setdefault(tex, Letter(tex, name, name if name in options_of(cls) else ""))
    return tuple(sorted(found.values(), key=lambda letter: -len(letter.tex)))


def _state_names(cls: type[ok.Optimizer]) -> set[str]:
    sets: list[Any] = [{}, *(dict(case.options) for case in cases_of(cls.__name__))]
    return {name for options in sets for name in state_of(cls, options)}


def _entries(cls: type[ok.Optimizer]) -> dict[str, str]:
    """The description of each option, as it is written."""
    found = {}
    for entry in re.split(r"\n(?=\S)", Docs.of(cls).sections.get("Parameters", "")):
        head, _, description = entry.partition("\n")
        for name in head.partition(" : ")[0].split(", "):
            if name in options_of(cls):
                found[name] = description
    return found


def _atoms(description: str, count: int) -> Iterable[str]:
    """The letters of the first formula, and of the next ones while there are too few."""
    formulas, found = MATH.findall(description), []
    for tex in formulas if count > 1 else formulas[:1]:
        if len(found) < count and not FORMULA.search(tex):
            found += _letters_of(tex)
    return found


def _letters_of(tex: str) -> list[str]:
    """The letters of a formula, with their indices."""
    atoms = [a for a in ATOM.findall(tex) if not NO_LETTER.fullmatch(re.split("[_^]", a)[0])]
    return [atom for atom in atoms if not _is_index(atom)]


def _is_index(atom: str) -> bool:
    return atom in ("i", "k", "T")


def bind(tex: str, known: tuple[Letter, ...]) -> str:
    """Give each letter of a formula the classes of what it stands for."""
    tokens = TOKEN.findall(tex)
    out, i = "", 0
    while i < len(tokens):
        for letter in known:
            size = _matches(tokens, i, letter.tex)
            if size:
                base, rest = _base(tokens[i : i + size])
                out += rf"{{\htmlClass{{{letter.classes}}}{{{base}}}}}{rest}"
                i += size
                break
        else:
            out += tokens[i]
            i += 1
    return out


def _matches(tokens: list[str], start: int, tex: str) -> int:
    """How many tokens from `start` on are this letter; none if it goes on there."""
    wanted, i = [t.strip() for t in TOKEN.findall(tex) if t.strip()], start
    for want in wanted:
        while i > start and i < len(tokens) and tokens[i].isspace():
            i += 1
        if i >= len(tokens) or tokens[i].strip() != want:
            return 0
        i += 1
    return i - start


def _base(tokens: list[str]) -> tuple[str, str]:
    """A letter without its index, which stays outside so that a power stands above it."""
    text = "".join(tokens)
    cut = min((text.index(x) for x in "_^" if x in text), default=len(text))
    return text[:cut].rstrip(), text[cut:] or (" " if text.endswith(" ") else "")


def bound_docstring(cls: type[ok.Optimizer], lines: list[str]) -> list[str]:
    """The lines of a docstring with their letters bound, and references that are links."""
    known = letters(cls)
    text = MATH.sub(lambda m: f":math:`{bind(m[1], known)}`", "\n".join(lines))
    display = re.compile(r"(\.\. math::\n)((?:[ \t]+\S.*\n|[ \t]*\n(?=[ \t]+\S))+)")
    text = display.sub(lambda m: m[1] + bind(m[2], known), text)
    text = re.sub(r"^(\.\. \[\d+\] )(?=[A-Z]\.)", r"\1\\", text, flags=re.M)  # begins no list
    return linked(text).split("\n")


ARXIV = re.compile(r"\barXiv:(\d{4}\.\d{4,5})")
DOI = re.compile(r"\bdoi:(10\.\S+?)(?=[.,;]?(?:\s|$))")
URL = re.compile(r"https://\S+?(?=[.,;]?(?:\s|$))")


def linked(text: str) -> str:
    """Make links of the papers that a text names by their numbers."""
    text = ARXIV.sub(r"`arXiv:\1 <https://arxiv.org/abs/\1>`__", text)
    return DOI.sub(r"`doi:\1 <https://doi.org/\1>`__", text)


def address_of(reference: str) -> str:
    """Where a paper can be read; empty if the reference does not say."""
    for number, start in ((ARXIV, "https://arxiv.org/abs/"), (DOI, "https://doi.org/")):
        if found := number.search(reference):
            return start + found[1]
    found = URL.search(reference)
    return found[0] if found else ""
