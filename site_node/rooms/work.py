"""What an order passes: permit, budget, release, and what is kept beside a study."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from decimal import Decimal
from functools import cached_property
from pathlib import Path

from site_node.gate.accounts import Spell
from site_node.gate.answering import Answering
from site_node.gate.budget import Budget
from site_node.gate.controls import Controls
from site_node.gate.counts import Counts
from site_node.gate.locals import Locals
from site_node.gate.masking import Masking
from site_node.gate.permits import Permits
from site_node.gate.points import OperatingPoints
from site_node.gate.recalled import Recalled
from site_node.gate.release import Release
from site_node.gate.sweeps import Sweeps
from site_node.gate.weights import Weights
from site_node.imaging.curated import CuratedDataset
from site_node.rooms.ground import Ground, nonce
from site_node.settings import Settings, load_settings


def _price(history: Iterable[Spell], delta: Decimal) -> float:
    """Epsilon by the accountant that reports; heavy: the first call imports torch."""
    from site_node.training.accounting import epsilon_of

    return epsilon_of(history, delta)


class Work(Ground):
    """What an order or a question of the hub passes on its way through a hospital, and back."""

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
