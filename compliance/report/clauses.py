"""The table of clauses: what the system does about each, which entries show it, what lies outside.

Clauses are cited by number and a short subject; no text of a law is reproduced, no deadline is
printed. Each row is our reading, to be reviewed by every hospital's counsel.

Source: design/compliance.md §5.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

Ceiling = Literal["evidence", "partial", "organisational"]
REVIEWED = "2026-11-25"
"""When somebody read the rows last; a row that is read again gets a date of its own."""

READ_AGAIN = timedelta(days=400)


@dataclass(frozen=True)
class Control:
    """One clause.

    Args:
        id: profile and clause in kebab case, for ever stable.
        clause: as it is cited.
        subject: in a few words.
        query: names of questions to the log: `a + b` looks for both, `a | b` for any of them.
        ceiling: the most that a log can say about it.
        supports: what the system does about it.
        outside: what the log cannot say.
        files: where the evidence is laid out in a bundle; `*` stands for any name.
        reviewed: date of the last reading.
    """

    id: str
    clause: str
    subject: str
    query: str
    ceiling: Ceiling
    supports: str
    outside: str
    files: tuple[str, ...]
    reviewed: str = REVIEWED

    @property
    def parts(self) -> list[str]:
        """The names of the questions."""
        return self.query.split(" | " if self.any_suffices else " + ")

    @property
    def any_suffices(self) -> bool:
        """Whether one answer is enough."""
        return " | " in self.query


def overdue(today: date, table: Iterable[Control] | None = None) -> list[str]:
    """Ids of rows that nobody has read for more than 400 days: laws change meanwhile."""
    rows = CONTROLS if table is None else table
    return [row.id for row in rows if today - date.fromisoformat(row.reviewed) > READ_AGAIN]


CONTROLS: tuple[Control, ...] = (
    Control(
        "hipaa-164-312-b",
        "HIPAA 164.312(b)",
        "audit controls: record and examine activity",
        "all_entries + reviews",
        "partial",
        "The signed log of hub and hospitals, and the reviews of it.",
        "Access to PACS and health records stays in the hospital's own audit.",
        ("data/events.csv", "data/governance/reviews.csv"),
    ),
    Control(
        "hipaa-164-312-c",
        "HIPAA 164.312(c)(1), (2)",
        "integrity; corroborate that records are not altered",
        "verification",
        "evidence",
        "A tree of hashes over every entry, cosigned by witnesses; models are named by hash.",
        "",
        ("data/log/checkpoint",),
    ),
    Control(
        "hipaa-164-312-a-2-i-d",
        "HIPAA 164.312(a)(2)(i), (d)",
        "unique identification; entity authentication",
        "keys",
        "partial",
        "One key for each role, none shared; every entry is signed with one.",
        "Who holds a key.",
        ("data/governance/keys.csv",),
    ),
    Control(
        "hipaa-164-316-b-2-i",
        "HIPAA 164.316(b)(2)(i)",
        "keep documentation six years",
        "retention(2190)",
        "evidence",
        "The agreed end of retention lies at least 2,190 days after the charter expires.",
        "The keeping itself.",
        ("data/charter.json",),
    ),
    Control(
        "hipaa-164-514",
        "HIPAA 164.514(a)-(c)",
        "de-identification",
        "deid",
        "partial",
        "Each registration names profile, version and rules of the de-identification.",
        "That pixels show no mark of a person; registrations are checked against the "
        "consortium's policy only.",
        ("data/privacy/deid/*.json", "data/consortium/*.note"),
    ),
    Control(
        "hipaa-164-528",
        "HIPAA 164.528",
        "accounting of disclosures",
        "updates + releases",
        "partial",
        "A table of what left, for each hospital.",
        "Whether an update is a disclosure is the entity's call; no patient is listed, by design.",
        ("data/sites/*/disclosures.csv",),
    ),
    Control(
        "hipaa-164-308-a-1-ii-d",
        "HIPAA 164.308(a)(1)(ii)(D)",
        "review of records of activity",
        "reviews",
        "partial",
        "Reviews on record, with range and result.",
        "How often to review is a matter of policy.",
        ("data/governance/reviews.csv",),
    ),
    Control(
        "gdpr-5-2",
        "GDPR Art. 5(2)",
        "accountability",
        "all_entries + verification",
        "partial",
        "The whole bundle.",
        "What happens outside the study's log.",
        ("data/README.html", "data/events.jsonl"),
    ),
    Control(
        "gdpr-6-9",
        "GDPR Art. 6, 9",
        "lawful basis; special categories",
        "legal_block",
        "partial",
        "The bases that each controller named, in the signed charter.",
        "The assessment itself.",
        ("data/charter.json", "data/privacy/ropa_art30.json"),
    ),
    Control(
        "gdpr-17-7-3-21",
        "GDPR Art. 17, 7(3), 21",
        "erasure, withdrawal of consent, objection",
        "withdrawals + erasures",
        "partial",
        "Reduced and withdrawn datasets, erasures; later rounds refuse what was withdrawn.",
        "The records at the source, and the influence on a model that learned before.",
        ("data/governance/decisions.csv",),
    ),
    Control(
        "gdpr-25-32",
        "GDPR Art. 25, 32",
        "protection by design; security",
        "denials + dp + rounds",
        "partial",
        "Data stay at the hospital; floors, budgets and rules are enforced, refusals are "
        "on record.",
        "The security of the hospital.",
        ("data/governance/decisions.csv", "data/privacy/dp_ledger.csv"),
    ),
    Control(
        "gdpr-26-28",
        "GDPR Art. 26, 28",
        "joint controllers; processor",
        "legal_block + signatures",
        "partial",
        "Controllers and processor with the hash of their agreement, signed by the institutions.",
        "The content of the agreement.",
        ("data/charter.json", "data/governance/signatures.csv"),
    ),
    Control(
        "gdpr-30-1",
        "GDPR Art. 30(1)",
        "records of processing activities",
        "legal_block",
        "partial",
        "A record filled in from the signed charter.",
        "Fields marked 'to be completed by the controller'.",
        ("data/privacy/ropa_art30.json",),
    ),
    Control(
        "gdpr-33",
        "GDPR Art. 33",
        "notification of a breach",
        "stops(privacy, integrity) | recalls",
        "organisational",
        "Stops for privacy or integrity, and recalls, with time and reason.",
        "Noticing a breach, judging it, and the notification.",
        ("data/governance/decisions.csv",),
    ),
    Control(
        "gdpr-35",
        "GDPR Art. 35",
        "impact assessment",
        "assessments",
        "partial",
        "The reference and hash of each hospital's assessment; inputs for it.",
        "The assessment of risks, and whether one is required.",
        ("data/privacy/dpia_inputs.json",),
    ),
    Control(
        "gdpr-44-49",
        "GDPR Art. 44-49",
        "transfers to third countries",
        "transfers",
        "organisational",
        "Transfers that the charter names, with their mechanism.",
        "Whether the mechanism holds.",
        ("data/charter.json",),
    ),
    Control(
        "gdpr-89-1",
        "GDPR Art. 89(1)",
        "safeguards for research",
        "rounds + dp",
        "partial",
        "Floors and privacy budgets, enforced round by round; no raw data leaves.",
        "Whether the safeguards are enough.",
        ("data/participation.csv", "data/privacy/dp_ledger.csv"),
    ),
    Control(
        "ehds-68",
        "Regulation (EU) 2025/327 Art. 68",
        "data permit",
        "permits",
        "partial",
        "The permit by reference, hash and expiry.",
        "The permit's content.",
        ("data/charter.json",),
    ),
    Control(
        "ehds-71",
        "Regulation (EU) 2025/327 Art. 71",
        "opt-out",
        "objections + withdrawals",
        "partial",
        "When objections were applied last before signing; datasets that became smaller since.",
        "The opt-out register.",
        ("data/charter.json", "data/governance/decisions.csv"),
    ),
    Control(
        "ehds-73",
        "Regulation (EU) 2025/327 Art. 73",
        "secure processing environment",
        "all_entries",
        "partial",
        "Only updates, numbers and hashes leave; each act has a signer.",
        "The environment itself; wording and period of the clause were not verified.",
        ("data/events.csv",),
    ),
    Control(
        "ai-act-9",
        "Regulation (EU) 2024/1689 Art. 9",
        "risk management",
        "stops | documents(risk)",
        "organisational",
        "The hash of the risk document; stops.",
        "The risk management system.",
        ("data/charter.json",),
    ),
    Control(
        "ai-act-10",
        "Regulation (EU) 2024/1689 Art. 10",
        "data and data governance",
        "datasets + metrics",
        "partial",
        "Versions, descriptions and terms of use of the data; values measured at each hospital.",
        "Whether the data are representative.",
        ("data/charter.json", "data/data/*.croissant.json"),
    ),
    Control(
        "ai-act-11",
        "Regulation (EU) 2024/1689 Art. 11, Annex IV",
        "technical documentation",
        "cards",
        "partial",
        "Model card, bill of materials and training program, by hash.",
        "Fields marked 'to be completed by the developer'.",
        ("data/model/*/card.json", "data/model/*/modelcard.md", "data/model/*/bom.cdx.json"),
    ),
    Control(
        "ai-act-12",
        "Regulation (EU) 2024/1689 Art. 12(1), (2)",
        "automatic recording of events",
        "all_entries",
        "partial",
        "The log of training and release.",
        "Records of use are made by the deployer's product.",
        ("data/events.jsonl", "data/events.csv"),
    ),
    Control(
        "ai-act-13",
        "Regulation (EU) 2024/1689 Art. 13",
        "information to deployers",
        "cards",
        "partial",
        "The model's card.",
        "What the developer must add.",
        ("data/model/*/card.json", "data/model/*/modelcard.md"),
    ),
    Control(
        "ai-act-14",
        "Regulation (EU) 2024/1689 Art. 14",
        "human oversight",
        "signatures | releases | stops",
        "partial",
        "Institutions sign and answer each release; one can stop a study, all must lift the stop.",
        "Oversight in use.",
        ("data/governance/signatures.csv", "data/governance/decisions.csv"),
    ),
    Control(
        "ai-act-15",
        "Regulation (EU) 2024/1689 Art. 15",
        "accuracy, robustness, cybersecurity",
        "metrics + exclusions",
        "partial",
        "Values with intervals from each hospital; updates that were left out, with the reason.",
        "Tests in use.",
        ("data/participation.csv", "data/model/*/modelcard.md"),
    ),
    Control(
        "ai-act-17-18",
        "Regulation (EU) 2024/1689 Art. 17, 18",
        "quality system; ten-year documentation",
        "retention(3653)",
        "organisational",
        "The agreed end of retention, ten years where chosen.",
        "The quality system; the period of Art. 18 was not verified.",
        ("data/charter.json",),
    ),
    Control(
        "ai-act-19-26-6",
        "Regulation (EU) 2024/1689 Art. 19(1), 26(6)",
        "keep logs at least six months",
        "retention(183)",
        "evidence",
        "The agreed end of retention lies at least 183 days after the charter expires.",
        "The keeping itself.",
        ("data/charter.json",),
    ),
    Control(
        "ai-act-72",
        "Regulation (EU) 2024/1689 Art. 72",
        "post-market monitoring",
        "metrics_after_release",
        "partial",
        "Values that hospitals reported after a release.",
        "The monitoring plan.",
        ("data/events.jsonl",),
    ),
    Control(
        "part11-10-a",
        "21 CFR 11.10(a)",
        "validation; discern altered records",
        "verification",
        "partial",
        "The verifier makes every derived file again; it is tested with published vectors.",
        "Validation at the site.",
        ("data/log/checkpoint",),
    ),
    Control(
        "part11-10-b",
        "21 CFR 11.10(b)",
        "accurate and complete copies",
        "exports + verification",
        "evidence",
        "Every entry as it was signed, and the same as a page for people.",
        "",
        ("data/README.html", "data/events.jsonl"),
    ),
    Control(
        "part11-10-c-e",
        "21 CFR 11.10(c), (e)",
        "protection of records; time-stamped audit trail",
        "all_entries | amendments",
        "evidence",
        "Entries are only added; a change is a new entry and hides nothing.",
        "Clocks are claims, bounded by cosignatures.",
        ("data/events.csv",),
    ),
    Control(
        "part11-10-d-f-g",
        "21 CFR 11.10(d), (f), (g)",
        "access, sequence and authority checks",
        "denials + rounds",
        "partial",
        "Every party enforces the same rules; refusals are on record.",
        "Access to machines.",
        ("data/governance/decisions.csv", "data/participation.csv"),
    ),
    Control(
        "part11-50",
        "21 CFR 11.50",
        "name, time and meaning of a signature",
        "signatures",
        "partial",
        "A table of signatures, the same in page and PDF.",
        "Printed names are not attested by the log.",
        ("data/governance/signatures.csv", "data/README.html"),
    ),
    Control(
        "part11-70",
        "21 CFR 11.70",
        "signature linked to its record",
        "verification",
        "evidence",
        "Each signature covers the bytes of its record.",
        "",
        ("data/log/checkpoint",),
    ),
    Control(
        "part11-100-200",
        "21 CFR 11.100, 11.200",
        "unique signatures; two components",
        "keys",
        "partial",
        "Key file and passphrase; a user of the dashboard gives name and password, again "
        "before acts of weight.",
        "Proof of a person's identity.",
        ("data/governance/keys.csv",),
    ),
    Control(
        "device-pccp",
        "FDA guidance on predetermined change control plans (2024)",
        "agreed bounds of change",
        "documents(pccp) + rounds + amendments",
        "partial",
        "The plan by hash; the bounds of the charter are enforced, amendments are signed.",
        "The plan's content.",
        ("data/charter.json", "data/governance/decisions.csv"),
    ),
    Control(
        "device-gmlp",
        "GMLP (2021), IMDRF N88 (2025)",
        "good machine learning practice",
        "metrics",
        "partial",
        "Values from each hospital's own test cases.",
        "Clinical validation.",
        ("data/model/*/modelcard.md",),
    ),
    Control(
        "device-iec-iso",
        "IEC 62304, ISO 14971, ISO/IEC 42001, NIST AI RMF",
        "configuration and change control",
        "amendments | cards",
        "organisational",
        "Programs, recipes and models are identified by hash; a change is an amendment.",
        "The processes of the manufacturer.",
        ("data/model/*/bom.cdx.json",),
    ),
    Control(
        "device-audit-exchange",
        "IHE ATNA/BALP, DICOM PS3.15",
        "audit messages",
        "all_entries",
        "partial",
        "FHIR AuditEvent for each entry and Provenance for each model, BALP-like.",
        "No patient is named by design, so it is not the BALP disclosure profile; access "
        "to images is in the hospital's own audit.",
        ("data/fhir/AuditEvent.ndjson", "data/fhir/Provenance.ndjson"),
    ),
    Control(
        "device-chai-hti1",
        "CHAI model card 0.2, ONC HTI-1",
        "source attributes of a model",
        "cards",
        "partial",
        "The card in the form of CHAI.",
        "Fields marked 'to be completed by the developer'.",
        ("data/model/*/modelcard.chai.xml",),
    ),
)
