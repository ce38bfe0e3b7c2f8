"""Words of the pages about evidence: exports, clauses, verification, cards, sealed remarks.

A closed catalogue as `words`, walked by the same test. What a log shows is evidence for somebody
who decides; no page calls anything kept or broken by itself.
"""

from __future__ import annotations

PROFILES: dict[str, str] = {
    "ai-act": "AI Act",
    "device": "Guidance on medical devices",
    "ehds": "European Health Data Space",
    "gdpr": "GDPR",
    "hipaa": "HIPAA",
    "part11": "21 CFR Part 11",
}

STATUSES: dict[str, str] = {
    "evidence": "● evidence in this log",
    "partial": "◐ partial evidence",
    "none": "○ none in this log",
    "organisational": "↗ outside the system",
}

FILES: dict[str, str] = {
    "derived": "made from the log; a verifier makes it again and compares",
    "signed": "carries its own signatures",
    "attached": "given along; its hash stands in the log",
    "consortium": "proof against the consortium's log",
    "unattested": "attested by the list of files only",
}
"""Why a file of a bundle can be believed, by kind."""

DOCUMENTS: dict[str, str] = {
    "charter": "Charter",
    "ethics": "Ethics vote",
    "agreement": "Data use agreement",
    "permit": "Data permit",
}

RESULTS: dict[str, tuple[str, str]] = {
    "pass": ("✓", "holds"),
    "fail": ("✕", "does not hold"),
    "cannot_tell": ("?", "cannot tell"),
    "not_applicable": ("·", "not here"),
}

VERDICTS: dict[int, str] = {
    0: "**Verified.** Every step holds. Read below what no log can show.",
    1: "**Refuted.** A step does not hold. Keep this file and call the hospitals' stewards.",
    2: "**Cannot tell.** A step lacks what it needs; the step says what.",
}

POLICIES: dict[str, str] = {
    "given": "The policy that you brought says whose signatures count.",
    "own": "The policy file of this dashboard says whose signatures count; its operator obtained "
    "it outside the hub.",
    "none": "This dashboard has no policy file for this study and you brought none: the steps "
    "that ask whose signatures count cannot tell. Get the policy from a steward that you trust.",
}

NARRATIVE: dict[str, tuple[str, str]] = {
    "intended_use": (
        "What it is for",
        "The question that the model answers, in which setting, at which point.",
    ),
    "users": ("Who may use it", "Which people with which training, and who reads the result."),
    "population": (
        "For which patients",
        "Age, sex, setting, devices, how the cases came together; who was not among them.",
    ),
    "out_of_scope": (
        "What it is not for",
        "Uses, patients, images and decisions for which nobody tried it.",
    ),
    "risks": ("Known risks", "What a wrong answer can do to a patient, and what limits that."),
    "biases": (
        "Known biases",
        "Groups for which it does better or worse, and why; what was not looked at.",
    ),
    "maintenance": (
        "Who looks after it",
        "Who watches it in use, how often, whom to tell about an error, when it is retired.",
    ),
    "funding": ("Who paid", "Grants, sponsors, interests."),
    "stakeholders": (
        "Who had a say",
        "Patients, clinicians, hospitals, committees that were asked, and what came of it.",
    ),
}
"""Label of each free text of a model's card, and what belongs there."""

SEALED: dict[str, str] = {
    "kept": "sealed, kept at the hub",
    "erased": "erased; nobody can confirm what it said",
    "not here": "never handed in to the hub",
}

WHO_OPENS = (
    "The log holds a hash only. Auditors, the study's researcher and the hospital that said it can "
    "open the detail; an administrator cannot, but can erase it. That somebody reads it is not "
    "recorded."
)

SEAL_BROKEN = (
    "What the hub keeps is not what the entry commits to: it was changed or exchanged. Do not use "
    "it; call the hub's administrator."
)
