"""The findings that are kept, the page that is made of them, and that they can be repeated."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from conftest import ROOT

from optimkit.validation.comparison.reading import rule_named
from optimkit.validation.survey import __main__ as survey
from optimkit.validation.survey.findings import FILE, load, merged, save
from optimkit.validation.survey.holding import held
from optimkit.validation.survey.measuring import EXPLAINED, departure
from optimkit.validation.survey.page import computes, filled, written
from optimkit.validation.survey.subject import LIBRARIES
from optimkit.validation.survey.subjects import SUBJECTS

KNOWN = load()
FINDINGS = {finding["key"]: finding for finding in KNOWN["findings"]}
NEAR = re.compile("; the nearest, .* reproduces (9[0-9]|100) %").search
PAGE = ROOT / "docs" / "evidence" / "which_adam.md"


def test_the_page_has_what_was_found() -> None:
    text = PAGE.read_text()
    assert filled(text, KNOWN) == text
    assert FILE.stat().st_size < 200_000


def test_subjects_are_told_apart_and_are_of_known_libraries() -> None:
    assert len({subject.key for subject in SUBJECTS}) == len(SUBJECTS)
    assert {subject.library for subject in SUBJECTS} == LIBRARIES.keys()
    assert FINDINGS.keys() <= {subject.key for subject in SUBJECTS}


def test_every_finding_says_what_it_is_of() -> None:
    for finding in FINDINGS.values():
        assert finding["version"]
        assert finding["date"]
        assert finding["source"]
        assert all(math.isfinite(x) for x in finding["off"].values())


def test_every_departure_is_named() -> None:
    said = {key: computes(f) for key, f in FINDINGS.items()}
    assert not [key for key, words in said.items() if "another rule**" in words and not NEAR(words)]
    bare = [k for k, f in FINDINGS.items() if "rule, but for" in computes(f) and not f["note"]]
    assert not bare


@pytest.mark.parametrize("entry", EXPLAINED, ids=lambda x: f"{x[0]}, {x[1]}")
def test_departures_lead_as_far_as_the_page_says(entry: Any) -> None:
    rule, name, options = entry
    kept = next(x for x in KNOWN["departures"] if (x["rule"], x["name"]) == (rule, name))
    now = departure(rule_named(rule), name, options)
    assert now["lines"] == [tuple(line) for line in kept["lines"]]
    # two digits are kept, of numbers in which other processors' roundings may show below 1e-12
    for scale, x in kept["off"].items():
        assert now["off"][scale] == pytest.approx(x, rel=0.05, abs=1e-12)


HERE = [
    "torch: torch.optim.Rprop (for-loop) as Rprop",
    "torch: torch.optim.Adagrad (for-loop) as Adagrad",
    "scikit-learn: MLPClassifier's AdamOptimizer as Adam",
    "scikit-learn: MLPClassifier's SGDOptimizer, nesterov=True as SGD",
    "jax: jax.example_libraries.optimizers.rmsprop as RMSprop",
    "jax: jax.example_libraries.optimizers.momentum as SGD",
]


@pytest.mark.parametrize("key", HERE)
def test_what_is_installed_here_is_found_again(key: str) -> None:
    subject = next(subject for subject in SUBJECTS if subject.key == key)
    pytest.importorskip(subject.place.partition(":")[0])
    now, kept = held(subject), FINDINGS[key]
    assert computes(now).partition(",")[0] == computes(kept).partition(",")[0]
    assert now["adopted"] == kept["adopted"]
    for scale, x in kept["off"].items():
        assert now["off"][scale] == pytest.approx(x, rel=0.05, abs=1e-12)


def test_new_findings_take_the_place_of_old_ones_and_others_stay() -> None:
    first, second = SUBJECTS[0].key, SUBJECTS[1].key
    old = [{"key": second, "x": 1}, {"key": first, "x": 1}, {"key": "no subject", "x": 1}]
    both = merged(old, [{"key": first, "x": 2}])
    assert [(x["key"], x["x"]) for x in both] == [(first, 2), (second, 1)]


def test_findings_are_kept_as_they_are(tmp_path: Any) -> None:
    file = tmp_path / "findings.json"
    save(file, KNOWN)
    assert load(file) == KNOWN
    assert file.read_text() == FILE.read_text()
    assert load(tmp_path / "none.json")["findings"] == []


def test_a_page_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for rules"):
        filled("# A page\n", KNOWN)


def test_a_survey_keeps_what_is_not_installed(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = next(subject.key for subject in SUBJECTS if subject.library == "thinc")
    failed = [{"key": key, "failed": "not installed: No module named 'thinc'"}]
    monkeypatch.setattr(survey, "held", lambda library: failed)
    file = tmp_path / "findings.json"
    file.write_text(FILE.read_text())
    assert survey.main(["thinc", "--findings", str(file)]) == 0
    assert json.loads(file.read_text())["findings"] == KNOWN["findings"]
    assert "not installed" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        survey.main(["thinck"])
    assert "there is no library 'thinck'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("x", "text"), [(2.6e-7, "2.6·10⁻⁷"), (0.016, "1.6 %"), (0.283, "28 %"), (65.3, "6,530 %")]
)
def test_distances_as_one_writes_them(x: float, text: str) -> None:
    assert written(x) == text
