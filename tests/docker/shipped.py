"""What the deployment folder says, taken apart for its tests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
PAGES = (DOCKER / "README.md", ROOT / "docs" / "guides" / "deployment.md")
IMAGES = {"hub": "hub", "site": "site-node", "dashboard": "dashboard"}
"""Each program and the first part of its Dockerfile's name."""

_COMMAND = re.compile(r"\bconsilium ((?:hub|site|dashboard|study|audit) [^\n`|;&#)]*)")
_ONE_SHOT = re.compile(r"run --rm (?:upgrade|hub|site|dashboard) ([^\n`|;&#)]*)")
_HEALTH = re.compile(r"CMD \[\"consilium\", (.*)\]$", re.MULTILINE)
_LIST = re.compile(r"^(?:CMD|ENTRYPOINT) (\[.*\])$", re.MULTILINE)


def files() -> list[Path]:
    """Every file that a person installs or follows."""
    return [*sorted(path for path in DOCKER.rglob("*") if path.is_file()), PAGES[1]]


def dockerfile(program: str) -> str:
    """The Dockerfile of a program, continued lines joined."""
    text = (DOCKER / f"{IMAGES[program]}.Dockerfile").read_text()
    return re.sub(r"\\\n\s*", "", text)


def compose(name: str) -> dict[str, Any]:
    """A compose file, anchors resolved."""
    plain: dict[str, Any] = yaml.safe_load((DOCKER / f"compose.{name}.yaml").read_text())
    return plain


def services() -> dict[str, dict[str, Any]]:
    """Every service of both compose files."""
    return compose("hub")["services"] | compose("site")["services"]


def unit(name: str) -> dict[str, list[str]]:
    """The lines of a systemd unit; a name may stand several times."""
    found: dict[str, list[str]] = {}
    for line in (DOCKER / "systemd" / f"consilium-{name}.service").read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Every `consilium` command line that is shipped: the file, and the words after the name."""
    for path in files():
        text = re.sub(r"\\\n\s*", " ", path.read_text())
        for found in (*_COMMAND.findall(text), *_ONE_SHOT.findall(text)):
            yield path.name, found.rstrip("]\"'").split()
        if path.suffix == ".Dockerfile":
            entry, words = (json.loads(found) for found in _LIST.findall(text)[-2:])
            yield path.name, [*entry[1:], *words]
            yield from ((path.name, json.loads(f"[{found}]")) for found in _HEALTH.findall(text))
    for name, service in services().items():
        if "command" in service:
            yield f"service {name}", service["command"]


def variables() -> Iterator[tuple[str, str]]:
    """Every CONSILIUM_* variable that a shipped file names."""
    for path in files():
        for name in re.findall(r"\bCONSILIUM_[A-Z_]+\b", path.read_text()):
            yield path.name, name
