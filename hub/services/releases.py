"""Releases: a model leaves after the hospitals agreed, with a card that follows from the log."""

from __future__ import annotations

from typing import Any

from compliance.errors import NotReady, Refused
from compliance.ledger.checkpoint import parse_text
from compliance.records.releases import ModelReleased
from compliance.report.card import card
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

    def release(self, study: str, model: str | None = None) -> dict[str, Any]:
        """Put the release of a model on record, with its card; the newest one, if none is named.

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
        data = self._ledger.ask(study, lambda now: card(now, name, FORM))
        digest = self._registry.keep_card(study, data)
        body = {"model_sha256": name, "form": FORM, "card_sha256": digest, "on_behalf": None}
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
        """What a bundle holds of a model: card and file of the newest one, if it is released."""
        name = _newest_released(self._ledger.state(study))
        if name is None:
            return {}
        folder = f"model/{name.removeprefix('sha256:')[:16]}"
        return {
            f"{folder}/card.json": self.card(study, name),
            f"{folder}/model.safetensors": self._registry.safetensors(study, name),
        }

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


def _newest_released(state: StudyState) -> str | None:
    names = [row.model_sha256 for row in state.rounds_closed]
    return next((name for name in reversed(names) if state.released.get(name) == RELEASED), None)


def _names(sites: list[str]) -> str:
    return ", ".join(sites) or "nobody"
