"""What the layout promises: no empty promises, no forbidden package, no door left open."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("compliance", "site_node", "hub", "dashboard")


def sources() -> list[Path]:
    """Every source file of the four packages."""
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def test_every_init_holds_a_docstring_and_nothing_else() -> None:
    """A package's door is a sentence, not code."""
    for path in sources():
        if path.name == "__init__.py":
            body = ast.parse(path.read_text()).body
            assert len(body) == 1, f"{path.relative_to(ROOT)} holds more than its docstring"
            assert isinstance(body[0], ast.Expr)


def test_no_unfinished_work_is_left_in_the_sources() -> None:
    """A promise to do it later is a defect."""
    for path in sources():
        text = path.read_text()
        for word in ("TODO", "FIXME", "XXX", "raise NotImplementedError"):
            assert word not in text, f"{path.relative_to(ROOT)} says {word}"


def test_the_base_install_asks_for_three_libraries() -> None:
    """An auditor's laptop needs pydantic, cryptography and rfc8785, nothing else."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {line.split(">")[0].split("=")[0] for line in project["dependencies"]}
    assert names == {"pydantic", "cryptography", "rfc8785"}


def test_no_lock_names_cuda_or_torchvision() -> None:
    """The CPU build must not pull gigabytes of CUDA packages."""
    for lock in (ROOT / "requirements").glob("*.lock.txt"):
        for line in lock.read_text().splitlines():
            assert not line.startswith(("nvidia-", "torchvision", "torchaudio", "triton")), (
                lock.name
            )


@pytest.mark.parametrize(
    "name", ["torch", "flwr", "fastapi", "streamlit", "sqlalchemy", "httpx", "numpy"]
)
def test_the_auditors_command_loads_no_program(name: str) -> None:
    """`consilium audit` never loads a network, database or training library."""
    code = (
        "import sys, compliance.cli, compliance.command, compliance.report.verify;"
        f"sys.exit({name!r} in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == 0, f"the audit command loads {name}"


def test_tests_skip_only_through_needs() -> None:
    """A skipped file hid a defect once: the only skip lives in tests/needs.py."""
    for path in (ROOT / "tests").rglob("*.py"):
        if path.name in ("needs.py", "test_the_house.py"):
            continue
        text = path.read_text()
        for word in ("pytest.skip", "importorskip", "mark.skip", "unittest.skip"):
            assert word not in text, f"{path.relative_to(ROOT)} skips by {word}"


def test_every_benchmark_still_fits_what_it_measures() -> None:
    """They are run on demand only: a name that moved would be noticed months later."""
    names = sorted(path.stem for path in (ROOT / "tests" / "benchmarks").glob("*.py"))
    modules = [importlib.import_module(f"tests.benchmarks.{name}") for name in names]

    assert all(callable(getattr(module, "main", None)) for module in modules if module.__doc__)
