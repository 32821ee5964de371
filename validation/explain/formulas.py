"""The formulas of docstrings, TeX, as lines of text for a terminal."""

from __future__ import annotations

import re
import textwrap
import unicodedata

_COMMANDS = """
alpha=α beta=β gamma=γ delta=δ epsilon=ε eta=η theta=θ kappa=κ lambda=λ mu=μ nu=ν psi=ψ rho=ρ
sigma=σ tau=τ omega=ω Delta=Δ Sigma=Σ nabla=∇ infty=∞ prod=∏ sum=∑ cdot=· times=× ge=≥ le=≤
leftarrow=← rightarrow=→ top=ᵀ max=max min=min lVert=‖ rVert=‖ |=‖
"""
_SYMBOLS = dict(pair.split("=") for pair in _COMMANDS.split())
_SPACES = {"quad": "\u2003", "qquad": "\u2003", ",": " ", ";": " ", ":": " ", "\\": "\n"}
_GIVEN = _SYMBOLS | _SPACES
_SIZES = ("left", "right", "big", "Big", "bigl", "bigr", "!")
_SPACELESS = (*_SIZES, "nabla", "lVert")  # no space between these and what follows
_WORDS = ("text", "mathrm", "operatorname")
_ACCENTS = {"hat": "\u0302", "bar": "\u0304"}
_ABOVE = str.maketrans(
    "0123456789+-=()abcdefghijklmnoprstuvwxyzTᵀ", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀᵀ"
)
_BELOW = str.maketrans("0123456789+-=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")
_NO_FACTOR = "+-=),;.]&·/≤≥<>←\n⎬\u2003"  # what may follow a fraction without multiplying it


def _outside_brackets(text: str) -> str:
    while (inner := re.sub(r"\([^()]*\)|√\([^()]*\)", "", text)) != text:
        text = inner
    return text


class _Tex:
    """The part of LaTeX that formulas in docstrings use; a command it does not know stays."""

    def __init__(self, text: str) -> None:
        self.tokens = re.findall(r"\\[A-Za-z]+|\\.|\s+|.", " ".join(text.split()))
        self.tokens.reverse()

    def run(self, *stops: str) -> str:
        """Render up to one of the tokens `stops`, which is left for the caller."""
        out, after_fraction = "", False
        while self.tokens and self.tokens[-1] not in stops:
            command = self.tokens[-1]
            piece = self.atom()
            if command in ("^", "_") or command == "\\rVert":
                out = out.rstrip(" ")
            elif after_fraction and piece.strip(" ") and piece[0] not in _NO_FACTOR:
                out = out.rstrip(" ") + " · "
            if command not in ("\\left", "\\right") and piece.strip(" "):
                after_fraction = command in ("\\frac", "\\tfrac")
            out += piece
        return re.sub(r"(?<=\()\s+", "", re.sub("  +", " ", out))

    def group(self) -> str:
        """Render an argument: a group in braces, or the next symbol."""
        while self.tokens[-1].isspace():
            self.tokens.pop()
        if self.tokens[-1] != "{":
            return self.atom()
        self.tokens.pop()
        inside = self.run("}")
        self.tokens.pop()
        return inside

    def atom(self) -> str:
        token = self.tokens.pop()
        name = token[1:]
        if token in ("^", "_"):
            return self._script(token)
        if token == "{":
            self.tokens.append(token)
            return self.group()
        if not token.startswith("\\"):
            return " " if token.isspace() else token
        if name == "frac":
            above, below = self.group(), self.group()
            sums = re.search(r" [-+/·] ", _outside_brackets(above))
            above = f"({above})" if sums else above
            return f"{above} / " + (f"({below})" if " " in _outside_brackets(below) else below)
        if name == "tfrac":
            return f"{self.group()}/{self.group()}"
        if name == "sqrt":
            inside = self.group()
            return f"√({inside})" if " " in inside else f"√{inside}"
        if name in _ACCENTS:
            inside = self.group()
            return inside[:1] + _ACCENTS[name] + inside[1:]
        if name in _WORDS:
            return self._text()
        if name == "begin":
            return self._cases()
        if name in _SPACELESS:
            while self.tokens[-1].isspace():
                self.tokens.pop()
        return "" if name in _SIZES else _GIVEN.get(name, token)

    def _script(self, kind: str) -> str:
        inside = self.group().strip(" ")
        small = re.sub(" ", "", inside).translate(_ABOVE if kind == "^" else _BELOW)
        if not set(small) & set(inside) - set("ᵀ"):
            return small
        return kind + (inside if re.fullmatch(r"\w+|.", inside) else f"({inside})")

    def _text(self) -> str:
        assert self.tokens.pop() == "{"
        inside = ""
        while self.tokens[-1] != "}":
            inside += self.tokens.pop()
        self.tokens.pop()
        return inside

    def _cases(self) -> str:
        environment, rows, cells = self.group(), [], [""]
        while True:
            cells[-1] = self.run("\\\\", "&", "\\end").strip(" ")
            stop = self.tokens.pop()
            if stop == "&":
                cells.append("")
                continue
            rows.append("\t".join(cells))
            cells = [""]
            if stop == "\\end":
                assert self.group() == environment
                return "⎨" + "\v".join(rows) + "⎬"


def inline(text: str) -> str:
    """Render a formula on one line.

    Examples
    --------
    >>> inline(r"\\frac{\\gamma}{1 - \\beta_1^t}\\, m_t")
    'γ / (1 - β₁ᵗ) · mₜ'
    """
    return unicodedata.normalize("NFC", _Tex(text).run()).replace("\n", " ").strip()


def _cells(text: str) -> int:
    return sum(not unicodedata.combining(letter) for letter in text)


def display(text: str, width: int = 80) -> list[str]:
    """Render equations on lines of a terminal, aligned at their first sign of equality."""
    rendered = unicodedata.normalize("NFC", _Tex(text).run())
    rows = re.sub(r",\s*\u2003\s*|\n", "\n", rendered).replace("\u2003", "   ").split("\n")
    pairs = []
    for row in filter(str.strip, rows):
        left, sign, right = row.replace("&", "").strip().partition("=")
        pairs.append((left.strip(), sign + right) if sign else ("", row.strip()))
    margin = max(_cells(left) for left, _ in pairs)
    lines = []
    for left, right in pairs:
        start = " " * (margin - _cells(left)) + left + " " * bool(margin)
        lines += _with_cases(start + right) if "⎨" in right else _folded(start, right, width)
    return lines


def _folded(start: str, right: str, width: int) -> list[str]:
    """Fold one equation before its outer ``+`` and ``-`` and after its outer commas."""
    depth, bound = 0, ""
    for i, letter in enumerate(right):
        depth += (letter in "([") - (letter in ")]")
        outer = (depth == 0 and right[i + 1 : i + 2] in "+- ") or (
            depth <= 1 and right[i - 1] == ","
        )
        bound += "\xa0" if letter == " " and not outer else letter
    indent = " " * (_cells(start) + 2)
    parts = textwrap.wrap(bound, max(width - len(indent), 20), break_long_words=False)
    lines = [start + parts[0], *(indent + part for part in parts[1:])]
    return [line.replace("\xa0", " ") for line in lines]


def _with_cases(line: str) -> list[str]:
    """Lay the cases of an equation out below one another."""
    before, inside, after = re.split("[⎨⎬]", line)
    rows = [row.split("\t") for row in inside.split("\v")]
    conditions = [c if c == "otherwise" else f"if {c}" for _, c in rows]
    values = max(_cells(value) for value, _ in rows)
    braces = ["⎧", *"⎨" * (len(rows) - 2), "⎩"]
    middle = (len(rows) - 1) // 2
    lines = []
    for i, ((value, _), condition, brace) in enumerate(zip(rows, conditions, braces, strict=True)):
        start = before if i == middle else " " * _cells(before)
        gap = " " * (values - _cells(value) + 3)
        end = "  " + after.lstrip() if i == middle and after.strip() else ""
        lines.append(f"{start}{brace} {value}{gap}{condition}{end}")
    return lines


def plain(text: str) -> str:
    """Turn a paragraph of reStructuredText into text for a terminal."""
    text = re.sub(r":math:`([^`]+)`", lambda m: inline(m[1]), text)
    text = re.sub(r":\w+:`~?([^`]+)`", r"\1", text)
    text = re.sub(r"``?([^`]+)``?", r"\1", text)
    text = re.sub(r"(?<!\w)\*([^*]+)\*", r"\1", text)
    return " ".join(re.sub(r"\[(\d+)\]_", r"[\1]", text).split())
