"""The steward's desk: every question and act of the console, answered by the rooms of the commands.

Each call opens the site anew, as a command does: settings, policy and keys are those of now.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compliance.errors import ConsiliumError, NotReady, Refused, Unreachable
from site_node.console.patience import WRONG, Patience
from site_node.gate import doctor
from site_node.gate.egress import WAYS
from site_node.gate.keys import needs_passphrase
from site_node.gate.say import plain_summary
from site_node.wiring import Rooms

Plain = dict[str, Any]
MOST_LINES = 2000


class Desk:
    """Answers for one hospital.

    Args:
        open_rooms: opens the site; `joined` and `strict` as `wiring.open_site`.
        patience: slows whoever guesses the passphrase.
    """

    def __init__(self, *, open_rooms: Callable[..., Rooms], patience: Patience) -> None:
        self._open, self._patience = open_rooms, patience

    # ------------------------------------------------------------------ questions

    def home(self) -> Plain:
        """Who this hospital is, and whether its key asks for a passphrase."""
        with self._open(joined=False, strict=False) as rooms:
            given = rooms.settings
            return {
                "site": given.site or "",
                "title": given.title or given.site or "",
                "hub": given.hub_name or "",
                "joined": given.joined,
                "protected": needs_passphrase(given.keys / "institution.key"),
                "policy": given.unusable_policy,
            }

    def inbox(self) -> Plain:
        """Charters that wait, and those that were answered."""
        with self._open() as rooms:
            rooms.look_at_consortium()
            return rooms.overview.inbox()

    def charter(self, study: str) -> Plain:
        """The card of a charter, and the text that would be signed."""
        with self._open() as rooms:
            rooms.look_at_consortium()
            card = rooms.steward.show(study)
            draft, _ = rooms.drafts.find(study)
            protected = needs_passphrase(rooms.settings.keys / "institution.key")
            return {"card": card, "text": draft.text.decode(), "protected": protected}

    def studies(self) -> list[Plain]:
        """Studies that this hospital signed."""
        with self._open(strict=False) as rooms:
            return rooms.overview.running()

    def releases(self) -> Plain:
        """Models that wait for this hospital's yes or no."""
        with self._open() as rooms:
            protected = needs_passphrase(rooms.settings.keys / "institution.key")
            return {"rows": rooms.overview.releases(), "protected": protected}

    def journal(self, study: str, limit: int) -> list[Plain]:
        """The journal, newest line first."""
        with self._open(joined=False, strict=False) as rooms:
            lines = rooms.journal.lines(study=study or None, limit=min(limit, MOST_LINES))
        return lines[::-1]

    def egress(self, study: str, limit: int) -> Plain:
        """All that left: newest line first, sums by purpose, and whether the chain holds."""
        with self._open(joined=False, strict=False) as rooms:
            looked = rooms.egress.look(study=study or None, limit=min(limit, MOST_LINES))
        told = looked.plain()
        kinds = [{"what": WAYS[name].sentence, **row} for name, row in told.pop("sums").items()]
        return told | {"lines": told["lines"][::-1], "kinds": kinds}

    def datasets(self) -> Plain:
        """Datasets with exact counts, their quality, and what stayed out; all of it stays here."""
        with self._open(joined=False, strict=False) as rooms:
            rows = [_dataset(row) for row in rooms.catalogue.datasets()]
            return {"rows": rows, "quarantine": rooms.catalogue.quarantine()}

    def health(self) -> Plain:
        """What the doctor finds."""
        with self._open(joined=False, strict=False) as rooms:
            return doctor.as_plain(doctor.examine(rooms.patient))

    # ------------------------------------------------------------------ acts

    def sign(self, study: str, typed: str, passphrase: str) -> Plain:
        """Sign a charter."""
        with self._open() as rooms, self._trying(rooms, "sign"):
            rooms.look_at_consortium()
            return rooms.steward.approve(study, passphrase or None, typed)

    def refuse(self, study: str, reason: str, passphrase: str) -> Plain:
        """Refuse a charter."""
        with self._open() as rooms, self._trying(rooms, "refuse"):
            return rooms.steward.refuse(study, reason, passphrase or None)

    def withdraw(self, study: str, reason: str, typed: str) -> Plain:
        """Leave a study; a brake never waits for a passphrase."""
        with self._open(strict=False) as rooms:
            return rooms.steward.withdraw(study, reason, typed)

    def release(self, study: str, model: str, typed: str, passphrase: str) -> Plain:
        """Agree that a model leaves."""
        with self._open() as rooms, self._trying(rooms, "release"):
            agree = rooms.releasing.approve
            return agree(study, model, passphrase=passphrase or None, confirmed=typed)

    def object_to(self, study: str, model: str, reason: str, passphrase: str) -> Plain:
        """Object to a model."""
        with self._open() as rooms, self._trying(rooms, "object"):
            return rooms.releasing.refuse(study, model, reason, passphrase or None)

    @contextmanager
    def _trying(self, rooms: Rooms, act: str) -> Iterator[None]:
        """Try the hospital's key once; a wrong passphrase is written down, and slows the next."""
        try:
            with self._patience.trying():
                yield
        except Refused as error:
            if error.rule == WRONG:
                rooms.journal.write("key.wrong", rule=WRONG, act=act)
            raise


def _dataset(row: Any) -> Plain:
    plain = plain_summary(row)
    folder = Path(plain.pop("dir"))
    return plain | {"leaving": row.croissant, "quality": _quality(folder), "here": folder.is_dir()}


def _quality(folder: Path) -> Plain:
    """The exact quality report of a version; empty when its folder is away."""
    try:
        told = json.loads((folder / "quality.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def plain_error(error: ConsiliumError) -> Plain:
    """An error as the socket tells it: class, rule, sentence and next step."""
    known = isinstance(error, NotReady | Unreachable)
    return {
        "kind": type(error).__name__,
        "rule": error.rule if isinstance(error, Refused) else "",
        "sentence": getattr(error, "finding", "") if known else str(error),
        "fix": getattr(error, "fix", "") if known else "",
    }
