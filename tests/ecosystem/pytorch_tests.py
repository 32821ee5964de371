"""PyTorch's own tests of optimizers and schedulers, run with this library's classes in their place.

    python tests/ecosystem/pytorch_tests.py FOLDER [-k PATTERN]

FOLDER is a checkout of PyTorch's source, of which ``test/test_optim.py`` and ``test/optim/`` are
used; it should be the version of the torch that is installed. The tests need ``expecttest``. They
run twice: with torch's classes, which says what can be expected to pass here, and with ours.
What passes with torch's and fails with ours is held against `EXPECTED`. The exit status is 0 only
if both are the same.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import subprocess
import sys
import tempfile
import unittest
import warnings
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# Which tests are expected to fail, and why; docs/evidence/pytorch_tests.md says more.
EXPECTED = {
    "TestOptimRenewed*.test_errors_*": "a parameter listed twice is an error, of which torch warns",
    "TestOptimRenewed*.test_fused_error_on_params_on_meta_*": (
        "a meta tensor is refused by the constructor, by torch's fused step"
    ),
    "TestLRScheduler.test_cycle_lr_with_adam": (
        "a beta1 of 22 is refused at the next step; torch computes with it"
    ),
    "TestLRScheduler.test_new_pattern_no_warning_with_overridden_optim_step": (
        "steps are counted whatever takes them, so a step that is replaced is no reason to warn"
    ),
    "TestLRScheduler.test_onecycle_lr_legacy_state_dict": (
        "takes away a private attribute, and takes a private function from the class"
    ),
}


def replace_classes() -> None:
    """Put our classes where torch has its own of the same name."""
    import torch.optim.lr_scheduler
    import torch.optim.swa_utils

    import optimkit as ok

    for ours, theirs in (
        (ok, torch.optim),
        (ok.lr_scheduler, torch.optim.lr_scheduler),
        (ok.swa_utils, torch.optim.swa_utils),
    ):
        for name in ours.__all__:
            kind = getattr(ours, name)
            if hasattr(theirs, name) and callable(kind) and name != "Optimizer":
                setattr(theirs, name, kind)


def judge_what_counts() -> None:
    """Have the tests look at the kind of an error or a warning, not at its words, which differ.

    And let them take a step count that is a number, where torch has a tensor.
    """
    import torch.optim.lr_scheduler as torchs
    from torch.testing._internal.common_optimizers import TensorTracker
    from torch.testing._internal.common_utils import TestCase

    import optimkit as ok

    def raises(self: Any, kind: Any, regex: Any, *args: Any, **kwargs: Any) -> Any:
        return self.assertRaises(kind, *args, **kwargs)  # noqa: PT027

    def warns(self: Any, kind: Any, regex: Any, *args: Any, **kwargs: Any) -> Any:
        return self.assertWarns(kind, *args, **kwargs)

    TestCase.assertRaisesRegex, TestCase.assertWarnsRegex = raises, warns
    scheduler = ok.lr_scheduler.StepLR(SimpleNamespace(param_groups=[{"lr": 1.0}]), 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scheduler.step(1)
    torchs.EPOCH_DEPRECATION_WARNING = str(caught[0].message)
    for name in ("add", "pop_check_set"):
        setattr(TensorTracker, name, with_tensor(getattr(TensorTracker, name)))


def with_tensor(method: Any) -> Any:
    """Give a method a tensor in place of a number."""

    def called(self: Any, value: Any, *args: Any) -> Any:
        import torch

        return method(self, torch.as_tensor(value), *args)

    return called


class Outcomes(unittest.TestResult):
    """Keeps what became of each test, by its name."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}

    def note(self, test: Any, outcome: str) -> None:
        name = test.id() if hasattr(test, "id") else str(test)
        self.found[".".join(name.split(".")[-2:])] = outcome

    def addSuccess(self, test: Any) -> None:
        self.note(test, "passed")

    def addError(self, test: Any, err: Any) -> None:
        super().addError(test, err)
        self.note(test, f"failed: {err[0].__name__}: {err[1]}")

    def addFailure(self, test: Any, err: Any) -> None:
        self.addError(test, err)

    def addSkip(self, test: Any, reason: str) -> None:
        self.note(test, f"skipped: {reason}")

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        self.note(test, "passed")

    def addUnexpectedSuccess(self, test: Any) -> None:
        self.note(test, "failed: it should not pass")

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        if err is not None:
            self.addError(test, err)


def run(folder: Path, pattern: str, ours: bool) -> dict[str, str]:
    """Run the tests in this process; return what became of each."""
    warnings.simplefilter("default")
    sys.path.insert(0, str(folder / "test"))
    if ours:
        replace_classes()
        judge_what_counts()
    loader = unittest.TestLoader()
    if pattern:
        loader.testNamePatterns = [f"*{pattern}*"]
    outcomes = Outcomes()
    loader.loadTestsFromName("test_optim").run(outcomes)
    return outcomes.found


def outcomes_of(folder: Path, pattern: str, ours: bool) -> dict[str, str]:
    """Run the tests in a process of their own."""
    with tempfile.TemporaryDirectory() as place:
        result = Path(place) / "outcomes.json"
        command = [sys.executable, __file__, str(folder), "-k", pattern, "--into", str(result)]
        run = subprocess.run(
            command + ["--ours"] * ours, capture_output=True, text=True, check=False
        )
        if run.returncode:
            sys.exit(run.stderr)
        found: dict[str, str] = json.loads(result.read_text())
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="a checkout of PyTorch's source")
    parser.add_argument("-k", dest="pattern", default="", help="only tests whose name has this")
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--ours", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not (given.folder / "test" / "test_optim.py").exists():
        parser.error(f"{given.folder} has no test/test_optim.py")
    if given.into:
        given.into.write_text(json.dumps(run(given.folder, given.pattern, given.ours)))
        return 0
    theirs = outcomes_of(given.folder, given.pattern, ours=False)
    ours = outcomes_of(given.folder, given.pattern, ours=True)
    return report(theirs, ours, whole=not given.pattern)


def report(theirs: dict[str, str], ours: dict[str, str], whole: bool) -> int:
    """Print what became of the tests; return the exit status."""
    counts = Counter(outcome.partition(":")[0] for outcome in theirs.values())
    print(f"with torch's classes: {dict(counts)}")
    failed = {
        name: ours.get(name, "not there")
        for name, outcome in theirs.items()
        if outcome == "passed" and ours.get(name) != "passed"
    }
    print(f"with ours, of those {counts['passed']} that pass with torch's, {len(failed)} do not")
    status, seen = 0, set()
    for name, outcome in failed.items():
        patterns = [key for key in EXPECTED if fnmatch.fnmatchcase(name, key)]
        seen |= set(patterns)
        if not patterns:
            status = 1
            print(f"NOT EXPECTED  {name}\n    {outcome[:600]}")
    for key, reason in EXPECTED.items():
        if key in seen:
            print(f"expected      {key}: {reason}")
        elif whole:
            status = 1
            print(f"PASSES NOW    {key}: {reason}")
    print(f"{counts['passed'] - len(failed)} passed, {len(failed)} failed")
    return status


if __name__ == "__main__":
    sys.exit(main())
