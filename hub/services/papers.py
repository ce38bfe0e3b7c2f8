"""The papers that go with a released model: card, model card, bill of materials, terms of use."""

from __future__ import annotations

from collections.abc import Callable

from compliance.errors import NotReady
from compliance.ledger.checkpoint import parse_text
from compliance.records.recipe import Recipe
from compliance.report.exchange.bom import bom
from compliance.report.exchange.modelcard import modelcard
from compliance.report.exchange.released import released_models
from compliance.report.exchange.terms import terms
from compliance.report.reading import read_log
from compliance.signing.note import parse
from hub.services.ledger import LedgerService
from hub.services.releases import ReleaseService

CARD, MODELCARD, BOM, TERMS = "card.json", "modelcard.md", "bom.cdx.json", "terms.md"


class ModelPapers:
    """Writes the papers of a model that may be handed out.

    Args:
        ledger: the logs; every paper follows from a witnessed one.
        releases: which model may be handed out, and its card.
        recipe: the recipe with a hash; it says which layers the file lacks.
    """

    def __init__(
        self, *, ledger: LedgerService, releases: ReleaseService, recipe: Callable[[str], Recipe]
    ) -> None:
        self._ledger, self._releases, self._recipe = ledger, releases, recipe

    def of(self, study: str, model: str | None = None) -> dict[str, bytes]:
        """Each paper by its name.

        Raises:
            NotReady: the release is not witnessed yet, or nothing was released.
            Refused: the hospitals have not agreed, or the model was called back.
        """
        name = self._releases.released(study, model)
        card = self._releases.card(study, name)
        note = self._ledger.checkpoint(study)
        entries = self._ledger.entries(study, 0, parse_text(parse(note).text).size)
        log = read_log(entries, note)
        stays = self._recipe(log.state.charter.recipe.sha256).personal
        missing = "" if stays is None else stays.missing
        for found in released_models(log, {_path(name): card}):
            if found.model_sha256 == name:
                return {
                    CARD: card,
                    MODELCARD: modelcard(log, found, missing),
                    BOM: bom(log, found, missing),
                    TERMS: terms(log, found, missing),
                }
        raise NotReady(
            "the release of this model is not witnessed by enough hospitals yet.",
            "Ask again in a minute; check that their nodes run: `consilium hub status`.",
        )


def _path(model: str) -> str:
    return f"data/model/{model.removeprefix('sha256:')[:16]}/card.json"
