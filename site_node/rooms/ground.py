"""What every other part of a site stands on."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Self

from compliance.errors import ConsiliumError, NotReady, Refused
from compliance.records.recipe import Recipe
from compliance.rules.consortium.state import ConsortiumState
from site_node.gate.at_work import AtWork
from site_node.gate.check import Patient
from site_node.gate.egress import Egress
from site_node.gate.hub_client import HubClient, open_http
from site_node.gate.journal import Clock, Journal
from site_node.gate.keys import Keys
from site_node.gate.mirror import CONSORTIUM, Mirror
from site_node.gate.predictions import Predictions
from site_node.gate.restored import Restored
from site_node.gate.statements import Statements
from site_node.gate.suspicion import Identity
from site_node.gate.terms import known_recipe
from site_node.gate.witness import Witness
from site_node.imaging.catalogue import Catalogue
from site_node.imaging.reception import Reception
from site_node.settings import Settings
from site_node.store import journal, studies
from site_node.store.journal import Sessions
from site_node.store.schema import open_store
from site_node.store.wiping import forget


def clock() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


def nonce() -> str:
    """32 hex digits that nobody can guess."""
    return secrets.token_hex(16)


@dataclass
class Ground:
    """Database, keys, line to the hub, own copies of the logs, and what this hospital holds.

    Args:
        settings: the site's settings.
        clock: the time now.
    """

    settings: Settings
    clock: Clock = clock

    def __enter__(self) -> Self:
        """Use the parts within a block; nothing stays open behind it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close connection and database."""
        if "hub" in self.__dict__:
            self.hub.close()
        if "store" in self.__dict__:
            journal.close_store(self.store)

    @cached_property
    def store(self) -> Sessions:
        """The site's database."""
        home = self.settings.home
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            return open_store(self.settings.store_path)
        except OSError as error:
            raise NotReady(
                f"the folder {home} cannot be written ({error.strerror}).",
                "Give write access, or name another folder with --home.",
            ) from error

    @cached_property
    def journal(self) -> Journal:
        """What this hospital writes down for itself."""
        return Journal(sessions=self.store, clock=self.clock)

    @cached_property
    def egress(self) -> Egress:
        """What left, line by line."""
        return Egress(sessions=self.store, clock=self.clock)

    @cached_property
    def keys(self) -> Keys:
        """The site's keys."""
        return Keys(self.settings.keys)

    @cached_property
    def hub(self) -> HubClient:
        """The way out; needs a site that has joined."""
        address, site = self.settings.hub_address, self.settings.site
        if not address or not site:
            raise NotReady(
                f"{self.settings.home} belongs to no site that has joined.",
                "Run `consilium site join CODE`, or name its folder with --home.",
            )
        return self._way(open_http(address, self.settings.ca_path))

    def _way(self, http: Any) -> HubClient:
        return HubClient(
            http=http,
            site=str(self.settings.site),
            key=lambda: self.keys.node,
            journal=self.journal,
            egress=self.egress,
            clock=self.clock,
            nonce=nonce,
        )

    @cached_property
    def mirror(self) -> Mirror:
        """The site's own copies of the logs."""
        return Mirror(sessions=self.store, journal=self.journal, clock=self.clock)

    @cached_property
    def statements(self) -> Statements:
        """Seals, keeps and delivers what this site says."""
        return Statements(
            sessions=self.store,
            journal=self.journal,
            clock=self.clock,
            nonce=nonce,
            node=lambda: self.keys.node,
        )

    @cached_property
    def restored(self) -> Restored:
        """What this home may have forgotten because it came from a backup."""
        return Restored(self.settings.home, str(self.settings.site), self.journal)

    @cached_property
    def witness(self) -> Witness:
        """Checks and cosigns."""
        identity = Identity(
            str(self.settings.site),
            str(self.settings.hub_name),
            self.keys,
            self.settings.consortium or "",
        )
        return Witness(
            identity=identity,
            hub=lambda: self.hub,
            mirror=self.mirror,
            sessions=self.store,
            clock=self.clock,
            restored=self.restored,
        )

    @cached_property
    def catalogue(self) -> Catalogue:
        """The site's curated datasets."""
        return Catalogue(self.settings.home, self.store)

    @cached_property
    def predictions(self) -> Predictions:
        """How many predictions of what class, and whether the images have moved."""
        return Predictions(sessions=self.store, clock=self.clock)

    @cached_property
    def at_work(self) -> AtWork:
        """The order in hand."""
        return AtWork(self.settings.home)

    @cached_property
    def reception(self) -> Reception:
        """Takes images in."""
        return Reception(
            settings=self.settings,
            sessions=self.store,
            write=self.journal.write,
            within=self.journal.within,
            clock=self.clock,
            random=secrets.token_bytes,
        )

    def agreement_id(self) -> str:
        """Id of the agreement by this site's own mirror; empty before the first look at it."""
        state = self.mirror.consortium()
        return state.agreement_id if state else ""

    def standing(self) -> str:
        """Where this hospital stands by its own mirror: `active`, `suspended`, `left`, `waiting`.

        `unfounded` before there is a consortium.
        """
        state = self.mirror.consortium()
        if state is None:
            return "unfounded"
        mine = state.members.get(str(self.settings.site))
        return str(mine.standing) if mine else "waiting"

    def may_work(self) -> bool:
        """Whether a study may ask this hospital to train."""
        return self.standing() in ("active", "unfounded") and self.mirror.any_open()

    def consortium(self) -> ConsortiumState | None:
        """The consortium by this site's own fold, after a look at its log.

        None before there is one, and while an alarm says that its log is not to be believed.
        """
        self.look_at_consortium()
        return self._believed()

    def _believed(self) -> ConsortiumState | None:
        return None if self.mirror.alarms(CONSORTIUM) else self.mirror.consortium()

    def _agreed_floor(self) -> int:
        state = self.mirror.consortium()
        return state.agreement.floors.min_cell if state else 0

    def look_at_consortium(self) -> None:
        """Look once at the consortium's log, so that what follows knows its newest state.

        A hub that is away, or a consortium that is not founded yet, stops nothing here.
        """
        try:
            self.witness.step(CONSORTIUM)
        except ConsiliumError as error:
            if not isinstance(error, NotReady) or self.mirror.head(CONSORTIUM):
                self.journal.write("trouble", what="mirror", study=CONSORTIUM, said=str(error))

    def look_again(self, study: str) -> None:
        """Look once at a study's log; a hub that has destroyed it already stops nothing here.

        Raises:
            Unreachable: the hub does not answer; what it knows may matter.
        """
        try:
            self.witness.step(study)
        except NotReady as error:
            self.journal.write("trouble", what="mirror", study=study, said=str(error))

    def recipe_of(self, sha256: str, carried: bytes | None) -> Recipe:
        """The recipe with this hash: kept here, of this release, or carried by a model file.

        Raises:
            NotReady: none of them has it.
        """
        with self.store() as session:
            kept = studies.find_document(session, sha256)
        for data in (kept, carried):
            try:
                return known_recipe(sha256, data)
            except Refused:
                continue
        raise NotReady(
            "the model names no recipe that is known here.",
            "Use a model of a study that this hospital signed, or of a recipe of this release.",
        )

    def runnable_recipe(self, sha256: str, carried: bytes | None) -> Recipe:
        """As `recipe_of`; a package's network is verified and imported, so that it can be built.

        Raises:
            NotReady: nobody has the recipe.
            Refused: its package is not here, not signed, or altered.
        """
        recipe = self.recipe_of(sha256, carried)
        if recipe.package is not None:
            from site_node.training.brought import admit  # slow to import: torch

            admit(self.settings.home, recipe)
        return recipe

    def _look_at_receiver(self) -> str:
        from site_node.imaging.lookout import look_at_receiver

        return look_at_receiver(self.settings)

    def _ask_pacs(self) -> str:
        from site_node.imaging.lookout import ask_pacs

        return ask_pacs(self.settings)

    @property
    def patient(self) -> Patient:
        """What the doctor looks at."""
        return Patient(
            settings=self.settings,
            store=lambda: self.store,
            keys=lambda: self.keys,
            hub=lambda: self.hub,
            mirror=lambda: self.mirror,
            statements=lambda: self.statements,
            journal=lambda: self.journal,
            restored=lambda: self.restored,
            egress=lambda: self.egress,
            receiver=self._look_at_receiver,
            pacs=self._ask_pacs,
            catalogue=lambda: self.catalogue,
            predictions=lambda: self.predictions,
            now=self.clock,
        )

    def forget_objects(self) -> int:
        """Delete every row about a single object or answer; returns how many objects there were."""
        return forget(self.store)
