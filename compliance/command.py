"""The `consilium` command: a table of groups; only the group that is asked for is loaded.

An auditor never loads torch, and `compliance` imports no program: groups are names, not imports.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from compliance.errors import ConsiliumError, NotReady, Refused


class Group(NamedTuple):
    """Where a group of commands lives, what it is for, and the extra that it needs."""

    module: str
    attribute: str
    sentence: str
    extra: str
    needs: str


GROUPS = {
    "site": Group(
        "site_node.cli", "app", "A hospital's node: join, decide, serve.", "site", "torch"
    ),
    "hub": Group("hub.cli", "app", "The hub between hospitals: init, serve.", "hub", "fastapi"),
    "study": Group(
        "dashboard.cli", "study", "A researcher's studies: propose, watch.", "dashboard", "typer"
    ),
    "recipe": Group(
        "site_node.recipe_cli",
        "recipe",
        "Recipes that no release has: sign, draft, import.",
        "site",
        "torch",
    ),
    "dashboard": Group("dashboard.cli", "app", "The dashboard.", "dashboard", "streamlit"),
    "audit": Group("compliance.cli", "main", "Evidence: export, verify, proof.", "", "pydantic"),
}
RECOMPUTE = Group("hub.recompute_cli", "recompute", "", "hub", "sqlalchemy")
STATEMENT = Group("hub.statement_cli", "statement", "", "hub", "typst")
EXPORTERS = {"hub.toml": ("hub.cli", "hub"), "site.toml": ("site_node.cli", "site")}
EXAMPLES = """examples:
  consilium site join CODE                          a hospital joins with its invitation code
  consilium site approve STUDY                      its steward signs a charter
  consilium study propose CHARTER.yaml              a researcher proposes a study
  consilium audit verify BUNDLE --policy FILE       an auditor verifies, offline
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; errors of the family become one sentence and an exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(words)
    except ConsiliumError as error:
        _complain(error, as_json="--json" in words)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - the reader has gone
        return 0


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("--help", "-h", "help"):
        print(overview())  # noqa: T201 - a command line speaks to a person
        return 0 if words else 2
    if words[0] in ("--version", "-V"):
        print(f"consilium {installed_version()}")  # noqa: T201 - same
        return 0
    if words[0] not in GROUPS:
        known = ", ".join(GROUPS)
        raise NotReady(f"there is no command group {words[0]!r}.", f"Say one of: {known}.")
    if words[:2] == ["audit", "export"] and not {"--help", "-h"} & set(words):
        return _code(_exporter(words)(words[2:]))
    elsewhere = _elsewhere(words)
    if elsewhere is not None:
        return _code(load(elsewhere)(words[2:]))
    group = GROUPS[words[0]]
    run = load(group)
    if words[0] == "audit":
        return _code(run(words[1:]))
    return _run_typer(run, words)


def _elsewhere(words: list[str]) -> Group | None:
    """The program behind `audit` that is not the base install's; None where that one answers."""
    if {"--help", "-h"} & set(words):
        return None
    if words[:2] == ["audit", "statement"] and "--pdf" in words:
        return STATEMENT
    return RECOMPUTE if words[:2] == ["audit", "recompute"] else None


def load(group: Group) -> Callable[..., object]:
    """Load a group's entry.

    Raises:
        NotReady: the extra of this group is not installed.
    """
    if find_spec(group.needs) is None or find_spec(group.module.split(".")[0]) is None:
        raise NotReady(
            f"this needs the {group.extra} extra.",
            f'Run: pip install "consilium-federation[{group.extra}]"',
        )
    entry: Callable[..., object] = getattr(importlib.import_module(group.module), group.attribute)
    return entry


def overview() -> str:
    """The groups, one sentence each, and examples."""
    lines = ["usage: consilium GROUP COMMAND [--home DIR] [--json] [--help]", ""]
    lines += [f"  {name:<10} {group.sentence}" for name, group in GROUPS.items()]
    return "\n".join([*lines, "", EXAMPLES.rstrip()])


def installed_version() -> str:
    """Version of the installed distribution."""
    try:
        return version("consilium-federation")
    except PackageNotFoundError:
        return "unknown (not installed)"


def _exporter(words: list[str]) -> Callable[[list[str]], object]:
    home = _home(words)
    for marker, (module, extra) in EXPORTERS.items():
        if (home / marker).is_file():
            group = Group(module, "export_bundle", "", extra, "sqlalchemy")
            return load(group)
    raise NotReady(
        f"{home} is neither the home of a hub nor of a site.",
        "Export where the log lies: name that home with --home DIR.",
    )


def _home(words: list[str]) -> Path:
    for place, word in enumerate(words):
        if word == "--home" and place + 1 < len(words):
            return Path(words[place + 1])
        if word.startswith("--home="):
            return Path(word.removeprefix("--home="))
    given = os.environ.get("CONSILIUM_HOME")  # noqa: TID251 - decides which program's settings are read
    return Path(given) if given else Path.home() / ".local" / "share" / "consilium"


def _run_typer(app: Callable[..., object], words: list[str]) -> int:
    try:
        app(words[1:], prog_name=f"consilium {words[0]}")
    except SystemExit as end:
        return _code(end.code)
    return 0


def _code(value: object) -> int:
    return value if isinstance(value, int) else 0


def _complain(error: ConsiliumError, *, as_json: bool) -> None:
    if as_json:
        rule = error.rule if isinstance(error, Refused) else type(error).__name__
        plain = {"error": {"code": rule, "sentence": str(error)}}
        print(json.dumps(plain, ensure_ascii=False))  # noqa: T201 - for machines
    print(str(error), file=sys.stderr)  # noqa: T201 - for the person


if __name__ == "__main__":
    raise SystemExit(main())
