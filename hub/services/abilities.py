"""What this release of the hub cannot do, though a charter may ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compliance.rules.check import Finding
from hub.services.drafts import AGGREGATORS


def beyond_this_hub(body: Mapping[str, Any]) -> list[Finding]:
    """Refusals of what the charter's rules allow and this release of the hub does not do."""
    asked = body.get("aggregator") or {}
    found = []
    if asked.get("name") not in AGGREGATORS:
        sentence = "This release of the hub makes models in one way."
        found.append(
            Finding(
                "charter.terms",
                sentence,
                str(asked.get("name")),
                ", ".join(AGGREGATORS),
                allowed=False,
            )
        )
    if asked.get("masked") or body.get("dp") is not None:
        sentence = "This release has neither masks nor noise (dp)."
        found.append(Finding("charter.terms", sentence, "masked or dp", "neither", allowed=False))
    return found
