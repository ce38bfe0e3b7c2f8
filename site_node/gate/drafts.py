"""Drafts: find a charter at the hub, read its text, and judge it by what this site knows itself."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from compliance.errors import ConsiliumError, Malformed, NotReady, Refused, Unreachable
from compliance.records.recipe import Recipe
from compliance.records.types import time_text
from compliance.rules.consortium.state import ConsortiumState
from compliance.signing.keys import VerifierKey
from compliance.signing.note import parse_line
from site_node.gate.card import Draft, Here, read_draft
from site_node.gate.hub_client import HubClient
from site_node.gate.journal import Clock
from site_node.gate.keys import Keys
from site_node.gate.permits import Datasets
from site_node.gate.price import Priced
from site_node.gate.terms import known_recipe
from site_node.settings import Settings
from site_node.store import studies as decisions
from site_node.store.journal import Sessions

SHORTEST = 6


class Drafts:
    """Finds charters and gathers what their judgement needs.

    Args:
        settings: the site's own limits.
        keys: the public halves are compared with the charter's.
        hub: the way out.
        sessions: the site's database.
        catalogue: the site's curated datasets.
        consortium: the site's own fold of the consortium's log, as new as can be; or None.
        priced: what a charter with noise costs here.
        clock: the time now.
    """

    def __init__(  # noqa: PLR0913 - built by hand in one place, each part named
        self,
        *,
        settings: Settings,
        keys: Keys,
        hub: Callable[[], HubClient],
        sessions: Sessions,
        catalogue: Datasets,
        consortium: Callable[[], ConsortiumState | None],
        priced: Priced,
        clock: Clock,
    ) -> None:
        self._settings, self._keys, self._hub = settings, keys, hub
        self._sessions, self._catalogue, self._clock = sessions, catalogue, clock
        self._consortium, self._priced = consortium, priced

    def find(self, study: str) -> tuple[Draft, list[str]]:
        """The charter of a study and the hospitals whose signatures verify here.

        Args:
            study: id of the study or of its charter, at least its first 6 characters.

        Raises:
            NotReady: no study, or more than one, fits.
            Refused: the text the hub shows has another hash than the id.
        """
        try:
            rows = self._hub().studies()
        except Unreachable:
            return self._remembered(study), []
        names = [(str(row.get("study")), str(row.get("charter_id"))) for row in rows]
        found = [pair for pair in names if _fits(study, *pair)]
        if len(found) != 1:
            raise _unknown(study, several=len(found) > 1)
        charter_id = found[0][1]
        told = self._hub().charter(charter_id)
        try:
            text = base64.b64decode(told["text_base64"], validate=True)
        except (KeyError, TypeError, binascii.Error):
            raise Malformed("answer of the hub", "the charter's text is unreadable") from None
        draft = read_draft(charter_id, text)
        return draft, signers(draft, told)

    def here(self, draft: Draft) -> Here:
        """What this site knows by itself when it judges this charter."""
        recipe = self._recipe(draft.body.recipe.sha256)
        return Here(
            settings=self._settings,
            public=self._keys.public,
            catalogue=self._catalogue,
            recipe=recipe,
            consortium=self._consortium(),
            now=time_text(self._clock()),
            priced=lambda: self._priced(draft.charter_id, draft.body, recipe) if recipe else None,
        )

    def _recipe(self, sha256: str) -> Recipe | None:
        with self._sessions() as session:
            data = decisions.find_document(session, sha256)
        try:
            return known_recipe(sha256, data)
        except Refused:
            return self._fetch_recipe(sha256)

    def _fetch_recipe(self, sha256: str) -> Recipe | None:
        try:
            data = self._hub().recipe(sha256)
            recipe = known_recipe(sha256, data)
        except ConsiliumError:
            return None
        with self._sessions.begin() as session:
            decisions.keep_document(session, sha256, data)
        return recipe

    def _remembered(self, study: str) -> Draft:
        with self._sessions() as session:
            rows = decisions.all_decisions(session)
        for row in rows:
            if _fits(study, row.study, row.charter_id):
                return read_draft(row.charter_id, row.text)
        raise Unreachable("the hub does not answer, and this study is not known here.")


def signers(draft: Draft, told: dict[str, Any]) -> list[str]:
    """Hospitals whose signature over this very text verifies here; claims do not count."""
    keys = {f"{site.name}/institution": site.institution for site in draft.body.sites}
    found = set()
    for row in told.get("signatures") or []:
        try:
            line = parse_line(str(row["line"]))
            key = VerifierKey.parse(keys[line.name])
        except (Malformed, KeyError, TypeError):
            continue
        if line.key_id == key.key_id and key.verifies(draft.text, line.signature):
            found.add(line.name.split("/", 1)[0])
    return sorted(found)


def _fits(asked: str, *names: str) -> bool:
    wanted = asked.removeprefix("sha256:").lower()
    if len(wanted) < SHORTEST:
        return False
    return any(name.removeprefix("sha256:").startswith(wanted) for name in names)


def _unknown(study: str, *, several: bool) -> NotReady:
    if several:
        return NotReady(f"{study} fits more than one study.", "Give more characters of its id.")
    return NotReady(
        f"no study {study} names this hospital.", "List them with `consilium site studies`."
    )
