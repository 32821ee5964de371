"""The page of each optimizer, and the table of all: from docstrings, rules, traces and cases."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from html import escape
from typing import Any

import optimkit as ok
from generate import optimizer_elsewhere as elsewhere
from generate import optimizer_facts as facts
from generate import optimizer_rule, playground
from generate.optimizer_symbols import address_of, bound_docstring
from generate.playground_figures import thumbnail
from generate.playground_problems import LANDSCAPES
from optimkit.validation.explain.explain import rule_functions
from optimkit.validation.explain.listing import describe
from optimkit.validation.explain.subjects import Docs, optimizers, why_eager

SCRIPTS = ("playground_rule.js", "playground.js", "optimizer.js")
STYLES = ("playground.css", "optimizer.css")
SHOWN = "beale"  # in the table


def optimizer_pages() -> Iterator[tuple[str, str]]:
    """The pages of optimizers, and the one that lists them."""
    kinds = optimizers()
    yield "index", index(kinds)
    for name, cls in kinds.items():
        yield name, page(name, cls)


def page(name: str, cls: type[ok.Optimizer]) -> str:
    """The page of one optimizer."""
    parts = [
        _title(name, "="),
        f".. currentmodule:: {_home(cls)}",
        f".. autoclass:: {name}",
        _title("Try it", "-"),
        *_try_it(cls),
        _title("The rule, line by line", "-"),
        *_rule(cls),
        _title("What options change", "-"),
        *_options(cls),
        _title("State and memory", "-"),
        *_state(cls),
        _title("Equality with PyTorch", "-"),
        *_equality(cls),
        _title("Elsewhere under this name", "-"),
        *_elsewhere(cls),
        _title("Kernels", "-"),
        *_kernels(cls),
    ]
    return "\n\n".join(parts) + "\n"


def _home(cls: type[ok.Optimizer]) -> str:
    """Where it is imported from."""
    return "optimkit" if getattr(ok, cls.__name__, None) is cls else cls.__module__


def _title(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}"


def _raw(html: str) -> str:
    return ".. raw:: html\n\n" + textwrap.indent(html, "   ", lambda line: True)


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]], widths: str = "") -> str:
    lines = [".. list-table::", "   :header-rows: 1"]
    lines += [f"   :widths: {widths}"] if widths else []
    lines.append("")
    for row in (header, *rows):
        for i, cell in enumerate(row):
            lines.append(f"   {'* -' if i == 0 else '  -'} {cell}")
    return "\n".join(lines)


# ---------------------------------------------------------------- the sections


def _try_it(cls: type[ok.Optimizer]) -> Iterator[str]:
    found = playground.play(cls)
    if found.rule:
        yield (
            "The full line is this optimizer, the broken one plain SGD with the learning rate that "
            "suits it; below, how far each is above the least value, step by step. At first each "
            f"landscape has the learning rate, of {len(playground.RATES)}, with the least mean "
            "value on the way. The sliders drive the rule itself, which runs in this page in "
            "float64 with the arithmetic of the library; drag the start, or move it with the "
            "arrow keys."
        )
    else:
        yield (
            "The full line is this optimizer, the broken one plain SGD with the learning rate that "
            "suits it; below, how far each is above the least value, step by step. "
            f"The rule cannot be recorded ({found.reason}), so these walks of "
            f"{playground.SEARCH_STEPS} steps were computed when the page was built, for each "
            "learning rate and each set of options."
        )
    yield _raw(playground.html(cls))


def _rule(cls: type[ok.Optimizer]) -> Iterator[str]:
    function = rule_functions(cls)[0]
    owner = function.__qualname__.partition(".")[0]
    own = "" if owner == cls.__name__ else f" It is the rule of :class:`{owner}`."
    yield (
        "At the left the formula as the source has it in its comments, at the right what it is in "
        "the program. Greyed is what does not run with the defaults. Point at a letter, or tap it, "
        f"to see where else it is.{own}"
    )
    yield _raw(optimizer_rule.html(cls, optimizer_rule.not_run(cls, {})) + _source_link(cls))


def _source_link(cls: type[ok.Optimizer]) -> str:
    module = rule_functions(cls)[0].__module__
    page = f"../_modules/{module.replace('.', '/')}.html"
    return f'<p><a class="reference internal" href="{page}">The whole file</a></p>'


def _options(cls: type[ok.Optimizer]) -> Iterator[str]:
    (_, defaults), *others = facts.option_sets(cls)
    if others:
        yield (
            "Each option that decides what is computed, from the table of cases that the rule is "
            "validated with: what runs then, and what the state holds in addition. This was found "
            "by running the rule and watching its instructions."
        )
    same = [options for options in defaults if options]
    usual = {name for name, *_ in facts.state_rows(cls, {})}
    for left_out, way in others:
        told = facts.telling(cls, way)
        state = [name for name, *_ in facts.state_rows(cls, told) if name not in usual]
        adds = f" <span>state: + {', '.join(state)}</span>" if state else ""
        rule = optimizer_rule.html(cls, left_out)
        yield _raw(
            f'<details class="option-set"><summary><code>{escape(playground.called(told))}</code>'
            f"{adds}</summary>{rule}</details>"
        )
    if same:
        names = sorted({f"``{name}``" for options in same for name in options})
        yield f"The rule runs as with the defaults, with other numbers, for {', '.join(names)}."


def _state(cls: type[ok.Optimizer]) -> Iterator[str]:
    rows = list(facts.state_rows(cls, {}))
    names = {name for name, *_ in rows}
    for _, way in facts.option_sets(cls)[1:]:
        told = facts.telling(cls, way)
        for name, *rest in facts.state_rows(cls, told):
            if name not in names:
                names.add(name)
                rows.append((f"{name}, with {playground.called(told)}", *rest))
    single, double = (facts.bytes_an_element(cls, {}, d) for d in ("float32", "float64"))
    yield (
        f"With the defaults {single} bytes go with each element of a float32 parameter, {double} "
        "with one of float64, besides the parameter and its gradient."
    )
    if rows:
        header = ("name", "what it is", "bytes an element, float32", "float64")
        cells = [(f"``{name}``".replace(", with ", "``, with ``"), *r) for name, *r in rows]
        yield _table(header, cells, "34 30 18 18")
    else:
        yield "There is no state with the defaults."


def _equality(cls: type[ok.Optimizer]) -> Iterator[str]:
    yield "\n\n".join(facts.parity(cls))
    if rows := list(facts.cases_table(cls)):
        cells = [(what, f"``{options}``", dtypes, held) for what, options, dtypes, held in rows]
        table = _table(("what it exercises", "options", "dtypes", "held to"), cells, "25 40 15 20")
        yield f".. dropdown:: The {len(rows)} configurations\n\n" + textwrap.indent(table, "   ")
    links = [
        f"* `{title} <../evidence/differences.html#{anchor}>`__"
        for title, anchor in facts.differences(cls)
    ]
    if links:
        yield "Where it differs from PyTorch on purpose, and what an ordinary loop gives:"
        yield "\n".join(links)


def _elsewhere(cls: type[ok.Optimizer]) -> Iterator[str]:
    same, others = elsewhere.same(cls), list(elsewhere.others(cls))
    yield (
        "What yours computes under this name: :doc:`compare <../guides/compare>` holds it against "
        "this rule, and names :doc:`the slip <../coming_from/handwritten>` that makes it another."
    )
    if not same and not others:
        yield "No other library's was held against this rule."
        return
    yield (
        "What other libraries' implementations compute was found by running them beside this rule "
        "with ``optimkit compare``, and looked up in their source: :doc:`Which Adam is it? "
        "<../evidence/which_adam>` says how, when and on what."
    )
    if same:
        yield "But for rounding this rule:"
        yield "\n".join(f"* {of}: {', '.join(map(_literal, names))}" for of, names in same.items())
    if others:
        yield (
            "Another one, and how far the parameters are from this rule's after 100 steps with "
            "normal gradients of size 1, 10⁻³ and 10⁻⁵ and a constant learning rate, relative to "
            "the way that it has gone, by the norm of 30 numbers or of a matrix of 6 × 5. A dash: "
            "no farther than by rounding."
        )
        header = ("implementation", "what it computes", "at 1", "at 10⁻³", "at 10⁻⁵")
        rows = [(f"``{name}``, {of}", _code(what), *off) for name, of, what, off in others]
        yield ".. rst-class:: elsewhere\n\n" + _table(header, rows, "36 28 12 12 12")
    for name, meaning, changes in elsewhere.changes(cls):
        yield f"**{name}**: {meaning}."
        lines = [f"- {x.before}\n+ {x.after}" for x in changes]
        yield ".. code-block:: diff\n\n" + textwrap.indent("\n".join(lines), "   ")
    if own := elsewhere.defaults(cls):
        yield "With defaults of their own:"
        yield "\n".join(f"* ``{name}``: ``{options}``" for name, options in own)


def _literal(text: str) -> str:
    return f"``{text}``"


def _code(markdown: str) -> str:
    """Code as reStructuredText marks it."""
    return re.sub(r"`([^`]+)`", r"``\1``", markdown)


def _kernels(cls: type[ok.Optimizer]) -> Iterator[str]:
    reason = why_eager(cls, {})
    if reason is not None:
        yield f"None: the rule is not elementwise ({reason}), and runs as it is written."
        return
    steps = facts.kernel_forms(cls)
    if len(steps) > 1:
        listed = ", ".join(map(str, steps))
        yield (
            f"With the defaults the rule takes {len(steps)} forms, each with a kernel of its own, "
            f"from steps {listed} on."
        )
    yield (
        "What tracing the rule with its defaults makes, as it goes to the compiler; other options "
        f"give other kernels: ``optimkit explain {cls.__name__} --kernel numba --option …``."
    )
    for engine, dtype, step, text in facts.kernel_texts(cls):
        language = "cpp" if engine == "cuda" else "python"
        since = f", from step {step}" if len(steps) > 1 else ""
        code = f".. code-block:: {language}\n\n" + textwrap.indent(text.rstrip(), "   ")
        yield f".. dropdown:: {engine}, {dtype}{since}\n\n" + textwrap.indent(code, "   ")


# ---------------------------------------------------------------- the table of all


def index(kinds: dict[str, type[ok.Optimizer]]) -> str:
    """The page that helps to choose."""
    land = next(land for land in LANDSCAPES if land.name == SHOWN)
    rows = []
    for name, cls in kinds.items():
        points = playground.play(cls).best[land.name].points
        picture = _raw(thumbnail(land, points, name))
        cell = textwrap.indent(f":doc:`{name} <{name}>`\n\n{picture}", " " * 7).lstrip()
        summary = _escaped(Docs.of(cls).summary)
        about = "\n\n".join(filter(None, [summary, facts.advice(cls, "Use ")]))
        said = textwrap.indent(about, " " * 7).lstrip()
        rows.append((cell, said, facts.memory(cls), facts.runs(cls), _paper(name, cls)))
    names = "\n".join(f"   {name}" for name in kinds)
    header = ("optimizer", "what it is", "state an element, float32", "runs", "source")
    return "\n\n".join(
        [
            _title("Optimizers", "="),
            ".. currentmodule:: optimkit",
            f"Each has its way over Beale's function beside its name, {playground.STEPS} steps (or "
            f"{playground.SEARCH_STEPS}, of those that are not elementwise) with the learning rate "
            "of least mean value on the way. *Fused* is one compiled loop over the elements; "
            "*eager* is the rule as it is written.",
            ".. rst-class:: optimizers\n\n" + _table(header, rows, "18 40 14 8 20"),
            _title("How these pages are made", "-"),
            HOW,
            f".. toctree::\n   :hidden:\n   :maxdepth: 1\n\n{names}",
        ]
    )


HOW = """\
Nothing on the page of an optimizer is written for the page. Formulas, options and references are
its docstring's; letters are bound to options by the descriptions of these and by the :doc:`table
of symbols <../guides/symbols>`; the rule is its source, and what does not run was found by
watching it run.

The sliders of an elementwise rule drive the rule itself. It is traced with its options, the step
and the numbers of its state as symbols, so that the arithmetic which makes a bias correction is
recorded with the arithmetic on arrays, and where the rule asks whether something is so, both ways
are followed. What comes out, a few kilobytes, is the rule for all options, and a small script
computes with it in float64. A grid of walks computed beforehand would be coarser, and for seven
options larger than everything else together. The tests run the same script and find the bits of
the eager engine: every operation is rounded once, as IEEE 754 has it. Powers, which C libraries
round as they please, are rounded correctly in the script; Python's own are off by one in the last
place now and then (9 of 11,812 tried, with glibc).

Rules that sum, multiply matrices or search a line are walked when the pages are built, for each
learning rate of a list and a few sets of options."""


def _paper(name: str, cls: type[ok.Optimizer]) -> str:
    """What it was first described in, as a link where one is known."""
    known = describe(name, cls)
    paper, references = str(known["paper"] or ""), known["references"] or [""]
    address = address_of(str(references[0]))
    return f"`{paper} <{address}>`__" if address else _escaped(paper)


def _escaped(text: str) -> str:
    return re.sub(r"([*`|_\\])", r"\\\1", text)


# ---------------------------------------------------------------- Sphinx


def _bind_letters(app: Any, what: str, name: str, thing: Any, options: Any, lines: Any) -> None:
    if what == "class" and thing in optimizers().values():
        lines[:] = bound_docstring(thing, lines)


def _add_files(app: Any, pagename: str, template: str, context: Any, doctree: Any) -> None:
    if pagename.startswith("optimizers/"):
        for style in STYLES:
            app.add_css_file(style)
        for script in SCRIPTS:
            app.add_js_file(script, loading_method="defer")


def setup(app: Any) -> dict[str, bool]:
    """Bind letters before docstrings are laid out; give pages their scripts."""
    app.connect("autodoc-process-docstring", _bind_letters, priority=100)
    app.connect("html-page-context", _add_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
