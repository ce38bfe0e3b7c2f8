"""The models that left a study, with what was measured and said about each."""

from __future__ import annotations

from dataclasses import dataclass, field

from compliance.canonical import decode, sha256_id
from compliance.errors import ConsiliumError
from compliance.records.releases import ModelReleased
from compliance.records.rounds import MetricValue
from compliance.report.card import measured
from compliance.report.log import Files, Log
from compliance.report.narrative import Narrative, narrative_of

HEX = 16


@dataclass(frozen=True)
class Number:
    """One measured value, the entry that holds it, and the model it is about.

    `local` says that a hospital had trained this model further on its own cases before it measured.
    """

    entry: int
    site: str
    dataset: str
    metric: str
    value: MetricValue
    where: str
    model_sha256: str
    local: bool

    def about(self, model_sha256: str) -> str:
        """What was measured, seen from the card of one model."""
        same = self.model_sha256 == model_sha256
        what = "this model" if same else f"earlier model {short(self.model_sha256)}"
        return f"local training from {what}" if self.local else what


ByModel = dict[str, list[Number]]


@dataclass(frozen=True)
class Released:
    """A model that left the study.

    Args:
        model_sha256: its hash.
        form: how it left.
        entry: the release; the newest one, if there are several.
        time: of that entry.
        has_card: whether its card is in the bundle.
        narrative: what the card says in words; empty without a card.
        numbers: what was measured about this model.
        earlier: if nothing visible was measured about it, what was about the last model before
            it of which anything was; else nothing.
    """

    model_sha256: str
    form: str
    entry: int
    time: str
    has_card: bool
    narrative: Narrative
    numbers: list[Number] = field(default_factory=list)
    earlier: list[Number] = field(default_factory=list)

    @property
    def short(self) -> str:
        """The first digits of its hash, by which its folder is named."""
        return short(self.model_sha256)

    @property
    def folder(self) -> str:
        """Where its files lie in a bundle."""
        return f"data/model/{self.short}"


def short(digest: str) -> str:
    """The first digits of a hash."""
    return digest.removeprefix("sha256:")[:HEX]


def released_models(log: Log, attached: Files) -> list[Released]:
    """Every model that left, in the order of the log; one that was called back stays visible."""
    found: dict[str, tuple[int, str, ModelReleased]] = {}
    for index, event in log.of_kind("model.released"):
        if isinstance(event.body, ModelReleased):
            found[event.body.model_sha256] = (index, event.time, event.body)
    by_model = _numbers(log)
    return [_released(log, attached, by_model, *row) for row in found.values()]


def made_in(log: Log, model_sha256: str) -> int | None:
    """The number of the round that made a model."""
    rounds = log.state.rounds_closed
    return next((row.number for row in rounds if row.model_sha256 == model_sha256), None)


def _released(
    log: Log, attached: Files, by_model: ByModel, index: int, time: str, body: ModelReleased
) -> Released:
    model = body.model_sha256
    data = attached.get(f"data/model/{short(model)}/card.json")
    narrative = _narrative(data, body.card_sha256)
    own = by_model.get(model, [])
    return Released(
        model_sha256=model,
        form=body.form,
        entry=index,
        time=time,
        has_card=narrative is not None,
        narrative=narrative or Narrative(),
        numbers=own,
        earlier=[] if _visible(own) else _before(log, by_model, model),
    )


def _narrative(data: bytes | None, card_sha256: str) -> Narrative | None:
    """The words of a card; a card that the log does not name, or that is none, says nothing."""
    if data is None or sha256_id(data) != card_sha256:
        return None
    try:
        return narrative_of(decode(data)["narrative"])
    except (ConsiliumError, KeyError, TypeError):
        return None


def _numbers(log: Log) -> ByModel:
    found: ByModel = {}
    for index, site, body in log.state.metrics:
        for metric, value in sorted(body.values.items()):
            where, model = measured(site, body), body.model_sha256
            local = body.phase == "after_training"
            row = Number(index, site, body.dataset, metric, value, where, model, local)
            found.setdefault(model, []).append(row)
    return found


def _before(log: Log, by_model: ByModel, model: str) -> list[Number]:
    made = [log.state.charter.initial_model_sha256]
    made += [row.model_sha256 for row in log.state.rounds_closed]
    older = made[: made.index(model)] if model in made else []
    rows = (by_model.get(name, []) for name in reversed(older))
    return next((found for found in rows if _visible(found)), [])


def _visible(rows: list[Number]) -> bool:
    return any(row.value.value is not None for row in rows)
