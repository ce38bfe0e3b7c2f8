"""All charter rules at once, for the one who writes a charter; nothing is stored or signed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from compliance.records.charter import CharterBody
from compliance.records.types import seconds_of
from compliance.rules.charter import TEXT_RULES
from compliance.rules.verdict import Denied
from compliance.rules.words import SENTENCES

CHECKED = (
    "charter.form",
    "charter.keys",
    "charter.terms",
    "charter.quorum",
    "charter.legal",
    "charter.duo",
    "charter.expired",
    "legal.expired",
)


@dataclass(frozen=True)
class Finding:
    """What one rule says to a draft.

    Args:
        rule: id of the rule.
        sentence: the rule in words.
        found: what the draft says.
        agreed: what can be agreed.
        allowed: whether it has nothing against the draft.
    """

    rule: str
    sentence: str
    found: str | None = None
    agreed: str | None = None
    allowed: bool = field(kw_only=True)


def check_charter(body: dict[str, Any], now: str) -> list[Finding]:
    """Say what every charter rule finds; a rule without a refusal says so once.

    Args:
        body: the draft as JSON values; it may be incomplete.
        now: the present, `YYYY-MM-DDTHH:MM:SSZ`.
    """
    try:
        charter = CharterBody.model_validate(body)
    except ValidationError as error:
        return [_form(problem) for problem in error.errors(include_url=False)]
    denied = [found for rule in TEXT_RULES for found in rule(charter)] + _dates(charter, now)
    findings = [_refused(found) for found in denied]
    refused = {finding.rule for finding in findings}
    fine = [Finding(rule, SENTENCES[rule], allowed=True) for rule in CHECKED if rule not in refused]
    return findings + fine


def _form(problem: Any) -> Finding:
    where = ".".join(str(part) for part in problem["loc"]) or "charter"
    sentence = SENTENCES["charter.form"]
    return Finding("charter.form", sentence, where, problem["msg"], allowed=False)


def _refused(found: Denied) -> Finding:
    texts = [None if part is None else str(part) for part in (found.found, found.agreed)]
    return Finding(found.rule, found.sentence, *texts, allowed=False)


def _dates(charter: CharterBody, now: str) -> list[Denied]:
    moment = seconds_of(now)
    found = []
    if moment > seconds_of(charter.expires):
        found.append(Denied("charter.expired", now, charter.expires))
    for row in charter.legal.sites:
        ends = row.first_expiry()
        if ends is not None and moment >= seconds_of(ends):
            found.append(Denied("legal.expired", row.site, ends))
    return found
