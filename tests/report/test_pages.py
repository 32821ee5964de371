"""A document as a page: whole HTML, nothing from elsewhere, and every number as text."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser

import pytest

from optimkit.validation.report.axes import Axis, number, shortened, thinned
from optimkit.validation.report.document import (
    Bars,
    Cell,
    Code,
    Curves,
    Document,
    Histogram,
    Part,
    Section,
    Tabular,
)
from optimkit.validation.report.page import page
from optimkit.validation.report.style import STYLE

HOSTILE = """</style></svg><script>alert("x")</script><img src=x onerror='y'> & "quoted" ' </td>"""
LONG = "a_name_that_never_ends_" * 20
NAN, INF = math.nan, math.inf
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Reader(HTMLParser):
    """Refuses tags that are not closed in order, and keeps what is of interest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []
        assert len(self.ids) == len(set(self.ids))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name == "href"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(self.text)


def read(*parts: Part, **fields: object) -> Reader:
    """Read the page of a document with one section, and check what holds of every page."""
    whole = Document("title", "verdict", "good", sections=[Section("section", [*parts])])
    for name, value in fields.items():
        setattr(whole, name, value)
    text = page(whole)
    reader = Reader(text)
    assert not {"script", "img", "link", "iframe", "object", "embed"} & set(reader.tags)
    assert not [x for x in reader.attributes if x[1] in ("src", "srcset") or x[1].startswith("on")]
    assert all(link.startswith("#") and link[1:] in reader.ids for link in reader.links)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert not re.search(r"https?://", text)
    for tag, name, value in reader.attributes:  # every place on a chart is a number
        if name in ("d", "x", "y", "cx", "cy", "width", "height", "viewbox") and tag != "meta":
            assert not re.search("nan|inf|None", value), value
    return reader


CURVES = Curves("drift", "step", "|Δ|", {"one": [(1, 1e-8), (10, 2e-7), (100, 1e-5)]}, True, True)
HISTOGRAM = Histogram("apart", "ULP", {"for-loop": {"0": 12345, "1": 67, "2–3": 1}})
BARS = Bars("time", "relative to torch", {"numba": (0.3, 0.33, 0.4), "torch": (1, 1, 1)}, 1.0)
TABLE = Tabular("table", ["name", "count", ""], [["Adam", "1,234", Cell("✓", "good")]], ["note"])


def test_every_part_is_there_and_charts_are_text_too() -> None:
    reader = read(
        "a paragraph", TABLE, CURVES, HISTOGRAM, BARS, Code("x = 1\n  y = 2"),
        failures=["this failed"], unfinished="Interrupted.", conditions={"NumPy": "2.0"},
    )  # fmt: skip
    for said in (
        "title", "verdict", "this failed", "Interrupted.", "NumPy", "2.0", "a paragraph", "1,234",
        "note", "drift", "2e−7", "12,345", "67", "0.33", "0.3", "0.4", "x = 1\n  y = 2",
    ):  # fmt: skip
        assert said in reader.words, said
    assert reader.tags.count("figure") == reader.tags.count("figcaption") == 3
    assert reader.tags.count("details") == 3
    labels = [v for tag, name, v in reader.attributes if (tag, name) == ("svg", "aria-label")]
    assert len(labels) == 3
    assert "one: 1e−8 at 1, 1e−5 at 100" in labels[0]
    assert "for-loop: most, 12,345, at 0" in labels[1]
    assert "numba: 0.33 (0.3 to 0.4)" in labels[2]


@pytest.mark.parametrize("name", [HOSTILE, LONG, "", "ein Wort\x00\ud800 λ"])
def test_names_of_any_kind(name: str) -> None:
    spread = (1.0, 2.0, 3.0)
    reader = read(
        name,
        Tabular(name, [name, name], [[name, Cell(name, "bad")]], [name], [1]),
        Curves(name, name, name, {name: [(1, 2)], f"{name}2": [(1, 3)]}, notes=[name]),
        Histogram(name, name, {name: {name: 3}}, [name]),
        Histogram(name, name, {f"{name}{i}": {name: i} for i in range(7)}, [name]),
        Bars(name, name, {name: spread}, 1, [name]),
        Code(name),
        title=name, verdict=name, failures=[name], unfinished=name, conditions={name: name},
    )  # fmt: skip
    if name == HOSTILE:
        assert HOSTILE in reader.words


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(
    "points",
    [
        [],
        [(1, 5)],
        [(1, 0), (2, 0)],
        [(NAN, 1), (1, NAN), (INF, 1), (2, -INF)],
        [(1, 1), (2, NAN), (3, 1), (4, INF), (5, 2), (6, 3)],
        [(1, 5e-324), (2, 1.7e308)],
        [(-1e308, -1e308), (1e308, 1e308)],
        [(1, 1 + 1e-15), (1 + 1e-15, 1)],
        [(x, math.sin(x)) for x in range(5000)],
    ],
)
def test_curves_of_any_numbers(points: list[tuple[float, float]], log: bool) -> None:
    reader = read(Curves("t", "x", "y", {"a": points, "b": [], "c": points[:1]}, log, log))
    assert "t" in reader.words
    drawn = [v for tag, name, v in reader.attributes if (tag, name) == ("path", "d")]
    assert all(len(path) < 40_000 for path in drawn)
    seen = any(
        all(map(math.isfinite, p)) and (min(p) > 0 if log else max(map(abs, p)) < 1e300)
        for p in points
    )
    assert ("nothing to draw" in reader.words) is not seen


def test_a_line_is_broken_where_a_point_is_left_out_and_a_lone_point_is_seen() -> None:
    points = [(1.0, 1.0), (2.0, 2.0), (3.0, NAN), (4.0, 1.0), (5.0, NAN)]
    points += [(x + 6.0, 2.0) for x in range(100)]
    reader = read(Curves("t", "x", "y", {"a": points}))
    drawn = [v for tag, name, v in reader.attributes if (tag, name) == ("path", "d")]
    assert max(path.count("M") for path in drawn) == 3
    assert reader.tags.count("circle") == 1


def test_zero_on_a_logarithmic_axis_is_said_in_the_legend() -> None:
    zero = {"equal": [(1.0, 0.0), (2.0, 0.0)], "other": [(1.0, 1e-9), (2.0, 1e-9)]}
    assert "equal: 0 throughout" in read(Curves("t", "x", "y", zero, log_y=True)).words


@pytest.mark.parametrize(
    "counts",
    [
        {},
        {"a": {}},
        {"a": {"0": 0, "1": 0}},
        {"a": {"0": 1}},
        {"a": {"0": 10**15, "1": 1}, "b": {"0": 0, "1": 7}},
        {f"thing {i}": {str(k): i * k for k in range(20)} for i in range(12)},
    ],
)
def test_histograms_of_any_counts(counts: dict[str, dict[str, int]]) -> None:
    reader = read(Histogram("t", "ULP", counts))
    columns = sum(n > 0 for group in counts.values() for n in group.values())
    swatches = min(len(counts), 3) if 1 <= len(counts) <= 3 else 0
    assert reader.tags.count("rect") == columns + swatches
    for group in counts.values():
        assert all(f"{n:,}" in reader.words for n in group.values())


@pytest.mark.parametrize(
    "bars",
    [
        {},
        {"a": (NAN, NAN, NAN)},
        {"a": (0, 0, 0)},
        {"a": (1, 2, INF), "b": (NAN, 2, 3)},
        {"a": (1e-9, 1e-8, 1e-7), "b": (1, 2, 3)},
        {"a": (-2, -1, 1)},
    ],
)
@pytest.mark.parametrize("line", [None, 1.0])
def test_bars_of_any_numbers(bars: dict[str, tuple[float, float, float]], line: float) -> None:
    reader = read(Bars("t", "x", bars, line))
    assert all(name in reader.words for name in bars)


def test_a_table_without_rows_says_so() -> None:
    assert "nothing" in read(Tabular("t", ["a", "b"], [])).words


def test_sections_of_one_name_are_told_apart() -> None:
    whole = Document("t", "v", "good", sections=[Section("Same"), Section("Same"), Section("§")])
    reader = Reader(page(whole))
    assert reader.ids == ["same", "same-again", "section"]
    assert reader.links == ["#same", "#same-again", "#section"]


def test_many_failures_are_counted() -> None:
    reader = read(failures=[f"failure {i}" for i in range(1234)])
    assert "failure 199" in reader.words
    assert "failure 200" not in reader.words
    assert "and 1,034 more" in reader.words


# ---------------------------------------------------------------- numbers and axes


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (1, "1"), (-0.5, "−0.5"), (12345, "12,345"), (0.0123, "0.0123"), (1.5, "1.5"),
        (1.2e-7, "1.2e−7"), (1e6, "1e6"), (3.456e12, "3.46e12"), (100, "100"), (999999, "999,999"),
        (INF, "∞"), (-INF, "−∞"), (NAN, "not a number"),
    ],
)  # fmt: skip
def test_numbers_in_few_characters(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("snap", [False, True])
@pytest.mark.parametrize(
    "values",
    [(1, 1), (1, 10_000), (1.1, 1.9), (3e-8, 4e-8), (5e-324, 1e308), (0.8, 1e6), (0.99, 1.01)],
)
def test_ticks_are_few_in_order_and_on_the_axis(
    values: tuple[float, float], snap: bool, log: bool
) -> None:
    axis = Axis.over(values if log else [min(v, 1e299) for v in values], log, 50, 400, snap)
    places = [tick.at for tick in axis.ticks()]
    assert 1 <= len(places) <= 9
    assert places == sorted(set(places))
    assert all(50 - 1e-6 <= place <= 400 + 1e-6 for place in places)
    assert len({(tick.label, tick.exponent) for tick in axis.ticks()}) == len(places)
    if snap and not log:
        assert places[0] == pytest.approx(50)
        assert places[-1] == pytest.approx(400)


def test_names_that_are_shortened_keep_both_ends() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefghij", 5) == "ab…ij"
    assert len(shortened(LONG, 30)) == 30


def test_thinned_keeps_both_ends() -> None:
    assert [*thinned(3, 5)] == [0, 1, 2]
    kept = [*thinned(1000, 24)]
    assert (kept[0], kept[-1], len(kept)) == (0, 999, 24)


# ---------------------------------------------------------------- colours


def contrast(one: str, other: str) -> float:
    """The ratio of luminances, as the guidelines for accessible pages have it."""

    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_text_and_lines_stand_out_in_light_and_dark() -> None:
    light, dark = (
        dict(re.findall(r"--(\w+): (#\w{6})", part)) for part in STYLE.split("@media")[:2]
    )
    assert light.keys() == dark.keys()
    for colors in (light, dark):
        for ground in ("ground", "panel"):
            for name in ("ink", "soft", "good", "bad", "doubt"):
                assert contrast(colors[name], colors[ground]) >= 4.5, (name, ground)
        for name in (f"c{k}" for k in range(6)):
            assert contrast(colors[name], colors["ground"]) >= 3, name
