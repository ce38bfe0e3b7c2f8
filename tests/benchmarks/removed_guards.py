"""Take away one refusal of the kernel at a time, and see whether a test notices.

A guard is a `raise`, a `return` or `yield` of a refusal, or one question in a chain `a or b or
ALLOWED`. First every kernel test runs over sources in which each guard says that it was reached.
Then each guard is removed alone, and the tests that reached it run until one fails. A guard that no
test reaches, or whose loss no test notices, is printed; the ones that may go stand with their
reason in docs/decisions/0018-guards-that-may-go.md, and any other one ends the run with 1.

Everything runs over a copy, so that the tree may change meanwhile.
Run: `nice -n 10 .venv/bin/python -m tests.benchmarks.removed_guards [--only rules/duo] [--jobs 2]`.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.abc
import importlib.util
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
KERNEL = ("canonical.py", "signing", "ledger", "records/envelope.py", "rules")
TESTS = (
    "tests/compliance",
    "tests/ledger",
    "tests/report/test_attached_files.py",
    "tests/vectors",
)
COPIED = ("compliance", "hub", "site_node", "tests")
PAGE = "docs/decisions/0018-guards-that-may-go.md"
REASONS = ("_deny", "_deny_use")
"""Functions of `rules/duo.py` that refuse by returning a reason."""

LIMIT_SECONDS = 120
QUICK = 10
"""So many of the quickest tests are asked first; they notice most losses without a hub."""


@dataclass(frozen=True)
class Guard:
    """One refusal: where it stands and how it begins."""

    file: str
    line: int
    text: str
    part: int = -1

    @property
    def name(self) -> str:
        """File and words; the line number would change with every edit above."""
        return f"{self.file}: {self.text}"


def guards_of(file: str, tree: ast.AST) -> Iterator[tuple[Guard, ast.stmt]]:
    """Every guard of a source file with its statement."""
    names = _functions(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.BoolOp):
            for part, operand in enumerate(node.value.values):
                if _asks(operand):
                    text = f"{names.get(node, '')} asks {ast.unparse(operand)}"
                    yield Guard(file, operand.lineno, text[:110], part), node
        elif isinstance(node, ast.stmt) and _refuses(node, names.get(node, "")):
            text = f"{names.get(node, '')}: {ast.unparse(node)}"
            yield Guard(file, node.lineno, text[:110]), node


def _asks(operand: ast.expr) -> bool:
    return isinstance(operand, ast.Call) and isinstance(operand.func, ast.Name)


def _refuses(node: ast.stmt, function: str) -> bool:
    if isinstance(node, ast.Raise):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield | ast.YieldFrom):
        return True
    if not isinstance(node, ast.Return) or node.value is None:
        return False
    is_text = isinstance(node.value, ast.Constant | ast.JoinedStr | ast.IfExp)
    if function in REASONS and is_text and ast.unparse(node.value) != "None":
        return True
    called = node.value.func if isinstance(node.value, ast.Call) else None
    return isinstance(called, ast.Name) and called.id == "Denied"


def _functions(tree: ast.AST) -> dict[ast.AST, str]:
    found: dict[ast.AST, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            found |= dict.fromkeys(ast.walk(node), node.name)
    return found


def without(tree: ast.Module, guard: Guard) -> ast.Module:
    """The same source, this guard taken away."""
    return _changed(tree, guard, lambda node: [_loss(node, guard.part)])


def telling(tree: ast.Module, guards: Sequence[Guard]) -> ast.Module:
    """The same source, each guard saying its name before it acts."""
    for guard in guards:
        say = ast.parse(f"__guard_reached__({guard.name!r}, {guard.line})").body[0]
        tree = _changed(tree, guard, lambda node, say=say: [say, node])
    return tree


def _loss(node: ast.stmt, part: int) -> ast.stmt:
    if part < 0:
        return ast.copy_location(ast.Pass(), node)
    assert isinstance(node, ast.Return)
    assert isinstance(node.value, ast.BoolOp)
    node.value.values[part] = ast.copy_location(ast.Constant(None), node)
    return node


def _changed(tree: ast.Module, guard: Guard, change: Any) -> ast.Module:
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if not isinstance(block, list):
                continue
            for place, statement in enumerate(block):
                if _is(statement, guard):
                    block[place : place + 1] = change(statement)
                    return ast.fix_missing_locations(tree)
    raise LookupError(guard.name)


def _is(statement: ast.stmt, guard: Guard) -> bool:
    if guard.part < 0:
        same = _refuses(statement, "") or isinstance(statement, ast.Return)
        return same and statement.lineno == guard.line
    value = statement.value if isinstance(statement, ast.Return) else None
    if not isinstance(value, ast.BoolOp) or guard.part >= len(value.values):
        return False
    return value.values[guard.part].lineno == guard.line and _asks(value.values[guard.part])


class Redirect(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Hand out a changed module instead of the one on disk; every other import is untouched."""

    def __init__(self, folder: Path, trees: dict[str, ast.Module]) -> None:
        self._folder, self._trees = folder, trees

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        """Say that we know this module."""
        file = "/".join(name.split(".")[1:]) + ".py"
        if not name.startswith("compliance.") or file not in self._trees:
            return None
        place = self._folder / "compliance" / file
        return importlib.util.spec_from_file_location(name, place, loader=self)

    def create_module(self, spec: Any) -> None:
        """Let Python make the module."""

    def exec_module(self, module: Any) -> None:
        """Run the changed source."""
        file = "/".join(module.__name__.split(".")[1:]) + ".py"
        where = str(self._folder / "compliance" / file)
        exec(compile(self._trees[file], where, "exec"), module.__dict__)  # noqa: S102 - our source


class Light:
    """A pytest plugin: few random examples, always the same."""

    def pytest_configure(self) -> None:
        """Load the profile when hypothesis may be imported."""
        from hypothesis import settings

        light = settings(max_examples=25, deadline=None, derandomize=True, database=None)
        settings.register_profile("light", light)
        settings.load_profile("light")


class Record:
    """A pytest plugin: which tests reach which guard, and how long each takes."""

    def __init__(self) -> None:
        self.reached: dict[str, set[str]] = {}
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []
        self._test = ""

    def say(self, name: str, line: int) -> None:
        """A guard was reached."""
        self.reached.setdefault(f"{name}@{line}", set()).add(self._test)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: Any) -> Iterator[None]:
        """Remember the test that runs."""
        self._test = item.nodeid
        yield
        self._test = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Add up what a test takes with its fixtures."""
        before = self.seconds.get(report.nodeid, 0.0)
        self.seconds[report.nodeid] = before + report.duration
        if report.failed:
            self.failed.append(report.nodeid)


class Only:
    """A pytest plugin: keep these tests, the quickest first."""

    def __init__(self, wanted: set[str], seconds: dict[str, float]) -> None:
        self._wanted, self._seconds = wanted, seconds

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Drop every other test."""
        items[:] = [item for item in items if item.nodeid in self._wanted]
        items[0].config.option.maxfail = 1
        items.sort(key=lambda item: self._seconds.get(item.nodeid, 0.0))


def run_tests(folder: Path, files: Sequence[str], plugins: list[Any], redirect: Redirect) -> int:
    """Run tests in this process over the redirected sources; quiet, few random examples."""
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    sys.meta_path.insert(0, redirect)
    words = ["-q", "-p", "no:cacheprovider", "-m", "not long", "--no-header", *files]
    return int(pytest.main(words, plugins=[Light(), *plugins]))


def in_child(job: Any, log: Path) -> int:
    """Run a job in a forked process of its own; returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    os.setpgrp()
    with log.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    code = 99
    try:
        code = job()
    except BaseException:  # noqa: BLE001 - told in the log; a forked child ends here in any case
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def reach(folder: Path, trees: dict[str, ast.Module], guards: list[Guard]) -> dict[str, Any]:
    """Run every kernel test once; returns guard → tests, and the seconds of each test."""
    answer = folder / "reached.json"

    def job() -> int:
        record = Record()
        import builtins

        builtins.__guard_reached__ = record.say  # type: ignore[attr-defined]
        changed = {
            file: telling(copy.deepcopy(tree), [guard for guard in guards if guard.file == file])
            for file, tree in trees.items()
        }
        files = [name for name in TESTS if (folder / name).exists()]
        code = run_tests(folder, files, [record], Redirect(folder, changed))
        red = {"", *record.failed}
        reached = {name: sorted(tests - red) for name, tests in record.reached.items()}
        told = {"reached": reached, "seconds": record.seconds, "red": record.failed}
        answer.write_text(json.dumps(told))
        return code

    os.waitpid(in_child(job, folder / "reached.log"), 0)
    if not answer.exists():
        print((folder / "reached.log").read_text()[-3000:])
        raise SystemExit("The kernel tests cannot be run.")
    found: dict[str, Any] = json.loads(answer.read_text())
    for name in found["red"]:
        print(f"left out, it fails without any change: {name}", flush=True)
    return found


def survivors(
    folder: Path, trees: dict[str, ast.Module], guards: list[Guard], jobs: int
) -> list[tuple[Guard, str]]:
    """Remove one guard after the other; returns those whose loss no test noticed, and why."""
    known = reach(folder, trees, guards)
    alive: list[tuple[Guard, str]] = []
    running: dict[int, tuple[Guard, float]] = {}
    waiting = []
    for guard in guards:
        tests = set(known["reached"].get(f"{guard.name}@{guard.line}", []))
        if tests:
            waiting.append((guard, tests))
        else:
            alive.append((guard, "no test reaches it"))
    while waiting or running:
        while waiting and len(running) < jobs:
            guard, tests = waiting.pop()
            pid = in_child(_trial(folder, trees, guard, tests, known["seconds"]),
                           folder / f"trial-{len(waiting)}.log")  # fmt: skip
            running[pid] = guard, time.monotonic() + LIMIT_SECONDS
        _reap(running, alive)
    return alive


def _trial(
    folder: Path,
    trees: dict[str, ast.Module],
    guard: Guard,
    tests: set[str],
    seconds: dict[str, float],
) -> Any:
    def job() -> int:
        changed = {guard.file: without(copy.deepcopy(trees[guard.file]), guard)}
        redirect = Redirect(folder, changed)
        quick = set(sorted(tests, key=lambda name: seconds.get(name, 0.0))[:QUICK])
        code = 0
        for some in (quick, tests - quick):
            files = sorted({name.partition("::")[0] for name in some})
            if code == 0 and some:
                code = run_tests(folder, files, [Only(some, seconds)], redirect)
        return code

    return job


def _reap(running: dict[int, tuple[Guard, float]], alive: list[tuple[Guard, str]]) -> None:
    """Take the answers of those that ended; whoever takes too long noticed the loss."""
    time.sleep(0.02)
    for pid, (guard, until) in list(running.items()):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if not ended and time.monotonic() > until:
            os.killpg(pid, signal.SIGKILL)
            ended, status = os.waitpid(pid, 0)
        if ended:
            del running[pid]
            if status == 0:
                alive.append((guard, "its loss is not noticed"))


def explained(page: Path) -> list[str]:
    """The guards that the decision page names, as `file: words`."""
    if not page.exists():
        return []
    return re.findall(r"`([\w/]+\.py: [^`]+)`", page.read_text())


def main(words: list[str]) -> int:
    """Print every survivor; 1 when more than three are without an explanation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="part of a file name")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(words)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="removed-guards-") as place:
        folder = _copy(Path(place))
        trees, guards = _sources(folder, options.only)
        print(f"{len(guards)} guards in {len(trees)} files", flush=True)
        alive = survivors(folder, trees, guards, options.jobs)
    fine = explained(ROOT / PAGE)
    without_reason = 0
    for guard, why in sorted(alive, key=lambda pair: (pair[0].file, pair[0].line)):
        known = guard.name in fine
        without_reason += not known
        print(f"{'explained' if known else 'SURVIVED '} {guard.file}:{guard.line} ({why})")
        print(f"    {guard.text}")
    caught = len(guards) - len(alive)
    print(f"{caught} of {len(guards)} losses noticed ({100 * caught / max(1, len(guards)):.1f} %), "
          f"{len(alive)} survive, {without_reason} without a reason, "
          f"{time.monotonic() - begun:.0f} s")  # fmt: skip
    return int(without_reason > 3)


def _copy(place: Path) -> Path:
    folder = place / "main"
    for name in COPIED:
        kept = shutil.ignore_patterns("__pycache__", "node_modules")
        shutil.copytree(ROOT / name, folder / name, ignore=kept)
    shutil.copy(ROOT / "pyproject.toml", folder)
    (place / "shared").symlink_to(ROOT.parent / "shared")
    return folder


def _sources(folder: Path, only: str) -> tuple[dict[str, ast.Module], list[Guard]]:
    trees: dict[str, ast.Module] = {}
    guards: list[Guard] = []
    base = folder / "compliance"
    for part in KERNEL:
        whole = base / part
        for path in sorted(whole.rglob("*.py")) if whole.is_dir() else [whole]:
            file = str(path.relative_to(base))
            if only in file:
                trees[file] = ast.parse(path.read_text())
                guards += [guard for guard, _ in guards_of(file, trees[file])]
    return trees, guards


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
