"""A study's state as plain data: what the bundle, the hub's API and the dashboard all show."""

from __future__ import annotations

from typing import Any

from compliance.rules.state import StudyState


def summary(state: StudyState) -> dict[str, Any]:
    """Say where a study stands; everything follows from the fold, nothing from a database."""
    charter = state.charter
    return {
        "charter_id": state.charter_id,
        "version_id": state.version_id,
        "origin": charter.origin,
        "title": charter.title,
        "phase": str(state.phase),
        "size": state.size,
        "sites": [site.name for site in charter.sites],
        "signed": sorted(state.signed),
        "withdrawn": sorted(state.withdrawn),
        "rounds_opened": state.rounds_opened,
        "rounds_closed": len(state.rounds_closed),
        "max_rounds": charter.max_rounds,
        "model_sha256": state.model_sha256,
        "dataset_versions": {
            f"{site}|{dataset}": version
            for (site, dataset), version in sorted(state.dataset_versions.items())
        },
        "participation": dict(sorted(state.participation.items())),
        "released": dict(sorted(state.released.items())),
        "stopped": state.stopped,
        "closed": state.closed,
        "newest_time": state.newest_time,
    }
