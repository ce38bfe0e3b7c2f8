"""Puts a site together, every part made when it is first asked for; here is what people use.

Below it lie `rooms.work`, what an order passes, and `rooms.ground`, what all stand on.
"""

from __future__ import annotations

import secrets
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from compliance.errors import NotReady
from site_node.gate.card import findings
from site_node.gate.destruction import Destruction
from site_node.gate.drafts import Drafts
from site_node.gate.egress import Leaving
from site_node.gate.following import Following
from site_node.gate.motion_checks import Questions
from site_node.gate.motions import Motions
from site_node.gate.overview import Overview
from site_node.gate.registrar import Registrar
from site_node.gate.released import ReleasedModels
from site_node.gate.releasing import Releasing
from site_node.gate.rotation import Rotation
from site_node.gate.steward import Steward
from site_node.prediction.leaking import LeakTesting
from site_node.prediction.using import Using
from site_node.rooms.ground import clock, nonce
from site_node.rooms.work import Work
from site_node.settings import Settings, load_settings

if TYPE_CHECKING:
    from site_node.gate.export import Recorder

__all__ = ["Rooms", "clock", "open_site", "record_join", "site_rooms"]


class Rooms(Work):
    """Every part of a site, made when it is first asked for.

    Args:
        settings: the site's settings.
        clock: the time now.
    """

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

    def _registering_under(self) -> str:
        return self.agreement_id() if self.standing() == "active" else ""

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
