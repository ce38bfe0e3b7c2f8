"""`consilium site privacy`: the privacy account, and the test of training with noise."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import typer

from compliance.errors import Refused
from site_node.gate.price import down, up
from site_node.options import AsJson, Home, speak
from site_node.wiring import open_site


def add_to(app: typer.Typer, act: Callable[[Any], Any]) -> None:
    """Give the command to `consilium site`; `act` words what a full disk would say."""
    app.command()(act(privacy))


def privacy(*, home: Home = None, as_json: AsJson = False) -> None:
    """List what studies with noise have spent of the privacy of this hospital's patients.

    An account is a group of patients: all versions of a dataset, and datasets with a common
    patient. Epsilon is that of all studies together. Nothing of it leaves.

    Example: consilium site privacy --json
    """
    with open_site(home, joined=False, strict=False) as rooms:
        told = rooms.budget.accounts()
    lines = [line for row in told for line in _account_lines(row)]
    speak(told, as_json=as_json, lines=lines or ["No study has trained with noise here."])


def _account_lines(row: dict[str, Any]) -> list[str]:
    names = " + ".join(row["datasets"])
    spent, left = (row[name] and Decimal(row[name]) for name in ("epsilon", "left"))
    cap = ", no cap of our own" if row["cap"] is None else f" of {row['cap']}, {down(left)} left"
    head = f"{names}: epsilon {up(spent)}{cap} (delta {row['delta']}, {row['patients']} patients)"
    return [head, *(_charge_line(charge) for charge in row["charges"])]


def _charge_line(row: dict[str, Any]) -> str:
    study, where = row["log"].removeprefix("sha256:")[:12], f"round {row['round']}"
    how = f"{row['steps']} steps, sigma {row['sigma']}, rate {row['sample_rate']}"
    return f"  {row['at']}  {row['state']:<8} study {study}  {where:<9} {how}"


def test_noise(home: Path | None, *, as_json: bool) -> None:
    """Audit the installed training with noise on made-up patients, and put it on record.

    Raises:
        Refused: `recipe.dp`: more was guessed right than the stated epsilon allows.
    """
    from site_node.training.audit import audit  # heavy: torch

    found = audit()
    told = found.plain()
    with open_site(home, joined=False, strict=False) as rooms:
        rooms.journal.write("privacy.audited", **told)
    verdict = "REFUTED" if found.refuted else "not refuted"
    line = (
        f"{found.right} of {found.guesses} guesses right: epsilon is at least {found.bound:.2f} "
        f"(95 %), stated {found.claimed:.2f}: {verdict}."
    )
    limit = f"With {found.canaries} made-up patients a claim above {found.reach:.1f} cannot fail."
    speak(told, as_json=as_json, lines=[line, limit])
    if found.refuted:
        raise Refused("recipe.dp", sentence="Training with noise hides less than it states.")
