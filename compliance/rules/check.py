"""All charter rules at once, for the one who writes a charter; nothing is stored or signed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import ValidationError

from compliance.records.charter import CharterBody
from compliance.records.types import seconds_of
from compliance.rules.changes import CHANGES
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
        site: the hospital that would refuse; None where all would.
    """

    rule: str
    sentence: str
    found: str | None = None
    agreed: str | None = None
    allowed: bool = field(kw_only=True)
    site: str | None = field(default=None, kw_only=True)

    @property
    def fix(self) -> str | None:
        """What to change in the draft; None where nothing is refused."""
        return None if self.allowed else CHANGES.get(self.rule)

    def plain(self) -> dict[str, Any]:
        """The same for machines, with what to change."""
        return asdict(self) | {"fix": self.fix}


def check_charter(body: dict[str, Any], now: str) -> list[Finding]:
    """Say what every charter rule finds; a rule without a refusal says so once.

    Args:
        body: the draft as JSON values; it may be incomplete.
        now: the present, `YYYY-MM-DDTHH:MM:SSZ`.
    """
    try:
        charter = CharterBody.model_validate(body)
    except ValidationError as error:
        return [_form(problem, body) for problem in error.errors(include_url=False)]
    denied = [found for rule in TEXT_RULES for found in rule(charter)] + _dates(charter, now)
    findings = [finding_of(found) for found in denied]
    refused = {finding.rule for finding in findings}
    fine = [Finding(rule, SENTENCES[rule], allowed=True) for rule in CHECKED if rule not in refused]
    return findings + fine


def _form(problem: Any, body: dict[str, Any]) -> Finding:
    where = ".".join(str(part) for part in problem["loc"]) or "charter"
    sentence = SENTENCES["charter.form"]
    whose = _whose(body, problem["loc"])
    return Finding("charter.form", sentence, where, problem["msg"], allowed=False, site=whose)


def _whose(body: Any, path: tuple[str | int, ...]) -> str | None:
    """The hospital of the innermost row on this path that names one."""
    site, value = None, body
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            break
        if isinstance(value, dict):
            site = value.get("site") or site
    return site if isinstance(site, str) else None


def finding_of(found: Denied) -> Finding:
    """A refusal as what it says to a draft."""
    texts = [None if part is None else str(part) for part in (found.found, found.agreed)]
    return Finding(found.rule, found.sentence, *texts, allowed=False, site=found.site)


def _dates(charter: CharterBody, now: str) -> list[Denied]:
    moment = seconds_of(now)
    found = []
    if moment > seconds_of(charter.expires):
        found.append(Denied("charter.expired", now, charter.expires))
    for row in charter.legal.sites:
        ends = row.first_expiry()
        if ends is not None and moment >= seconds_of(ends):
            found.append(Denied("legal.expired", row.site, ends, row.site))
    return found
