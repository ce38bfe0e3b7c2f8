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
    "it outside the hub. It is about one study's log.",
    "none": "This dashboard has no policy file and you brought none: the steps that ask whose "
    "signatures count cannot tell. Get the policy from a steward that you trust.",
}
