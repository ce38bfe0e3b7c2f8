"""The site's parts, put together by hand; the only place where clock and randomness are bound."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compliance.errors import ConsiliumError, NotReady, Refused
from compliance.records.recipe import Recipe
from compliance.rules.consortium.state import ConsortiumState
from site_node.gate.accounts import Spell
from site_node.gate.answering import Answering
from site_node.gate.at_work import AtWork
from site_node.gate.budget import Budget
from site_node.gate.card import findings
from site_node.gate.check import Patient
from site_node.gate.controls import Controls
from site_node.gate.counts import Counts
from site_node.gate.destruction import Destruction
from site_node.gate.drafts import Drafts
from site_node.gate.egress import Egress, Leaving
from site_node.gate.following import Following
from site_node.gate.hub_client import HubClient, open_http
from site_node.gate.journal import Clock, Journal
from site_node.gate.keys import Keys
from site_node.gate.locals import Locals
from site_node.gate.masking import Masking
from site_node.gate.mirror import CONSORTIUM, Mirror
from site_node.gate.motion_checks import Questions
from site_node.gate.motions import Motions
from site_node.gate.overview import Overview
from site_node.gate.permits import Permits
from site_node.gate.points import OperatingPoints
from site_node.gate.predictions import Predictions
from site_node.gate.recalled import Recalled
from site_node.gate.registrar import Registrar
from site_node.gate.release import Release
from site_node.gate.released import ReleasedModels
from site_node.gate.releasing import Releasing
from site_node.gate.restored import Restored
from site_node.gate.rotation import Rotation
from site_node.gate.statements import Statements
from site_node.gate.steward import Steward
from site_node.gate.suspicion import Identity
from site_node.gate.sweeps import Sweeps
from site_node.gate.terms import known_recipe
from site_node.gate.weights import Weights
from site_node.gate.witness import Witness
from site_node.imaging.catalogue import Catalogue
from site_node.imaging.curated import CuratedDataset
from site_node.imaging.reception import Reception
from site_node.prediction.leaking import LeakTesting
from site_node.prediction.using import Using
from site_node.settings import Settings, load_settings
from site_node.store import (
    journal,
    studies,
)
from site_node.store.journal import Sessions
from site_node.store.schema import open_store
from site_node.store.wiping import forget

if TYPE_CHECKING:
    from site_node.gate.export import Recorder


def clock() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


def nonce() -> str:
    """32 hex digits that nobody can guess."""
    return secrets.token_hex(16)


def _price(history: Iterable[Spell], delta: Decimal) -> float:
    """Epsilon by the accountant that reports; heavy: the first call imports torch."""
    from site_node.training.accounting import epsilon_of

    return epsilon_of(history, delta)


@dataclass
class Rooms:
    """Every part of a site, made when it is first asked for.

    Args:
        settings: the site's settings.
        clock: the time now.
    """

    settings: Settings
    clock: Clock = clock

    def __enter__(self) -> Rooms:
        """Use the parts within a block; nothing stays open behind it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close connection and database."""
        if "hub" in self.__dict__:
            self.hub.close()
        if "store" in self.__dict__:
            journal.close_store(self.store)

    def forget_objects(self) -> int:
        """Delete every row about a single object or answer; returns how many objects there were."""
        return forget(self.store)

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
    def catalogue(self) -> Catalogue:
        """The site's curated datasets."""
        return Catalogue(self.settings.home, self.store)

    @cached_property
    def counts(self) -> Counts:
        """How many patients of a kind are here, as it may be told."""
        return self._counts_under(self.settings)

    def _counts_under(self, settings: Settings) -> Counts:
        return Counts(
            settings=settings,
            sessions=self.store,
            catalogue=self.catalogue,
            journal=self.journal,
            least=self._agreed_floor,
        )

    @cached_property
    def answering(self) -> Answering:
        """Answers the consortium's questions how many."""
        return Answering(
            settings=lambda: load_settings(self.settings.home, strict=False),
            keys=self.keys,
            hub=lambda: self.hub,
            consortium=self._believed,
            counts=self._counts_under,
            sessions=self.store,
            journal=self.journal,
            clock=self.clock,
            nonce=nonce,
        )

    @cached_property
    def permits(self) -> Permits:
        """May this happen here, now?"""
        return Permits(
            settings=self.settings,
            mirror=self.mirror,
            sessions=self.store,
            catalogue=self.catalogue,
            journal=self.journal,
            restored=self.restored,
        )

    @cached_property
    def restored(self) -> Restored:
        """What this home may have forgotten because it came from a backup."""
        return Restored(self.settings.home, str(self.settings.site), self.journal)

    @cached_property
    def at_work(self) -> AtWork:
        """The order in hand."""
        return AtWork(self.settings.home)

    @cached_property
    def weights(self) -> Weights:
        """The newest models that came in."""
        return Weights(
            home=self.settings.home,
            site=str(self.settings.site),
            mirror=self.mirror,
            sessions=self.store,
        )

    @cached_property
    def locals(self) -> Locals:
        """Layers that stay here."""
        return Locals(home=self.settings.home, sessions=self.store)

    @cached_property
    def controls(self) -> Controls:
        """SCAFFOLD's memory."""
        home, site = self.settings.home, str(self.settings.site)
        return Controls(home=home, site=site, sessions=self.store)

    @cached_property
    def points(self) -> OperatingPoints:
        """Frozen thresholds."""
        return OperatingPoints(
            site=str(self.settings.site),
            sessions=self.store,
            journal=self.journal,
            clock=self.clock,
        )

    @cached_property
    def release(self) -> Release:
        """The door."""
        return Release(
            keys=self.keys,
            permits=self.permits,
            mirror=self.mirror,
            statements=self.statements,
            sessions=self.store,
            journal=self.journal,
            folder=self.settings.home / "replies",
            budget=self.budget,
            masking=self.masking,
            clock=self.clock,
        )

    @cached_property
    def masking(self) -> Masking:
        """Mask keys, masks, and what is opened."""
        return Masking(
            site=str(self.settings.site),
            keys=self.keys,
            mirror=self.mirror,
            statements=self.statements,
            sessions=self.store,
            journal=self.journal,
            clock=self.clock,
            random=secrets.token_bytes,
        )

    @cached_property
    def sweeps(self) -> Sweeps:
        """The door of sweeps."""
        return Sweeps(
            keys=self.keys,
            permits=self.permits,
            statements=self.statements,
            sessions=self.store,
            journal=self.journal,
            folder=self.settings.home / "replies",
            clock=self.clock,
        )

    @cached_property
    def budget(self) -> Budget:
        """The privacy budget."""
        return Budget(
            settings=self.settings,
            sessions=self.store,
            journal=self.journal,
            price=_price,
            catalogue=self.catalogue,
            people=self.people,
            recall=lambda: self.recalled.complete(),
            clock=self.clock,
            nonce=nonce,
        )

    @cached_property
    def recalled(self) -> Recalled:
        """What a restored home remembers of its privacy budget."""
        return Recalled(
            site=str(self.settings.site),
            mirror=self.mirror,
            restored=self.restored,
            recipe=lambda sha256: self.recipe_of(sha256, None),
            catalogue=self.catalogue,
            people=self.people,
            sessions=self.store,
            journal=self.journal,
            clock=self.clock,
        )

    def people(self, folder: Path) -> list[str]:
        """The patient of each training image of a dataset's folder, as a pseudonym."""
        data = CuratedDataset.open(folder)
        return data.patients(data.rows("train"))

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
    def drafts(self) -> Drafts:
        """Finds and judges charters."""
        return Drafts(
            settings=self.settings,
            keys=self.keys,
            hub=lambda: self.hub,
            sessions=self.store,
            catalogue=self.catalogue,
            consortium=self.consortium,
            priced=lambda *told: self.budget.priced(*told),
            clock=self.clock,
        )

    @cached_property
    def steward(self) -> Steward:
        """Does what a steward decides."""
        return Steward(
            consortium=self.agreement_id,
            keys=self.keys,
            hub=lambda: self.hub,
            mirror=self.mirror,
            statements=self.statements,
            drafts=self.drafts,
            sessions=self.store,
            journal=self.journal,
            clock=self.clock,
        )

    @cached_property
    def releasing(self) -> Releasing:
        """Says yes or no to a model that would leave."""
        return Releasing(
            settings=self.settings,
            keys=self.keys,
            hub=lambda: self.hub,
            look=lambda study: self.witness.step(study),
            mirror=self.mirror,
            statements=self.statements,
            sessions=self.store,
            journal=self.journal,
            clock=self.clock,
        )

    @cached_property
    def released_models(self) -> ReleasedModels:
        """Which model may be used here."""
        return ReleasedModels(
            mirror=self.mirror,
            weights=self.weights,
            look=lambda study: self.witness.step(study),
            recipe_of=self.runnable_recipe,
            own_of=self.locals.of_model,
        )

    @cached_property
    def predictions(self) -> Predictions:
        """How many predictions of what class, and whether the images have moved."""
        return Predictions(sessions=self.store, clock=self.clock)

    @cached_property
    def leak_testing(self) -> LeakTesting:
        """Tests whether a model gives away who it was trained on."""
        return LeakTesting(
            site=str(self.settings.site),
            releasing=self.releasing,
            weights=self.weights,
            catalogue=self.catalogue,
            sessions=self.store,
            recipe_of=self.runnable_recipe,
            own_of=self.locals.of_model,
            write=self.journal.write,
        )

    @cached_property
    def using(self) -> Using:
        """Uses a released model on local images."""
        return Using(
            settings=self.settings,
            models=self.released_models,
            reception=self.reception,
            sessions=self.store,
            catalogue=self.catalogue,
            write=self.journal.write,
            clock=self.clock,
            random=secrets.token_bytes,
        )

    @cached_property
    def overview(self) -> Overview:
        """What lies before the steward."""
        return Overview(
            steward=self.steward,
            drafts=self.drafts,
            releasing=lambda: self.releasing,
            mirror=self.mirror,
            egress=self.egress,
            sessions=self.store,
            clock=self.clock,
            site=str(self.settings.site),
            at_work=self.at_work,
        )

    @cached_property
    def registrar(self) -> Registrar:
        """Tells the consortium which datasets exist."""
        return Registrar(
            settings=self.settings,
            keys=self.keys,
            statements=self.statements,
            sessions=self.store,
            catalogue=self.catalogue,
            consortium=self._registering_under,
        )

    @cached_property
    def rotation(self) -> Rotation:
        """Replaces keys."""
        return Rotation(
            site=str(self.settings.site),
            keys=self.keys,
            hub=lambda: self.hub,
            mirror=self.mirror,
            motions=self.motions,
            statements=self.statements,
            sessions=self.store,
            journal=self.journal,
            clock=self.clock,
        )

    @cached_property
    def destruction(self) -> Destruction:
        """Ends what is kept of a study."""
        return Destruction(
            keys=self.keys,
            hub=lambda: self.hub,
            mirror=self.mirror,
            statements=self.statements,
            sessions=self.store,
            journal=self.journal,
            folder=self.settings.home / "replies",
            weights=self.weights,
            clock=self.clock,
        )

    @cached_property
    def following(self) -> Following:
        """Points this site to a successor of its hub."""
        return Following(
            settings=self.settings,
            keys=self.keys,
            mirror=self.mirror,
            journal=self.journal,
            way=self._way,
        )

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
    def motions(self) -> Motions:
        """Texts that wait for signatures of several hospitals."""
        return Motions(
            keys=self.keys,
            hub=lambda: self.hub,
            mirror=self.mirror,
            questions=self._questions,
            statements=self.statements,
            sessions=self.store,
            journal=self.journal,
            clock=self.clock,
            nonce=nonce,
        )

    def _questions(self) -> Questions:
        return Questions(
            site=str(self.settings.site),
            public=self.keys.public,
            hub_name=str(self.settings.hub_name),
            events_vkey=str(self.settings.events_vkey),
            findings=lambda draft: findings(draft, self.drafts.here(draft)),
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

    def _registering_under(self) -> str:
        return self.agreement_id() if self.standing() == "active" else ""

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

    @cached_property
    def recorder(self) -> Recorder:
        """Puts the site's own exports on record."""
        from site_node.gate.export import Recorder

        return Recorder(
            mirror=self.mirror,
            keys=self.keys,
            statements=self.statements,
            sessions=self.store,
        )

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


def site_rooms(settings: Settings) -> Rooms:
    """Put a site together."""
    return Rooms(settings)


def record_join(home: Path, data: bytes) -> None:
    """Write down what an application to join says, in the home that is about to become a site's."""
    with Rooms(load_settings(home)) as rooms:
        rooms.egress.write(Leaving("join", data))


def open_site(home: Path | None, *, joined: bool = True, strict: bool = True) -> Rooms:
    """The parts of the site in a home.

    Args:
        home: its folder; None names the default one.
        joined: whether only a member will do.
        strict: whether a policy that cannot be used stops everything, or training only.

    Raises:
        NotReady: the site that lives there has not joined.
    """
    settings = load_settings(home, strict=strict)
    if joined and not settings.joined:
        raise NotReady(
            f"{settings.home} belongs to no site that has joined.",
            "Run `consilium site join CODE`, or name its folder with --home.",
        )
    return site_rooms(settings)
