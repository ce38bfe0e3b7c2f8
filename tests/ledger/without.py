"""Run tests without the guards that they are about, each in a process of its own.

Run: `.venv/bin/python -m tests.ledger.without [ROW …]`. One JSON line per trial on stdout: the row,
its test, the outcome `red` or what else happened, and the last line of the failure.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.removed_guards import in_child
from tests.guards import Guard, take_away
from tests.ledger.attack_guards import TRIALS, Trial

QUIET = ("--no-header", "-W", "ignore::pytest.PytestAssertRewriteWarning")
"""Modules that the parent has imported are not rewritten again; that needs no word."""


class Without:
    """A pytest plugin: the guards are gone while a test acts, and are there while it is set up."""

    def __init__(self, guards: Sequence[Guard], answer: Path) -> None:
        self._guards, self._answer = guards, answer

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(self, item: Any) -> Iterator[None]:
        """Take the guards out around the test itself."""
        with pytest.MonkeyPatch.context() as patch:
            take_away(patch, *self._guards)
            yield

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Keep how the test ended; a fixture that fails is no answer."""
        if report.when == "teardown" or (report.when == "setup" and not report.failed):
            return
        outcome = report.outcome if report.when == "call" else f"fails in its {report.when}"
        if self._answer.exists():
            outcome = "more than one test"
        told = {"outcome": "red" if outcome == "failed" else outcome, "words": _last(report)}
        self._answer.write_text(json.dumps(told))


def _last(report: Any) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash else report.longrepr).splitlines()[0][:160]


def tried(trial: Trial, folder: Path) -> dict[str, str]:
    """What the test of a trial says without its guards."""
    answer = folder / "answer.json"
    answer.unlink(missing_ok=True)

    def job() -> int:
        words = ["-q", "-p", "no:cacheprovider", *QUIET, trial.test]
        return int(pytest.main(words, plugins=[Without(trial.guards, answer)]))

    os.waitpid(in_child(job, folder / "trial.log"), 0)
    if not answer.exists():
        return {"outcome": "not run", "words": (folder / "trial.log").read_text()[-300:]}
    return dict(json.loads(answer.read_text()))


def main(rows: Sequence[str]) -> None:
    """Try every row, or these."""
    for name in ("hub.main", "site_node.wiring"):  # once, before the forks
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="without-") as place:
        for row in rows or TRIALS:
            for trial in TRIALS[row]:
                found = tried(trial, Path(place))
                print(json.dumps({"row": row, "level": trial.level, "test": trial.test, **found}),
                      flush=True)  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
