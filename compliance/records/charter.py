"""The charter: entry 0 of a study log, signed with the hospitals' own keys.

Every field is required but `start_model`; null only where it is said. Whether the numbers fit
together is a matter of the rules (`compliance.rules.charter`), not of the form.

Source: design/ledger.md §4.1.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from compliance.records.legal import Legal
from compliance.records.types import (
    MAP_KEYS,
    MAX_METRICS,
    Code,
    Count,
    Dec,
    Origin,
    Record,
    Ref,
    Sha,
    Site,
    Slug,
    Text80,
    Text120,
    Text2000,
    Time,
    VKeyText,
)

Output = Literal["weights", "onnx", "metrics_only"]
Duo = Literal[
    "NRES", "GRU", "HMB", "DS", "POA", "NPOA", "NMDS", "NPU", "NCU", "NPUNCU", "CC",
    "IRB", "GS", "MOR", "GSO", "PUB", "COL", "US", "PS", "IS", "TS", "RTN", "RS",
]  # fmt: skip
Flag = Literal[
    "controls", "population", "gender", "paediatric", "vulnerable", "illegal_behaviour",
    "sexual_health", "psychological", "not_health", "stigmatising", "other",
]  # fmt: skip
Params = Annotated[dict[Slug, Dec], Field(max_length=MAP_KEYS)]


class CharterSite(Record):
    """A hospital and its three keys."""

    name: Site
    institution: VKeyText
    node: VKeyText
    witness: VKeyText


class Purpose(Record):
    """What the data may be used for (GA4GH DUO); `disease` holds the code and its ancestors."""

    use: Literal["GRU", "HMB", "DS", "POA", "MDS"]
    disease: Annotated[list[Code], Field(max_length=256)]
    for_profit: bool
    commercial: bool
    flags: Annotated[list[Flag], Field(max_length=16)]


class Task(Record):
    """What the model says: labels and the way images are prepared are part of its identity."""

    kind: Slug
    labels: Annotated[list[Slug], Field(min_length=1, max_length=256)]
    label_map_sha256: Sha
    preprocessing_sha256: Sha


class RecipeRef(Record):
    """The registered recipe by name, version and hash."""

    id: Slug
    version: Count
    sha256: Sha
    family: Slug


class CharterDataset(Record):
    """One dataset of one hospital, pinned by version, with the terms of its data."""

    site: Site
    id: Slug
    version: Sha
    duo: Annotated[list[Duo], Field(max_length=23)]
    disease: Annotated[list[Code], Field(max_length=64)]
    description_sha256: Sha
    dac: Ref | None
    epsilon: Dec | None


class StartModel(Record):
    """Where given start weights come from; without it they are drawn from the study's id.

    `sha256` names the file as the researcher handed it in, or the charter of the earlier study of
    this consortium that released the model. What the weights are says `initial_model_sha256`.
    """

    source: Literal["file", "released"]
    sha256: Sha

    @property
    def words(self) -> str:
        """Where the weights come from, for people."""
        if self.source == "file":
            return f"a file of the researcher, {self.sha256}"
        return f"a released model of the study with charter {self.sha256}"


class AggregatorRef(Record):
    """How updates become one model."""

    name: Slug
    params: Params
    masked: bool


class PrivacyTerms(Record):
    """The cap per dataset over the whole study."""

    unit: Literal["patient", "image"]
    epsilon: Dec
    delta: Dec
    accountant: Literal["prv", "rdp"]


class Evaluation(Record):
    """The only names that a metric may carry."""

    primary: Slug
    metrics: Annotated[list[Slug], Field(min_length=1, max_length=MAX_METRICS)]
    subgroups: Annotated[list[Slug], Field(max_length=MAX_METRICS)]


class ReleaseTerms(Record):
    """What may leave, after how many hospitals agreed."""

    outputs: Annotated[list[Output], Field(min_length=1, max_length=3)]
    k: Count
    veto: bool


class ContributionTerms(Record):
    """The rule by which contributions are measured, agreed before the run."""

    rule: Slug
    params: Params


class ExternalWitness(Record):
    """A witness outside the study."""

    name: Slug
    vkey: VKeyText


class QuorumTerms(Record):
    """How many witnesses must have cosigned; the tlog-policy text is derived from here."""

    k: Count
    witnesses: Annotated[list[Site], Field(max_length=MAP_KEYS)]
    external: Annotated[list[ExternalWitness], Field(max_length=16)]


class Document(Record):
    """A document that everybody agreed on, by hash."""

    kind: Literal["protocol", "statistics", "risk", "pccp", "intended_use", "other"]
    ref: Text80
    sha256: Sha


class CharterBody(Record):
    """The complete text of an agreement between hospitals about one study."""

    title: Text120
    summary: Text2000
    consortium: Sha
    origin: Origin
    log_key: VKeyText
    hub_key: VKeyText
    researcher: VKeyText
    sites: Annotated[list[CharterSite], Field(min_length=1, max_length=MAP_KEYS)]
    signatures_required: Count
    purpose: Purpose
    task: Task
    recipe: RecipeRef
    bundle_sha256: Sha
    initial_model_sha256: Sha
    start_model: StartModel | None = None
    datasets: Annotated[list[CharterDataset], Field(min_length=1, max_length=256)]
    min_sites: Count
    min_examples: Count
    min_cell: Count
    max_rounds: Count
    round_seconds: Count
    aggregator: AggregatorRef
    dp: PrivacyTerms | None
    evaluation: Evaluation
    release: ReleaseTerms
    contribution: ContributionTerms
    quorum: QuorumTerms
    legal: Legal
    documents: Annotated[list[Document], Field(max_length=MAP_KEYS)]
    starts: Time
    expires: Time
    retention_until: Time

    @model_serializer(mode="wrap")
    def _without_what_is_not_asked(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave `start_model` out where the start is drawn: charters of before keep their hash."""
        told: dict[str, Any] = plain(self)
        if self.start_model is None:
            told.pop("start_model")
        return told

    def site_names(self) -> list[str]:
        """The hospitals, in the order of the charter."""
        return [site.name for site in self.sites]

    def site(self, name: str) -> CharterSite | None:
        """One hospital's keys."""
        return next((site for site in self.sites if site.name == name), None)

    def dataset(self, site: str, dataset: str) -> CharterDataset | None:
        """One dataset of one hospital."""
        found = (row for row in self.datasets if (row.site, row.id) == (site, dataset))
        return next(found, None)

    def datasets_of(self, site: str) -> list[CharterDataset]:
        """All datasets of one hospital."""
        return [row for row in self.datasets if row.site == site]
