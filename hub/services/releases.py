"""Releases: a model leaves after the hospitals agreed, with a card that follows from the log.

Only the narrative of a card comes from its makers; every number is cited from the log.
"""

from __future__ import annotations

from typing import Any

from compliance.errors import NotReady, Refused
from compliance.ledger.checkpoint import parse_text
from compliance.records.releases import ModelReleased
from compliance.report.card import NOTHING, card
from compliance.report.narrative import Narrative
from compliance.rules.releases import RELEASED, Standing, check_form, standing
from compliance.rules.state import ClosedRound, StudyState
from compliance.signing.note import parse
from hub.services.ledger import LedgerService
from hub.services.registry import ModelRegistry

FORM = "weights"
"""The only form in which this release of the program hands a model out."""


class ReleaseService:
    """Releases models and says which one may be handed out.

    Args:
        ledger: the logs; approvals and refusals are read from there alone.
        registry: keeps models and their cards.
    """

    def __init__(self, *, ledger: LedgerService, registry: ModelRegistry) -> None:
        self._ledger, self._registry = ledger, registry

    def release(
        self,
        study: str,
        model: str | None = None,
        narrative: Narrative = NOTHING,
        *,
        by: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Put the release of a model on record, with its card; the newest one, if none is named.

        Args:
            study: whose model.
            model: its hash.
            narrative: what its makers say about it; goes into the card, whose hash is on record.
            by: the person of the dashboard who releases it.

        Raises:
            NotReady: no closed round made it, it was released already, or it is not witnessed.
            Refused: too few hospitals agreed, one vetoed, or the charter lets no weights out.
        """
        state = self._ledger.state(study)
        made = _closed(state, model)
        name = made.model_sha256
        if name in state.released:
            raise NotReady(
                f"this model was {state.released[name]} already.",
                "A released one is downloaded in the dashboard or by `consilium hub model`.",
            )
        check_consent(state, study, name)
        self._check_witnessed(study, made)
        self._registry.read(study, name)
        data = self._ledger.ask(study, lambda now: card(now, name, FORM, narrative))
        digest = self._registry.keep_card(study, data)
        body = {"model_sha256": name, "form": FORM, "card_sha256": digest, "on_behalf": by}
        receipt = self._ledger.say(study, "model.released", body)
        told = standing(self._ledger.state(study), name, FORM)
        return {
            "study": study,
            "model_sha256": name,
            "form": FORM,
            "card_sha256": digest,
            "index": receipt.index,
            "agreed": told.agreed,
        }

    def released(self, study: str, model: str | None = None) -> str:
        """The model that may be handed out: the one named, else the newest that was released.

        Raises:
            NotReady: no closed round made it, or it only waits for the researcher.
            Refused: the hospitals have not agreed, or it was called back.
        """
        state = self._ledger.state(study)
        name = _closed(state, model).model_sha256
        if model is None:
            name = _newest_released(state) or name
        where = state.released.get(name)
        if where == RELEASED:
            return name
        if where is not None:
            raise Refused("release.model", sentence="This model was called back: it stays here.")
        check_consent(state, study, name)
        raise NotReady(
            "the hospitals agreed, but this model is not released yet.",
            f"A researcher runs: consilium study release {study}",
        )

    def card(self, study: str, model: str | None = None) -> bytes:
        """The card of the model that may be handed out, checked against the log.

        Raises:
            NotReady: the card is not here or was changed.
            Refused: nothing may be handed out.
        """
        name = self.released(study, model)
        return self._registry.card(study, self._card_name(study, name))

    def attachments(self, study: str) -> dict[str, bytes]:
        """What a bundle holds of models: the card of each released one, the file of the newest."""
        names = _released_models(self._ledger.state(study))
        files = {f"{_folder(name)}/card.json": self.card(study, name) for name in names}
        for name in names[-1:]:
            files[f"{_folder(name)}/model.safetensors"] = self._registry.safetensors(study, name)
        return files

    def _card_name(self, study: str, model: str) -> str:
        bodies = [event.body for event in self._ledger.events(study, "model.released")]
        found = [
            body.card_sha256
            for body in bodies
            if isinstance(body, ModelReleased) and body.model_sha256 == model
        ]
        return found[-1]

    def _check_witnessed(self, study: str, made: ClosedRound) -> None:
        note = self._ledger.checkpoint(study)
        if parse_text(parse(note).text).size <= made.index:
            raise NotReady(
                "the round of this model is not witnessed by enough hospitals yet.",
                "Check that their nodes run: `consilium hub status`.",
            )


def check_consent(state: StudyState, study: str, model: str) -> None:
    """Refuse a model to which the hospitals have not agreed; say who has not, and what to do.

    Raises:
        Refused: the form is not agreed, a hospital vetoed, or too few agreed.
    """
    wrong = check_form(state, FORM)
    if wrong is not None:
        raise Refused(wrong.rule, wrong.found, wrong.agreed, wrong.sentence)
    told = standing(state, model, FORM)
    if told.vetoed:
        words = f"{_names(told.refused)} refused this release, and the charter gives a veto."
        raise Refused("release.refused", sentence=words)
    if not told.enough:
        raise Refused("release.approvals", sentence=_too_few(told, study))


def _too_few(told: Standing, study: str) -> str:
    return (
        f"{len(told.agreed)} of {told.needed} hospitals have agreed that this model is handed out; "
        f"not yet: {_names(told.silent + told.refused)}. "
        f"At each of them the steward runs: consilium site release {study}"
    )


def _closed(state: StudyState, model: str | None) -> ClosedRound:
    rows = [row for row in state.rounds_closed if model in (None, row.model_sha256)]
    if not rows:
        raise NotReady("no closed round made this model.", "Wait for the first closed round.")
    return rows[-1]


def _released_models(state: StudyState) -> list[str]:
    """Models that may be handed out, the oldest first, each once."""
    made = dict.fromkeys(row.model_sha256 for row in state.rounds_closed)
    return [name for name in made if state.released.get(name) == RELEASED]


def _newest_released(state: StudyState) -> str | None:
    return next(reversed(_released_models(state)), None)


def _folder(model: str) -> str:
    return f"model/{model.removeprefix('sha256:')[:16]}"


def _names(sites: list[str]) -> str:
    return ", ".join(sites) or "nobody"
